"""Commands other than list, show and replay: export, isolate, hydrate, doctor, discard."""

import json
import os
import stat
import urllib.parse
import uuid

import pytest

from sandbox import as_lambda
from sandbox.failed_batch_bucket import FailedBatchBucket, place
from tests.kit import dlq
from tests.kit.dlq import Fails


def test_export_writes_the_event_as_delivered_for_you_alone(tool, queue, tmp_path):
    batch, = queue.send(dlq.kinesis([b"\xff", b'{"n":1.0}']))
    path = tmp_path / "out" / f"{batch.id}.json"
    tool("export", batch.id[:8], "--to", path.parent)
    assert path.read_text() == batch.event
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    # A second run finds the same content there, as after one that was cut off.
    assert tool("export", batch.id[:8], "--to", path.parent).messages[0]["isNew"] is False
    path.write_text("mine")
    assert "--force" in tool("export", batch.id[:8], "--to", path.parent, code=1).err
    tool("export", batch.id[:8], "--to", path.parent, "--force")


def test_export_of_everything_tells_what_has_no_records(tool, queue, tmp_path):
    queue.send(dlq.kinesis(), dlq.kinesis(at=10, overflow=True), dlq.nothing_left(at=20))
    result = tool("export", "--all", "--to", tmp_path / "out", "--format", "ndjson")
    assert "1 message has no record left and no file" in result.err
    files = sorted((tmp_path / "out").iterdir())
    assert [len(file.read_text().splitlines()) for file in files] == [2, 2]
    assert [json.loads(file.read_text().splitlines()[0])["view"] for file in files] == [{"n": 1}] * 2


def poison(*culprits):
    """A function that fails when it is given all of these records."""
    def answer(invocation):
        given = [record["kinesis"]["data"] for record in json.loads(invocation.payload)["Records"]]
        if all(dlq.encoded(culprit) in given for culprit in culprits):
            raise Fails("KeyError", "total")
    return answer


def test_isolate_finds_the_poison_record(tool, queue, function):
    batch, = queue.send(dlq.kinesis([b"record %d" % n for n in range(100)]))
    function.answer = poison(b"record 61")
    found, = tool("isolate", batch.id[:8], "--execute", "--rate", 1000).messages
    assert [record["view"] for record in found["records"]] == ["record 61"]
    assert (found["errorType"], found["errorMessage"], found["isMinimal"]) == ("KeyError", "total", True)
    assert found["invocations"] == len(function.invocations) < 18
    assert queue.counts() == (1, 0)
    text = tool("isolate", batch.id[:8], "--execute", "--rate", 1000, "-o", "text").out
    assert "One record fails by itself" in text and "KeyError: total" in text and "record 61" in text


def test_isolate_finds_records_that_fail_only_together(tool, queue, function):
    batch, = queue.send(dlq.kinesis([b"record %d" % n for n in range(16)]))
    function.answer = poison(b"record 3", b"record 12")
    found, = tool("isolate", batch.id[:8], "--execute", "--rate", 1000, "--on", "f:dev").messages
    assert [record["number"] for record in found["records"]] == [4, 13]
    arn = "arn:aws:lambda:us-east-1:123456789012:function:f:dev"
    assert {invocation.function for invocation in function.invocations} == {arn}


def test_isolate_understands_a_partial_answer(tool, queue, function):
    batch, = queue.send(dlq.kinesis([b"%d" % n for n in range(8)]))
    bad = batch.records[5]["kinesis"]["sequenceNumber"]
    function.answer = lambda invocation: {
        "batchItemFailures": [{"itemIdentifier": bad}] if bad in invocation.payload else []}
    found, = tool("isolate", batch.id[:8], "--execute", "--rate", 1000).messages
    assert [record["number"] for record in found["records"]] == [6]


