"""The hydrator's stack: promises about topics, queues, bucket and function that hold for all parameters."""

import json
import re
import shlex
import shutil
import subprocess
from unittest import mock

import pytest
from moto.events.models import EventPattern

from sandbox.as_lambda import eventbridge_event
from tests.infra.policies import decide, statements
from tests.infra.templates import (
    ACCOUNT, QUEUE, REGION, ROOT, TEMPLATES, Stack, bucket_source, core, dead_letter_queue, dynamodb_source,
    kinesis_source, load, transformed,
)

KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/99998888-7777-6666-5555-444433332222"
VARIANTS = {
    "default": {},
    "customer key": {"KmsKeyArn": KEY},
    "fifo": {"FifoQueue": "true"},
    "existing queue": {"ExistingQueueArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:failed-orders"},
    "existing alerts topic": {
        "AlertsTopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:alerts", "AlertsEmail": "ops@example.org"},
    "everything": {
        "KmsKeyArn": KEY, "FifoQueue": "true", "Architecture": "x86_64", "AlertsEmail": "ops@example.org",
        "ReservedConcurrency": "10", "PermissionsBoundaryArn": f"arn:aws:iam::{ACCOUNT}:policy/boundary"},
}
each_variant = pytest.mark.parametrize("stack", [core(**given) for given in VARIANTS.values()], ids=list(VARIANTS))


BUCKETS = ["OverflowBucket", "FailedBatchBucket"]


def topic_policy(stack, topic):
    arn = stack.resolve({"Ref": topic})
    return [policy["Properties"]["PolicyDocument"] for policy in stack.of_type("AWS::SNS::TopicPolicy").values()
            if arn in policy["Properties"]["Topics"]], arn


def queue_policy(stack, queue):
    url = stack.resolve({"Ref": queue})
    return [policy["Properties"]["PolicyDocument"] for policy in stack.of_type("AWS::SQS::QueuePolicy").values()
            if url in policy["Properties"]["Queues"]], stack.resolve({"Fn::GetAtt": [queue, "Arn"]})


# ---------------------------------------------------------------- encryption

@each_variant
def test_everything_is_encrypted(stack):
    key = stack.outputs["TopicKeyArn"]
    customers = stack.parameters["KmsKeyArn"]
    for name, topic in stack.of_type("AWS::SNS::Topic").items():
        assert topic["Properties"]["KmsMasterKeyId"] == key, name
    for name, queue in stack.of_type("AWS::SQS::Queue").items():
        properties = queue["Properties"]
        if customers:
            assert properties["KmsMasterKeyId"] == customers and "SqsManagedSseEnabled" not in properties, name
        else:
            assert properties["SqsManagedSseEnabled"] is True and "KmsMasterKeyId" not in properties, name
    for name, bucket in stack.of_type("AWS::S3::Bucket").items():
        rule, = bucket["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        expected = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": customers} if customers else {"SSEAlgorithm": "AES256"}
        assert rule["ServerSideEncryptionByDefault"] == expected, name
        assert rule.get("BucketKeyEnabled", False) is bool(customers), name
    for name, group in stack.of_type("AWS::Logs::LogGroup").items():
        assert group["Properties"].get("KmsKeyId", "") == customers, name


def test_the_stack_makes_a_key_only_when_it_is_given_none():
    assert "TopicKey" in core().resources
    assert "TopicKey" not in core(KmsKeyArn=KEY).resources


def test_alarms_may_use_the_topics_key():
    """alias/aws/sns would silence them: its policy cannot let CloudWatch in."""
    document = core().properties("TopicKey")["KeyPolicy"]
    for action in ("kms:Decrypt", "kms:GenerateDataKey"):
        assert decide([document], action, "*", "cloudwatch.amazonaws.com") == "allow"
    assert decide([document], "kms:Decrypt", "*", "events.amazonaws.com") is None
    assert decide([document], "kms:Decrypt", "*", "arn:aws:iam::999999999999:root") is None


# ---------------------------------------------------------------- TLS

