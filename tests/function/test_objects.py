"""Object notifications: the function reads the invocation record that Lambda wrote to S3, and its event."""

import json

import pytest

from sandbox import as_lambda
from sandbox.failed_batch_bucket import FailedBatchBucket, place
from sandbox.mailbox import Mailbox
from sandbox.orders import items
from tests.kit.contract import assert_hydrated
from tests.kit.fakes import DENIED, Fault, KinesisShard
from tests.kit.retry_queue import RetryQueue

SECRET = "sEcReT-0xC0FFEE"


@pytest.fixture
def bucket(aws):
    return FailedBatchBucket(aws)


@pytest.fixture
def batch(stream):
    """A failed batch of a stream: (record without payload, what Lambda delivered)."""
    shop, records = stream(items(5))
    return shop.failure(records[1:4]), shop.delivered(records[1:4])


def arrived(hydrator, batch, where, origin="payload"):
    record, delivered = batch
    message, = hydrator.mailbox.receive()
    assert_hydrated(message, record, delivered, origin=origin, object=place(where))
    return message


# The shapes.

ENVELOPES = {
    "by itself": lambda event: event,
    "sns": as_lambda.sns_event,
    "sqs, raw": as_lambda.sqs_event,
    "sqs, sns": lambda event: as_lambda.sqs_event(as_lambda.sns_notification(event)),
    "retry queue": lambda event: as_lambda.sqs_event(as_lambda.async_failure(event)),
    "retry queue, sns": lambda event: as_lambda.sqs_event(as_lambda.async_failure(as_lambda.sns_event(event))),
}
each_envelope = pytest.mark.parametrize("envelope", ENVELOPES.values(), ids=ENVELOPES)


@each_envelope
@pytest.mark.parametrize("notify", [as_lambda.s3_event, lambda where: as_lambda.eventbridge_event(*where)],
                         ids=["s3", "eventbridge"])
def test_a_notification_is_hydrated_from_the_object_in_every_envelope(hydrator, bucket, batch, envelope, notify):
    where = bucket.put(as_lambda.with_payload(*batch))
    answer = hydrator.invoke(envelope(notify(where)))
    assert answer.error is None, answer.error
    message = arrived(hydrator, batch, where)
    line, = answer.logs
    assert (line["origin"], line["object"], line["read_calls"], line["iterators"]) == ("payload", place(where), 0, 0)
    assert line["shard_id"] == batch[0]["KinesisBatchInfo"]["shardId"]
    if "batches" in answer.payload:
        assert answer.payload["batches"][0]["id"] == message.hydration["id"]
    else:
        assert answer.payload == {"batchItemFailures": []}


def test_changes_of_a_table_are_hydrated_from_the_object(hydrator, bucket, table):
    stock = table()
    for number in range(3):
        stock.put({"id": {"S": f"K{number}"}, "n": {"N": "12345678901234567890123456789012345678"}})
    changes = stock.records()
    batch = stock.failure(changes), stock.delivered(changes)
    stock.delete()
    where = bucket.put(as_lambda.with_payload(*batch))
    hydrator.invoke(as_lambda.s3_event(where))
    arrived(hydrator, batch, where)


@pytest.mark.parametrize("key", [
    "a+b", "a%2Bb", "a b", "a%20b", "ä€😀/ключ", "a=b&c?d#e:f;g@h,i$j", "quote\"back\\slash", "100%", "./a/../b", "a//b",
    "\x1b[2J\u202ek", "?versionId=1", "../../escaped", "/first", "%00%FF", "k" * 1024,
])
def test_a_key_is_read_as_it_is(hydrator, bucket, batch, key):
    where = bucket.put(as_lambda.with_payload(*batch), key=key)
    for event in (as_lambda.s3_event(where), as_lambda.eventbridge_event(*where)):
        answer = hydrator.invoke(event)
        assert answer.error is None, answer.error
        assert arrived(hydrator, batch, where).hydration["object"] == f"s3://{bucket.name}/{key}"


def test_the_version_that_was_written_is_read(hydrator, aws, batch):
    bucket = FailedBatchBucket(aws, versioned=True)
    first = bucket.put(as_lambda.with_payload(*batch), key="k")
    bucket.put("written over it", key="k")
    for event in (as_lambda.s3_event(first), as_lambda.eventbridge_event(*first)):
        hydrator.invoke(event)
        arrived(hydrator, batch, first)
    bucket.delete("k")
    hydrator.invoke(as_lambda.s3_event(first))
    arrived(hydrator, batch, first)


