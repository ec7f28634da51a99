"""Every alarm of every template, replayed over made-up metrics: it rings when it should, again for the second failure
while the first still waits, and is silent when it should be. cloudwatch.py is the model."""

import json
from dataclasses import dataclass

import pytest

from tests.infra import cloudwatch
from tests.infra.cloudwatch import ALARM, BEYOND, DAY, HOUR, INSUFFICIENT, OK, History, replay, rings
from tests.infra.templates import bucket_source, core, dead_letter_queue, dynamodb_source, kinesis_source

CORE = core()
STACKS = {
    "core": CORE,
    "another account's queue": core(ExistingQueueArn="arn:aws:sqs:eu-west-1:999988887777:hydrated"),
    "kinesis": kinesis_source(CORE), "dynamodb": dynamodb_source(CORE),
    "kinesis to the bucket": kinesis_source(CORE, Destination="Bucket"),
    "dynamodb to the bucket": dynamodb_source(CORE, Destination="Bucket"),
    "bucket": bucket_source(CORE), "queue": dead_letter_queue(CORE),
}
each_length = pytest.mark.parametrize("beyond", BEYOND)


def alarms(logical_id):
    """The alarm, of every stack that has it."""
    found = [stack.properties(logical_id) for stack in STACKS.values() if logical_id in stack.resources]
    assert found, logical_id
    return found


def assert_rings(logical_id, history, *expected, until, **options):
    """The alarm rings once in each of the spans of minutes, and at no other time."""
    for alarm in alarms(logical_id):
        heard = rings(alarm, history, until, **options)
        assert len(heard) == len(expected), (logical_id, heard)
        for minute, (first, last) in zip(heard, expected):
            assert first <= minute <= last, (logical_id, heard)


# ---------------------------------------------------------------- what happened

@dataclass(frozen=True)
class Event:
    """A count, or a measure, that one failure leaves in the metrics."""

    alarm: str
    metric: str
    value: float = 1
    # By how many minutes it may come late, and still be heard.
    late: int = 3
    # After how many minutes a second one rings again: N periods, and one.
    apart: int = 6
    # Where the metric also has values that mean nothing.
    ordinary: float | None = None
    status: str | None = None

    def put(self, history, minute, **options):
        dimensions = {"Status": self.status} if self.status else {}
        return history.put(self.metric, self.value, minute, **dimensions, **options)

    def __str__(self):
        return "-".join(filter(None, (self.alarm, self.metric, self.status)))


EVENTS = [
    Event("HydratedMessageWaits", "RecordsRecovered", 25),
    # An Expired batch recovered nothing, and is one more that waits.
    Event("HydratedMessageWaits", "RecordsRecovered", 0),
    *(Event("RecordsNotRecovered", "Batches", status=status) for status in ("Partial", "Expired", "Gone")),
    Event("OldestRecordNearsExpiry", "OldestRecordAge", 70_000, ordinary=43_500),
    # Counted when the invocation has timed out, for the minute in which it started.
    Event("HydrateErrors", "Errors", late=8, apart=16, ordinary=0),
    Event("HydrateDestinationFailed", "DestinationDeliveryFailures", late=8, apart=16),
    Event("TopicDeliveryFailed", "NumberOfNotificationsRedrivenToDlq", late=10, apart=16),
    Event("TopicDeliveryFailed", "NumberOfNotificationsFailedToRedriveToDlq", late=10, apart=16),
    Event("BucketDeliveryFailed", "FailedInvocations", late=10, apart=16),
    Event("BucketDeliveryFailed", "InvocationsSentToDlq", late=10, apart=16),
    Event("BucketDeliveryFailed", "InvocationsFailedToBeSentToDlq", late=10, apart=16),
    Event("DigestFailed", "NumberOfMessagesSent", late=10, apart=16),
    Event("DigestFailed", "WindowsUnknown", late=8, apart=16),
    Event("RecordsDropped", "DroppedEventCount", 25, late=8, apart=16, ordinary=0),
    Event("ReportNotDelivered", "DestinationDeliveryFailures", late=8, apart=16),
]
each_event = pytest.mark.parametrize("event", EVENTS, ids=str)


