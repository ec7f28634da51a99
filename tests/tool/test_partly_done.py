"""Batches of which a part has run: what a second run with other choices runs, and when the message may go."""

import json

import pytest

from tests.kit import dlq
from tests.tool.test_narrow import BUY, KINDS, Mappings, numbers, superset


@pytest.fixture
def mappings(function):
    listed = Mappings()
    function.other = listed.answer
    return listed


def ran(function):
    return [number for invocation in function.invocations for number in invocation.numbers]


def may_have_been_in_the_batch(batch):
    return numbers(batch, *[place for place, kind in enumerate(KINDS) if kind == "buy"])


@pytest.mark.parametrize("first, places", [
    (("--records", "1-3"), (0, 1, 2)), (("--except", "1"), (1, 2, 3, 4, 5)), (("--records", "2,4"), (1, 3)),
    (("--except", "1,3,6"), (1, 3, 4)), (("--records", "6"), (5,))])
def test_a_narrowed_superset_leaves_when_all_of_its_batch_has_run(tool, queue, function, mappings, first, places):
    """Whatever is chosen first, the second run runs what is left of the batch, once, and only then deletes."""
    batch, = queue.send(superset())
    mappings.add([BUY])
    tool("replay", batch.id, "--include-superset", *first, "--execute", code=3)
    assert queue.counts() == (1, 0)
    assert ran(function) == numbers(batch, *places)
    tool("replay", batch.id, "--narrow", "--execute")
    assert queue.counts() == (0, 0)
    assert sorted(ran(function)) == sorted({*numbers(batch, *places), *may_have_been_in_the_batch(batch)})


def test_filters_that_change_between_the_dry_run_and_the_run_are_noticed(tool, queue, function, mappings):
    batch, = queue.send(superset())
    mappings.add([BUY])
    planned, = tool("replay", batch.id, "--narrow").messages
    assert planned["leftOut"] == 3
    # The change comes an hour after the records, and Lambda says so.
    mappings.found.clear()
    mappings.add([json.dumps({"data": {"type": ["sell"]}})], changed_hours_ago=0)
    line, = tool("replay", batch.id, "--narrow", "--execute", code=3).messages
    assert (line["action"], line["reason"]) == ("refused", "notNarrowed") and "was changed at" in line["error"]
    assert (function.invocations, queue.counts()) == ([], (1, 0))


def test_a_mapping_that_is_deleted_after_a_partial_run_deletes_nothing(tool, queue, function, mappings):
    batch, = queue.send(superset())
    mappings.add([BUY])
    tool("replay", batch.id, "--include-superset", "--records", "1,3", "--execute", code=3)
    mappings.found.clear()
    line, = tool("replay", batch.id, "--narrow", "--execute", code=3).messages
    assert line["reason"] == "notNarrowed" and queue.counts() == (1, 0)
    # All of it runs, less what has succeeded.
    tool("replay", batch.id, "--include-superset", "--execute")
    assert ran(function) == numbers(batch, 0, 2, 1, 3, 4, 5)
    assert queue.counts() == (0, 0)


def test_a_run_that_was_narrowed_by_looser_filters_counts_for_stricter_ones(tool, queue, function, mappings):
    """Filters that were changed back and forth may not make a record disappear that was never run."""
    batch, = queue.send(superset())
    mappings.add([BUY])
    tool("replay", batch.id, "--narrow", "--execute", "--keep")
    assert ran(function) == may_have_been_in_the_batch(batch)
    mappings.found.clear()
    mappings.add(KMSKeyArn="arn:aws:kms:us-east-1:123456789012:key/1", FilterCriteria=None)
    planned, = tool("replay", batch.id, "--narrow").messages
    assert planned["action"] == "wouldInvoke"
    tool("replay", batch.id, "--narrow", "--execute")
    assert sorted(ran(function)) == numbers(batch, *range(6))
    assert queue.counts() == (0, 0)


