"""Child processes that never outlive this one."""

import ctypes
import signal
import subprocess
import sys

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def start(command, environment, output, errors=subprocess.STDOUT, folder=None):
    """Starts a child that Ctrl-C in the terminal does not reach and our death does.

    In a session of its own, so that it can still answer while we clean up; and
    on Linux the kernel ends it if this process is killed outright.
    """
    return subprocess.Popen(
        [str(part) for part in command], env=environment, cwd=folder,
        stdin=subprocess.DEVNULL, stdout=output, stderr=errors,
        start_new_session=True, preexec_fn=_die_with_parent if _LIBC else None,
    )


def stop(process):
    """Ends the child at once: nothing we start has anything to save."""
    process.kill()
    process.wait()


def exit_on_sigterm():
    """Lets `with` and `finally` run when this process is told to end."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))


def _die_with_parent():
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
