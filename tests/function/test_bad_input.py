"""Bad input of every kind gets the documented answer, and never a panic."""

import pytest

from sandbox import as_lambda
from sandbox.orders import items
from tests.kit.contract import hydration_id

DIRECT = [
    b"null", b"true", b"42", b"1e999", b'"text"', b"[]", b"[[[[]]]]", b"{}",
    b'{"Records":null}', b'{"Records":[]}', b'{"Records":{}}', b'{"Records":[null]}',
    b'{"Records":[{"eventSource":"aws:kinesis"}]}', b'{"Records":[{"eventSource":"aws:s3"}]}',
    b'{"KinesisBatchInfo":null}', b'{"KinesisBatchInfo":[]}', b'{"DDBStreamBatchInfo":"x"}',
    b'{"KinesisBatchInfo":{},"DDBStreamBatchInfo":{}}',
    b'{"requestContext":{"condition":"RetriesExhausted"},"requestPayload":{"a":1}}',
    b"[" * 5_000 + b"]" * 5_000,
    b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    b'{"KinesisBatchInfo":' * 200 + b"1" + b"}" * 200,
]


@pytest.mark.parametrize("event", DIRECT, ids=lambda event: event[:40].decode())
def test_a_direct_event_that_is_not_recognised_is_the_caller_s_error(hydrator, event):
    answer = hydrator.invoke(event)
    assert answer.error["errorType"] == "NotRecognized", answer.error
    assert hydrator.mailbox.receive() == []


@pytest.mark.parametrize("event", [b"", b"{", b"not json", b"\xff\xfe", b'{"a":"\xff"}', b'{"a":NaN}'])
def test_an_event_that_is_not_json_is_an_error(hydrator, event):
    """Lambda itself lets none through; the runtime answers for the function."""
    answer = hydrator.invoke(event)
    assert answer.error["errorType"] and answer.error["errorMessage"]
    assert hydrator.invoke(b"{}").error["errorType"] == "NotRecognized"  # it goes on living


@pytest.mark.parametrize("event", [
    {"Records": [{"eventSource": "aws:sqs"}]},
    {"Records": [{"eventSource": "aws:sqs", "messageId": None, "body": "{}"}]},
    {"Records": [{"eventSource": "aws:sqs", "messageId": 7, "body": "{}"}]},
])
def test_an_sqs_message_without_an_id_cannot_be_answered_for(hydrator, event):
    assert hydrator.invoke(event).error["errorType"] == "NotRecognized"


def test_odd_sqs_bodies_are_handed_on(hydrator):
    event = as_lambda.sqs_event("", "x", "{}", "[1]")
    del event["Records"][0]["body"]
    answer = hydrator.invoke(event)
    assert answer.payload == {"batchItemFailures": []}
    assert {message.hydration["status"] for message in hydrator.mailbox.receive()} == {"Unrecognized"}


def test_a_message_of_256_kilobytes(hydrator):
    text = "x" * 256 * 1024
    hydrator.invoke(as_lambda.sns_event(text))
    message, = hydrator.mailbox.receive()
    assert message.body["unrecognized"] == text


def test_a_message_of_6_megabytes_overflows(hydrator):
    text = "é" * 3_000_000
    answer = hydrator.invoke(text.encode().join([b'{"x":"', b'"}']))
    assert answer.error["errorType"] == "NotRecognized"
    hydrator.invoke(as_lambda.sqs_event(text[:2_000_000]))
    message, = hydrator.mailbox.receive()
    assert message.body["unrecognized"] == text[:2_000_000] and message.overflow


INFO = "KinesisBatchInfo"


