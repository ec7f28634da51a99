"""Each role may make the calls that are made with it, and no others."""

import re

import botocore.session
import pytest
from botocore import xform_name

from tests.infra.policies import decide, grants, inline_size, listed, role_documents, statements
from tests.infra.templates import (
    ACCOUNT, BUCKET, KINESIS_STREAM, QUEUE, ROOT, TABLE_STREAM, TEMPLATES, bucket_source, core, dead_letter_queue,
    dynamodb_source, kinesis_source,
)

# Every AWS operation that the adapters call, by the SDK crate it is in, and the action that authorises it.
CALLS = {
    "kinesis": {"GetShardIterator": "kinesis:GetShardIterator", "GetRecords": "kinesis:GetRecords"},
    "dynamodbstreams": {"GetShardIterator": "dynamodb:GetShardIterator", "GetRecords": "dynamodb:GetRecords"},
    "sqs": {"SendMessage": "sqs:SendMessage"},
    "s3": {"PutObject": "s3:PutObject", "GetObject": "s3:GetObject"},
}
# The operations of the port StreamReader. A rescue by dlq uses it, with the caller's permissions, and the function does not.
OF_THE_TOOL = {"kinesis": {"ListShards", "DescribeStreamSummary"}, "dynamodbstreams": {"DescribeStream"}}
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
FAILED_BATCHES = CORE.outputs["FailedBatchBucketArn"]


def object_reads(bucket, keys):
    """What a GetObject takes: with a version the second action, and the third for a 404 where there is no object."""
    objects = f"{bucket}/{keys}"
    return {(CALLS["s3"]["GetObject"], objects), ("s3:GetObjectVersion", objects), ("s3:ListBucket", bucket)}


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
    assert called == {crate: set(actions) | OF_THE_TOOL.get(crate, set()) for crate, actions in CALLS.items()}


def test_the_function_does_not_look_at_streams():
    hydrating = [*(ROOT / "functions/hydrate/src").rglob("*.rs"), ROOT / "crates/hydration/src/hydrator.rs",
                 ROOT / "crates/hydration/src/batch_run.rs", ROOT / "crates/hydration/src/read.rs"]
    assert not [file for file in hydrating if "StreamReader" in file.read_text()]


def test_no_adapter_is_for_a_service_outside_the_table():
    manifests = [*ROOT.glob("crates/hydration*/Cargo.toml"), ROOT / "functions/hydrate/Cargo.toml"]
    crates = {match for file in manifests for match in re.findall(r"aws-sdk-([a-z0-9]+)", file.read_text())}
    assert crates == set(CALLS)


def test_the_core_stack_alone_can_deliver_and_read_its_bucket_and_no_stream():
    assert hydrator_grants(CORE) == DELIVERY | object_reads(FAILED_BATCHES, "*") | BY_LAMBDA
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


each_source = pytest.mark.parametrize("source", [kinesis_source, dynamodb_source])
TOPIC_KEY = CORE.outputs["TopicKeyArn"]
PUBLISHING = {("sns:Publish", CORE.outputs["FailedBatchTopicArn"]), ("kms:GenerateDataKey", TOPIC_KEY),
              ("kms:Decrypt", TOPIC_KEY)}
WRITING = {("s3:PutObject", FAILED_BATCHES + "/*"), ("s3:ListBucket", FAILED_BATCHES),
           ("kms:GenerateDataKey", TOPIC_KEY)}


@each_source
def test_the_sources_role_may_publish_with_the_topics_key_and_nothing_else(source):
    documents = role_documents(source(CORE), "orders-role")
    assert grants(documents) == PUBLISHING
    assert via_services(documents) == {"sns.eu-west-1.amazonaws.com*"}


@each_source
def test_the_sources_role_may_write_to_the_whole_bucket_and_nothing_else(source):
    """Users report that Lambda refuses the mapping with a prefix in the ARN of s3:PutObject."""
    documents = role_documents(source(CORE, Destination="Bucket"), "orders-role")
    assert grants(documents) == WRITING
    assert via_services(documents) == {"s3.eu-west-1.amazonaws.com*"}


@each_source
def test_the_role_of_a_mapping_made_elsewhere_may_do_both_and_nothing_else(source):
    for destination in ("Topic", "Bucket"):
        documents = role_documents(source(CORE, CreateMapping="no", Destination=destination), "orders-role")
        assert grants(documents) == PUBLISHING | WRITING
        assert decide(documents, "kms:Decrypt", TOPIC_KEY, kms_ViaService="s3.eu-west-1.amazonaws.com") is None