@pytest.mark.parametrize("event", [
    as_lambda.s3_test_event("failed-batches"),
    as_lambda.s3_event(("failed-batches", "k"), event_name="ObjectRemoved:Delete"),
    as_lambda.s3_event(("failed-batches", "k"), event_name="LifecycleExpiration:Delete"),
    as_lambda.eventbridge_event("failed-batches", "k", detail_type="Object Deleted"),
], ids=["test", "removed", "expired", "deleted"])
def test_a_notification_without_a_new_object_is_answered_without_batches(hydrator, event):
    for whole in (event, as_lambda.sns_event(event)):
        assert hydrator.invoke(whole).payload == {"batches": []}
    assert hydrator.invoke(as_lambda.sqs_event(event)).payload == {"batchItemFailures": []}
    assert hydrator.mailbox.receive() == []


@pytest.mark.parametrize("name", [
    "", "..", "-x-", "a/b", "a@b", "b#c", "b?c=d", "b\0c", "arn:aws:s3:us-east-1:123456789012:accesspoint/x"])
def test_a_name_that_no_bucket_has_is_never_asked_for(faked, fakes, name):
    for event in (as_lambda.s3_event((name, "k")), as_lambda.eventbridge_event(name, "k")):
        assert faked.invoke(event).error["errorType"] == "NotRecognized"
    assert fakes.calls() == []


# Several objects.

def test_each_object_of_a_notification_is_tried(hydrator, bucket, batch):
    good, missing = bucket.put(as_lambda.with_payload(*batch)), (bucket.name, "missing")
    answer = hydrator.invoke(as_lambda.s3_event(missing, good))
    assert answer.error["errorType"] == "RequestRefused"
    assert answer.error["errorMessage"].startswith("1 of 2 batches failed, the first because: s3:GetObject: NoSuchKey")
    arrived(hydrator, batch, good)
    answer = hydrator.invoke(as_lambda.s3_event(good, good))
    assert len(answer.payload["batches"]) == len(hydrator.mailbox.receive()) == 2


def test_an_sqs_event_names_the_messages_whose_objects_failed(hydrator, bucket, batch):
    good, missing = bucket.put(as_lambda.with_payload(*batch)), (bucket.name, "missing")
    event = as_lambda.sqs_event(as_lambda.s3_event(missing), as_lambda.s3_event(good))
    assert hydrator.invoke(event).payload == {
        "batchItemFailures": [{"itemIdentifier": event["Records"][0]["messageId"]}]}
    arrived(hydrator, batch, good)


# Payloads that cannot be used.

@pytest.mark.parametrize("change, origin", [
    (lambda delivered: delivered[::-1], "payload"),
    (lambda delivered: delivered + delivered, "payload"),
    # One of three is there twice, and one is missing.
    (lambda delivered: [delivered[0], delivered[0], delivered[2]], "stream"),
], ids=["reversed", "twice", "one for another"])
def test_each_record_of_a_payload_counts_once_and_in_its_place(hydrator, bucket, batch, change, origin):
    record, delivered = batch
    where = bucket.put(as_lambda.with_payload(record, change(delivered)))
    assert hydrator.invoke(as_lambda.s3_event(where)).error is None
    arrived(hydrator, batch, where, origin=origin)


@pytest.mark.parametrize("spoil", [
    lambda record, delivered: record,
    lambda record, delivered: {**record, "payload": "no event"},
    lambda record, delivered: {**record, "payload": None},
    lambda record, delivered: {**record, "payload": as_lambda.text(as_lambda.text({"Records": delivered}))},
    lambda record, delivered: {**record, "payload": as_lambda.text({"Records": []})},
    lambda record, delivered: {**record, "payload": as_lambda.text({"Records": delivered})[:-9]},
    lambda record, delivered: {**record, "payload": as_lambda.text({"Records": [
        {**event, "eventSourceARN": event["eventSourceARN"] + "-other"} for event in delivered]})},
], ids=["none", "no event", "null", "text in text", "empty", "cut off", "another stream"])
def test_a_record_without_a_usable_payload_goes_the_way_of_the_stream(hydrator, bucket, batch, spoil):
    where = bucket.put(spoil(*batch))
    answer = hydrator.invoke(as_lambda.s3_event(where))
    assert answer.logs[0]["read_calls"] > 0
    arrived(hydrator, batch, where, origin="stream")