def test_isolate_invokes_nothing_without_execute_and_says_when_the_batch_no_longer_fails(tool, queue, function):
    batch, = queue.send(dlq.kinesis())
    assert "Dry run" in tool("isolate", batch.id[:8], "-o", "text").out
    planned, = tool("isolate", batch.id[:8]).messages
    assert (planned["action"], function.invocations) == ("wouldInvoke", [])
    assert "does not fail" in tool("isolate", batch.id[:8], "--execute", "-o", "text", code=3).out
    passed, = tool("isolate", batch.id[:8], "--execute", code=3).messages
    assert passed["doesNotFail"] is True
    assert queue.counts() == (1, 0)


@pytest.fixture
def bare(stream):
    """Two invocation records of a true stream, and the events Lambda had delivered."""
    made, records = stream([("k", b'{"n":%d}' % n) for n in range(8)])
    batches = [records[:4], records[4:]]
    return [(as_lambda.kinesis_failure(batch, made.arn, made.shard_id),
             [as_lambda.kinesis_event_record(record, made.arn, made.shard_id) for record in batch])
            for batch in batches]


def test_hydrate_prints_what_the_function_would_send(tool, bare, tmp_path):
    (first, delivered), (second, _) = bare
    path = tmp_path / "failure.json"
    path.write_text(as_lambda.text(first))
    message, = tool("hydrate", path).lines
    assert (message["Records"], message["hydration"]["status"]) == (delivered, "Complete")
    lines = as_lambda.text(as_lambda.sns_notification(first)) + "\n" + as_lambda.text(second)
    assert len(tool("hydrate", "-", stdin=lines).lines) == 2


def test_hydrate_says_what_it_could_not(tool, bare):
    result = tool("hydrate", "-", stdin="hello\n" + as_lambda.text(bare[0][0]), code=3)
    assert len(result.lines) == 1
    assert "document 1: this is not an invocation record" in result.err


def test_an_old_queue_is_hydrated_and_left_as_it_is(tool, aws, bare):
    old = dlq.Queue(aws)
    old.send(*[as_lambda.text(record) for record, _ in bare], "hello")
    assert len(tool("hydrate", "--from-queue", old.name, code=3).lines) == 2
    assert old.counts() == (3, 0)


def test_objects_that_a_queue_announces_are_hydrated(tool, aws, bare):
    """A mapping with an S3 destination, whose bucket notifies a queue."""
    bucket, old = FailedBatchBucket(aws), dlq.Queue(aws)
    (first, delivered), (second, _) = bare
    where = bucket.put(as_lambda.with_payload(first, delivered))
    old.send(as_lambda.text(as_lambda.s3_test_event(bucket.name)), as_lambda.text(as_lambda.s3_event(where)),
             as_lambda.text(as_lambda.eventbridge_event(*bucket.put(second))))
    messages = sorted(tool("hydrate", "--from-queue", old.name).lines, key=lambda m: m["hydration"]["origin"])
    assert [message["hydration"]["origin"] for message in messages] == ["payload", "stream"]
    assert (messages[0]["Records"], messages[0]["hydration"]["object"]) == (delivered, place(where))
    note = bucket.put("a note", key="note")
    old.send(as_lambda.text(as_lambda.s3_event(note)))
    result = tool("hydrate", "--from-queue", old.name, code=3)
    assert len(result.lines) == 2 and "this is not an invocation record" in result.err


def test_an_old_queue_is_worked_off_into_the_new_one(tool, aws, queue, function, bare):
    old = dlq.Queue(aws)
    old.send(*[as_lambda.text(record) for record, _ in bare], "hello")
    tool("hydrate", "--from-queue", old.url, "--send", "--delete", code=3)
    assert (old.counts(), queue.counts()) == ((1, 0), (2, 0))
    tool("replay", "--all", "--execute")
    delivered = [as_lambda.text({"Records": records}) for _, records in bare]
    assert [invocation.payload for invocation in function.invocations] == delivered


def test_a_queue_is_not_hydrated_into_itself(tool, queue):
    assert "is the queue to send to" in tool("hydrate", "--from-queue", queue.url, "--send", code=1).err


