"""Commands of this project as child processes, and which processes they leave behind."""

import os
import signal
import subprocess
import sys
import time

from sandbox import processes
from scripts import install


def start(module, *arguments, **variables):
    """Starts `python -m module` as a terminal would: Ctrl-C, sent to its group, reaches it."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.Popen(
        processes.ending_with_parent([sys.executable, "-m", module, *arguments]), cwd=install.ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        preexec_fn=_like_in_a_terminal,
        env={**inherited, **{name: str(value) for name, value in variables.items()}})


def _like_in_a_terminal():
    # A shell lets background jobs ignore Ctrl-C, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def descendants(pid):
    """The living descendants of a process: their command lines by process id."""
    found, wanted, parents = {}, {pid}, {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        if parent := _parent(int(entry)):
            parents[int(entry)] = parent
    while wanted:
        wanted = {child for child, parent in parents.items() if parent in wanted}
        found.update((child, _command(child)) for child in wanted)
    return found


def assert_all_gone(pids, seconds=5):
    ends = time.monotonic() + seconds
    while left := {pid: _command(pid) for pid in pids if _parent(pid) is not None}:
        assert time.monotonic() < ends, left
        time.sleep(0.05)


def _parent(pid):
    """The id of the parent of a living process; None if the process has ended."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            state, parent = stat.read().rpartition(")")[2].split()[:2]
    except OSError:
        return None
    return None if state == "Z" else int(parent)


def _command(pid):
    try:
        with open(f"/proc/{pid}/cmdline") as command:
            return command.read().replace("\0", " ")
    except OSError:
        return ""
