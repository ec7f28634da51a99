"""Starts and ends that are gone, in each of the ways that AWS shows it."""

from datetime import timedelta

import pytest

from sandbox import as_lambda
from sandbox.orders import items
from tests.kit import fakes as fake_aws
from tests.kit.fakes import KinesisShard, TableShard

DAY = timedelta(hours=24)
OLD = timedelta(hours=25)


def shard_with(fakes, when_trimmed, trimmed, count=20):
    """A shard that lost its records older than a day: `trimmed` of them."""
    age = DAY + trimmed * fake_aws.BETWEEN_ARRIVALS
    shard = fakes.add(KinesisShard("old", items(count), age=age, when_trimmed=when_trimmed))
    shard.trimmed = trimmed
    return shard


WAYS = pytest.mark.parametrize("when_trimmed", ["silent", "later", "invalid"])


@WAYS
def test_a_trimmed_start_is_partial(faked, fakes, when_trimmed):
    shard = shard_with(fakes, when_trimmed, trimmed=8)
    batch = shard.all_records[5:15]
    message = faked.hydrated(
        shard.failure(batch), shard.delivered(shard.all_records[8:15]), "Partial", missing=3)
    assert message.hydration["reason"]


@WAYS
def test_a_range_trimmed_whole_is_expired(faked, fakes, when_trimmed):
    shard = shard_with(fakes, when_trimmed, trimmed=15)
    batch = shard.all_records[5:15]
    faked.hydrated(shard.failure(batch), [], "Expired", missing=10)


@WAYS
def test_a_shard_trimmed_to_nothing_is_expired(faked, fakes, when_trimmed):
    shard = shard_with(fakes, when_trimmed, trimmed=20)
    faked.hydrated(shard.failure(shard.all_records[5:15]), [], "Expired", missing=10)


@WAYS
def test_nothing_outside_the_range_is_delivered(faked, fakes, when_trimmed):
    shard = shard_with(fakes, when_trimmed, trimmed=14)
    batch = shard.all_records[5:15]
    faked.hydrated(shard.failure(batch), shard.delivered(shard.all_records[14:15]), "Partial", missing=9)


@pytest.mark.parametrize("age, status", [(2, "Gone"), (25, "Expired")])
@pytest.mark.parametrize("newer", [0, 5])
def test_a_stream_that_does_not_know_the_numbers(faked, fakes, age, status, newer):
    before = KinesisShard("anew", items(9), age=timedelta(hours=age))
    fakes.add(KinesisShard("anew", [("k", b"new")] * newer, first_number=before.first_number * 2))
    faked.hydrated(before.failure(before.all_records), [], status, missing=9)


def test_a_range_far_behind_the_horizon_is_expired(faked, fakes):
    shard = fakes.add(KinesisShard("old", items(20), age=timedelta(days=3)))
    shard.trimmed = 20
    faked.hydrated(shard.failure(shard.all_records[5:15]), [], "Expired", missing=10)


def test_a_closed_shard_whose_end_is_missing(faked, fakes):
    shard = shard_with(fakes, "later", trimmed=0)
    batch = shard.all_records[5:]
    record = shard.failure(batch)
    del shard.all_records[12:]
    shard.closed = True
    faked.hydrated(record, shard.delivered(shard.all_records[5:]), "Partial", missing=8)


def test_empty_pages_end_nothing(faked, fakes):
    shard = fakes.add(KinesisShard("gaps", items(9)))
    shard.empty_pages, shard.page_records = 2, 5
    faked.hydrated(shard.failure(shard.all_records), shard.delivered(shard.all_records))


def test_the_walk_is_the_shortest_there_is(faked, fakes):
    shard = fakes.add(KinesisShard("exact", items(50)))
    batch = shard.all_records[10:30]
    faked.hydrated(shard.failure(batch), shard.delivered(batch))
    start, = fakes.calls("GetShardIterator")
    assert start.body == {
        "StreamARN": shard.arn, "ShardId": shard.shard_id,
        "ShardIteratorType": "AT_SEQUENCE_NUMBER",
        "StartingSequenceNumber": batch[0]["SequenceNumber"]}
    read, = fakes.calls("GetRecords")
    assert (read.body["Limit"], read.body["StreamARN"]) == (20, shard.arn)
    assert len(fakes.calls("SendMessage")) == 1
    assert len(fakes.calls()) == 3


def test_the_limit_is_what_is_still_missing(faked, fakes):
    shard = fakes.add(KinesisShard("paged", items(40)))
    shard.page_records = 8
    batch = shard.all_records[10:30]
    faked.hydrated(shard.failure(batch), shard.delivered(batch))
    reads = fakes.calls("GetRecords")
    assert [call.body["Limit"] for call in reads] == [20, 12, 4]
    assert len(fakes.calls("GetShardIterator")) == 1
    # The shard's other readers are left three of its five reads a second.
    assert all(later.at - read.at > 0.39 for read, later in zip(reads, reads[1:]))


