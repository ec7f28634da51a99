"""Standard output that takes nothing: each command stops before its next action, and says why."""

import subprocess

import pytest

from tests.kit import dlq

COMMANDS = [
    ["list"], ["status"], ["show", "ID"], ["show", "ID", "--raw"], ["replay", "--all"],
    ["replay", "--all", "--execute"], ["discard", "--all"], ["discard", "--all", "--execute"],
    ["export", "--all", "--to", "FOLDER"], ["isolate", "ID"], ["isolate", "ID", "--execute"]]


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_full_disk_stops_each_command_before_its_next_action(tool, queue, function, words, form, tmp_path):
    batch, *_ = queue.send(*[dlq.kinesis(at=10 * n, shard=n % 3) for n in range(6)])
    words = [{"ID": batch.id, "FOLDER": str(tmp_path / "out")}.get(word, word) for word in words]
    with open("/dev/full", "w") as full:
        done = subprocess.run([tool.path, *words, "-o", form], env=tool.environment, stdin=subprocess.DEVNULL,
                              stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1 and "No space left" in done.stderr, done.stderr
    # One message may be deleted before the line about it cannot be printed.
    visible, in_flight = queue.counts()
    assert visible >= 5 and in_flight == 0
    deleted = 6 - visible
    assert len([run for run in tool.runs() if run["done"]]) + len(tool.discards()) >= deleted
