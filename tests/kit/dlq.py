"""The compiled dlq tool, a queue to point it at, and a Lambda for it to invoke.

The messages are composed here from the contract and not with the code under
test, so that each checks the other.
"""

import base64
import hashlib
import http.client
import json
import subprocess
import time
import urllib.parse
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from sandbox import as_lambda, local_http, processes
from tests.kit import cbor

FIRST_NUMBER = 49647238774018758449143791361301066723689190929215782914
STREAM = "arn:aws:kinesis:us-east-1:123456789012:stream/orders"
TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/Stock/stream/2026-11-01T00:00:00.000"


# Messages.

@dataclass
class HydratedMessage:
    """A hydrated message as the function would send it."""

    record: dict
    records: list
    view: list
    hydration: dict
    overflow: bool = False

    @property
    def id(self):
        return self.hydration["id"]

    @property
    def event(self):
        return as_lambda.text({"Records": self.records})

    @property
    def body(self):
        key = "KinesisBatch" if "KinesisBatchInfo" in self.record else "DDBStreamBatch"
        return as_lambda.text(
            {**self.record, "hydration": self.hydration, key: self.view, "Records": self.records})

    @property
    def attributes(self):
        info = self.record.get("KinesisBatchInfo") or self.record["DDBStreamBatchInfo"]
        context = self.record["requestContext"]
        values = {
            "hydrationId": self.id, "hydrationStatus": self.hydration["status"],
            "source": self.hydration["source"], "functionArn": context["functionArn"],
            "condition": context["condition"], "streamArn": info["streamArn"],
            "shardId": info["shardId"]}
        return {
            **{name: {"DataType": "String", "StringValue": value} for name, value in values.items()},
            "recordCount": {"DataType": "Number", "StringValue": str(len(self.records))}}


def kinesis(data=(b'{"n":1}', b'{"n":2}'), *, at=0, shard=0, stream=STREAM, age=timedelta(hours=1),
            **options):
    """A batch of a stream: `at` is the place of its first record in the shard."""
    shard_id = f"shardId-{shard:012}"
    arrival = datetime.now(timezone.utc) - age
    stored = [{
        "SequenceNumber": str(FIRST_NUMBER + 1_000_000 * (at + index)),
        "ApproximateArrivalTimestamp":
            (arrival + timedelta(milliseconds=100 * index)).replace(microsecond=0),
        "PartitionKey": f"key-{at + index}", "Data": item,
    } for index, item in enumerate(data)]
    record = as_lambda.kinesis_failure(
        stored, stream, shard_id, timestamp=_iso(arrival + timedelta(minutes=1)),
        **_failure(options))
    records = [as_lambda.kinesis_event_record(item, stream, shard_id) for item in stored]
    return _hydrated_message(record, records, [_decoded(item) for item in data], "kinesis", options)


def dynamodb(changes, *, at=0, age=timedelta(hours=1), **options):
    """A batch of a table's changes: pairs of an event's name and its `dynamodb` part."""
    arrival = (datetime.now(timezone.utc) - age).replace(microsecond=0)
    stored = [{
        "eventID": f"{at + index:032x}", "eventName": name, "eventVersion": "1.1",
        "eventSource": "aws:dynamodb", "awsRegion": "us-east-1",
        "dynamodb": {
            "ApproximateCreationDateTime": arrival, "SequenceNumber": str(1000 + 100 * (at + index)),
            "SizeBytes": 100, "StreamViewType": "NEW_AND_OLD_IMAGES", **change},
    } for index, (name, change) in enumerate(changes)]
    record = as_lambda.dynamodb_failure(
        stored, TABLE, "shardId-00000001702248745067-29c36dc7",
        timestamp=_iso(arrival + timedelta(minutes=1)),
        **_failure({"function": "stock-mirror", **options}))
    records = [as_lambda.dynamodb_event_record(item, TABLE) for item in stored]
    return _hydrated_message(record, records, [None] * len(records), "dynamodb", options)


def nothing_left(status="Expired", **options):
    """A batch of which nothing was found."""
    message = kinesis(**options)
    expected = message.hydration["expectedRecords"]
    for key in ("firstSequenceNumber", "lastSequenceNumber"):
        del message.hydration[key]
    message.hydration.update(
        status=status, reason=f"Nothing is left ({status}).", recoveredRecords=0,
        missingRecords=expected)
    message.records, message.view = [], []
    return message


