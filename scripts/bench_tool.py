"""Whole-process figures of the dlq tool's release binary on long queues, as a Markdown table.

    make bench

SQS, S3 and Lambda are a stand-in on this machine, in a process of its own: tests/kit/long_queue.py. Its share of the
machine stands beside the tool's: the time that a command takes is mostly the stand-in's where that is larger.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from sandbox import processes
from scripts import build, install
from tests.kit import long_queue

MB = 1_000_000
LONG = {"messages": 100_000}
LARGE = {"messages": 2_000, "bytes": 700_000}
# What any queue must do with, however many bytes are on it.
MAX_LARGE_BYTES = 150 * MB
# The rate is no limit here: the default of five a second would be what is measured.
REPLAY = ("replay", "--all", "--rate", "1000")


@dataclass
class Run:
    seconds: float
    own_seconds: float
    stand_in_seconds: float
    peak_bytes: int
    summary: dict
    counts: dict


def main():
    processes.exit_on_sigterm()
    binary = build.binary("dlq", release=True)
    empty = run(binary, {"messages": 1}, "list").peak_bytes
    print("\n| `dlq` with | time | CPU: the tool, the stand-in | peak memory | a message |")
    print("| --- | --- | --- | --- | --- |")
    for words in (("status",), ("list",), ("list", "-o", "text")):
        row("100,000 messages", words, run(binary, LONG, *words), empty, LONG["messages"])
    for words in (("export", "--all", "--to", "exported"), REPLAY, (*REPLAY, "--execute")):
        done = run(binary, LARGE, *words)
        if done.peak_bytes > MAX_LARGE_BYTES:
            raise RuntimeError(f"dlq {' '.join(words)} took {done.peak_bytes / MB:.0f} MB of memory")
        row("2,000 of 700 kB", words, done)
        if "--execute" in words and (done.counts["invocations"], done.counts["batches"]) != (2_000, 2_000):
            raise RuntimeError(f"not each batch was run once: {done.counts}")


def row(what, words, done, empty=0, messages=0):
    each = f"{(done.peak_bytes - empty) / messages / 1000:.1f} kB" if messages else ""
    print(f"| {what}: `{' '.join(words)}` | {done.seconds:.1f} s | {done.own_seconds:.1f} s, "
          f"{done.stand_in_seconds:.1f} s | {done.peak_bytes / MB:.0f} MB | {each} |", flush=True)


def run(binary, options, *words):
    print(f"measuring: dlq {' '.join(words)}, {options} ...", file=sys.stderr, flush=True)
    with long_queue.running(**options) as queue, tempfile.TemporaryDirectory() as folder:
        before = queue.counts()["cpuSeconds"]
        environment = {"PATH": os.environ["PATH"], "HOME": folder, "TMPDIR": folder, **queue.environment()}
        with open(Path(folder, "out"), "w+b") as out, open(Path(folder, "err"), "w+b") as err:
            started = time.monotonic()
            process = subprocess.Popen(
                [binary, *words], env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                preexec_fn=processes.end_with_parent)
            peak, usage = watch(process)
            seconds = time.monotonic() - started
            err.seek(0)
            if process.returncode:
                raise RuntimeError(f"dlq {' '.join(words)} ended with {process.returncode}: {err.read()[-2000:]}")
            counts = queue.counts()
            check(words, options["messages"], last_line(out), counts)
        own = usage.ru_utime + usage.ru_stime
        return Run(seconds, own, counts["cpuSeconds"] - before, peak, {}, counts)


def watch(process):
    """Waits for its end; the peak of its memory, and what it has used.

    The peak in the usage is no use: it has this process's own in it, from before the tool was started.
    """
    peak = 0
    while True:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
            peak = max([peak, *(1024 * int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line)])
        except OSError:
            pass
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        if ended:
            process.returncode = os.waitstatus_to_exitcode(status)
            return peak, usage
        time.sleep(0.01)