def ordinary(event, minutes):
    """What the metric holds when nothing is wrong."""
    history = History()
    return history if event.ordinary is None else history.put_each(event.metric, event.ordinary, minutes)


@each_length
@each_event
def test_it_rings_at_once_and_ends(event, beyond):
    history = event.put(ordinary(event, range(0, 300, 7)), minute=30)
    assert_rings(event.alarm, history, (31, 31), until=300, beyond=beyond)
    for alarm in alarms(event.alarm):
        assert replay(alarm, history, until=300, beyond=beyond)[-1][1] == OK


@each_length
@each_event
def test_it_rings_for_a_metric_that_comes_late(event, beyond):
    """Also behind ordinary values that came on time."""
    history = event.put(ordinary(event, range(0, 300)), minute=30, late=event.late)
    assert_rings(event.alarm, history, (31 + event.late, 31 + event.late), until=300, beyond=beyond)


@each_length
@each_event
def test_the_second_failure_rings_while_the_first_waits(event, beyond):
    """Nobody has done anything about the first: its message lies on the queue."""
    history = ordinary(event, range(0, 300, 7))
    for minute in (30, 30 + event.apart):
        event.put(history, minute)
    history.put_each("ApproximateNumberOfMessagesVisible", 1, range(30, 300))
    assert_rings(event.alarm, history, (31, 31), (31 + event.apart, 31 + event.apart), until=300, beyond=beyond)


@each_length
@each_event
def test_failures_close_to_each_other_ring_once(event, beyond):
    history = ordinary(event, range(0, 300, 7))
    for minute in range(30, 60, 4):
        event.put(history, minute)
    assert_rings(event.alarm, history, (31, 31), until=300, beyond=beyond)


@each_length
@each_event
def test_it_is_silent_when_nothing_happens(event, beyond):
    for history in (ordinary(event, range(0, 300)), History()):
        assert_rings(event.alarm, history, until=300, beyond=beyond)
        assert_rings(event.alarm, history, until=300, beyond=beyond, state=INSUFFICIENT)


@each_event
def test_it_rings_also_if_fill_leaves_an_empty_metric_empty(event, monkeypatch):
    """The documentation does not say what FILL makes of a metric that has no data at all."""
    fill = cloudwatch._fill
    monkeypatch.setattr(cloudwatch, "_fill", lambda values, filler: fill(values, filler) if any(
        value is not None for value in values) else values)
    history = event.put(History(), minute=30, late=event.late)
    assert_rings(event.alarm, history, (31 + event.late, 31 + event.late), until=100)
    for alarm in alarms(event.alarm):
        assert replay(alarm, history, until=100)[-1][1] == OK
    assert_rings(event.alarm, History(), until=100)


@each_length
def test_batches_that_came_back_whole_are_no_loss(beyond):
    history = History()
    for status in ("Complete", "Superset", "NoRange", "Unrecognized"):
        history.put_each("Batches", 3, range(10, 60), Status=status)
    assert_rings("RecordsNotRecovered", history, until=100, beyond=beyond)


def test_a_batch_that_is_given_up_at_the_default_age_is_no_alarm():
    """Nor when its hydration was tried again from the retry queue a few times."""
    for source in (STACKS["kinesis"], STACKS["dynamodb"]):
        given_up = source.properties("Mapping")["MaximumRecordAgeInSeconds"]
        for hours, expected in ((0, 0), (4, 0), (7, 1)):
            history = History().put("OldestRecordAge", given_up + hours * 3600, minute=10)
            assert len(rings(CORE.properties("OldestRecordNearsExpiry"), history, until=60)) == expected


# ---------------------------------------------------------------- queues

VISIBLE, HIDDEN = "ApproximateNumberOfMessagesVisible", "ApproximateNumberOfMessagesNotVisible"


