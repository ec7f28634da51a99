"""Record data, partition keys and item keys appear in the message and nowhere else."""

import base64

import pytest

from sandbox import as_lambda
from tests.kit.fakes import CUT_OFF, DENIED, THROTTLED, Fault, KinesisShard, TableShard

SECRET = "sEcReT-0xC0FFEE"


def traces(secret):
    """The secret as it may look on its way."""
    data = secret.encode()
    return [secret, base64.b64encode(data).decode().rstrip("=")[:-1], data.hex(),
            str(list(data))[1:-1]]


def assert_kept(answer):
    written = "\n".join([*answer.stdout, answer.stderr, answer.raw.decode()])
    assert written.strip()
    for trace in traces(SECRET):
        assert trace not in written


@pytest.fixture
def talkative(deploy, fakes):
    return deploy(fakes=fakes, AWS_LAMBDA_LOG_LEVEL="TRACE", RUST_LOG="trace", RUST_BACKTRACE="1")


@pytest.fixture
def shards(fakes):
    return [
        fakes.add(KinesisShard("private", [(SECRET, SECRET.encode())] * 3)),
        fakes.add(TableShard("private", [
            ({}, {"Keys": {"id": {"S": SECRET}}, "NewImage": {
                "id": {"S": SECRET}, "b": {"B": SECRET.encode()}}})] * 3)),
    ]


def test_no_data_is_logged_when_all_goes_well(talkative, shards):
    for shard in shards:
        answer, (message,) = talkative.hydrate(shard.failure(shard.all_records))
        assert SECRET in message.text
        assert_kept(answer)


def test_no_data_is_logged_of_an_overflow(talkative, fakes):
    shard = fakes.add(KinesisShard("large", [(SECRET, SECRET.encode() * 1000)] * 80))
    answer, (message,) = talkative.hydrate(shard.failure(shard.all_records))
    assert message.overflow
    assert_kept(answer)


@pytest.mark.parametrize("fault", [
    CUT_OFF, THROTTLED, DENIED,
    # Answers that carry records and cannot be read.
    Fault("", 200, raw='{"Records":[{"PartitionKey":"%s","Data":7}]}' % SECRET),
    Fault("", 200, raw='{"Records":"%s"' % SECRET),
    Fault("", 200, raw='{"Records":[{"Data":"%s!"}]}' % SECRET),
    Fault("", 500, raw=SECRET), Fault("", 400, raw=SECRET),
    Fault("", 400, raw='{"__type":["%s"]}' % SECRET),
], ids=["cut-off", "throttled", "denied", "wrong-type", "broken-json", "broken-base64", "500", "400", "odd-type"])
def test_no_data_is_logged_when_a_read_fails(talkative, fakes, shards, fault):
    for shard in shards:
        fakes.fail("GetRecords", fault, times=99)
        answer = talkative.invoke(as_lambda.sns_event(shard.failure(shard.all_records)), timeout=3)
        assert answer.error["errorType"]
        assert_kept(answer)


@pytest.mark.parametrize("operation", ["SendMessage", "PutObject"])
def test_no_data_is_logged_when_the_delivery_fails(deploy, fakes, operation):
    talkative = deploy(fakes=fakes, AWS_LAMBDA_LOG_LEVEL="TRACE")
    shard = fakes.add(KinesisShard("large", [(SECRET, SECRET.encode() * 1000)] * 80))
    fakes.fail(operation, DENIED, times=99)
    answer = talkative.invoke(as_lambda.sns_event(shard.failure(shard.all_records)))
    assert answer.error["errorType"] == "AccessDenied"
    assert_kept(answer)


def test_no_data_is_logged_of_a_payload_or_a_foreign_message(deploy):
    talkative = deploy(AWS_LAMBDA_LOG_LEVEL="TRACE")
    record = as_lambda.failure(
        "KinesisBatchInfo", {"shardId": "shardId-0", "streamArn": "arn:aws:kinesis:us-east-1:1:x"},
        payload=SECRET, note=SECRET)
    for event in (as_lambda.sns_event(record), as_lambda.sns_event(SECRET),
                  as_lambda.sqs_event(SECRET), record, {"x": SECRET}, f'"{SECRET}"',
                  f'{{"x":"{SECRET}', as_lambda.sqs_event({"Records": SECRET})):
        assert_kept(talkative.invoke(event))
    talkative.mailbox.receive()
