"""Runs the property tests of crates/hydration very often, on all cores, and counts the random histories that were run.

    make soak HISTORIES=1000000     every property of tests/range and tests/rescue, a million histories each
    make soak FUZZ=3600             every property of tests/fuzz, for an hour

Each run of a property has a seed of its own. If a history fails, its seed and the command that repeats it are printed.
The counts come from the tests: a history counts when its property has held to the end.
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROFILE = "soak"
# The files of tests whose properties are run a number of times.
WITH_HISTORIES = ["range", "rescue"]
# Histories of one run: some seconds of work, so that the cores share the load to the end.
HISTORIES_PER_RUN = 20_000
FUZZ_HISTORIES_PER_RUN = 5_000


class Failed(Exception):
    """A property that does not hold, or histories that were not counted."""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--histories", type=positive, metavar="COUNT",
                        help="histories of each property of tests/range and tests/rescue")
    parser.add_argument("--fuzz", type=positive, metavar="SECONDS", help="how long to run the properties of tests/fuzz")
    options = parser.parse_args()
    if not (options.histories or options.fuzz):
        parser.error("give HISTORIES=COUNT or FUZZ=SECONDS")
    binaries = build()
    try:
        if options.histories:
            for tests in WITH_HISTORIES:
                report(tests, *run_histories(binaries[tests], options.histories))
        if options.fuzz:
            report("fuzz", *run_fuzz(binaries["fuzz"], options.fuzz))
    except Failed as failure:
        sys.exit(f"\n{failure}")


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be above zero")
    return number


def build():
    """The compiled tests by name."""
    tests = [argument for name in (*WITH_HISTORIES, "fuzz") for argument in ("--test", name)]
    command = ["cargo", "test", "--locked", "--profile", PROFILE, "-p", "hydration", *tests, "--no-run",
               "--message-format", "json-render-diagnostics"]
    lines = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    artifacts = [json.loads(line) for line in lines]
    return {artifact["target"]["name"]: artifact["executable"] for artifact in artifacts
            if artifact["reason"] == "compiler-artifact" and artifact["target"]["kind"] == ["test"]}


def tests_of(binary):
    listed = subprocess.run([binary, "--list"], check=True, stdout=subprocess.PIPE, text=True).stdout
    return re.findall(r"^(.*): test$", listed, re.MULTILINE)


def run_histories(binary, histories):
    # A test that counts no history is no property, and `cargo test` has run it.
    properties = [name for name in tests_of(binary) if run_once(binary, name, 1)]
    full, rest = divmod(histories, HISTORIES_PER_RUN)
    sizes = [HISTORIES_PER_RUN] * full + ([rest] if rest else [])
    # Every property in turn, so that the counts grow together.
    runs = deque((name, size) for size in sizes for name in properties)
    lock = threading.Lock()

    def next_run(_counts):
        with lock:
            return runs.popleft() if runs else None

    counts, seconds = run_on_all_cores(binary, next_run)
    for name in properties:
        if counts[name] != histories:
            raise Failed(f"{name}: {counts[name]:,} histories were counted, and not {histories:,}")
    return counts, seconds


def run_fuzz(binary, seconds):
    names = deque(tests_of(binary))
    end = time.monotonic() + seconds
    lock = threading.Lock()

    def next_run(counts):
        with lock:
            if time.monotonic() >= end:
                return None
            # A test without histories is run once.
            while counts.get(names[0]) == 0:
                names.popleft()
            names.rotate(-1)
            return names[-1], FUZZ_HISTORIES_PER_RUN

    return run_on_all_cores(binary, next_run)


def run_on_all_cores(binary, next_run):
    """Takes runs until there are no more, or one has failed. Returns the counts by test, and the seconds."""
    started = time.monotonic()
    counts, failures = Counter(), []

    def work():
        while not failures and (run := next_run(counts)):
            name, histories = run
            try:
                counted = run_once(binary, name, histories)
                # Not `counts[name] += run_once(…)`: that reads the old count before the run.
                counts[name] += counted
            except Failed as failure:
                failures.append(failure)
            progress(counts, started)

    workers = [threading.Thread(target=work) for _ in range(os.cpu_count() or 1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if failures:
        raise failures[0]
    return counts, time.monotonic() - started


def run_once(binary, name, histories):
    """Runs one test, and returns the histories that it has counted; 0 for a test without any."""
    seed = random.SystemRandom().getrandbits(64)
    variables = {"HISTORIES": str(histories), "PROPTEST_RNG_SEED": str(seed)}
    ended = subprocess.run([binary, "--exact", name], env={**os.environ, **variables}, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, errors="replace")
    if ended.returncode != 0:
        repeat = " ".join(f"{key}={value}" for key, value in variables.items())
        target = Path(binary).name.rsplit("-", 1)[0]
        raise Failed(f"{ended.stdout}\n{name} does not hold. To repeat it:\n"
                     f"{repeat} cargo test --profile {PROFILE} -p hydration --test {target} -- --exact {name}")
    counted = re.search(r"^counted (\d+)$", ended.stdout, re.MULTILINE)
    if counted and int(counted[1]) != histories:
        raise Failed(f"{name}: {int(counted[1]):,} histories were counted, and not {histories:,}")
    return int(counted[1]) if counted else 0


def progress(counts, started):
    minutes = (time.monotonic() - started) / 60
    print(f"\r{sum(counts.values()):,} histories in {minutes:.1f} minutes ", end="", file=sys.stderr, flush=True)


def report(tests, counts, seconds):
    print(file=sys.stderr)
    for name, histories in sorted(counts.items()):
        if histories:
            print(f"{histories:>14,}  {name}")
    print(f"{sum(counts.values()):>14,}  histories of tests/{tests} in {seconds / 60:.1f} minutes, every property held")


if __name__ == "__main__":
    main()
