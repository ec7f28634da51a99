"""Logs and metrics: what an operator can rely on."""

import re

import pytest

from sandbox import as_lambda
from sandbox.orders import items
from tests.kit.contract import hydration_id
from tests.kit.fakes import DENIED, THROTTLED, KinesisShard

POWERTOOLS = {"level", "message", "timestamp", "service", "function_name", "function_request_id",
              "cold_start", "correlation_id", "xray_trace_id"}


def batch_line(answer):
    line, = answer.logs
    return line


def metrics(answer):
    """{(dimensions and their values): {metric: (value, unit)}} of all embedded-metric lines."""
    found = {}
    for line in answer.metrics:
        assert abs(line["_aws"]["Timestamp"] / 1000 - 1.7e9) < 1e9
        for group in line["_aws"]["CloudWatchMetrics"]:
            assert group["Namespace"] == "FailedBatchHydrator"
            for dimensions in group["Dimensions"]:
                key = tuple((name, line[name]) for name in sorted(dimensions))
                for metric in group["Metrics"]:
                    found.setdefault(key, {})[metric["Name"]] = (
                        line[metric["Name"]], metric.get("Unit"))
    return found


def value(measured):
    """A metric's value, whichever of the forms of the format it has."""
    number = measured[0]
    if isinstance(number, dict):
        return sum(v * c for v, c in zip(number["Values"], number["Counts"]))
    return sum(number) if isinstance(number, list) else number


def test_one_line_tells_a_batch_s_whole_story(hydrator, stream):
    shop, records = stream(items(9))
    record = shop.failure(records[2:8])
    answer, (message,) = hydrator.hydrate(record)
    line = batch_line(answer)
    assert POWERTOOLS <= set(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,6}Z", line["timestamp"])
    info, context = record["KinesisBatchInfo"], record["requestContext"]
    facts = {
        "level": "INFO", "message": "batch hydrated", "service": "hydrate",
        "function_name": "hydrate", "cold_start": True, "correlation_id": context["requestId"],
        "id": hydration_id(record), "status": "Complete", "source": "kinesis", "origin": "stream",
        "function_arn": context["functionArn"], "condition": context["condition"],
        "stream_arn": info["streamArn"], "shard_id": info["shardId"],
        "failed_at": record["timestamp"], "function_error": "Unhandled", "executed_version": "$LATEST",
        "status_code": 200, "expected_records": 6, "recovered_records": 6, "message_ids": message.message_id,
        "read_calls": 1, "iterators": 1, "throttles": 0,
        "message_bytes": len(message.text.encode()),
    }
    assert {key: line.get(key) for key in facts} == facts
    assert 0 <= line["duration_ms"] <= answer.seconds * 1000 + 1
    assert 0 <= line["oldest_record_age_seconds"] < 600
    assert line["function_request_id"] and "1-" in line["xray_trace_id"]
    warm, _ = hydrator.hydrate(record)
    assert batch_line(warm)["cold_start"] is False


@pytest.mark.parametrize("kind", ["gone", "superset"])
def test_a_status_that_needs_a_person_is_a_warning(hydrator, stream, kind):
    shop, records = stream(items(9))
    record = shop.failure(records)
    if kind == "gone":
        shop.delete()
    else:
        record["KinesisBatchInfo"]["batchSize"] = 4
    line = batch_line(hydrator.hydrate(record)[0])
    assert line["level"] == ("WARN" if kind == "gone" else "INFO")
    assert line["reason"]


def test_a_batch_that_the_function_never_saw_has_no_response(hydrator, stream):
    shop, records = stream(items(2))
    record = shop.failure(records, responseContext=None)
    line = batch_line(hydrator.hydrate(record)[0])
    assert not {"function_error", "executed_version", "status_code"} & line.keys()


def test_a_failed_batch_is_an_error_with_its_type(faked, fakes):
    shard = fakes.add(KinesisShard("shop", items(3)))
    record = shard.failure(shard.all_records)
    fakes.fail("GetRecords", DENIED)
    answer = faked.failing(record, "AccessDenied")
    line, = [line for line in answer.logs if line.get("message") == "batch failed"]
    facts = {
        "level": "ERROR", "error_type": "AccessDenied", "error": answer.error["errorMessage"],
        "stream_arn": shard.arn, "shard_id": shard.shard_id,
        "correlation_id": record["requestContext"]["requestId"]}
    assert {key: line.get(key) for key in facts} == facts
    counted = metrics(answer)
    key = (("ErrorType", "AccessDenied"), ("FunctionName", "hydrate"))
    assert value(counted[key]["BatchesFailed"]) == 1


def test_every_line_of_an_event_with_several_batches(hydrator, stream):
    shop, records = stream(items(6))
    answer = hydrator.invoke(as_lambda.sns_event(shop.failure(records[:3]), shop.failure(records[3:])))
    assert [line["message"] for line in answer.logs] == ["batch hydrated"] * 2
    assert len({line["correlation_id"] for line in answer.logs}) == 2


def test_metrics(faked, fakes):
    shard = fakes.add(KinesisShard("shop", items(12)))
    shard.page_records = 5
    fakes.fail("GetRecords", THROTTLED, times=2)
    record = shard.failure(shard.all_records)
    answer, _ = faked.hydrate(record)
    counted = metrics(answer)
    by_status = counted[(("FunctionName", "hydrate"), ("Status", "Complete"))]
    assert value(by_status["Batches"]) == 1 and by_status["Batches"][1] == "Count"
    totals = counted[(("FunctionName", "hydrate"),)]
    assert {name: measured[1] for name, measured in totals.items()} == {
        "RecordsRecovered": "Count", "RecordsMissing": "Count", "OldestRecordAge": "Seconds",
        "ReadCalls": "Count", "Throttles": "Count", "OverflowBytes": "Bytes",
        "Duration": "Milliseconds"}
    values = {name: value(measured) for name, measured in totals.items()}
    assert values["RecordsRecovered"] == 12 and values["RecordsMissing"] == 0
    assert values["Throttles"] == 2 and values["ReadCalls"] in (3, 5)
    assert 299 < values["OldestRecordAge"] < 320
    assert values["OverflowBytes"] == 0 and values["Duration"] > 500


def test_every_line_is_json_at_every_level(deploy, stream):
    shop, records = stream(items(3))
    for level in ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"):
        hydrator = deploy(AWS_LAMBDA_LOG_LEVEL=level)
        answer, _ = hydrator.hydrate(shop.failure(records))
        assert answer.stderr == ""
        assert all(isinstance(line, dict) for line in answer.logs)
        assert answer.metrics  # a metric is no log line: it has no level
        hydrated = [line["message"] for line in answer.logs if line.get("message") == "batch hydrated"]
        assert len(hydrated) == (level in ("TRACE", "DEBUG", "INFO"))