KEY = "arn:aws:kms:us-east-1:123456789012:key/99998888-7777-6666-5555-444433332222"
STACK_OUTPUTS = {
    "FailedBatchTopicArn": "arn:aws:sns:us-east-1:123456789012:failed-batches", "TopicKeyArn": KEY,
    "HydrateFunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:hydrate",
    "HydrateRoleArn": "arn:aws:iam::123456789012:role/hydrate"}


@pytest.fixture
def retry_queue(aws):
    sqs = aws.client("sqs")
    url = sqs.create_queue(QueueName=f"retry-{uuid.uuid4().hex[:12]}", Attributes={
        "MessageRetentionPeriod": "1209600", "VisibilityTimeout": "1800", "KmsMasterKeyId": KEY.split("/")[-1]})["QueueUrl"]
    return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


@pytest.fixture
def failed_batches(aws, retry_queue):
    """A bucket whose new objects a rule hands to the hydrate function, as in the templates; and the rule's name."""
    bucket, events = FailedBatchBucket(aws), aws.client("events")
    s3 = aws.client("s3")
    s3.put_bucket_notification_configuration(
        Bucket=bucket.name, NotificationConfiguration={"EventBridgeConfiguration": {}})
    s3.put_bucket_encryption(Bucket=bucket.name, ServerSideEncryptionConfiguration={"Rules": [
        {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY}}]})
    s3.put_bucket_lifecycle_configuration(Bucket=bucket.name, LifecycleConfiguration={"Rules": [
        {"ID": "x", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 30}}]})
    pattern = {"source": ["aws.s3"], "detail-type": ["Object Created"],
               "detail": {"bucket": {"name": [bucket.name]}, "object": {"key": [{"prefix": "aws/lambda/"}]}}}
    events.put_rule(Name=bucket.name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=bucket.name, Targets=[
        {"Id": "hydrate", "Arn": STACK_OUTPUTS["HydrateFunctionArn"], "DeadLetterConfig": {"Arn": retry_queue[1]}}])
    return bucket.name


@pytest.fixture
def deployment(aws, queue, function, stream, retry_queue, failed_batches):
    """A stack with a sound mapping to its topic, one to its bucket and one that loses records, and a role that may not
    publish."""
    made, _ = stream([("k", b"x")])
    sound = {"MaximumRetryAttempts": 3, "MaximumRecordAgeInSeconds": 3600, "BisectBatchOnFunctionError": True}
    function.mappings = [
        mapping("sound", made.arn, **sound, **reports_to(STACK_OUTPUTS["FailedBatchTopicArn"])),
        mapping("lossy", made.arn, MaximumRetryAttempts=-1, MaximumRecordAgeInSeconds=-1,
                BisectBatchOnFunctionError=False, LastProcessingResult="PROBLEM: access denied"),
        mapping("written", made.arn, **sound, **reports_to(f"arn:aws:s3:::{failed_batches}")),
        mapping("hydrate", retry_queue[1])]
    denied = ["sns:Publish"]

    def other(path, body):
        if "event-source-mappings" in path:
            return 200, {"EventSourceMappings": function.mappings}
        if path.endswith("/configuration"):
            return 200, {"Role": "arn:aws:iam::123456789012:role/orders"}
        if b"SimulatePrincipalPolicy" in body:
            return 200, simulated(body.decode(), denied)
        return 404, {}
    function.other = other
    outputs = {**STACK_OUTPUTS, "HydratedQueueUrl": queue.url, "OverflowBucketName": queue.bucket,
               "RetryQueueUrl": retry_queue[0], "FailedBatchBucketName": failed_batches,
               "FailedBatchRuleName": failed_batches}
    template = {"Resources": {"T": {"Type": "AWS::SNS::Topic"}},
                "Outputs": {name: {"Value": value} for name, value in outputs.items()}}
    name = queue.name.replace("hydrated", "deployment")
    aws.client("cloudformation").create_stack(StackName=name, TemplateBody=json.dumps(template))
    return name, denied


def mapping(name, stream, **options):
    return {"UUID": name, "EventSourceArn": stream, "State": "Enabled", "LastProcessingResult": "OK",
            "FunctionArn": f"arn:aws:lambda:us-east-1:123456789012:function:{name}", **options}


