"""Events that the function accepts: recognised by their shape, never by configuration."""

import copy
import json
from datetime import timedelta

import pytest

from sandbox import as_lambda
from sandbox.orders import items
from tests.kit.contract import assert_hydrated
from tests.kit.fakes import KinesisShard


@pytest.fixture
def batches(stream, table):
    """Three failed batches of two services: (record, what Lambda delivered)."""
    shop, records = stream(items(9))
    stock = table()
    for number in range(3):
        stock.put({"id": {"S": f"K{number}"}})
    changes = stock.records()
    return [
        (shop.failure(records[:4]), shop.delivered(records[:4])),
        (stock.failure(changes), stock.delivered(changes)),
        (shop.failure(records[4:]), shop.delivered(records[4:])),
    ]


def arrived(hydrator, batches):
    messages = hydrator.mailbox.receive()
    assert len(messages) == len(batches)
    for message, (record, delivered) in zip(messages, batches):
        assert_hydrated(message, record, delivered)
    return messages


def batches_answer(messages):
    return {"batches": [{
        "id": message.hydration["id"], "status": message.hydration["status"],
        "recoveredRecords": message.hydration["recoveredRecords"], "messageId": message.message_id,
    } for message in messages]}


# SNS and direct.

def test_an_sns_event_with_several_records(hydrator, batches):
    answer = hydrator.invoke(as_lambda.sns_event(*(record for record, _ in batches)))
    assert answer.payload == batches_answer(arrived(hydrator, batches))


def test_an_sns_event_with_only_what_matters(hydrator, batches):
    text = as_lambda.text(batches[0][0])
    hydrator.invoke({"Records": [{"Sns": {"Message": text}}]})
    arrived(hydrator, batches[:1])


def test_a_bare_record(hydrator, batches):
    for batch in batches:
        answer = hydrator.invoke(batch[0])
        assert answer.payload == batches_answer(arrived(hydrator, [batch]))


def test_a_failed_batch_does_not_stop_the_others(hydrator, batches):
    broken = as_lambda.text({**batches[0][0], "hydration": {"version": 1, "id": "x"}})
    answer = hydrator.invoke(as_lambda.sns_event(batches[0][0], broken, batches[2][0]))
    assert answer.error["errorType"] == "AlreadyHydrated"
    arrived(hydrator, [batches[0], batches[2]])


# SQS.

@pytest.mark.parametrize("envelope", [
    lambda record: record,
    as_lambda.sns_notification,
    lambda record: as_lambda.async_failure(as_lambda.sns_event(record)),
    lambda record: as_lambda.async_failure(record),
    lambda record: json.dumps(record, indent=2),
], ids=["raw", "sns-notification", "async-failure", "async-failure-of-a-bare-record", "indented"])
def test_an_sqs_event(hydrator, batches, envelope):
    event = as_lambda.sqs_event(*(envelope(record) for record, _ in batches))
    assert hydrator.invoke(event).payload == {"batchItemFailures": []}
    messages = hydrator.mailbox.receive()
    assert [message.records for message in messages] == [delivered for _, delivered in batches]
    assert [message.body["hydration"]["status"] for message in messages] == ["Complete"] * 3


def test_an_async_failure_around_several_records(hydrator, batches):
    document = as_lambda.async_failure(as_lambda.sns_event(*(record for record, _ in batches)))
    assert hydrator.invoke(as_lambda.sqs_event(document)).payload == {"batchItemFailures": []}
    arrived(hydrator, batches)


def test_an_sqs_event_names_just_the_failed_messages(hydrator, batches):
    hydrated = {**batches[0][0], "hydration": {"version": 1, "id": "x"}}
    event = as_lambda.sqs_event(batches[0][0], hydrated, batches[2][0])
    assert hydrator.invoke(event).payload == {
        "batchItemFailures": [{"itemIdentifier": event["Records"][1]["messageId"]}]}
    arrived(hydrator, [batches[0], batches[2]])


@pytest.mark.parametrize("odd", [
    {"messageAttributes": {"a": {"stringValue": "x", "stringListValues": None, "dataType": "String"}}},
    {"messageAttributes": {"a": {"binaryValue": "not base64!", "dataType": "Binary"}}},
    {"messageAttributes": {"a": 7}}, {"messageAttributes": None}, {"attributes": {"SentTimestamp": 7}},
    {"attributes": None}, {"md5OfBody": None},
], ids=repr)
def test_one_odd_sqs_message_does_not_stop_its_neighbours(hydrator, batches, odd):
    event = as_lambda.sqs_event(*(record for record, _ in batches))
    event["Records"][1].update(odd)
    assert hydrator.invoke(event).payload == {"batchItemFailures": []}
    arrived(hydrator, batches)