def queue(*spans, late=0):
    """The metrics of a queue, every five minutes: (from, to, messages visible, messages hidden). In gaps it sleeps."""
    history = History()
    for first, end, visible, hidden in spans:
        history.put_each(VISIBLE, visible, range(first, end, 5), late=late)
        history.put_each(HIDDEN, hidden, range(first, end, 5), late=late)
    return history


@each_length
def test_a_drill_rings_no_alarm(beyond):
    """Its message is visible for some minutes, SQS reports the queue for six hours more, and then it sleeps."""
    history = queue((30, 35, 1, 0), (35, 35 + 6 * HOUR, 0, 0)).put("Drills", 1, minute=30, Status="Complete")
    for logical_id in ("HydratedMessageWaits", "HydratedMessageUnattended", "RecordsNotRecovered",
                       "OldestRecordNearsExpiry"):
        assert rings(CORE.properties(logical_id), history, until=2 * DAY, beyond=beyond) == []


@each_length
def test_a_message_that_nobody_touches_is_unattended_after_a_day(beyond):
    """SQS reports the first six hours. The alarm lasts for as long as nobody comes, and is no more than one ring."""
    arrived = queue((0, 6 * HOUR, 1, 0))
    assert_rings("HydratedMessageUnattended", arrived, (23 * HOUR, DAY + 2), until=4 * DAY, beyond=beyond)
    alarm, = alarms("HydratedMessageUnattended")
    assert replay(alarm, arrived, until=4 * DAY, beyond=beyond)[-1][1] == ALARM


@each_length
def test_a_message_that_somebody_looks_at_now_and_then_is_unattended(beyond):
    looks = ((0, 6 * HOUR, 1, 0), (9 * HOUR, 15 * HOUR, 1, 0), (15 * HOUR, 15 * HOUR + 30, 0, 1),
             (15 * HOUR + 30, 21 * HOUR, 1, 0))
    assert_rings("HydratedMessageUnattended", queue(*looks), (23 * HOUR, DAY + 2), until=2 * DAY, beyond=beyond)


@each_length
def test_a_message_that_is_dealt_with_is_not_unattended(beyond):
    dealt_with = queue((0, 6 * HOUR, 1, 0), (20 * HOUR, 20 * HOUR + 10, 1, 0), (20 * HOUR + 10, DAY, 0, 0))
    assert_rings("HydratedMessageUnattended", dealt_with, until=3 * DAY, beyond=beyond)


@each_length
def test_unattended_messages_ring_again_after_the_queue_was_emptied(beyond):
    history = queue((0, 6 * HOUR, 1, 0), (2 * DAY, 2 * DAY + HOUR, 1, 0), (2 * DAY + HOUR, 2 * DAY + 6 * HOUR, 0, 0),
                    (3 * DAY, 3 * DAY + 6 * HOUR, 1, 0))
    assert_rings("HydratedMessageUnattended", history, (23 * HOUR, DAY + 2), (3 * DAY + 23 * HOUR, 4 * DAY + 2),
                 until=5 * DAY, beyond=beyond)


def test_a_queue_of_another_account_has_no_alarm_that_could_not_ring():
    theirs = STACKS["another account's queue"]
    assert "HydratedMessageUnattended" not in theirs.resources and "HydratedMessageWaits" in theirs.resources
    listed = next(widget for widget in json.loads(theirs.properties("Dashboard")["DashboardBody"])["widgets"]
                  if widget["type"] == "alarm")["properties"]["alarms"]
    assert len(listed) == len(theirs.of_type("AWS::CloudWatch::Alarm"))
    ours = core(ExistingQueueArn="arn:aws:sqs:eu-west-1:123456789012:hydrated.fifo")
    assert "HydratedMessageUnattended" in ours.resources


@each_length
@pytest.mark.parametrize("late", [0, 14, 20])
def test_a_parked_message_rings_and_so_does_the_next_beside_it(beyond, late):
    history = queue((100, 300, 1, 0), (300, 700, 2, 0), late=late)
    # Up to a period late: the sample that shows the growth, and what comes late.
    assert_rings("ParkedMessage", history, (101, 115 + late), (301, 315 + late), until=700, beyond=beyond)


