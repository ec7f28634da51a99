"""Commands beside others that hold messages of the same queue."""

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
