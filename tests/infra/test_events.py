"""The sample events: as AWS writes them, all listed, and answered as the list says."""

import hashlib
import json
import re
from datetime import datetime, timezone

import pytest

from sandbox.failed_batch_bucket import put_samples
from sandbox.runtime_api import Function
from tests.infra.known_metrics import METRICS
from tests.infra.templates import ROOT
from tests.kit.fakes import DENIED, Fakes, KinesisShard

EVENTS = sorted((ROOT / "events").glob("*.json"))
README = (ROOT / "events" / "README.md").read_text()
TABLE = dict(re.findall(r"^\| (\S+\.json) \| .+ \| ([\w, ]+) \|$", README, re.MULTILINE))
each_event = pytest.mark.parametrize("path", EVENTS, ids=lambda path: path.stem)


def event(path):
    return json.loads(path.read_text())


def messages(event):
    """The texts inside an event's envelopes, innermost first found."""
    for record in event.get("Records", []):
        if "Sns" in record:
            yield record["Sns"]["Message"]
        elif "body" in record:
            yield record["body"]


def invocation_records(value):
    """Every invocation record in an event, however deep."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return
    if isinstance(value, dict):
        if "KinesisBatchInfo" in value or "DDBStreamBatchInfo" in value:
            yield value
            return
        for key in ("Records", "Sns", "Message", "body", "requestPayload"):
            if key in value:
                yield from invocation_records(value[key])
    elif isinstance(value, list):
        for item in value:
            yield from invocation_records(item)


def test_the_list_is_the_folder():
    assert sorted(TABLE) == [path.name for path in EVENTS]


@each_event
def test_it_names_no_real_account(path):
    text = path.read_text()
    assert set(re.findall(r":(\d{12}):", text)) <= {"123456789012"}
    assert "example subject" not in text and '"EXAMPLE"' not in text


@each_event
def test_messages_are_compact_as_aws_writes_them(path):
    """Lambda prints no white space; an SNS body on a queue is spaced as SNS spaces it."""
    for text in messages(event(path)):
        try:
            value = json.loads(text)
        except ValueError:
            continue
        if value.get("Type") == "Notification":
            assert text.startswith('{\n  "Type" : "Notification",\n') and "SigningCertURL" in value
        else:
            assert text == json.dumps(value, separators=(",", ":"), ensure_ascii=False)


@each_event
def test_queue_messages_carry_the_digest_of_their_body(path):
    for record in event(path).get("Records", []):
        if "body" in record:
            assert record["md5OfBody"] == hashlib.md5(record["body"].encode()).hexdigest()


@each_event
def test_the_invocation_records_are_plausible(path):
    for record in invocation_records(event(path)):
        assert list(record)[0] in ("requestContext", "context") and record["version"] == "1.0"
        assert re.fullmatch(r"2026-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["timestamp"])
        kinesis = "KinesisBatchInfo" in record
        batch = record["KinesisBatchInfo" if kinesis else "DDBStreamBatchInfo"]
        if "startSequenceNumber" not in batch:
            assert list(batch) == ["shardId", "streamArn"] and record["timeWindowInfo"]["isFinalInvokeForWindow"]
            continue
        assert list(batch) == ["shardId", "startSequenceNumber", "endSequenceNumber", "approximateArrivalOfFirstRecord",
                               "approximateArrivalOfLastRecord", "batchSize", "streamArn"]
        start, end = batch["startSequenceNumber"], batch["endSequenceNumber"]
        assert (len(start), start) <= (len(end), end) and (start == end) == (batch["batchSize"] == 1)
        arrivals = batch["approximateArrivalOfFirstRecord"], batch["approximateArrivalOfLastRecord"]
        assert arrivals[0] <= arrivals[1] < record["timestamp"]
        # Kinesis has milliseconds, DynamoDB whole seconds.
        assert all(bool(re.search(r"\.\d{3}Z$", arrival)) == kinesis for arrival in arrivals)
        if kinesis:
            assert [len(number) for number in (start, end)] == [56, 56]
            assert [record_second(number) for number in (start, end)] == [arrival[:19] for arrival in arrivals]
            assert {int(number) >> 4 & 0xFFFFFFFF for number in (start, end)} == {int(batch["shardId"][8:])}


def record_second(sequence_number):
    """The time in a Kinesis sequence number: nine of its hexadecimal digits, before shard and version."""
    seconds = int(f"{int(sequence_number):047x}"[29:38], 16)
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")


# ---------------------------------------------------------------- what the function says to them

@pytest.fixture(scope="module")
def sandbox(aws, binary):
    """The function against emulators that hold a queue, the objects of the notifications, and none of the streams."""
    put_samples(aws)
    queue = aws.client("sqs").create_queue(QueueName="hydrated-samples")["QueueUrl"]
    with Function(binary, {**aws.environment(), "QUEUE_URL": queue}) as function:
        yield function, aws.client("sqs"), queue


@each_event
def test_the_function_answers_as_the_list_says(sandbox, path):
    function, sqs, queue = sandbox
    answer = function.invoke(event(path))
    statuses = [] if TABLE[path.name] == "none" else TABLE[path.name].split(", ")
    assert answer.error is None, answer.error
    if path.name.startswith("sqs-"):
        assert answer.payload == {"batchItemFailures": []}
    else:
        assert [batch["status"] for batch in answer.payload["batches"]] == statuses
    # The batches of an event are hydrated side by side, and each has its line when it ends.
    logged = [line["status"] for line in answer.logs if line["message"] == "batch hydrated"]
    assert sorted(logged) == sorted(statuses)
    bodies = []
    while found := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        for message in found:
            bodies.append(json.loads(message["Body"]))
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    assert sorted(body["hydration"]["status"] for body in bodies) == sorted(statuses)
    # What HydratedMessageWaits counts: one value for each batch, whatever its status.
    assert sum("RecordsRecovered" in line for line in answer.metrics) == len(statuses)


def continued(aws, binary, queue):
    """The answer about a range of which one part is delivered before a read is refused."""
    with Fakes(aws, swallow=True) as fakes:
        shard = fakes.add(KinesisShard("wide", [("k", bytes(1_000_000))] * 6))
        shard.page_records = 5
        fakes.fail("GetRecords", DENIED, after=1)
        record = shard.failure(shard.all_records)
        record["KinesisBatchInfo"]["batchSize"] = 5
        variables = {"QUEUE_URL": queue, "RETRY_QUEUE_URL": queue + "-retry", "OVERFLOW_BUCKET": "overflow"}
        with Function(binary, {**aws.environment(), **fakes.environment(), **variables}) as function:
            return function.invoke(record)


def drill(name):
    """A sample as a drill would have it."""
    record = event(ROOT / "events" / name)
    return {**record, "requestContext": {**record["requestContext"], "condition": "Drill"}}


def test_the_metrics_that_alarms_look_at_are_those_that_it_emits(sandbox, aws, binary):
    function, _, queue = sandbox
    emitted = {}
    rest_sent = continued(aws, binary, queue)
    assert [line["message"] for line in rest_sent.logs] == ["batch continued"], rest_sent
    hydrated = function.invoke(event(ROOT / "events" / "direct-kinesis.json"))
    with Function(binary, {**aws.environment(), "QUEUE_URL": queue + "-gone"}) as without_queue:
        failed = without_queue.invoke(event(ROOT / "events" / "direct-payload-string.json"))
        drill_failed = without_queue.invoke(drill("direct-payload-string.json"))
    assert failed.error["errorType"] == drill_failed.error["errorType"] == "RequestRefused"
    drilled = function.invoke(drill("direct-kinesis.json"))
    assert not any("RecordsRecovered" in line for line in failed.metrics + rest_sent.metrics)
    # No alarm looks at a drill.
    assert {metric["Name"] for line in drilled.metrics + drill_failed.metrics
            for directive in line["_aws"]["CloudWatchMetrics"] for metric in directive["Metrics"]} == {
        "Drills", "DrillsFailed"}
    for line in hydrated.metrics + failed.metrics + rest_sent.metrics + drilled.metrics + drill_failed.metrics:
        for directive in line["_aws"]["CloudWatchMetrics"]:
            dimensions, = directive["Dimensions"]
            assert set(dimensions) <= line.keys()
            for metric in directive["Metrics"]:
                emitted[directive["Namespace"], metric["Name"]] = set(dimensions)
    assert emitted == {key: value for key, value in METRICS.items()
                       if key[0] == "FailedBatchHydrator" and "FunctionName" in value}