@each_length
def test_a_parked_message_rings_also_when_the_first_sleeps(beyond):
    history = queue((0, 6 * HOUR, 1, 0), (2 * DAY, 2 * DAY + 6 * HOUR, 2, 0))
    assert_rings("ParkedMessage", history, (1, 15), (2 * DAY + 1, 2 * DAY + 15), until=3 * DAY, beyond=beyond)


@each_length
def test_a_look_at_a_sleeping_parked_message_reminds_of_it(beyond):
    """As the runbook says. Nothing tells a queue that wakes from one that was never used."""
    history = queue((0, 6 * HOUR, 1, 0), (2 * DAY, 2 * DAY + 6 * HOUR, 1, 0))
    assert_rings("ParkedMessage", history, (1, 15), (2 * DAY + 1, 2 * DAY + 15), until=3 * DAY, beyond=beyond)


@each_length
def test_a_parked_message_that_is_looked_at_or_taken_away_is_silent(beyond):
    history = queue((0, 300, 1, 0), (300, 310, 0, 1), (310, 400, 1, 0), (400, 600, 0, 0))
    assert_rings("ParkedMessage", history, (1, 15), until=700, beyond=beyond)
    assert_rings("ParkedMessage", queue((0, 600, 0, 0)), until=700, beyond=beyond)
    assert_rings("ParkedMessage", History(), until=700, beyond=beyond)


@pytest.mark.parametrize("beyond", BEYOND[1:])
def test_a_gap_in_the_metrics_is_no_parked_message(beyond):
    """The depth before the gap must be in the evaluation range, which is two periods longer than N as documented."""
    assert_rings("ParkedMessage", queue((0, 300, 1, 0), (320, 600, 1, 0)), (1, 15), until=700, beyond=beyond)


def between_tries(first, end):
    """A message that is tried every half hour and hidden in between."""
    return [span for minute in range(first, end, 30)
            for span in ((minute, minute + 5, 1, 0), (minute + 5, min(minute + 30, end), 0, 1))]


@pytest.mark.parametrize("alarm", ["RetriesPending", "QueueNotEmptied"])
@each_length
def test_what_is_tried_for_an_hour_rings_once_until_it_is_over(alarm, beyond):
    history = queue((0, 100, 0, 0), *between_tries(100, 400), (400, 600, 0, 0), *between_tries(600, 800),
                    (800, 900, 0, 0))
    assert_rings(alarm, history, (145, 165), (645, 665), until=900, beyond=beyond)


@pytest.mark.parametrize("alarm", ["RetriesPending", "QueueNotEmptied"])
@each_length
def test_a_short_fault_is_silent(alarm, beyond):
    history = queue((0, 100, 0, 0), *between_tries(100, 130), (130, 200, 0, 0), *between_tries(200, 230),
                    (230, 300, 0, 0))
    assert_rings(alarm, history, until=300, beyond=beyond)
    assert_rings(alarm, History(), until=300, beyond=beyond)


@pytest.mark.parametrize("alarm", ["RetriesPending", "QueueNotEmptied"])
@each_length
def test_messages_that_nobody_receives_ring(alarm, beyond):
    """The mapping is disabled: SQS reports the message for six hours, and then no more. The alarm stays."""
    history = queue((DAY, DAY + 6 * HOUR, 1, 0), late=10)
    assert_rings(alarm, history, (DAY + 45, DAY + 75), until=3 * DAY, beyond=beyond)
    for each in alarms(alarm):
        assert replay(each, history, until=3 * DAY, beyond=beyond)[-1][1] == ALARM


@each_length
def test_another_batch_that_fails_while_retries_are_pending_rings_as_an_error(beyond):
    """RetriesPending rings once for all that is pending. A try from the queue is no error of the function."""
    history = queue(*between_tries(0, 900))
    history.put_each("Errors", 0, range(0, 900, 30))
    for minute in (1, 400):
        history.put_each("Errors", 1, range(minute, minute + 4))
    assert_rings("RetriesPending", history, (45, 65), until=900, beyond=beyond)
    assert_rings("HydrateErrors", history, (2, 2), (401, 401), until=900, beyond=beyond)


