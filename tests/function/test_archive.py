"""ARCHIVE=true: every message is an object first, and docs/ARCHIVE.md's questions to the objects have true answers."""

import base64
import gzip
import json
import random
from datetime import datetime, timedelta, timezone

import pytest

from sandbox import as_lambda
from sandbox.orders import items
from sandbox.seed import stock_item
from tests.kit import archive
from tests.kit import fakes as fake_aws
from tests.kit.contract import assert_hydrated, hydration_id, object_key, records_digest
from tests.kit.fakes import DENIED, UNAVAILABLE, KinesisShard, TableShard

LEDGER = "12345678901234567890123456789012345678"
KINDS = [
    ("customer-17", ('{"Id":1,"id":"two","total":%s,"price":1.10}' % LEDGER).encode()),
    ("customer-17", "plain text, Zoë".encode()),
    ("customer-18", b"\xff\xfe\x00\x01"),
    ("customer-18", gzip.compress(b'{"customer":"customer-99"}')),
    ("customer-19", b"null"),
]


def objects(hydrator):
    return {key: content.decode() for key, content in hydrator.mailbox.contents().items()}


def without_view(text):
    body = json.loads(text)
    body["hydration"].pop("decodedView")
    return {key: value for key, value in body.items() if key not in ("KinesisBatch", "DDBStreamBatch")}


def calls(fakes):
    return [call.operation for call in fakes.calls()]


def test_it_costs_one_call_more_and_changes_no_message(deploy, fakes):
    shard = fakes.add(KinesisShard("orders", items(20)))
    record = shard.failure(shard.all_records)
    reads = ["GetShardIterator", "GetRecords"]
    plain = deploy(fakes=fakes)
    plain.hydrated(record, shard.delivered(shard.all_records))
    assert calls(fakes) == [*reads, "SendMessage"] and objects(plain) == {}
    archiving = deploy(fakes=fakes, ARCHIVE="true")
    message = archiving.hydrated(record, shard.delivered(shard.all_records))
    assert calls(fakes) == [*reads, "SendMessage", *reads, "PutObject", "SendMessage"]
    assert message.overflow is None
    assert objects(archiving) == {object_key(record, records_digest(message.text), "Complete"): message.text}
    # The same failure again finds its object there.
    before = objects(archiving)
    archiving.hydrate(record)
    assert objects(archiving) == before


def test_the_object_of_a_message_too_large_is_the_overflow(deploy, fakes):
    shard = fakes.add(KinesisShard("large", [(f"k{n}", b"\xff" * 30_000) for n in range(50)]))
    hydrator = deploy(fakes=fakes, ARCHIVE="true")
    record = shard.failure(shard.all_records)
    message = hydrator.hydrated(record, shard.delivered(shard.all_records))
    assert message.overflow == f"s3://{hydrator.mailbox.bucket}/{list(objects(hydrator))[0]}"
    assert calls(fakes) == ["GetShardIterator", "GetRecords", "PutObject", "SendMessage"]


def test_the_object_has_the_view_that_the_message_goes_without(deploy, fakes):
    shard = fakes.add(KinesisShard("wordy", [(f"k{n}", b"word " * 4_000) for n in range(30)]))
    hydrator = deploy(fakes=fakes, ARCHIVE="true")
    message = hydrator.hydrated(
        shard.failure(shard.all_records), shard.delivered(shard.all_records), view="omitted")
    text, = objects(hydrator).values()
    assert message.overflow is None and len(json.loads(text)["KinesisBatch"]) == 30
    assert without_view(text) == without_view(message.text)


def test_it_is_one_line_of_json(deploy, fakes, aws):
    shard = fakes.add(KinesisShard("orders", items(3)))
    hydrator = deploy(fakes=fakes, ARCHIVE="true")
    record = shard.failure(shard.all_records, note="two\r\nlines")
    pretty = json.dumps(record, indent=2).replace("\n", "\r\n")
    for event in (pretty, '{\n  "build": "failed"\n}'):
        assert hydrator.invoke(as_lambda.sns_event(event)).error is None
    sent = {message.text.replace("\r", " ").replace("\n", " ") for message in hydrator.mailbox.receive()}
    assert sent == set(objects(hydrator).values())
    assert not any("\n" in text or "\r" in text for text in sent)
    s3 = aws.client("s3")
    types = {s3.head_object(Bucket=hydrator.mailbox.bucket, Key=key)["ContentType"] for key in objects(hydrator)}
    assert types == {"application/json"}
    assert sorted(key.split("/")[1] for key in objects(hydrator)) == ["order-projector", "unrecognized"]


