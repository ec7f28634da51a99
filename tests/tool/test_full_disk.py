"""Standard output that takes nothing: each command stops before its next action, and says why."""

import subprocess
from datetime import datetime, timedelta, timezone

import pytest

from sandbox import as_lambda
from tests.kit import dlq
from tests.tool.test_rescue import iso, until_now

COMMANDS = [
    ["list"], ["status"], ["show", "ID"], ["show", "ID", "--raw"], ["replay", "--all"],
    ["replay", "--all", "--execute"], ["discard", "--all"], ["discard", "--all", "--execute"],
    ["export", "--all", "--to", "FOLDER"], ["report", "--to", "-"], ["isolate", "ID"], ["isolate", "ID", "--execute"]]


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_full_disk_stops_each_command_before_its_next_action(tool, queue, function, words, form, tmp_path):
    batch, *_ = queue.send(*[dlq.kinesis(at=10 * n, shard=n % 3) for n in range(6)])
    words = [{"ID": batch.id, "FOLDER": str(tmp_path / "out")}.get(word, word) for word in words]
    with open("/dev/full", "w") as full:
        done = subprocess.run([tool.path, *words, "-o", form], env=tool.environment, stdin=subprocess.DEVNULL,
                              stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1 and "No space left" in done.stderr, done.stderr
    # One message may be deleted before the line about it cannot be printed.
    visible, in_flight = queue.counts()
    assert visible >= 5 and in_flight == 0
    deleted = 6 - visible
    assert len([run for run in tool.runs() if run["done"]]) + len(tool.discards()) >= deleted


@pytest.mark.parametrize("source", ["file", "queue", "stream"])
@pytest.mark.parametrize("send", [False, True], ids=["print", "send"])
def test_a_full_disk_is_an_error_of_hydrate(tool, aws, queue, stream, source, send, tmp_path):
    made, records = stream([("k", b"one"), ("k", b"two")])
    record = as_lambda.text(as_lambda.kinesis_failure(records, made.arn, made.shard_id))
    old, file = dlq.Queue(aws), tmp_path / "failure.json"
    old.send(record)
    file.write_text(record)
    moment = datetime.now(timezone.utc)
    words = {
        "file": [file], "queue": ["--from-queue", old.url],
        "stream": ["--stream", made.arn, "--function", "orders", "--since", iso(moment - timedelta(minutes=1)),
                   "--until", until_now()]}[source]
    words += ["--send"] if send else ["--print"] if source == "stream" else []
    with open("/dev/full", "w") as full:
        done = subprocess.run([tool.path, "hydrate", *words], env=tool.environment, stdin=subprocess.DEVNULL,
                              stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1 and "No space left" in done.stderr, done.stderr
    assert queue.counts() == (int(send), 0) and old.counts() == (1, 0)
