"""Commands that only read: their output, and that the queue is unchanged afterwards.

The text output is compared with the files in snapshots/, without times and
what depends on them; UPDATE_SNAPSHOTS=1 writes these files again.
"""

import gzip
import json
import os
import re
import signal
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from sandbox import kpl
from tests.kit import dlq

SNAPSHOTS = Path(__file__).with_name("snapshots")


def snapshot(name, text):
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "<time>", text)
    text = re.sub(r"(?<!-)\b\d+[smhd]( ago|\b(?= *$))", r"<age>\1", text, flags=re.M)
    text = re.sub(r"hydrated-[0-9a-f]{8}", "hydrated-<name>", text)
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<message id>", text)
    text = re.sub(r"127\.0\.0\.1:\d+", "<endpoint>", text)
    text = re.sub(r"([0-9a-f]{12})-[0-9a-f]{6}\b", r"\1-<part>", text)
    text = re.sub(r"size +\d+ B", "size <bytes>", text)
    text = "\n".join(re.sub(r" {3,}", "   ", line).rstrip() for line in text.splitlines()) + "\n"
    path = SNAPSHOTS / f"{name}.txt"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        SNAPSHOTS.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text(), name


@pytest.fixture
def shop(queue):
    """A queue with a message of every kind."""
    order = dlq.kinesis([
        b'{"orderId":"ORD-1","total":12.50,"big":12345678901234567890}',
        "héllo\x1b[2J\n".encode(), gzip.compress(b'{"z":[1,{"a":"b"}]}'),
        bytes(range(128, 168)), kpl.aggregate([("k1", b'{"n":1}'), ("k2", b"\xff")])],
        at=5, request_id="r-order")
    change = dlq.dynamodb([
        ("INSERT", {"Keys": {"sku": {"S": "A"}}, "NewImage": {"sku": {"S": "A"}, "price": {"N": "9.90"}}}),
        ("MODIFY", {"Keys": {"sku": {"S": "A"}},
                    "OldImage": {"sku": {"S": "A"}, "price": {"N": "9.90"}, "was": {"BOOL": True}},
                    "NewImage": {"sku": {"S": "A"}, "price": {"N": "10.9"}, "at": {"M": {"x": {"N": "1"}}}}}),
        ("REMOVE", {"Keys": {"sku": {"S": "A"}}, "OldImage": {"sku": {"S": "A"}, "price": {"N": "10.9"}}}),
    ], request_id="r-change", age=timedelta(hours=2))
    ends = {"KinesisBatchInfo.startSequenceNumber": "1", "KinesisBatchInfo.endSequenceNumber": "9" * 60,
            "responseContext.executedVersion": "7"}
    parts = [dlq.kinesis(at=400 + 10 * n, status="Superset", expected=1, request_id="r-parts",
                         part=(n, n == 2), changes=ends, age=timedelta(hours=3)) for n in (1, 2)]
    queue.send(
        order, order, change, *parts,
        dlq.kinesis(at=100, shard=1, status="Partial", expected=5, request_id="r-partial", age=timedelta(hours=4)),
        dlq.nothing_left("Expired", at=200, request_id="r-expired", age=timedelta(days=2)),
        dlq.nothing_left("Gone", at=300, request_id="r-gone", age=timedelta(days=3)),
        dlq.kinesis([b'{"n":%d}' % n for n in range(3000)], at=1000, overflow=True, request_id="r-large",
                    age=timedelta(hours=5)),
        "hello", dlq.as_lambda.text(dlq.kinesis(at=1).record))
    return order, change, parts


def test_list_is_a_table_and_json_lines(tool, shop):
    snapshot("list", tool("list", "-o", "text", code=3).out)
    lines = tool("list", code=3).lines
    hydrated = [line for line in lines if "id" in line]
    assert [line["copies"] for line in hydrated if line["id"] == shop[0].id] == [2]
    assert [line["isInvocationRecord"] for line in lines if "notHydrated" in line].count(True) == 1
    large, = [line for line in hydrated if line.get("overflow")]
    assert (large["records"], large["requestId"]) == (3000, "r-large")
    assert lines[-1] == {"summary": {
        "shown": 8, "filtered": 0, "inFlight": 0, "delayed": 0, "foreign": 2, "notLookedAt": 0}}


def test_filters_narrow_the_list(tool, shop):
    def ids(*flags):
        return len([line for line in tool("list", *flags, code=3).lines if "id" in line])
    assert ids() == 8
    assert ids("--status", "Partial,gone") == 2
    assert ids("--source", "dynamodb") == ids("--function", "stock-mirror") == 1
    assert ids("--shard", "1") == 1
    assert ids("--since", "90m") == 1
    assert ids("--since", (datetime.now(timezone.utc) - timedelta(days=1)).isoformat()) == 6


