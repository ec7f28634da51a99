"""Size of a message: whole, without its view, in the bucket, in parts; and FIFO queues."""

import hashlib
import json
import random

import pytest

from sandbox import as_lambda
from sandbox.mailbox import Mailbox
from sandbox.orders import items
from tests.kit.contract import assert_hydrated, event_bytes, hydration_id, object_key, records_digest
from tests.kit.fakes import DENIED, MIB, UNAVAILABLE, Fault, KinesisShard


def noise(count, size):
    """Records of bytes that have no view to speak of."""
    chance = random.Random(1)
    return [(f"k{n}", b"\xff" + chance.randbytes(size - 1)) for n in range(count)]


def text(count, size):
    """Records whose view is as long as they are."""
    return [(f"k{n}", (f"record {n} " + "word " * size)[:size].encode()) for n in range(count)]


def test_a_message_that_fits_has_its_view(hydrator, stream):
    shop, records = stream(text(20, 20_000))
    message = hydrator.hydrated(shop.failure(records), shop.delivered(records))
    assert message.overflow is None and message.size > 900_000


def test_the_view_is_left_out_before_the_message_is(hydrator, stream):
    shop, records = stream(text(30, 20_000))
    message = hydrator.hydrated(shop.failure(records), shop.delivered(records), view="omitted")
    assert message.overflow is None and message.size < 1_048_576
    assert hydrator.mailbox.objects() == []


def test_overflow_goes_to_the_bucket_with_its_view(hydrator, stream):
    shop, records = stream(text(60, 20_000))
    record = shop.failure(records, timestamp="2026-03-09T23:59:59.999Z", function="order-projector:live")
    answer, (message,) = hydrator.hydrate(record)
    assert_hydrated(message, record, shop.delivered(records))
    digest = records_digest(message.text)
    key = f"hydrated/order-projector/2026/03/09/{hydration_id(record)}-{digest}-Complete.json"
    assert key == object_key(record, digest, "Complete")
    assert answer.payload["batches"][0]["overflow"] == message.overflow
    assert message.overflow == f"s3://{hydrator.mailbox.bucket}/{key}"
    # The same failure again finds its object there, and does not replace it.
    before = hydrator.mailbox.contents()
    hydrator.hydrate(record)
    assert hydrator.mailbox.contents() == before and list(before) == [key]


def test_the_stock_extended_client_reads_it(hydrator, stream):
    shop, records = stream(text(60, 20_000))
    hydrator.invoke(as_lambda.sns_event(shop.failure(records)))
    body, = hydrator.mailbox.receive_with_stock_client()
    assert json.loads(body)["Records"] == shop.delivered(records)


def test_the_object_is_written_before_the_message(deploy, fakes, stream):
    hydrator = deploy(fakes=fakes)
    shop, records = stream(noise(50, 30_000))
    hydrator.hydrate(shop.failure(records))
    assert [call.operation for call in fakes.calls()] == [
        "GetShardIterator", "GetRecords", "PutObject", "SendMessage"]


def test_the_limit_counts_to_the_byte(deploy, stream):
    shop, records = stream(items(40))
    record = shop.failure(records)
    whole = deploy().hydrated(record, shop.delivered(records)).size
    fits = deploy(MAX_MESSAGE_BYTES=str(whole))
    assert fits.hydrated(record, shop.delivered(records)).size <= whole
    # hydratedAt may be a digit longer or shorter from one time to the next.
    less = deploy(MAX_MESSAGE_BYTES=str(whole - 10))
    message = less.hydrated(record, shop.delivered(records), view="omitted")
    assert message.size <= whole - 10
    least = deploy(MAX_MESSAGE_BYTES="1024")
    assert least.hydrated(record, shop.delivered(records)).overflow


def test_without_a_bucket_what_does_not_fit_is_an_error(aws, deploy, stream):
    hydrator = deploy(mailbox=Mailbox(aws, bucket=False))
    shop, records = stream(noise(50, 30_000))
    answer = hydrator.failing(shop.failure(records), "MessageTooLarge")
    assert "OVERFLOW_BUCKET" in answer.error["errorMessage"]


def test_a_queue_with_a_lower_limit_of_its_own(aws, deploy, stream):
    shop, records = stream(text(20, 12_000))
    hydrator = deploy(mailbox=Mailbox(aws, maximum_bytes=262_144))
    message = hydrator.hydrated(shop.failure(records), shop.delivered(records))
    assert message.overflow
    small = stream(items(5))
    assert not hydrator.hydrated(small[0].failure(small[1]), small[0].delivered(small[1])).overflow
    bare = deploy(mailbox=Mailbox(aws, maximum_bytes=262_144, bucket=False))
    bare.failing(shop.failure(records), "MessageTooLarge")


@pytest.mark.parametrize("fault, error_type", [
    (DENIED, "AccessDenied"), (UNAVAILABLE, "ServiceUnavailable"),
    (Fault("NoSuchBucket", 404), "RequestRefused")])
