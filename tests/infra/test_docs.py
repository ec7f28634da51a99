"""The documents agree with the templates and the code."""

import itertools
import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from scripts import install
from scripts.plain_templates import parse, plain
from tests.infra.known_metrics import METRICS
from tests.infra.policies import decide, grants, listed, role_documents, statements
from tests.infra.templates import (
    ACCOUNT, REGION, ROOT, TEMPLATES, bucket_source, core, dead_letter_queue, dynamodb_source, kinesis_source, load,
)

DEPLOY = (ROOT / "docs" / "DEPLOY.md").read_text()
RUNBOOK = (ROOT / "docs" / "RUNBOOK.md").read_text()
README = (ROOT / "README.md").read_text()
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
    actions = ("kms:Encrypt", "kms:Decrypt", "kms:ReEncryptTo", "kms:GenerateDataKey", "kms:DescribeKey")
    groups = [group["Properties"]["LogGroupName"] for group in stack.of_type("AWS::Logs::LogGroup").values()]
    assert len(groups) == 2
    for action, name in itertools.product(actions, groups):
        group = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{name}"
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
        template = parse(plain(path, "1.2.3"))
        known |= template["Parameters"].keys() | template["Outputs"].keys()
    text = (ROOT / file).read_text()
    # Name=value, and out NAME: the two ways in which commands use them.
    named = set(re.findall(r"\b([A-Z][a-z]+[A-Z]\w+)=[\w…]", text)) | set(re.findall(r"\(out ([A-Z]\w+)\)", text))
    named -= {"ParameterKey", "ParameterValue", "OrganizationalUnitIds", "RetainStacksOnAccountRemoval"}  # of StackSets
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


def printed_policy(sid):
    """The policy, or the list of statements, in the document's one block with this Sid."""
    block, = (block for block in re.findall(r"```json\n(.*?)```", DEPLOY, re.DOTALL) if sid in block)
    value = json.loads(block)
    return value if isinstance(value, dict) else {"Statement": value}


def test_the_boundary_in_the_documents_allows_what_the_hydrators_roles_do_and_no_more():
    stack = core(KmsKeyArn=KEY, ExistingQueueArn=f"arn:aws:sqs:{REGION}:{ACCOUNT}:q", ExistingQueueKmsKeyArn=KEY)
    attached = [kinesis_source(stack, StreamKeyArn=KEY), dynamodb_source(stack, TableKeyArn=KEY),
                bucket_source(stack, BucketKeyArn=KEY), dead_letter_queue(stack, QueueKeyArn=KEY)]
    documents = [document for each in (stack, *attached)
                 for role in ("HydrateRole", "DigestRole")
                 for document in role_documents(each, stack.physical_name(role))]
    statement, = printed_policy("RolesOfTheHydrator")["Statement"]
    assert statement["Resource"] == "*"
    assert set(statement["Action"]) == {action for action, _ in grants(documents)}


@pytest.mark.parametrize("destination, words", [("Topic", "Reports to the topic need"), ("Bucket", "to the bucket")])
def test_the_boundary_of_a_source_functions_role_is_documented(destination, words):
    documents = role_documents(kinesis_source(core(KmsKeyArn=KEY), Destination=destination), "orders-role")
    paragraph, = re.findall(r"^A source function's role may have a boundary as well\.(.*?)\n\n", DEPLOY,
                            re.MULTILINE | re.DOTALL)
    topic, bucket = re.sub(r"\s+", " ", paragraph).split("reports to the bucket")
    documented = set(re.findall(r"`(\w+:\w+)`", topic if destination == "Topic" else bucket))
    assert words.lower() in re.sub(r"\s+", " ", paragraph).lower()
    assert documented == {action for action, _ in grants(documents)}


def test_the_key_policy_for_filters_lets_lambda_decrypt_those_of_this_mapping_alone():
    text = json.dumps(printed_policy("LambdaDecryptsFilters"))
    for word, value in (("REGION", REGION), ("ACCOUNT", ACCOUNT), ("FUNCTION", "orders"), ("STREAM_ARN", "stream-arn"),
                        ("DEPLOYING_ROLE_ARN", "deployer")):
        text = text.replace(word, value)
    document, service = json.loads(text), f"lambda.{REGION}.amazonaws.com"
    context = {"kms_EncryptionContext:aws:lambda:FunctionArn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:orders",
               "kms_EncryptionContext:aws:lambda:EventSourceArn": "stream-arn"}
    assert decide([document], "kms:Decrypt", KEY, service, **context) == "allow"
    for key in context:
        assert decide([document], "kms:Decrypt", KEY, service, **{**context, key: "another"}) is None
    for action in ("kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"):
        assert decide([document], action, KEY, "deployer", kms_ViaService=service) == "allow"
        assert decide([document], action, KEY, "deployer", kms_ViaService=f"s3.{REGION}.amazonaws.com") is None


