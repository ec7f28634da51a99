"""Replay: the functions it invokes, the messages it deletes and those it leaves, after every kind of failure."""

import os
import re
import signal
import threading
import time

import pytest

from tests.kit import dlq
from tests.kit.dlq import Fails, HangsUp, Refuses


def test_a_dry_run_invokes_and_deletes_nothing(tool, queue, function):
    queue.send(dlq.kinesis(), dlq.kinesis(at=10, status="Superset", expected=1), dlq.nothing_left(at=20))
    lines = tool("replay", "--all").messages
    assert sorted((line["action"], line.get("reason")) for line in lines) == [
        ("wouldInvoke", None), ("wouldRefuse", "nothingToRun"), ("wouldRefuse", "superset")]
    assert (function.invocations, queue.counts(), tool.runs()) == ([], (3, 0), [])


def test_the_function_gets_exactly_what_lambda_delivered(tool, queue, function):
    batch, = queue.send(dlq.kinesis((b'{"n":1.10}', b"\xff\x00")))
    line, = tool("replay", batch.id[:8], "--execute").messages
    assert line["action"] == "replayed"
    invocation, = function.invocations
    assert invocation.payload == batch.event
    assert invocation.function == batch.record["requestContext"]["functionArn"]
    assert queue.counts() == (0, 0)
    run, = tool.runs()
    assert [attempt["outcome"] for attempt in run["attempts"]] == ["succeeded"] and "claim" not in run


def test_another_function_may_be_named_and_its_runs_do_not_count(tool, queue, function):
    batch, = queue.send(dlq.kinesis())
    tool("replay", "--all", "--execute", "--on", "orders:fixed")
    fixed = "arn:aws:lambda:us-east-1:123456789012:function:orders:fixed"
    assert [invocation.function for invocation in function.invocations] == [fixed]
    assert queue.counts() == (1, 0)
    other = batch.record["requestContext"]["functionArn"].replace("123456789012", "999999999999")
    tool("replay", "--all", "--execute", "--on", other)
    line, = tool("replay", "--all", "--execute").messages
    assert (line["action"], len(function.invocations), queue.counts()) == ("replayed", 3, (0, 0))


def test_a_function_that_does_not_exist_is_an_error_before_anything_is_read(tool, queue, function):
    queue.send(dlq.kinesis())
    assert "nosuch" in tool("replay", "--all", "--execute", "--on", "nosuch", code=1).err
    assert (function.invocations, queue.counts()) == ([], (1, 0))


def test_what_is_not_lambdas_answer_is_no_success(tool, queue, function):
    queue.send(dlq.kinesis())
    function.version = None
    line, = tool("replay", "--all", "--execute", code=3).messages
    assert (line["action"], queue.counts()) == ("inDoubt", (1, 0))


def test_all_records_but_one_are_run_and_the_message_stays(tool, queue, function):
    batch, = queue.send(dlq.kinesis([b"%d" % n for n in range(100)]))
    numbers = [record["kinesis"]["sequenceNumber"] for record in batch.records]
    line, = tool("replay", batch.id, "--except", 58, "--execute", code=3).messages
    assert (line["action"], line["remaining"], queue.counts()) == ("partlyDone", 1, (1, 0))
    tool("replay", batch.id, "--records", numbers[57], "--execute")
    assert [i.numbers for i in function.invocations] == [numbers[:57] + numbers[58:], numbers[57:58]]
    assert queue.counts() == (0, 0)


def test_a_shard_runs_in_its_order_and_others_beside_it(tool, queue, function):
    batches = [dlq.kinesis(at=10 * n, shard=shard) for n in range(6) for shard in (0, 1)]
    queue.send(*reversed(batches))
    tool("replay", "--all", "--execute", "--rate", 1000)
    for shard in (0, 1):
        expected = [batch.event for batch in batches
                    if batch.record["KinesisBatchInfo"]["shardId"].endswith(str(shard))]
        name = f'shardId-{shard:012}'
        assert [i.payload for i in function.invocations if name in i.payload] == expected
    assert queue.counts() == (0, 0)


def test_a_failure_keeps_the_message_and_holds_back_its_shard(tool, queue, function):
    first, second = queue.send(dlq.kinesis(), dlq.kinesis(at=10))
    other, = queue.send(dlq.kinesis(shard=1))

    def answer(invocation):
        if invocation.payload == first.event:
            raise Fails("ValueError", "secret-order-17")
    function.answer = answer
    lines = tool("replay", "--all", "--execute", code=3).messages
    assert {line["id"]: line["action"] for line in lines} == {
        first.id: "failed", second.id: "heldBack", other.id: "replayed"}
    assert queue.counts() == (2, 0)
    assert "secret-order-17" not in str(tool.runs())
    attempts = [attempt for run in tool.runs() for attempt in run["attempts"]]
    assert [attempt["errorType"] for attempt in attempts if attempt["outcome"] == "failed"] == ["ValueError"]

    function.answer = lambda invocation: None
    tool("replay", "--all", "--execute")
    assert queue.counts() == (0, 0)
    assert len(function.invocations) == 4


