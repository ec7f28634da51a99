"""Commands beside others that hold messages of the same queue."""

import signal
import subprocess
import threading
import time

import pytest

from tests.kit import dlq


def test_what_another_command_holds_is_never_left_out(tool, queue):
    """Two looks at the same moment share the messages between them, and each must say that it has not seen all."""
    queue.send(*(dlq.kinesis(at=10 * number) for number in range(40)))
    for _ in range(3):
        looks = [tool.start("list", "--output", "json") for _ in range(2)]
        for look in looks:
            out, _ = look.communicate(timeout=60)
            summary = dlq.Result(look.returncode, out, "", 0).summary
            seen = summary["shown"] + summary["inFlight"] + summary["notLookedAt"]
            assert seen >= 40, summary
            assert look.returncode == (0 if summary["shown"] == 40 else 3), summary


def test_a_copy_that_is_another_batch_is_not_deleted(tool, queue, function):
    """A second message with the id of the first, and with records and a function of its own."""
    first = dlq.kinesis(at=0)
    second = dlq.kinesis((b'{"n":7}', b'{"n":8}'), at=20, function="stock-mirror")
    second.hydration.update(id=first.id, firstSequenceNumber=first.hydration["firstSequenceNumber"],
                            lastSequenceNumber=first.hydration["lastSequenceNumber"])
    queue.send(first)
    queue.send(second)
    tool("replay", "--all", "--execute", code=3)
    assert [len(invocation.numbers) for invocation in function.invocations] == [2]
    assert sum(queue.counts()) == 1


def test_a_message_that_was_deleted_is_counted_though_the_disk_is_full(tool, queue):
    queue.send(dlq.kinesis(at=0), dlq.kinesis(at=10))
    limited = ["sh", "-c", "trap '' XFSZ; ulimit -f 0; exec \"$@\"", "sh", tool.path]
    done = subprocess.run([*map(str, limited), "discard", "--all", "--execute"], env=tool.environment,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    left = sum(queue.counts())
    assert done.returncode == 1
    assert left == 2 or f"{2 - left} message deleted" in done.stderr, (left, done.stderr)


@pytest.mark.parametrize("words", [
    ("replay", "--all", "--on", "orders"), ("replay", "--all", "--rate", "auto"), ("isolate", "{id}", "--on", "orders"),
    ("replay", "--all", "--execute", "--rate", "auto"),
])
def test_a_lambda_that_does_not_answer_a_look_up_is_no_reason_to_wait(tool, queue, function, words):
    message, = queue.send(dlq.kinesis())
    asked, answer = threading.Event(), threading.Event()

    def hang(path, body):
        asked.set()
        answer.wait(20)
        return 404, {}

    function.other = hang
    running = tool.start(*(word.format(id=message.id) for word in words))
    assert asked.wait(10)
    running.send_signal(signal.SIGINT)
    started = time.monotonic()
    running.communicate(timeout=60)
    took = time.monotonic() - started
    answer.set()
    assert running.returncode == 130
    assert took < 2.5
    assert queue.counts() == (1, 0)