def test_grep_finds_records_of_every_form(tool, shop):
    def found(pattern):
        lines = tool("list", "--grep", pattern, code=3).messages
        return {line["id"][:12]: [match["record"] for match in line["matches"]] for line in lines if "id" in line}
    order, change = shop[0].id[:12], shop[1].id[:12]
    for pattern, expected in (
            ('"orderId":"ORD-1","total":12.50,"big":12345678901234567890', {order: [1]}), ("^héllo", {order: [2]}),
            (r'"z":\[1,\{"a":"b"', {order: [3]}), ('^k1$|"n":1}', {order: [5]}), ("(?i)modify", {change: [2]}),
            ('"price":9.90', {change: [1, 2]}), ("nowhere", {})):
        found_there = {id: places for id, places in found(pattern).items() if id in (order, change)}
        assert found_there == expected, pattern
    assert [places for places in found(r'"n":2999\b').values()] == [[3000]]
    summary = tool("list", "--grep", "nowhere", code=3).lines[-1]["summary"]
    assert (summary["shown"], summary["filtered"], summary["binaryRecords"]) == (0, 8, 2)
    wrong = tool("list", "--grep", r"\p{Greek}", code=2)
    assert "Unicode" in wrong.err


def test_status_tells_two_causes_of_a_function_apart(tool, queue, function):
    failed_at_ms = int((time.time() - 3600) * 1000) + 59_000
    for number, error in enumerate(("KeyError: 'total'", "ValueError: no price in 7", "KeyError: 'name'")):
        request_id = f"a1a1ba00-c8ed-4e6c-9aa4-{number:012}"
        queue.send(dlq.kinesis(at=10 * number, request_id=request_id))
        function.log_events.append({"timestamp": failed_at_ms, "message": f"[ERROR] {request_id} {error}",
                                    "logStreamName": str(number), "eventId": "e"})
    incidents = tool("status", "--logs").messages
    assert sorted((line["log"]["error"].split(":")[0], line["batches"]) for line in incidents) == [
        ("KeyError", 2), ("ValueError", 1)]
    # Two searches a batch.
    assert len(function.searches) == 6
    assert "ValueError: no price in 7" in tool("status", "--logs", "-o", "text").out


def test_status_is_incidents_and_what_to_do_next(tool, shop):
    snapshot("status", tool("status", "-o", "text", code=3).out)
    incidents = tool("status", code=3).messages
    assert sum(line["batches"] for line in incidents) == 7


def test_show_decodes_every_kind_of_record(tool, shop):
    snapshot("show-kinesis", tool("show", shop[0].id[:8], "-o", "text").out)
    snapshot("show-dynamodb", tool("show", shop[1].id[:8], "-o", "text").out)


def test_show_limits_parts_and_the_raw_message(tool, shop):
    order, change, parts = shop
    assert tool("show", order.id, "--raw").out == order.body + "\n"
    shown, = tool("show", change.id, "--records", 2).lines
    assert [record["number"] for record in shown["shown"]] == [1, 2]
    assert len(tool("show", parts[0].id.split("-")[0]).lines) == 2
    one, = tool("show", parts[1].id[:9] + parts[1].id[64:70]).lines
    assert one["id"] == parts[1].id


def test_show_finds_the_failed_invocation_s_own_lines(tool, shop, function):
    failed_at_ms = int((time.time() - 3600) * 1000) + 59_000

    def event(offset, message, stream="one"):
        return {"timestamp": failed_at_ms + offset, "message": message, "logStreamName": stream, "eventId": "e"}
    function.log_events = [
        event(0, "START RequestId: r-before"), event(5, "END RequestId: r-before"),
        event(10, "START RequestId: r-order Version: $LATEST"),
        event(11, "[ERROR] r-order ValueError: no total\n  File \"app.py\", line 7"),
        event(12, "a line that names no request"), event(12, "of another environment", "two"),
        event(20, "END RequestId: r-order"), event(21, "after")]
    result = tool("show", shop[0].id[:8], "--logs", "--records", 1, "-o", "text").out
    log = result[result.index("The function's log"):]
    assert [line.strip() for line in log.splitlines()[1:]] == [
        "START RequestId: r-order Version: $LATEST", "[ERROR] r-order ValueError: no total",
        'File "app.py", line 7', "a line that names no request", "END RequestId: r-order"]
    assert function.searches[0]["logGroupName"] == "/aws/lambda/order-projector"


