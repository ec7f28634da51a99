"""Shards that trim, throttle, fail and give wrong answers, as AWS's do and no emulator's.

    with Fakes(aws) as fakes:
        shard = fakes.add(KinesisShard("orders", items, age=timedelta(hours=25)))
        shard.trimmed = 10
        fakes.fail("GetRecords", THROTTLED, times=2)
        ... run the function with fakes.environment() ...
        fakes.calls("GetRecords")[0].body["Limit"]

One HTTP endpoint for every service. It answers for the shards that were added,
fails the calls that a test names, passes all other calls on to the emulators,
and keeps a log of every call.
"""

import base64
import json
import re
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from sandbox import as_lambda, local_http

DAY_MS = 86_400_000
MIB = 1024 * 1024
BETWEEN_ARRIVALS = timedelta(milliseconds=107)  # so that every last digit occurs


@dataclass
class Fault:
    """An answer in place of the true one."""

    code: str
    status: int = 400
    message: str = "The test asked for this fault."
    truncate: bool = False  # promises a longer body than it sends, then hangs up
    raw: str = None  # sent as the body, with the status
    delay: float = 0.0


THROTTLED = Fault("ProvisionedThroughputExceededException")
LIMIT_EXCEEDED = Fault("LimitExceededException")
KMS_THROTTLED = Fault("KMSThrottlingException")
KMS_DENIED = Fault("KMSAccessDeniedException")
KMS_DISABLED = Fault("KMSDisabledException")
DENIED = Fault("AccessDeniedException")
EXPIRED_ITERATOR = Fault("ExpiredIteratorException")
NOT_FOUND = Fault("ResourceNotFoundException")
INTERNAL = Fault("InternalFailure", 500)
UNAVAILABLE = Fault("ServiceUnavailable", 503)
CUT_OFF = Fault("", 200, truncate=True)


class Refused(Exception):
    """A shard's own error."""

    def __init__(self, code, message="The fake says so."):
        self.fault = Fault(code, message=message)


@dataclass
class Call:
    operation: str
    body: object
    region: str
    status: int
    at: float


class Fakes(local_http.StandIn):
    def __init__(self, aws, swallow=False):
        """With `swallow`, what is sent and stored is acknowledged and forgotten."""
        self._aws, self._swallow = aws, swallow
        self._shards = {}
        self._faults = []
        self._log = []
        self._lock = threading.Lock()
        super().__init__(_Handler)
        self._server.fakes = self

    def environment(self):
        return {"AWS_ENDPOINT_URL": self.url, "AWS_ENDPOINT_URL_KINESIS": self.url}

    def add(self, shard):
        self._shards[shard.arn, shard.shard_id] = shard
        return shard

    def fail(self, operation, fault, times=1, after=0):
        """Fails calls of an operation (`GetRecords`, `SendMessage`, `PutObject`, `GetObject`)."""
        self._faults.append([operation, fault, after, times])

    def fail_no_more(self):
        """Takes back every fault that is still to come."""
        self._faults.clear()

    def calls(self, operation=None):
        return [call for call in self._log if operation in (None, call.operation)]

    def _fault(self, operation):
        with self._lock:
            for planned in self._faults:
                if planned[0] != operation or not planned[3]:
                    continue
                if planned[2]:
                    planned[2] -= 1
                    continue
                planned[3] -= 1
                return planned[1]

    def _shard(self, arn, shard_id):
        try:
            return self._shards[arn, shard_id]
        except KeyError:
            raise Refused("ResourceNotFoundException") from None

    def _answer(self, operation, body):
        """The fakes' own answer, or None where it is for the emulators to say."""
        if operation == "GetShardIterator":
            arn = body.get("StreamARN") or body.get("StreamArn")
            return {"ShardIterator": self._shard(arn, body["ShardId"]).iterator(body)}
        if operation == "GetRecords":
            arn, shard_id, state = body["ShardIterator"].split("|")
            return self._shard(arn, shard_id).page(state, body.get("Limit"))
        if self._swallow:
            return {"MessageId": "swallowed"} if operation == "SendMessage" else {}

    def _models(self, body):
        if not isinstance(body, dict):
            return False
        arn = body.get("StreamARN") or body.get("StreamArn") or body.get("ShardIterator", "")
        return any(arn.split("|")[0] == known for known, _ in self._shards)


