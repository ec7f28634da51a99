"""Two machines with one ledger: real processes with state folders of their own, killed at drawn points."""

import json
import random
import re
import threading
import time
from collections import defaultdict

import pytest

from tests.kit import dlq

SHARDS = 2
BATCHES = 6


class Counting:
    """A function that takes a while, and notes what runs at the same time and how often."""

    def __init__(self):
        self.lock = threading.Lock()
        self.running, self.interleaved = defaultdict(int), []
        self.done = defaultdict(list)

    def __call__(self, invocation):
        shard = re.search(r"shardId-\d{12}", invocation.payload)[0]
        with self.lock:
            self.running[shard] += 1
            if self.running[shard] > 1:
                self.interleaved.append(shard)
        time.sleep(0.05)
        with self.lock:
            self.running[shard] -= 1
            self.done[shard] += invocation.numbers


def machines(tool, queue):
    """Two environments that share the bucket and nothing else."""
    return [{"OVERFLOW_BUCKET": queue.bucket, "XDG_STATE_HOME": str(tool.folder / name), "USER": name}
            for name in ("ana", "ben")]


def shards(queue):
    batches = [dlq.kinesis(at=10 * n, shard=shard) for n in range(BATCHES) for shard in range(SHARDS)]
    queue.send(*reversed(batches))
    return {f"shardId-{shard:012}": [record["kinesis"]["sequenceNumber"] for batch in batches
                                     for record in batch.records if batch.record["KinesisBatchInfo"]["shardId"]
                                     == f"shardId-{shard:012}"]
            for shard in range(SHARDS)}


def test_two_machines_at_once_run_nothing_twice_and_keep_the_order(tool, queue, function):
    numbers, counting = shards(queue), Counting()
    function.answer = counting
    for _ in range(20):
        runs = [tool.start("replay", "--all", "--execute", "--rate", 1000, **machine)
                for machine in machines(tool, queue)]
        ends = [(run.communicate(timeout=60), run.returncode) for run in runs]
        for (_, errors), code in ends:
            assert code in (0, 3) or "another run holds this queue" in errors, errors
        if queue.counts() == (0, 0):
            break
    assert counting.interleaved == []
    assert counting.done == numbers


@pytest.mark.long_wait
@pytest.mark.parametrize("seed", range(2))
def test_killed_at_any_point_nothing_is_lost_run_twice_or_overtaken(tool, queue, function, seed):
    """A person settles what the refusals name. The stand-in finishes what it was invoked with, as Lambda does."""
    drawn = random.Random(seed)
    numbers, counting = shards(queue), Counting()
    function.answer = counting
    one, other = machines(tool, queue)
    running = tool.start("replay", "--all", "--execute", "--rate", 20, **one)
    beside = tool.start("replay", "--all", "--execute", "--rate", 20, **other)
    time.sleep(drawn.uniform(0.1, 1.6))
    victims = [running, beside]
    drawn.shuffle(victims)
    victims[0].kill()
    for run in victims:
        run.communicate(timeout=60)
    dlq.until(lambda: not any(counting.running.values()))
    words = ("--execute", "--rate", "1000")
    refused = tool.start("replay", "--all", *words, **other)
    ended = re.findall("--ended-run ([0-9a-f]{32})", refused.communicate(timeout=100)[1])
    release = ("--ended-run", ended[0]) if ended else ()
    dlq.until(lambda: not any(counting.running.values()))
    for batch, shard, number in claims(queue):
        # The log of the function says whether it was invoked at all. Both shards have the same sequence numbers.
        word = "done" if number in counting.done[shard] else "rerun"
        tool.start("replay", batch, *words, "--in-doubt", word, *release, **other).communicate(timeout=100)
        release = ()
    if release:
        tool.start("replay", "--all", *words, "--in-doubt", "rerun", *release, **other).communicate(timeout=100)
    tool("replay", "--all", *words, **one)
    assert queue.counts() == (0, 0)
    assert counting.interleaved == []
    assert counting.done == numbers


def claims(queue):
    """The batches that are in doubt, each with its shard and its first record."""
    listed = queue.s3.list_objects_v2(Bucket=queue.bucket, Prefix="ledger/").get("Contents", [])
    bodies = [queue.s3.get_object(Bucket=queue.bucket, Key=entry["Key"])["Body"].read() for entry in listed
              if "/runs/" in entry["Key"]]
    return [(run["batch"], run["shard"]["shardId"], run["claim"]["records"][0]["first"])
            for run in map(json.loads, bodies) if "claim" in run]
