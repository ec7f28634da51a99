"""`dlq hydrate --stream`: batches of the records that nobody reported, from streams that are resharded."""

import base64
import json
import shlex
import signal
import time
from datetime import datetime, timedelta, timezone

import pytest

from sandbox import as_lambda
from tests.kit import dlq
from tests.kit.aws_proxy import AwsProxy

UUID = "a1b2c3d4-0000-4000-8000-000000000001"


def iso(moment):
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def now():
    return datetime.now(timezone.utc)


def until_now():
    """The end of a time range that holds every record so far. It must not be in the future."""
    time.sleep(0.05)
    return iso(now())


class Resharded:
    """A stream of two shards that is split and merged while records arrive."""

    def __init__(self, aws, make):
        self.kinesis = aws.client("kinesis")
        self.since = now() - timedelta(minutes=1)
        self.stream, _ = make([("a", b'{"n":0}'), ("b", b'{"n":1}')], shards=2)
        self.arn, self.sent = self.stream.arn, 2
        self.kinesis.split_shard(
            StreamARN=self.arn, ShardToSplit=self.stream.shard_id, NewStartingHashKey=str(2 ** 126))
        dlq.until(self.is_active)
        self.put(20)
        one, other = [shard["ShardId"] for shard in self.shards() if shard.get("ParentShardId")]
        self.kinesis.merge_shards(StreamARN=self.arn, ShardToMerge=one, AdjacentShardToMerge=other)
        dlq.until(self.is_active)
        self.put(10)

    def put(self, number):
        items = [(f"key-{n}", b'{"n":%d,"kind":"%s"}' % (n, b"order" if n % 2 else b"test"))
                 for n in range(self.sent, self.sent + number)]
        self.stream.put(items)
        self.sent += number

    def shards(self):
        return self.kinesis.list_shards(StreamARN=self.arn)["Shards"]

    def is_active(self):
        summary = self.kinesis.describe_stream_summary(StreamARN=self.arn)["StreamDescriptionSummary"]
        return summary["StreamStatus"] == "ACTIVE"

    def events(self):
        """Every record as Lambda delivers it, by shard."""
        events = {}
        for shard in self.shards():
            self.stream.shard_id = shard["ShardId"]
            events[shard["ShardId"]] = self.stream.delivered(self.stream.records())
        return {shard: records for shard, records in events.items() if records}

    def arguments(self, *more):
        return ["hydrate", "--stream", self.arn, "--function", "orders", "--since", iso(self.since),
                "--until", until_now(), *more]


@pytest.fixture
def resharded(aws, stream):
    return Resharded(aws, stream)


def receive_all(queue):
    """The bodies on the queue. They stay on it, out of sight."""
    bodies = []
    while messages := queue.sqs.receive_message(
            QueueUrl=queue.url, MaxNumberOfMessages=10, VisibilityTimeout=300).get("Messages"):
        bodies += [json.loads(message["Body"]) for message in messages]
    return bodies


def records_by_shard(messages):
    records = {}
    for message in messages:
        info = message.get("KinesisBatchInfo") or message["DDBStreamBatchInfo"]
        assert message["Records"] and info["batchSize"] == len(message["Records"])
        records.setdefault(info["shardId"], []).extend(message["Records"])
    return records


def test_every_record_of_a_resharded_stream_is_rescued_once(tool, resharded):
    messages = tool(*resharded.arguments("--print", "--batch-size", "4")).lines
    events = resharded.events()
    assert len(events) >= 4 and sum(len(records) for records in events.values()) == 32
    assert records_by_shard(messages) == events
    order = [message["KinesisBatchInfo"]["shardId"] for message in messages]
    for shard in resharded.shards():
        for parent in (shard.get("ParentShardId"), shard.get("AdjacentParentShardId")):
            if parent in order and shard["ShardId"] in order:
                assert len(order) - order[::-1].index(parent) <= order.index(shard["ShardId"])
    for message in messages:
        assert message["requestContext"] == {
            "functionArn": "arn:aws:lambda:us-east-1:123456789012:function:orders", "condition": "Rescued"}
        assert message["hydration"]["status"] == "Complete" and len(message["Records"]) <= 4