@each_variant
def test_topics_queues_and_buckets_refuse_plain_http(stack):
    for topic in stack.of_type("AWS::SNS::Topic"):
        documents, arn = topic_policy(stack, topic)
        for action in ("sns:Publish", "sns:Subscribe", "sns:SetTopicAttributes"):
            assert decide(documents, action, arn, "anybody", aws_SecureTransport="false") == "deny", topic
    for queue in stack.of_type("AWS::SQS::Queue"):
        documents, arn = queue_policy(stack, queue)
        for action in ("sqs:SendMessage", "sqs:ReceiveMessage", "sqs:PurgeQueue"):
            assert decide(documents, action, arn, "anybody", aws_SecureTransport="false") == "deny", queue
    assert set(stack.of_type("AWS::S3::Bucket")) == set(BUCKETS)
    for name in BUCKETS:
        assert stack.properties(name + "Policy")["Bucket"] == stack.resolve({"Ref": name})
        document = stack.properties(name + "Policy")["PolicyDocument"]
        bucket = stack.resolve({"Fn::GetAtt": [name, "Arn"]})
        for action, resource in (("s3:GetObject", bucket + "/hydrated/x"), ("s3:ListBucket", bucket)):
            assert decide([document], action, resource, "anybody", aws_SecureTransport="false") == "deny", name
            assert decide([document], action, resource, "anybody", aws_SecureTransport="true") is None, name


# ---------------------------------------------------------------- who may do what

@each_variant
@pytest.mark.parametrize("principal, verdict", [
    (f"arn:aws:iam::{ACCOUNT}:role/orders-role", None),  # left to the role's own policy
    (f"arn:aws:iam::{ACCOUNT}:role/service-role/with/a/path", None),
    (f"arn:aws:iam::{ACCOUNT}:user/anna", "deny"),
    (f"arn:aws:iam::{ACCOUNT}:root", "deny"),
    ("arn:aws:iam::999999999999:role/orders-role", "deny"),
    (None, "deny"),  # an AWS service: it has no such ARN
])
def test_roles_of_this_account_alone_publish_failed_batches(stack, principal, verdict):
    documents, arn = topic_policy(stack, "FailedBatchTopic")
    context = {"aws_SecureTransport": "true"}
    if principal:
        context["aws_PrincipalArn"] = principal
    assert decide(documents, "sns:Publish", arn, principal, **context) == verdict


def test_the_failed_batch_topics_policy_allows_nothing():
    documents, _ = topic_policy(core(), "FailedBatchTopic")
    assert {statement["Effect"] for document in documents for statement in statements(document)} == {"Deny"}


