"""A night on which functions failed: a queue with every kind of loss, and a ledger with what was tried."""

import json
from datetime import timedelta

from sandbox import orders
from tests.kit import dlq

STREAM = "arn:aws:kinesis:us-east-1:123456789012:stream/"
POISON = 41


def orders_of(number, first, poison=None):
    """Records of a batch, as the shop's web server writes them."""
    make = (lambda at: orders.poison(at) if at == first + poison else orders.order(at)) if poison else orders.order
    return [json.dumps(make(at), ensure_ascii=False).encode() for at in range(first, first + number)]


def batches():
    """The messages: those to replay first, then the rest."""
    projector = [
        dlq.kinesis(orders_of(number, 1000 * place, POISON if place == 11 else None), at=1000 * place, shard=place % 4,
                    request_id=f"r-order-{place}", age=timedelta(minutes=minutes))
        for place, (number, minutes) in enumerate([
            (40, 540), (60, 520), (100, 500), (100, 470), (100, 440), (100, 430), (80, 400), (60, 330), (40, 200),
            (20, 120), (20, 60), (100, 25)])]
    catalogue = [
        dlq.kinesis(orders_of(64, 100 * place), at=100 * place, function="catalogue-indexer", stream=STREAM + "catalogue",
                    status="Partial", expected=100, request_id=f"r-catalogue-{place}", age=timedelta(minutes=minutes))
        for place, minutes in enumerate((590, 560, 545))]
    mirror = dlq.dynamodb(
        [("MODIFY", {"Keys": {"sku": {"S": "MUG-BLUE"}}, "NewImage": {"sku": {"S": "MUG-BLUE"}}})] * 12,
        request_id="r-mirror", age=timedelta(minutes=380))
    mailer = dlq.nothing_left(data=orders_of(50, 100), at=90, function="invoice-mailer", stream=STREAM + "invoices",
                              request_id="r-mailer", age=timedelta(minutes=600))
    refunder = dlq.nothing_left("Gone", data=orders_of(20, 100), at=70, function="refunder", stream=STREAM + "refunds",
                                request_id="r-refunder", age=timedelta(minutes=550))
    return [projector[0], mirror, refunder, mailer, *catalogue, *projector[1:]]


def fill(queue, tool, function):
    """Sends the messages, and one that is not hydrated; replays two and discards one."""
    failed, mirror, refunder, *others = batches()
    # One at a time: together they are more than one call takes.
    for message in (failed, mirror, refunder, *others, "a note that somebody sent by mistake"):
        queue.send(message)

    def answer(invocation):
        if "order-projector" in invocation.function:
            raise dlq.Fails("ValueError", "could not convert string to float: '12,50 €'")

    function.answer = answer
    tool("replay", failed.id, "--execute", code=3)
    tool("replay", mirror.id, "--execute")
    tool("discard", refunder.id, "--execute")
