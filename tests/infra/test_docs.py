"""The documents agree with the templates and the code."""

import json
import re

import pytest

from tests.infra.known_metrics import METRICS
from tests.infra.policies import decide
from tests.infra.templates import (
    ACCOUNT, REGION, ROOT, TEMPLATES, bucket_source, core, dead_letter_queue, dynamodb_source, kinesis_source, load,
)

DEPLOY = (ROOT / "docs" / "DEPLOY.md").read_text()
RUNBOOK = (ROOT / "docs" / "RUNBOOK.md").read_text()
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/99998888-7777-6666-5555-444433332222"


def key_policy():
    printed, = (block for block in re.findall(r"```json\n(.*?)```", DEPLOY, re.DOTALL) if "AlarmsPublish" in block)
    stack = core(KmsKeyArn=KEY)
    for word, value in (("REGION", REGION), ("ACCOUNT", ACCOUNT), ("STACK", stack.name)):
        printed = printed.replace(word, value)
    return {"Statement": json.loads(printed)}, stack


def test_the_key_policy_in_the_documents_is_enough_for_the_services():
    document, stack = key_policy()
    for service in ("cloudwatch.amazonaws.com", "sns.amazonaws.com", "events.amazonaws.com"):
        for action in ("kms:GenerateDataKey", "kms:Decrypt"):
            assert decide([document], action, KEY, service) == "allow"
    group = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:" + stack.outputs["LogGroupName"]
    for action in ("kms:Encrypt", "kms:Decrypt", "kms:ReEncryptTo", "kms:GenerateDataKey", "kms:DescribeKey"):
        assert decide([document], action, KEY, f"logs.{REGION}.amazonaws.com",
                      **{"kms_EncryptionContext:aws:logs:arn": group}) == "allow"
        assert decide([document], action, KEY, f"logs.{REGION}.amazonaws.com",
                      **{"kms_EncryptionContext:aws:logs:arn": group + "2"}) is None


def test_the_key_made_by_the_stack_lets_in_whom_the_documents_let_in():
    """All but SNS, EventBridge and the logs, which do not use the stack's own key."""
    document, _ = key_policy()
    printed = next(statement for statement in document["Statement"] if statement["Sid"] == "AlarmsPublish")
    made = core().properties("TopicKey")["KeyPolicy"]["Statement"]
    assert printed in made


@pytest.mark.parametrize("file", ["docs/DEPLOY.md", "docs/RUNBOOK.md"])
def test_parameters_and_outputs_are_called_by_their_names(file):
    known = set()
    for path in TEMPLATES:
        template = load(path)
        known |= template["Parameters"].keys() | template["Outputs"].keys()
    text = (ROOT / file).read_text()
    # Name=value, and out NAME: the two ways in which commands use them.
    named = set(re.findall(r"\b([A-Z][a-z]+[A-Z]\w+)=[\w…]", text)) | set(re.findall(r"\(out ([A-Z]\w+)\)", text))
    assert len(named) >= 3 and named <= known, named - known


@pytest.mark.parametrize("file", ["docs/DEPLOY.md", "infra/dead-letter-queue.yaml"])
def test_an_attached_queue_is_set_up_as_the_retry_queue_is(file):
    text, = re.findall(r"'(\{\"VisibilityTimeout\".*\})'$", (ROOT / file).read_text(), re.MULTILINE)
    attributes = json.loads(text)
    redrive = json.loads(attributes.pop("RedrivePolicy"))
    ours = core().properties("RetryQueue")
    assert attributes == {"VisibilityTimeout": str(ours["VisibilityTimeout"])}
    assert redrive == {"deadLetterTargetArn": "PARKED_QUEUE_ARN",
                       "maxReceiveCount": str(ours["RedrivePolicy"]["maxReceiveCount"])}


def test_the_sums_of_the_costs_are_right():
    rows = re.findall(r"^\| (?!\*\*)([^|]+) \| [^|]* \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", DEPLOY, re.MULTILINE)
    totals = re.search(r"\*\*a month\*\* \| \| \*\*(.+)\*\* \| \*\*(.+)\*\* \| \*\*(.+)\*\* \|", DEPLOY).groups()
    for column, total in enumerate(totals, start=1):
        found = [re.search(r"([\d.]*\d)$", row[column].strip()) for row in rows]
        values = [float(number.group(1)) for number in found if number]
        assert len(values) == 11 and abs(sum(values) - float(total)) < 0.006, (column, values, sum(values))


def test_the_alarm_metrics_that_the_costs_count():
    def count(stack):
        return sum(sum("MetricStat" in query for query in alarm["Properties"].get("Metrics", [{"MetricStat": 1}]))
                   for alarm in stack.of_type("AWS::CloudWatch::Alarm").values())

    each, other = count(kinesis_source(core())), count(dynamodb_source(core()))
    assert each == other and f"({count(core())} + {each} × sources) metrics" in DEPLOY
    words = {2: "two", 3: "three"}
    to_bucket = words[count(kinesis_source(core(), Destination="Bucket")) - each]
    bucket, queue = words[count(bucket_source(core()))], words[count(dead_letter_queue(core()))]
    said = f"A source adds {to_bucket} alarm metrics then, an attached bucket {bucket}, an attached queue {queue}."
    assert said in re.sub(r"\s+", " ", DEPLOY)


def table(heading):
    """The first column of the runbook's table under a heading."""
    section = re.search(rf"^# {heading}$(.*?)(?=^# |\Z)", RUNBOOK, re.MULTILINE | re.DOTALL).group(1)
    return set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))


def test_the_runbook_knows_every_error_type():
    kinds = set(re.findall(r"Self::\w+(?:\(_\))? => \"(\w+)\"", (ROOT / "crates/hydration/src/error.rs").read_text()))
    assert len(kinds) > 5 and table("Error types") == kinds | {"SeveralBatchesFailed", "InvalidConfiguration"}


def test_the_runbook_knows_every_log_line():
    log = (ROOT / "functions/hydrate/src/telemetry/log.rs").read_text()
    messages = set(re.findall(r"^\s+\"((?:batch|configuration) \w+)\"$", log, re.MULTILINE))
    messages |= set(re.findall(r"\"(batch \w+)\"\);$", log, re.MULTILINE))
    assert len(messages) == 4
    assert set(re.findall(r"^\| `((?:batch|configuration) \w+)` \|", RUNBOOK, re.MULTILINE)) == messages


def test_the_runbook_knows_the_metrics_that_count_by_error():
    by_error = {name for (_, name), dimensions in METRICS.items() if "ErrorType" in dimensions}
    assert by_error == {"BatchesFailed", "BatchesContinued"}
    assert by_error <= set(re.findall(r"`(\w+)`", RUNBOOK))


def test_the_runbook_knows_every_status():
    statuses = set(re.findall(r"Self::\w+ => \"(\w+)\"", (ROOT / "crates/hydration/src/verdict.rs").read_text()))
    assert len(statuses) == 7 and table("Statuses") == statuses


def test_the_runbooks_log_lines_have_the_functions_keys():
    log = (ROOT / "functions/hydrate/src/telemetry/log.rs").read_text()
    known = set(re.findall(r"\b(\w+)\b", log)) | {"timestamp", "level", "message"}
    lines = re.findall(r"^\{\"level\".*$", RUNBOOK, re.MULTILINE)
    assert len(lines) >= 3
    for line in lines:
        assert set(re.findall(r"\"(\w+)\":", line)) <= known