def test_ten_thousand_records_at_once(faked, fakes):
    shard = fakes.add(KinesisShard("long", [("k", b"%d" % n) for n in range(10_001)]))
    record = shard.failure(shard.all_records)
    faked.hydrated(record, shard.delivered(shard.all_records))
    assert [call.body["Limit"] for call in fakes.calls("GetRecords")] == [10_000, 1]


def test_a_consumer_s_arn_is_cut_for_the_call(faked, fakes):
    shard = fakes.add(KinesisShard("fanned", items(3)))
    arn = shard.arn + "/consumer/projector:1789779975"
    faked.hydrated(shard.failure(shard.all_records, arn=arn),
                   shard.delivered(shard.all_records, arn=arn))
    assert {call.body["StreamARN"] for call in fakes.calls() if call.operation != "SendMessage"} == {
        shard.arn}


@pytest.mark.parametrize("region, partition", [
    ("eu-north-1", "aws"), ("cn-northwest-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")])
def test_the_region_is_the_stream_s_and_the_queue_s_its_own(faked, fakes, region, partition):
    shard = fakes.add(KinesisShard("far", items(3), region=region, partition=partition))
    faked.hydrated(shard.failure(shard.all_records), shard.delivered(shard.all_records))
    assert {call.operation: call.region for call in fakes.calls()} == {
        "GetShardIterator": region, "GetRecords": region, "SendMessage": "us-east-1"}


@WAYS
@pytest.mark.parametrize("batch_size", [None, 10])
def test_records_trimmed_between_two_pages_are_not_called_complete(faked, fakes, when_trimmed, batch_size):
    """Without batchSize, or with a smaller one, only the next page can show it."""
    shard = fakes.add(KinesisShard("old", items(12), age=OLD, when_trimmed=when_trimmed))
    shard.page_records, shard.trimmed_after_a_page = 4, 6
    record = shard.failure(shard.all_records)
    del record["KinesisBatchInfo"]["batchSize"]
    if batch_size:
        record["KinesisBatchInfo"]["batchSize"] = batch_size
    left = shard.all_records[:4] + shard.all_records[6:]
    faked.hydrated(record, shard.delivered(left), "Partial")


def test_old_records_that_are_still_there_are_read_to_the_end(faked, fakes):
    shard = fakes.add(KinesisShard("old", items(9), age=OLD))
    shard.page_records = 4
    faked.hydrated(shard.failure(shard.all_records), shard.delivered(shard.all_records))
    assert [call.body["ShardIteratorType"] for call in fakes.calls("GetShardIterator")] == ["AT_SEQUENCE_NUMBER"] * 3


# DynamoDB.

def changes(fakes, count=20, trimmed=0, age=OLD):
    shard = fakes.add(TableShard("old", [({}, {})] * count, age=age))
    shard.trimmed = trimmed
    return shard


def test_a_trimmed_table_is_partial(faked, fakes):
    shard = changes(fakes, trimmed=8)
    faked.hydrated(shard.failure(shard.all_records[5:15]),
                   shard.delivered(shard.all_records[8:15]), "Partial", missing=3)
    assert [call.body["ShardIteratorType"] for call in fakes.calls("GetShardIterator")] == [
        "AT_SEQUENCE_NUMBER", "TRIM_HORIZON"]


def test_changes_trimmed_between_two_pages_are_not_called_complete(faked, fakes):
    shard = changes(fakes, count=12)
    shard.page_records, shard.trimmed_after_a_page = 4, 6
    record = shard.failure(shard.all_records)
    del record["DDBStreamBatchInfo"]["batchSize"]
    faked.hydrated(record, shard.delivered(shard.all_records[:4] + shard.all_records[6:]), "Partial")


def test_a_table_trimmed_past_the_range_is_expired(faked, fakes):
    shard = changes(fakes, trimmed=15)
    faked.hydrated(shard.failure(shard.all_records[5:15]), [], "Expired", missing=10)


def test_a_closed_table_shard_trimmed_to_nothing_is_expired(faked, fakes):
    shard = changes(fakes, trimmed=20)
    shard.closed = True
    faked.hydrated(shard.failure(shard.all_records[5:15]), [], "Expired", missing=10)


def test_an_open_table_shard_trimmed_to_nothing_is_expired(faked, fakes):
    shard = changes(fakes, trimmed=20)
    faked.hydrated(shard.failure(shard.all_records[5:15]), [], "Expired", missing=10)