@each_source
@pytest.mark.parametrize("action, resource", [("s3:PutObject", FAILED_BATCHES + "/aws/lambda/x"),
                                              ("s3:ListBucket", FAILED_BATCHES)])
def test_a_bucket_that_somebody_else_owns_now_is_not_written_to(source, action, resource):
    documents = role_documents(source(CORE, Destination="Bucket"), "orders-role")
    assert decide(documents, action, resource, s3_ResourceAccount=ACCOUNT) == "allow"
    assert decide(documents, action, resource, s3_ResourceAccount="999999999999") is None


def test_a_customer_key_may_be_used_for_queues_and_buckets_alone():
    stack = core(KmsKeyArn=KEY)
    documents = role_documents(stack, stack.outputs["HydrateRoleName"])
    assert grants(documents) - hydrator_grants(CORE) == {("kms:GenerateDataKey", KEY), ("kms:Decrypt", KEY)}
    assert via_services(documents) == {"sqs.eu-west-1.amazonaws.com*", "s3.eu-west-1.amazonaws.com*"}
    for service in ("sqs", "s3"):
        for action in ("kms:GenerateDataKey", "kms:Decrypt"):
            assert decide(documents, action, KEY, kms_ViaService=f"{service}.eu-west-1.amazonaws.com") == "allow"