def test_keep_going_runs_what_is_behind_a_failure(tool, queue, function):
    first, second = queue.send(dlq.kinesis(), dlq.kinesis(at=10))

    def answer(invocation):
        if invocation.payload == first.event:
            raise Fails()
    function.answer = answer
    tool("replay", "--all", "--execute", "--keep-going", code=3)
    assert queue.counts() == (1, 0)


def test_it_stops_when_too_many_fail(tool, queue, function):
    def answer(invocation):
        raise Fails()
    function.answer = answer
    queue.send(*[dlq.kinesis(shard=shard) for shard in range(9)])
    lines = tool("replay", "--all", "--execute", "--max-failures", 2, "--concurrency", 1, code=3).messages
    assert [line["action"] for line in lines].count("stopped") == 7
    assert (len(function.invocations), queue.counts()) == (2, (9, 0))


def test_a_partial_answer_leaves_only_what_remains(tool, queue, function):
    batch, = queue.send(dlq.kinesis([b"%d" % n for n in range(5)]))
    numbers = [record["kinesis"]["sequenceNumber"] for record in batch.records]
    function.answer = lambda invocation: {"batchItemFailures": [{"itemIdentifier": numbers[3]}]}
    line, = tool("replay", "--all", "--execute", code=3).messages
    assert (line["action"], line["remaining"]) == ("failed", 2)
    assert queue.counts() == (1, 0)
    function.answer = lambda invocation: {"batchItemFailures": []}
    tool("replay", "--all", "--execute")
    assert [i.numbers for i in function.invocations] == [numbers, numbers[3:]]
    assert queue.counts() == (0, 0)


def test_copies_of_one_failure_run_once(tool, queue, function):
    batch = dlq.kinesis()
    queue.send(batch, batch, batch)
    tool("replay", "--all", "--execute")
    assert (len(function.invocations), queue.counts()) == (1, (0, 0))


def test_a_copy_that_comes_later_is_deleted_without_a_second_run(tool, queue, function):
    batch, = queue.send(dlq.kinesis())
    tool("replay", "--all", "--execute")
    queue.send(batch)
    line, = tool("replay", "--all", "--execute").messages
    assert line["action"] == "deleted"
    assert (len(function.invocations), queue.counts()) == (1, (0, 0))


def test_a_superset_runs_only_when_asked(tool, queue, function):
    ends = {"KinesisBatchInfo.startSequenceNumber": "1",
            "KinesisBatchInfo.endSequenceNumber": "9" * 60}
    parts = [dlq.kinesis([b"%d" % n], at=n, status="Superset", expected=1, request_id="r",
                         part=(n, n == 3), changes=ends) for n in (1, 2, 3)]
    queue.send(*reversed(parts))
    tool("replay", parts[0].id[:10], "--execute", code=3)
    assert (function.invocations, queue.counts()) == ([], (3, 0))
    tool("replay", parts[0].id[:10], "--execute", "--include-superset")
    assert [i.payload for i in function.invocations] == [part.event for part in parts]


def test_overflow_is_fetched_and_its_object_left_to_its_lifecycle(tool, queue, function):
    batch, = queue.send(dlq.kinesis([b"x" * 1000] * 400, overflow=True))
    tool("replay", "--all", "--execute")
    assert function.invocations[0].payload == batch.event
    assert queue.counts() == (0, 0)
    assert queue.s3.list_objects_v2(Bucket=queue.bucket)["KeyCount"] == 1


def test_what_is_too_large_to_invoke_is_refused(tool, queue, function):
    queue.send(dlq.kinesis([b"x" * 1_000_000] * 5, overflow=True))
    line, = tool("replay", "--all").messages
    assert (line["action"], line["reason"]) == ("wouldRefuse", "tooLarge")


def test_throttling_is_waited_for(tool, queue, function):
    queue.send(dlq.kinesis())

    def answer(invocation):
        if len(function.invocations) < 3:
            raise Refuses()
    function.answer = answer
    tool("replay", "--all", "--execute")
    assert (len(function.invocations), queue.counts()) == (3, (0, 0))


