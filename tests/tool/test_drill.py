"""Drills: the compiled tool and the compiled function, with the topic and the bucket between them."""

import signal
import uuid

import pytest

from sandbox.delivery import Delivery
from sandbox.failed_batch_bucket import FailedBatchBucket
from sandbox.orders import items
from sandbox.runtime_api import Function
from tests.kit import dlq


@pytest.fixture
def delivery(aws, tool):
    """A topic and a bucket that nothing reads yet."""
    bucket = FailedBatchBucket(aws)
    with Delivery(aws, bucket.name, topic=f"failed-batches-{uuid.uuid4().hex[:8]}") as running:
        tool.environment.update(running.environment())
        yield running


@pytest.fixture
def hydrate(aws, binary, queue, delivery):
    """Starts the function behind the topic and the bucket."""
    functions = []

    def start():
        variables = {**aws.environment(), "QUEUE_URL": queue.url, "OVERFLOW_BUCKET": queue.bucket}
        functions.append(Function(binary, variables))
        delivery.hydrate_with(functions[-1])
    yield start
    for function in functions:
        function.close()


@pytest.fixture
def orders(stream, delivery):
    made, records = stream(items(30))
    delivery.map(made.arn, "order-projector")
    return made, records


def drill(stream, *flags):
    return ["doctor", "--drill", "--stream", stream.arn, *flags]


def objects(aws, bucket):
    return [item["Key"] for item in aws.client("s3").list_objects_v2(Bucket=bucket).get("Contents", [])]


def steps(result):
    return [(line["subject"].removeprefix("drill: "), line["grade"]) for line in result.lines]


def assert_holds(result, aws, queue, delivery, visible=0):
    assert {grade for _, grade in steps(result)} == {"fine"}, result.out
    assert queue.counts() == (visible, 0)
    assert objects(aws, queue.bucket) == objects(aws, delivery.bucket) == []


def test_a_drill_of_a_stream_beside_an_incident(aws, tool, queue, delivery, hydrate, orders):
    hydrate()
    made, records = orders
    queue.send(*(dlq.kinesis(at=2 * number) for number in range(25)))
    result = tool(*drill(made))
    assert_holds(result, aws, queue, delivery, visible=25)
    assert [step for step, _ in steps(result)] == ["way", "read", "report", "arrive", "compare", "clean up", "drill"]
    facts = result.lines[-1]["drill"]
    assert (facts["firstSequenceNumber"], facts["lastSequenceNumber"]) == (
        records[-10]["SequenceNumber"], records[-1]["SequenceNumber"])
    assert facts["status"] == "Complete" and facts["destination"] == delivery.topic_arn
    assert not any(record["PartitionKey"] in result.out for record in records)
    text = tool(*drill(made, "-o", "text")).out
    assert "10 records, byte for byte as read" in text and "the net holds" in text


def test_a_drill_of_a_mapping_that_reports_to_a_bucket(aws, tool, queue, delivery, hydrate, stream):
    hydrate()
    made, _ = stream([(f"key-{number}", b"x" * 200_000) for number in range(9)])
    delivery.map(made.arn, "order-projector", f"arn:aws:s3:::{delivery.bucket}")
    # The message is too large for the queue, so that it has an object in the overflow bucket, too.
    assert_holds(tool(*drill(made)), aws, queue, delivery)


def test_a_drill_of_a_table(aws, tool, queue, delivery, hydrate, table):
    hydrate()
    made = table()
    for number in range(3):
        made.put({"id": {"S": f"secret-{number}"}, "n": {"N": "1.50"}})
    delivery.map(made.arn, "stock-mirror")
    result = tool(*drill(made))
    assert_holds(result, aws, queue, delivery)
    assert "secret" not in result.out and result.lines[-1]["drill"]["records"] == 3


def test_a_function_that_is_down_and_what_comes_later(tool, queue, delivery, hydrate, orders):
    result = tool(*drill(orders[0], "--wait", "2s"), code=3)
    found = {line["subject"]: line for line in result.lines}
    assert found["drill: arrive"]["grade"] == "problem" and delivery.waiting() == 1
    command = found["drill: clean up"]["change"].split()
    hydrate()
    dlq.until(lambda: queue.counts() == (1, 0))
    listed, = tool("list").messages
    assert listed["condition"] == "Drill"
    assert tool("replay", "--all", "--execute", code=3).messages[0]["reason"] == "drill"
    assert command[0] == "dlq"
    tool(*command[1:])
    assert queue.counts() == (0, 0)


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_it_waits_leaves_nothing(tool, queue, delivery, hydrate, orders, number, code):
    queue.send(dlq.kinesis())
    running = tool.start(*drill(orders[0]))
    dlq.until(lambda: delivery.waiting() == 1)
    running.send_signal(number)
    hydrate()
    out, err = running.communicate(timeout=30)
    assert running.returncode == code, err
    assert queue.counts() == (1, 0), "the message of another is visible, and the drill's own is gone"
    assert '"subject":"drill: clean up","finding":"the message is off the queue again"' in out


def test_a_reader_that_closes_the_pipe(tool, queue, hydrate, orders):
    hydrate()
    running = tool.start(*drill(orders[0]))
    running.stdout.close()
    assert running.wait(30) == 141
    running.stderr.close()
    assert queue.counts() == (0, 0)
