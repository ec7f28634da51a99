"""Size and start of the dlq tool's release binary, and its figures on long queues as a Markdown table.

    make bench

SQS, S3 and Lambda are a stand-in in a process of its own, tests/kit/long_queue.py. On a machine with few cores a
command's time is also the stand-in's: the processor time of each stands beside it. Takes some minutes.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from sandbox import processes
from scripts import build, install
from tests.kit import dlq, long_queue

MB = 1_000_000
LONG = {"messages": 100_000}
LARGE = {"messages": 2_000, "bytes": 700_000}
# The most memory for a queue of large messages, however many there are.
MAX_BYTES = 150 * MB
# What the tool may take on disk, and until it has printed its version.
MAX_BINARY_BYTES, MAX_START_SECONDS, STARTS = 12 * MB, 0.020, 40
# The default rate of five a second would be all that is measured.
REPLAY = ("replay", "--all", "--rate", "1000")


@dataclass
class Run:
    seconds: float
    tool_cpu: float
    stand_in_cpu: float
    peak_bytes: int
    summary: dict
    counts: dict


def main():
    processes.exit_on_sigterm()
    binary = build.binary("dlq", release=True)
    size, start = binary.stat().st_size, median_start(binary)
    print(f"\ndlq: {size / MB:.1f} MB; prints its version in {start * 1000:.1f} ms, median of {STARTS}", flush=True)
    empty = run(binary, {"messages": 1}, "list").peak_bytes
    print("\n| queue | command | time | processor time: tool, stand-in | peak memory | memory a message |")
    print("| --- | --- | --- | --- | --- | --- |")
    for command in ("status", "list"):
        done = run(binary, LONG, command)
        expect(done.summary["shown"] == LONG["messages"], done)
        row("100,000 messages of 2.4 kB", command, done, (done.peak_bytes - empty) / LONG["messages"])
    for words in (("export", "--all", "--to", "exported"), REPLAY, (*REPLAY, "--execute")):
        done = run(binary, LARGE, *words)
        expect(done.summary["shown"] == LARGE["messages"] and done.peak_bytes <= MAX_BYTES, done)
        if "--execute" in words:
            once = (done.summary["done"], done.counts["invocations"], done.counts["batches"])
            expect(once == (LARGE["messages"],) * 3 and done.counts["visible"] == 0, done)
        row("2,000 messages of 700 kB", " ".join(words), done)
    if size > MAX_BINARY_BYTES or start > MAX_START_SECONDS:
        raise RuntimeError(f"the tool is too large, or too slow to start: {size} bytes, {start * 1000:.1f} ms")


def median_start(binary):
    times = []
    for _ in range(STARTS):
        started = time.perf_counter()
        subprocess.run([binary, "--version"], stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def row(queue, command, done, each=None):
    cells = [queue, f"`dlq {command}`", f"{done.seconds:.0f} s", f"{done.tool_cpu:.0f} s, {done.stand_in_cpu:.0f} s",
             f"{done.peak_bytes / MB:.0f} MB", f"{each / 1000:.1f} kB" if each else ""]
    print(f"| {' | '.join(cells)} |", flush=True)


def expect(is_right, done):
    if not is_right:
        raise RuntimeError(f"the tool did not do what is measured, or took more memory than it may: {done}")


def run(binary, options, *words):
    print(f"measuring: dlq {' '.join(words)}, {options} ...", file=sys.stderr, flush=True)
    with (long_queue.running(**options) as queue, tempfile.TemporaryDirectory() as folder,
          tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err):
        before = queue.counts()["cpuSeconds"]
        environment = {"PATH": os.environ["PATH"], "HOME": folder, **queue.environment()}
        started = time.monotonic()
        process = subprocess.Popen(
            processes.ending_with_parent([binary, *words, "--output", "json"]), env=environment, cwd=folder,
            stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        peak_bytes, code, usage = watch(process.pid)
        process.returncode = code
        seconds = time.monotonic() - started
        out.seek(0)
        err.seek(0)
        if code:
            raise RuntimeError(f"dlq {' '.join(words)} ended with {code}: {err.read()[-2000:].decode()}")
        counts = queue.counts()
        summary = dlq.Result(code, out.read().decode(), "", seconds).summary
        tool_cpu, stand_in_cpu = usage.ru_utime + usage.ru_stime, counts["cpuSeconds"] - before
        return Run(seconds, tool_cpu, stand_in_cpu, peak_bytes, summary, counts)


def watch(process_id):
    """The peak of a child's memory, its exit code, and its usage, when it has ended.

    The peak that wait4 gives is not asked for: it counts this process's own memory, which the child had before exec.
    """
    peak_bytes = 0
    while True:
        ended, status, usage = os.wait4(process_id, os.WNOHANG)
        if ended:
            return peak_bytes, os.waitstatus_to_exitcode(status), usage
        lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
        peak_bytes = max([peak_bytes, *(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))])
        time.sleep(0.01)


if __name__ == "__main__":
    try:
        main()
    except (build.BuildError, install.InstallError, RuntimeError, OSError) as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit("\nbench: stopped")
