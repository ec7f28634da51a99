"""The hydrated message, checked from the outside: an independent reading of the contract."""

import hashlib
import json

from sandbox import as_lambda

INFO_KEYS = {"kinesis": "KinesisBatchInfo", "dynamodb": "DDBStreamBatchInfo"}
VIEW_KEYS = {"kinesis": "KinesisBatch", "dynamodb": "DDBStreamBatch"}


def assert_hydrated(message, record, delivered, status="Complete", origin="stream",
                    view="included", missing=None, part=None, expected=..., object=None):
    """Compares a received message with the invocation record and the records that Lambda delivered."""
    body, hydration = message.body, message.body["hydration"]
    source = "kinesis" if "KinesisBatchInfo" in record else "dynamodb"
    info = record[INFO_KEYS[source]]
    kept = {key: value for key, value in record.items() if key != "payload"}

    # Key by key: the record verbatim, the verdict, the view, the records.
    assert message.text.startswith(as_lambda.text(kept)[:-1] + ',"hydration":{')
    view_key = [VIEW_KEYS[source]] if view == "included" else []
    assert list(body) == [*kept, "hydration", *view_key, "Records"]
    assert body["Records"] == delivered
    if view == "included":
        assert len(body[view_key[0]]) == len(delivered)

    if expected is ...:
        expected = info.get("batchSize")
    numbers = [_number(event) for event in delivered]
    digest = records_digest(message.text)
    wanted = {
        "version": 1,
        "id": hydration_id(record) + (f"-{digest}" if part else ""),
        "status": status,
        "expectedRecords": expected,
        "recoveredRecords": len(delivered),
        "missingRecords": missing,
        "firstSequenceNumber": numbers[0] if numbers else None,
        "lastSequenceNumber": numbers[-1] if numbers else None,
        "source": source,
        "origin": origin,
        "object": object,
        "part": part,
        "decodedView": view,
    }
    for volatile in ("reason", "hydratedAt"):
        if volatile in hydration:
            wanted[volatile] = hydration[volatile]
    assert hydration == {key: value for key, value in wanted.items() if value is not None}
    assert list(hydration) == [key for key in (
        "version", "id", "status", "reason", "expectedRecords", "recoveredRecords",
        "missingRecords", "firstSequenceNumber", "lastSequenceNumber", "source", "origin",
        "object", "hydratedAt", "part", "decodedView") if key in hydration]

    context = record.get("requestContext") or record.get("context") or {}
    attributes = {
        "hydrationId": hydration["id"],
        "hydrationStatus": status,
        "source": source,
        "functionArn": context.get("functionArn") or context.get("partnerResourceArn"),
        "condition": context.get("condition"),
        "streamArn": info["streamArn"],
        "shardId": info["shardId"],
        "recordCount": str(len(delivered)),
    }
    if message.overflow:
        assert message.overflow.split("/", 3)[3] == object_key(record, digest, status)
        attributes["ExtendedPayloadSize"] = str(len(message.text.encode()))
    assert message.attributes == {key: value for key, value in attributes.items() if value}


def hydration_id(record):
    """The stable id, computed as the contract says it."""
    info = record.get("KinesisBatchInfo") or record.get("DDBStreamBatchInfo")
    context = record.get("requestContext") or {}
    pipe = record.get("context") or {}
    lines = [
        context.get("requestId"), context.get("functionArn") or pipe.get("partnerResourceArn"),
        info["streamArn"], info["shardId"],
        info.get("startSequenceNumber"), info.get("endSequenceNumber"),
    ]
    text = "".join(f"{line or ''}\n" for line in lines)
    return hashlib.sha256(text.encode()).hexdigest()


def records_digest(text):
    """The name of a message's records: of the text between the brackets of `Records`, to the letter."""
    between = _top_level(text)["Records"].strip()[1:-1]
    return hashlib.sha256(between.encode()).hexdigest()[:16]


def object_key(record, digest, status):
    """The key of the overflow object, computed as the contract says it."""
    context = record.get("requestContext") or record.get("context") or {}
    arn = context.get("functionArn") or context.get("partnerResourceArn")
    function = arn.split(":", 5)[5].replace("/", ":").split(":")[1] if arn else "unknown"
    day = record["timestamp"][:10].replace("-", "/")
    return f"hydrated/{function}/{day}/{hydration_id(record)}-{digest}-{status}.json"


def _top_level(text):
    """The text of each value of a JSON object. A parser would not keep it: numbers and escapes have many spellings."""
    decoder, values, at = json.JSONDecoder(), {}, 1
    while text[at] != "}":
        key, at = decoder.raw_decode(text, at + (text[at] == ","))
        _, end = decoder.raw_decode(text, at + 1)
        values[key], at = text[at + 1:end], end
    return values


def event_bytes(message):
    """The size of the event that a replay of this message's records invokes."""
    return len(as_lambda.text({"Records": message.records}).encode())


def view(message):
    """The decoded view with each number as its digits in the text."""
    body = json.loads(message.text, parse_float=Digits, parse_int=Digits)
    return body.get("KinesisBatch") or body.get("DDBStreamBatch")


class Digits(str):
    """A JSON number, by its text."""


def _number(event):
    if "kinesis" in event:
        return event["kinesis"]["sequenceNumber"]
    return event["dynamodb"]["SequenceNumber"]