def _failure(options):
    return {"function": options.get("function", "order-projector")}


def _hydrated_message(record, records, view, source, options):
    info = record.get("KinesisBatchInfo") or record["DDBStreamBatchInfo"]
    for place, value in options.get("changes", {}).items():
        part, _, key = place.partition(".")
        record[part][key] = value
    if "request_id" in options:
        record["requestContext"]["requestId"] = options["request_id"]
    lines = (record["requestContext"]["requestId"], record["requestContext"]["functionArn"],
             info["streamArn"], info["shardId"], info["startSequenceNumber"],
             info["endSequenceNumber"])
    batch_id = hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()
    part = options.get("part")
    expected = options.get("expected", len(records))
    numbers = [record.get("kinesis", {}).get("sequenceNumber")
               or record["dynamodb"]["SequenceNumber"] for record in records]
    status = options.get("status", "Complete")
    hydration = {
        "version": 1, "id": f"{batch_id}-{_digest(records)}" if part else batch_id, "status": status,
        **({} if status == "Complete" else {"reason": f"It is {status}."}),
        "expectedRecords": expected, "recoveredRecords": len(records),
        **({"missingRecords": expected - len(records)} if expected > len(records) else {}),
        "firstSequenceNumber": numbers[0], "lastSequenceNumber": numbers[-1],
        "source": source, "origin": "stream", "hydratedAt": _iso(datetime.now(timezone.utc)),
        **({"part": {"number": part[0], "last": part[1]}} if part else {}),
        "decodedView": "included",
    }
    return HydratedMessage(record, records, view, hydration, options.get("overflow", False))


def _digest(records):
    """The end of a part's id: a digest of the text between the brackets of its Records."""
    return hashlib.sha256(as_lambda.text(records)[1:-1].encode()).hexdigest()[:16]


def _decoded(data):
    try:
        return json.loads(data)
    except ValueError:
        return {"binary": len(data)}


def _iso(instant):
    return instant.astimezone(timezone.utc).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


# The queue.

