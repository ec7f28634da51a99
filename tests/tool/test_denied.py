"""Denied permissions, one call at a time: each command names the permission, and does no harm without it."""

import json
import re
import time

import pytest

from sandbox import as_lambda
from tests.kit import dlq
from tests.kit.aws_proxy import AwsProxy
from tests.tool.test_narrow import superset

LEDGER, OVERFLOW = "ledger/", "hydrated/"
FIND = [("cloudformation:DescribeStacks", "")]
LOOK = [
    *FIND, ("sqs:GetQueueAttributes", ""), ("sqs:ReceiveMessage", ""), ("sqs:ChangeMessageVisibility", ""),
    ("s3:GetObject", OVERFLOW)]
HISTORY = [("s3:ListBucket", LEDGER), ("s3:GetObject", LEDGER)]
PLAN = [("s3:GetObject", LEDGER), ("lambda:GetFunctionConfiguration", ""), ("lambda:GetFunctionConcurrency", ""),
        ("lambda:GetAccountSettings", ""), ("lambda:ListEventSourceMappings", "")]
RUN = [("s3:PutObject", LEDGER), ("lambda:InvokeFunction", "")]
DELETE = [("sqs:DeleteMessage", "")]
REPLAY = ["replay", "--all", "--narrow", "--on", "order-projector", "--delete", "--rate", "auto"]

# Each command, with the actions that it calls.
COMMANDS = {
    "list": (["list"], [*LOOK, *HISTORY]),
    "status": (["status"], [*LOOK, *HISTORY]),
    "report": (["report", "--to", "-"], [*LOOK, *HISTORY]),
    "show": (["show", "BATCH"], [
        *FIND, ("sqs:GetQueueAttributes", ""), ("sqs:ReceiveMessage", ""), ("sqs:ChangeMessageVisibility", ""),
        ("s3:ListBucket", LEDGER), ("lambda:ListEventSourceMappings", "")]),
    "show of a large one": (["show", "LARGE"], [("s3:GetObject", OVERFLOW)]),
    "show of one that was tried": (["show", "PLAIN"], [("s3:GetObject", LEDGER)]),
    "show of one that is gone": (["show", "f" * 64], [("s3:ListBucket", LEDGER)]),
    "show --logs": (
        ["show", "BATCH", "--logs"], [("lambda:GetFunctionConfiguration", ""), ("logs:FilterLogEvents", "")]),
    "status --logs": (
        ["status", "--logs"], [("lambda:GetFunctionConfiguration", ""), ("logs:FilterLogEvents", "")]),
    "list --grep": (["list", "--grep", "n"], [("s3:GetObject", OVERFLOW)]),
    "replay": (REPLAY, [*LOOK, *PLAN]),
    "replay --execute": ([*REPLAY, "--execute"], [*LOOK, *PLAN, *RUN, *DELETE]),
    "discard": (["discard", "--all"], LOOK),
    "discard --execute": (["discard", "BATCH", "--execute"], [*LOOK, ("s3:PutObject", LEDGER), *DELETE]),
    "isolate": (["isolate", "BATCH"], [*LOOK, ("s3:GetObject", LEDGER)]),
    "isolate --execute": (["isolate", "BATCH", "--execute"], [*LOOK, ("s3:GetObject", LEDGER), *RUN]),
    "export": (["export", "--all", "--to", "FOLDER"], LOOK),
    "doctor": (["doctor"], [
        *FIND, ("sqs:GetQueueAttributes", ""), ("lambda:ListEventSourceMappings", ""),
        ("lambda:GetFunctionConfiguration", ""), ("kinesis:DescribeStreamSummary", ""),
        ("cloudwatch:GetMetricData", ""), ("s3:GetLifecycleConfiguration", ""), ("iam:SimulatePrincipalPolicy", "")]),
    "hydrate": (["hydrate", "RECORD"], [("kinesis:GetShardIterator", ""), ("kinesis:GetRecords", "")]),
    "hydrate --send": (
        ["hydrate", "--from-queue", "OLD", "--send", "--delete"],
        [*FIND, ("sqs:GetQueueUrl", ""), ("sqs:ReceiveMessage", ""), ("sqs:GetQueueAttributes", ""),
         ("sqs:ChangeMessageVisibility", ""), ("sqs:SendMessage", ""), ("sqs:DeleteMessage", ""),
         ("kinesis:GetShardIterator", ""), ("kinesis:GetRecords", "")]),
}
# What a command can do without. Its output says all the same what was not seen, and the exit code may be 0.
OPTIONAL = {
    # Supersets are shown without what their mapping says.
    ("show", "lambda:ListEventSourceMappings"),
    # A dry run says that the superset would be refused.
    ("replay", "lambda:ListEventSourceMappings"),
    # The rate is then the default one.
    ("replay", "lambda:GetFunctionConcurrency"), ("replay", "lambda:GetAccountSettings"),
    ("replay --execute", "lambda:GetFunctionConcurrency"), ("replay --execute", "lambda:GetAccountSettings"),
}
# Not missed where the log group that Lambda names by default has the lines.
NEEDLESS = {(f"{name} --logs", "lambda:GetFunctionConfiguration") for name in ("show", "status")}
CASES = [(name, *denied) for name, (_, actions) in COMMANDS.items() for denied in actions]