def test_a_bucket_that_refuses_fails_the_invocation(deploy, fakes, stream, fault, error_type):
    hydrator = deploy(fakes=fakes)
    shop, records = stream(noise(50, 30_000))
    fakes.fail("PutObject", fault, times=99)
    hydrator.failing(shop.failure(records), error_type, timeout=20)


def test_the_view_can_be_switched_off(deploy, stream):
    shop, records = stream(items(5))
    hydrator = deploy(DECODED_VIEW="false")
    hydrator.hydrated(shop.failure(records), shop.delivered(records), view="off")


# FIFO queues.

def test_a_fifo_queue(aws, deploy, stream):
    hydrator = deploy(mailbox=Mailbox(aws, fifo=True))
    shop, records = stream(items(3))
    record = shop.failure(records)
    # The same failure twice within five minutes is one message.
    for _ in range(2):
        answer = hydrator.invoke(as_lambda.sns_event(record))
        assert answer.payload["batches"][0]["id"] == hydration_id(record)
    message, = hydrator.mailbox.receive()
    assert_hydrated(message, record, shop.delivered(records))
    assert message.group == f"{shop.name}/{shop.shard_id}"
    assert message.deduplication == hydration_id(record)


def test_a_fifo_group_too_long_is_hashed(aws, deploy, fakes):
    hydrator = deploy(fakes=fakes, mailbox=Mailbox(aws, fifo=True))
    shard = fakes.add(KinesisShard("s" * 128, items(2)))
    message = hydrator.hydrated(
        shard.failure(shard.all_records), shard.delivered(shard.all_records))
    group = f"{'s' * 128}/{shard.shard_id}"
    assert message.group == hashlib.sha256(group.encode()).hexdigest()


def test_an_unrecognized_message_on_a_fifo_queue(aws, deploy):
    hydrator = deploy(mailbox=Mailbox(aws, fifo=True))
    hydrator.invoke(as_lambda.sns_event("hello"))
    message, = hydrator.mailbox.receive()
    assert message.hydration["status"] == "Unrecognized" and message.group


# Parts.

def in_parts(hydrator, shard, batch_size):
    record = shard.failure(shard.all_records)
    record["KinesisBatchInfo"]["batchSize"] = batch_size
    answer, messages = hydrator.hydrate(record, timeout=60)
    delivered = shard.delivered(shard.all_records)
    last = len(messages)
    for number, message in enumerate(messages, 1):
        count = len(message.records)
        assert_hydrated(
            message, record, delivered[:count], "Superset",
            part={"number": number, "last": number == last})
        delivered = delivered[count:]
        assert event_bytes(message) < 6_000_000 or count == 1
    assert delivered == []
    return record, messages


@pytest.mark.long_wait
def test_a_superset_is_cut_so_that_each_part_can_be_invoked(faked, fakes):
    shard = fakes.add(KinesisShard("wide", noise(400, 25_000)))
    record, messages = in_parts(faked, shard, batch_size=100)
    assert len(messages) == 3
    # A repeat cuts alike: same ids, same records.
    _, again = faked.hydrate(record, timeout=60)
    assert [(m.hydration["id"], m.hydration["lastSequenceNumber"]) for m in again] == [
        (m.hydration["id"], m.hydration["lastSequenceNumber"]) for m in messages]
    assert len(faked.mailbox.objects()) == 3


def test_a_record_too_large_for_any_part_is_a_part_by_itself(faked, fakes):
    shard = fakes.add(KinesisShard("odd", [*noise(2, 1000), *noise(1, 5 * MIB), *noise(2, 1000)]))
    _, messages = in_parts(faked, shard, batch_size=2)
    assert [len(message.records) for message in messages] == [2, 1, 2]


def test_a_complete_batch_is_one_message_however_large(faked, fakes):
    shard = fakes.add(KinesisShard("full", noise(180, 25_000)))
    message = faked.hydrated(shard.failure(shard.all_records), shard.delivered(shard.all_records))
    assert event_bytes(message) > 6_000_000 and "part" not in message.hydration


def test_a_superset_that_needs_one_message_has_no_part(faked, fakes):
    shard = fakes.add(KinesisShard("narrow", noise(10, 100)))
    record = shard.failure(shard.all_records)
    record["KinesisBatchInfo"]["batchSize"] = 3
    faked.hydrated(record, shard.delivered(shard.all_records), "Superset")


def test_a_walk_that_fails_after_a_part_sends_the_same_part_again(faked, fakes):
    shard = fakes.add(KinesisShard("torn", noise(210, 25_000)))
    shard.page_records = 195
    record = shard.failure(shard.all_records)
    record["KinesisBatchInfo"]["batchSize"] = 194
    fakes.fail("GetRecords", DENIED, after=1)
    answer = faked.invoke(as_lambda.sns_event(record), timeout=60)
    assert answer.error["errorType"] == "AccessDenied"
    first, = faked.mailbox.receive()
    assert first.hydration["part"] == {"number": 1, "last": False}
    _, messages = faked.hydrate(record, timeout=60)
    assert messages[0].hydration["id"] == first.hydration["id"]
    assert messages[0].records == first.records
    assert messages[-1].hydration["part"]["last"] is True
