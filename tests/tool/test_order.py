"""The order of a shard beside messages that cannot be run: held by others, delayed, or not hydrated."""

import re
import signal
import time

import pytest

from tests.kit import dlq

EXECUTE = ("replay", "--all", "--execute", "--rate", 1000)


def receive(queue, seconds):
    """Another client receives what is visible."""
    return queue.sqs.receive_message(QueueUrl=queue.url, VisibilityTimeout=seconds)["Messages"]


def one_in_flight(queue, seconds):
    """Another client receives the first batch of a shard, and then the second arrives."""
    earlier, later = dlq.kinesis(), dlq.kinesis(at=10)
    queue.send(earlier)
    receive(queue, seconds)
    queue.send(later)
    return earlier, later


def test_a_dry_run_says_that_another_client_holds_a_message(tool, queue):
    _, later = one_in_flight(queue, 600)
    result = tool("replay", "--all", code=3)
    line, = result.messages
    assert (line["id"], line["action"], line["reason"]) == (later.id, "wouldRefuse", "inFlight")
    assert result.summary["inFlight"] == 1
    assert "1 message is in flight" in result.err and "--keep-going" in result.err
    assert result.seconds < 20, "a dry run does not wait"


@pytest.mark.long_wait
def test_nothing_is_invoked_while_another_client_holds_a_message(tool, queue, function):
    one_in_flight(queue, 600)
    result = tool(*EXECUTE, code=3)
    line, = result.messages
    assert (line["action"], line["reason"], function.invocations) == ("refused", "inFlight", [])
    assert 60 <= result.seconds < 90, result.seconds
    assert queue.counts() == (1, 1)


def test_what_becomes_visible_during_the_wait_runs_in_its_order(tool, queue, function):
    earlier, later = one_in_flight(queue, 8)
    tool(*EXECUTE)
    assert [invocation.payload for invocation in function.invocations] == [earlier.event, later.event]
    assert queue.counts() == (0, 0)


def test_a_wait_for_others_says_so_and_stops_within_two_seconds(tool, queue, function):
    one_in_flight(queue, 600)
    started = time.monotonic()
    running = tool.start(*EXECUTE)
    first = running.stderr.readline()
    assert "1 message is in flight: waiting 60 seconds at most" in first
    assert time.monotonic() - started < 2
    interrupted = time.monotonic()
    running.send_signal(signal.SIGINT)
    assert running.wait(timeout=10) == 130
    assert time.monotonic() - interrupted < 2
    assert (function.invocations, queue.counts()) == ([], (1, 1))
    # The lock is free: the next run begins.
    assert "another run holds" not in tool("replay", "--all", code=3).err


@pytest.mark.parametrize("by_id", [True, False])
def test_keep_going_and_an_id_say_what_is_held_and_run(tool, queue, function, by_id):
    _, later = one_in_flight(queue, 600)
    words = (later.id, "--execute") if by_id else ("--all", "--keep-going", "--execute")
    result = tool("replay", *words, code=3)
    assert [invocation.payload for invocation in function.invocations] == [later.event]
    assert "1 message is in flight" in result.err and "waiting" not in result.err


def test_a_fifo_queue_holds_back_the_shard_by_itself(tool, fifo, function):
    one_in_flight(fifo, 600)
    other, = fifo.send(dlq.kinesis(shard=1))
    result = tool(*EXECUTE, "--queue", fifo.url, code=3)
    assert [line["id"] for line in result.messages] == [other.id]
    assert [invocation.payload for invocation in function.invocations] == [other.event]
    assert "waiting" not in result.err


@pytest.mark.parametrize("change", [{"version": 2}, {"status": "Odd"}])
def test_nothing_overtakes_a_message_that_breaks_the_contract(tool, queue, function, change):
    first, broken, last = dlq.kinesis(), dlq.kinesis(at=10), dlq.kinesis(at=20)
    broken.hydration.update(change)
    queue.send(first, broken, last)
    result = tool(*EXECUTE, code=3)
    assert [invocation.payload for invocation in function.invocations] == [first.event]
    held = next(line for line in result.messages if line["id"] == last.id)
    message_id, = [line["messageId"] for line in tool("list", code=3).messages if "messageId" in line]
    assert (held["action"], held["behind"]) == ("heldBack", message_id)
    for way_out in (f"dlq show {message_id}", f"dlq discard {message_id}", "--keep-going"):
        assert way_out in held["error"]
    assert f"behind message {message_id}" in tool("replay", "--all", "-o", "text", code=3).out

    tool("discard", message_id, "--execute")
    tool(*EXECUTE)
    assert [invocation.payload for invocation in function.invocations] == [first.event, last.event]


def test_a_message_of_no_shard_holds_back_nothing(tool, queue, function):
    queue.send(dlq.kinesis(), "hello")
    tool(*EXECUTE, code=3)
    assert len(function.invocations) == 1


# What the ledger keeps of messages that have left the queue.

def test_show_says_what_became_of_a_message(tool, queue, function):
    replayed, discarded = queue.send(dlq.kinesis(), dlq.kinesis(shard=1))
    tool("replay", replayed.id, "--execute")
    tool("discard", discarded.id, "--execute", USER="ben")
    past = tool("show", replayed.id[:12], "-o", "text", code=1)
    assert replayed.id in past.out and "succeeded on arn:aws:lambda" in past.out and "any more" in past.err
    line, = tool("show", discarded.id, code=1).lines
    assert (line["id"], line["onQueue"], line["discarded"]["records"]) == (discarded.id, False, 2)
    assert line["discarded"]["by"].startswith("ben on ") and re.match("2[0-9]{3}-", line["discarded"]["at"])
    never = tool("show", "ab" * 32, code=1)
    assert (never.out, "any more" in never.err) == ("", False)


def test_a_ledger_in_a_folder_is_not_called_shared(tool, queue, tmp_path):
    queue.send(dlq.kinesis())
    for where, is_shared in (((), False), (("--ledger", tmp_path / "typed"), False),
                             (("--ledger", f"s3://{queue.bucket}/ledger"), True)):
        for command in ("replay", "discard"):
            header = tool(command, "--all", *where).lines[0]["header"]
            assert header["ledgerIsShared"] is is_shared, (where, header)
            assert ("s3://" in header["ledger"]) is is_shared


# The search for a record.

@pytest.mark.long_wait
def test_a_search_ends_when_its_message_cannot_be_kept_from_others(tool, queue, function, refused_extensions):
    batch, = queue.send(dlq.kinesis([b"%d" % n for n in range(8)]))
    proxy, until_refused = refused_extensions

    def answer(invocation):
        until_refused()
        time.sleep(1)
        raise dlq.Fails()
    function.answer = answer
    result = tool("isolate", batch.id, "--execute", code=3, **proxy)
    assert "could not be kept from others, so nothing more is invoked" in result.err
    assert len(function.invocations) == 1
