"""One message for what failed: as it is published, once, whatever goes wrong."""

import contextlib
import json
import threading
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from sandbox.alerts import ARN, AlertsTopic
from sandbox.log_group import LogGroup
from sandbox.runtime_api import Function, FunctionExited
from tests.infra.known_metrics import METRICS
from tests.infra.templates import ROOT
from tests.kit.aws_proxy import AwsProxy

# The lines that the hydrator logged in an incident of three functions.
LINES = (ROOT / "functions/digest/src/message/tests/three-functions.jsonl").read_text().splitlines()
STATE = "digest/state.json"
STACK = "failed-batch-hydrator"


class DigestHome:
    """A log group, a bucket and a topic, and the digests that run on them."""

    def __init__(self, aws, binary, stack):
        self._binary, self._stack, self._aws = binary, stack, aws
        name = f"digest-{uuid.uuid4().hex[:12]}"
        self._s3, self.bucket = aws.client("s3"), name
        self._s3.create_bucket(Bucket=name)
        self.log = LogGroup(aws, f"/aws/lambda/{name}")
        self.topic = stack.enter_context(AlertsTopic())
        self.proxy = AwsProxy({"SNS": self.topic.url, "S3": aws.aws_url, "CLOUDWATCH_LOGS": aws.aws_url})
        stack.callback(self.proxy.close)

    def digest(self, **changes):
        """Starts a digest, whose windows end at once."""
        variables = {
            **self._aws.environment(), **self.proxy.environment(), "TOPIC_ARN": ARN, "LOG_GROUP": self.log.name,
            "STATE_BUCKET": self.bucket, "STACK_NAME": STACK, "INTERVAL_MINUTES": "1", "DELAY_SECONDS": "0", **changes}
        return self._stack.enter_context(Function(self._binary, variables, name="digest"))

    def state(self):
        return json.loads(self._s3.get_object(Bucket=self.bucket, Key=STATE)["Body"].read())

    def spoil_state(self, text):
        self._s3.put_object(Bucket=self.bucket, Key=STATE, Body=text)

    @property
    def published(self):
        return self.topic.published


@pytest.fixture
def home(aws, digest_binary):
    with contextlib.ExitStack() as stack:
        yield DigestHome(aws, digest_binary, stack)


def ran(answer):
    """The messages of the log lines of a run that did not fail."""
    assert answer.error is None, answer.error
    return [line["message"] for line in answer.logs]