def test_an_sqs_message_with_a_part_that_failed_is_failed(hydrator, batches):
    hydrated = {**batches[0][0], "hydration": {"version": 1, "id": "x"}}
    event = as_lambda.sqs_event(
        as_lambda.async_failure(as_lambda.sns_event(batches[0][0], hydrated)))
    assert hydrator.invoke(event).payload == {
        "batchItemFailures": [{"itemIdentifier": event["Records"][0]["messageId"]}]}
    arrived(hydrator, batches[:1])


# The invocation record itself.

def pipe(record):
    """As an EventBridge pipe writes it."""
    kept = {key: value for key, value in record.items()
            if key not in ("requestContext", "responseContext")}
    return {"context": {
        "partnerResourceArn": "arn:aws:pipes:us-east-1:123456789012:pipe/orders-to-ledger",
        "condition": "RetryAttemptsExhausted"}, **kept}


def without(key):
    def change(record):
        del record[key]
        return record
    return change


def with_context(**changes):
    def change(record):
        record["requestContext"].update(changes)
        return record
    return change


def with_response(value):
    def change(record):
        record["responseContext"]["functionError"] = value
        return record
    return change


@pytest.mark.parametrize("change", [
    pipe,
    without("responseContext"),
    without("requestContext"),
    without("timestamp"),
    without("version"),
    with_response(None),
    with_context(condition="RecordAgeExceeded"),
    with_context(condition="SomethingNewlyInvented"),
    with_context(functionArn="arn:aws:lambda:us-east-1:123456789012:function:order-projector:live"),
    lambda record: dict(reversed(record.items())),
    lambda record: {**record, "timeWindowInfo": {"window": {"start": "x", "end": "y"}}},
], ids=["pipe", "no-response", "no-context", "no-timestamp", "no-version", "null-error",
        "record-age", "new-condition", "qualified-function", "other-order", "window"])
def test_the_record_may_differ(hydrator, batches, change):
    for record, delivered in batches[:2]:
        record = change(copy.deepcopy(record))
        hydrator.hydrated(record, delivered)


def test_unknown_fields_survive_in_order_and_digit_for_digit(hydrator, stream):
    shop, records = stream(items(2))
    text = as_lambda.text(shop.failure(records))
    odd = ('"zeta":{"b":1.10,"a":1e400,"n":12345678901234567890123456789,"":[null,true,{}]},'
           '"alpha":"\\u00e9\\ud83d\\ude00\\/é😀","requestContext2":-0.0,')
    text = text.replace('"version":', odd + '"version":').replace(
        '"batchSize":', '"invented":3.1400,"batchSize":')
    hydrator.invoke(as_lambda.sns_event(text))
    message, = hydrator.mailbox.receive()
    assert message.text.startswith(text[:-1] + ',"hydration":{')
    assert message.records == shop.delivered(records)


@pytest.mark.parametrize("form", [lambda event: event, as_lambda.text], ids=["object", "string"])
@pytest.mark.parametrize("which", [0, 1], ids=["kinesis", "dynamodb"])
def test_a_payload_is_taken_and_no_stream_is_read(deploy, fakes, batches, form, which):
    hydrator = deploy(fakes=fakes)
    record, delivered = batches[which]
    # What only Lambda knows is in its payload, and stays in it.
    delivered = [{**event, "invokeIdentityArn": "arn:aws:iam::123456789012:role/projector"}
                 for event in delivered]
    record = {**record, "payload": form({"Records": delivered})}
    message = hydrator.hydrated(record, delivered, origin="payload")
    assert "payload" not in message.body
    assert not fakes.calls("GetShardIterator") and not fakes.calls("GetRecords")


@pytest.mark.parametrize("which", [0, 1], ids=["kinesis", "dynamodb"])
def test_a_payload_with_a_part_of_the_batch_means_reading_the_stream(hydrator, batches, which):
    record, delivered = batches[which]
    message = hydrator.hydrated({**record, "payload": {"Records": delivered[:2]}}, delivered)
    assert "payload" not in message.body


def test_the_better_of_payload_and_stream_is_delivered(faked, fakes):
    shard = fakes.add(KinesisShard("short", items(10), age=timedelta(hours=25), when_trimmed="later"))
    record, whole = shard.failure(shard.all_records), shard.delivered(shard.all_records)
    shard.trimmed = 7
    faked.hydrated({**record, "payload": {"Records": whole[:6]}}, whole[:6], "Partial", origin="payload", missing=4)
    faked.hydrated({**record, "payload": {"Records": whole[:2]}}, whole[7:], "Partial", missing=7)


@pytest.mark.parametrize("payload", ["", "not json", "[]", {}, {"Records": "?"}, None, 7])
def test_a_payload_that_is_no_event_means_reading_the_stream(hydrator, batches, payload):
    record, delivered = batches[0]
    hydrator.hydrated({**record, "payload": payload}, delivered)