@pytest.mark.parametrize("changes", [
    {"streamArn": None}, {"streamArn": ""}, {"streamArn": 7}, {"streamArn": "arn:aws:kinesis"},
    {"streamArn": "arn:aws:dynamodb:us-east-1:123456789012:table/T/stream/2026"},
    {"streamArn": "arn:aws:s3:::bucket"}, {"streamArn": "stream/orders"},
    {"streamArn": "arn:aws:kinesis:us-east-1:123456789012:stream/"},
    {"streamArn": "arn:aws:kinesis:127.0.0.1/:123456789012:stream/x"},
    {"streamArn": "arn:aws:kinesis:evil.example#:123456789012:stream/x"},
    {"shardId": None}, {"shardId": ""}, {"shardId": ["x"]}, {"shardId": "s" * 5000},
    {"shardId": "shard/../../x"},
    {"startSequenceNumber": 12}, {"startSequenceNumber": ""}, {"startSequenceNumber": "-1"},
    {"startSequenceNumber": "12x"}, {"startSequenceNumber": "9" * 5000},
    {"startSequenceNumber": "0x10"}, {"startSequenceNumber": "१२"}, {"startSequenceNumber": "0" * 130},
    {"endSequenceNumber": "1"}, {"endSequenceNumber": "9" * 130}, {"endSequenceNumber": {}},
], ids=repr)
def test_a_record_that_makes_no_sense_is_handed_on(hydrator, fakes, deploy, changes):
    record = as_lambda.failure(INFO, {
        "shardId": "shardId-000000000000", "startSequenceNumber": "4" * 56,
        "endSequenceNumber": "5" * 56, "batchSize": 10,
        "streamArn": "arn:aws:kinesis:us-east-1:123456789012:stream/none", **changes})
    hydrator = deploy(fakes=fakes)
    answer = hydrator.invoke(as_lambda.sns_event(record))
    message, = hydrator.mailbox.receive()
    assert message.hydration["status"] == "Unrecognized", message.hydration
    assert message.body["unrecognized"] == record
    assert answer.payload["batches"][0]["status"] == "Unrecognized"
    assert not fakes.calls("GetShardIterator")
    assert hydrator.invoke(record).error["errorType"] == "NotRecognized"


@pytest.mark.parametrize("change", [
    {"timestamp": "yesterday"}, {"timestamp": 7}, {"version": 1.0}, {"version": None},
    {"requestContext": None}, {"requestContext": []},
    {"requestContext": {"requestId": 7, "functionArn": {}, "condition": None}},
    {"requestContext": {"requestId": "", "functionArn": "", "condition": "\u0000\n\ufffe🦀" * 400}},
    {"responseContext": "x"}, {"context": 3},
], ids=lambda change: repr(change)[:50])
def test_what_is_not_needed_to_find_the_records_may_be_nonsense(hydrator, stream, change):
    shop, records = stream(items(3))
    record = {**shop.failure(records), **change}
    answer = hydrator.invoke(as_lambda.sns_event(record))
    assert answer.error is None, answer.error
    message, = hydrator.mailbox.receive()
    assert message.hydration["status"] == "Complete"
    assert message.records == shop.delivered(records)
    assert {key: message.body[key] for key in record} == record


@pytest.mark.parametrize("arrival", ["", "soon", "2026-13-41T99:99:99Z", 12, None, "9999-12-31T23:59:59Z"])
def test_arrival_times_may_be_nonsense(hydrator, stream, arrival):
    shop, records = stream(items(3))
    record = shop.failure(records)
    record[INFO]["approximateArrivalOfFirstRecord"] = arrival
    record[INFO]["approximateArrivalOfLastRecord"] = arrival
    _, (message,) = hydrator.hydrate(record)
    assert message.records == shop.delivered(records)


def test_long_and_odd_names_stay_inside_the_attributes_limits(hydrator, stream):
    shop, records = stream(items(2))
    record = shop.failure(records)
    record["requestContext"].update(
        functionArn="arn:aws:lambda:us-east-1:123456789012:function:" + "f" * 3000,
        condition="c\u0000" * 3000)
    _, (message,) = hydrator.hydrate(record)
    assert message.hydration["id"] == hydration_id(record)
    assert message.body["requestContext"] == record["requestContext"]
