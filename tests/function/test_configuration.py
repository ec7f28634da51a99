"""The environment is checked once, at start, with an error that names the variable."""

import json

import pytest

from sandbox.mailbox import Mailbox
from sandbox.runtime_api import Function, FunctionExited


@pytest.mark.parametrize("name, value", [
    ("QUEUE_URL", None), ("QUEUE_URL", ""), ("QUEUE_URL", "hydrated-batches"),
    ("MAX_MESSAGE_BYTES", "1023"), ("MAX_MESSAGE_BYTES", "1048577"), ("MAX_MESSAGE_BYTES", "1 MiB"),
    ("MAX_MESSAGE_BYTES", "-1"), ("MAX_MESSAGE_BYTES", "1e5"), ("MAX_MESSAGE_BYTES", "9" * 40),
    ("DECODED_VIEW", "yes"), ("DECODED_VIEW", "TRUE"), ("DECODED_VIEW", "1"),
])
def test_a_bad_value_is_refused_at_start(aws, binary, name, value):
    variables = {**aws.environment(), "QUEUE_URL": aws.aws_url + "/123456789012/q", name: value}
    variables = {key: text for key, text in variables.items() if text is not None}
    with pytest.raises(FunctionExited) as refused:
        Function(binary, variables)
    assert refused.value.error["errorType"] == "InvalidConfiguration"
    assert name in refused.value.error["errorMessage"]
    line, = [json.loads(line) for line in refused.value.stdout]
    assert (line["level"], line["message"]) == ("ERROR", "configuration refused")


def test_an_empty_bucket_is_none(aws, deploy):
    hydrator = deploy(mailbox=Mailbox(aws, bucket=False), OVERFLOW_BUCKET="")
    hydrator.invoke({"Records": [{"Sns": {"Message": "x"}}]})
    assert len(hydrator.mailbox.receive()) == 1


def test_it_starts_without_the_optional_variables(deploy):
    assert deploy().function.start_seconds < 2