def test_a_partial_answer_to_a_narrowed_run_leaves_the_rest_of_the_batch(tool, queue, function, mappings):
    batch, = queue.send(superset())
    mappings.add([BUY])
    second = numbers(batch, 2)[0]
    function.answer = lambda invocation: {"batchItemFailures": [{"itemIdentifier": second}]}
    tool("replay", batch.id, "--narrow", "--execute", code=3)
    assert queue.counts() == (1, 0)
    function.answer = lambda invocation: None
    tool("replay", batch.id, "--narrow", "--execute")
    assert [invocation.numbers for invocation in function.invocations] == [
        numbers(batch, 0, 2, 5), numbers(batch, 2, 5)]
    assert queue.counts() == (0, 0)


def test_an_answer_that_names_a_record_that_was_left_out_is_no_success(tool, queue, function, mappings):
    batch, = queue.send(superset())
    mappings.add([BUY])
    function.answer = lambda invocation: {"batchItemFailures": [{"itemIdentifier": numbers(batch, 1)[0]}]}
    tool("replay", batch.id, "--narrow", "--execute", code=3)
    assert queue.counts() == (1, 0)
    run, = tool.runs()
    assert run["done"] == []


def parts(queue):
    """A superset in two messages, whose range spans both."""
    ends = {"KinesisBatchInfo.startSequenceNumber": str(dlq.FIRST_NUMBER),
            "KinesisBatchInfo.endSequenceNumber": str(dlq.FIRST_NUMBER + 1_000_000 * 11),
            "KinesisBatchInfo.batchSize": 4}

    def part(number, at):
        data = [json.dumps({"type": kind}).encode() for kind in KINDS]
        return dlq.kinesis(data, at=at, status="Superset", expected=4, part=(number, number == 2),
                           request_id="r-parts", changes=ends)
    return queue.send(part(1, 0), part(2, 6))


def test_the_parts_of_a_superset_are_narrowed_one_by_one_and_none_is_lost(tool, queue, function, mappings):
    first, second = parts(queue)
    mappings.add([BUY])

    def fail_on_the_second(invocation):
        if numbers(second, 2)[0] in invocation.numbers:
            raise dlq.Fails()
    function.answer = fail_on_the_second
    tool("replay", "--all", "--narrow", "--execute", code=3)
    assert queue.counts() == (1, 0)
    assert ran(function) == may_have_been_in_the_batch(first) + may_have_been_in_the_batch(second)
    # The second part by itself, without the record that fails.
    tool("replay", second.id, "--include-superset", "--except", "2-5", "--execute", code=3)
    assert queue.counts() == (1, 0)
    function.answer = lambda invocation: None
    tool("replay", second.id, "--narrow", "--execute")
    assert queue.counts() == (0, 0)
    assert [invocation.numbers for invocation in function.invocations[2:]] == [
        numbers(second, 0, 5), numbers(second, 2)]


@pytest.mark.parametrize("other", [
    # Another shape of the same failure: more records, fewer, or others in between.
    lambda: superset(KINDS[:5] + ["buy", "buy"], request_id="r-copies"),
    lambda: superset(["sell"] * 6, request_id="r-copies")])
def test_a_copy_with_other_records_is_never_deleted_unrun(tool, queue, function, mappings, other):
    one, two = superset(request_id="r-copies"), other()
    for copy in (one, two):
        copy.record["KinesisBatchInfo"].update(
            startSequenceNumber=numbers(one, 0)[0], endSequenceNumber=numbers(one, 5)[0])
        copy.hydration["id"] = one.id
    queue.send(one, two)
    mappings.add([BUY])
    for _ in range(4):
        run = tool.start("replay", "--all", "--narrow", "--execute")
        run.communicate(timeout=60)
    done = set(ran(function))
    left = [line["id"] for line in tool("list").messages]
    wanted = {record["kinesis"]["sequenceNumber"] for copy in (one, two) for record in copy.records
              if b'"buy"' in dlq.base64.b64decode(record["kinesis"]["data"])}
    assert left or wanted <= done, (wanted - done)
