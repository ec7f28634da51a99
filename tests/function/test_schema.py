"""The JSON Schema itself: it takes what the contract's page shows, and refuses what breaks it."""

import copy
import json
import re

import jsonschema
import pytest

from sandbox import mailbox
from scripts import install

SEMANTICS = (install.ROOT / "docs" / "SEMANTICS.md").read_text()
EXAMPLES = [json.loads(block) for block in re.findall(r"```json message\n(.*?)```", SEMANTICS, re.S)]


def example(status, key=""):
    return copy.deepcopy(next(
        message for message in EXAMPLES
        if message["hydration"]["status"] == status and key in json.dumps(message)))


def test_the_page_has_an_example_of_every_status():
    assert {message["hydration"]["status"] for message in EXAMPLES} >= {
        "Complete", "Superset", "Partial", "Expired", "Gone", "NoRange", "Unrecognized"}


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: message["hydration"]["status"])
def test_every_example_on_the_page_is_valid(message):
    mailbox.check(message)


def changed(message, *path, to=...):
    """The message with one thing altered, or taken out."""
    *way, last = path
    place = message
    for step in way:
        place = place[step]
    if to is ...:
        del place[last]
    else:
        place[last] = to
    return message


@pytest.mark.parametrize("broken", [
    changed(example("Complete"), "hydration"),
    changed(example("Complete"), "Records"),
    changed(example("Complete"), "Records", to=[]),
    changed(example("Complete"), "hydration", "version", to=2),
    changed(example("Complete"), "hydration", "id", to="x"),
    changed(example("Complete"), "hydration", "id", to="0" * 64 + "-0123456789abcdef"),
    changed(example("Complete"), "hydration", "status", to="complete"),
    changed(example("Complete"), "hydration", "surprise", to=1),
    changed(example("Complete"), "hydration", "missingRecords", to=1),
    changed(example("Complete"), "hydration", "reason", to="All is well with this batch."),
    changed(example("Complete"), "hydration", "firstSequenceNumber"),
    changed(example("Complete"), "hydration", "hydratedAt", to="2026-11-21 03:00:00"),
    changed(example("Complete"), "hydration", "part", to={"number": 1, "last": True}),
    changed(example("Complete"), "hydration", "decodedView", to="off"),
    changed(example("Complete"), "hydration", "source", to="dynamodb"),
    changed(example("Complete"), "payload", to="{}"),
    changed(example("Complete", "KinesisBatch"), "KinesisBatchInfo", to=None),
    changed(example("Complete", "KinesisBatch"), "DDBStreamBatchInfo",
            to={"shardId": "s", "streamArn": "arn:aws:dynamodb:us-east-1:123456789012:table/T/stream/2026"}),
    changed(example("Complete", "KinesisBatch"), "KinesisBatch"),
    changed(example("Complete", "KinesisBatch"), "Records", 0, "kinesis", "encryptionType", to="NONE"),
    changed(example("Complete", "KinesisBatch"), "Records", 0, "kinesis",
            "approximateArrivalTimestamp", to="1795228970.398"),
    changed(example("Complete", "KinesisBatch"), "Records", 0, "kinesis", "data", to="%%%"),
    changed(example("Complete", "DDBStreamBatch"), "Records", 0, "dynamodb", "OldImage", to={}),
    changed(example("Complete", "DDBStreamBatch"), "Records", 0, "dynamodb", "OldImage", to=None),
    changed(example("Complete", "DDBStreamBatch"), "Records", 0, "dynamodb", "Keys",
            to={"id": {"N": 7}}),
    changed(example("Complete", "DDBStreamBatch"), "Records", 0, "userIdentity",
            to={"Type": "Service", "PrincipalId": "x"}),
    changed(example("Superset"), "hydration", "reason"),
    changed(example("Partial"), "hydration", "missingRecords", to=0),
    changed(example("Expired"), "hydration", "recoveredRecords", to=1),
    changed(example("Gone"), "hydration", "reason"),
    changed(example("Unrecognized"), "unrecognized"),
    changed(example("Unrecognized"), "hydration", "source", to="kinesis"),
    changed(example("Unrecognized"), "KinesisBatchInfo", to={}),
    changed(example("Complete", '"object"'), "hydration", "object", to="aws/lambda/key"),
    changed(example("Unrecognized", '"object"'), "unrecognized", to="the content of the object"),
], ids=range(35))
def test_a_broken_message_is_refused(broken):
    with pytest.raises(jsonschema.ValidationError):
        mailbox.check(broken)


def test_parts_are_supersets_until_the_last():
    part = example("Superset")
    batch_id, digest = part["hydration"]["id"], "0123456789abcdef"
    part["hydration"].update(id=f"{batch_id}-{digest}", part={"number": 1, "last": False})
    mailbox.check(part)
    for suffix in ("", "-1", f"-{digest}0", f"-{digest.upper()}"):
        with pytest.raises(jsonschema.ValidationError):
            mailbox.check(changed(copy.deepcopy(part), "hydration", "id", to=batch_id + suffix))
    part["hydration"].update(status="Partial")
    with pytest.raises(jsonschema.ValidationError):
        mailbox.check(part)
    part["hydration"]["part"]["last"] = True
    mailbox.check(part)


def test_only_the_last_part_may_be_partial_and_empty():
    empty = example("Partial")
    empty["hydration"].update(recoveredRecords=0)
    for key in ("firstSequenceNumber", "lastSequenceNumber"):
        del empty["hydration"][key]
    empty.update(KinesisBatch=[], Records=[])
    with pytest.raises(jsonschema.ValidationError):
        mailbox.check(empty)
    empty["hydration"].update(id=empty["hydration"]["id"] + "-0123456789abcdef", part={"number": 2, "last": True})
    mailbox.check(empty)
    empty["hydration"]["part"]["last"] = False
    with pytest.raises(jsonschema.ValidationError):
        mailbox.check(empty)