class Queue:
    """A queue of hydrated messages, with its bucket."""

    def __init__(self, aws, fifo=False, **attributes):
        self.sqs, self.s3 = aws.client("sqs"), aws.client("s3")
        self.name = f"hydrated-{uuid.uuid4().hex[:8]}"
        self.bucket = f"{self.name}-overflow"
        self.fifo = fifo
        if fifo:
            attributes["FifoQueue"] = "true"
        self.url = self.sqs.create_queue(
            QueueName=self.name + (".fifo" if fifo else ""), Attributes=attributes)["QueueUrl"]
        self.s3.create_bucket(Bucket=self.bucket)

    def send(self, *messages):
        """Hydrated messages, or the text of others."""
        entries = [self._entry(index, message) for index, message in enumerate(messages)]
        for start in range(0, len(entries), 10):
            answer = self.sqs.send_message_batch(QueueUrl=self.url, Entries=entries[start:start + 10])
            assert not answer.get("Failed"), answer
        return messages

    def _entry(self, index, message):
        if isinstance(message, str):
            entry = {"Id": str(index), "MessageBody": message}
            return {**entry, **self._fifo("other", uuid.uuid4().hex)}
        body, attributes = message.body, message.attributes
        if message.overflow:
            key = f"hydrated/order-projector/2026/11/21/{message.id}.json"
            self.s3.put_object(Bucket=self.bucket, Key=key, Body=body.encode())
            attributes["ExtendedPayloadSize"] = {
                "DataType": "Number", "StringValue": str(len(body.encode()))}
            body = as_lambda.text(["software.amazon.payloadoffloading.PayloadS3Pointer",
                                   {"s3BucketName": self.bucket, "s3Key": key}])
        info = message.record.get("KinesisBatchInfo") or message.record["DDBStreamBatchInfo"]
        return {"Id": str(index), "MessageBody": body, "MessageAttributes": attributes,
                **self._fifo(info["shardId"], uuid.uuid4().hex)}

    def _fifo(self, group, deduplication):
        if not self.fifo:
            return {}
        return {"MessageGroupId": group, "MessageDeduplicationId": deduplication}

    def counts(self):
        """Messages on the queue: those that are visible, and those in flight."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)
        return tuple(int(answer["Attributes"][name]) for name in names)


    def ids(self):
        """The hydration ids of the messages that are visible. They stay so."""
        found, asked = set(), 0
        while len(found) < self.counts()[0] and asked < 20:
            answer = self.sqs.receive_message(
                QueueUrl=self.url, MaxNumberOfMessages=10, VisibilityTimeout=0, MessageAttributeNames=["hydrationId"])
            found |= {message["MessageAttributes"]["hydrationId"]["StringValue"]
                      for message in answer.get("Messages", [])}
            asked += 1
        return found


class QueueProxy:
    """SQS between the tool and the emulator: `meet` is called with each action and its request before it goes on.

    It may wait, or raise `Refuses`.
    """

    def __init__(self, url, meet):
        self.upstream, self.meet = urllib.parse.urlsplit(url), meet
        self._server = local_http.Server(_QueueProxyHandler)
        self._server.proxy = self
        self.url = f"http://{self._server.address}"

    def close(self):
        self._server.close()


class _QueueProxyHandler(local_http.Handler):
    def do_POST(self):
        proxy, body = self.server.proxy, self.read_body()
        action = self.headers.get("X-Amz-Target", "").split(".")[-1]
        try:
            proxy.meet(action, json.loads(body))
        except Refuses as error:
            text = json.dumps({"__type": f"com.amazonaws.sqs#{error.code}", "message": "no"})
            return self.answer(error.status, text.encode(), {"Content-Type": "application/x-amz-json-1.0"})
        connection = http.client.HTTPConnection(proxy.upstream.netloc, timeout=60)
        connection.request("POST", self.path, body, {
            name: value for name, value in self.headers.items() if name.lower() != "transfer-encoding"})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        self.answer(answer.status, text, {"Content-Type": answer.headers["Content-Type"]})


# The functions that it invokes.

@dataclass
class Invocation:
    function: str
    payload: str
    at: float = field(default_factory=time.monotonic)

    @property
    def numbers(self):
        return [(record.get("kinesis") or {}).get("sequenceNumber")
                or record["dynamodb"]["SequenceNumber"]
                for record in json.loads(self.payload)["Records"]]


class Lambda:
    """Lambda's Invoke, CloudWatch Logs' FilterLogEvents and CloudWatch's GetMetricData.

    `answer` is called with each invocation, and returns what the function
    answers; or raises `Fails`, `Refuses` or `HangsUp`. `metrics` has pairs of
    a time and a value, by the metric's name.
    """

    def __init__(self):
        self.invocations, self.log_events, self.searches = [], [], []
        self.metrics = {}
        self.answer = lambda invocation: None
        # The version that answers name as executed; None where something else than Lambda answers.
        self.version = "$LATEST"
        self.other = lambda path, body: (404, {})
        self._server = local_http.Server(_LambdaHandler)
        self._server.stand_in = self
        self.url = f"http://{self._server.address}"

    def close(self):
        self._server.close()

    def environment(self):
        return {f"AWS_ENDPOINT_URL_{service}": self.url
                for service in ("LAMBDA", "CLOUDWATCH", "CLOUDWATCH_LOGS", "IAM")}


class Fails(Exception):
    """The function threw."""

    def __init__(self, kind="ValueError", message="the order has no total"):
        super().__init__(message)
        self.kind, self.message = kind, message


class Refuses(Exception):
    """Lambda would not run it."""

    def __init__(self, code="TooManyRequestsException", status=429):
        super().__init__(code)
        self.code, self.status = code, status


class HangsUp(Exception):
    """The connection breaks before there is an answer."""


class _LambdaHandler(local_http.Handler):
    def do_GET(self):
        self._other(b"")

    def do_POST(self):
        body = self.read_body()
        path = urllib.parse.unquote(self.path)
        stand_in = self.server.stand_in
        if path.endswith("/invocations"):
            return self._invoke(stand_in, path.split("/")[-2], body)
        if self.headers.get("X-Amz-Target", "").endswith("FilterLogEvents"):
            return self._filter(stand_in, json.loads(body))
        if path.endswith("/GetMetricData"):
            return self._metric(stand_in, body)
        self._other(body)

    def _metric(self, stand_in, body):
        """The request names one metric. The emulator does not speak the tool's protocol for CloudWatch."""
        points = [point for name, points in stand_in.metrics.items() if name.encode() in body for point in points]
        result = {"Id": "m", "StatusCode": "Complete", "Timestamps": [at for at, _ in points],
                  "Values": [value for _, value in points]}
        self.answer(200, cbor.encoded({"MetricDataResults": [result]}), cbor.HEADERS)

    def _other(self, body):
        status, answer = self.server.stand_in.other(urllib.parse.unquote(self.path), body)
        path, _, query = urllib.parse.unquote(self.path).partition("?")
        is_function = path.endswith("/configuration") and not path.split("/")[-2].startswith("nosuch")
        if status == 404 and is_function:
            return self._configuration(path.split("/")[-2], urllib.parse.parse_qs(query))
        text = answer if isinstance(answer, str) else json.dumps(answer)
        kind = "text/xml" if isinstance(answer, str) else "application/json"
        self.answer(status, text.encode(), {"Content-Type": kind})

    def _configuration(self, name, query):
        qualifier = "".join(f":{value}" for value in query.get("Qualifier", []))
        arn = f"arn:aws:lambda:us-east-1:123456789012:function:{name}{qualifier}"
        self.answer(200, json.dumps({"FunctionName": name, "FunctionArn": arn}).encode())

    def _invoke(self, stand_in, function, body):
        invocation = Invocation(function, body.decode())
        stand_in.invocations.append(invocation)
        try:
            answer = stand_in.answer(invocation)
        except Fails as error:
            payload = {"errorType": error.kind, "errorMessage": error.message, "trace": ["…"]}
            return self.answer(200, json.dumps(payload).encode(), {"X-Amz-Function-Error": "Unhandled"})
        except Refuses as error:
            return self.answer(error.status, b'{"message":"no"}', {"X-Amzn-ErrorType": error.code})
        except HangsUp:
            self.close_connection = True
            return self.connection.close()
        version = {"X-Amz-Executed-Version": stand_in.version} if stand_in.version else {}
        self.answer(200, json.dumps(answer).encode(), version)

    def _filter(self, stand_in, search):
        stand_in.searches.append(search)
        wanted = search.get("filterPattern", "").strip('"')
        streams = search.get("logStreamNames")
        events = [event for event in stand_in.log_events
                  if wanted in event["message"]
                  and search["startTime"] <= event["timestamp"] < search["endTime"]
                  and (not streams or event["logStreamName"] in streams)]
        self.answer(200, json.dumps({"events": events}).encode(),
                    {"Content-Type": "application/x-amz-json-1.1"})