def test_young_changes_that_do_not_come_are_an_error(faked, fakes):
    shard = changes(fakes, age=timedelta(minutes=3))
    record = shard.failure(shard.all_records[5:15])
    del shard.all_records[5:]
    shard.trimmed = 5
    answer = faked.failing(record, "RangeNotReached", timeout=60)
    assert len(fakes.calls("GetRecords")) == 20
    assert "too young" in answer.error["errorMessage"]


def test_an_exact_batch_of_changes_is_read_to_its_end_only(faked, fakes):
    shard = changes(fakes, age=timedelta(minutes=3))
    batch = shard.all_records[5:15]
    faked.hydrated(shard.failure(batch), shard.delivered(batch))
    read, = fakes.calls("GetRecords")
    assert read.body["Limit"] == 10 and "StreamArn" not in read.body
    assert len(fakes.calls()) == 3


def test_a_late_repeat_does_not_take_back_what_was_saved(deploy, fakes):
    """Delivered twice, and in between a part of the range was trimmed."""
    shard = fakes.add(KinesisShard("old", [(f"key-{n}", b"x" * 90_000) for n in range(20)],
                                   age=DAY + 10 * fake_aws.BETWEEN_ARRIVALS, when_trimmed="later"))
    hydrator = deploy(fakes=fakes)
    record = shard.failure(shard.all_records)
    whole = shard.delivered(shard.all_records)
    hydrator.invoke(as_lambda.sns_event(record))
    shard.trimmed = 3
    answer = hydrator.invoke(as_lambda.sns_event(record))
    assert answer.payload["batches"][0]["status"] == "Partial"
    messages = hydrator.mailbox.receive()
    assert len(messages) == 2 and all(message.overflow for message in messages)
    assert sorted(len(message.body["Records"]) for message in messages) == [17, 20]
    assert whole in [message.body["Records"] for message in messages]


def test_batches_of_one_shard_in_one_event_are_paced(faked, fakes):
    shard = fakes.add(KinesisShard("busy", items(9)))
    records = [shard.failure(shard.all_records[start:start + 3]) for start in (0, 3, 6)]
    answer = faked.invoke(as_lambda.sqs_event(*records))
    assert answer.payload == {"batchItemFailures": []}
    times = [call.at for call in fakes.calls("GetRecords")]
    assert len(times) == 3
    assert all(later - earlier >= 0.45 for earlier, later in zip(times, times[1:]))


# An end that was not reached (issue 7).

@pytest.mark.parametrize("kind", ["kinesis", "dynamodb"])
def test_an_end_that_is_not_shown_yet_is_no_verdict(faked, fakes, kind):
    """Ten of twenty young records, then empty pages at the tip; the next try is shown all."""
    age = timedelta(minutes=10)
    shard = fakes.add(
        KinesisShard("late", items(20), age=age) if kind == "kinesis" else TableShard("late", [({}, {})] * 20, age=age))
    record = shard.failure(shard.all_records)
    hidden = shard.all_records[10:]
    del shard.all_records[10:]
    answer = faked.failing(record, "RangeNotReached", timeout=60)
    assert "not every record was reached" in answer.error["errorMessage"]
    shard.all_records += hidden
    faked.hydrated(record, shard.delivered(shard.all_records))


def test_an_end_that_is_not_shown_after_a_day_is_partial(faked, fakes):
    shard = fakes.add(KinesisShard("old", items(20), age=OLD))
    record = shard.failure(shard.all_records)
    del shard.all_records[10:]
    faked.hydrated(record, shard.delivered(shard.all_records), "Partial", missing=10)


def test_batches_of_one_shard_do_not_run_out_of_an_equal_share(faked, fakes):
    """Twenty batches, half a second apart: an equal share of the time would be shorter than the pause."""
    shard = fakes.add(KinesisShard("busy", items(40)))
    records = [shard.failure(shard.all_records[start:start + 2]) for start in range(0, 40, 2)]
    answer = faked.invoke(as_lambda.sqs_event(*records), timeout=12)
    assert answer.payload == {"batchItemFailures": []}
    assert len(faked.mailbox.receive()) == 20


def test_another_shard_is_read_while_one_is_left_alone(faked, fakes):
    busy = fakes.add(KinesisShard("busy", items(9)))
    other = fakes.add(KinesisShard("other", items(3)))
    records = [busy.failure(busy.all_records[start:start + 3]) for start in (0, 3)]
    answer = faked.invoke(as_lambda.sqs_event(*records, other.failure(other.all_records)))
    assert answer.payload == {"batchItemFailures": []}
    assert [call.body["StreamARN"] for call in fakes.calls("GetRecords")] == [busy.arn, other.arn, busy.arn]