def test_a_plan_reads_no_record_and_says_what_to_expect(tool, resharded, stream):
    arguments = resharded.arguments()
    plan, = tool(*arguments).lines
    assert (plan["stream"], plan["batchSize"], plan["shards"]) == (resharded.arn, 100, len(resharded.shards()))
    assert plan["minCalls"] == 2 * plan["shards"] <= plan["maxCalls"]
    result = tool(*arguments, "-o", "text")
    assert "nothing was read" in result.err and "the stream keeps its records for 24h" in result.out
    old = tool("hydrate", "--stream", resharded.arn, "--function", "orders", "--since", "3d", "--until", "1d", code=3)
    assert old.lines[0]["expiredBefore"]


def test_a_shard_and_a_time_range_are_kept_to(tool, aws, stream):
    made, _ = stream([("k", b"before")])
    time.sleep(0.1)
    since = iso(now())
    made.put([("k", b"one"), ("k", b"two")])
    until = until_now()
    time.sleep(0.1)
    made.put([("k", b"after")])
    arguments = ["hydrate", "--stream", made.arn, "--function", "orders", "--since", since, "--until", until, "--print"]
    message, = tool(*arguments, "--shard", "0").lines
    assert message["Records"] == made.delivered(made.records()[1:3])
    assert "no shard" in tool(*arguments, "--shard", "7", code=1).err


def test_a_rescue_is_replayed_as_lambda_would_have_delivered_it(tool, queue, function, resharded):
    arguments = resharded.arguments("--send", "--batch-size", "100")
    sent = tool(*arguments)
    events = resharded.events()
    assert len(sent.lines) == len(events) == queue.counts()[0]
    tool("replay", "--all", "--execute")
    delivered = [as_lambda.text({"Records": records}) for records in events.values()]
    assert sorted(invocation.payload for invocation in function.invocations) == sorted(delivered)
    assert {invocation.function.split(":")[-1] for invocation in function.invocations} == {"orders"}

    # The same rescue again: everything was sent.
    again = tool(*arguments)
    assert again.lines == [] and "were sent before and are skipped" in again.err
    assert queue.counts() == (0, 0)
    refused = tool(*arguments[:-2], "--batch-size", "7", code=1)
    assert "--batch-size 100" in refused.err


