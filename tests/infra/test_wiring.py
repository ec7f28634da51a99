"""The stacks of a release deployed on an emulator of CloudFormation, and a failed batch sent through all of them.

moto makes topics, queues, roles, functions and mappings. It knows no alarms, no policies of topics and queues, and no
subscriptions: the other files check those. Its Lambda runs nothing: these tests pass on what Lambda and SNS would, from
the topic and the queue that the templates made.
"""

import base64
import hashlib
import json
import uuid

import boto3
import pytest

from sandbox import as_lambda, sources
from sandbox.mailbox import check
from sandbox.runtime_api import Function
from scripts import release
from scripts.plain_templates import parse

NO_VALUE = {"Ref": "AWS::NoValue"}
BUCKET = "releases"
UNKNOWN_TO_MOTO = ("AWS::CloudWatch::",)


def for_moto(file):
    """The template without what moto cannot read: alarms, and optional items of lists, unused here."""
    template = _without_optional_items(parse(file.read_text()))
    # The digest links to the dashboard, and is made all the same.
    template["Resources"] = json.loads(json.dumps(template["Resources"]).replace("${Dashboard}", "dashboard"))
    left_out = {key for key, resource in template["Resources"].items() if resource["Type"].startswith(UNKNOWN_TO_MOTO)}
    for section in ("Resources", "Outputs"):
        for key in list(template[section]):
            if key in left_out or any(f'${{{name}}}' in json.dumps(template[section][key]) for name in left_out):
                del template[section][key]
    return template


def _without_optional_items(value):
    if isinstance(value, list):
        optional = [isinstance(item, dict) and item.get("Fn::If", [None])[-1] == NO_VALUE for item in value]
        return [_without_optional_items(item) for item, off in zip(value, optional) if not off]
    if isinstance(value, dict) and "Fn::If" not in value:
        return {key: _without_optional_items(item) for key, item in value.items()}
    return value