def test_the_policies_for_another_accounts_stream_name_their_own_resource():
    """Kinesis takes no other, and knows other actions for a consumer than for its stream."""
    printed = r"kinesis put-resource-policy --resource-arn (\S+) .*?'(\{.*?)'$"
    actions = {"stream": set(), "consumer": set()}
    for arn, policy in re.findall(printed, DEPLOY, re.MULTILINE | re.DOTALL):
        for statement in statements(json.loads(policy)):
            assert statement["Resource"] == arn
            actions["consumer" if "/consumer/" in arn else "stream"].update(listed(statement["Action"]))
    assert actions["consumer"] == {"kinesis:DescribeStreamConsumer", "kinesis:SubscribeToShard"}
    # Of those that https://docs.aws.amazon.com/streams/latest/dev/controlling-access.html lists, the ones that read.
    assert actions["stream"] == {"kinesis:DescribeStreamSummary", "kinesis:ListShards", "kinesis:GetShardIterator",
                                 "kinesis:GetRecords"}


# ---------------------------------------------------------------- commands

def deploy_commands():
    """Each `aws cloudformation deploy` that is printed anywhere, by its file, as words."""
    texts = {"README.md": README, "docs/DEPLOY.md": DEPLOY}
    for path in TEMPLATES:
        comment = [line[2:] for line in (ROOT / path).read_text().splitlines() if line.startswith("# ")]
        texts[path] = "\n".join(comment)
    found = []
    for file, text in texts.items():
        joined = re.sub(r"\\\n\s*", " ", text)
        found += [(file, shlex.split(command))
                  for command in re.findall(r"^ *(aws cloudformation deploy .*)$", joined, re.MULTILINE)]
    found.append(("template.yaml", shlex.split(core().outputs["AttachKinesisCommand"])))
    return found


def option(words, name):
    """What stands between an option and the next one."""
    start = words.index(name) + 1
    end = next((at for at in range(start, len(words)) if words[at].startswith("--")), len(words))
    return words[start:end]


def declared_parameters(template):
    """The parameters of a template of the source, or of a release's (templates/…)."""
    if template in TEMPLATES:
        return load(template)["Parameters"]
    source = {f"templates/{Path(path).name}": path for path in TEMPLATES}
    return parse(plain(source[template], "1.2.3"))["Parameters"]


def test_every_printed_deployment_names_its_stack_and_parameters_that_exist():
    commands = deploy_commands()
    assert len(commands) >= 11
    by_stack = {}
    for file, words in commands:
        (template,), (stack,) = option(words, "--template-file"), option(words, "--stack-name")
        declared = declared_parameters(template)
        assert declared, (file, template)
        assert option(words, "--capabilities") == ["CAPABILITY_IAM"], file
        overrides = option(words, "--parameter-overrides")
        names = {override.split("=", 1)[0] for override in overrides}
        assert names <= declared.keys(), (file, names - declared.keys())
        needed = {name for name, parameter in declared.items() if "Default" not in parameter}
        # An update may name what changes alone.
        assert needed <= names or overrides == ["HydratorStackName=NEW_HYDRATOR"], (file, needed - names)
        by_stack.setdefault(stack, set()).add(Path(template).name)
    # A name that is used for two things would have one of them replace the other.
    assert {stack: templates for stack, templates in by_stack.items() if len(templates) > 1} == {}


@pytest.mark.parametrize("block, template, written", [
    ("hcl", "templates/template.yaml", r"^    (Code\w+|Alerts\w+) +="),
    ("hcl", "templates/kinesis-source.yaml", r"^    (?!Code|Alerts)([A-Z]\w+) +="),
    ("ts", "templates/template.yaml", r"[{,] ([A-Z]\w+): "),
    ("sh", "templates/template.yaml", r"ParameterKey=(\w+)")])
