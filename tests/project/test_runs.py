"""A run of the tests that is stopped, or loses one of its workers, leaves no process behind."""

import os
import signal
import time

import pytest

from tests.kit.process_tree import assert_all_gone, descendants, start

WORKERS = 2
# Two tests, one of which waits for a minute: long enough to be stopped.
SELECTION = ["tests/tool/test_look.py", "-k", "killed_reader or interrupt_puts_back"]


@pytest.fixture
def run(binary, digest_binary, tool_binary, tmp_path):
    """A run of its own whose workers have started their emulators: its process, and its descendants."""
    pytest_run = start(
        "pytest", "-n", WORKERS, "-p", "no:cacheprovider", "--basetemp", tmp_path / "run", *SELECTION,
        HYDRATE_BINARY=binary, DIGEST_BINARY=digest_binary, DLQ_BINARY=tool_binary)
    try:
        yield pytest_run, wait_for_emulators(pytest_run)
    finally:
        pytest_run.kill()
        pytest_run.communicate(timeout=20)


def wait_for_emulators(pytest_run, seconds=60):
    ends = time.monotonic() + seconds
    while True:
        started = descendants(pytest_run.pid)
        commands = " ".join(started.values())
        if (commands.count("moto_server.py"), commands.count("kinesis-local")) == (WORKERS, 1):
            return started
        assert pytest_run.poll() is None and time.monotonic() < ends, started
        time.sleep(0.05)


def test_ctrl_c_stops_everything(run):
    pytest_run, started = run
    os.killpg(pytest_run.pid, signal.SIGINT)
    pytest_run.communicate(timeout=20)
    assert pytest_run.returncode == pytest.ExitCode.INTERRUPTED
    assert_all_gone(started)


def test_a_killed_run_takes_everything_with_it(run):
    pytest_run, started = run
    pytest_run.kill()
    pytest_run.communicate(timeout=20)
    assert_all_gone(started)


def test_a_killed_worker_takes_its_emulators_with_it(run):
    pytest_run, started = run
    worker = next(pid for pid in descendants(pytest_run.pid)
                  if any("moto_server.py" in command for command in descendants(pid).values()))
    with_worker = descendants(worker)
    os.kill(worker, signal.SIGKILL)
    assert_all_gone([worker, *with_worker])
    assert pytest_run.poll() is None
