"""Orders of a small shop: the data of the demo, the sandbox and the tests.

They are the same in every run, so that figures can be compared.
"""

import gzip
import json
import random

from sandbox import kpl

PEOPLE = ["Ana Souza", "Bjørn Dahl", "Chidi Okafor", "Dagny Lindqvist", "Emre Yılmaz",
          "Fatima Zahra", "Grace Muthoni", "Hiro Tanaka", "Ines García", "Jan Kowalski"]
GOODS = [("MUG-BLUE", 9.90), ("TEA-EARL-GREY", 6.45), ("KETTLE-1L", 39.00),
         ("SPOON-OAK", 3.20), ("HONEY-250G", 7.80), ("TRAY-WALNUT", 24.50)]
CITIES = ["Lisbon", "Oslo", "Lagos", "Uppsala", "İzmir", "Rabat", "Nairobi", "Kyoto", "Gijón", "Łódź"]


def order(number):
    """Order `number`, as the shop's web server writes it."""
    chance = random.Random(number)
    lines = [
        {"sku": sku, "quantity": chance.randint(1, 4), "price": price}
        for sku, price in chance.sample(GOODS, chance.randint(1, 3))
    ]
    total = sum(line["quantity"] * line["price"] for line in lines)
    who = chance.randrange(len(PEOPLE))
    return {
        "orderId": f"ORD-{number:05}",
        "total": round(total, 2),
        "currency": "EUR",
        "customer": {"name": PEOPLE[who], "city": CITIES[who]},
        "lines": lines,
    }


def poison(number):
    """An order that makes its consumer fail: its total is a sentence."""
    return {**order(number), "total": "12,50 € (see note)"}


def text(order):
    return json.dumps(order, ensure_ascii=False, separators=(",", ":"))


def json_record(order):
    return text(order).encode()


def gzipped_record(order):
    return gzip.compress(json_record(order), mtime=0)


def binary_record(number):
    """A label for a printer: text in no encoding."""
    return b"\x89LBL\r\n\x1a\xff" + random.Random(number).randbytes(120)


def aggregated_record(orders):
    return kpl.aggregate([(order["orderId"], json_record(order)) for order in orders])


def items(count, start=0):
    """Pairs of partition key and data: `count` orders as JSON."""
    return [(f"ORD-{n}", json_record(order(n))) for n in range(start, start + count)]