# The tool.

@dataclass
class Result:
    code: int
    out: str
    err: str
    seconds: float

    @property
    def lines(self):
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def messages(self):
        """The lines about messages, without the header and those about all of them."""
        return [line for line in self.lines if not {"header", "summary", "retention"} & set(line)]

    @property
    def summary(self):
        return self.lines[-1]["summary"]


class Dlq:
    """The compiled tool, with an environment of its own."""

    def __init__(self, path, environment, folder):
        self.path, self.folder = path, folder
        self.environment = {
            "PATH": "/usr/bin:/bin", "HOME": str(folder), "XDG_STATE_HOME": str(folder / "state"),
            "COLUMNS": "120", **environment}

    def start(self, *arguments, **variables):
        return subprocess.Popen(
            processes.ending_with_parent([self.path, *arguments]), env={**self.environment, **variables},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def __call__(self, *arguments, code=0, stdin=None, **variables):
        started = time.monotonic()
        done = subprocess.run(
            processes.ending_with_parent([self.path, *arguments]), env={**self.environment, **variables},
            input=stdin if stdin is not None else "", capture_output=True, text=True, timeout=120)
        assert done.returncode == code, (done.returncode, done.stdout[-3000:], done.stderr)
        return Result(done.returncode, done.stdout, done.stderr, time.monotonic() - started)

    def discards(self):
        """The records of the ledger about messages that were discarded."""
        paths = sorted((self.folder / "state" / "dlq").glob("**/discards/*.json"))
        return [json.loads(path.read_text()) for path in paths]

    def runs(self):
        """The records of the ledger about batches, in a folder of this machine."""
        paths = sorted((self.folder / "state" / "dlq").glob("**/runs/*/*.json"))
        return [json.loads(path.read_text()) for path in paths]


def encoded(data):
    return base64.b64encode(data).decode()


def until(condition, seconds=10):
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "the condition did not become true in time"
        time.sleep(0.02)