class Account:
    """An emulated account with the hydrator in it, and the function's binary with the variables deployed for it."""

    def __init__(self, aws, binary, dist):
        self.aws, self.binary, self.dist = aws, binary, dist
        self.sqs, self.sns, self.awslambda = (aws.client(name) for name in ("sqs", "sns", "lambda"))
        self.s3 = aws.client("s3")
        self._upload()
        self.outputs = self.deploy("template.yaml", f"hydrator-{uuid.uuid4().hex[:8]}", CodeBucket=BUCKET)

    def deploy(self, path, name, **parameters):
        cloudformation = self.aws.client("cloudformation")
        cloudformation.create_stack(
            StackName=name, TemplateBody=json.dumps(for_moto(self.dist / "templates" / path)), Capabilities=["CAPABILITY_IAM"],
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()])
        stack, = cloudformation.describe_stacks(StackName=name)["Stacks"]
        assert stack["StackStatus"] == "CREATE_COMPLETE", stack
        self.hydrator = getattr(self, "hydrator", name)
        return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}

    def source_function(self, name):
        role = self.aws.client("iam").create_role(RoleName=f"{name}-role", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
        self.awslambda.create_function(FunctionName=name, Role=role, Runtime="python3.13", Handler="index.handler",
                                       Code={"ZipFile": (self.dist / "hydrate-arm64.zip").read_bytes()})
        return {"FunctionName": name, "FunctionRoleName": f"{name}-role"}

    def mapping(self, uuid):
        return self.awslambda.get_event_source_mapping(UUID=uuid)

    def notifications(self, *records):
        """Publishes invocation records and gives back what subscribers of the topic are sent."""
        queue = self.sqs.create_queue(QueueName=f"tap-{uuid.uuid4().hex}")["QueueUrl"]
        topic = self.outputs["FailedBatchTopicArn"]
        arn = self.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        subscription = self.sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)["SubscriptionArn"]
        for record in records:
            self.sns.publish(TopicArn=topic, Message=as_lambda.text(record))
        found = [message["Body"] for message in self.receive(queue)]
        self.sns.unsubscribe(SubscriptionArn=subscription)
        assert len(found) == len(records)
        return found

    def invoke(self, event):
        """Runs the binary as the deployed function: with the variables that the stack gave it."""
        name = self.outputs["HydrateFunctionName"]
        configuration = self.awslambda.get_function_configuration(FunctionName=name)
        assert configuration["Handler"] == "bootstrap"
        variables = {key: str(value) for key, value in configuration["Environment"]["Variables"].items()}
        with Function(self.binary, {**self.aws.environment(), **variables}, name=name) as function:
            answer = function.invoke(event)
        assert answer.error is None, answer.error
        return answer.payload

    def receive(self, queue):
        found = []
        while batch := self.sqs.receive_message(
                QueueUrl=queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"]).get("Messages"):
            for message in batch:
                self.sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            found += batch
        return found

    def hydrated(self):
        return [json.loads(message["Body"]) for message in self.receive(self.outputs["HydratedQueueUrl"])]

    def _upload(self):
        """Copies the release as docs/DEPLOY.md does, to the keys that its templates have by default."""
        for bucket in (BUCKET, f"regional-{self.s3.meta.region_name}"):
            self.s3.create_bucket(Bucket=bucket)
            for file in release.files(self.dist):
                for folder in ("failed-batch-hydrator", "elsewhere"):
                    self.s3.put_object(Bucket=bucket, Key=f"{folder}/{release.workspace_version()}/{file}",
                                       Body=(self.dist / file).read_bytes())


@pytest.fixture(scope="module")
def account(aws, binary, dist):
    return Account(aws, binary, dist)


@pytest.fixture(scope="module")
def orders(account):
    """A stream with a batch on it, its function, and the source template deployed for the two."""
    stream = sources.KinesisStream(account.aws, f"orders-{uuid.uuid4().hex[:8]}")
    # moto's Lambda looks for the stream in moto's own Kinesis.
    boto3.client("kinesis", endpoint_url=account.aws.aws_url, region_name="us-east-1").create_stream(
        StreamName=stream.name, ShardCount=1)
    outputs = account.deploy("kinesis-source.yaml", f"source-{stream.name}", HydratorStackName=account.hydrator,
                             StreamArn=stream.arn, **account.source_function(stream.name))
    records = stream.put([(f"customer-{number}", json.dumps({"order": number}).encode()) for number in range(20)])
    return stream, records, outputs


@pytest.fixture(scope="module")
def customers(account):
    table = sources.Table(account.aws, f"customers-{uuid.uuid4().hex[:8]}")
    table.put({"id": {"S": "anna"}, "credit": {"N": "12345678901234567890123456789012345678"}})
    table.put({"id": {"S": "anna"}, "credit": {"N": "0"}})
    # Last: moto takes records that it gave to a mapping off the stream.
    outputs = account.deploy("dynamodb-source.yaml", f"source-{table.name}", HydratorStackName=account.hydrator,
                             StreamArn=table.arn, **account.source_function(table.name))
    return table, table.records(), outputs


@pytest.fixture(scope="module")
def written(account):
    """A stream whose mapping reports to the bucket."""
    name = f"written-{uuid.uuid4().hex[:8]}"
    stream = sources.KinesisStream(account.aws, name)
    boto3.client("kinesis", endpoint_url=account.aws.aws_url, region_name="us-east-1").create_stream(
        StreamName=name, ShardCount=1)
    outputs = account.deploy("kinesis-source.yaml", f"source-{name}", HydratorStackName=account.hydrator,
                             StreamArn=stream.arn, Destination="Bucket", **account.source_function(name))
    return stream, outputs


def test_a_mapping_reports_to_the_bucket(account, written):
    _, outputs = written
    destination = account.mapping(outputs["MappingUuid"])["DestinationConfig"]["OnFailure"]["Destination"]
    assert destination == account.outputs["FailedBatchBucketArn"]
    assert destination.endswith(":" + account.outputs["FailedBatchBucketName"])


def test_a_failed_batch_comes_back_through_the_bucket(account, written):
    """Lambda writes the batch, EventBridge hands the object on; or the retry queue has the event that it could not."""
    stream, _ = written
    records = stream.put([(f"customer-{number}", b"{}") for number in range(3)])
    delivered = stream.delivered(records)
    failure = {**stream.failure(records), "payload": as_lambda.text({"Records": delivered})}
    bucket, key = account.outputs["FailedBatchBucketName"], "aws/lambda/0a1b/shardId-000000000000/2026/11/21/x y+z"
    account.s3.put_object(Bucket=bucket, Key=key, Body=as_lambda.text(failure).encode())
    event = as_lambda.eventbridge_event(bucket, key)
    # What docs/RUNBOOK.md and docs/DEPLOY.md invoke the function with.
    by_hand = {"source": "aws.s3", "detail-type": "Object Created",
               "detail": {"bucket": {"name": bucket}, "object": {"key": key}}}
    for accepted in (event, by_hand, as_lambda.sqs_event(as_lambda.text(event))):
        account.invoke(accepted)
        message, = account.hydrated()
        check(message)
        assert message["Records"] == delivered
        assert (message["hydration"]["origin"], message["hydration"]["status"]) == ("payload", "Complete")
        assert message["hydration"]["object"] == f"s3://{bucket}/{key}"


def test_an_attached_bucket_has_its_rule(account):
    bucket = f"failed-{uuid.uuid4().hex[:8]}"
    account.s3.create_bucket(Bucket=bucket)
    streams = ",".join(f"arn:aws:kinesis:us-east-1:123456789012:stream/{name}" for name in ("a", "b"))
    outputs = account.deploy("bucket-source.yaml", f"attached-{bucket}", HydratorStackName=account.hydrator,
                             BucketName=bucket, KinesisStreamArns=streams)
    events = account.aws.client("events")
    rule = events.describe_rule(Name=outputs["RuleName"])
    assert json.loads(rule["EventPattern"])["detail"]["bucket"]["name"] == [bucket] and rule["State"] == "ENABLED"
    target, = events.list_targets_by_rule(Rule=outputs["RuleName"])["Targets"]
    assert target["Arn"] == account.outputs["HydrateFunctionArn"]
    assert target["DeadLetterConfig"] == {"Arn": account.outputs["RetryQueueArn"]}


def test_a_queue_that_is_a_destination_already_is_attached(account, orders):
    stream, records, _ = orders
    queue = account.sqs.create_queue(QueueName=f"dlq-{uuid.uuid4().hex}", Attributes={"VisibilityTimeout": "1800"})
    url = queue["QueueUrl"]
    arn = account.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    outputs = account.deploy("dead-letter-queue.yaml", f"attached-{uuid.uuid4().hex[:8]}",
                             HydratorStackName=account.hydrator, QueueArn=arn, KinesisStreamArns=stream.arn)
    mapping = account.mapping(outputs["MappingUuid"])
    assert mapping["EventSourceArn"] == arn and mapping["BatchSize"] == 1
    assert mapping["FunctionArn"] == account.outputs["HydrateFunctionArn"]
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    # Stopped: moto hands the queue to its own Lambda, which runs nothing.
    account.awslambda.update_event_source_mapping(UUID=outputs["MappingUuid"], Enabled=False)
    failure = stream.failure(records)
    answer = account.invoke(as_lambda.sqs_event(as_lambda.text(failure), "not an invocation record"))
    assert answer == {"batchItemFailures": []}
    found = {message["hydration"]["status"]: message for message in account.hydrated()}
    assert found.keys() == {"Complete", "Unrecognized"}
    assert found["Complete"]["Records"] == stream.delivered(records)
    assert found["Unrecognized"]["unrecognized"] == "not an invocation record"


def test_the_mappings_report_to_the_topic(account, orders, customers):
    for source, _, outputs in (orders, customers):
        mapping = account.mapping(outputs["MappingUuid"])
        assert mapping["EventSourceArn"] == source.arn
        assert mapping["DestinationConfig"]["OnFailure"]["Destination"] == account.outputs["FailedBatchTopicArn"]
        assert mapping["MaximumRetryAttempts"] == 5 and mapping["MaximumRecordAgeInSeconds"] == 43200


@pytest.mark.parametrize("source", ["orders", "customers"])
def test_a_failed_batch_comes_back_through_the_topic(account, source, request):
    stream, records, _ = request.getfixturevalue(source)
    record = stream.failure(records)
    # SNS hands the function the notification that it hands a queue, in other capitals.
    notification, = map(json.loads, account.notifications(record))
    answer = account.invoke(as_lambda.sns_event(notification["Message"]))
    assert [batch["status"] for batch in answer["batches"]] == ["Complete"]
    message, = account.hydrated()
    check(message)
    assert message["Records"] == stream.delivered(records)
    assert message["requestContext"] == record["requestContext"]


def test_what_waits_in_the_retry_queue_comes_back_too(account, orders):
    """Both forms that arrive there: Lambda's failure document, and the notification that SNS could not hand over."""
    stream, records, _ = orders
    first, second = stream.failure(records[:5]), stream.failure(records[5:])
    retry = account.outputs["RetryQueueUrl"]
    failed = as_lambda.async_failure(as_lambda.sns_event(first))
    account.sqs.send_message(QueueUrl=retry, MessageBody=as_lambda.text(failed))
    account.sqs.send_message(QueueUrl=retry, MessageBody=account.notifications(second)[0])
    bodies = [message["Body"] for message in account.receive(retry)]
    assert account.invoke(as_lambda.sqs_event(*bodies)) == {"batchItemFailures": []}
    found = sorted(account.hydrated(), key=lambda message: message["hydration"]["recoveredRecords"])
    assert [message["Records"] for message in found] == [stream.delivered(records[:5]), stream.delivered(records[5:])]


def test_the_retry_queue_feeds_the_function_a_message_at_a_time(account):
    name = account.outputs["HydrateFunctionName"]
    mapping, = account.awslambda.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
    attributes = account.sqs.get_queue_attributes(
        QueueUrl=account.outputs["RetryQueueUrl"], AttributeNames=["All"])["Attributes"]
    assert mapping["EventSourceArn"] == attributes["QueueArn"] and mapping["BatchSize"] == 1
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    variables = account.awslambda.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    assert variables["RETRY_QUEUE_URL"] == account.outputs["RetryQueueUrl"]
    parked = account.sqs.get_queue_attributes(QueueUrl=account.outputs["ParkedQueueUrl"], AttributeNames=["QueueArn"])
    redrive = json.loads(attributes["RedrivePolicy"])
    assert redrive["deadLetterTargetArn"] == parked["Attributes"]["QueueArn"]


@pytest.mark.parametrize("architecture", ["arm64", "x86_64"])
@pytest.mark.parametrize("code", [
    {"CodeBucket": BUCKET}, {"CodeBucket": "regional", "CodeBucketPerRegion": "true"},
    {"CodeBucket": BUCKET, "CodeKeyPrefix": "elsewhere/"}], ids=["bucket", "bucket of the region", "folder"])
def test_the_code_is_that_of_the_release(account, code, architecture):
    """moto makes no function whose code it does not find."""
    outputs = account.deploy("template.yaml", f"hydrator-{uuid.uuid4().hex[:8]}", Architecture=architecture, **code)
    configuration = account.awslambda.get_function_configuration(FunctionName=outputs["HydrateFunctionName"])
    zipped = (account.dist / f"hydrate-{architecture}.zip").read_bytes()
    assert configuration["CodeSha256"] == base64.b64encode(hashlib.sha256(zipped).digest()).decode()


def test_every_output_is_there(account):
    """With parameters at their defaults, but for the dashboard's, which moto does not make."""
    declared = parse((account.dist / "templates" / "template.yaml").read_text())["Outputs"].keys()
    assert declared - account.outputs.keys() <= {"DashboardUrl"}
    assert all(account.outputs.values())


def test_the_hydrator_can_be_deployed_twice(account):
    second = account.deploy("template.yaml", f"hydrator-{uuid.uuid4().hex[:8]}", CodeBucket=BUCKET)
    assert not set(second.values()) & set(account.outputs.values())


def test_granting_alone_makes_no_mapping_and_prints_the_command(account, orders):
    stream, _, _ = orders
    source = account.source_function(f"by-hand-{uuid.uuid4().hex[:8]}")
    outputs = account.deploy("kinesis-source.yaml", source["FunctionName"], HydratorStackName=account.hydrator,
                             StreamArn=stream.arn, CreateMapping="no", **source)
    assert outputs.keys() == {"UpdateMappingCommand"}
    assert account.outputs["FailedBatchTopicArn"] in outputs["UpdateMappingCommand"]
    name = source["FunctionName"]
    assert f"--function-name {name} --event-source-arn {stream.arn}" in outputs["UpdateMappingCommand"]
    assert account.awslambda.list_event_source_mappings(FunctionName=name)["EventSourceMappings"] == []
