"""Batches of changes, read back from a table's stream."""

import pytest

from sandbox.seed import stock_item
from tests.kit.contract import view
from tests.kit.fakes import TableShard


def test_changes_come_back_as_lambda_delivered_them(hydrator, table):
    stock = table()
    for number in range(8):
        stock.put(stock_item(f"SKU-{number}", 9.9, number))
    stock.put(stock_item("SKU-3", 10.9, 2))
    stock.remove("SKU-5")
    records = stock.records()
    assert [record["eventName"] for record in records[-3:]] == ["INSERT", "MODIFY", "REMOVE"]
    hydrator.hydrated(stock.failure(records[-4:]), stock.delivered(records[-4:]))
    hydrator.hydrated(stock.failure(records), stock.delivered(records))


def test_the_view_is_plain_json(hydrator, table):
    stock = table()
    stock.put(stock_item("MUG", 9.9, 4))
    stock.put(stock_item("MUG", 10.9, 3))
    stock.remove("MUG")
    records = stock.records()
    message = hydrator.hydrated(stock.failure(records), stock.delivered(records))
    insert, modify, remove = view(message)
    new = insert["newImage"]
    assert insert == {"eventName": "INSERT", "keys": {"id": "MUG"}, "newImage": new}
    assert new == {
        "id": "MUG", "price": "9.9", "count": "4",
        "ledger": "12345678901234567890123456789012345678",  # a number: read as its digits here
        "bins": ["4", "17", "17.5"], "tags": ["fragile", "gift"], "photo": "iVBORw0KGgoA/w==",
        "supplier": {"name": "Łuczak & Søn", "rating": None},
        "history": ["0", True, ""],
    }
    assert '"ledger":12345678901234567890123456789012345678' in message.text
    assert modify["oldImage"] == new and modify["newImage"] == {**new, "price": "10.9", "count": "3"}
    assert list(remove) == ["eventName", "keys", "oldImage"]


@pytest.mark.parametrize("kind, images", [
    ("KEYS_ONLY", []), ("NEW_IMAGE", ["NewImage"]), ("OLD_IMAGE", ["OldImage"])])
def test_absent_images_are_absent(hydrator, table, kind, images):
    stock = table(view=kind)
    stock.put(stock_item("MUG", 1, 1))
    stock.put(stock_item("MUG", 2, 2))
    records = stock.records()[1:]
    message = hydrator.hydrated(stock.failure(records), stock.delivered(records))
    change = message.records[0]["dynamodb"]
    assert [image for image in ("NewImage", "OldImage") if image in change] == images


def test_a_deletion_by_time_to_live_says_who_did_it(faked, fakes):
    shard = fakes.add(TableShard("sessions", [
        ({"eventName": "REMOVE", "userIdentity": {
            "PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}},
         {"OldImage": {"id": {"S": "K0"}}}),
        ({"eventName": "REMOVE"}, {"OldImage": {"id": {"S": "K1"}}})]))
    message = faked.hydrated(shard.failure(shard.all_records), shard.delivered(shard.all_records))
    assert message.records[0]["userIdentity"] == {
        "type": "Service", "principalId": "dynamodb.amazonaws.com"}
    assert "userIdentity" not in message.records[1]


def test_every_attribute_type_survives(faked, fakes):
    item = {
        "id": {"S": "K0"}, "empty": {"S": ""}, "no bytes": {"B": b""}, "none": {"L": []},
        "nothing": {"M": {}}, "deep": {"L": [{"M": {"l": {"L": [{"NULL": True}]}}}]},
        "numbers": {"NS": ["1E+125", "-9.9999999999999999999999999999999999999E+125", "0.10"]},
        "bytes": {"BS": [b"\x00", b"\xff\xfe"]}, "é \"\\\u2028": {"SS": ["\ufffe", "ok"]},
        "flag": {"BOOL": False}, "tiny": {"N": "1E-130"},
    }
    shard = fakes.add(TableShard("types", [({}, {"NewImage": item})]))
    faked.hydrated(shard.failure(shard.all_records), shard.delivered(shard.all_records))


def test_a_long_batch_is_read_in_pages_of_a_thousand(faked, fakes):
    shard = fakes.add(TableShard("long", [({}, {})] * 1200))
    faked.hydrated(shard.failure(shard.all_records), shard.delivered(shard.all_records))
    assert [call.body["Limit"] for call in fakes.calls("GetRecords")] == [1000, 200]
    assert len(fakes.calls("GetShardIterator")) == 1


def local_shard(fakes, records=5):
    """A shard as DynamoDB Local has it: sequence numbers with leading zeros."""
    return fakes.add(TableShard("local", [({}, {})] * records, first_number=1, digits=21))


def test_leading_zeros_of_sequence_numbers_are_kept(faked, fakes):
    shard = local_shard(fakes)
    batch = shard.all_records[1:4]
    message = faked.hydrated(shard.failure(batch), shard.delivered(batch))
    first, last = "000000000000000000101", "000000000000000000301"
    assert [record["dynamodb"]["SequenceNumber"] for record in message.records][::2] == [first, last]
    assert message.hydration["firstSequenceNumber"] == first
    assert message.hydration["lastSequenceNumber"] == last
    call, = fakes.calls("GetShardIterator")
    assert call.body["SequenceNumber"] == first


def test_leading_zeros_do_not_change_which_records_are_in_the_range(faked, fakes):
    shard = local_shard(fakes)
    batch = shard.all_records[:3]
    record = shard.failure(batch)
    record["DDBStreamBatchInfo"].update(startSequenceNumber="1", endSequenceNumber="0201")
    faked.hydrated(record, shard.delivered(batch))


def test_a_trimmed_start_with_leading_zeros_is_missing(faked, fakes):
    shard = local_shard(fakes)
    shard.trimmed = 2
    faked.hydrated(shard.failure(shard.all_records), shard.delivered(shard.all_records[2:]), "Partial", missing=2)


def test_a_deleted_table_is_gone(hydrator, table):
    stock = table()
    stock.put(stock_item("MUG", 1, 1))
    records = stock.records()
    stock.delete()
    hydrator.hydrated(stock.failure(records), [], "Gone", missing=1)
