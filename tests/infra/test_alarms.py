"""Each alarm can go off, says what happened, what it means and what to run first, and has its page in the runbook."""

import json
import re

import pytest

from tests.infra.known_metrics import METRICS
from tests.infra.templates import ROOT, bucket_source, core, dead_letter_queue, dynamodb_source, kinesis_source

CORE = core()
STACKS = {"core": CORE, "kinesis": kinesis_source(CORE), "dynamodb": dynamodb_source(CORE),
          "kinesis to the bucket": kinesis_source(CORE, Destination="Bucket"),
          "dynamodb to the bucket": dynamodb_source(CORE, Destination="Bucket"),
          "bucket": bucket_source(CORE), "queue": dead_letter_queue(CORE)}
ALARMS = {
    (name, logical_id): (stack, alarm["Properties"])
    for name, stack in STACKS.items() for logical_id, alarm in stack.of_type("AWS::CloudWatch::Alarm").items()
}
RUNBOOK = ROOT / "docs" / "RUNBOOK.md"
each_alarm = pytest.mark.parametrize("key", ALARMS, ids="-".join)

def metrics(alarm):
    """Every (namespace, name, dimensions) that an alarm looks at."""
    plain = [alarm] if "MetricName" in alarm else []
    queried = [query["MetricStat"]["Metric"] for query in alarm.get("Metrics", []) if "MetricStat" in query]
    for metric in plain + queried:
        yield metric["Namespace"], metric["MetricName"], {item["Name"]: item["Value"] for item in metric["Dimensions"]}


@each_alarm
def test_it_looks_at_metrics_that_exist(key):
    stack, alarm = ALARMS[key]
    assert list(metrics(alarm))
    for namespace, name, dimensions in metrics(alarm):
        assert METRICS[namespace, name] == dimensions.keys()


@each_alarm
def test_its_arithmetic_has_its_terms(key):
    _, alarm = ALARMS[key]
    queries = {query["Id"]: query for query in alarm.get("Metrics", [])}
    returned = [query for query in queries.values() if query.get("ReturnData", True)]
    if not queries:
        return
    assert len(returned) == 1 and "Expression" in returned[0]
    terms = set(re.findall(r"\b[a-z]\w*", returned[0]["Expression"]))
    assert terms == queries.keys() - {returned[0]["Id"]}


@each_alarm
def test_it_tells_somebody(key):
    stack, alarm = ALARMS[key]
    assert alarm["AlarmActions"] == [CORE.outputs["AlertsTopicArn"]]
    assert "TreatMissingData" in alarm


@each_alarm
def test_it_says_what_happened_and_what_to_run_first(key):
    _, logical_id = key
    _, alarm = ALARMS[key]
    description = alarm["AlarmDescription"]
    assert len(description) <= 1024
    happened, first = description.split(" First: ")
    assert len(happened) > 60
    assert re.match(r"(aws|dlq) [a-z-]+", first)
    assert description.endswith(f"Runbook: {logical_id}.")
    assert "${" not in description


@each_alarm
def test_it_has_its_page_in_the_runbook(key):
    _, logical_id = key
    page = re.search(rf"^## {logical_id}$(.*?)(?=^## |\Z)", RUNBOOK.read_text(), re.MULTILINE | re.DOTALL)
    assert page, f"docs/RUNBOOK.md has no section {logical_id}"
    for part in ("**Symptom.**", "**Look.**", "**Causes"):
        assert part in page.group(1), f"{logical_id} lacks {part}"


def test_the_runbook_has_no_page_for_an_alarm_that_is_gone():
    text = RUNBOOK.read_text()
    alarms = {logical_id for _, logical_id in ALARMS}
    assert set(re.findall(r"^## ([A-Z][a-z]+[A-Z]\w+)$", text, re.MULTILINE)) == alarms


def test_missing_data_is_treated_as_what_it_means():
    """SQS stops reporting a queue that nobody has touched for six hours: the messages are still there."""
    depths = {"HydratedMessageUnattended", "RetriesPending", "QueueNotEmptied"}
    for (_, logical_id), (_, alarm) in ALARMS.items():
        if logical_id == "MappingStopped":
            expected = "breaching"
        else:
            expected = "ignore" if logical_id in depths else "notBreaching"
        assert alarm["TreatMissingData"] == expected, logical_id


def test_arrivals_are_counted_by_the_function():
    """Not by the queue, which may be one of another account, and whose depth says nothing of a second message."""
    watched = list(metrics(CORE.properties("HydratedMessageWaits")))
    function = {"FunctionName": CORE.outputs["HydrateFunctionName"]}
    assert watched == [("FailedBatchHydrator", "RecordsRecovered", function)]


