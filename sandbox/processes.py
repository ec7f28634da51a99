"""Child processes that end when this process ends."""

import shutil
import signal
import subprocess
import sys

# A part of util-linux. `preexec_fn` would do the same, and copy the memory of this process for every child.
_SETPRIV = shutil.which("setpriv")


def start(command, environment, output, errors=subprocess.STDOUT, folder=None):
    """Starts a child that Ctrl-C does not reach.

    It has a session of its own, so that it still answers while we clean up.
    """
    return subprocess.Popen(
        ending_with_parent(command), env=environment, cwd=folder,
        stdin=subprocess.DEVNULL, stdout=output, stderr=errors, start_new_session=True,
    )


def stop(process):
    """Ends the child at once: nothing we start has anything to save."""
    process.kill()
    process.wait()


def exit_on_sigterm():
    """Lets `with` and `finally` run when this process gets SIGTERM or SIGHUP."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))


def ending_with_parent(command):
    """The words of a command that the kernel kills when the process that started it dies, even of SIGKILL."""
    words = [str(word) for word in command]
    return [_SETPRIV, "--pdeathsig", "KILL", "--", *words] if _SETPRIV else words