@pytest.mark.parametrize("which", [0, 1], ids=["kinesis", "dynamodb"])
def test_a_final_tumbling_window_names_no_range(hydrator, batches, which):
    record = copy.deepcopy(batches[which][0])
    key = list(record)[-1]
    record[key] = {name: record[key][name] for name in ("shardId", "streamArn")}
    record["timeWindowInfo"] = {
        "window": {"start": "2026-11-01T00:00:00Z", "end": "2026-11-01T00:02:00Z"},
        "isFinalInvokeForWindow": True, "isWindowTerminatedEarly": False}
    _, (message,) = hydrator.hydrate(record)
    view = message.hydration["decodedView"]
    assert_hydrated(message, record, [], "NoRange", view=view)


@pytest.mark.parametrize("end, words", [
    ("startSequenceNumber", "names the first record of the range and not the last"),
    ("endSequenceNumber", "names the last record of the range and not the first")])
def test_half_a_range_is_no_range_and_the_reason_says_which(hydrator, batches, end, words):
    record = copy.deepcopy(batches[0][0])
    other, = {"startSequenceNumber", "endSequenceNumber"} - {end}
    del record["KinesisBatchInfo"][other]
    _, (message,) = hydrator.hydrate(record)
    assert message.hydration["status"] == "NoRange" and words in message.hydration["reason"]


# Readable, though odd (issue 7).

DEEP = "[" * 300 + "]" * 300


@pytest.mark.parametrize("change", [
    lambda text: "\ufeff" + text,
    lambda text: text.replace('"version":', '"odd":"\\ud83d","version":'),
    lambda text: text.replace('"version":', f'"odd":{DEEP},"version":'),
    lambda text: text.replace('"version":', '"DDBStreamBatchInfo":null,"version":'),
], ids=["byte-order-mark", "lone-surrogate", "nesting", "null-beside"])
def test_what_is_odd_and_readable_is_hydrated(hydrator, batches, change):
    record, delivered = batches[0]
    text = change(as_lambda.text(record))
    for event in (as_lambda.sns_event(text), as_lambda.sqs_event(text)):
        assert hydrator.invoke(event).error is None
    messages = hydrator.mailbox.receive()
    assert [message.hydration["status"] for message in messages] == ["Complete"] * 2
    assert [message.records for message in messages] == [delivered] * 2


# What is on the topic and is not ours.

@pytest.mark.parametrize("text", [
    "hello, team", "", "{", "[]", "null", "42", '"a string"', "{}", '{"a":1.10,"b":[1e400]}',
    as_lambda.text(as_lambda.async_failure({"detail": "another function's event"})),
    '{"Records":[{"s3":{"bucket":{"name":"x"}}}]}',
    '{"KafkaBatchInfo":{"topic":"t"},"requestContext":{}}',
    '{"AlarmName":"hot","NewStateValue":"ALARM"}',
    '{"KinesisBatchInfo":7}', '{"KinesisBatchInfo":{}}',
    '{"KinesisBatchInfo":{"streamArn":7,"shardId":"s"}}',
    "\u0000\u0001\ufffe control characters \uffff",
], ids=lambda text: text[:20])
def test_anything_else_is_handed_on_as_it_is(hydrator, text):
    answer = hydrator.invoke(as_lambda.sns_event(text))
    message, = hydrator.mailbox.receive()
    assert answer.payload == batches_answer([message])
    assert message.hydration["status"] == "Unrecognized"
    assert list(message.body) == ["hydration", "unrecognized", "Records"]
    try:
        assert message.body["unrecognized"] == json.loads(text)
        assert text.strip() in message.text
    except ValueError:
        assert message.body["unrecognized"] == text
    again = hydrator.invoke(as_lambda.sns_event(text))
    assert again.payload["batches"][0]["id"] == message.hydration["id"]
    assert sha256(text) == message.hydration["id"]
    assert message.attributes == {
        "hydrationId": sha256(text), "hydrationStatus": "Unrecognized", "recordCount": "0"}
    hydrator.mailbox.receive()


def sha256(text):
    import hashlib
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_hydrated_message_is_refused(hydrator, batches):
    record, delivered = batches[0]
    message = hydrator.hydrated(record, delivered)
    pointer = as_lambda.text([
        "software.amazon.payloadoffloading.PayloadS3Pointer", {"s3BucketName": "b", "s3Key": "k"}])
    for text in (message.text, pointer):
        for event in (as_lambda.sns_event(text), text):
            answer = hydrator.invoke(event)
            assert answer.error["errorType"] in ("AlreadyHydrated", "NotRecognized"), answer.error
        event = as_lambda.sqs_event(text)
        assert hydrator.invoke(event).payload == {
            "batchItemFailures": [{"itemIdentifier": event["Records"][0]["messageId"]}]}
    assert hydrator.mailbox.receive() == []


def test_the_same_failure_has_the_same_id(hydrator, batches):
    record, delivered = batches[0]
    ids = {hydrator.hydrated(record, delivered).hydration["id"] for _ in range(2)}
    other = copy.deepcopy(record)
    other["requestContext"]["requestId"] = "another"
    ids.add(hydrator.hydrated(other, delivered).hydration["id"])
    assert len(ids) == 2
