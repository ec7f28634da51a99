"""Faults that pass, or that a person can repair, fail the invocation, and nothing is half-delivered."""

import pytest

from sandbox import as_lambda
from sandbox.orders import items
from tests.kit.fakes import (
    CUT_OFF,
    DENIED,
    EXPIRED_ITERATOR,
    INTERNAL,
    KMS_DENIED,
    KMS_DISABLED,
    KMS_THROTTLED,
    LIMIT_EXCEEDED,
    NOT_FOUND,
    THROTTLED,
    UNAVAILABLE,
    Fault,
    KinesisShard,
    TableShard,
)

SHORT = {
    "throttled": (THROTTLED, "Throttled"),
    "limit-exceeded": (LIMIT_EXCEEDED, "Throttled"),
    "kms-throttled": (KMS_THROTTLED, "Throttled"),
    "internal": (INTERNAL, "ServiceUnavailable"),
    "unavailable": (UNAVAILABLE, "ServiceUnavailable"),
    "cut-off": (CUT_OFF, ("UnreadableAnswer", "ServiceUnavailable")),
    "not-json": (Fault("", 200, raw="<html>a proxy</html>"), "UnreadableAnswer"),
}
LONG = {
    "denied": (DENIED, "AccessDenied"),
    "kms-denied": (KMS_DENIED, "KeyUnavailable"),
    "kms-disabled": (KMS_DISABLED, "KeyUnavailable"),
    "validation": (Fault("ValidationException"), "RequestRefused"),
}


def shards(fakes):
    return [fakes.add(KinesisShard("shop", items(6))), fakes.add(TableShard("stock", [({}, {})] * 6))]


@pytest.mark.parametrize("operation", ["GetShardIterator", "GetRecords"])
@pytest.mark.parametrize("fault", SHORT)
def test_a_short_fault_is_retried_inside_the_invocation(faked, fakes, operation, fault):
    for shard in shards(fakes):
        fakes.fail(operation, SHORT[fault][0])
        faked.hydrated(shard.failure(shard.all_records), shard.delivered(shard.all_records))


@pytest.mark.parametrize("fault", SHORT)
def test_a_fault_that_lasts_fails_the_invocation_in_time(faked, fakes, fault):
    shard = shards(fakes)[0]
    fakes.fail("GetRecords", SHORT[fault][0], times=10_000)
    record = shard.failure(shard.all_records)
    answer = faked.invoke(as_lambda.sns_event(record), timeout=5)
    expected = SHORT[fault][1]
    assert answer.error["errorType"] in ([expected] if isinstance(expected, str) else expected)
    assert answer.seconds < 5
    assert faked.mailbox.receive() == []
    # A retry storm would be worse than the fault.
    assert len(fakes.calls("GetRecords")) < 20


@pytest.mark.parametrize("operation", ["GetShardIterator", "GetRecords"])
@pytest.mark.parametrize("fault", LONG)
def test_a_fault_that_a_person_must_repair_is_never_called_expired(faked, fakes, operation, fault):
    for shard in shards(fakes):
        before = len(fakes.calls(operation))
        fakes.fail(operation, LONG[fault][0], times=1)
        answer = faked.failing(shard.failure(shard.all_records), LONG[fault][1])
        assert operation in answer.error["errorMessage"]
        assert len(fakes.calls(operation)) == before + 1


def test_an_expired_iterator_is_renewed_after_the_last_record(faked, fakes):
    shard = fakes.add(KinesisShard("slow", items(9)))
    shard.page_records = 4
    fakes.fail("GetRecords", EXPIRED_ITERATOR, after=1)
    faked.hydrated(shard.failure(shard.all_records), shard.delivered(shard.all_records))
    first, second = fakes.calls("GetShardIterator")
    assert first.body["ShardIteratorType"] == "AT_SEQUENCE_NUMBER"
    assert second.body["ShardIteratorType"] == "AFTER_SEQUENCE_NUMBER"
    assert second.body["StartingSequenceNumber"] == shard.all_records[3]["SequenceNumber"]


def test_an_iterator_that_expires_at_once_is_renewed_at_the_start(faked, fakes):
    shard = fakes.add(TableShard("slow", [({}, {})] * 3))
    fakes.fail("GetRecords", EXPIRED_ITERATOR)
    faked.hydrated(shard.failure(shard.all_records), shard.delivered(shard.all_records))
    assert [call.body["ShardIteratorType"] for call in fakes.calls("GetShardIterator")] == [
        "AT_SEQUENCE_NUMBER"] * 2


def test_a_shard_that_vanishes_while_it_is_read(faked, fakes):
    shard = fakes.add(KinesisShard("vanishing", items(9)))
    shard.page_records = 4
    fakes.fail("GetRecords", NOT_FOUND, times=99, after=1)
    fakes.fail("GetShardIterator", NOT_FOUND, times=99, after=1)
    faked.hydrated(shard.failure(shard.all_records), shard.delivered(shard.all_records[:4]),
                   "Partial", missing=5)


@pytest.mark.parametrize("fault, error_type", [
    (THROTTLED, None), (UNAVAILABLE, None), (Fault("KMS.ThrottlingException"), None),
    (Fault("RequestThrottled", 403), None),
    (DENIED, "AccessDenied"), (Fault("AccessDenied", 403), "AccessDenied"),
    (Fault("KmsDisabled"), "KeyUnavailable"), (Fault("KmsAccessDenied"), "KeyUnavailable"),
    (Fault("AWS.SimpleQueueService.NonExistentQueue"), "RequestRefused"),
], ids=lambda value: getattr(value, "code", None))
def test_a_queue_that_refuses(faked, fakes, fault, error_type):
    shard = shards(fakes)[0]
    record = shard.failure(shard.all_records)
    if error_type:
        fakes.fail("SendMessage", fault)
        faked.failing(record, error_type)
    else:
        fakes.fail("SendMessage", fault, times=2)
        faked.hydrated(record, shard.delivered(shard.all_records))