def in_minutes(minutes):
    return (datetime.now(UTC) + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def storm():
    """More lines than one page of CloudWatch Logs holds."""
    line = json.loads(LINES[0])
    return [json.dumps({**line, "id": f"{number:064x}"}) for number in range(12_000)]


def test_an_incident_of_three_functions_is_one_message(home):
    digest = home.digest(DASHBOARD_URL="https://console.example/dashboard")
    home.log.put(LINES)
    answer = digest.invoke({"source": "aws.events"})
    assert ran(answer) == ["digest sent"]
    published, = home.published
    assert published.subject == ("New: 3 functions: 5 batches failed, 25 records lost: "
                                 "stock-mirror, customer-index, order-projector")
    for words in ("Lambda gave up on 5 batches of 3 functions.", "1. stock-mirror (new)", "25 are lost",
                  "dlq show", f"dlq status --stack {STACK}", "Dashboard: https://console.example/dashboard"):
        assert words in published.mail
    chat = json.loads(published.texts["https"])
    assert (chat["version"], chat["source"], chat["content"]["textType"]) == ("1.0", "custom", "client-markdown")
    program = json.loads(published.texts["sqs"])
    assert [incident["status"] for incident in program["incidents"]] == ["Expired", "NotHydrated", "Complete"]
    assert published.texts["sms"] == published.subject
    line, = answer.logs
    assert (line["service"], line["incidents"], line["batches"]) == ("digest", 3, 5)


def test_a_window_is_published_once_and_a_quiet_one_not_at_all(home):
    digest = home.digest()
    assert ran(digest.invoke({})) == []
    home.log.put(LINES[:1])
    assert ran(digest.invoke({})) == ["digest sent"]
    home.log.put(["START RequestId: 1", '{"message":"batch continued"}'])
    assert ran(digest.invoke({})) == []
    home.log.put(LINES[1:2])
    assert ran(digest.invoke({})) == ["digest sent"]
    first, second = home.published
    assert first.subject.startswith("New: order-projector: 1 batch failed, 100 records")
    assert second.subject.startswith("Again: order-projector: 1 batch failed, 87 records")


def test_it_calls_what_its_role_allows(home):
    digest = home.digest()
    for _ in range(2):
        home.log.put(LINES)
        digest.invoke({})
    assert home.proxy.actions() == {"logs:FilterLogEvents", "s3:GetObject", "s3:PutObject", "sns:Publish"}
    assert {call.about for call in home.proxy.calls if call.action.startswith("s3:")} == {STATE}


def test_a_message_that_sns_refuses_is_sent_by_the_retry(home):
    digest = home.digest()
    home.log.put(LINES)
    home.proxy.deny("sns:Publish")
    answer = digest.invoke({})
    assert answer.error["errorType"] == "AccessDenied" and "sns:Publish" in answer.error["errorMessage"]
    assert [line["message"] for line in answer.logs if line.get("service") == "digest"] == ["digest failed"]
    home.proxy.deny_no_more()
    assert ran(digest.invoke({})) == ["digest sent"]
    assert len(home.published) == 1 and "pending" not in home.state()


def test_a_message_of_which_nobody_knows_is_not_sent_again(home):
    digest = home.digest()
    home.log.put(LINES)
    home.topic.faults = [("InternalError", 500)]
    answer = digest.invoke({})
    assert ran(answer) == ["digest unknown"]
    metric, = answer.metrics
    assert (metric["StackName"], metric["WindowsUnknown"]) == (STACK, 1)
    directive, = metric["_aws"]["CloudWatchMetrics"]
    (dimensions,), (counted,) = directive["Dimensions"], directive["Metrics"]
    assert METRICS[directive["Namespace"], counted["Name"]] == set(dimensions)
    home.log.put([])
    assert ran(digest.invoke({})) == []
    assert home.published == []


def test_the_claim_of_a_run_that_died_is_named_and_left_behind(home):
    digest = home.digest()
    home.log.put([])
    digest.invoke({})
    state = home.state()
    window = {"from": state["end"], "to": "2026-01-01T00:00:00.000Z"}
    home.log.put(LINES)
    home.spoil_state(json.dumps({**state, "pending": {"window": window, "until": in_minutes(10)}}))
    assert ran(digest.invoke({})) == ["another run is at work"]
    home.spoil_state(json.dumps({**state, "pending": {"window": window, "until": "2020-01-01T00:00:00.000Z"}}))
    assert ran(digest.invoke({})) == ["digest unknown", "digest sent"]


def test_two_at_once_publish_once(home):
    digests = [home.digest(), home.digest()]
    home.log.put(LINES)
    answers = []
    threads = [threading.Thread(target=lambda digest=digest: answers.append(digest.invoke({}))) for digest in digests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    said = [message for answer in answers for message in ran(answer)]
    assert said.count("digest sent") == len(home.published) == 1, said


def test_a_storm_of_many_pages_is_one_message(home):
    digest = home.digest()
    home.log.put(storm())
    assert ran(digest.invoke({})) == ["digest sent"]
    published, = home.published
    assert "12,000 batches" in published.subject


def test_what_a_storm_left_in_the_log_does_not_hide_the_next_failure(home):
    """There is time for one page: the older lines, which CloudWatch Logs would give first, are not read before it."""
    digest = home.digest()
    home.log.put(storm())
    assert ran(digest.invoke({})) == ["digest sent"]
    home.log.put(LINES)
    assert ran(digest.invoke({}, timeout=20)) == ["digest sent"]
    assert "Lambda gave up on 5 batches of 3 functions." in home.published[1].mail
    assert "the true numbers are higher" in home.published[1].mail


def test_a_window_that_was_not_read_to_its_end_is_named_though_nothing_was_found(home):
    digest = home.digest()
    home.log.put(storm())
    assert ran(digest.invoke({})) == ["digest sent"]
    home.log.put([])
    answer = digest.invoke({}, timeout=20)
    assert ran(answer) == ["digest unknown"]
    assert [metric["WindowsUnknown"] for metric in answer.metrics] == [1]
    assert len(home.published) == 1


@pytest.mark.parametrize("text", ["", "{}", "not json"])
def test_a_state_that_cannot_be_read_says_what_to_do(home, text):
    home.spoil_state(text)
    answer = home.digest().invoke({})
    assert answer.error["errorType"] == "StateUnreadable" and STATE in answer.error["errorMessage"]


# The times count from the start of the test, not from when this file was read.
@pytest.mark.parametrize("changes", [
    lambda: {"end": in_minutes(3)},
    lambda: {"pending": {"window": {"from": in_minutes(-9), "to": in_minutes(-5)}, "until": in_minutes(20)}},
    lambda: {"pending": {"window": {"from": in_minutes(-9), "to": in_minutes(3)}, "until": in_minutes(-2)}}])
def test_a_state_of_a_time_to_come_does_not_silence_the_digest(home, changes):
    digest = home.digest()
    digest.invoke({})
    home.log.put(LINES)
    home.spoil_state(json.dumps({**home.state(), **changes()}))
    answer = digest.invoke({})
    assert answer.error["errorType"] == "StateAhead" and STATE in answer.error["errorMessage"]


def test_a_message_that_did_not_leave_is_sent_by_the_retry(home):
    """Nobody listens at the topic's address, so that no message can have been sent."""
    home.log.put(LINES)
    answer = home.digest(AWS_ENDPOINT_URL_SNS="http://127.0.0.1:1").invoke({})
    assert answer.error["errorType"] == "ServiceUnavailable" and "sns:Publish" in answer.error["errorMessage"]
    assert ran(home.digest().invoke({})) == ["digest sent"]


def test_a_state_that_may_not_be_read_is_no_first_run(home):
    """S3 answers 403 for an object that is not there, too, where the role may not list the bucket."""
    digest = home.digest()
    home.proxy.deny("s3:GetObject")
    assert ran(digest.invoke({})) == []
    home.log.put(LINES)
    answer = digest.invoke({})
    assert answer.error["errorType"] == "StateUnreadable"
    assert home.published == []


def test_denied_logs_are_an_error_and_the_next_run_covers_the_time(home):
    digest = home.digest()
    home.proxy.deny("logs:FilterLogEvents")
    home.log.put(LINES)
    answer = digest.invoke({})
    assert answer.error["errorType"] == "AccessDenied" and "logs:FilterLogEvents" in answer.error["errorMessage"]
    began = home.state()["end"]
    home.log.put([])
    home.proxy.deny_no_more()
    assert ran(digest.invoke({})) == ["digest sent"]
    published, = home.published
    assert json.loads(published.texts["sqs"])["window"]["from"] == began


@pytest.mark.parametrize("name, value", [
    ("LOG_GROUP", ""), ("TOPIC_ARN", "alerts"), ("STATE_BUCKET", "s3://b"), ("STACK_NAME", ""),
    ("INTERVAL_MINUTES", "0"), ("DELAY_SECONDS", "-1")])
def test_a_bad_variable_is_refused_at_start(home, name, value):
    with pytest.raises(FunctionExited) as refused:
        home.digest(**{name: value})
    assert refused.value.error["errorType"] == "InvalidConfiguration"
    assert name in refused.value.error["errorMessage"]


def test_no_line_at_any_level_holds_what_the_lines_hold(home):
    """The hydrator's lines hold no record data. The digest adds none of their texts to its own log."""
    digest = home.digest(AWS_LAMBDA_LOG_LEVEL="TRACE")
    home.log.put(LINES)
    answer = digest.invoke({})
    assert answer.stdout and all("stock-mirror" not in line for line in answer.stdout)