def test_the_record_age_alarm_is_a_share_of_the_retention():
    stack = core(ShortestStreamRetentionInHours=168, RecordAgeAlarmInPercent=75)
    alarm = stack.properties("OldestRecordNearsExpiry")
    assert alarm["Metrics"][0]["Expression"] == "100 * FILL(age, 0) / (3600 * 168)" and alarm["Threshold"] == 75


def test_records_dropped_are_watched_wherever_the_mapping_is_known():
    assert "RecordsDropped" in kinesis_source(CORE).resources
    assert "RecordsDropped" not in kinesis_source(CORE, MappingMetrics="no").resources
    assert "RecordsDropped" not in kinesis_source(CORE, CreateMapping="no").resources
    uuid = "0a1b2c3d-0000-1111-2222-333344445555"
    alarm = kinesis_source(CORE, CreateMapping="no", MappingUuid=uuid).properties("RecordsDropped")
    assert list(metrics(alarm)) == [("AWS/Lambda", "DroppedEventCount", {"EventSourceMappingUUID": uuid})]


@pytest.mark.parametrize("stack, rule", [
    (CORE, CORE.resolve({"Ref": "HydrateFunctionFailedBatchObject"})),
    (STACKS["bucket"], STACKS["bucket"].outputs["RuleName"])], ids=["our bucket", "a bucket of the user's"])
def test_an_object_that_does_not_reach_the_function_rings(stack, rule):
    """Whatever becomes of the event: the retry queue, nothing, or nothing because the rule lost its queue."""
    alarm = stack.properties("BucketDeliveryFailed")
    watched = {(name, dimensions["RuleName"]) for _, name, dimensions in metrics(alarm)}
    assert watched == {
        (name, rule) for name in ("FailedInvocations", "InvocationsSentToDlq", "InvocationsFailedToBeSentToDlq")}


@pytest.mark.parametrize("source", [kinesis_source, dynamodb_source])
def test_a_bucket_that_went_silent_rings(source):
    """EventBridge turned off, or the rule: nothing fails, but what was written is not announced."""
    assert "ObjectsNotAnnounced" not in source(CORE).resources
    assert "ObjectsNotAnnounced" not in source(CORE, Destination="Bucket", MappingMetrics="no").resources
    stack = source(CORE, Destination="Bucket")
    watched = {name: dimensions for _, name, dimensions in metrics(stack.properties("ObjectsNotAnnounced"))}
    assert watched == {
        "OnFailureDestinationDeliveredEventCount": {"EventSourceMappingUUID": stack.outputs["MappingUuid"]},
        "TriggeredRules": {"RuleName": CORE.resolve({"Ref": "HydrateFunctionFailedBatchObject"})}}


def test_an_attached_queue_that_is_not_emptied_rings():
    """A message between two tries is hidden; it counts."""
    watched = {(name, dimensions["QueueName"])
               for _, name, dimensions in metrics(STACKS["queue"].properties("QueueNotEmptied"))}
    assert watched == {("ApproximateNumberOfMessagesVisible", "orders-dlq"),
                       ("ApproximateNumberOfMessagesNotVisible", "orders-dlq")}


def test_mail_goes_to_whichever_topic_there_is():
    assert "AlertsEmailSubscription" not in CORE.resources
    theirs = "arn:aws:sns:eu-west-1:123456789012:alerts"
    assert core(AlertsEmail="ops@example.org", AlertsTopicArn=theirs).properties("AlertsEmailSubscription") == {
        "Protocol": "email", "TopicArn": theirs, "Endpoint": "ops@example.org"}


# ---------------------------------------------------------------- the dashboard

def widgets():
    return json.loads(CORE.properties("Dashboard")["DashboardBody"])["widgets"]


def test_the_dashboard_shows_metrics_that_exist():
    seen = set()
    for widget in widgets():
        previous = []
        for metric in widget["properties"].get("metrics", []):
            words = [word for word in metric if isinstance(word, str)]
            if not words:
                continue  # an expression
            if words[0] == "...":
                words = previous[:-(len(words) - 1)] + words[1:]
            words = [previous[index] if word == "." else word for index, word in enumerate(words)]
            assert METRICS[words[0], words[1]] == set(words[2::2]), words
            seen.add(words[1])
            previous = words
    assert {"Batches", "RecordsRecovered", "RecordsMissing", "OldestRecordAge"} <= seen


def test_the_dashboard_lists_every_alarm_of_the_stack():
    listed = next(widget for widget in widgets() if widget["type"] == "alarm")["properties"]["alarms"]
    assert len(listed) == len(CORE.of_type("AWS::CloudWatch::Alarm")) == len(set(listed))


def test_the_dashboards_widgets_do_not_overlap():
    taken = set()
    for widget in widgets():
        cells = {(x, y) for x in range(widget["x"], widget["x"] + widget["width"])
                 for y in range(widget["y"], widget["y"] + widget["height"])}
        assert not cells & taken and widget["x"] + widget["width"] <= 24
        taken |= cells
