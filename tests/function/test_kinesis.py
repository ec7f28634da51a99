"""Batches of Kinesis records, read back from a real-looking stream."""

import base64
import gzip
import json

from sandbox import as_lambda, kpl, orders
from sandbox.orders import items
from sandbox.seed import order_record
from tests.kit.contract import Digits, view


def test_a_batch_comes_back_as_lambda_delivered_it(hydrator, stream):
    shop, records = stream([(f"ORD-{n}", order_record(n)) for n in range(90, 210)])
    batch = records[10:110]
    hydrator.hydrated(shop.failure(batch), shop.delivered(batch))


def test_a_batch_of_one_record(hydrator, stream):
    shop, records = stream(items(3))
    hydrator.hydrated(shop.failure(records[1:2]), shop.delivered(records[1:2]))


def test_the_whole_shard_up_to_its_tip(hydrator, stream):
    shop, records = stream(items(5))
    hydrator.hydrated(shop.failure(records), shop.delivered(records))


def test_empty_data_and_odd_partition_keys(hydrator, stream):
    shop, records = stream([("κλειδί \u2028\"\\", b""), ("\ufffe\uffff\x7f", b"x"), ("k" * 256, b"\x00")])
    message = hydrator.hydrated(shop.failure(records), shop.delivered(records))
    assert message.records[0]["kinesis"]["data"] == ""


def test_a_closed_shard_is_read_to_its_end(hydrator, stream):
    shop, records = stream(items(6), region="us-east-1")
    shop.split()
    hydrator.hydrated(shop.failure(records[2:]), shop.delivered(records[2:]))


def test_another_region_and_partition_come_from_the_arn(hydrator, stream):
    for region in ("eu-west-1", "cn-north-1"):
        shop, records = stream(items(4), region=region)
        message = hydrator.hydrated(shop.failure(records), shop.delivered(records))
        assert {event["awsRegion"] for event in message.records} == {region}


def test_more_records_in_the_range_than_in_the_batch(hydrator, stream):
    shop, records = stream(items(30))
    record = shop.failure(records[5:25])
    record["KinesisBatchInfo"]["batchSize"] = 7
    hydrator.hydrated(record, shop.delivered(records[5:25]), "Superset")


def test_fewer_records_in_the_range_than_in_the_batch(hydrator, stream):
    shop, records = stream(items(10))
    record = shop.failure(records[2:8])
    record["KinesisBatchInfo"]["batchSize"] = 9
    hydrator.hydrated(record, shop.delivered(records[2:8]), "Partial", missing=3)


def test_without_a_batch_size_both_ends_are_enough(hydrator, stream):
    shop, records = stream(items(10))
    record = shop.failure(records[2:8])
    del record["KinesisBatchInfo"]["batchSize"]
    hydrator.hydrated(record, shop.delivered(records[2:8]))


def test_an_absurd_batch_size_costs_nothing(hydrator, stream):
    shop, records = stream(items(10))
    for absurd in (10 ** 18, 10 ** 30, -4, 2.5, "12", None, 0):
        record = shop.failure(records[2:8])
        record["KinesisBatchInfo"]["batchSize"] = absurd
        _, (message,) = hydrator.hydrate(record)
        assert message.records == shop.delivered(records[2:8])
        assert as_lambda.text(absurd) in message.text


def test_a_deleted_stream_is_gone(hydrator, stream):
    shop, records = stream(items(4))
    shop.delete()
    hydrator.hydrated(shop.failure(records), [], "Gone", missing=4)


def test_a_recreated_stream_is_gone(hydrator, stream):
    shop, records = stream(items(4))
    shop.recreate()
    shop.put(items(4, start=100))
    hydrator.hydrated(shop.failure(records), [], "Gone", missing=4)


# The decoded view.

