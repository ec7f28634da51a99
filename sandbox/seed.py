"""Data of a small shop on the emulators, and the batches of it that failed.

The demo and `make sandbox` use the same: a stream of orders with one that no
consumer understands, a table of stock, catalogue pages too large for a
queue, and a stream that was deleted and created again.
"""

from dataclasses import dataclass

from sandbox import as_lambda, orders
from sandbox.sources import KinesisStream, Table

ORDERS = 320
# Healthy records stand before and after the failed batch: they must not be hydrated.
BATCH = slice(100, 200)
POISON, GZIPPED, BINARY, AGGREGATE = 157, range(120, 130), range(140, 145), 170
AGGREGATED_ORDERS = 6
CATALOGUE_ENTRIES, CATALOGUE_ENTRY_BYTES = 48, 24_000


@dataclass
class FailedBatch:
    """A batch that Lambda gave up on."""

    title: str
    invocation_record: dict
    delivered: list  # the event's records, as the consumer got them

    @property
    def message(self):
        """The text that Lambda publishes to the topic."""
        return as_lambda.text(self.invocation_record)


def seed(aws, progress=lambda text: None):
    """All failed batches, by name."""
    batches = {}
    for name, make in (("orders", _orders), ("stock", _stock),
                       ("catalogue", _catalogue), ("returns", _returns)):
        progress(name)
        batches[name] = make(aws)
    return batches


def _orders(aws):
    stream = KinesisStream(aws, "orders")
    records = stream.put((f"ORD-{number:05}", order_record(number)) for number in range(ORDERS))
    return FailedBatch(
        "100 orders of 320, one of them poison",
        stream.failure(records[BATCH]), stream.delivered(records[BATCH]))


def order_record(number):
    """Record `number` of the order stream, in the form its producer chose."""
    if number == POISON:
        return orders.json_record(orders.poison(number))
    if number in GZIPPED:
        return orders.gzipped_record(orders.order(number))
    if number in BINARY:
        return orders.binary_record(number)
    if number == AGGREGATE:
        return orders.aggregated_record(
            [orders.order(number * 100 + inner) for inner in range(AGGREGATED_ORDERS)])
    return orders.json_record(orders.order(number))


def _stock(aws):
    table = Table(aws, "stock")
    for number, (sku, price) in enumerate(orders.GOODS):
        table.put(stock_item(sku, price, 40 + number))
    table.put(stock_item("MUG-BLUE", 10.90, 36))
    table.remove("TRAY-WALNUT")
    records = table.records()
    batch = records[-5:]
    return FailedBatch(
        "5 changes: 3 inserts, a modification, a removal",
        table.failure(batch, function="stock-auditor"), table.delivered(batch))


def stock_item(sku, price, count):
    """An item with every attribute type that is easily damaged when it is converted."""
    return {
        "id": {"S": sku},
        "price": {"N": str(price)},
        "count": {"N": str(count)},
        "ledger": {"N": "12345678901234567890123456789012345678"},
        "bins": {"NS": ["4", "17", "17.5"]},
        "tags": {"SS": ["fragile", "gift"]},
        "photo": {"B": b"\x89PNG\r\n\x1a\n\x00\xff"},
        "supplier": {"M": {"name": {"S": "Łuczak & Søn"}, "rating": {"NULL": True}}},
        "history": {"L": [{"N": "0"}, {"BOOL": True}, {"S": ""}]},
    }


def _catalogue(aws):
    stream = KinesisStream(aws, "catalogue")
    filler = "Hand-thrown stoneware, dishwasher-safe, holds three decilitres. "
    text = filler * (CATALOGUE_ENTRY_BYTES // len(filler))
    records = stream.put(
        (f"page-{number}", orders.text({"page": number, "text": text}).encode())
        for number in range(CATALOGUE_ENTRIES))
    return FailedBatch(
        f"{CATALOGUE_ENTRIES} catalogue pages, too large for one SQS message",
        stream.failure(records, function="catalogue-indexer"), stream.delivered(records))


def _returns(aws):
    stream = KinesisStream(aws, "returns")
    records = stream.put((f"RET-{number}", orders.json_record(orders.order(number)))
                         for number in range(20))
    batch = FailedBatch(
        "20 records of a stream that was deleted and created again",
        stream.failure(records, function="refunder"), [])
    stream.recreate()
    stream.put([("RET-0", orders.json_record(orders.order(0)))])
    return batch
