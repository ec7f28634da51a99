"""A model of CloudWatch: how a metric alarm is evaluated, so that the templates' alarms can be replayed.

    history = History()
    history.put("Errors", 1, minute=3)
    replay(stack.properties("HydrateErrors"), history, until=60)    # [(4, "ALARM"), (21, "OK")]

What it follows, all under https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/:

- alarm-evaluation.html: M out of N, actions on a change of state only.
- alarms-and-missing-data.html: the evaluation range, which is longer than N, and the four ways to treat missing data.
- alarm-evaluation-window.html: an alarm is evaluated every minute, whatever its period; the periods end at that minute.
- alarm-warm-up.html: a new alarm waits for its data.
- using-metric-math.html: arithmetic takes a missing value for 0 where another is there; FILL; DIFF.

How far the evaluation range goes beyond N is documented by two examples alone (N = 3 reads 5). `BEYOND` holds the
lengths that tests try: what a test promises holds for all of them. Where REPEAT finds no value before a gap, the gap
stays. A data point that CloudWatch receives late is put with `late`, the minutes that it takes.
"""

import ast
import functools
import operator
from bisect import bisect_left
from dataclasses import dataclass, field

BEYOND = (1, 2, 4)
HOUR = 60
DAY = 24 * HOUR
OK, ALARM, INSUFFICIENT = "OK", "ALARM", "INSUFFICIENT_DATA"


@dataclass
class History:
    """Data points of metrics, in minutes. A metric is known by its name and, where that is not enough, dimensions."""

    points: dict = field(default_factory=dict)

    def put(self, name, value, minute, late=0, **dimensions):
        self.points.setdefault((name, frozenset(dimensions.items())), []).append((minute, value, minute + late))
        return self

    def put_each(self, name, value, minutes, **options):
        for minute in minutes:
            self.put(name, value, minute, **options)
        return self

    def of(self, metric):
        """The data points of an alarm's metric in order of time: (minute, value, minute of arrival)."""
        given = {(item["Name"], item["Value"]) for item in metric["Dimensions"]}
        return sorted(point for (name, dimensions), points in self.points.items()
                      if name == metric["MetricName"] and dimensions <= given for point in points)


# ---------------------------------------------------------------- one evaluation

def evaluate(points, needed, periods, missing_data, state, breaches):
    """The state after an evaluation of `points`, the evaluation range, oldest first, None where data is missing.

    `needed` is M, `periods` N, `state` the one before, `breaches` the comparison with the threshold.
    """
    real = [breaches(point) for point in points if point is not None]
    if len(real) >= periods:
        return ALARM if sum(real[-periods:]) >= needed else OK
    filled = periods - len(real)
    if missing_data == "breaching":
        return ALARM if sum(real) + filled >= needed else OK
    if missing_data == "notBreaching" or sum(real) >= needed:
        return ALARM if sum(real) >= needed else OK
    if not real:
        return state if missing_data == "ignore" else INSUFFICIENT
    if not all(real):
        return OK
    # Nothing but breaching data, less of it than needed: "premature", unless the oldest is old enough.
    age = len(points) - next(place for place, point in enumerate(points) if point is not None)
    return ALARM if missing_data == "missing" and age >= needed else state


COMPARISONS = {
    "GreaterThanThreshold": operator.gt, "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt, "LessThanOrEqualToThreshold": operator.le,
}


# ---------------------------------------------------------------- statistics and metric math

STATISTICS = {"Sum": sum, "Maximum": max, "SampleCount": len}
ARITHMETIC = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


def series(points, statistic, period, now, count):
    """The last `count` periods up to now: the statistic of what has arrived in each, None where nothing has."""
    found, start = [], now - count * period
    if not points or points[-1][0] < start:
        return [None] * count
    end = bisect_left(points, (start,))
    for place in range(1, count + 1):
        first, end = end, bisect_left(points, (start + place * period,), end)
        values = [value for _, value, arrival in points[first:end] if arrival < now] if first < end else ()
        found.append(STATISTICS[statistic](values) if values else None)
    return found


def calculate(expression, terms):
    """The series of an expression. A scalar is a number, a series a list."""
    return _node(_parse(expression), terms)


@functools.cache
def _parse(expression):
    return ast.parse(expression, mode="eval").body


def _node(node, terms):
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return node.id if node.id == "REPEAT" else terms[node.id]
    if isinstance(node, ast.BinOp):
        return _arithmetic(ARITHMETIC[type(node.op)], _node(node.left, terms), _node(node.right, terms))
    assert isinstance(node, ast.Call), ast.dump(node)
    return {"FILL": _fill, "DIFF": _diff}[node.func.id](*(_node(argument, terms) for argument in node.args))


def _arithmetic(operation, left, right):
    """A missing value counts as 0; where both are missing there is no value."""
    if not isinstance(left, list) and not isinstance(right, list):
        return operation(left, right)
    if not isinstance(right, list):
        return [None if value is None else operation(value, right) for value in left]
    if not isinstance(left, list):
        return [None if value is None else operation(left, value) for value in right]
    return [None if one is None and other is None else operation(one or 0, other or 0)
            for one, other in zip(left, right)]


def _fill(values, filler):
    if filler != "REPEAT":
        return [filler if value is None else value for value in values]
    filled, last = [], None
    for value in values:
        last = last if value is None else value
        filled.append(last)
    return filled


def _diff(values):
    found, before = [], None
    for value in values:
        found.append(None if value is None or before is None else value - before)
        before = before if value is None else value
    return found


# ---------------------------------------------------------------- an alarm over time

def data(alarm, history):
    """A function that gives the alarm's last data points at a minute, oldest first."""
    if "MetricName" in alarm:
        points = history.of(alarm)
        return lambda now, count: series(points, alarm["Statistic"], alarm["Period"] // 60, now, count)
    returned, = (query for query in alarm["Metrics"] if query.get("ReturnData", True))
    metrics = {query["Id"]: (history.of(query["MetricStat"]["Metric"]), query["MetricStat"]["Stat"],
                             query["MetricStat"]["Period"] // 60)
               for query in alarm["Metrics"] if "MetricStat" in query}
    return lambda now, count: calculate(
        returned["Expression"], {name: series(*metric, now, count) for name, metric in metrics.items()})


def replay(alarm, history, until, beyond=2, start=0, state=OK):
    """The changes of an alarm's state, as (minute, state), from the minute `start` on, an evaluation each minute.

    An alarm whose state is given as INSUFFICIENT_DATA has just been made, and waits for its warm-up.
    """
    periods = int(alarm["EvaluationPeriods"])
    needed = int(alarm.get("DatapointsToAlarm", periods))
    threshold, compare = float(alarm["Threshold"]), COMPARISONS[alarm["ComparisonOperator"]]
    warm_up = alarm.get("WarmUpConfiguration", {}).get("WarmUpPeriodDurationInMinutes", 0)
    warm = state != INSUFFICIENT
    last_points = data(alarm, history)
    changes = []
    for now in range(start, until + 1):
        points = last_points(now, periods + beyond)
        warm = warm or now - start >= warm_up or None not in points[-periods:]
        if not warm:
            continue
        after = evaluate(points, needed, periods, alarm["TreatMissingData"], state,
                         lambda point: compare(point, threshold))
        if after != state:
            state = after
            changes.append((now, state))
    return changes


def rings(alarm, history, until, **options):
    """The minutes in which the alarm sends its message."""
    assert alarm["AlarmActions"]
    return [minute for minute, state in replay(alarm, history, until, **options) if state == ALARM]
