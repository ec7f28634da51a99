"""Ledger records that somebody has cut, changed, moved or written with hostile text."""

import json
from pathlib import Path

import pytest

from tests.kit import dlq

HOSTILE = "ana\x1b[2J\u202e\r\nroot"


class Ledger:
    """The records of the ledger, in a bucket or in a folder."""

    def __init__(self, queue, folder):
        self.queue, self.folder = queue, folder

    def flags(self):
        return ("--ledger", str(self.folder) if self.folder else f"s3://{self.queue.bucket}/ledger")

    def names(self, kind="/runs/"):
        if self.folder:
            names = [str(path) for path in self.folder.rglob("*.json")]
        else:
            listed = self.queue.s3.list_objects_v2(Bucket=self.queue.bucket, Prefix="ledger/").get("Contents", [])
            names = [entry["Key"] for entry in listed]
        return [name for name in names if kind in name]

    def read(self, name):
        if self.folder:
            return Path(name).read_bytes()
        return self.queue.s3.get_object(Bucket=self.queue.bucket, Key=name)["Body"].read()

    def write(self, name, content):
        if self.folder:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            return Path(name).write_bytes(content)
        self.queue.s3.put_object(Bucket=self.queue.bucket, Key=name, Body=content)

    def change(self, name, change):
        record = json.loads(self.read(name))
        change(record)
        self.write(name, json.dumps(record).encode())


@pytest.fixture(params=["bucket", "folder"])
def ledger(request, queue, tmp_path):
    return Ledger(queue, tmp_path / "ledger" if request.param == "folder" else None)


def cut(ledger, name):
    ledger.write(name, ledger.read(name)[:-20])


def empty(ledger, name):
    ledger.write(name, b"")


def later(ledger, name):
    ledger.change(name, lambda record: record.update(version=2))


def of_another_batch(ledger, name):
    ledger.change(name, lambda record: record.update(batch="f" * 64))


def of_another_function(ledger, name):
    ledger.change(name, lambda record: record.update(function=record["function"] + "-2"))


def not_utf8(ledger, name):
    ledger.write(name, ledger.read(name).replace(b"ValueError", b"Value\xff"))


def too_large(ledger, name):
    ledger.write(name, ledger.read(name) + b" " * 20_000_000)


def a_reversed_range(ledger, name):
    def change(record):
        record["done"] = [{"first": "9", "last": "1", "records": 1}]
    ledger.change(name, change)


def null(ledger, name):
    ledger.write(name, b"null")


SPOILED = [cut, empty, later, of_another_batch, of_another_function, not_utf8, too_large, a_reversed_range, null]


def tried(tool, queue, function, ledger, error):
    """A batch that was run once and met this error, the flags for its ledger, and the name of its record there."""
    batch, = queue.send(dlq.kinesis())

    def answer(_):
        raise error()
    function.answer = answer
    flags = ledger.flags()
    tool("replay", "--all", "--execute", *flags, code=3)
    name, = ledger.names()
    return batch, flags, name


@pytest.mark.parametrize("spoil", SPOILED, ids=lambda spoil: spoil.__name__)
def test_a_spoiled_record_is_said_and_never_taken_for_not_run(tool, queue, function, ledger, spoil, tmp_path):
    batch, flags, name = tried(tool, queue, function, ledger, dlq.Fails)
    spoil(ledger, name)
    function.invocations.clear()
    short = name.rsplit("/", 1)[1]
    for words, code in [
            (("list",), 3), (("status",), 3), (("show", batch.id),  3), (("replay", "--all"), 1),
            (("replay", "--all", "--execute"), 1), (("replay", batch.id, "--execute", "--in-doubt", "rerun"), 1),
            (("isolate", batch.id), 1), (("isolate", batch.id, "--execute"), 1)]:
        result = tool(*words, *flags, code=code)
        assert short in result.err, (words, result.err)
        assert len(result.err) < 2_000, words
        assert queue.counts() == (1, 0), words
    assert function.invocations == []
    # What was dealt with in another way may still leave the queue.
    tool("discard", batch.id, "--execute", *flags)
    assert short in tool("show", batch.id, *flags, code=1).err


def locked(tool, queue, function, ledger):
    """A batch that was run and kept, with another behind it: the flags for its ledger, and the name of the lock there."""
    batch, = queue.send(dlq.kinesis())
    flags = ledger.flags()
    tool("replay", batch.id, "--execute", "--keep", *flags)
    queue.send(dlq.kinesis(at=10))
    function.invocations.clear()
    name, = [name for name in ledger.names("") if name.endswith("lock.json")]
    return batch, flags, name


@pytest.mark.parametrize("spoil", [cut, empty, later, null], ids=lambda spoil: spoil.__name__)
def test_a_spoiled_lock_is_not_taken_for_free(tool, queue, function, ledger, spoil):
    batch, flags, name = locked(tool, queue, function, ledger)
    spoil(ledger, name)
    for words in (("replay", "--all"), ("replay", "--all", "--execute"), ("isolate", batch.id, "--execute")):
        assert "lock.json" in tool(*words, *flags, code=1).err
        assert queue.counts() == (2, 0)
    assert function.invocations == []


@pytest.mark.parametrize("text", ["soon", "", "2026-11-21", "\x1b[2J"])
def test_a_time_in_the_lock_that_is_none_is_not_taken_for_one_that_has_passed(tool, queue, function, ledger, text):
    _, flags, name = locked(tool, queue, function, ledger)
    ledger.change(name, lambda record: record.update(hiddenUntil=text))
    result = tool("replay", "--all", "--execute", *flags, code=1)
    assert "lock.json" in result.err and "\x1b" not in result.err
    assert function.invocations == []


def test_names_in_the_ledger_do_not_reach_the_terminal_as_they_are(tool, queue, function, ledger):
    batch, flags, name = tried(tool, queue, function, ledger, dlq.HangsUp)

    def change(record):
        record["claim"]["by"] = {"user": HOSTILE, "host": HOSTILE, "run": HOSTILE}
        record["claim"]["at"] = HOSTILE
        record["claim"]["unknown"] = {"at": HOSTILE, "errorType": HOSTILE, "requestId": HOSTILE}
    ledger.change(name, change)
    lock, = [name for name in ledger.names("") if name.endswith("lock.json")]
    ledger.change(lock, lambda record: record.update(holder={
        "by": {"user": HOSTILE, "host": HOSTILE, "run": HOSTILE}, "since": HOSTILE, "hidesForSeconds": 2 ** 60}))
    for words, code in [
            (("list",), 0), (("status",), 0), (("show", batch.id), 0), (("replay", "--all"), 3),
            (("replay", "--all", "--execute"), 1), (("isolate", batch.id, "--execute"), 1)]:
        for form in ("text", "json"):
            result = tool(*words, *flags, "-o", form, code=code)
            for character in "\x1b\u202e\r":
                assert character not in result.out + result.err, (words, form)
            assert "\nroot" not in result.out + result.err
