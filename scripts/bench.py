"""Whole-process figures of the release binary, as a Markdown table.

    make bench [ZIP=target/lambda/hydrate/bootstrap.zip]

The process is measured from outside: its memory as the kernel counts it, the
time of each invocation, and a log of its calls. The shard that it reads is a
fake that answers at once, and what it sends is dropped, so that the figures are
those of the function and not of an emulator. Takes a minute and a half: the
large range is read at the pace that leaves a real shard to its other readers.
"""


import io
import json
import statistics
import sys
import zipfile
from collections import Counter
from pathlib import Path

from sandbox import as_lambda, emulators, processes
from sandbox.runtime_api import Function
from scripts import build, install
from tests.kit.fakes import Fakes, KinesisShard

STARTS = 40
INVOCATIONS = 200
RECORD_BYTES = 450
MB = 1_000_000


def main(given_zip):
    processes.exit_on_sigterm()
    binary = build.binary("hydrate", release=True)
    figures = [*sizes(binary, given_zip), *start(binary), *one_record(binary)]
    figures += [*archived(binary)]
    figures += [*hydration(binary, "10,000 records of 450 bytes", 10_000, 10_000)]
    figures += [*hydration(binary, "a 60 MB superset", 60 * MB // RECORD_BYTES, 10_000)]
    print("\n| what | figure |\n| --- | --- |")
    for what, figure in figures:
        print(f"| {what} | {figure} |")


def sizes(binary, given_zip):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.write(binary, "bootstrap")
    yield "binary, this machine's architecture", megabytes(binary.stat().st_size)
    yield "the same, zipped", megabytes(packed.tell())
    if given_zip:
        yield f"`{given_zip.name}`", megabytes(given_zip.stat().st_size)


def start(binary):
    progress("starting it %d times" % STARTS)
    seconds, resident = [], []
    with Fakes(None, swallow=True) as fakes:
        for _ in range(STARTS):
            with function(binary, fakes) as running:
                seconds.append(running.start_seconds)
                resident.append(running.memory_bytes("VmRSS"))
    yield f"exec to first `/next`, median of {STARTS}", milliseconds(statistics.median(seconds))
    yield "resident memory when idle", megabytes(statistics.median(resident))


def one_record(binary):
    progress("one record, %d times" % INVOCATIONS)
    with Fakes(None, swallow=True) as fakes:
        # A shard each: reads of one shard are half a second apart.
        shards = [fakes.add(KinesisShard(f"one-{n}", records(1))) for n in range(INVOCATIONS + 1)]
        event, *others = (as_lambda.sns_event(shard.failure(shard.all_records)) for shard in shards)
        first = []
        for _ in range(STARTS):
            with function(binary, fakes) as running:
                first.append(running.invoke(event).seconds)
                if len(first) == STARTS:
                    following = [running.invoke(other).seconds for other in others]
    yield f"first invocation, 1 record, median of {STARTS}", milliseconds(statistics.median(first))
    yield f"following ones, median of {INVOCATIONS}", milliseconds(statistics.median(following))


def archived(binary):
    """The calls of 100 records without the archive and with it, which must be one PutObject more and nothing else."""
    calls, seconds = [], []
    for archive in ("false", "true"):
        progress(f"100 records, ARCHIVE={archive}, {STARTS} times")
        with Fakes(None, swallow=True) as fakes, function(binary, fakes, ARCHIVE=archive) as running:
            shards = [fakes.add(KinesisShard(f"{archive}-{n}", records(100))) for n in range(STARTS)]
            events = [as_lambda.sns_event(shard.failure(shard.all_records)) for shard in shards]
            seconds.append(statistics.median(running.invoke(event).seconds for event in events))
            calls.append(Counter(call.operation for call in fakes.calls()))
    without, with_it = calls
    if with_it - without != {"PutObject": STARTS} or without - with_it:
        raise RuntimeError(f"the archive costs more than a PutObject: {without} without it, {with_it} with it")
    each = ", ".join(f"{n // STARTS} {name}" for name, n in without.items())
    yield "100 records: calls", f"{each}; 1 PutObject more with `ARCHIVE=true`"
    yield "100 records with `ARCHIVE=true`: time, against that without", f"{seconds[1] / seconds[0]:.2f} times"


def hydration(binary, what, count, batch_size):
    progress(what)
    with Fakes(None, swallow=True) as fakes, function(binary, fakes) as running:
        shard = fakes.add(KinesisShard("many", records(count)))
        record = shard.failure(shard.all_records)
        record["KinesisBatchInfo"]["batchSize"] = batch_size
        answer = running.invoke(as_lambda.sns_event(record), timeout=300)
        if answer.error or sum(b["recoveredRecords"] for b in answer.payload["batches"]) != count:
            raise RuntimeError(f"the function did not hydrate {what}: {answer.error}")
        yield f"{what}: peak memory", megabytes(running.memory_bytes("VmHWM"))
        yield f"{what}: time, the shard's pauses included", f"{answer.seconds:.1f} s"
        calls = Counter(call.operation for call in fakes.calls())
        yield f"{what}: calls", ", ".join(f"{n} {name}" for name, n in calls.items())


def function(binary, fakes, **variables):
    aws = emulators.Emulators(fakes.url, fakes.url)
    return Function(binary, {
        **aws.environment(), "QUEUE_URL": fakes.url + "/123456789012/hydrated",
        "OVERFLOW_BUCKET": "overflow", **variables}, timeout=300)


def records(count):
    """Orders of `RECORD_BYTES` bytes each."""
    for number in range(count):
        order = {"orderId": number, "note": ""}
        order["note"] = "x" * (RECORD_BYTES - len(json.dumps(order)))
        yield f"ORD-{number:07}", json.dumps(order).encode()


def progress(text):
    print(f"measuring: {text} ...", file=sys.stderr, flush=True)


def megabytes(size):
    return f"{size / MB:.1f} MB"


def milliseconds(seconds):
    return f"{seconds * 1000:.1f} ms"


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
    except (build.BuildError, install.InstallError, RuntimeError, OSError) as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit("\nbench: stopped")