def test_the_view_shows_what_each_record_is(hydrator, stream):
    order = orders.order(1)
    shown = {
        "json": (orders.json_record(order), order),
        "gzipped json": (gzip.compress(orders.json_record(order)), order),
        "text": ("Grüße, no JSON".encode(), "Grüße, no JSON"),
        "gzipped text": (gzip.compress(b"{not json"), "{not json"),
        "cut off json": (orders.json_record(order)[:-5], orders.text(order)[:-5]),
        "empty": (b"", ""),
        "binary": (orders.binary_record(1), {"binary": len(orders.binary_record(1))}),
        "gzipped binary": (gzip.compress(b"\xff\xfe\x00"), {"binary": len(gzip.compress(b"\xff\xfe\x00"))}),
        "half a gzip": (gzip.compress(b"x" * 500)[:-9], {"binary": len(gzip.compress(b"x" * 500)) - 9}),
        "scalar": (b"true", True),
        "latin-1": ("Grüße".encode("latin-1"), {"binary": 5}),
    }
    shop, records = stream([(name, data) for name, (data, _) in shown.items()])
    message = hydrator.hydrated(shop.failure(records), shop.delivered(records))
    assert dict(zip(shown, message.body["KinesisBatch"])) == {
        name: value for name, (_, value) in shown.items()}


def test_the_view_keeps_every_digit(hydrator, stream):
    text = b'{"a":12345678901234567890123456789012345678,"b":1.10,"c":1e400,"d":-0.0,"z":1,"a2":2}'
    shop, records = stream([("k", text), ("k", gzip.compress(text))])
    message = hydrator.hydrated(shop.failure(records), shop.delivered(records))
    assert view(message) == [json.loads(text, parse_float=Digits, parse_int=Digits)] * 2
    assert message.text.count(text.decode()) == 2


def test_the_view_opens_a_kpl_aggregate(hydrator, stream):
    inner = [orders.order(n) for n in range(3)]
    data = kpl.aggregate([
        ("a", orders.json_record(inner[0])), ("b", gzip.compress(orders.json_record(inner[1]))),
        ("a", b"\xff\x00"), ("c", b"words")])
    shop, records = stream([("a", data)])
    message = hydrator.hydrated(shop.failure(records), shop.delivered(records))
    assert message.body["KinesisBatch"] == [[
        {"partitionKey": "a", "data": inner[0]}, {"partitionKey": "b", "data": inner[1]},
        {"partitionKey": "a", "data": {"binary": 2}}, {"partitionKey": "c", "data": "words"}]]


def test_an_aggregate_with_a_bad_digest_is_a_plain_record(hydrator, stream):
    data = kpl.aggregate([("a", b"1")])[:-1] + b"\x00"
    shop, records = stream([("a", data)])
    message = hydrator.hydrated(shop.failure(records), shop.delivered(records))
    assert message.body["KinesisBatch"] == [{"binary": len(data)}]


def test_a_gzip_bomb_is_not_unpacked(hydrator, stream):
    bomb = gzip.compress(b"0" * 200_000_000)
    shop, records = stream([("a", bomb), ("b", b"1")])
    message = hydrator.hydrated(shop.failure(records), shop.delivered(records))
    assert message.body["KinesisBatch"] == [{"binary": len(bomb)}, 1]
    assert hydrator.function.memory_bytes("VmHWM") < 64 * 1024 * 1024


# Enhanced fan-out: the mapping hands its function the user records of an aggregate.

def test_a_consumer_gets_user_records(hydrator, stream):
    inner = [(f"ORD-{n}", orders.json_record(orders.order(n))) for n in range(3)]
    plain = ("plain", b'"alone"')
    shop, records = stream([plain, ("x", kpl.aggregate(inner)), ("y", kpl.aggregate(inner[:1]))])
    arn = shop.arn + "/consumer/projector:1789779975"
    record = shop.failure(records, arn=arn)
    record["KinesisBatchInfo"]["batchSize"] = 5

    def user_records(stored, users):
        return shop.delivered([{**stored, "PartitionKey": key, "Data": data} for key, data in users], arn)
    delivered = [
        *shop.delivered(records[:1], arn),
        *user_records(records[1], inner), *user_records(records[2], inner[:1])]
    message = hydrator.hydrated(record, delivered)
    assert message.body["KinesisBatch"][1:] == [orders.order(0), orders.order(1), orders.order(2),
                                                orders.order(0)]
    assert {event["eventSourceARN"] for event in message.records} == {arn}
    assert base64.b64decode(message.records[1]["kinesis"]["data"]) == inner[0][1]