class Batches:
    """One of each kind, and what a ledger holds after the first was replayed and has failed."""

    def __init__(self, aws, binary, folder):
        self.superset = superset(shard=2)
        self.plain, self.large = dlq.kinesis(), dlq.kinesis(at=10, shard=1, overflow=True)
        queue, function = dlq.Queue(aws), dlq.Lambda()
        function.answer = fail
        queue.send(self.plain)
        tool = dlq.Dlq(binary, {**aws.environment(), **function.environment(), "DLQ_QUEUE": queue.url}, folder)
        tool("replay", self.plain.id, "--execute", code=3, OVERFLOW_BUCKET=queue.bucket)
        function.close()
        self._name, self._ledger = queue.name, dict(ledger_of(queue))
        assert any("/runs/" in key for key in self._ledger)

    def give(self, queue):
        """Puts the batches on a queue, and the ledger beside it."""
        queue.send(self.plain, self.large, self.superset)
        for key, text in self._ledger.items():
            queue.s3.put_object(Bucket=queue.bucket, Key=key.replace(self._name, queue.name), Body=text)


def fail(_):
    raise dlq.Fails()


def ledger_of(queue):
    """The key and the text of each record."""
    listed = queue.s3.list_objects_v2(Bucket=queue.bucket, Prefix="ledger/").get("Contents", [])
    for entry in listed:
        yield entry["Key"], queue.s3.get_object(Bucket=queue.bucket, Key=entry["Key"])["Body"].read().decode()


class Shop:
    """A stack, a queue with batches of every kind, and a ledger that knows one of them.

    `stream` makes a stream with records, which is done for the commands that read one alone.
    """

    def __init__(self, aws, tool, queue, function, stream, batches, folder):
        self.aws, self.tool, self.queue, self.function, self.folder = aws, tool, queue, function, folder
        self.stream = stream
        self.old = dlq.Queue(aws)
        self.superset, self.plain, self.large = batches.superset, batches.plain, batches.large
        batches.give(queue)
        self.name = queue.name.replace("hydrated", "stack")
        topic = "arn:aws:sns:us-east-1:123456789012:failed-batches"
        outputs = {"HydratedQueueUrl": queue.url, "OverflowBucketName": queue.bucket, "FailedBatchTopicArn": topic,
                   "HydrateRoleArn": "arn:aws:iam::123456789012:role/hydrate"}
        template = {"Resources": {"T": {"Type": "AWS::SNS::Topic"}},
                    "Outputs": {name: {"Value": value} for name, value in outputs.items()}}
        aws.client("cloudformation").create_stack(StackName=self.name, TemplateBody=json.dumps(template))
        self.mapping = {
            "UUID": "a1b2c3d4-0000-4000-8000-000000000000", "State": "Enabled", "BatchSize": 100,
            "EventSourceArn": dlq.STREAM, "FunctionArn": as_lambda.FUNCTIONS + "order-projector",
            "FilterCriteria": {"Filters": [{"Pattern": json.dumps({"data": {"type": ["buy"]}})}]},
            "ParallelizationFactor": 1, "LastModified": time.time() - 24 * 3600,
            "DestinationConfig": {"OnFailure": {"Destination": topic}}}
        function.other = self.answer
        function.log_events = [{
            "timestamp": int((time.time() - 3600) * 1000) + 59_000, "eventId": "e", "logStreamName": "one",
            "message": f"REPORT RequestId: {self.superset.record['requestContext']['requestId']}"}]
        environment = {**tool.environment, "DLQ_STACK": self.name, "DLQ_QUEUE": ""}
        self.tool.environment = environment
        function.answer = self.fail_on_a_few
        self.proxy = AwsProxy({
            "SQS": aws.aws_url, "S3": aws.aws_url, "CLOUDFORMATION": aws.aws_url, "LAMBDA": function.url,
            "CLOUDWATCH": function.url, "CLOUDWATCH_LOGS": function.url, "IAM": function.url, "KINESIS": aws.kinesis_url})

    def fail_on_a_few(self, invocation):
        """Fails on what has the third record of the superset, which a search finds."""
        if self.superset.records[2]["kinesis"]["sequenceNumber"] in invocation.numbers:
            raise dlq.Fails()

    def answer(self, path, body):
        if "/event-source-mappings" in path:
            return 200, {"EventSourceMappings": [self.mapping]}
        if "/concurrency" in path:
            return 200, {}
        if "/account-settings" in path:
            return 200, {"AccountLimit": {"UnreservedConcurrentExecutions": 1000, "ConcurrentExecutions": 1000}}
        if "/configuration" in path:
            return 200, {"Role": "arn:aws:iam::123456789012:role/orders",
                         "FunctionArn": as_lambda.FUNCTIONS + "order-projector"}
        if b"SimulatePrincipalPolicy" in body:
            return 200, ('<SimulatePrincipalPolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">'
                         "<SimulatePrincipalPolicyResult><EvaluationResults></EvaluationResults>"
                         "</SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>")
        return 404, {}

    def run(self, name):
        """Runs a command through the proxy: the exit code, and both outputs."""
        words = COMMANDS[name][0]
        path = self.folder / "record.json"
        if words[0] in ("hydrate", "doctor"):
            made, records = self.stream([("k", b'{"n":%d}' % n) for n in range(4)])
            self.mapping["EventSourceArn"] = made.arn
            record = as_lambda.text(as_lambda.kinesis_failure(records, made.arn, made.shard_id))
            path.write_text(record)
            if "OLD" in words:
                self.old.send(record, "hello")
        places = {"BATCH": self.superset.id, "LARGE": self.large.id, "PLAIN": self.plain.id,
                  "FOLDER": self.folder / "out", "RECORD": path, "OLD": self.old.name}
        run = self.tool.start(*[places.get(word, word) for word in words], **self.proxy.environment())
        out, err = run.communicate(timeout=60)
        return run.returncode, out, err

    def ledger(self, kind):
        return [json.loads(text) for key, text in ledger_of(self.queue) if f"/{kind}/" in key]