@pytest.mark.parametrize("fault, error_type", [(DENIED, "AccessDenied"), (UNAVAILABLE, "ServiceUnavailable")])
def test_what_cannot_be_archived_is_not_sent(deploy, fakes, fault, error_type):
    hydrator = deploy(fakes=fakes, ARCHIVE="true")
    shard = fakes.add(KinesisShard("orders", items(3)))
    fakes.fail("PutObject", fault, times=99)
    hydrator.failing(shard.failure(shard.all_records), error_type, timeout=20)
    fakes.fail_no_more()
    hydrator.hydrated(shard.failure(shard.all_records), shard.delivered(shard.all_records))


class Filled:
    """An archive with a message of each kind."""

    def __init__(self, fakes, hydrator):
        self.fakes, self.hydrator = fakes, hydrator
        self.kinds = fakes.add(KinesisShard("kinds", KINDS))
        self.complete = self.hydrate(self.kinds.failure(self.kinds.all_records, function="orders"))
        self.superset = self.kinds.failure(self.kinds.all_records, function="orders")
        self.superset["KinesisBatchInfo"]["batchSize"] = 2
        self.hydrate(self.superset)

        changes = [({"eventName": "INSERT"}, {"Keys": {"id": {"S": "MUG"}}, "NewImage": stock_item("MUG", "9.90", 4)}),
                   ({"eventName": "REMOVE"}, {"Keys": {"id": {"S": "MUG"}}, "OldImage": stock_item("MUG", "9.90", 4)})]
        self.table = fakes.add(TableShard("stock", changes))
        self.dynamodb = self.hydrate(self.table.failure(self.table.all_records, function="stock"))

        age = timedelta(hours=24) + 8 * fake_aws.BETWEEN_ARRIVALS
        trimmed = fakes.add(KinesisShard("trimmed", items(20), age=age, when_trimmed="later"))
        # What one try saved is not lost when a later one finds less.
        self.saved = self.hydrate(trimmed.failure(trimmed.all_records[:10], function="orders"))
        trimmed.trimmed = 8
        self.hydrate(self.saved)
        self.lost = self.hydrate(trimmed.failure(trimmed.all_records[5:15], function="orders"))
        self.hydrate("no failed batch")

    def add_parts(self):
        """A range that needs two messages."""
        data = b"\xff" + random.Random(3).randbytes(470_000)
        wide = self.fakes.add(KinesisShard("wide", [(f"wide-{n}", data) for n in range(10)]))
        self.parts = wide.failure(wide.all_records, function="payments")
        self.parts["KinesisBatchInfo"]["batchSize"] = 2
        self.hydrate(self.parts)

    def hydrate(self, record):
        answer = self.hydrator.invoke(as_lambda.sns_event(record), timeout=60)
        assert answer.error is None, answer.error
        return record

    def place(self, key):
        return f"s3://{self.hydrator.mailbox.bucket}/{key}"


@pytest.fixture
def filled(deploy, fakes):
    return Filled(fakes, deploy(fakes=fakes, ARCHIVE="true"))


@pytest.mark.long_wait
def test_the_questions_of_the_manual_have_true_answers(aws, filled):
    filled.add_parts()
    today = datetime.now(timezone.utc)
    days = {"first_day": f"{today - timedelta(days=2):%Y/%m/%d}", "last_day": f"{today + timedelta(days=1):%Y/%m/%d}"}
    answers = archive.ask(
        aws, filled.hydrator.mailbox.bucket, **days, partition_key="customer-17",
        request_id=filled.superset["requestContext"]["requestId"], person="customer-99")
    messages = filled.hydrator.mailbox.receive()
    check_batches(filled, answers["view batches"], messages)
    check_records(answers["view records"], messages)
    check_values(filled, answers["view records"])

    weeks = {(row["function_name"], row["batches"], int(row["expected_records"]))
             for row in answers["failed-by-function-and-week"]}
    assert weeks == {("orders", 4, 5 + 2 + 10 + 10), ("stock", 1, 2), ("payments", 1, 2)}

    assert [row["partition_key"] for row in answers["records-of-a-partition-key"]] == ["customer-17"] * 4
    assert {row["data_text"] for row in answers["records-of-a-partition-key"]} == {
        KINDS[0][1].decode(), KINDS[1][1].decode()}

    about = answers["everything-about-a-request-id"]
    assert [row["record"] for row in about] == [1, 2, 3, 4, 5]
    assert {(row["status"], row["expected_records"]) for row in about} == {("Superset", 2)}

    assert [(row["batch_id"], row["lost_records"]) for row in answers["lost-records"]] == [
        (hydration_id(filled.lost), 3)]

    # Compressed in the record, and plain in the view: both objects of that stream.
    found = {row["object"] for row in answers["objects-with-a-person"]}
    ids = {hydration_id(filled.complete), hydration_id(filled.superset)}
    assert found == {row["object"] for row in answers["view batches"] if row["batch_id"] in ids}