class _Handler(local_http.Handler):
    def do_POST(self):
        body = self.read_body()
        target = self.headers.get("X-Amz-Target", "")
        self._respond(target.rpartition(".")[2] or "Query", body, _json(body))

    def do_GET(self):
        self._respond("GetObject", None, self.path)

    def do_PUT(self):
        body = self.read_body()
        self._respond("PutObject", body, self.path)

    def _respond(self, operation, body, parsed):
        fakes = self.server.fakes
        fault = fakes._fault(operation)
        answer = None
        if not fault and (fakes._swallow or fakes._models(parsed)):
            try:
                answer = fakes._answer(operation, parsed)
            except Refused as refused:
                fault = refused.fault
        if fault:
            status, headers, payload = fault.status, {}, _error_body(operation, fault)
            time.sleep(fault.delay)
        elif answer is not None:
            status, headers, payload = 200, {}, json.dumps(answer).encode()
        else:
            status, headers, payload = self._forward(body)
        region = re.search(r"Credential=[^/]+/\d+/([^/]+)/", self.headers.get("Authorization", ""))
        fakes._log.append(Call(
            operation, parsed, region and region[1], status, time.monotonic()))
        if fault and fault.truncate:
            self.answer(status, payload, headers, length=len(payload) + 1000)
            self.close_connection = True
        else:
            self.answer(status, payload, headers)

    def _forward(self, body):
        aws = self.server.fakes._aws
        is_kinesis = self.headers.get("X-Amz-Target", "").startswith("Kinesis_")
        url = (aws.kinesis_url if is_kinesis else aws.aws_url) + self.path
        skipped = ("host", "connection", "content-length", "transfer-encoding", "expect")
        headers = {k: v for k, v in self.headers.items() if k.lower() not in skipped}
        request = urllib.request.Request(url, body, headers, method=self.command)
        try:
            answer = _direct.open(request, timeout=30)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            kept = {k.title(): v for k, v in answer.headers.items()
                    if k.lower().startswith("x-amz") or k.lower() in ("content-type", "etag")}
            return answer.status, kept, answer.read()


_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _json(body):
    try:
        return json.loads(body)
    except ValueError:
        return None


def _error_body(operation, fault):
    if fault.raw is not None:
        return fault.raw.encode()
    if fault.truncate:
        return b'{"Records":[{"Data":"'
    if operation in ("PutObject", "GetObject"):
        return f"<Error><Code>{fault.code}</Code><Message>{fault.message}</Message></Error>".encode()
    return json.dumps({"__type": fault.code, "message": fault.message}).encode()


class _Shard:
    """A shard of either service. A test sets its faults before it runs:

    trimmed          how many of the oldest records are gone
    page_records     the most records it gives at once
    empty_pages      how many empty pages it gives before each page with records
    closed           whether it ends after its last record
    """

    page_bytes = None
    most_records = None

    def __init__(self, arn, shard_id, records):
        self.arn, self.shard_id, self.all_records = arn, shard_id, records
        self.trimmed = 0
        self.trimmed_after_a_page = 0
        self.page_records = self.most_records
        self.empty_pages = 0
        self.closed = False

    def iterator(self, request):
        kind = request["ShardIteratorType"]
        if kind == "TRIM_HORIZON":
            return self._token(self.trimmed)
        if kind == "AT_TIMESTAMP":
            wanted = float(request["Timestamp"])
            later = (index for index, record in enumerate(self.all_records)
                     if self._arrival(record).timestamp() >= wanted)
            return self._token(max(self.trimmed, next(later, len(self.all_records))))
        number = request.get("StartingSequenceNumber") or request.get("SequenceNumber")
        return self._at(number, after=kind == "AFTER_SEQUENCE_NUMBER")

    def page(self, state, limit):
        if limit is not None and not 1 <= limit <= self.most_records:
            raise Refused("ValidationException", f"Limit {limit}")
        if state == "stuck":
            return self._answer([], self._state("stuck"), DAY_MS)
        index, empties = map(int, state.split("."))
        index = self._first_left(index)
        ahead = len(self.all_records) - index
        if ahead and empties < self.empty_pages:
            return self._answer([], self._token(index, empties + 1), self._behind(index))
        end, size = index, 0
        most = min(limit or self.most_records, self.page_records)
        while end < len(self.all_records) and end - index < most:
            size += self._size(self.all_records[end])
            if size > self.page_bytes and end > index:
                break
            end += 1
        self.trimmed = max(self.trimmed, self.trimmed_after_a_page)
        at_end = self.closed and end == len(self.all_records)
        return self._answer(
            [self._wire(record) for record in self.all_records[index:end]],
            None if at_end else self._token(end), self._behind(end))

    def _first_left(self, index):
        """Where an iterator goes on whose records were trimmed. Kinesis reports no error."""
        return max(index, self.trimmed)

    def _index(self, number):
        numbers = [int(self._number(record)) for record in self.all_records]
        return numbers.index(int(number)) if int(number) in numbers else None

    def _token(self, index, empties=0):
        return self._state(f"{index}.{empties}")

    def _state(self, state):
        return f"{self.arn}|{self.shard_id}|{state}"

    def _behind(self, index):
        if index >= len(self.all_records):
            return 0
        age = datetime.now(timezone.utc) - self._arrival(self.all_records[index])
        return int(age.total_seconds() * 1000)


