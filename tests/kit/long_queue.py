"""SQS with a queue that is too long for an emulator, S3 with its overflow, and Lambda with functions that succeed.

    with long_queue.running(messages=100_000) as queue:
        subprocess.run(["dlq", "list"], env={**queue.environment(), ...})

A message is composed each time that it is asked for, so that a queue of gigabytes takes a few bytes of memory a
message. It is a process of its own, so that its time and memory are not those of the program that is measured:

    python -m tests.kit.long_queue --messages 100000
"""

import argparse
import array
import asyncio
import collections
import contextlib
import hashlib
import heapq
import json
import os
import re
import resource
import subprocess
import sys
import time
import urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path

from sandbox import emulators, processes
from tests.kit import dlq

ROOT = Path(__file__).resolve().parents[2]
BUCKET = "overflow"
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html
MAX_IN_FLIGHT = 120_000
# AWS's receipt handles have about this length, which is memory in a program that keeps them.
HANDLE_CHARACTERS = 412
POINTER = "software.amazon.payloadoffloading.PayloadS3Pointer"


# The other process, as tests and benchmarks see it.

class LongQueue:
    def __init__(self, process, url):
        self.process, self.endpoint = process, url
        self.url = f"{url}/{emulators.ACCOUNT}/hydrated"

    def environment(self):
        return {**emulators.Emulators(self.endpoint, self.endpoint).environment(), "DLQ_QUEUE": self.url}

    def counts(self):
        """`visible` and `inFlight` messages, `invocations` of the function, `batches` that it got, `calls` by action,
        and `cpuSeconds` of this process."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.endpoint}/counts", timeout=60) as answer:
            return json.load(answer)


@contextlib.contextmanager
def running(**options):
    """Starts the stand-in, with the flags of `_arguments` as keywords."""
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    command = [sys.executable, "-m", "tests.kit.long_queue", *flags]
    process = processes.start(command, os.environ, subprocess.PIPE, errors=None, folder=ROOT)
    try:
        yield LongQueue(process, process.stdout.readline().decode().strip())
    finally:
        processes.stop(process)
        process.stdout.close()


# Messages.

class Template:
    """A hydrated message of about that many bytes, with the places that differ from message to message."""

    numbered = re.compile("(@id@|@number@|@shard@|@time@)")

    def __init__(self, size):
        data = [json.dumps({"orderId": n, "note": "x" * max(0, (size - 2300) * 3 // 14)}).encode() for n in (1, 2)]
        message = dlq.kinesis(data, request_id="r-@number@")
        text = message.body.replace(message.id, "@id@").replace("shardId-000000000000", "shardId-@shard@")
        text = text.replace(message.record["timestamp"], "@time@")
        attributes = json.dumps(message.attributes).replace(message.id, "@id@")
        attributes = attributes.replace("shardId-000000000000", "shardId-@shard@")
        for place, record in enumerate(message.records):
            number = record["kinesis"]["sequenceNumber"]
            text = text.replace(number, f"{number[:30]}@number@{place:06}")
        self.text = self.numbered.split(text)
        self.escaped = self.numbered.split(json.dumps(text, ensure_ascii=False))
        self.attributes = self.numbered.split(attributes)


class Messages:
    def __init__(self, options):
        self.options = options
        self.templates = [Template(size) for size in options.bytes]
        self.started = datetime.now(timezone.utc).replace(tzinfo=None) - timedelta(hours=1)

    def template(self, number):
        return self.templates[number % len(self.templates)]

    def text(self, number):
        return self._fill(self.template(number).text, number)

    def sent(self, number):
        """The body as it lies on the queue: its MD5, its JSON text, and the JSON text of the attributes."""
        attributes = self._fill(self.template(number).attributes, number)
        if not self._overflows(number):
            escaped = self._fill(self.template(number).escaped, number)
            return hashlib.md5(self.text(number).encode()).hexdigest(), escaped, attributes
        body = json.dumps([POINTER, {"s3BucketName": BUCKET, "s3Key": f"hydrated/{number}.json"}])
        size = {"DataType": "Number", "StringValue": str(len(self.text(number)))}
        attributes = json.dumps({**json.loads(attributes), "ExtendedPayloadSize": size})
        return hashlib.md5(body.encode()).hexdigest(), json.dumps(body), attributes

    def _overflows(self, number):
        every = self.options.overflow_every
        return every and number % every == 0

    def _fill(self, pieces, number):
        failed_at = self.started + timedelta(milliseconds=number)
        values = {"@id@": hashlib.sha256(b"%d" % number).hexdigest(), "@number@": f"{number:012}",
                  "@shard@": f"{number % self.options.shards:012}",
                  "@time@": failed_at.isoformat(timespec="milliseconds") + "Z"}
        return "".join(values.get(piece, piece) for piece in pieces)


# The queue.

VISIBLE, IN_FLIGHT, DELETED = range(3)


class Refused(Exception):
    pass


class Queue:
    """The state of a standard queue: a few bytes a message."""

    def __init__(self, options):
        self.options, self.messages = options, Messages(options)
        count = options.messages
        self.state = bytearray(count)
        self.receives = array.array("I", bytes(4 * count))
        self.hidden_until = array.array("d", bytes(8 * count))
        self.visible = collections.deque(range(count))
        self.deadlines = []
        self.in_flight = 0
        self.answers = 0
        self.sent_at = int(time.time() * 1000)

    def receive(self, request):
        """The JSON text of the messages; None where there is none, so that a caller who waits must wait."""
        self._show_late()
        self.answers += 1
        limit = self.options.max_in_flight
        if self.in_flight >= limit and (self.options.at_limit == "error" or not request.get("WaitTimeSeconds")):
            raise Refused("OverLimit")
        if self.options.empty_every and self.answers % self.options.empty_every == 0:
            return None
        numbers = []
        while self.visible and len(numbers) < request.get("MaxNumberOfMessages", 1) and self.in_flight < limit:
            number = self.visible.popleft()
            if self.state[number] == VISIBLE:
                self._hide(number, request.get("VisibilityTimeout", 30))
                numbers.append(number)
        every = self.options.twice_every
        twice = [number for number in numbers if every and number % every == 0]
        return [self._json(number) for number in numbers + twice] or None

    def _hide(self, number, seconds):
        self.state[number] = IN_FLIGHT
        self.in_flight += 1
        self.receives[number] += 1
        self._hide_until(number, time.monotonic() + seconds)
        if self.options.always_visible:
            self._show(number)

    def _hide_until(self, number, deadline):
        self.hidden_until[number] = deadline
        heapq.heappush(self.deadlines, (deadline, number))

    def _show(self, number):
        self.state[number] = VISIBLE
        self.in_flight -= 1
        self.visible.append(number)

    def _show_late(self):
        now = time.monotonic()
        while self.deadlines and self.deadlines[0][0] <= now:
            _, number = heapq.heappop(self.deadlines)
            if self.state[number] == IN_FLIGHT and self.hidden_until[number] <= now:
                self._show(number)

    def _json(self, number):
        md5, body, attributes = self.messages.sent(number)
        handle = f"{number}.{self.receives[number]}.".ljust(HANDLE_CHARACTERS, "A")
        system = {"SenderId": "AROAEXAMPLE:hydrate", "SentTimestamp": str(self.sent_at + number),
                  "ApproximateReceiveCount": str(self.receives[number]),
                  "ApproximateFirstReceiveTimestamp": str(self.sent_at)}
        return (f'{{"MessageId":"{number:08x}-0000-4000-8000-{number:012x}","ReceiptHandle":"{handle}",'
                f'"MD5OfBody":"{md5}","Body":{body},"Attributes":{json.dumps(system)},'
                f'"MessageAttributes":{attributes}}}')

    def change_visibility(self, request):
        done, failed = [], []
        for entry in request["Entries"]:
            number = self._held(entry["ReceiptHandle"])
            if number is None:
                failed.append({"Id": entry["Id"], "SenderFault": True, "Code": "InvalidParameterValue",
                               "Message": "Message does not exist or is not available for visibility timeout change."})
                continue
            done.append({"Id": entry["Id"]})
            if entry["VisibilityTimeout"]:
                self._hide_until(number, time.monotonic() + entry["VisibilityTimeout"])
            else:
                self._show(number)
        return {"Successful": done, "Failed": failed}

    def delete(self, request):
        number = self._held(request["ReceiptHandle"])
        if number is not None:
            self.state[number] = DELETED
            self.in_flight -= 1
        return {}

    def _held(self, handle):
        """The number of the message, if this is its latest receipt and it is still in flight."""
        number, receive, _ = handle.split(".")
        self._show_late()
        is_held = self.state[int(number)] == IN_FLIGHT and self.receives[int(number)] == int(receive)
        return int(number) if is_held else None

    def counts(self):
        self._show_late()
        return {"visible": self.state.count(VISIBLE), "inFlight": self.in_flight}

    def attributes(self, request):
        counts = self.counts()
        return {"Attributes": {
            "QueueArn": f"arn:aws:sqs:{emulators.REGION}:{emulators.ACCOUNT}:hydrated",
            "ApproximateNumberOfMessages": str(counts["visible"]),
            "ApproximateNumberOfMessagesNotVisible": str(counts["inFlight"]),
            "ApproximateNumberOfMessagesDelayed": "0", "MessageRetentionPeriod": "1209600"}}


# The wire: HTTP/1.1, without the half millisecond that Python's own server takes for a request.

class Connection(asyncio.Protocol):
    length = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)
    target = re.compile(rb"\r\nx-amz-target: *\w+\.(\w+)", re.I)
    range = re.compile(rb"\r\nrange: *bytes=0-(\d+)", re.I)
    first_number = re.compile(rb'"sequenceNumber": *"\d{30}(\d{12})')

    def __init__(self, queue, invocations, calls):
        self.queue, self.invocations, self.calls = queue, invocations, calls
        self.buffer = bytearray()

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self.buffer[:end + 2])
        length = self.length.search(head)
        whole = end + 4 + int(length[1] if length else 0)
        if len(self.buffer) >= whole:
            body = bytes(self.buffer[end + 4:whole])
            del self.buffer[:whole]
            self._request(head, body)

    def _request(self, head, body):
        method, path, _ = head.split(b"\r\n")[0].decode().split(" ")
        target = self.target.search(head)
        action = target[1].decode() if target else path.split("?")[0].rsplit("/")[-1]
        self.calls[action if target or action in ("invocations", "counts") else "GetObject"] += 1
        if target:
            return self._sqs(action, json.loads(body))
        if action == "invocations":
            number = self.first_number.search(body)
            self.invocations[int(number[1])] += 1
            return self._answer(b"null", version="$LATEST")
        if action == "counts":
            usage = resource.getrusage(resource.RUSAGE_SELF)
            return self._answer({
                **self.queue.counts(), "invocations": sum(self.invocations.values()), "batches": len(self.invocations),
                "calls": self.calls, "cpuSeconds": usage.ru_utime + usage.ru_stime})
        self._object(int(re.search(r"(\d+)\.json", path)[1]), self.range.search(head))

    def _sqs(self, action, request):
        queue = self.queue
        if action == "ReceiveMessage":
            return self._receive(request)
        answer = {"ChangeMessageVisibilityBatch": queue.change_visibility, "DeleteMessage": queue.delete,
                  "GetQueueAttributes": queue.attributes}[action](request)
        self._answer(answer)

    def _receive(self, request):
        try:
            messages = self.queue.receive(request)
        except Refused as refused:
            return self._answer({"__type": f"com.amazonaws.sqs#{refused}", "message": "no"}, "400 Bad Request")
        if messages:
            self._answer(f'{{"Messages":[{",".join(messages)}]}}'.encode())
        else:
            asyncio.get_running_loop().call_later(request.get("WaitTimeSeconds", 0), self._answer, {})

    def _object(self, number, wanted):
        text = self.queue.messages.text(number).encode()
        if not wanted:
            return self._answer(text)
        part = text[:int(wanted[1]) + 1]
        self._answer(part, "206 Partial Content", content_range=f"bytes 0-{len(part) - 1}/{len(text)}")

    def _answer(self, body, status="200 OK", version=None, content_range=None):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: {len(body)}\r\n"
        head += f"X-Amz-Executed-Version: {version}\r\n" if version else ""
        head += f"Content-Range: {content_range}\r\n" if content_range else ""
        self.transport.write(head.encode() + b"\r\n" + body)


async def serve(options):
    queue, invocations, calls = Queue(options), collections.Counter(), collections.Counter()
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(queue, invocations, calls), "127.0.0.1", 0)
    print("http://127.0.0.1:%d" % server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--messages", type=int, default=1000)
    add("--bytes", type=lambda text: [int(size) for size in text.split(",")], default=[2500],
        help="sizes of the bodies, taken in turn: 2500,700000")
    add("--shards", type=int, default=4, help="shards that the batches are of")
    add("--max-in-flight", type=int, default=MAX_IN_FLIGHT)
    add("--at-limit", choices=["empty", "error"], default="empty",
        help="the answer to a long poll while too many are in flight; AWS's is empty, and a short poll is refused")
    add("--overflow-every", type=int, default=0, help="each Nth message lies in the bucket")
    add("--twice-every", type=int, default=0, help="each Nth message comes twice in one answer")
    add("--empty-every", type=int, default=0, help="each Nth answer is empty")
    add("--always-visible", type=int, default=0, help="1: no message is ever hidden")
    return parser.parse_args()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(_arguments()))