def check_batches(filled, rows, messages):
    keys = {filled.place(key) for key in objects(filled.hydrator)}
    assert {row["object"] for row in rows} == keys and len(rows) == len(keys) == len(messages)
    by_id = {(row["id"], row["status"]): row for row in rows}
    for message in messages:
        hydration, row = message.hydration, by_id[message.hydration["id"], message.hydration["status"]]
        assert row["expected_records"] == hydration.get("expectedRecords")
        assert row["recovered_records"] == hydration["recoveredRecords"]
        assert row["missing_records"] == hydration.get("missingRecords")
        part = hydration.get("part", {"number": None, "last": True})
        assert (row["part"], row["is_last_part"]) == (part["number"], part["last"])
        context = message.body.get("requestContext", {})
        assert (row["request_id"], row["function_arn"]) == (context.get("requestId"), context.get("functionArn"))
        if "requestContext" in message.body:
            assert row["function_arn"].endswith(":" + row["function_name"])
            assert row["day"] == message.body["timestamp"][:10].replace("-", "/")
            assert row["shard_id"] and row["stream_arn"] and row["failed_at"] == message.body["timestamp"]
        else:
            assert (row["function_name"], row["day"]) == ("unrecognized", "1970/01/01")
    parts = [row for row in rows if row["batch_id"] == hydration_id(filled.parts)]
    assert sorted(row["part"] for row in parts) == [1, 2] and {row["status"] for row in parts} == {"Superset"}


def check_records(rows, messages):
    """A row for each record of each message, with the values that the message has."""
    seen = sorted((row["object"], row["record"], row["event_id"]) for row in rows)
    assert len(set(seen)) == len(seen) == sum(len(message.records) for message in messages)
    by_event = {}
    for row in rows:
        by_event.setdefault((row["status"], row["request_id"], row["event_id"]), row)
    for message in messages:
        for place, event in enumerate(message.records, start=1):
            key = message.hydration["status"], message.body["requestContext"]["requestId"], event["eventID"]
            row, kinesis, dynamodb = by_event[key], event.get("kinesis", {}), event.get("dynamodb", {})
            assert row["record"] == place and row["stream_arn"] == event["eventSourceARN"]
            assert row["sequence_number"] == kinesis.get("sequenceNumber", dynamodb.get("SequenceNumber"))
            assert (row["partition_key"], row["data"]) == (kinesis.get("partitionKey"), kinesis.get("data"))
            arrived = kinesis.get("approximateArrivalTimestamp", dynamodb.get("ApproximateCreationDateTime"))
            assert row["arrived_at"] == arrived
            for column, name in (("item_keys", "Keys"), ("new_image", "NewImage"), ("old_image", "OldImage")):
                assert json.loads(row[column] or "null") == dynamodb.get(name)


def check_values(filled, rows):
    mine = [row for row in rows if row["request_id"] == filled.complete["requestContext"]["requestId"]]
    assert [row["data_text"] for row in mine] == [KINDS[0][1].decode(), KINDS[1][1].decode(), None, None, "null"]
    assert [base64.b64decode(row["data"]) for row in mine] == [data for _, data in KINDS]
    # 38 digits, and names that differ in case alone.
    assert f'"total":{LEDGER}' in mine[0]["decoded"]
    assert json.loads(mine[0]["decoded"]) == {"Id": 1, "id": "two", "total": int(LEDGER), "price": 1.1}
    assert [json.loads(row["decoded"]) for row in mine[1:]] == [
        "plain text, Zoë", {"binary": 4}, {"customer": "customer-99"}, None]
    changes = [row for row in rows if row["request_id"] == filled.dynamodb["requestContext"]["requestId"]]
    assert [row["event_name"] for row in changes] == ["INSERT", "REMOVE"]
    assert f'"ledger":{{"N":"{LEDGER}"}}' in changes[0]["new_image"] and '{"N":"9.90"}' in changes[0]["new_image"]
    assert f'"ledger":{LEDGER}' in changes[0]["decoded"]


def test_erasure_leaves_nothing_of_a_person(aws, filled):
    """The steps of the manual: the queue's messages, then the objects that the query names."""
    bucket = filled.hydrator.mailbox.bucket
    unasked = {"first_day": "", "last_day": "", "partition_key": "", "request_id": ""}
    before = archive.ask(aws, bucket, **unasked, person="customer-17")
    found = [row["object"] for row in before["objects-with-a-person"]]
    assert len(found) == 2
    for place in found:
        aws.client("s3").delete_object(Bucket=bucket, Key=place.removeprefix(f"s3://{bucket}/"))
    after = archive.ask(aws, bucket, **unasked, person="customer-17")
    assert after["objects-with-a-person"] == []
    assert not any("customer-17" in text for text in objects(filled.hydrator).values())
    assert len(after["view batches"]) == len(before["view batches"]) - 2
