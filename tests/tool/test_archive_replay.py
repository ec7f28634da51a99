"""The archive in the place of the queue: what a person finds there, and a replay of 2,000 messages from it."""

import http.client
import json
import re
import time
from collections import Counter
from datetime import datetime, timedelta, timezone
from hashlib import sha256

import pytest

from sandbox.orders import items
from tests.kit import dlq
from tests.kit.contract import object_key, records_digest
from tests.kit.fakes import KinesisShard, TableShard

SHARDS = 8
EXECUTE = ("--execute", "--include-superset", "--rate", "1000", "--concurrency", "8")


def place(queue):
    return f"s3://{queue.bucket}/hydrated/"


def write(queue, objects):
    """Puts objects into the bucket: pairs of a key and its text. boto3 takes several times as long."""
    connection = http.client.HTTPConnection(queue.s3.meta.endpoint_url.removeprefix("http://"), timeout=60)
    for key, text in objects:
        connection.request("PUT", f"/{queue.bucket}/{key}", text.encode(), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert (answer.read(), answer.status) == (b"", 200)
    connection.close()


def put(queue, *messages):
    """Writes messages as the function archives them."""
    write(queue, ((object_key(message.record, records_digest(message.body), message.hydration["status"]), message.body)
                  for message in messages))


def put_unrecognized(queue, number):
    def thing(index):
        digest = sha256(str(index).encode()).hexdigest()
        body = {"hydration": {"version": 1, "id": digest, "status": "Unrecognized", "reason": "It is an alarm.",
                              "recoveredRecords": 0, "hydratedAt": "2026-11-21T03:00:00.000Z",
                              "decodedView": "omitted"},
                "unrecognized": {"AlarmName": f"orders-{index}"}, "Records": []}
        key = f"hydrated/unrecognized/1970/01/01/{digest}-{sha256(b'').hexdigest()[:16]}-Unrecognized.json"
        return key, json.dumps(body)
    write(queue, map(thing, range(number)))


def names(records):
    """The shard and number of each record. A change of a table does not name its shard."""
    return [record["eventID"] if "kinesis" in record else record["dynamodb"]["SequenceNumber"] for record in records]


def has_run(function):
    return Counter(name for invocation in function.invocations
                   for name in names(json.loads(invocation.payload)["Records"]))


def test_what_the_function_archives_is_found_and_replayed(deploy, fakes, queue, tool, function):
    hydrator = deploy(fakes=fakes, ARCHIVE="true")
    orders = fakes.add(KinesisShard("orders", items(6)))
    stock = fakes.add(TableShard("stock", [({"eventName": "INSERT"}, {"Keys": {"id": {"S": "MUG"}}})]))
    for record in (orders.failure(orders.all_records, function="orders"),
                   stock.failure(stock.all_records, function="stock"), "no failed batch"):
        hydrator.hydrate(record)
    mailbox = hydrator.mailbox
    words = ("--archive", f"s3://{mailbox.bucket}/hydrated/", "--queue", mailbox.url,
             "--ledger", f"s3://{mailbox.bucket}/ledger")
    listed = tool("list", *words)
    assert sorted(line["status"] for line in listed.messages) == ["Complete", "Complete", "Unrecognized"]
    assert listed.summary["shown"] == 3
    listed = tool("list", *words, "--function", "orders", "--since", "3d").messages
    assert [line["functionArn"].split(":")[-1] for line in listed] == ["orders"]
    shown, = tool("show", listed[0]["id"][:12], *words).lines
    assert len(shown["shown"]) == 6
    objects = mailbox.objects()
    result = tool("replay", "--all", *words, "--execute", code=3)
    assert (result.summary["done"], result.summary["left"]) == (2, 1)
    assert len(function.invocations) == 2
    assert result.lines[0]["header"]["archive"] == f"s3://{mailbox.bucket}/hydrated/"
    assert set(objects) <= set(mailbox.objects())
    # The same command again runs nothing.
    tool("replay", "--all", *words, "--execute", code=3)
    assert len(function.invocations) == 2


def test_errors_about_the_place_say_what_to_do(tool, queue, aws):
    for value, advice in (("4f1c", "an id comes after it"), (f"s3://{queue.bucket}/", f"s3://{queue.bucket}/hydrated/")):
        assert advice in tool("show", "--archive", value, "4f1c", code=2).err
    assert "nothing is deleted from an archive" in tool("discard", "--all", "--archive", place(queue), code=2).err
    assert "check the bucket's name" in tool("list", "--archive", "s3://no-such-bucket-here/hydrated/", code=1).err
    assert "give --stack NAME" in tool("list", "--archive", "stack", code=1).err
    # The queue is known, the ledger is not.
    errors = tool("replay", "--all", "--archive", place(queue), code=1).err
    assert "--ledger s3://OVERFLOW_BUCKET/ledger" in errors
    put(queue, dlq.kinesis())
    looked = tool("list", "--archive", place(queue), code=3)
    assert looked.summary["shown"] == 1 and "what was replayed before is not shown" in looked.err
    nowhere = tool("list", "--archive", place(queue), code=3, DLQ_QUEUE="")
    assert nowhere.summary["shown"] == 1 and "give --stack NAME" in nowhere.err


def test_the_archive_of_a_stack_goes_with_no_other_queue(tool, queue, aws, function):
    message, stack, other = dlq.kinesis(), queue.name.replace("hydrated", "stack"), dlq.Queue(aws)
    outputs = {"HydratedQueueUrl": queue.url, "OverflowBucketName": queue.bucket}
    template = {"Resources": {"T": {"Type": "AWS::SNS::Topic"}},
                "Outputs": {name: {"Value": value} for name, value in outputs.items()}}
    aws.client("cloudformation").create_stack(StackName=stack, TemplateBody=json.dumps(template))
    put(queue, message)
    words = ("replay", "--all", "--archive", "stack", "--stack", stack, "--execute")
    tool(*words)
    assert len(function.invocations) == 1
    # The ledger of the other queue does not know that it has run.
    for named in (("--queue", other.url), ("--queue", other.name)):
        assert "has another ledger" in tool(*words, *named, code=1).err
        assert "has another ledger" in tool("list", "--archive", "stack", "--stack", stack, *named, code=3).err
    tool(*words, "--queue", queue.name)
    # Nor does another ledger, while the archive's bucket has one.
    for ledger in (str(tool.folder / "ledger"), f"s3://{queue.bucket}", f"s3://{other.bucket}/ledger"):
        refused = tool(*words, "--ledger", ledger, code=1).err
        assert f"s3://{queue.bucket}/ledger says what was replayed" in refused and "--ledger" in refused, refused
        looked = tool("list", "--archive", "stack", "--stack", stack, "--ledger", ledger, code=3)
        assert looked.summary["shown"] == 1 and "what was replayed before is not shown" in looked.err
    assert len(function.invocations) == 1


def filled(queue):
    """2,000 objects of all kinds. Returns the messages whose records must run."""
    run = [dlq.kinesis(at=10 * n, shard=shard, age=timedelta(hours=200 - n))
           for n in range(20) for shard in range(SHARDS)]
    run += [dlq.dynamodb([("INSERT", {"Keys": {"id": {"S": f"MUG-{n}"}}})], at=n) for n in range(20)]
    worse = []
    for n in range(10):
        place = {"at": 1000 + 10 * n, "shard": 20, "request_id": f"twice-{n}"}
        better = dlq.kinesis([b"1", b"2", b"3"], **place)
        ends = {f"KinesisBatchInfo.{name}": better.record["KinesisBatchInfo"][name]
                for name in ("startSequenceNumber", "endSequenceNumber")}
        run.append(better)
        worse.append(dlq.kinesis([b"1"], status="Partial", expected=3, changes=ends, **place))
    for n in range(10):
        parts = [dlq.kinesis([b"1", b"2"], at=5000 + 10 * n + 2 * part, shard=21, expected=1, status="Superset",
                             part=(part, part == 2), request_id=f"parts-{n}",
                             changes={"KinesisBatchInfo.startSequenceNumber": str(n + 1),
                                      "KinesisBatchInfo.endSequenceNumber": str(n + 2)}) for part in (1, 2)]
        run += parts
    lost = [dlq.nothing_left(status, function="mover", at=10 * n, shard=30 + n % 5, age=timedelta(days=n % 90))
            for n in range(500) for status in ("Expired", "Gone")]
    put(queue, *run, *worse, *lost)
    put_unrecognized(queue, 2000 - len(run) - len(worse) - len(lost))
    return run


def in_doubt(queue):
    """The claims without an outcome: the batch, its shard and its first record."""
    pages = queue.s3.get_paginator("list_objects_v2").paginate(Bucket=queue.bucket, Prefix="ledger/")
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", []) if "/runs/" in entry["Key"]]
    runs = [json.loads(queue.s3.get_object(Bucket=queue.bucket, Key=key)["Body"].read()) for key in keys]
    return [(run["batch"], run["shard"]["shardId"], run["claim"]["records"][0]["first"])
            for run in runs if "claim" in run]


@pytest.mark.long_wait
def test_two_thousand_messages_run_once_and_only_once(tool, queue, function):
    run = filled(queue)
    expected = Counter(name for message in run for name in names(message.records))
    ana, ben = ({"OVERFLOW_BUCKET": queue.bucket, "XDG_STATE_HOME": str(tool.folder / name), "USER": name}
                for name in ("ana", "ben"))
    # Some run from the queue, which then is emptied of the others.
    queue.send(*run[:24])
    tool("replay", "--all", "--limit", "8", *EXECUTE, **ana)
    queue.sqs.purge_queue(QueueUrl=queue.url)
    assert len(function.invocations) == 8
    words = ("replay", "--all", "--archive", place(queue), *EXECUTE)
    # All that has records, but for the changes of the table.
    most = (*words, "--function", "order-projector")
    first = tool.start(*most, **ana)
    dlq.until(lambda: len(function.invocations) > 60, 60)
    first.kill()
    first.communicate(timeout=60)
    time.sleep(0.5)
    held = tool(*words, code=1, **ben).err
    ended, = set(re.findall("--ended-run ([0-9a-f]{32})", held))
    ran, settled = has_run(function), {"rerun": [], "done": []}
    for batch, shard, number in in_doubt(queue):
        settled["done" if {number, f"{shard}:{number}"} & set(ran) else "rerun"].append(batch)
    release = ("--ended-run", ended)
    for word, batches in settled.items():
        # A batch that is done already does no harm, and the lock is released in any case.
        ids = batches or [message.id for message in run[:1] if word == "rerun"]
        if ids:
            tool("replay", *ids, "--archive", place(queue), *EXECUTE, "--in-doubt", word, *release, **ben)
            release = ()
    last = tool(*words, code=3, **ben)
    assert has_run(function) == expected
    # Nothing is left but what has no record.
    assert last.summary["left"] == 2000 - len(run) - 10
    before = len(function.invocations)
    tool(*most, **ana)
    queue.send(*run[:10])
    assert tool("replay", "--all", *EXECUTE, **ana).summary["done"] == 10
    assert (len(function.invocations), queue.counts()) == (before, (0, 0))
    kept = queue.s3.get_paginator("list_objects_v2").paginate(Bucket=queue.bucket, Prefix="hydrated/")
    assert sum(len(page["Contents"]) for page in kept) == 2000


def test_an_object_of_another_day_is_not_listed(tool, queue):
    now = datetime.now(timezone.utc)
    put(queue, *(dlq.kinesis(at=10 * days, age=timedelta(days=days)) for days in range(0, 40, 4)))
    words = ("list", "--archive", place(queue), "--ledger", str(tool.folder / "ledger"))
    for since in (3, 9, 39):
        date = (now - timedelta(days=since)).strftime("%Y-%m-%d")
        lines = tool(*words, "--since", date).messages
        assert len(lines) == len([days for days in range(0, 40, 4) if days <= since]), since