def test_a_customer_key_lets_a_source_write_to_the_bucket_it_encrypts():
    stack = core(KmsKeyArn=KEY)
    rule, = stack.properties("FailedBatchBucket")["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    key = rule["ServerSideEncryptionByDefault"]["KMSMasterKeyID"]
    documents = role_documents(kinesis_source(stack, Destination="Bucket"), "orders-role")
    assert decide(documents, "kms:GenerateDataKey", key, kms_ViaService="s3.eu-west-1.amazonaws.com") == "allow"


# ---------------------------------------------------------------- what is attached as it is

STREAMS = {"KinesisStreamArns": f"{KINESIS_STREAM},{KINESIS_STREAM}-eu", "TableStreamArns": TABLE_STREAM}
STREAM_READS = {
    *((action, stream) for action in CALLS["kinesis"].values() for stream in (KINESIS_STREAM, KINESIS_STREAM + "-eu")),
    *((action, TABLE_STREAM) for action in CALLS["dynamodbstreams"].values()),
}
OTHER_KEY = KEY.replace("9999", "0000")


def test_an_attached_bucket_adds_its_objects_and_nothing_else():
    assert hydrator_grants(bucket_source(CORE)) == object_reads(f"arn:aws:s3:::{BUCKET}", "aws/lambda/*")


def test_an_attached_queue_adds_what_a_mapping_calls_and_nothing_else():
    assert hydrator_grants(dead_letter_queue(CORE)) == {
        ("sqs:ReceiveMessage", QUEUE), ("sqs:DeleteMessage", QUEUE), ("sqs:GetQueueAttributes", QUEUE)}


@pytest.mark.parametrize("attach", [bucket_source, dead_letter_queue])
def test_the_streams_that_are_named_and_no_others_may_be_read(attach):
    added = hydrator_grants(attach(CORE, **STREAMS)) - hydrator_grants(attach(CORE))
    assert added == STREAM_READS


@pytest.mark.parametrize("attach, parameter, service", [
    (bucket_source, "BucketKeyArn", "s3"), (dead_letter_queue, "QueueKeyArn", "sqs")])
def test_the_key_of_what_is_attached_may_be_used_through_its_service_alone(attach, parameter, service):
    with_key = attach(CORE, **{parameter: KEY})
    assert hydrator_grants(with_key) - hydrator_grants(attach(CORE)) == {("kms:Decrypt", KEY)}
    assert via_services(role_documents(with_key, ROLE)) == {f"{service}.eu-west-1.amazonaws.com*"}


@pytest.mark.parametrize("attach", [bucket_source, dead_letter_queue])
def test_the_keys_of_the_streams_may_be_used_through_the_streams_services_alone(attach):
    with_keys = attach(CORE, StreamKeyArns=f"{KEY},{OTHER_KEY}")
    added = hydrator_grants(with_keys) - hydrator_grants(attach(CORE))
    assert added == {("kms:Decrypt", KEY), ("kms:Decrypt", OTHER_KEY)}
    assert via_services(role_documents(with_keys, ROLE)) == {
        "kinesis.eu-west-1.amazonaws.com*", "dynamodb.eu-west-1.amazonaws.com*"}


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
    attached = [bucket_source(stack, **STREAMS), dead_letter_queue(stack, **STREAMS)]
    documents = [*role_documents(stack, role), *role_documents(source, role), *role_documents(source, "orders-role"),
                 *(document for each in attached for document in role_documents(each, role))]
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


# ---------------------------------------------------------------- the digest

DIGEST_ROLE = CORE.physical_name("DigestRole")
DIGEST_LOGS = CORE.resolve({"Fn::GetAtt": ["DigestLogGroup", "Arn"]})
STATE = CORE.resolve({"Fn::Sub": "${OverflowBucket.Arn}/digest/state.json"})
TOPIC_KEY_USE = {("kms:GenerateDataKey", TOPIC_KEY), ("kms:Decrypt", TOPIC_KEY)}
DIGEST_CALLS = {
    "logs:FilterLogEvents": LOGS, "s3:GetObject": STATE, "s3:PutObject": STATE,
    "sns:Publish": CORE.outputs["AlertsTopicArn"]}
DIGEST_BY_LAMBDA = {
    ("sqs:SendMessage", CORE.resolve({"Fn::GetAtt": ["DigestParkedQueue", "Arn"]})),
    ("logs:CreateLogStream", DIGEST_LOGS), ("logs:PutLogEvents", DIGEST_LOGS),
    ("xray:PutTraceSegments", "*"), ("xray:PutTelemetryRecords", "*"),
}


def test_the_digests_role_may_make_its_calls_and_no_others():
    """tests/digest/test_digest.py holds the four calls to what the function really calls."""
    documents = role_documents(CORE, DIGEST_ROLE)
    assert grants(documents) == set(DIGEST_CALLS.items()) | DIGEST_BY_LAMBDA | TOPIC_KEY_USE
    assert via_services(documents) == {"sns.eu-west-1.amazonaws.com*"}


def test_the_calls_of_the_digest_are_those_of_its_adapters():
    text = (ROOT / "functions/digest/src/aws.rs").read_text()
    assert set(re.findall(r'const \w+: &str = "(\w+:\w+)";', text)) == set(DIGEST_CALLS)
    called = set(re.findall(r"\.(filter_log_events|get_object|put_object|publish|list_\w+|delete_\w+)\(\)", text))
    assert called == {"filter_log_events", "get_object", "put_object", "publish"}


def test_a_topic_and_a_key_of_ones_own_take_the_place_of_the_digests():
    topic = "arn:aws:sns:eu-west-1:123456789012:pager"
    stack = core(AlertsTopicArn=topic, AlertsTopicKmsKeyArn=KEY)
    found = grants(role_documents(stack, stack.physical_name("DigestRole")))
    ours = grants(role_documents(CORE, DIGEST_ROLE))
    assert found - ours == {("sns:Publish", topic), ("kms:GenerateDataKey", KEY), ("kms:Decrypt", KEY)}
    assert not any(resource == TOPIC_KEY for _, resource in found)
    assert stack.properties("DigestFunction")["Environment"]["Variables"]["TOPIC_ARN"] == topic


def test_the_digest_uses_a_customer_key_through_three_services_alone():
    stack = core(KmsKeyArn=KEY)
    documents = role_documents(stack, stack.physical_name("DigestRole"))
    for service, verdict in (("sns", "allow"), ("s3", "allow"), ("sqs", "allow"), ("logs", None)):
        assert decide(documents, "kms:Decrypt", KEY, kms_ViaService=f"{service}.eu-west-1.amazonaws.com") == verdict


@pytest.mark.parametrize("role", ["HydrateRole", "DigestRole"])
def test_lambda_alone_assumes_the_role(role):
    document = CORE.properties(role)["AssumeRolePolicyDocument"]
    assert [statement["Principal"] for statement in statements(document)] == [{"Service": "lambda.amazonaws.com"}]


def via_services(documents):
    return {
        service
        for document in documents for statement in statements(document)
        if any(action.startswith("kms:") for action in listed(statement["Action"]))
        for service in listed(statement["Condition"]["StringLike"]["kms:ViaService"])
    }