def test_a_refusal_says_what_to_do_and_nothing_is_in_doubt(tool, queue, function):
    queue.send(dlq.kinesis())

    def answer(invocation):
        raise Refuses("AccessDeniedException", 403)
    function.answer = answer
    line, = tool("replay", "--all", "--execute", code=3).messages
    assert "lambda:InvokeFunction" in line["error"] and "allow the action" in line["error"]
    function.answer = lambda invocation: None
    tool("replay", "--all", "--execute")
    assert queue.counts() == (0, 0)


@pytest.mark.long_wait
def test_a_connection_that_breaks_leaves_the_batch_in_doubt(tool, queue, function):
    queue.send(dlq.kinesis())

    def answer(invocation):
        raise HangsUp
    function.answer = answer
    line, = tool("replay", "--all", "--execute", code=3).messages
    assert line["action"] == "inDoubt"
    assert len(function.invocations) == 1
    function.answer = lambda invocation: None
    line, = tool("replay", "--all", "--execute", code=3).messages
    assert (line["reason"], len(function.invocations)) == ("inDoubt", 1)
    tool("replay", "--all", "--execute", "--in-doubt", "rerun")
    assert (len(function.invocations), queue.counts()) == (2, (0, 0))


@pytest.mark.long_wait
def test_what_was_in_doubt_may_be_called_done(tool, queue, function):
    queue.send(dlq.kinesis())

    def answer(invocation):
        raise HangsUp
    function.answer = answer
    tool("replay", "--all", "--execute", code=3)
    tool("replay", "--all", "--execute", "--in-doubt", "done")
    assert (len(function.invocations), queue.counts()) == (1, (0, 0))


def test_no_lambda_to_talk_to_is_no_doubt(tool, queue):
    queue.send(dlq.kinesis())
    line, = tool("replay", "--all", "--execute", code=3,
                 AWS_ENDPOINT_URL_LAMBDA="http://127.0.0.1:9").messages
    assert line["action"] == "failed"


@pytest.mark.long_wait
def test_killed_while_invoking_nothing_is_lost_or_run_twice(tool, queue, function):
    batch, = queue.send(dlq.kinesis())
    function.answer = lambda invocation: time.sleep(30)
    running = tool.start("replay", "--all", "--execute")
    dlq.until(lambda: function.invocations)
    running.kill()
    running.wait()
    assert queue.counts() == (0, 1)  # hidden for a minute at most, then back by itself
    queue.send(batch)  # what the minute does, and no emulator can skip
    function.answer = lambda invocation: None
    run, = re.findall("--ended-run ([0-9a-f]{32})", tool("replay", "--all", "--execute", code=1).err)
    wrong = ("--in-doubt", "rerun", "--ended-run", "0" * 32)
    assert "another run holds this queue" in tool("replay", "--all", "--execute", *wrong, code=1).err
    assert len(function.invocations) == 1
    # It waits until the dead run's message is visible again.
    tool("replay", "--all", "--execute", "--in-doubt", "rerun", "--ended-run", run)
    assert (len(function.invocations), queue.counts()) == (2, (0, 0))


@pytest.mark.long_wait
def test_killed_between_the_outcome_and_the_deletion_only_the_deletion_is_left(
        tool, queue, function, queue_proxy):
    queue.send(dlq.kinesis())
    deleting, over = threading.Event(), threading.Event()

    def meet(action, _):
        if action.startswith("DeleteMessage"):
            deleting.set()
            over.wait(60)
            raise Refuses("InternalError", 500)
    running = tool.start("replay", "--all", "--execute", **queue_proxy(meet))
    assert deleting.wait(20), "the function has answered, and its message is about to be deleted"
    running.kill()
    running.wait()
    over.set()
    assert (len(function.invocations), queue.counts()) == (1, (0, 1))
    run, = tool.runs()
    assert [attempt["outcome"] for attempt in run["attempts"]] == ["succeeded"] and "claim" not in run
    ended, = re.findall("--ended-run ([0-9a-f]{32})", tool("replay", "--all", "--execute", code=1).err)
    # It waits until the dead run's message is visible again, deletes it, and invokes nothing.
    line, = tool("replay", "--all", "--execute", "--in-doubt", "rerun", "--ended-run", ended).messages
    assert (line["action"], len(function.invocations), queue.counts()) == ("deleted", 1, (0, 0))


@pytest.mark.long_wait
def test_a_message_that_cannot_be_kept_from_others_ends_the_run(tool, queue, function, refused_extensions):
    queue.send(dlq.kinesis(), dlq.kinesis(at=10), dlq.kinesis(at=20))
    proxy, until_refused = refused_extensions
    function.answer = lambda invocation: until_refused() or time.sleep(1)
    result = tool("replay", "--all", "--execute", code=1, **proxy)
    assert "could not be kept from others, so nothing more is started" in result.err
    assert (len(function.invocations), queue.counts()) == (1, (2, 0))