class KinesisShard(_Shard):
    """A shard of a Kinesis stream. `when_trimmed` is its answer to a trimmed sequence number; AWS gives all three:

    silent    only empty pages, a day behind the tip
    later     the records that are left
    invalid   InvalidArgumentException
    """

    page_bytes, most_records = 10 * MIB, 10_000
    first_number = 49647238774018758449143791361301066723689190929215782914

    def __init__(self, name, items, age=timedelta(minutes=5), when_trimmed="silent",
                 region="us-east-1", partition="aws", account="123456789012",
                 first_number=first_number):
        arn = f"arn:{partition}:kinesis:{region}:{account}:stream/{name}"
        arrival = datetime.now(timezone.utc) - age
        super().__init__(arn, "shardId-000000000000", [{
            "SequenceNumber": str(first_number + 1_208_925_819_614_629_174_706_176 * index),
            "ApproximateArrivalTimestamp": _to_ms(arrival + BETWEEN_ARRIVALS * index),
            "PartitionKey": key, "Data": data,
        } for index, (key, data) in enumerate(items)])
        self.when_trimmed = when_trimmed

    def delivered(self, records, arn=None):
        return [as_lambda.kinesis_event_record(record, arn or self.arn, self.shard_id)
                for record in records]

    def failure(self, records, arn=None, **changes):
        return as_lambda.kinesis_failure(records, arn or self.arn, self.shard_id, **changes)

    def _at(self, number, after):
        index = self._index(number)
        is_trimmed = index is not None and index + after < self.trimmed
        if index is None or is_trimmed and self.when_trimmed == "invalid":
            raise Refused("InvalidArgumentException", (
                f"StartingSequenceNumber {number} used in GetShardIterator on shard "
                f"{self.shard_id} is invalid because it did not come from this stream."))
        if is_trimmed and self.when_trimmed == "silent":
            return self._state("stuck")
        return self._token(max(index + after, self.trimmed))

    def _answer(self, records, following, behind):
        answer = {"Records": records, "MillisBehindLatest": behind}
        return {**answer, "NextShardIterator": following} if following else {
            **answer, "ChildShards": []}

    def _wire(self, record):
        return {
            **record,
            "ApproximateArrivalTimestamp": record["ApproximateArrivalTimestamp"].timestamp(),
            "Data": base64.b64encode(record["Data"]).decode(),
        }

    def _number(self, record):
        return record["SequenceNumber"]

    def _arrival(self, record):
        return record["ApproximateArrivalTimestamp"]

    def _size(self, record):
        return len(record["Data"]) + len(record["PartitionKey"])


class TableShard(_Shard):
    """A shard of a table's stream. A trimmed position is TrimmedDataAccessException.

    DynamoDB Local starts at 1, and writes 21 digits: `first_number=1, digits=21`.
    """

    page_bytes, most_records = 1_000_000, 1_000
    first_number = 900000000005537405107

    def __init__(self, name, changes, age=timedelta(minutes=5), first_number=first_number, digits=0):
        arn = f"arn:aws:dynamodb:us-east-1:123456789012:table/{name}/stream/2026-11-01T00:00:00.000"
        arrival = (datetime.now(timezone.utc) - age).replace(microsecond=0)
        super().__init__(arn, "shardId-00000001702248745067-29c36dc7", [{
            "eventID": f"{index:032x}", "eventName": "INSERT", "eventVersion": "1.1",
            "eventSource": "aws:dynamodb", "awsRegion": "us-east-1",
            **outer,
            "dynamodb": {
                "ApproximateCreationDateTime": arrival + timedelta(seconds=index),
                "Keys": {"id": {"S": f"K{index}"}},
                "SequenceNumber": str(first_number + 100 * index).zfill(digits),
                "SizeBytes": 120, "StreamViewType": "NEW_AND_OLD_IMAGES", **change},
        } for index, (outer, change) in enumerate(changes)])

    def delivered(self, records):
        return [as_lambda.dynamodb_event_record(record, self.arn) for record in records]

    def failure(self, records, **changes):
        return as_lambda.dynamodb_failure(records, self.arn, self.shard_id, **changes)

    def _at(self, number, after):
        index = self._index(number)
        if index is None or index + after < self.trimmed:
            raise Refused("TrimmedDataAccessException")
        return self._token(index + after)

    def _first_left(self, index):
        if index < self.trimmed:
            raise Refused("TrimmedDataAccessException")
        return index

    def _answer(self, records, following, behind):
        return {"Records": records, **({"NextShardIterator": following} if following else {})}

    def _wire(self, record):
        wire = as_lambda.dynamodb_event_record(record, self.arn)
        del wire["eventSourceARN"]
        if "userIdentity" in wire:
            wire["userIdentity"] = record["userIdentity"]
        return wire

    def _number(self, record):
        return record["dynamodb"]["SequenceNumber"]

    def _arrival(self, record):
        return record["dynamodb"]["ApproximateCreationDateTime"]

    def _size(self, record):
        return record["dynamodb"]["SizeBytes"]


def _to_ms(instant):
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)
