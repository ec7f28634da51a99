import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(Path(__file__).resolve().parent), str(ROOT / "sandbox")]

import build  # noqa: E402
import emulators  # noqa: E402


@pytest.fixture(scope="session")
def aws():
    with emulators.running() as running:
        yield running


@pytest.fixture(scope="session")
def binary():
    return build.binary()