def test_the_rest_of_a_long_range_keeps_the_object(deploy, fakes, aws, bucket):
    queue = RetryQueue(aws)
    hydrator = deploy(fakes=fakes, **queue.environment())
    shard = fakes.add(KinesisShard("wide", [("k", b"\xff" * 1_000_000)] * 6))
    shard.page_records = 5
    fakes.fail("GetRecords", DENIED, after=1)
    record = shard.failure(shard.all_records)
    record["KinesisBatchInfo"]["batchSize"] = 5
    where = bucket.put(record)
    hydrator.invoke(as_lambda.s3_event(where))
    (rest, _), = queue.sent(fakes)
    assert rest["hydrationContinuation"]["object"] == place(where)
    # It needs the object no more.
    bucket.delete(where[1])
    hydrator.invoke(as_lambda.sqs_event(rest))
    messages = hydrator.mailbox.receive()
    delivered = shard.delivered(shard.all_records)
    for number, message in enumerate(messages, 1):
        part = {"number": number, "last": number == len(messages)}
        count = len(message.records)
        assert_hydrated(message, record, delivered[:count], "Superset", part=part, object=place(where))
        delivered = delivered[count:]
    assert len(messages) > 1 and delivered == []


# Objects that hold something else.

@pytest.mark.parametrize("content", [
    "", "{", SECRET, f'["{SECRET}"]', f'{{"note":"{SECRET}"}}', SECRET.encode() + b"\xff",
    as_lambda.text(as_lambda.sns_event(SECRET)), as_lambda.text(as_lambda.s3_event(("other-bucket", SECRET))),
    as_lambda.text(as_lambda.eventbridge_event("other-bucket", SECRET)),
    f'{{"KinesisBatchInfo":{{"streamArn":"{SECRET}"}}}}',
], ids=["empty", "broken", "text", "array", "object", "bytes", "sns", "notification", "eventbridge", "no stream"])
def test_an_object_that_is_no_invocation_record_is_named_and_not_quoted(deploy, bucket, content):
    talkative = deploy(AWS_LAMBDA_LOG_LEVEL="TRACE")
    where = bucket.put(content, key="aws/lambda/ä b+c")
    answer = talkative.invoke(as_lambda.s3_event(where))
    assert [batch["status"] for batch in answer.payload["batches"]] == ["Unrecognized"]
    message, = talkative.mailbox.receive()
    assert message.body["unrecognized"] == {"object": place(where)}
    assert message.hydration["object"] == place(where)
    assert message.hydration["reason"].startswith(f"The object {place(where)} is not an invocation record")
    written = "\n".join([message.text, *answer.stdout, answer.stderr, answer.raw.decode()])
    assert SECRET not in written


def test_an_object_of_the_overflow_bucket_is_refused(deploy, batch, aws):
    mailbox = Mailbox(aws)
    hydrator = deploy(mailbox=mailbox, MAX_MESSAGE_BYTES="1024")
    hydrator.invoke(batch[0])
    key, = mailbox.objects()
    mailbox.receive()
    answer = hydrator.invoke(as_lambda.s3_event((mailbox.bucket, key)))
    assert answer.error["errorType"] == "AlreadyHydrated"
    assert mailbox.receive() == [] and mailbox.objects() == [key]


