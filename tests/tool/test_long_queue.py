"""Queues that are longer than SQS shows at a time, queues that repeat themselves, and the rate of a long replay."""

import pytest

from tests.kit import dlq, long_queue

EXECUTE = ("replay", "--all", "--execute", "--rate", 1000)


@pytest.fixture
def tool_on(tool_binary, tmp_path):
    """The tool on a queue of the stand-in."""
    return lambda queue: dlq.Dlq(tool_binary, queue.environment(), tmp_path)


@pytest.mark.long_wait
@pytest.mark.parametrize("at_limit", ["empty", "error"])
def test_a_queue_longer_than_the_limit_in_flight_is_counted_and_replayed_to_its_end(tool_on, at_limit):
    with long_queue.running(messages=250, max_in_flight=100, at_limit=at_limit) as queue:
        tool = tool_on(queue)
        for words in (["list"], ["status"], ["replay", "--all"]):
            summary = tool(*words, code=3).summary
            assert (summary["shown"], summary["notLookedAt"]) == (100, 150), words
            assert "about 150 not looked at" in tool(*words, "-o", "text", code=3).out
        assert queue.counts()["visible"] == 250
        summary = tool(*EXECUTE).summary
        assert (summary["done"], summary["left"], summary["notLookedAt"]) == (250, 0, 0)
        counts = queue.counts()
        assert (counts["visible"], counts["inFlight"]) == (0, 0)
        assert (counts["invocations"], counts["batches"]) == (250, 250)


@pytest.mark.parametrize("oddity", ["twice_every", "empty_every"])
def test_messages_that_come_twice_and_answers_that_are_empty_change_nothing(tool_on, oddity):
    with long_queue.running(messages=150, overflow_every=10, **{oddity: 3}) as queue:
        tool = tool_on(queue)
        assert tool("list").summary["shown"] == 150
        assert tool(*EXECUTE).summary["done"] == 150
        counts = queue.counts()
        assert (counts["invocations"], counts["batches"], counts["visible"], counts["inFlight"]) == (150, 150, 0, 0)


def test_a_queue_that_always_gives_the_same_messages_is_read_once(tool_on):
    with long_queue.running(messages=20, always_visible=1) as queue:
        assert tool_on(queue)("list").summary["shown"] == 20
        assert queue.counts()["calls"]["ReceiveMessage"] < 200


def concurrency(reserved=None, unreserved=None):
    """Lambda's answers about concurrency: 0 is none reserved, None is what the caller may not ask for."""
    def other(path, body):
        path = path.split("?")[0].rstrip("/")
        if path.endswith("/concurrency") and reserved is not None:
            return 200, {"ReservedConcurrentExecutions": reserved} if reserved else {}
        if path.endswith("/account-settings") and unreserved is not None:
            return 200, {"AccountLimit": {"UnreservedConcurrentExecutions": unreserved}}
        return 403, {"__type": "AccessDeniedException", "message": "not allowed"}
    return other


@pytest.mark.parametrize("answers, per_second", [
    (concurrency(reserved=12), 60), (concurrency(reserved=0, unreserved=900), 1000),
    (concurrency(reserved=0, unreserved=30), 150)])
def test_the_rate_is_taken_from_reserved_or_unreserved_concurrency(tool, queue, function, answers, per_second):
    queue.send(dlq.kinesis())
    function.other = answers
    header = tool("replay", "--all", "--rate", "auto").lines[0]["header"]
    assert header["invocationsPerSecond"] == per_second
    assert "for the concurrency of" in tool("replay", "--all", "--rate", "auto", "-o", "text").out


@pytest.mark.parametrize("answers, action", [
    (concurrency(), "lambda:GetFunctionConcurrency"), (concurrency(reserved=0), "lambda:GetAccountSettings")])
def test_the_default_rate_stands_in_where_concurrency_may_not_be_read(tool, queue, function, answers, action):
    queue.send(*(dlq.kinesis(at=10 * number) for number in range(15)))
    function.other = answers
    planned = tool("replay", "--all", "--rate", "auto")
    assert planned.lines[0]["header"]["invocationsPerSecond"] == 5
    assert action in planned.err and "--rate auto is the default rate" in planned.err
    text = tool("replay", "--all", "--rate", "auto", "-o", "text").out
    assert "It takes 3s or more, at 5 invocations a second at most" in text
    tool("replay", "--all", "--rate", "auto", "--execute")
    assert (len(function.invocations), queue.counts()) == (15, (0, 0))
