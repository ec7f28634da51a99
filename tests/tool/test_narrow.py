"""Supersets: what the mapping's filters and lanes say of their records, shown and replayed."""

import json
import time
import urllib.parse

import pytest

from tests.kit import dlq

BUY = json.dumps({"data": {"type": ["buy"]}})
KINDS = ["buy", "sell", "buy", "sell", "sell", "buy"]


@pytest.fixture
def mappings(function):
    """The event source mappings that Lambda lists, and the requests for them."""
    listed = Mappings()
    function.other = listed.answer
    return listed


class Mappings:
    def __init__(self):
        self.found, self.requests, self.error = [], [], None

    def add(self, patterns=(), factor=1, changed_hours_ago=24, **fields):
        self.found.append({
            "UUID": f"a1b2c3d4-0000-4000-8000-{len(self.found):012}", "State": "Enabled", "BatchSize": 100,
            "FilterCriteria": {"Filters": [{"Pattern": pattern} for pattern in patterns]},
            "ParallelizationFactor": factor, "LastModified": time.time() - 3600 * changed_hours_ago, **fields})

    def answer(self, path, _):
        path, _, query = path.partition("?")
        if "/event-source-mappings" not in path:
            return 404, {}
        self.requests.append(urllib.parse.parse_qs(query))
        if self.error:
            return self.error
        # A page each.
        page = int(self.requests[-1].get("Marker", ["0"])[0])
        more = {"NextMarker": str(page + 1)} if page + 1 < len(self.found) else {}
        return 200, {"EventSourceMappings": self.found[page:page + 1], **more}


def superset(kinds=KINDS, size=3, **options):
    data = [json.dumps({"type": kind, "n": n}).encode() for n, kind in enumerate(kinds)]
    return dlq.kinesis(data, status="Superset", expected=size, changes={"KinesisBatchInfo.batchSize": size}, **options)


def numbers(batch, *places):
    return [batch.records[place]["kinesis"]["sequenceNumber"] for place in places]


def test_a_superset_is_replayed_without_what_the_filters_stopped(tool, queue, function, mappings):
    batch, = queue.send(superset())
    mappings.add([BUY])
    shown, = tool("show", batch.id[:8]).lines
    assert [record["inBatch"] for record in shown["shown"]] == [
        "certain" if kind == "buy" else "excluded" for kind in KINDS]
    request, = mappings.requests
    info = batch.record["KinesisBatchInfo"]
    assert (request["EventSourceArn"], request["FunctionName"]) == (
        [info["streamArn"]], [batch.record["requestContext"]["functionArn"]])

    planned, = tool("replay", "--all", "--narrow").messages
    assert (planned["action"], planned["leftOut"], planned["isExact"]) == ("wouldInvoke", 3, True)
    assert (function.invocations, queue.counts()) == ([], (1, 0))

    line, = tool("replay", "--all", "--narrow", "--execute").messages
    assert (line["action"], line["leftOut"]) == ("replayed", 3)
    invocation, = function.invocations
    assert invocation.numbers == numbers(batch, 0, 2, 5)
    assert queue.counts() == (0, 0)
    run, = tool.runs()
    assert [(span["first"], span["last"], span["records"]) for span in run["done"]] == [
        (number, number, 1) for number in numbers(batch, 0, 2, 5)]


@pytest.mark.parametrize("keys, size, run, is_exact", [
    # One more beside those of a: only c has one.
    ("abcbba", 3, (0, 2, 5), True),
    # Two more: those of b, or those of c.
    ("abcbca", 4, range(6), False),
])
def test_keys_that_add_up_give_the_batch_of_a_parallelization_factor(
        tool, queue, function, mappings, keys, size, run, is_exact):
    batch = superset(["x"] * len(keys), size=size)
    for record, key in zip(batch.records, keys):
        record["kinesis"]["partitionKey"] = key
    queue.send(batch)
    mappings.add(factor=10)
    line, = tool("replay", "--all", "--narrow", "--execute").messages
    assert (line["action"], line["leftOut"], line["isExact"]) == ("replayed", len(keys) - len(run), is_exact)
    invocation, = function.invocations
    assert invocation.numbers == numbers(batch, *run)


def test_dynamodb_filters_and_items(tool, queue, function, mappings):
    def change(item):
        return {"Keys": {"Id": {"S": item}}, "NewImage": {"Id": {"S": item}}}
    changes = [("INSERT", change("a")), ("MODIFY", change("b")), ("INSERT", change("c")), ("REMOVE", change("a"))]
    batch = dlq.dynamodb(changes, status="Superset", expected=3)
    batch.record["DDBStreamBatchInfo"]["batchSize"] = 3
    queue.send(batch)
    mappings.add([json.dumps({"eventName": ["INSERT"]}), json.dumps({"eventName": ["REMOVE"]})])
    line, = tool("replay", "--all", "--narrow", "--execute").messages
    assert (line["action"], line["leftOut"], line["isExact"]) == ("replayed", 1, True)
    invocation, = function.invocations
    assert invocation.numbers == [batch.records[place]["dynamodb"]["SequenceNumber"] for place in (0, 2, 3)]


@pytest.mark.parametrize("change, reason", [
    (lambda mappings: None, "no event source mapping"),
    (lambda mappings: mappings.add([BUY], changed_hours_ago=0.5), "was changed at"),
    (lambda mappings: (mappings.add([BUY]), mappings.add([BUY], factor=2)), "differ in their settings"),
    (lambda mappings: mappings.add(), "fit the mapping's settings"),
    (lambda mappings: setattr(mappings, "error", (403, {"Message": "no", "__type": "AccessDeniedException"})),
     "lambda:ListEventSourceMappings"),
])
def test_nothing_is_run_where_nothing_certain_is_known(tool, queue, function, mappings, change, reason):
    batch, = queue.send(superset())
    change(mappings)
    line, = tool("replay", "--all", "--narrow", "--execute", code=3).messages
    assert (line["action"], line["reason"]) == ("refused", "notNarrowed")
    assert reason in line["error"]
    assert reason in tool("show", batch.id[:8]).lines[0]["notNarrowed"]
    assert (function.invocations, queue.counts()) == ([], (1, 0))
    tool("replay", "--all", "--narrow", "--include-superset", "--execute")
    assert function.invocations[0].numbers == numbers(batch, *range(6))


def test_encrypted_filters_leave_every_record_possible(tool, queue, function, mappings):
    batch, = queue.send(superset())
    mappings.add(KMSKeyArn="arn:aws:kms:us-east-1:123456789012:key/1", FilterCriteria=None)
    shown, = tool("show", batch.id[:8]).lines
    assert shown["narrowing"] == {"certain": 2, "possible": 4, "excluded": 0, "isExact": False}
    tool("replay", "--all", "--narrow", "--execute")
    assert function.invocations[0].numbers == numbers(batch, *range(6))