def reports_to(destination):
    return {"DestinationConfig": {"OnFailure": {"Destination": destination}}}


def simulated(body, denied):
    """The answer of a role whose policies have the conditions of the templates: it depends on the context that is given."""
    request = {key: values[0] for key, values in urllib.parse.parse_qs(body).items()}
    actions = [value for key, value in request.items() if key.startswith("ActionNames")]
    keys = {key.rpartition(".")[0]: value for key, value in request.items() if key.endswith("ContextKeyName")}
    context = {name: request[f"{entry}.ContextKeyValues.member.1"] for entry, name in keys.items()}

    def decision(action):
        if action in ("s3:PutObject", "s3:ListBucket") and context.get("s3:ResourceAccount") != "123456789012":
            return "implicitDeny"
        if action.startswith("kms:") and context.get("kms:ViaService") not in VIA:
            return "implicitDeny"
        return "implicitDeny" if action in denied else "allowed"
    members = "".join(
        f"<member><EvalActionName>{action}</EvalActionName><EvalDecision>{decision(action)}</EvalDecision></member>"
        for action in actions)
    return ('<SimulatePrincipalPolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">'
            f"<SimulatePrincipalPolicyResult><EvaluationResults>{members}</EvaluationResults>"
            "</SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>")


VIA = {f"{service}.us-east-1.amazonaws.com" for service in ("sns", "s3", "sqs")}


def test_doctor_says_what_is_wrong_and_what_to_change(tool, queue, deployment):
    name, denied = deployment
    queue.sqs.set_queue_attributes(QueueUrl=queue.url, Attributes={"MessageRetentionPeriod": "86400"})
    lifecycle = {"Rules": [{"ID": "x", "Status": "Enabled", "Filter": {"Prefix": "hydrated/"},
                            "Expiration": {"Days": 1}}]}
    queue.s3.put_bucket_lifecycle_configuration(Bucket=queue.bucket, LifecycleConfiguration=lifecycle)
    findings = tool("doctor", "--stack", name, code=3).lines
    problems = " | ".join(finding["finding"] for finding in findings if finding["grade"] == "problem")
    for expected in ("no on-failure destination", "retries for ever", "PROBLEM: access denied",
                 "may not sns:Publish", "SQS deletes its messages after 24h"):
        assert expected in problems
    assert all(finding.get("change") for finding in findings if finding["grade"] == "problem")
    assert not [finding for finding in findings if "sound" in finding["subject"]
                and finding["grade"] != "fine"]
    text = tool("doctor", "--stack", name, "-o", "text", code=3).out
    assert "→ aws lambda update-event-source-mapping --uuid lossy" in text


def test_doctor_finds_nothing_wrong_with_a_sound_deployment(tool, queue, function, deployment):
    name, denied = deployment
    denied.clear()
    del function.mappings[1]
    queue.sqs.set_queue_attributes(QueueUrl=queue.url, Attributes={"MessageRetentionPeriod": "1209600"})
    lifecycle = {"Rules": [{"ID": "x", "Status": "Enabled", "Filter": {"Prefix": "hydrated/"},
                            "Expiration": {"Days": 30}}]}
    queue.s3.put_bucket_lifecycle_configuration(Bucket=queue.bucket, LifecycleConfiguration=lifecycle)
    findings = tool("doctor", "--stack", name).lines
    assert {finding["grade"] for finding in findings} == {"fine"}, findings
    lifecycle["Rules"][0]["Expiration"]["Days"] = 3
    queue.s3.put_bucket_lifecycle_configuration(Bucket=queue.bucket, LifecycleConfiguration=lifecycle)
    assert "lifecycle deletes objects after 3 days" in tool("doctor", "--stack", name, "-o", "text", code=3).out