def test_a_replay_that_is_done_and_kept_is_only_deleted_by_the_next(tool, queue, function):
    batch, = queue.send(dlq.kinesis())
    tool("replay", "--all", "--execute", "--keep")
    line, = tool("replay", "--all", "--execute").messages
    assert (line["action"], len(function.invocations), queue.counts()) == ("deleted", 1, (0, 0))


@pytest.mark.parametrize("wish, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 130)])
def test_an_interrupt_finishes_what_runs_and_puts_the_rest_back(tool, queue, function, wish, code):
    queue.send(*[dlq.kinesis(at=10 * n) for n in range(5)])
    function.answer = lambda invocation: time.sleep(1)
    running = tool.start("replay", "--all", "--execute")
    dlq.until(lambda: function.invocations)
    os.kill(running.pid, wish)
    _, errors = running.communicate(timeout=20)
    assert running.returncode == code, errors
    assert "visible again" in errors
    assert (len(function.invocations), queue.counts()) == (1, (4, 0))
    run, = tool.runs()
    assert [attempt["outcome"] for attempt in run["attempts"]] == ["succeeded"]


def test_a_second_interrupt_does_not_wait(tool, queue, function):
    queue.send(dlq.kinesis())
    function.answer = lambda invocation: time.sleep(30)
    running = tool.start("replay", "--all", "--execute")
    dlq.until(lambda: function.invocations)
    os.kill(running.pid, signal.SIGINT)
    time.sleep(0.5)
    os.kill(running.pid, signal.SIGINT)
    assert running.wait(timeout=10) == 130
    assert queue.counts() == (1, 0)


def test_two_replays_at_once_are_one_too_many(tool, queue, function):
    queue.send(dlq.kinesis())
    function.answer = lambda invocation: time.sleep(2)
    running = tool.start("replay", "--all", "--execute")
    dlq.until(lambda: function.invocations)
    result = tool("replay", "--all", "--execute", code=1)
    assert "another run holds this queue" in result.err
    assert running.wait(timeout=20) == 0


def test_a_fifo_queue_is_worked_through_ten_by_ten(tool, fifo, function):
    batches = fifo.send(*[dlq.kinesis(at=10 * n) for n in range(25)])
    result = tool("replay", "--all", "--execute", "--rate", 1000, DLQ_QUEUE=fifo.url)
    assert [i.payload for i in function.invocations] == [batch.event for batch in batches]
    assert fifo.counts() == (0, 0)
    assert (result.summary["done"], result.summary["left"]) == (25, 0)


def test_a_function_is_not_given_the_batches_of_others_by_mistake(tool, queue, function):
    queue.send(dlq.kinesis(), dlq.kinesis(at=10, function="mailer"))
    result = tool("replay", "--all", "--execute", "--on", "mailer", code=1)
    assert "--function" in result.err and function.invocations == []
    tool("replay", "--all", "--execute", "--on", "mailer:2", "--function", "mailer", "--delete")
    assert [invocation.function[-9:] for invocation in function.invocations] == [":mailer:2"]
    assert queue.counts() == (1, 0)


def test_function_is_the_one_that_failed(tool, queue, function):
    batch, other = queue.send(dlq.kinesis(), dlq.kinesis(at=10, function="mailer"))
    tool("replay", "--all", "--function", "mailer", "--execute")
    assert [i.function for i in function.invocations] == [other.record["requestContext"]["functionArn"]]
    assert queue.counts() == (1, 0)


def test_the_ledger_is_in_the_bucket_and_another_machine_sees_it(tool, queue, function):
    queue.send(dlq.kinesis())

    def answer(invocation):
        raise HangsUp
    function.answer = answer
    tool("replay", "--all", "--execute", code=3, OVERFLOW_BUCKET=queue.bucket)
    elsewhere = {"OVERFLOW_BUCKET": queue.bucket, "XDG_STATE_HOME": str(tool.folder / "elsewhere")}
    line, = tool("replay", "--all", "--execute", code=3, **elsewhere).messages
    assert (line["reason"], len(function.invocations)) == ("inDoubt", 1)
    keys = [entry["Key"] for entry in queue.s3.list_objects_v2(Bucket=queue.bucket)["Contents"]]
    assert {key.split("/")[0] for key in keys} == {"ledger"} and len(keys) == 2
    assert tool.runs() == []


def test_a_closed_pipe_stops_the_run(tool, queue, function):
    queue.send(*[dlq.kinesis(at=10 * n) for n in range(5)])
    running = tool.start("replay", "--all", "--execute")
    running.stdout.close()
    assert running.wait(timeout=20) == 141
    assert (len(function.invocations), queue.counts()) == (0, (5, 0))
