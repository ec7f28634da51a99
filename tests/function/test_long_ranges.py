"""A range longer than an invocation goes on where it stopped, through the retry queue (issue 7)."""

import random
import threading
import time

import pytest

from sandbox import as_lambda, kpl
from sandbox.mailbox import Mailbox
from sandbox.runtime_api import FunctionExited
from tests.kit.contract import assert_hydrated
from tests.kit.fakes import DENIED, MIB, NOT_FOUND, KinesisShard
from tests.kit.retry_queue import CONTINUATION, RetryQueue


@pytest.fixture
def retry_queue(aws):
    return RetryQueue(aws)


def long_range(fakes, mebibytes, record_bytes=MIB // 4, page_bytes=2 * MIB):
    """A shard with so much in the range of one batch; a page takes a second for each MiB, and the batch is a page."""
    # The same bytes in all records: what tells them apart are their numbers.
    data = b"\xff" + random.Random(1).randbytes(record_bytes - 1)
    shard = KinesisShard("long", [(f"k{n}", data) for n in range(mebibytes * MIB // record_bytes)])
    shard.page_records = page_bytes // record_bytes
    fakes.add(shard)
    record = shard.failure(shard.all_records)
    record["KinesisBatchInfo"]["batchSize"] = shard.page_records
    return shard, record


def assert_whole_range(shard, record, messages):
    """Every record once and in order, in parts that are numbered on from leg to leg, with the verdict in the last."""
    delivered = shard.delivered(shard.all_records)
    for number, message in enumerate(messages, 1):
        last = number == len(messages)
        assert_hydrated(message, record, delivered[:len(message.records)], "Superset",
                        part={"number": number, "last": last})
        del delivered[:len(message.records)]
    assert delivered == []
    assert f"holds {len(shard.all_records)} records" in messages[-1].hydration["reason"]


@pytest.mark.long_wait
def test_a_range_of_40_megabytes_comes_back_through_the_retry_queue(deploy, fakes, retry_queue):
    hydrator = deploy(fakes=fakes, timeout=14, **retry_queue.environment())
    shard, record = long_range(fakes, mebibytes=40)
    first = hydrator.invoke(as_lambda.sns_event(record))
    assert first.error is None, first.error
    legs = [first, *retry_queue.drive(hydrator)]
    messages = hydrator.mailbox.receive()
    assert len(legs) > 3
    # 40 MiB are 54 MiB as events: ten parts of less than 6 MB. No leg repeats one, or ends with a short one.
    assert len(messages) == 10
    assert_whole_range(shard, record, messages)
    assert len({message.hydration["id"] for message in messages}) == len(messages)
    lines = [line["message"] for leg in legs for line in leg.logs]
    assert lines == ["batch continued"] * (len(legs) - 1) + ["batch hydrated"]
    assert {line["error_type"] for leg in legs[:-1] for line in leg.logs} == {"DeadlineReached"}
    assert legs[-1].logs[0]["recovered_records"] == len(shard.all_records)


@pytest.mark.long_wait
def test_a_crash_in_the_middle_of_a_leg_repeats_and_skips_nothing(deploy, fakes, retry_queue):
    hydrator = deploy(fakes=fakes, timeout=11, **retry_queue.environment())
    shard, record = long_range(fakes, mebibytes=20)
    assert hydrator.invoke(as_lambda.sns_event(record)).error is None
    body, = retry_queue.receive()
    crash_after_a_part(hydrator, fakes, body)
    # The message was not deleted: SQS delivers it again.
    again = deploy(fakes=fakes, mailbox=hydrator.mailbox, timeout=30, **retry_queue.environment())
    assert again.invoke(as_lambda.sqs_event(body)).payload == {"batchItemFailures": []}
    retry_queue.drive(again)
    messages = hydrator.mailbox.receive()
    ids = [message.hydration["id"] for message in messages]
    repeated = {message_id for message_id in ids if ids.count(message_id) > 1}
    assert repeated
    assert_whole_range(shard, record, list({message.hydration["id"]: message for message in messages}.values()))


def crash_after_a_part(hydrator, fakes, body):
    """Kills the function in the pause after its leg has sent a part."""
    sent = len(fakes.calls("SendMessage"))
    ended = []

    def invoke():
        try:
            ended.append(hydrator.invoke(as_lambda.sqs_event(body), timeout=60))
        except FunctionExited as exited:
            ended.append(exited)

    leg = threading.Thread(target=invoke)
    leg.start()
    ends = time.monotonic() + 30
    while len(fakes.calls("SendMessage")) == sent and time.monotonic() < ends:
        time.sleep(0.05)
    hydrator.function.process.kill()
    leg.join()
    assert isinstance(ended[0], FunctionExited), ended
    assert len(fakes.calls("SendMessage")) > sent


@pytest.mark.long_wait
def test_equal_user_records_of_an_aggregate_are_all_there(aws, deploy, fakes, retry_queue):
    """Parts of the same text would have the same id, and a FIFO queue would keep one of them."""
    hydrator = deploy(fakes=fakes, mailbox=Mailbox(aws, fifo=True), timeout=60, **retry_queue.environment())
    shard = fakes.add(KinesisShard("beats", [("k", kpl.aggregate([("key", b"beat")] * 40_000))]))
    record = shard.failure(shard.all_records, arn=shard.arn + "/consumer/app:1700000000")
    answer = hydrator.invoke(as_lambda.sns_event(record))
    assert answer.error is None, answer.error
    messages = hydrator.mailbox.receive()
    assert sum(len(message.records) for message in messages) == 40_000
    parts = [message.hydration["part"] for message in messages]
    assert parts == [{"number": number, "last": number == len(parts)} for number in range(1, len(parts) + 1)]


def test_a_fault_after_a_part_sends_the_rest_to_the_retry_queue(deploy, fakes, retry_queue):
    hydrator = deploy(fakes=fakes, **retry_queue.environment())
    shard, record = long_range(fakes, mebibytes=9, page_bytes=5 * MIB)
    fakes.fail("GetRecords", DENIED, after=1)
    answer = hydrator.invoke(as_lambda.sns_event(record))
    assert [batch["status"] for batch in answer.payload["batches"]] == ["Superset"]
    (rest, delay), = retry_queue.sent(fakes)
    assert delay == 60
    continuation = rest.pop(CONTINUATION)
    assert rest == record
    line, = answer.logs
    assert (line["level"], line["message"], line["error_type"]) == ("WARN", "batch continued", "AccessDenied")
    message, = hydrator.mailbox.receive()
    assert continuation == {
        "version": 1, "after": message.hydration["lastSequenceNumber"], "parts": 1,
        "recoveredRecords": len(message.records), "fromStart": True}
    # The second leg, in the form in which the retry queue delivers it.
    answer = hydrator.invoke(as_lambda.sqs_event({**rest, CONTINUATION: continuation}))
    assert answer.payload == {"batchItemFailures": []}
    assert_whole_range(shard, record, [message, *hydrator.mailbox.receive()])


def cut_short(deploy, fakes, retry_queue):
    """A range of which one part was delivered: the function, the shard, the failure, the rest, the part's message."""
    hydrator = deploy(fakes=fakes, **retry_queue.environment())
    shard, record = long_range(fakes, mebibytes=9, page_bytes=5 * MIB)
    shard.when_trimmed = "later"
    fakes.fail("GetRecords", DENIED, after=1)
    hydrator.invoke(as_lambda.sns_event(record))
    (rest, _), = retry_queue.sent(fakes)
    first, = hydrator.mailbox.receive()
    return hydrator, shard, record, rest, first


def test_what_was_trimmed_between_two_legs_is_noticed(deploy, fakes, retry_queue):
    hydrator, shard, _, rest, first = cut_short(deploy, fakes, retry_queue)
    shard.trimmed = len(first.records) + 3
    hydrator.invoke(as_lambda.sqs_event(rest))
    *_, last = hydrator.mailbox.receive()
    assert last.hydration["status"] == "Partial" and last.hydration["part"]["last"]
    assert "trimmed" in last.hydration["reason"]


@pytest.mark.parametrize("what", ["trimmed", "deleted"])
def test_a_last_leg_that_finds_nothing_delivers_the_verdict(deploy, fakes, retry_queue, what):
    """On the range as a whole: records of it were saved, so it is not Expired or Gone."""
    hydrator, shard, record, rest, first = cut_short(deploy, fakes, retry_queue)
    if what == "trimmed":
        shard.trimmed, shard.closed = len(shard.all_records), True
    else:
        fakes.fail("GetShardIterator", NOT_FOUND, times=99)
    assert hydrator.invoke(as_lambda.sqs_event(rest)).payload == {"batchItemFailures": []}
    last, = hydrator.mailbox.receive()
    missing = record["KinesisBatchInfo"]["batchSize"] - len(first.records)
    assert_hydrated(last, record, [], "Partial", part={"number": 2, "last": True}, missing=missing)
    assert f"Recovered {len(first.records)} records" in last.hydration["reason"]


@pytest.mark.parametrize("variables", [{}, {"RETRY_QUEUE_URL": ""}], ids=["unset", "empty"])
def test_without_a_retry_queue_every_try_starts_over(deploy, fakes, variables):
    hydrator = deploy(fakes=fakes, **variables)
    shard, record = long_range(fakes, mebibytes=9, page_bytes=5 * MIB)
    fakes.fail("GetRecords", DENIED, after=1)
    answer = hydrator.invoke(as_lambda.sns_event(record))
    assert answer.error["errorType"] == "AccessDenied"
    first, = hydrator.mailbox.receive()
    hydrator.invoke(as_lambda.sns_event(record))
    messages = hydrator.mailbox.receive()
    assert messages[0].hydration["id"] == first.hydration["id"]
    assert_whole_range(shard, record, messages)


def test_a_rest_that_cannot_be_sent_fails_the_invocation(deploy, fakes):
    """Success is answered only when the rest is on the retry queue."""
    hydrator = deploy(fakes=fakes, RETRY_QUEUE_URL=f"{fakes.url}/123456789012/no-such-queue")
    _, record = long_range(fakes, mebibytes=9, page_bytes=5 * MIB)
    fakes.fail("GetRecords", DENIED, after=1)
    answer = hydrator.invoke(as_lambda.sns_event(record))
    assert answer.error["errorType"] == "RequestRefused", answer