def test_other_tools_are_given_parameters_that_exist(block, template, written):
    texts = "".join(re.findall(rf"```{block}\n(.*?)```", DEPLOY, re.DOTALL))
    names, declared = set(re.findall(written, texts, re.MULTILINE)), declared_parameters(template)
    assert template in texts and len(names) >= 2 and names <= declared.keys(), names - declared.keys()
    assert {name for name, parameter in declared.items() if "Default" not in parameter} <= names


@pytest.mark.parametrize("file", ["README.md", "docs/DEPLOY.md", "docs/RUNBOOK.md"])
def test_sam_deploys_the_hydrator_alone(file):
    """It takes the stack's name from samconfig.toml: with another template it would replace the hydrator's stack."""
    commands = re.findall(r"sam deploy\b[^`\n]*", (ROOT / file).read_text())
    assert commands
    for command in commands:
        assert not re.search(r"\s(-t|--template(-file)?)\s\S*infra/", command), command


def test_the_options_of_sam_in_the_documents_exist():
    joined = re.sub(r"\\\n\s*", " ", README + DEPLOY)
    commands = re.findall(r"sam deploy( --[^`#\n]*)", joined)
    used = {name for command in commands for name in re.findall(r"--[a-z-]+", command)}
    install.ensure("sam")
    done = subprocess.run([str(install.tool("sam", "sam")), "deploy", "--help"],
                          capture_output=True, text=True, timeout=60)
    assert {"--no-confirm-changeset", "--tags"} <= used
    assert {name for name in used if name not in done.stdout} == set()


def test_the_sums_of_the_costs_are_right():
    rows = re.findall(r"^\| (?!\*\*)([^|]+) \| [^|]* \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", DEPLOY, re.MULTILINE)
    totals = re.search(r"\*\*a month\*\* \| \| \*\*(.+)\*\* \| \*\*(.+)\*\* \| \*\*(.+)\*\* \|", DEPLOY).groups()
    for column, total in enumerate(totals, start=1):
        found = [re.search(r"([\d.]*\d)$", row[column].strip()) for row in rows]
        values = [float(number.group(1)) for number in found if number]
        assert len(values) == 13 and abs(sum(values) - float(total)) < 0.006, (column, values, sum(values))


def test_the_cost_of_polling_an_empty_queue():
    """Five pollers that wait 20 seconds each, a month of 730 hours, at 0.40 dollars a million."""
    row = r"polls the empty retry queue, ([\d ×]+) \| [^|]+ \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|"
    product, *costs = re.search(row, DEPLOY).groups()
    polls = 1
    for factor in product.split(" × "):
        polls *= int(factor)
    assert polls == 5 * 730 * 3600 // 20
    assert {float(cost) for cost in costs} == {round(polls * 0.40 / 1e6, 2)}


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
    kit = (ROOT / "crates/function-kit/src/log.rs").read_text()
    messages |= set(re.findall(r"^\s+\"(configuration \w+)\"$", kit, re.MULTILINE))
    assert len(messages) == 4
    assert set(re.findall(r"^\| `((?:batch|configuration) \w+)` \|", RUNBOOK, re.MULTILINE)) == messages


def test_the_runbook_knows_every_log_line_of_the_digest():
    telemetry = (ROOT / "functions/digest/src/telemetry.rs").read_text()
    messages = set(re.findall(r"line!\(\s*tracing::.*?\"([^\"]+)\"\s*\)", telemetry, re.DOTALL))
    assert len(messages) == 7
    table = re.search(r"Its lines hold times and counts:(.*?)\n\n[A-Z]", RUNBOOK, re.DOTALL).group(1)
    assert set(re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)) == messages


def test_the_runbook_shows_the_mail_as_it_was_sent():
    """The snapshot of the mail that the digest makes of tests/three-functions.jsonl."""
    snapshots = ROOT / "functions/digest/src/message/snapshots"
    snapshot = snapshots / "digest__message__tests__the_mail_of_an_incident_of_three_functions.snap"
    mail = snapshot.read_text().split("---\n", 2)[2].strip()
    shown = re.search(r"as it was sent:\n\n```\n(.*?)\n```", RUNBOOK, re.DOTALL).group(1)
    assert shown == mail


def test_the_runbook_knows_the_metrics_that_count_by_error():
    by_error = {name for (_, name), dimensions in METRICS.items() if "ErrorType" in dimensions}
    assert by_error == {"BatchesFailed", "BatchesContinued", "DrillsFailed"}
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