def test_without_logs_the_batch_is_shown_all_the_same(tool, shop):
    result = tool("show", shop[0].id[:8], "--logs", "-o", "text")
    assert "Records (5)" in result.out and "no line with the request id r-order" in result.err


@pytest.mark.parametrize("command", [
    ["list"], ["status"], ["show", "ID"], ["show", "ID", "--raw"], ["replay", "--all"],
    ["export", "--all", "--to", "DIR"], ["isolate", "ID"]])
def test_looking_leaves_every_message_visible(tool, queue, shop, command, tmp_path):
    before = queue.counts()
    words = [{"ID": shop[0].id, "DIR": tmp_path / "out"}.get(word, word) for word in command]
    # Two messages on the queue are not hydrated: a command that looks for all ends with 3.
    tool(*words, code=3 if command[0] in ("list", "status", "export", "replay") else 0)
    assert queue.counts() == before == (11, 0)


def test_an_error_leaves_every_message_visible_too(tool, queue, shop):
    assert "no message ffffff" in tool("show", "ffffff", code=1).err
    assert queue.counts() == (11, 0)


def test_an_interrupt_puts_back_what_was_read(tool, queue):
    queue.send(*[dlq.kinesis(at=10 * n) for n in range(300)])
    running = tool.start("list")
    dlq.until(lambda: queue.counts()[1] > 20)
    os.kill(running.pid, signal.SIGINT)
    assert running.wait(timeout=10) == 130
    assert queue.counts() == (300, 0)


@pytest.mark.long_wait
def test_a_killed_reader_hides_messages_for_a_minute_at_most(tool, queue):
    queue.send(*[dlq.kinesis(at=10 * n) for n in range(300)])
    running = tool.start("list")
    dlq.until(lambda: queue.counts()[1] > 20)
    running.kill()
    running.wait()
    killed = time.monotonic()
    assert queue.counts()[1] > 0
    dlq.until(lambda: queue.counts() == (300, 0), seconds=65)
    assert time.monotonic() - killed < 62


def test_two_thousand_messages_are_listed(tool, queue):
    queue.send(*[dlq.kinesis(at=10 * n, shard=n % 16) for n in range(2000)])
    result = tool("list")
    assert (len(result.messages), result.summary["shown"]) == (2000, 2000)
    assert queue.counts() == (2000, 0)


def test_of_a_fifo_queue_ten_a_shard_are_shown_and_it_is_said(tool, fifo):
    fifo.send(*[dlq.kinesis(at=10 * n) for n in range(12)])
    fifo.send(*[dlq.kinesis(at=10 * n, shard=1) for n in range(3)])
    result = tool("list", "--queue", fifo.url, code=3)
    assert (len(result.messages), result.summary["notLookedAt"]) == (13, 2)
    assert "about 2 not looked at" in tool("list", "--queue", fifo.url, "-o", "text", code=3).out
    assert fifo.counts() == (15, 0)


def test_messages_in_flight_and_a_redrive_policy_are_reported(tool, aws, queue):
    dead = dlq.Queue(aws)
    arn = f"arn:aws:sqs:us-east-1:123456789012:{dead.name}"
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 5})
    queue.sqs.set_queue_attributes(QueueUrl=queue.url, Attributes={"RedrivePolicy": policy})
    queue.send(dlq.kinesis(), dlq.kinesis(at=10))
    queue.sqs.receive_message(QueueUrl=queue.url, MaxNumberOfMessages=1, VisibilityTimeout=30)
    result = tool("list", code=3)
    assert (len(result.messages), result.summary["inFlight"]) == (1, 1)
    assert "can be received 4 more times" in result.err
    assert "1 message in flight" in tool("list", "-o", "text", code=3).out


def test_an_object_that_is_gone_is_said_and_never_replayed(tool, queue, function):
    batch, = queue.send(dlq.kinesis(overflow=True))
    queue.s3.delete_object(Bucket=queue.bucket, Key=f"hydrated/order-projector/2026/11/21/{batch.id}.json")
    line, = tool("list").messages
    assert (line["id"], line["records"]) == (batch.id, 2) and "is gone" in line["trouble"]
    assert "is gone" in tool("show", batch.id[:8], code=1).err
    tool("replay", "--all", "--execute", code=3)
    assert (function.invocations, queue.counts()) == ([], (1, 0))


