"""Child processes that end when this process ends."""

import ctypes
import signal
import subprocess
import sys

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def start(command, environment, output, errors=subprocess.STDOUT, folder=None):
    """Starts a child that Ctrl-C does not reach.

    It has a session of its own, so that it still answers while we clean up.
    """
    return subprocess.Popen(
        [str(part) for part in command], env=environment, cwd=folder,
        stdin=subprocess.DEVNULL, stdout=output, stderr=errors,
        start_new_session=True, preexec_fn=end_with_parent,
    )


def stop(process):
    """Ends the child at once: nothing we start has anything to save."""
    process.kill()
    process.wait()


def exit_on_sigterm():
    """Lets `with` and `finally` run when this process gets SIGTERM or SIGHUP."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))


def end_with_parent():
    """For `preexec_fn`: on Linux the kernel kills the child when its parent dies, even of SIGKILL."""
    if _LIBC:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