@pytest.mark.parametrize("stop, code", [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_rescue_that_is_stopped_goes_on_where_it_stopped(tool, queue, resharded, stop, code):
    arguments = resharded.arguments("--send", "--batch-size", "1")
    running = tool.start(*arguments)
    dlq.until(lambda: queue.counts()[0] >= 3, 60)
    running.send_signal(stop)
    assert running.wait(10) == code
    stopped_at = queue.counts()[0]
    assert stopped_at < 32
    result = tool(*arguments)
    assert "were sent before and are skipped" in result.err
    bodies = receive_all(queue)
    by_id = {body["hydration"]["id"]: body for body in bodies}
    # What was sent within the last moment may be there twice, with the same id, if the program was killed.
    assert len(bodies) - len(by_id) <= (1 if stop == signal.SIGKILL else 0)
    events = [event for records in resharded.events().values() for event in records]
    rescued = [event for body in by_id.values() for event in body["Records"]]
    key = lambda event: event["eventID"]  # noqa: E731
    assert sorted(rescued, key=key) == sorted(events, key=key)


def test_records_that_fail_a_mapping_s_filters_are_left_out(tool, function, resharded):
    changed, invoked = (resharded.since - timedelta(hours=1)).timestamp(), "orders:live"

    def mapping(path, _):
        if path.partition("?")[0].endswith(f"/event-source-mappings/{UUID}"):
            filters = {"Filters": [{"Pattern": json.dumps({"data": {"kind": ["order"]}})}]}
            return 200, {"UUID": UUID, "EventSourceArn": resharded.arn, "BatchSize": 5, "FilterCriteria": filters,
                         "LastModified": changed, "FunctionArn": as_lambda.FUNCTIONS + invoked}
        return 404, {"Message": "no such mapping"}
    function.other = mapping
    result = tool(*resharded.arguments("--print", "--filter-mapping", UUID))
    events = [event for records in resharded.events().values() for event in records]
    kept = [event for event in events if b'"kind":"order"' in base64.b64decode(event["kinesis"]["data"])]
    rescued = [event for message in result.lines for event in message["Records"]]
    assert sorted(event["eventID"] for event in rescued) == sorted(event["eventID"] for event in kept)
    assert max(len(message["Records"]) for message in result.lines) <= 5
    assert f"{32 - len(kept)} records left out by the filters" in result.err
    assert "was changed" not in result.err
    changed = time.time()
    plan = tool(*resharded.arguments("--filter-mapping", UUID))
    assert plan.lines[0]["filterMappingChanged"]
    assert "after the beginning of the range" in tool(*resharded.arguments("--filter-mapping", UUID), "-o", "text").out
    tool(*resharded.arguments("--filter-mapping", "other"), code=1)
    invoked = "returns"
    assert "function:returns, and not --function" in tool(*resharded.arguments("--filter-mapping", UUID), code=2).err


@pytest.mark.parametrize("trouble", ["disabled", "stuck"])
def test_the_rescue_that_doctor_prints_is_run_as_printed(tool, queue, function, stream, trouble):
    made, records = stream([("k", b'{"kind":"%s"}' % kind) for kind in (b"order", b"test", b"order", b"order")])
    mapping = {
        "UUID": UUID, "EventSourceArn": made.arn, "FunctionArn": as_lambda.FUNCTIONS + "orders", "BatchSize": 2,
        "State": "Disabled" if trouble == "disabled" else "Enabled", "StateTransitionReason": "USER_INITIATED",
        "LastModified": time.time(), "LastProcessingResult": "OK", "MaximumRetryAttempts": -1,
        "MaximumRecordAgeInSeconds": -1, "BisectBatchOnFunctionError": True,
        "FilterCriteria": {"Filters": [{"Pattern": json.dumps({"data": {"kind": ["order"]}})}]}}

    def other(path, _):
        path = path.partition("?")[0].rstrip("/")
        if path.endswith("/event-source-mappings"):
            return 200, {"EventSourceMappings": [mapping]}
        return (200, mapping) if path.endswith(UUID) else (404, {})
    function.other = other
    if trouble == "stuck":
        blocked_since = now() - timedelta(minutes=40)
        times = [now() - timedelta(minutes=minutes) for minutes in (25, 20, 15, 10, 5)]
        function.metrics["IteratorAge"] = [(at, (at - blocked_since).total_seconds() * 1000) for at in times]
    time.sleep(0.05)
    found, = [line for line in tool("doctor", "--queue", queue.url, code=3).lines if "unread" in line]
    assert found["unread"]["trouble"] == trouble
    program, *words = shlex.split(found["change"])
    assert program == "dlq" and words[-3:] == ["--queue", queue.url, "--send"]
    assert len(tool(*words).lines) == 2
    rescued = [event for body in receive_all(queue) for event in body["Records"]]
    assert rescued == [made.delivered(records)[number] for number in (0, 2, 3)]


def test_changes_of_a_table_are_rescued(tool, table):
    made, since = table(), now() - timedelta(minutes=1)
    for number in range(7):
        made.put({"id": {"S": str(number)}, "n": {"N": str(number)}})
    made.remove("3")
    # DynamoDB tells whole seconds.
    time.sleep(1.1)
    messages = tool("hydrate", "--stream", made.arn, "--function", "stock", "--since", iso(since),
                    "--until", until_now(), "--print", "--batch-size", "3").lines
    assert [len(message["Records"]) for message in messages] == [3, 3, 2]
    assert records_by_shard(messages) == {made.shard_id: made.delivered(made.records())}


def test_a_rescue_is_refused_where_it_could_not_be_repeated(tool, resharded):
    start = ["hydrate", "--stream", resharded.arn, "--function", "orders"]
    assert "the same in the next run" in tool(*start, "--since", "1h", "--until", "0m", "--send", code=2).err
    assert "in the future" in tool(*start, "--since", "1h", "--until", iso(now() + timedelta(hours=1)), code=2).err
    nosuch = [*start[:-1], "nosuch"]
    assert "GetFunctionConfiguration" in tool(*nosuch, "--since", "1h", "--until", "0m", code=1).err
    gone = resharded.arn.replace("stream/", "stream/nosuch-")
    assert "ListShards" in tool(
        "hydrate", "--stream", gone, "--function", "orders", "--since", "1h", "--until", "0m", code=1).err


@pytest.mark.parametrize("ended, note", [
    ({"ended": "gone"}, "does not exist any more"), ({"ended": "tip", "gap": True}, "records may have expired before they were read in shardId-")])
def test_a_loss_that_an_interrupted_run_noticed_is_told_by_the_next(tool, stream, tmp_path, ended, note):
    made, _ = stream([("k", b"one")])
    progress = tmp_path / "progress.jsonl"
    arguments = ["hydrate", "--stream", made.arn, "--function", "orders", "--since", iso(now() - timedelta(minutes=1)),
                 "--until", until_now(), "--send", "--progress", progress]
    tool(*arguments)
    tool(*arguments)
    header, sent, _ = progress.read_text().splitlines()
    progress.write_text("\n".join([header, sent, json.dumps({"shard": made.shard_id, **ended}), ""]))
    assert note in tool(*arguments, code=3).err


def test_another_file_is_not_taken_for_the_progress(tool, queue, stream, tmp_path):
    made, _ = stream([("k", b"one")])
    notes = tmp_path / "notes.json"
    notes.write_text('{"kept": true}')
    result = tool("hydrate", "--stream", made.arn, "--function", "orders", "--since", iso(now() - timedelta(minutes=1)),
                  "--until", until_now(), "--send", "--progress", notes, code=1)
    assert "not the progress file of a rescue" in result.err
    assert notes.read_text() == '{"kept": true}' and queue.counts() == (0, 0)


@pytest.fixture
def proxy(aws, function):
    proxy = AwsProxy({"KINESIS": aws.kinesis_url, "LAMBDA": function.url, "SQS": aws.aws_url})
    yield proxy
    proxy.close()


@pytest.mark.parametrize("action, allowed", [
    ("lambda:GetFunctionConfiguration", 0), ("kinesis:ListShards", 0), ("kinesis:GetShardIterator", 1),
    ("kinesis:GetRecords", 3), ("sqs:SendMessage", 2)])
def test_a_rescue_that_is_denied_a_call_goes_on_once_it_is_allowed(tool, queue, proxy, resharded, action, allowed):
    arguments = resharded.arguments("--send", "--batch-size", "4")
    proxy.deny(action, allowed=allowed)
    assert action in tool(*arguments, code=1, **proxy.environment()).err
    tool(*arguments)
    bodies = receive_all(queue)
    assert len({body["hydration"]["id"] for body in bodies}) == len(bodies)
    rescued = {shard: sorted(record["eventID"] for record in records)
               for shard, records in records_by_shard(bodies).items()}
    assert rescued == {shard: sorted(record["eventID"] for record in records)
                       for shard, records in resharded.events().items()}


def test_records_are_not_called_expired_where_the_retention_is_not_known(tool, proxy, stream):
    made, _ = stream([("k", b"one")])
    arguments = ["hydrate", "--stream", made.arn, "--function", "orders", "--since", "3d", "--until", "0m"]
    proxy.deny("kinesis:DescribeStreamSummary")
    plan = tool(*arguments, code=3, **proxy.environment())
    assert "expiredBefore" not in plan.lines[0] and plan.lines[0]["shardHours"] == 72
    assert "kinesis:DescribeStreamSummary" in plan.err and "is not known" in plan.err
    text = tool(*arguments, "-o", "text", code=3, **proxy.environment()).out
    assert "may have expired" in text and " have expired: " not in text