# ---------------------------------------------------------------- functions and mappings

@each_length
def test_throttling_that_lasts_rings_once(beyond):
    lasting = History().put_each("Throttles", 3, range(30, 120)).put_each("Throttles", 3, range(200, 260))
    assert_rings("HydrateThrottled", lasting, (40, 46), (210, 216), until=400, beyond=beyond)


@each_length
def test_throttling_rings_also_when_lambda_waits_between_its_tries(beyond):
    """Up to five minutes and a little, beside another batch whose tries are not throttled."""
    history = History().put_each("Throttles", 0, range(0, 200, 3)).put_each("Throttles", 1, range(31, 130, 6))
    assert_rings("HydrateThrottled", history, (40, 60), until=200, beyond=beyond)


@each_length
def test_a_burst_that_is_throttled_is_silent(beyond):
    history = History().put_each("Throttles", 0, range(0, 200)).put_each("Throttles", 9, range(30, 35))
    assert_rings("HydrateThrottled", history, until=200, beyond=beyond)
    now_and_then = History().put_each("Throttles", 9, range(30, 120, 12))
    assert_rings("HydrateThrottled", now_and_then, until=200, beyond=beyond)
    assert_rings("HydrateThrottled", History(), until=200, beyond=beyond)


@each_length
def test_a_function_that_is_behind_for_a_quarter_of_an_hour_rings(beyond):
    history = History().put_each("IteratorAge", 1_000, range(0, 60))
    history.put_each("IteratorAge", 4_000_000, range(60, 120)).put_each("IteratorAge", 1_000, range(120, 200))
    history.put_each("IteratorAge", 4_000_000, range(200, 260)).put_each("IteratorAge", 1_000, range(260, 300))
    assert_rings("FunctionFallsBehind", history, (70, 76), (210, 216), until=300, beyond=beyond)


@each_length
def test_a_function_that_was_behind_and_has_nothing_more_to_do_is_over_it(beyond):
    history = History().put_each("IteratorAge", 4_000_000, range(60, 120))
    for alarm in alarms("FunctionFallsBehind"):
        assert [state for _, state in replay(alarm, history, until=300, beyond=beyond)] == [ALARM, OK]


@each_length
def test_a_function_that_is_behind_for_a_moment_or_idle_is_silent(beyond):
    history = History().put_each("IteratorAge", 1_000, range(0, 60)).put_each("IteratorAge", 4_000_000, range(60, 64))
    assert_rings("FunctionFallsBehind", history.put_each("IteratorAge", 1_000, range(64, 90)), until=300, beyond=beyond)
    assert_rings("FunctionFallsBehind", History(), until=300, beyond=beyond)


@each_length
def test_a_mapping_that_stops_rings_and_again_when_it_stops_again(beyond):
    """Disabled, or denied: no count any more, and no IteratorAge either, which FunctionFallsBehind cannot tell."""
    history = History().put_each("PolledEventCount", 5, range(0, 100)).put_each("IteratorAge", 1_000, range(0, 100))
    history.put_each("PolledEventCount", 5, range(200, 300))
    assert_rings("MappingStopped", history, (110, 140), (310, 340), until=400, beyond=beyond, start=30)
    assert_rings("FunctionFallsBehind", history, until=400, beyond=beyond)


@each_length
def test_a_mapping_of_an_idle_stream_is_silent(beyond):
    idle = History().put_each("PolledEventCount", 0, range(0, 300), late=4)
    assert_rings("MappingStopped", idle, until=300, beyond=beyond, start=10)


@each_length
def test_counts_that_pause_for_a_quarter_of_an_hour_are_no_stop(beyond):
    pause = History().put_each("PolledEventCount", 3, range(0, 100)).put_each("PolledEventCount", 3, range(117, 300))
    assert_rings("MappingStopped", pause, until=300, beyond=beyond, start=30)