@pytest.mark.parametrize("content", [
    lambda: json.dumps([SECRET] * (30_000_000 // (len(SECRET) + 4))),
    lambda: "[" + "1," * 15_000_000 + "1]",
    lambda: "{" + '"a":1,' * 5_000_000 + '"a":1}',
    lambda: '{"hydration":{' + '"a":1,' * 5_000_000 + '"a":1}}',
    lambda: "[" * 30_000_000,
], ids=["texts", "numbers", "keys", "keys deeper down", "nesting"])
def test_a_large_object_that_is_no_record_is_read_in_the_memory_of_the_function(hydrator, bucket, content):
    where = bucket.put(content(), key="large")
    answer = hydrator.invoke(as_lambda.s3_event(where), timeout=60)
    assert [batch["status"] for batch in answer.payload["batches"]] == ["Unrecognized"]
    assert SECRET not in hydrator.mailbox.receive()[0].text
    assert hydrator.function.memory_bytes("VmHWM") < 128 * 1024 * 1024


def test_a_payload_of_millions_of_records_goes_the_way_of_the_stream(hydrator, bucket, batch):
    where = bucket.put({**batch[0], "payload": '{"Records":[' + "1," * 10_000_000 + "1]}"})
    hydrator.invoke(as_lambda.s3_event(where), timeout=60)
    arrived(hydrator, batch, where, origin="stream")
    assert hydrator.function.memory_bytes("VmHWM") < 128 * 1024 * 1024


def test_an_object_over_the_limit_is_an_error_and_is_not_read(hydrator, bucket):
    too_large = bucket.put(bytes(33 * 1024 * 1024), key="too large")
    answer = hydrator.invoke(as_lambda.s3_event(too_large))
    assert answer.error["errorType"] == "ObjectTooLarge"
    assert answer.error["errorMessage"].startswith(f"{place(too_large)} has more than 33554432 bytes")
    assert hydrator.mailbox.receive() == []
    assert hydrator.function.memory_bytes("VmHWM") < 40 * 1024 * 1024


# Faults.

@pytest.mark.parametrize("fault, error_type", [
    (DENIED, "AccessDenied"),
    (Fault("AccessDenied", 403), "AccessDenied"),
    (Fault("KMS.DisabledException"), "KeyUnavailable"),
    (Fault("SlowDown", 503), "Throttled"),
    (Fault("InternalError", 500), "ServiceUnavailable"),
    (Fault("NoSuchBucket", 404), "RequestRefused"),
    (Fault("", 200, truncate=True), "ServiceUnavailable"),
], ids=lambda value: getattr(value, "code", None))
def test_an_object_that_cannot_be_read_is_an_error_and_a_retry_succeeds(faked, fakes, bucket, batch, fault, error_type):
    where = bucket.put(as_lambda.with_payload(*batch))
    fakes.fail("GetObject", fault, times=6)
    answer = faked.invoke(as_lambda.s3_event(where), timeout=20)
    assert answer.error["errorType"] == error_type, answer.error
    line, = (line for line in answer.logs if line["message"] == "batch failed")
    assert (line["error_type"], line["object"]) == (error_type, place(where))
    assert faked.mailbox.receive() == []
    fakes.fail_no_more()
    faked.invoke(as_lambda.s3_event(where))
    arrived(faked, batch, where)


def test_a_fault_that_passes_is_not_noticed(faked, fakes, bucket, batch):
    where = bucket.put(as_lambda.with_payload(*batch))
    fakes.fail("GetObject", Fault("SlowDown", 503), times=2)
    faked.invoke(as_lambda.s3_event(where))
    arrived(faked, batch, where)
    assert [call.status for call in fakes.calls("GetObject")] == [503, 503, 200]


def test_nothing_of_an_object_is_logged(deploy, fakes, bucket):
    talkative = deploy(fakes=fakes, AWS_LAMBDA_LOG_LEVEL="TRACE", RUST_LOG="trace", RUST_BACKTRACE="1")
    shard = fakes.add(KinesisShard("private", [(SECRET, SECRET.encode() * 50)] * 3))
    record, delivered = shard.failure(shard.all_records), shard.delivered(shard.all_records)
    where = bucket.put(as_lambda.with_payload(record, delivered))
    for fault in (None, Fault("", 200, raw=SECRET), Fault("", 500, raw=SECRET), Fault("", 400, raw=SECRET)):
        if fault:
            fakes.fail("GetObject", fault, times=99)
        answer = talkative.invoke(as_lambda.s3_event(where), timeout=3)
        written = "\n".join([*answer.stdout, answer.stderr, answer.raw.decode()])
        assert written.strip() and SECRET not in written
        fakes.fail_no_more()


# Memory.

EVENT_BYTES = 6_000_000


def wide(count, data, key):
    """A batch whose event has some 6 MB."""
    shard = KinesisShard("wide", [(f"{key}{number}", data) for number in range(count)])
    return shard.failure(shard.all_records), shard.delivered(shard.all_records)


@pytest.mark.parametrize("shape", [(8_000, b"x" * 200, "k"), (90, b"\x00" * 49_000, "k"),
                                   (6_000, b'{"order":1}', '"' * 250), (1, b"x" * 4_400_000, "k")],
                         ids=["many records", "binary", "quotes", "one record"])
def test_an_event_of_6_mb_is_hydrated_in_64_mb(deploy, aws, bucket, shape):
    record, delivered = wide(*shape)
    text = as_lambda.text(as_lambda.with_payload(record, delivered))
    assert 0.8 * EVENT_BYTES < len(as_lambda.text({"Records": delivered})) < 1.05 * EVENT_BYTES
    # The longest spelling of a quote, so that the object is larger than one that Lambda writes.
    text = text.replace('\\"', "\\u0022")
    where = bucket.put(text, key="wide")
    hydrator = deploy()
    answer = hydrator.invoke(as_lambda.s3_event(where))
    assert answer.error is None, answer.error
    message, = hydrator.mailbox.receive()
    assert message.overflow and message.records == delivered
    assert hydrator.function.memory_bytes("VmHWM") < 64 * 1024 * 1024
