"""The policies for people who use the tool: what each command calls may be done, and nothing else."""

import json
import re

import botocore.session
import pytest
from botocore import xform_name

from tests.infra.policies import decide, grants, listed, statements
from tests.infra.templates import ACCOUNT, REGION, ROOT, core, operators

CORE = core()
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/99998888-7777-6666-5555-444433332222"
HYDRATED = CORE.outputs["HydratedQueueArn"]
BUCKET = "arn:aws:s3:::" + CORE.outputs["OverflowBucketName"]
FAILED = "arn:aws:s3:::" + CORE.outputs["FailedBatchBucketName"]
STACK = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{CORE.name}/*"
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:orders*"
# What the doctor may look at: any, since it is to find out which are attached.
BUCKETS, QUEUES = "arn:aws:s3:::*", f"arn:aws:sqs:{REGION}:{ACCOUNT}:*"
RULES = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/*"

# Every call of the tool to AWS, by the source file that makes it: the action that authorises it, and its resources.
CALLS = {
    "aws/stack.rs": {"DescribeStacks": ("cloudformation:DescribeStacks", [STACK])},
    "aws/sqs.rs": {
        "GetQueueUrl": ("sqs:GetQueueUrl", [HYDRATED, QUEUES]),
        "GetQueueAttributes": (
            "sqs:GetQueueAttributes", [HYDRATED, CORE.outputs["RetryQueueArn"], CORE.outputs["ParkedQueueArn"], QUEUES]),
        "ReceiveMessage": ("sqs:ReceiveMessage", [HYDRATED]),
        "ChangeMessageVisibilityBatch": ("sqs:ChangeMessageVisibility", [HYDRATED]),
        "DeleteMessage": ("sqs:DeleteMessage", [HYDRATED]),
    },
    "aws/s3.rs": {
        "GetObject": ("s3:GetObject", [BUCKET + "/hydrated/*"]),
        "ListObjectsV2": ("s3:ListBucket", [BUCKET]),
    },
    "ledger/store/s3.rs": {
        "GetObject": ("s3:GetObject", [BUCKET + "/ledger/*"]),
        "ListObjectsV2": ("s3:ListBucket", [BUCKET]),
        "PutObject": ("s3:PutObject", [BUCKET + "/ledger/*"]),
    },
    "aws/lambda.rs": {
        "GetFunctionConfiguration": ("lambda:GetFunctionConfiguration", [FUNCTION]),
        "GetFunctionConcurrency": ("lambda:GetFunctionConcurrency", [FUNCTION]),
        "GetAccountSettings": ("lambda:GetAccountSettings", ["*"]),
        "Invoke": ("lambda:InvokeFunction", [FUNCTION]),
    },
    "aws/mappings.rs": {
        "ListEventSourceMappings": ("lambda:ListEventSourceMappings", ["*"]),
        "GetEventSourceMapping": (
            "lambda:GetEventSourceMapping", [f"arn:aws:lambda:{REGION}:{ACCOUNT}:event-source-mapping:*"]),
    },
    "aws/logs.rs": {
        "GetFunctionConfiguration": ("lambda:GetFunctionConfiguration", [FUNCTION]),
        "FilterLogEvents": (
            "logs:FilterLogEvents", [f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/orders*"]),
    },
    "aws/deployment.rs": {
        "GetFunctionConfiguration": ("lambda:GetFunctionConfiguration", [FUNCTION]),
        "ListEventSourceMappings": ("lambda:ListEventSourceMappings", ["*"]),
        "DescribeStreamSummary": ("kinesis:DescribeStreamSummary", [f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/*"]),
        "SimulatePrincipalPolicy": ("iam:SimulatePrincipalPolicy", [f"arn:aws:iam::{ACCOUNT}:role/*"]),
    },
    # A drill reports as Lambda does, and takes back what it has put somewhere.
    "aws/failure_destination.rs": {
        "Publish": ("sns:Publish", [CORE.outputs["FailedBatchTopicArn"]]),
        "PutObject": ("s3:PutObject", [FAILED + "/aws/lambda/*"]),
        "DeleteObject": ("s3:DeleteObject", [FAILED + "/aws/lambda/*", BUCKET + "/hydrated/*"]),
    },
    "aws/metrics.rs": {"GetMetricData": ("cloudwatch:GetMetricData", ["*"])},
    "aws/buckets.rs": {
        "GetBucketLifecycleConfiguration": ("s3:GetLifecycleConfiguration", [BUCKETS]),
        "GetBucketEncryption": ("s3:GetEncryptionConfiguration", [BUCKETS]),
        "GetBucketNotificationConfiguration": ("s3:GetBucketNotification", [BUCKETS]),
    },
    "aws/event_rules.rs": {
        "ListRuleNamesByTarget": ("events:ListRuleNamesByTarget", ["*"]),
        "DescribeRule": ("events:DescribeRule", [RULES]),
        "ListTargetsByRule": ("events:ListTargetsByRule", [RULES]),
    },
}
FIND = {"aws/stack.rs": ["DescribeStacks"], "aws/sqs.rs": ["GetQueueUrl"]}
COUNT = {**FIND, "aws/sqs.rs": ["GetQueueUrl", "GetQueueAttributes"]}
# SQS has no peek: to look is to receive, and to make visible again.
LOOK = {
    **FIND, "aws/s3.rs": ["GetObject", "ListObjectsV2"],
    "aws/sqs.rs": ["GetQueueUrl", "GetQueueAttributes", "ReceiveMessage", "ChangeMessageVisibilityBatch"],
}
PLAN = {
    **LOOK, "ledger/store/s3.rs": ["GetObject", "ListObjectsV2"],
    "aws/lambda.rs": ["GetFunctionConfiguration", "GetFunctionConcurrency", "GetAccountSettings"],
}
DELETE = {"aws/sqs.rs": [*LOOK["aws/sqs.rs"], "DeleteMessage"]}
EXECUTE = {
    **PLAN, **DELETE, "ledger/store/s3.rs": [*PLAN["ledger/store/s3.rs"], "PutObject"],
    "aws/lambda.rs": [*PLAN["aws/lambda.rs"], "Invoke"],
}
# The calls of each command, for those who look and for those who replay.
READING = {
    "status": LOOK, "list": LOOK, "report": LOOK, "show": {
        **LOOK, "aws/mappings.rs": ["ListEventSourceMappings"],
        "aws/logs.rs": ["GetFunctionConfiguration", "FilterLogEvents"]},
    "export": LOOK,
    "doctor": {**COUNT, **{file: list(CALLS[file]) for file in (
        "aws/deployment.rs", "aws/metrics.rs", "aws/buckets.rs", "aws/event_rules.rs")},
        "aws/mappings.rs": ["GetEventSourceMapping"]},
    "replay": {**PLAN, "aws/mappings.rs": ["ListEventSourceMappings"]}, "isolate": PLAN, "discard": LOOK,
}
REPLAYING = {"replay --execute": EXECUTE, "isolate --execute": EXECUTE, "discard --execute": {**LOOK, **DELETE}}
# Commands that neither policy is for: one reads a stream and sends, two call nothing.
OTHERS = {"hydrate", "completions", "man"}
# What `dlq hydrate` calls through the function's own adapters, and the actions that authorise each call.
HYDRATE = {
    "GetShardIterator": {"dynamodb:GetShardIterator", "kinesis:GetShardIterator"},
    "GetRecords": {"dynamodb:GetRecords", "kinesis:GetRecords"},
    "SendMessage": {"sqs:SendMessage"},
    "PutObject": {"s3:PutObject"},
    # The object that a notification names, perhaps with its version. S3 answers 403 for one that is gone where it may
    # not be listed.
    "GetObject": {"s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket"},
    "ListShards": {"kinesis:ListShards"},
    "DescribeStreamSummary": {"kinesis:DescribeStreamSummary"},
    "DescribeStream": {"dynamodb:DescribeStream"},
}
# What a rescue calls beside them.
RESCUE = {
    "aws/lambda.rs": ["GetFunctionConfiguration"],
    "aws/mappings.rs": ["ListEventSourceMappings", "GetEventSourceMapping"],
}
# What `dlq doctor --drill` calls beside what the read policy gives, and what it calls through the adapters.
DRILL = {"aws/failure_destination.rs": list(CALLS["aws/failure_destination.rs"]), "aws/sqs.rs": ["DeleteMessage"]}
DRILL_READS = ("GetShardIterator", "GetRecords", "ListShards", "DescribeStream")


def pairs(commands):
    return {
        (action, resource)
        for calls in commands.values() for file, operations in calls.items()
        for action, resources in (CALLS[file][operation] for operation in operations) for resource in resources
    }


def policies(**parameters):
    stack = operators(CORE, **parameters)
    return [stack.properties(name)["PolicyDocument"] for name in ("ReadPolicy", "ReplayPolicy")]


READ, REPLAY = policies()


def operations_called(source):
    """The operations of AWS that the code under a folder calls, by file."""
    session, names = botocore.session.Session(), {"cloudwatchlogs": "logs", "eventbridge": "events"}
    called = {}
    for file in sorted(source.rglob("*.rs")):
        if "tests" in file.stem or "test_support" in file.parts:
            continue
        text = re.sub(r"//.*", "", file.read_text())
        for crate in set(re.findall(r"aws_sdk_([a-z0-9]+)", text)):
            operations = session.get_service_model(names.get(crate, crate)).operation_names
            by_method = {xform_name(name): name for name in operations}
            found = {by_method[method] for method in re.findall(r"\.([a-z_0-9]+)\(\)", text) if method in by_method}
            called.setdefault(file.relative_to(source).as_posix(), set()).update(found)
    return {file: found for file, found in called.items() if found}


def test_the_table_of_calls_is_what_the_tool_calls():
    assert operations_called(ROOT / "cli" / "src") == {file: set(operations) for file, operations in CALLS.items()}


def printed_policy(action):
    """The policy that docs/DEPLOY.md prints for people who read streams and call the action."""
    text = (ROOT / "docs" / "DEPLOY.md").read_text()
    blocks = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    # Another block that reads streams is what a permissions boundary must allow.
    printed, = (block for block in blocks
                if "GetShardIterator" in block and action in block and "RolesOfTheHydrator" not in block)
    return json.loads(printed)


def documented_actions(action):
    return {action for statement in statements(printed_policy(action)) for action in listed(statement["Action"])}


def test_the_documented_policy_is_what_hydrating_calls():
    called = operations_called(ROOT / "crates" / "hydration-aws" / "src")
    assert set().union(*called.values()) == HYDRATE.keys()
    through_adapters = set().union(*HYDRATE.values())
    # It reads --from-queue as the other commands read theirs, and finds the stack as they do.
    own = {CALLS[file][operation][0] for calls in (DELETE, RESCUE) for file, operations in calls.items()
           for operation in operations} | {CALLS["aws/stack.rs"]["DescribeStacks"][0]}
    assert documented_actions("sqs:SendMessage") == through_adapters | own


def test_the_documented_policy_of_a_drill_is_what_it_calls_beside_the_read_policy():
    reading = set().union(*(HYDRATE[operation] for operation in DRILL_READS))
    documented = documented_actions("sns:Publish")
    assert documented == {action for action, _ in pairs({"drill": DRILL})} | reading
    # Everything else that it calls, it calls like a check of the doctor or a look at the queue.
    assert not {action for action, _ in grants([READ])} & documented


def test_neither_policy_reads_a_stream_or_sends():
    given = {action for action, _ in grants([READ, REPLAY])}
    assert not given & (HYDRATE["GetShardIterator"] | HYDRATE["GetRecords"] | HYDRATE["SendMessage"])


def test_every_command_is_in_the_table():
    text = (ROOT / "cli/src/args.rs").read_text()
    commands = {name.lower() for name in re.findall(r"^    (\w+)\(commands::", text, re.MULTILINE)}
    assert commands == set(READING) | OTHERS


def test_every_call_belongs_to_a_command():
    used = {(file, operation) for calls in [*READING.values(), *REPLAYING.values(), RESCUE, DRILL]
            for file, operations in calls.items() for operation in operations}
    assert used == {(file, operation) for file, operations in CALLS.items() for operation in operations}


def test_the_read_policy_is_what_looking_calls():
    assert grants([READ]) == pairs(READING)


def test_both_policies_are_what_replaying_calls_and_neither_repeats_the_other():
    assert grants([REPLAY]) == pairs(REPLAYING) - pairs(READING)


@pytest.mark.parametrize("action, resource", [
    ("lambda:InvokeFunction", FUNCTION), ("sqs:DeleteMessage", HYDRATED), ("s3:PutObject", BUCKET + "/ledger/run"),
    ("sqs:ReceiveMessage", CORE.outputs["RetryQueueArn"]), ("s3:GetObject", BUCKET + "/other")])
def test_the_read_policy_changes_nothing_and_reads_nothing_else(action, resource):
    assert decide([READ], action, resource) is None


def test_another_function_may_be_neither_invoked_nor_looked_at():
    other = FUNCTION.replace("orders*", "payments")
    assert decide([READ, REPLAY], "lambda:InvokeFunction", other) is None
    assert decide([READ, REPLAY], "lambda:GetFunctionConfiguration", other) is None
    assert decide([REPLAY], "lambda:InvokeFunction", FUNCTION.replace("*", "-projector:live")) == "allow"


def test_buckets_of_this_account_alone_are_looked_at():
    for action in ("s3:GetLifecycleConfiguration", "s3:GetEncryptionConfiguration", "s3:GetBucketNotification"):
        assert decide([READ], action, "arn:aws:s3:::failed-orders", s3_ResourceAccount=ACCOUNT) == "allow"
        assert decide([READ], action, "arn:aws:s3:::failed-orders", s3_ResourceAccount="999999999999") is None


def test_the_ledger_and_the_archive_alone_may_be_listed():
    assert decide([READ], "s3:ListBucket", BUCKET, s3_prefix="ledger/eu-west-1/hydrated/runs/") == "allow"
    assert decide([READ], "s3:ListBucket", BUCKET, s3_prefix="hydrated/orders/2026/") == "allow"
    assert decide([READ], "s3:ListBucket", BUCKET, s3_prefix="") is None
    assert decide([READ], "s3:ListBucket", BUCKET, s3_prefix="other/") is None
    # A GetObject request has no prefix. S3 asks for s3:ListBucket before it says that an object does not exist.
    assert decide([READ], "s3:ListBucket", BUCKET) == "allow"


def test_the_key_is_used_through_the_queue_and_the_bucket_alone():
    read, replay = policies(KmsKeyArn=KEY)
    assert grants([read]) - grants([READ]) == {("kms:Decrypt", KEY)}
    assert grants([replay]) - grants([REPLAY]) == {("kms:GenerateDataKey", KEY)}
    for service in ("sqs", "s3"):
        assert decide([read], "kms:Decrypt", KEY, kms_ViaService=f"{service}.{REGION}.amazonaws.com") == "allow"
    assert decide([read, replay], "kms:Decrypt", KEY, kms_ViaService=f"ec2.{REGION}.amazonaws.com") is None
    assert decide([replay], "kms:GenerateDataKey", KEY, kms_ViaService=f"s3.{REGION}.amazonaws.com") == "allow"


def test_no_action_is_a_wildcard():
    for document in (READ, REPLAY):
        for statement in statements(document):
            assert not any("*" in action for action in listed(statement["Action"]))


def test_a_managed_policy_is_not_too_long():
    """IAM takes 6,144 characters, white space not counted."""
    for document in policies(KmsKeyArn=KEY):
        assert len(re.sub(r"\s", "", json.dumps(document))) <= 6_144