@pytest.fixture(scope="module")
def batches(aws, tool_binary, tmp_path_factory):
    return Batches(aws, tool_binary, tmp_path_factory.mktemp("batches"))


@pytest.fixture
def shop(aws, tool, queue, function, stream, batches, tmp_path):
    made = Shop(aws, tool, queue, function, stream, batches, tmp_path)
    yield made
    made.proxy.close()


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_calls_what_the_table_says(shop, name):
    code, out, err = shop.run(name)
    called = {action for action, _ in COMMANDS[name][1]}
    assert called <= shop.proxy.actions(), (code, out, err)


@pytest.mark.parametrize("name, action, about", CASES, ids=[" ".join(case).strip() for case in CASES])
def test_a_denied_call_is_named_and_does_no_harm(shop, name, action, about):
    shop.proxy.deny(action, about)
    code, out, err = shop.run(name)
    assert shop.proxy.refused, "the call was not made"
    assert code in ((0, 1, 3) if (name, action) in OPTIONAL | NEEDLESS else (1, 3)), (code, out, err)
    assert action in out + err or (name, action) in NEEDLESS, (out, err)
    for trace in ("panicked", "RUST_BACKTRACE", "ServiceError(", "Fault {", "Some(", "SdkError"):
        assert trace not in out + err, (out, err)
    harmless(shop, name, out + err, is_hidden=action == "sqs:ChangeMessageVisibility")


def test_a_log_group_that_is_only_guessed_is_said_to_be(shop):
    shop.function.log_events.clear()
    shop.proxy.deny("lambda:GetFunctionConfiguration")
    code, _, err = shop.run("show --logs")
    assert code == 3 and "lambda:GetFunctionConfiguration" in err and "--log-group" in err, (code, err)


def harmless(shop, name, text, is_hidden=False):
    visible, in_flight = shop.queue.counts()
    if is_hidden:
        assert not in_flight or re.search("visible .*within a minute", text), text
    else:
        assert in_flight == 0 and shop.old.counts()[1] == 0
    # Each deletion and each invocation of a replay is in the ledger.
    left = {shop.superset.id, shop.plain.id, shop.large.id} & shop.queue.ids() if not in_flight else None
    runs, discards = shop.ledger("runs"), shop.ledger("discards")
    finished = {run["batch"] for run in runs if run["done"] and "claim" not in run}
    finished |= {discard["id"] for discard in discards}
    if left is not None:
        deleted = {shop.plain.id, shop.large.id, shop.superset.id} - left
        assert deleted <= finished or name == "hydrate --send", (deleted, runs)
    if name.startswith("replay"):
        # One attempt was made for the ledger that the test began with.
        assert len(shop.function.invocations) <= sum(run["attemptsMade"] for run in runs) - 1
    elif not name.startswith("isolate"):
        assert shop.function.invocations == []


def test_an_outcome_that_cannot_be_written_leaves_the_batch_in_doubt_and_on_the_queue(shop):
    # The lock and the claim may be written, and nothing after them.
    shop.queue.sqs.purge_queue(QueueUrl=shop.queue.url)
    shop.queue.send(shop.large)
    shop.proxy.deny("s3:PutObject", "/runs/", allowed=1)
    code, out, err = shop.run("replay --execute")
    assert code == 1 and "s3:PutObject" in err, (code, out, err)
    assert len(shop.function.invocations) == 1
    assert shop.queue.counts() == (1, 0)
    in_doubt, = [run for run in shop.ledger("runs") if "claim" in run]
    assert in_doubt["batch"] == shop.large.id
    assert "in doubt" in shop.tool("list", "-o", "text").out
    line, = shop.tool("replay", "--all", "--execute", code=3).messages
    assert line["reason"] == "inDoubt" and len(shop.function.invocations) == 1