def test_this_accounts_alarms_alone_publish_alerts():
    documents, arn = topic_policy(core(), "AlertsTopic")
    ask = lambda source, principal="cloudwatch.amazonaws.com": decide(  # noqa: E731
        documents, "sns:Publish", arn, principal, aws_SecureTransport="true", aws_SourceArn=source)
    assert ask(f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:x") == "allow"
    assert ask(f"arn:aws:cloudwatch:{REGION}:999999999999:alarm:x") is None
    assert ask(f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:x", "events.amazonaws.com") is None


def test_the_topic_alone_redrives_to_the_retry_queue():
    stack = core()
    documents, arn = queue_policy(stack, "RetryQueue")
    topic = stack.outputs["FailedBatchTopicArn"]
    assert decide(documents, "sqs:SendMessage", arn, "sns.amazonaws.com", aws_SourceArn=topic) == "allow"
    assert decide(documents, "sqs:SendMessage", arn, "sns.amazonaws.com", aws_SourceArn=topic + "2") is None
    assert decide(documents, "sqs:ReceiveMessage", arn, "sns.amazonaws.com", aws_SourceArn=topic) is None


def test_the_rules_of_this_account_and_region_alone_redrive_to_the_retry_queue():
    """Those of other stacks too: infra/bucket-source.yaml makes one."""
    stack = core()
    documents, arn = queue_policy(stack, "RetryQueue")
    ask = lambda source, action="sqs:SendMessage", principal="events.amazonaws.com": decide(  # noqa: E731
        documents, action, arn, principal, aws_SecureTransport="true", aws_SourceArn=source)
    for rule in (stack.resolve({"Fn::GetAtt": ["HydrateFunctionFailedBatchObject", "Arn"]}),
                 bucket_source(stack).resolve({"Fn::GetAtt": ["FailedBatchObject", "Arn"]})):
        assert ask(rule) == "allow"
        assert ask(rule, action="sqs:ReceiveMessage") is None
        assert ask(rule, principal="sns.amazonaws.com") is None
        assert ask(rule.replace(ACCOUNT, "999999999999")) is None
        assert ask(rule.replace(REGION, "us-east-1")) is None


@pytest.mark.parametrize("queue", ["HydratedQueue", "ParkedQueue", "DigestParkedQueue"])
def test_nobody_is_given_a_queue(queue):
    documents, arn = queue_policy(core(), queue)
    for action in ("sqs:SendMessage", "sqs:ReceiveMessage", "sqs:DeleteMessage"):
        assert decide(documents, action, arn, f"arn:aws:iam::{ACCOUNT}:root", aws_SecureTransport="true") is None


@pytest.mark.parametrize("bucket", BUCKETS)
def test_the_buckets_are_private(bucket):
    properties = core().properties(bucket)
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert properties["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]


# ---------------------------------------------------------------- retries

def test_the_retry_queue_outlasts_the_shortest_retention():
    stack = core()
    function, queue = stack.properties("HydrateFunction"), stack.properties("RetryQueue")
    assert queue["VisibilityTimeout"] >= 6 * function["Timeout"]
    for receives in (queue["RedrivePolicy"]["maxReceiveCount"],
                     stack.template["Parameters"]["RetryMaxReceiveCount"]["MinValue"]):
        assert (receives - 1) * queue["VisibilityTimeout"] >= 24 * 3600
    most = stack.template["Parameters"]["RetryMaxReceiveCount"]["MaxValue"]
    assert most * queue["VisibilityTimeout"] < queue["MessageRetentionPeriod"]


def test_a_parked_message_can_be_found_for_a_week():
    """A standard queue counts a message's age from where it was queued first."""
    stack = core()
    retry, parked = stack.properties("RetryQueue"), stack.properties("ParkedQueue")
    assert "FifoQueue" not in parked
    most = stack.template["Parameters"]["RetryMaxReceiveCount"]["MaxValue"]
    last_try = (most - 1) * retry["VisibilityTimeout"]
    assert last_try >= 7 * 86400
    assert parked["MessageRetentionPeriod"] - last_try >= 7 * 86400


def test_whatever_fails_ends_in_the_retry_queue_and_then_in_the_parked_queue():
    stack = core()
    retry = stack.resolve({"Fn::GetAtt": ["RetryQueue", "Arn"]})
    invoke = stack.properties("HydrateFunctionEventInvokeConfig")
    assert invoke["DestinationConfig"] == {"OnFailure": {"Destination": retry}}
    subscription = stack.properties("HydrateFunctionFailedBatch")
    assert subscription["RedrivePolicy"] == {"deadLetterTargetArn": retry}
    for rules in (stack, bucket_source(stack)):
        target, = object_rule(rules)["Targets"]
        assert target["DeadLetterConfig"] == {"Arn": retry}
        assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 86400, "MaximumRetryAttempts": 185}
    mapping, = stack.of_type("AWS::Lambda::EventSourceMapping").values()
    assert mapping["Properties"]["EventSourceArn"] == retry
    assert mapping["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["Properties"]["ScalingConfig"]["MaximumConcurrency"] >= 2
    parked = stack.resolve({"Fn::GetAtt": ["ParkedQueue", "Arn"]})
    assert stack.properties("RetryQueue")["RedrivePolicy"]["deadLetterTargetArn"] == parked


def test_the_topic_and_the_buckets_rule_alone_invoke_the_function():
    stack = core()
    permissions = [item["Properties"] for item in stack.of_type("AWS::Lambda::Permission").values()
                   if item["Properties"]["FunctionName"] == stack.outputs["HydrateFunctionName"]]
    assert {(permission["Principal"], permission["SourceArn"]) for permission in permissions} == {
        ("sns.amazonaws.com", stack.outputs["FailedBatchTopicArn"]),
        ("events.amazonaws.com", stack.resolve({"Fn::GetAtt": ["HydrateFunctionFailedBatchObject", "Arn"]}))}


def test_the_rule_of_an_attached_bucket_invokes_the_function():
    stack = core()
    attached = bucket_source(stack)
    permission, = (item["Properties"] for item in attached.of_type("AWS::Lambda::Permission").values())
    target, = attached.properties("FailedBatchObject")["Targets"]
    assert target["Arn"] == permission["FunctionName"] == stack.outputs["HydrateFunctionArn"]
    assert permission["Principal"] == "events.amazonaws.com"
    assert permission["SourceArn"] == attached.resolve({"Fn::GetAtt": ["FailedBatchObject", "Arn"]})


# ---------------------------------------------------------------- objects

KEY_OF_A_BATCH = ("aws/lambda/0a1b2c3d-0000-1111-2222-333344445555/shardId-000000000000/2026/11/21/"
                  "2026-11-21T08.00.00-9f9f9f9f-0000-1111-2222-333344445555")


def object_rule(stack):
    """The one rule that listens to events; a schedule is a rule as well."""
    rule, = (rule["Properties"] for rule in stack.of_type("AWS::Events::Rule").values()
             if "EventPattern" in rule["Properties"])
    return rule


def matches(stack, event):
    return EventPattern.load(json.dumps(object_rule(stack)["EventPattern"])).matches_event(event)


def test_the_bucket_tells_eventbridge_and_the_rule_listens_to_this_bucket_alone():
    stack = core()
    assert stack.properties("FailedBatchBucket")["NotificationConfiguration"] == {
        "EventBridgeConfiguration": {"EventBridgeEnabled": True}}
    event = eventbridge_event(stack.outputs["FailedBatchBucketName"], KEY_OF_A_BATCH)
    assert matches(stack, event)
    assert not matches(stack, {**event, "detail-type": "Object Deleted"})
    assert not matches(stack, {**event, "source": "orders"})
    assert not matches(stack, eventbridge_event(stack.outputs["OverflowBucketName"], "hydrated/x.json"))


def test_the_rule_of_an_attached_bucket_listens_to_the_objects_it_may_read():
    attached = bucket_source(core())
    assert matches(attached, eventbridge_event("failed-orders", KEY_OF_A_BATCH))
    assert not matches(attached, eventbridge_event("failed-orders", "reports/2026.csv"))
    assert not matches(attached, eventbridge_event("other", KEY_OF_A_BATCH))
    narrow = bucket_source(core(), KeyPrefix="aws/lambda/0a1b2c3d-0000-1111-2222-333344445555/")
    assert matches(narrow, eventbridge_event("failed-orders", KEY_OF_A_BATCH))
    assert not matches(narrow, eventbridge_event("failed-orders", "aws/lambda/async/orders/2026/11/21/x"))


@pytest.mark.skipif(not shutil.which("jq"), reason="needs jq")
@pytest.mark.parametrize("has", [
    "",  # what the AWS CLI prints for a bucket that notifies nobody
    {"TopicConfigurations": [{"Id": "x", "TopicArn": "arn:aws:sns:eu-west-1:123456789012:t", "Events": ["s3:*"]}]},
    {"EventBridgeConfiguration": {}},
])
def test_an_attached_bucket_keeps_the_notifications_that_it_has(has):
    command = bucket_source(core()).outputs["EnableEventBridgeCommand"]
    program, = re.findall(r"jq -s '(.*)'", command)
    printed = has and json.dumps(has)
    done = subprocess.run(["jq", "-s", program], input=printed, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {**(has or {}), "EventBridgeConfiguration": {}}


def test_the_command_for_an_attached_bucket_writes_back_what_it_has_read():
    command = bucket_source(core()).outputs["EnableEventBridgeCommand"]
    inner, = re.findall(r'--notification-configuration "\$\((.*)\)"$', command)
    read, add = inner.split(" | ")
    assert shlex.split(read) == ["aws", "s3api", "get-bucket-notification-configuration", "--region", REGION,
                                 "--bucket", "failed-orders", "--output", "json"]
    assert shlex.split(add) == ["jq", "-s", "(.[0] // {}) + {EventBridgeConfiguration: {}}"]


def test_an_object_outlives_the_tries_to_read_it():
    parameters = transformed("template.yaml")["Parameters"]["FailedBatchRetentionInDays"]
    assert parameters["Default"] == 30
    target, = core().properties("HydrateFunctionFailedBatchObject")["Targets"]
    invoke = core().properties("HydrateFunctionEventInvokeConfig")
    tries = (target["RetryPolicy"]["MaximumEventAgeInSeconds"] + invoke["MaximumEventAgeInSeconds"]
             + core().properties("RetryQueue")["MessageRetentionPeriod"])
    assert parameters["MinValue"] * 86400 > tries
    rule, = core(FailedBatchRetentionInDays=16).properties("FailedBatchBucket")["LifecycleConfiguration"]["Rules"]
    assert rule["Status"] == "Enabled" and rule["ExpirationInDays"] == 16 and "Prefix" not in rule
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}


# ---------------------------------------------------------------- a queue that is a destination already

def test_an_attached_queue_feeds_the_function_as_the_retry_queue_does():
    stack = core()
    ours, = stack.of_type("AWS::Lambda::EventSourceMapping").values()
    mapping = dead_letter_queue(stack).properties("Mapping")
    assert mapping == {
        "EventSourceArn": QUEUE, "FunctionName": stack.outputs["HydrateFunctionArn"], "BatchSize": 1,
        "FunctionResponseTypes": ["ReportBatchItemFailures"], "ScalingConfig": {"MaximumConcurrency": 2},
        "Enabled": "true"}
    same = ("BatchSize", "FunctionResponseTypes")
    assert {key: ours["Properties"][key] for key in same} == {key: mapping[key] for key in same}


def test_the_mapping_of_an_attached_queue_is_made_after_the_role_may_receive():
    assert load("infra/dead-letter-queue.yaml")["Resources"]["Mapping"]["DependsOn"] == "ReceiveFailedBatches"
    assert load("infra/bucket-source.yaml")["Resources"]["FailedBatchObject"]["DependsOn"] == "ReadObjects"


def test_overflow_outlives_the_messages_that_point_at_it():
    parameters = transformed("template.yaml")["Parameters"]
    days = parameters["OverflowRetentionInDays"]["MinValue"]
    # An object is written once. The last message that points to it may be sent by the last retry.
    retries = max(core().properties(queue)["MessageRetentionPeriod"] for queue in ("RetryQueue", "ParkedQueue"))
    assert days * 86400 > retries + parameters["HydratedQueueRetentionInSeconds"]["MaxValue"]
    rule, = core().properties("OverflowBucket")["LifecycleConfiguration"]["Rules"]
    assert rule["Status"] == "Enabled" and rule["ExpirationInDays"] >= days


def test_only_the_functions_objects_are_deleted_by_age():
    rule, = core().properties("OverflowBucket")["LifecycleConfiguration"]["Rules"]
    documents = [policy["PolicyDocument"] for policy in core().properties("HydrateRole")["Policies"]]
    written, = {resource for document in documents for statement in statements(document)
                if statement["Action"] == "s3:PutObject" for resource in [statement["Resource"]]}
    assert written.endswith("/" + rule["Prefix"] + "*")


# ---------------------------------------------------------------- choices

def test_fifo_is_asked_for_or_absent():
    assert core(FifoQueue="true").properties("HydratedQueue")["FifoQueue"] is True
    assert not {"FifoQueue", "DeduplicationScope", "FifoThroughputLimit"} & core().properties("HydratedQueue").keys()


def test_the_function_is_what_the_parameters_say():
    function = core().properties("HydrateFunction")
    assert function["Architectures"] == ["arm64"] and "ReservedConcurrentExecutions" not in function
    assert function["Runtime"] == "provided.al2023" and function["Handler"] == "bootstrap"
    assert function["TracingConfig"] == {"Mode": "Active"} and function["LoggingConfig"]["LogFormat"] == "JSON"
    assert "RetentionInDays" in core().properties("HydrateLogGroup")
    capped = core(Architecture="x86_64", ReservedConcurrency="10").properties("HydrateFunction")
    assert capped["Architectures"] == ["x86_64"] and capped["ReservedConcurrentExecutions"] == "10"


def test_the_function_is_given_the_variables_it_documents():
    design = {"QUEUE_URL", "OVERFLOW_BUCKET", "RETRY_QUEUE_URL", "MAX_MESSAGE_BYTES", "DECODED_VIEW", "ARCHIVE"}
    variables = core().properties("HydrateFunction")["Environment"]["Variables"]
    assert set(variables) == design
    assert variables["RETRY_QUEUE_URL"] == core().outputs["RetryQueueUrl"]


def test_lambda_does_not_stop_the_chain_of_a_long_range():
    """The function sends to the queue that invokes it. Lambda's loop detection would end that after 16 invocations."""
    assert core().properties("HydrateFunction")["RecursiveLoop"] == "Allow"


# ---------------------------------------------------------------- the digest

def test_the_digest_runs_as_often_as_it_is_told_and_not_at_all_if_it_is_told_nothing():
    stack = core(DigestIntervalInMinutes="15")
    rule, = (rule["Properties"] for rule in stack.of_type("AWS::Events::Rule").values()
             if "ScheduleExpression" in rule["Properties"])
    assert rule["ScheduleExpression"] == "rate(15 minutes)"
    assert stack.properties("DigestFunction")["Environment"]["Variables"]["INTERVAL_MINUTES"] == "15"
    permission, = (item["Properties"] for item in stack.of_type("AWS::Lambda::Permission").values()
                   if item["Properties"]["FunctionName"] == stack.resolve({"Ref": "DigestFunction"}))
    assert permission["Principal"] == "events.amazonaws.com"
    off = core(DigestIntervalInMinutes="")
    assert not [logical_id for logical_id in off.resources if "Digest" in logical_id]


def test_a_digest_that_fails_is_parked():
    stack = core()
    parked = stack.resolve({"Fn::GetAtt": ["DigestParkedQueue", "Arn"]})
    invoke = stack.properties("DigestFunctionEventInvokeConfig")
    assert invoke["DestinationConfig"] == {"OnFailure": {"Destination": parked}}
    assert invoke["MaximumRetryAttempts"] == 2
    schedule = stack.resolve({"Fn::GetAtt": ["DigestFunctionInterval", "Arn"]})
    target, = stack.properties("DigestFunctionInterval")["Targets"]
    assert target["DeadLetterConfig"] == {"Arn": parked}
    documents, arn = queue_policy(stack, "DigestParkedQueue")
    ask = lambda rule: decide(documents, "sqs:SendMessage", arn, "events.amazonaws.com",  # noqa: E731
                              aws_SecureTransport="true", aws_SourceArn=rule)
    assert (ask(schedule), ask(schedule + "2")) == ("allow", None)


def test_the_digest_is_given_the_variables_it_reads():
    variables = core().properties("DigestFunction")["Environment"]["Variables"]
    config = (ROOT / "functions/digest/src/config.rs").read_text().split("#[cfg(test)]")[0]
    read = set(re.findall(r'"([A-Z]+_[A-Z]+)"', config))
    # DELAY_SECONDS is a minute; tests and the demo have no time to wait for it.
    assert set(variables) == read - {"DELAY_SECONDS"}
    assert variables["LOG_GROUP"] == core().outputs["LogGroupName"]


@pytest.mark.parametrize("partition, region, console", [
    ("aws", "eu-west-1", "eu-west-1.console.aws.amazon.com"), ("aws-cn", "cn-north-1", "cn-north-1.console.amazonaws.cn"),
    ("aws-us-gov", "us-gov-west-1", "us-gov-west-1.console.amazonaws-us-gov.com")])
def test_the_mail_links_to_the_console_of_its_partition(partition, region, console):
    stack = Stack("template.yaml", "hydrator", partition=partition, region=region)
    link = stack.properties("DigestFunction")["Environment"]["Variables"]["DASHBOARD_URL"]
    assert link.startswith(f"https://{console}/cloudwatch/home?region={region}#dashboards/dashboard/hydrator-Dashboard")


@pytest.mark.parametrize("logical_id", [
    "HydratedQueue", "HydratedQueuePolicy", "RetryQueue", "RetryQueuePolicy", "ParkedQueue", "ParkedQueuePolicy",
    "OverflowBucket", "OverflowBucketPolicy", "FailedBatchBucket", "FailedBatchBucketPolicy"])
def test_what_holds_records_is_kept(logical_id):
    resource = core().resources[logical_id]
    assert resource["DeletionPolicy"] == "RetainExceptOnCreate" and resource["UpdateReplacePolicy"] == "Retain"


# ---------------------------------------------------------------- two in one account, any partition

NAMES = {"QueueName", "TopicName", "BucketName", "FunctionName", "RoleName", "AlarmName", "DashboardName", "TableName",
         "StreamName", "ManagedPolicyName", "AliasName"}


@pytest.mark.parametrize("path", TEMPLATES)
def test_no_physical_name_is_fixed(path):
    for logical_id, resource in transformed(path)["Resources"].items():
        if resource["Type"] in ("AWS::Lambda::EventSourceMapping", "AWS::Lambda::Permission",
                                "AWS::Lambda::EventInvokeConfig", "AWS::IAM::RolePolicy"):
            continue  # these name another resource, not themselves
        properties = resource.get("Properties", {})
        assert not NAMES & properties.keys(), logical_id
        if "LogGroupName" in properties:
            assert "${AWS::StackName}" in properties["LogGroupName"]["Fn::Sub"], logical_id


@pytest.mark.parametrize("path", TEMPLATES)
def test_every_export_carries_the_stacks_name(path):
    for key, output in load(path).get("Outputs", {}).items():
        if "Export" in output:
            assert output["Export"]["Name"] == {"Fn::Sub": "${AWS::StackName}-" + key}


@pytest.mark.parametrize("partition, region", [("aws-cn", "cn-north-1"), ("aws-us-gov", "us-gov-west-1")])
def test_no_partition_is_hard_coded(partition, region):
    account = Stack("template.yaml", "hydrator", partition=partition, region=region)
    source = Stack("infra/kinesis-source.yaml", "source", exports=account.exports, partition=partition, region=region,
                   HydratorStackName="hydrator", StreamArn=f"arn:{partition}:kinesis:{region}:{ACCOUNT}:stream/orders",
                   FunctionName="orders", FunctionRoleName="orders-role", FunctionQualifier="live",
                   Destination="Bucket")
    given = {"exports": account.exports, "partition": partition, "region": region}
    bucket = Stack("infra/bucket-source.yaml", "bucket", HydratorStackName="hydrator", BucketName="failed-orders",
                   **given)
    queue = Stack("infra/dead-letter-queue.yaml", "queue", HydratorStackName="hydrator",
                  QueueArn=f"arn:{partition}:sqs:{region}:{ACCOUNT}:orders-dlq", **given)
    for stack in (account, source, bucket, queue):
        assert "arn:aws:" not in json.dumps(stack.resources) + json.dumps(stack.outputs)


@pytest.mark.parametrize("attach", [kinesis_source, dynamodb_source, bucket_source, dead_letter_queue])
def test_with_a_topic_of_its_own_an_attached_stack_does_not_import_the_hydrators(attach):
    """As long as it is imported, CloudFormation refuses to change it."""
    hydrator, topic = core(), f"arn:aws:sns:{REGION}:{ACCOUNT}:alerts"
    exports = dict(hydrator.exports)
    theirs = exports.pop(f"{hydrator.name}-AlertsTopicArn")
    given = {"NotifyWhenOk": "true"}
    if attach in (kinesis_source, dynamodb_source):
        given["Destination"] = "Bucket"  # with every alarm that there is
    without = mock.Mock(exports=exports)
    without.name = hydrator.name
    with pytest.raises(KeyError, match="AlertsTopicArn"):
        attach(without, **given)
    own = attach(without, AlertsTopicArn=topic, **given)
    for stack, expected in ((own, topic), (attach(hydrator, **given), theirs)):
        alarms = [alarm["Properties"] for alarm in stack.of_type("AWS::CloudWatch::Alarm").values()]
        assert alarms and all(alarm["AlarmActions"] == alarm["OKActions"] == [expected] for alarm in alarms)


def test_the_path_of_the_role_can_be_chosen():
    assert core().properties("HydrateRole")["Path"] == "/"
    assert core(RolePath="/teams/orders/").properties("HydrateRole")["Path"] == "/teams/orders/"
    for refused in ("", "teams/", "/teams", "//"):
        with pytest.raises(AssertionError, match="RolePath"):
            core(RolePath=refused)


def test_two_sources_write_policies_of_different_names():
    """One role may be attached twice: from two stacks, or from stacks of one name in two regions."""
    for source in TEMPLATES:
        for resource in load(source)["Resources"].values():
            if resource["Type"] == "AWS::IAM::RolePolicy":
                assert "AWS::StackId" in json.dumps(resource["Properties"]["PolicyName"])


# ---------------------------------------------------------------- for the person who deploys

@pytest.mark.parametrize("path", TEMPLATES)
def test_every_parameter_says_what_it_is(path):
    template = load(path)
    grouped = [name for group in template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
               for name in group["Parameters"]]
    assert sorted(grouped) == sorted(template["Parameters"])
    for name, parameter in template["Parameters"].items():
        assert parameter["Description"].endswith(".") and len(parameter["Description"]) <= 4000, name
        if parameter["Type"] == "Number":
            assert {"MinValue", "MaxValue"} <= parameter.keys() or "AllowedValues" in parameter, name
        if "AllowedPattern" in parameter:
            assert "ConstraintDescription" in parameter, name


@pytest.mark.parametrize("path", TEMPLATES)
def test_every_output_says_what_it_is(path):
    for name, output in load(path)["Outputs"].items():
        assert len(output["Description"]) > 15, name


def test_the_application_repository_would_take_it():
    metadata = load("template.yaml")["Metadata"]["AWS::ServerlessRepo::Application"]
    assert len(metadata["Description"]) <= 256 and len(metadata["Labels"]) <= 10
    assert metadata["SpdxLicenseId"] == "Apache-2.0"
    for file in (metadata["LicenseUrl"], metadata["ReadmeUrl"]):
        assert (ROOT / file).exists(), file


def test_the_demonstration_gives_the_source_templates_what_they_ask_for():
    hydrator = core()
    demo = Stack("infra/demo.yaml", "failed-batch-demo", exports=hydrator.exports)
    nested = demo.of_type("AWS::CloudFormation::Stack")
    urls = {stack["Properties"]["TemplateURL"] for stack in nested.values()}
    assert urls == {"kinesis-source.yaml", "dynamodb-source.yaml"}
    for name, stack in nested.items():
        properties = stack["Properties"]
        made = Stack("infra/" + properties["TemplateURL"], name, exports=hydrator.exports, **properties["Parameters"])
        assert made.rules_hold() and "Mapping" in made.resources


def test_the_sources_offer_the_same_choices():
    kinesis, dynamodb = (load(f"infra/{name}-source.yaml")["Parameters"] for name in ("kinesis", "dynamodb"))
    assert kinesis.keys() - dynamodb.keys() == {"StreamKeyArn", "ConsumerArn", "StartingPositionTimestamp"}
    assert dynamodb.keys() - kinesis.keys() == {"TableKeyArn"}
    assert kinesis_source(core()).template["Rules"].keys() >= dynamodb_source(core()).template["Rules"].keys()
