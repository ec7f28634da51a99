"""Each role may make the calls that are made with it, and no others."""

import re

import botocore.session
import pytest
from botocore import xform_name

from tests.infra.policies import grants, inline_size, listed, role_documents, statements
from tests.infra.templates import KINESIS_STREAM, ROOT, TABLE_STREAM, TEMPLATES, core, dynamodb_source, kinesis_source

# Every AWS operation that the adapters call, by the SDK crate it is in, and the action that authorises it.
CALLS = {
    "kinesis": {"GetShardIterator": "kinesis:GetShardIterator", "GetRecords": "kinesis:GetRecords"},
    "dynamodbstreams": {"GetShardIterator": "dynamodb:GetShardIterator", "GetRecords": "dynamodb:GetRecords"},
    "sqs": {"SendMessage": "sqs:SendMessage"},
    "s3": {"PutObject": "s3:PutObject"},
}
ADAPTERS = ROOT / "crates" / "hydration-aws" / "src"
CORE = core()
ROLE = CORE.outputs["HydrateRoleName"]
KEY = "arn:aws:kms:eu-west-1:123456789012:key/99998888-7777-6666-5555-444433332222"

HYDRATED, RETRY = CORE.outputs["HydratedQueueArn"], CORE.resolve({"Fn::GetAtt": ["RetryQueue", "Arn"]})
OVERFLOW = CORE.resolve({"Fn::Sub": "${OverflowBucket.Arn}/hydrated/*"})
LOGS = CORE.resolve({"Fn::GetAtt": ["HydrateLogGroup", "Arn"]})
# What Lambda itself does with the function's role.
BY_LAMBDA = {
    ("sqs:SendMessage", RETRY),  # the asynchronous on-failure destination
    ("sqs:ReceiveMessage", RETRY), ("sqs:DeleteMessage", RETRY), ("sqs:GetQueueAttributes", RETRY),  # the mapping
    ("logs:CreateLogStream", LOGS), ("logs:PutLogEvents", LOGS),
    ("xray:PutTraceSegments", "*"), ("xray:PutTelemetryRecords", "*"),  # X-Ray has no resources to name
}
DELIVERY = {
    (CALLS["sqs"]["SendMessage"], HYDRATED),
    (CALLS["sqs"]["SendMessage"], RETRY),  # the rest of a range that is too long for one invocation
    (CALLS["s3"]["PutObject"], OVERFLOW),
}


def hydrator_grants(*stacks):
    return grants([document for stack in stacks for document in role_documents(stack, ROLE)])


def test_the_table_of_calls_is_what_the_adapters_call():
    session = botocore.session.Session()
    operations = {}
    for crate in CALLS:
        names = session.get_service_model(crate).operation_names
        operations[crate] = {xform_name(name): name for name in names}
    called = {crate: set() for crate in CALLS}
    for file in sorted(ADAPTERS.rglob("*.rs")):
        text = re.sub(r"//.*", "", file.read_text())
        # A builder method without arguments that bears the name of an operation of a service that the file uses.
        crates = {crate for crate in CALLS if f"aws_sdk_{crate}" in text}
        for method in re.findall(r"\.([a-z_0-9]+)\(\)", text):
            for crate in crates:
                if method in operations[crate]:
                    called[crate].add(operations[crate][method])
    assert called == {crate: set(actions) for crate, actions in CALLS.items()}


def test_no_adapter_is_for_a_service_outside_the_table():
    manifests = [*ROOT.glob("crates/hydration*/Cargo.toml"), ROOT / "functions/hydrate/Cargo.toml"]
    crates = {match for file in manifests for match in re.findall(r"aws-sdk-([a-z0-9]+)", file.read_text())}
    assert crates == set(CALLS)


def test_the_core_stack_alone_can_deliver_and_read_no_stream():
    assert hydrator_grants(CORE) == DELIVERY | BY_LAMBDA
    assert not any(action.startswith(("kinesis:", "dynamodb:")) for action, _ in hydrator_grants(CORE))


def test_a_kinesis_source_adds_its_stream_and_nothing_else():
    added = hydrator_grants(CORE, kinesis_source(CORE)) - hydrator_grants(CORE)
    assert added == {(action, KINESIS_STREAM) for action in CALLS["kinesis"].values()}


def test_a_dynamodb_source_adds_its_stream_and_nothing_else():
    added = hydrator_grants(CORE, dynamodb_source(CORE)) - hydrator_grants(CORE)
    assert added == {(action, TABLE_STREAM) for action in CALLS["dynamodbstreams"].values()}


def test_a_consumer_is_read_through_its_stream():
    """GetRecords knows no consumers: the grant is on the stream, the mapping on the consumer."""
    consumer = KINESIS_STREAM + "/consumer/orders:1789779975"
    source = kinesis_source(CORE, ConsumerArn=consumer)
    assert source.properties("Mapping")["EventSourceArn"] == consumer
    assert {resource for _, resource in hydrator_grants(source)} == {KINESIS_STREAM}


