"""The model of CloudWatch answers as CloudWatch's documentation says, and finds the known ways in which alarms fail."""

import pytest

from tests.infra.cloudwatch import ALARM, BEYOND, DAY, HOUR, INSUFFICIENT, OK, History, calculate, evaluate, replay

WAYS = ("missing", "ignore", "breaching", "notBreaching")
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html: N is 3 and the evaluation
# range 5. 0 does not breach, X does, - is missing; "keep" is "Retain current state".
KEEP = "keep"
THREE_OF_THREE = [
    ("0-X-X", (OK, OK, OK, OK)),
    ("----0", (OK, OK, OK, OK)),
    ("-----", (INSUFFICIENT, KEEP, ALARM, OK)),
    ("0XX-X", (ALARM, ALARM, ALARM, ALARM)),
    ("--X--", (ALARM, KEEP, ALARM, OK)),
    # The text below the tables: too early for ALARM.
    ("----X", (KEEP, KEEP, ALARM, OK)),
    ("---X-", (KEEP, KEEP, ALARM, OK)),
]
TWO_OF_THREE = [
    ("0-X-X", (ALARM, ALARM, ALARM, ALARM)),
    ("00X0X", (ALARM, ALARM, ALARM, ALARM)),
    ("0-X--", (OK, OK, ALARM, OK)),
    ("----0", (OK, OK, ALARM, OK)),
    ("---X-", (ALARM, KEEP, ALARM, OK)),
]


@pytest.mark.parametrize("needed, points, expected",
                         [(3, *row) for row in THREE_OF_THREE] + [(2, *row) for row in TWO_OF_THREE])
def test_the_documented_tables(needed, points, expected):
    values = [{"0": 0, "X": 1, "-": None}[point] for point in points]
    for way, state in zip(WAYS, expected):
        for before in (OK, ALARM):
            after = evaluate(values, needed, 3, way, before, lambda value: value >= 1)
            assert after == (before if state == KEEP else state), way


@pytest.mark.parametrize("expression, expected", [
    ("a + b", [1, 12, 20, None]),
    ("a - 100 * b", [1, -998, -2000, None]),
    ("FILL(a, 0) + FILL(b, 0)", [1, 12, 20, 0]),
    ("FILL(a, REPEAT)", [1, 2, 2, 2]),
    ("FILL(b, REPEAT)", [None, 10, 20, 20]),
    ("FILL(FILL(b, REPEAT), 0)", [0, 10, 20, 20]),
    ("DIFF(FILL(b, 0))", [None, 10, 10, -20]),
    ("DIFF(b)", [None, None, 10, None]),
    ("100 * a / (2 * 5)", [10, 20, None, None]),
])
def test_metric_math(expression, expected):
    assert calculate(expression, {"a": [1, 2, None, None], "b": [None, 10, 20, None]}) == expected


def test_a_state_that_lasts_is_one_change():
    alarm = of("Errors", period=60)
    assert replay(alarm, History().put_each("Errors", 1, range(10, 20)), until=40, beyond=2) == [
        (11, ALARM), (23, OK)]


def of(name, period, periods=1, missing="notBreaching", statistic="Sum", expression=None, **more):
    """An alarm on one metric at 1 or more."""
    common = {"EvaluationPeriods": periods, "Threshold": 1, "ComparisonOperator": "GreaterThanOrEqualToThreshold",
              "TreatMissingData": missing, "AlarmActions": ["topic"], **more}
    if expression is None:
        return {**common, "MetricName": name, "Dimensions": [], "Period": period, "Statistic": statistic}
    metric = {"Metric": {"MetricName": name, "Dimensions": []}, "Period": period, "Stat": statistic}
    return {**common, "Metrics": [{"Id": "e", "Expression": expression},
                                  {"Id": "m", "ReturnData": False, "MetricStat": metric}]}


# ---------------------------------------------------------------- ways in which an alarm fails

@pytest.mark.parametrize("beyond", BEYOND)
def test_an_alarm_on_a_depth_is_silent_for_the_second_message(beyond):
    alarm = of("Depth", 60, missing="ignore", statistic="Maximum")
    history = History().put_each("Depth", 1, range(10, 60)).put_each("Depth", 2, range(60, 200))
    assert replay(alarm, history, until=200, beyond=beyond) == [(11, ALARM)]


@pytest.mark.parametrize("beyond", BEYOND)
def test_a_depth_that_is_no_longer_reported_is_never_unattended(beyond):
    """SQS reports six hours; the alarm wants 24."""
    alarm = of("Depth", 3600, periods=24, missing="ignore", statistic="Maximum")
    history = History().put_each("Depth", 1, range(0, 6 * HOUR, 5))
    assert replay(alarm, history, until=3 * DAY, beyond=beyond) == []


@pytest.mark.parametrize("beyond", BEYOND)
def test_a_late_count_that_is_filled_is_never_seen_by_one_of_one(beyond):
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math-syntax.html, at FILL."""
    history = History().put("Count", 1, minute=10, late=6)
    stuck = of("Count", 300, expression="FILL(m, 0)")
    assert replay(stuck, history, until=100, beyond=beyond) == []
    heard = of("Count", 300, periods=3, expression="FILL(m, 0)", DatapointsToAlarm=1)
    assert replay(heard, history, until=100, beyond=beyond) == [(17, ALARM), (26, OK)]


@pytest.mark.parametrize("beyond", BEYOND)
def test_a_late_error_is_not_seen_by_one_of_one_behind_a_success(beyond):
    history = History().put_each("Errors", 0, range(0, 60)).put("Errors", 1, minute=10, late=7)
    assert replay(of("Errors", 300), history, until=60, beyond=beyond) == []


@pytest.mark.parametrize("beyond", BEYOND)
def test_without_fill_the_length_of_an_alarm_hangs_on_what_is_not_documented(beyond):
    history = History().put("Count", 1, minute=10)
    (_, on), (end, off) = replay(of("Count", 60), history, until=60, beyond=beyond)
    assert (on, off) == (ALARM, OK) and end == 10 + 1 + 1 + beyond


def test_a_new_alarm_waits_for_its_data():
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-warm-up.html"""
    alarm = of("Polls", 300, periods=3, missing="breaching", ComparisonOperator="LessThanThreshold", Threshold=0)
    polls = History().put_each("Polls", 0, range(10, 120))
    cold = {"state": INSUFFICIENT, "until": 100}
    assert replay(alarm, polls, **cold)[0] == (0, ALARM)
    alarm["WarmUpConfiguration"] = {"WarmUpPeriodDurationInMinutes": 60}
    assert replay(alarm, polls, **cold)[0][1] == OK
    assert replay(alarm, History(), **cold) == [(60, ALARM)]
