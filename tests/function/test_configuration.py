"""The environment is checked once, at start, with an error that names the variable."""

import json

import pytest

from sandbox.mailbox import Mailbox
from sandbox.runtime_api import Function, FunctionExited


@pytest.mark.parametrize("name, value", [
    ("QUEUE_URL", None), ("QUEUE_URL", ""), ("QUEUE_URL", "hydrated-batches"),
    ("MAX_MESSAGE_BYTES", "1023"), ("MAX_MESSAGE_BYTES", "1048577"), ("MAX_MESSAGE_BYTES", "1 MiB"),
    ("MAX_MESSAGE_BYTES", "-1"), ("MAX_MESSAGE_BYTES", "1e5"), ("MAX_MESSAGE_BYTES", "9" * 40),
    ("RETRY_QUEUE_URL", "retries"), ("RETRY_QUEUE_URL", "arn:aws:sqs:us-east-1:123456789012:retries"),
    ("DECODED_VIEW", "yes"), ("DECODED_VIEW", "TRUE"), ("DECODED_VIEW", "1"),
    ("ARCHIVE", "yes"), ("ARCHIVE", "TRUE"),
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


# What only shows when the first request is about to be sent (issue 7).

@pytest.mark.parametrize("variables", [
    {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "",
     "AWS_EC2_METADATA_DISABLED": "true"},
    {"AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_EC2_METADATA_DISABLED": "true"},
    {"AWS_USE_FIPS_ENDPOINT": "true"},
    {"AWS_USE_DUALSTACK_ENDPOINT": "true"},
], ids=["no-credentials", "no-region", "fips", "dual-stack"])
def test_no_request_can_be_sent(deploy, variables):
    hydrator = deploy(**variables)
    answer = hydrator.invoke({"Records": [{"Sns": {"Message": "x"}}]})
    assert answer.error["errorType"] == "InvalidConfiguration", answer.error
    line, = [line for line in answer.logs if line.get("message") == "batch failed"]
    assert line["error_type"] == "InvalidConfiguration"
    assert hydrator.mailbox.receive() == []