def test_a_call_that_hangs_does_not_outlast_the_invocation(faked, fakes):
    shard = shards(fakes)[0]
    fakes.fail("GetRecords", Fault("", 200, raw="{}", delay=60))
    answer = faked.invoke(as_lambda.sns_event(shard.failure(shard.all_records)), timeout=4)
    assert answer.error["errorType"] in ("DeadlineReached", "ServiceUnavailable")
    assert answer.seconds < 4


def test_a_stand_in_s_deadline_is_not_a_time_in_1970(hydrator, stream):
    """`cargo lambda watch` says 600000, for ten minutes from now."""
    shop, records = stream(items(3))
    answer = hydrator.invoke(as_lambda.sns_event(shop.failure(records)), deadline_ms=600_000)
    assert answer.error is None, answer.error
    assert len(hydrator.mailbox.receive()) == 1


def test_a_hanging_batch_leaves_the_others_their_time(faked, fakes):
    shop, stock = shards(fakes)
    fakes.fail("GetRecords", Fault("", 200, raw="{}", delay=60))
    event = as_lambda.sqs_event(shop.failure(shop.all_records), stock.failure(stock.all_records))
    answer = faked.invoke(event, timeout=8)
    assert answer.payload == {"batchItemFailures": [
        {"itemIdentifier": event["Records"][0]["messageId"]}]}
    message, = faked.mailbox.receive()
    assert message.records == stock.delivered(stock.all_records)


def test_those_that_ran_out_of_time_are_named(faked, fakes):
    shop, stock = shards(fakes)
    fakes.fail("GetRecords", Fault("", 200, raw="{}", delay=60), times=2)
    event = as_lambda.sqs_event(shop.failure(shop.all_records), stock.failure(stock.all_records))
    answer = faked.invoke(event, timeout=4)
    assert answer.payload == {"batchItemFailures": [
        {"itemIdentifier": record["messageId"]} for record in event["Records"]]}


def test_several_failures_in_one_sns_event(faked, fakes):
    shop, stock = shards(fakes)
    fakes.fail("GetShardIterator", DENIED)
    fakes.fail("GetShardIterator", KMS_DISABLED)
    answer = faked.invoke(as_lambda.sns_event(
        shop.failure(shop.all_records), stock.failure(stock.all_records)))
    assert answer.error["errorType"] == "SeveralBatchesFailed"
    assert "2 of 2" in answer.error["errorMessage"]


def test_a_walk_too_long_for_its_invocation_ends_as_an_error(faked, fakes):
    shard = fakes.add(KinesisShard("endless", items(60)))
    shard.page_records = 1
    answer = faked.failing(shard.failure(shard.all_records), "DeadlineReached", timeout=6)
    assert answer.seconds < 6


# A stream that is not found (issue 7).

@pytest.mark.parametrize("operation", ["GetShardIterator", "GetRecords"])
def test_one_not_found_is_asked_again(faked, fakes, operation):
    for shard in shards(fakes):
        fakes.fail(operation, NOT_FOUND)
        faked.hydrated(shard.failure(shard.all_records), shard.delivered(shard.all_records))


def test_a_stream_that_is_not_found_twice_is_gone(faked, fakes):
    shard = shards(fakes)[0]
    fakes.fail("GetShardIterator", NOT_FOUND, times=2)
    faked.hydrated(shard.failure(shard.all_records), [], "Gone", missing=6)
    assert len(fakes.calls("GetShardIterator")) == 2


# Words for operators (issue 7).

@pytest.mark.parametrize("code", [
    "ExpiredTokenException", "ExpiredToken", "RequestTimeTooSkewed", "InvalidSignatureException",
    "SignatureDoesNotMatch", "UnrecognizedClientException", "InvalidClientTokenId"])
@pytest.mark.parametrize("operation", ["GetRecords", "SendMessage", "PutObject"])
def test_rejected_credentials_are_no_missing_permission(deploy, fakes, operation, code):
    hydrator = deploy(fakes=fakes, **({"MAX_MESSAGE_BYTES": "1024"} if operation == "PutObject" else {}))
    shard = shards(fakes)[0]
    fakes.fail(operation, Fault(code, 403))
    answer = hydrator.failing(shard.failure(shard.all_records), "CredentialsRejected")
    assert operation in answer.error["errorMessage"] and code in answer.error["errorMessage"]
    assert "grant" not in answer.error["errorMessage"]


@pytest.mark.parametrize("operation, code", [
    ("GetRecords", "KMS.InternalException"), ("PutObject", "OperationAborted"),
    ("PutObject", "ConditionalRequestConflict"), ("PutObject", "BadDigest")])
def test_a_fault_of_a_moment_is_retried_at_once(deploy, fakes, operation, code):
    hydrator = deploy(fakes=fakes, MAX_MESSAGE_BYTES="1024")
    shard = shards(fakes)[0]
    fakes.fail(operation, Fault(code, 409 if code in ("OperationAborted", "ConditionalRequestConflict") else 400))
    message = hydrator.hydrated(shard.failure(shard.all_records), shard.delivered(shard.all_records))
    assert message.overflow


def test_an_endless_error_code_makes_a_short_line(faked, fakes):
    shard = shards(fakes)[0]
    fakes.fail("GetRecords", Fault("C" * 200_000, message="M" * 200_000))
    answer = faked.failing(shard.failure(shard.all_records), "RequestRefused")
    assert all(len(line) < 4_000 for line in answer.stdout)
    assert len(answer.raw) < 2_000