def test_doctor_tells_what_it_may_not_look_at(tool, queue, function, deployment):
    name, _ = deployment
    function.other = lambda path, body: (403, {"message": "no"})
    findings = tool("doctor", "--stack", name, code=3).lines
    unchecked = {finding["subject"]: finding for finding in findings if finding["grade"] == "unchecked"}
    assert unchecked.keys() == {"mappings", "role hydrate"}
    for subject, action in (("mappings", "lambda:ListEventSourceMappings"),
                            ("role hydrate", "iam:SimulatePrincipalPolicy")):
        assert action in unchecked[subject]["finding"]
        assert unchecked[subject]["change"] == f"allow {action} to your credentials"


def test_doctor_checks_what_comes_to_the_hydrate_function_by_a_bucket(tool, aws, deployment, failed_batches):
    name, denied = deployment
    denied[:] = ["s3:GetObject", "s3:PutObject", "kms:GenerateDataKey"]
    aws.client("s3").put_bucket_notification_configuration(Bucket=failed_batches, NotificationConfiguration={})
    aws.client("events").disable_rule(Name=failed_batches)
    findings = tool("doctor", "--stack", name, code=3).lines
    problems = " | ".join(f"{found['subject']}: {found['finding']}" for found in findings if found["grade"] == "problem")
    for expected in (f"bucket {failed_batches}: it does not send its events to EventBridge",
                     f"event rule {failed_batches}: it is disabled",
                     f"role hydrate: it may not s3:GetObject on arn:aws:s3:::{failed_batches}/aws/lambda/*",
                     f"it may not s3:PutObject on arn:aws:s3:::{failed_batches}/*, nor kms:GenerateDataKey on {KEY}",
                     f"role hydrate: it may not kms:GenerateDataKey on {KEY}"):
        assert expected in problems


def test_doctor_knows_a_bucket_and_a_queue_that_other_stacks_attach(tool, aws, queue, function, deployment, failed_batches):
    name, denied = deployment
    denied.clear()
    del function.mappings[1]
    queue.sqs.set_queue_attributes(QueueUrl=queue.url, Attributes={"MessageRetentionPeriod": "1209600"})
    # The stack has no bucket of its own now: the rule is found by its target.
    outputs = aws.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]["Outputs"]
    kept = {output["OutputKey"]: {"Value": output["OutputValue"]} for output in outputs
            if not output["OutputKey"].startswith(("FailedBatchBucket", "FailedBatchRule"))}
    template = {"Resources": {"T": {"Type": "AWS::SNS::Topic"}}, "Outputs": kept}
    aws.client("cloudformation").create_stack(StackName=f"{name}-2", TemplateBody=json.dumps(template))
    attached = dlq.Queue(aws)
    arn = aws.client("sqs").get_queue_attributes(
        QueueUrl=attached.url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    function.mappings[0].update(reports_to(arn))
    warnings = [found["finding"] for found in tool("doctor", "--stack", f"{name}-2").lines
                if found["grade"] == "warning"]
    assert f"its on-failure destination is {arn}, and nothing hands that to the hydrator" in warnings
    function.mappings.append(mapping("hydrate", arn))
    findings = tool("doctor", "--stack", f"{name}-2").lines
    # The queue is as SQS makes one, and the overflow bucket too.
    warnings = [(found["subject"], " ".join(found["finding"].split()[:4])) for found in findings
                if found["grade"] == "warning"]
    assert warnings == [(f"bucket {queue.bucket}", "no lifecycle rule deletes"),
                        (f"attached queue {attached.name}", "its visibility timeout is"),
                        (f"attached queue {attached.name}", "it has no redrive")]
    assert f"hands the objects of {failed_batches} to the hydrate function" in [found["finding"] for found in findings]


def test_discard_deletes_only_what_it_is_told_to(tool, queue):
    gone = dlq.nothing_left("Gone", at=20)
    kept, _, _ = queue.send(dlq.kinesis(), gone, gone)
    assert "nothing was deleted" in tool("discard", "--all", "--status", "Gone", "-o", "text").out
    assert queue.counts() == (3, 0)
    tool("discard", "--all", "--status", "Gone", "--execute")
    assert [line["id"] for line in tool("list").messages] == [kept.id]
    discarded, = tool.discards()
    assert (discarded["id"], len(discarded["messageIds"])) == (gone.id, 2)
