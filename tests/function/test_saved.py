"""Records that were saved once stay where they are, whatever a later try of the same failure finds (issue 7)."""

import json
import random
from datetime import timedelta

import pytest

from sandbox import as_lambda
from sandbox.mailbox import Mailbox
from tests.kit import fakes as fake_aws
from tests.kit.contract import hydration_id, object_key, records_digest
from tests.kit.fakes import NOT_FOUND, KinesisShard

DAY = timedelta(hours=24)


def noise(count, size):
    chance = random.Random(7)
    return [(f"k{n}", b"\xff" + chance.randbytes(size - 1)) for n in range(count)]


def wide_shard(fakes):
    """A shard whose 400 records need three parts, and the failure of a batch of 100 in it."""
    age = DAY + 300 * fake_aws.BETWEEN_ARRIVALS
    shard = fakes.add(KinesisShard("wide", noise(400, 25_000), age=age, when_trimmed="later"))
    record = shard.failure(shard.all_records)
    record["KinesisBatchInfo"]["batchSize"] = 100
    return shard, record


def small_shard(fakes, count=20):
    age = DAY + 10 * fake_aws.BETWEEN_ARRIVALS
    shard = fakes.add(KinesisShard("small", noise(count, 300), age=age, when_trimmed="later"))
    return shard, shard.failure(shard.all_records)


def hydrate(hydrator, record):
    answer = hydrator.invoke(as_lambda.sns_event(record), timeout=60)
    assert answer.error is None, answer.error
    return [batch["status"] for batch in answer.payload["batches"]]


def in_order(shard, messages):
    """Every record in the messages once, in the shard's order."""
    records = {event["eventID"]: event for message in messages for event in message.records}
    return [records[event["eventID"]] for event in shard.delivered(shard.all_records) if event["eventID"] in records]


def assert_ids_name_their_records(record, messages):
    for message in messages:
        assert message.hydration["id"] == f"{hydration_id(record)}-{records_digest(message.text)}"


@pytest.mark.long_wait
@pytest.mark.parametrize("trimmed", [1, 130, 399])
def test_parts_that_were_saved_outlast_a_try_after_trimming(deploy, fakes, trimmed):
    hydrator = deploy(fakes=fakes)
    shard, record = wide_shard(fakes)
    assert hydrate(hydrator, record) == ["Superset"] * 3
    saved = hydrator.mailbox.contents()
    shard.trimmed = trimmed
    assert hydrate(hydrator, record)[-1] == "Partial"
    now = hydrator.mailbox.contents()
    assert {key: now[key] for key in saved} == saved
    # Only now are the messages received, and their pointers followed.
    messages = hydrator.mailbox.receive()
    assert in_order(shard, messages) == shard.delivered(shard.all_records)
    if trimmed < 399:  # one record is no part
        assert_ids_name_their_records(record, messages)


@pytest.mark.long_wait
def test_tries_that_run_out_of_time_replace_nothing(deploy, fakes):
    """Three tries, each cut short, with records trimmed in between."""
    hydrator = deploy(fakes=fakes)
    shard, record = wide_shard(fakes)
    shard.page_records = 90
    saved = {}
    for trimmed in (0, 60, 120):
        shard.trimmed = trimmed
        answer = hydrator.invoke(as_lambda.sns_event(record), timeout=6.5)
        assert answer.error["errorType"] == "DeadlineReached", answer
        now = hydrator.mailbox.contents()
        assert {key: now[key] for key in saved} == saved
        assert len(now) > len(saved)
        saved = now
    read = {event["eventID"] for text in saved.values() for event in json.loads(text)["Records"]}
    messages = hydrator.mailbox.receive()
    assert {event["eventID"] for message in messages for event in message.records} == read
    assert_ids_name_their_records(record, messages)


@pytest.mark.parametrize("status", ["Partial", "Expired", "Gone"])
def test_a_late_verdict_does_not_touch_the_whole_batch(deploy, fakes, status):
    hydrator = deploy(fakes=fakes, MAX_MESSAGE_BYTES="1024")
    shard, record = small_shard(fakes)
    assert hydrate(hydrator, record) == ["Complete"]
    (key, text), = hydrator.mailbox.contents().items()
    if status == "Gone":
        fakes.fail("GetShardIterator", NOT_FOUND, times=99)
    else:
        shard.trimmed = 5 if status == "Partial" else 20
    assert hydrate(hydrator, record) == [status]
    now = hydrator.mailbox.contents()
    assert now[key] == text and len(now) == 2
    first, second = hydrator.mailbox.receive()
    assert first.records == shard.delivered(shard.all_records)
    assert first.overflow != second.overflow
    assert second.overflow.endswith(object_key(record, records_digest(second.text), status))


def test_on_a_fifo_queue_the_message_and_its_object_agree(aws, deploy, fakes):
    hydrator = deploy(fakes=fakes, mailbox=Mailbox(aws, fifo=True), MAX_MESSAGE_BYTES="1024")
    shard, record = small_shard(fakes)
    assert hydrate(hydrator, record) == ["Complete"]
    shard.trimmed = 20
    assert hydrate(hydrator, record) == ["Expired"]
    # SQS kept the first of two messages with one id.
    message, = hydrator.mailbox.receive()
    assert message.attributes["hydrationStatus"] == message.hydration["status"] == "Complete"
    assert message.attributes["recordCount"] == str(len(message.records)) == "20"


@pytest.mark.long_wait
def test_on_a_fifo_queue_no_part_is_taken_for_another(aws, deploy, fakes):
    hydrator = deploy(fakes=fakes, mailbox=Mailbox(aws, fifo=True))
    shard, record = wide_shard(fakes)
    hydrate(hydrator, record)
    shard.trimmed = 130
    hydrate(hydrator, record)
    messages = hydrator.mailbox.receive()
    assert in_order(shard, messages) == shard.delivered(shard.all_records)
    assert_ids_name_their_records(record, messages)
    for message in messages:
        assert message.deduplication == message.hydration["id"]
        assert message.attributes["recordCount"] == str(len(message.records))