@pytest.mark.parametrize("source, parameter, service", [
    (kinesis_source, "StreamKeyArn", "kinesis"), (dynamodb_source, "TableKeyArn", "dynamodb")])
def test_a_streams_own_key_may_be_used_through_that_service_alone(source, parameter, service):
    without, with_key = source(CORE), source(CORE, **{parameter: KEY})
    assert hydrator_grants(with_key) - hydrator_grants(without) == {("kms:Decrypt", KEY)}
    assert via_services(role_documents(with_key, ROLE)) == {f"{service}.eu-west-1.amazonaws.com*"}


@pytest.mark.parametrize("source", [kinesis_source, dynamodb_source])
@pytest.mark.parametrize("create", ["yes", "no"])
def test_the_sources_role_may_publish_with_the_topics_key_and_nothing_else(source, create):
    documents = role_documents(source(CORE, CreateMapping=create), "orders-role")
    topic, key = CORE.outputs["FailedBatchTopicArn"], CORE.outputs["TopicKeyArn"]
    assert grants(documents) == {("sns:Publish", topic), ("kms:GenerateDataKey", key), ("kms:Decrypt", key)}
    assert via_services(documents) == {"sns.eu-west-1.amazonaws.com*"}


def test_a_customer_key_may_be_used_for_queues_and_overflow_alone():
    stack = core(KmsKeyArn=KEY)
    documents = role_documents(stack, stack.outputs["HydrateRoleName"])
    assert grants(documents) - hydrator_grants(CORE) == {("kms:GenerateDataKey", KEY), ("kms:Decrypt", KEY)}
    assert via_services(documents) == {"sqs.eu-west-1.amazonaws.com*", "s3.eu-west-1.amazonaws.com*"}


def test_an_existing_queue_and_its_key_take_the_place_of_ours():
    queue = "arn:aws:sqs:eu-west-1:123456789012:failed-orders.fifo"
    stack = core(ExistingQueueArn=queue, ExistingQueueKmsKeyArn=KEY)
    found = grants(role_documents(stack, stack.outputs["HydrateRoleName"]))
    assert ("sqs:SendMessage", queue) in found and ("sqs:SendMessage", HYDRATED) not in found
    assert found - hydrator_grants(CORE) == {
        ("sqs:SendMessage", queue), ("kms:GenerateDataKey", KEY), ("kms:Decrypt", KEY)}
    variables = stack.properties("HydrateFunction")["Environment"]["Variables"]
    assert variables["QUEUE_URL"] == "https://sqs.eu-west-1.amazonaws.com/123456789012/failed-orders.fifo"
    assert stack.outputs["HydratedQueueUrl"] == variables["QUEUE_URL"]
    assert "HydratedQueue" not in stack.resources


@pytest.mark.parametrize("parameters", [{}, {"KmsKeyArn": KEY}])
def test_the_only_wildcard_resource_of_a_role_is_x_rays(parameters):
    stack = core(**parameters)
    source = kinesis_source(stack, StreamKeyArn=KEY)
    role = stack.outputs["HydrateRoleName"]
    documents = [*role_documents(stack, role), *role_documents(source, role), *role_documents(source, "orders-role")]
    wild = {(action, resource) for action, resource in grants(documents) if "*" in action or resource.startswith("*")}
    assert wild == {("xray:PutTraceSegments", "*"), ("xray:PutTelemetryRecords", "*")}


@pytest.mark.parametrize("path", TEMPLATES)
def test_every_wildcard_has_its_reason_beside_it(path):
    lines = (ROOT / path).read_text().splitlines()
    for number, line in enumerate(lines):
        if re.search(r"""Resource: ["']?\*""", line):
            # In a key policy the first statement's reason stands for the ones below it.
            above = "\n".join(lines[max(0, number - 12):number])
            assert re.search(r'# .*(no resource|"\*" means this key)', above), f"{path}:{number + 1}"


def test_forty_sources_fit_on_the_hydrators_role():
    """IAM takes 10,240 characters of inline policies on a role; the source templates promise about forty."""
    stack = core(KmsKeyArn=KEY)
    role = stack.outputs["HydrateRoleName"]
    ours = inline_size(role_documents(stack, role))
    each = inline_size(role_documents(kinesis_source(stack), role))
    assert ours + 40 * each <= 10_240


def test_lambda_alone_assumes_the_role():
    document = CORE.properties("HydrateRole")["AssumeRolePolicyDocument"]
    assert [statement["Principal"] for statement in statements(document)] == [{"Service": "lambda.amazonaws.com"}]


def via_services(documents):
    return {
        statement["Condition"]["StringLike"]["kms:ViaService"]
        for document in documents for statement in statements(document)
        if any(action.startswith("kms:") for action in listed(statement["Action"]))
    }