@each_length
def test_a_new_mapping_is_given_time_to_start(beyond):
    made = History().put_each("PolledEventCount", 0, range(12, 300), late=4)
    assert_rings("MappingStopped", made, until=300, beyond=beyond, state=INSUFFICIENT)
    assert_rings("MappingStopped", History(), (60, 60), until=300, beyond=beyond, state=INSUFFICIENT)


@pytest.mark.parametrize("source", [kinesis_source, dynamodb_source])
def test_a_mapping_that_is_stopped_on_purpose_is_not_watched(source):
    uuid = "0a1b2c3d-0000-1111-2222-333344445555"
    for parameters in ({"PollingAlarm": "no"}, {"Enabled": "false"}, {"MappingMetrics": "no"}, {"CreateMapping": "no"}):
        assert "MappingStopped" not in source(CORE, **parameters).resources
    alarm = source(CORE, CreateMapping="no", MappingUuid=uuid).properties("MappingStopped")
    assert alarm["Dimensions"] == [{"Name": "EventSourceMappingUUID", "Value": uuid}]


# ---------------------------------------------------------------- the bucket

WRITTEN, ANNOUNCED = "OnFailureDestinationDeliveredEventCount", "TriggeredRules"


@each_length
def test_objects_that_nobody_announces_ring(beyond):
    history = History().put(WRITTEN, 100, minute=100).put(ANNOUNCED, 1, minute=101)
    history.put(WRITTEN, 100, minute=500).put(WRITTEN, 100, minute=1500)
    assert_rings("ObjectsNotAnnounced", history, (500, 622), (1500, 1622), until=2000, beyond=beyond)


@each_length
@pytest.mark.parametrize("late", [0, 3, 20])
def test_objects_that_are_announced_are_silent(beyond, late):
    """Also a minute later, when the announcement is counted late, and when nothing else comes for hours."""
    history = History()
    for minute in (100, 130, 700, 701, 1300):
        history.put(WRITTEN, 100, minute).put(ANNOUNCED, 1, minute + 1, late=late)
    assert_rings("ObjectsNotAnnounced", history, until=2000, beyond=beyond)
    assert_rings("ObjectsNotAnnounced", History(), until=2000, beyond=beyond)


@each_length
def test_the_objects_of_another_source_are_no_ring(beyond):
    history = History().put_each(ANNOUNCED, 2, range(100, 400, 20))
    assert_rings("ObjectsNotAnnounced", history, until=600, beyond=beyond)


# ---------------------------------------------------------------- all of them

REPLAYED = {event.alarm for event in EVENTS} | {
    "HydratedMessageUnattended", "ParkedMessage", "RetriesPending", "QueueNotEmptied", "HydrateThrottled",
    "FunctionFallsBehind", "MappingStopped", "ObjectsNotAnnounced"}


def test_every_alarm_is_replayed():
    assert REPLAYED == {name for stack in STACKS.values() for name in stack.of_type("AWS::CloudWatch::Alarm")}


def test_no_filled_count_is_one_of_one():
    for stack in STACKS.values():
        for name, alarm in stack.of_type("AWS::CloudWatch::Alarm").items():
            expressions = [query.get("Expression", "") for query in alarm["Properties"].get("Metrics", [])]
            if any("FILL" in expression for expression in expressions):
                assert alarm["Properties"]["EvaluationPeriods"] > 1, name


@pytest.mark.parametrize("make", [
    core, *(lambda source=source, **parameters: source(CORE, **parameters) for source in
            (kinesis_source, dynamodb_source, bucket_source, dead_letter_queue))])
def test_the_end_of_an_alarm_is_told_where_it_is_asked_for(make):
    def actions(**parameters):
        found = make(**parameters).of_type("AWS::CloudWatch::Alarm").values()
        return [alarm["Properties"].get("OKActions") for alarm in found]

    assert set(map(str, actions())) == {"None"}
    assert all(action == [CORE.outputs["AlertsTopicArn"]] for action in actions(NotifyWhenOk="true"))