def test_a_queue_is_found_by_name_and_by_stack(tool, aws, queue):
    queue.send(dlq.kinesis())
    stack, parked, retry = queue.name.replace("hydrated", "stack"), dlq.Queue(aws), dlq.Queue(aws)
    parked.send("{}")
    outputs = {"HydratedQueueUrl": queue.url, "ParkedQueueUrl": parked.url, "RetryQueueUrl": retry.url,
               "OverflowBucketName": queue.bucket}
    template = {"Resources": {"T": {"Type": "AWS::SNS::Topic"}},
                "Outputs": {name: {"Value": value} for name, value in outputs.items()}}
    aws.client("cloudformation").create_stack(StackName=stack, TemplateBody=json.dumps(template))
    assert len(tool("list", "--queue", queue.name).messages) == 1
    assert len(tool("list", "--stack", stack).messages) == 1
    text = tool("status", "-o", "text", DLQ_STACK=stack, DLQ_QUEUE="").out
    assert "parked queue: 1, 0 in flight, the oldest for" in text
    assert f"dlq hydrate --from-queue {parked.url} --send --delete" in text
    assert parked.counts() == (1, 0)
    assert "was not found" in tool("list", "--stack", "nosuch", code=1).err


def test_usage_errors_and_help(tool):
    for words in (["nosuch"], ["list", "--status", "Lost"], ["list", "--since", "yesterday"], ["replay"],
                  ["replay", "--all", "ab"], ["show"], ["replay", "--all", "--rate", "0"]):
        tool(*words, code=2)
    for command in ("status", "list", "show", "replay", "isolate", "export", "hydrate", "doctor", "completions"):
        assert "Examples:" in tool(command, "--help").out
    assert "Exit codes:" in tool("--help").out
    assert "_dlq()" in tool("completions", "bash").out


def test_errors_say_what_to_do(tool):
    assert "→ give --region" in tool("list", code=1, AWS_REGION="", AWS_DEFAULT_REGION="").err
    assert "--stack NAME" in tool("list", code=1, DLQ_QUEUE="").err
    assert "→ check --queue" in tool("list", "--queue", "nosuch", code=1).err
    assert "→ check the network" in tool("list", "--endpoint-url", "http://127.0.0.1:9", code=1).err


def test_colours_only_where_they_are_wanted(tool, queue):
    queue.send(dlq.kinesis())
    assert "\x1b[" not in tool("list", "-o", "text").out
    assert "\x1b[" in tool("list", "-o", "text", "--color", "always").out
    assert "\x1b[" not in tool("show", tool("list").messages[0]["id"], "-o", "text").out


def test_a_reader_that_closes_the_pipe_stops_the_command(tool, queue):
    queue.send(*[dlq.kinesis(at=10 * n) for n in range(20)])
    running = tool.start("list")
    running.stdout.close()
    assert running.wait(timeout=10) == 141
    assert queue.counts() == (20, 0)


@pytest.mark.parametrize("is_shared", [True, False])
def test_what_was_replayed_is_told_from_the_ledger(tool, queue, function, is_shared):
    batch, = queue.send(dlq.kinesis())
    where = ("--ledger", f"s3://{queue.bucket}/ledger") if is_shared else ()

    def answer(invocation):
        raise dlq.Fails()
    function.answer = answer
    tool("replay", "--all", "--execute", *where, code=3)
    listed = tool("list", *where)
    line, = listed.messages
    history, = line["history"]
    assert (history["state"], history["attempts"], history["errorType"]) == ("failed", 1, "ValueError")
    assert listed.err.count("only replays that the folder") == (0 if is_shared else 1)
    assert "error type ValueError" in tool("show", batch.id[:8], *where, "-o", "text").out
    assert "Replays: 1 failed again" in tool("status", *where, "-o", "text").out
    # A ledger that does not exist is a note, and the batch is shown all the same.
    away = tool("list", "--ledger", "s3://no-such-bucket", code=3)
    assert (len(away.messages), away.err.count("what was replayed before is not shown")) == (1, 1)


def test_log_lines_from_standard_input_name_the_record(tool, queue):
    message = dlq.kinesis([b'{"orderId":"ORD-%d","total":%d.5}' % (4000 + n, n + 1) for n in range(20)])
    queue.send(message)
    arguments = "show", message.hydration["id"], "--log-lines", "-"
    shown, = tool(*arguments, stdin="[ERROR] order ORD-4007 is closed\n").lines
    suspect, = shown["suspects"]
    assert (suspect["record"], suspect["rule"]) == (8, "loggedValue") and "ORD-4007" in suspect["reason"]
    assert suspect["sequenceNumber"] == shown["shown"][7]["sequenceNumber"]
    nobody, = tool(*arguments, stdin="Task timed out after 3.00 seconds\n").lines
    assert nobody["suspects"] == []
