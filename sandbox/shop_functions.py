"""A stand-in for the shop's functions on Lambda, so that `dlq isolate` and `dlq replay` can be tried.

The function order-projector fails on an order whose total is no number, as in
the batch that the sandbox fills the queue with, until a file says that it was
corrected. The others succeed. Their consumers are not deployed anywhere.
"""

import base64
import gzip
import json
import urllib.parse

from sandbox import local_http

ARN = "arn:aws:lambda:us-east-1:123456789012:function:"
FAILING = "order-projector"


class ShopFunctions(local_http.StandIn):
    def __init__(self, corrected, mappings=()):
        """`corrected` is the path of the file that corrects the function, `mappings` what Lambda lists."""
        super().__init__(_Handler)
        self._server.corrected, self._server.mappings = corrected, mappings

    def environment(self):
        return {"AWS_ENDPOINT_URL_LAMBDA": self.url}


def failure(event):
    """The message of the error with which the function ends, or None."""
    for record in event["Records"]:
        total = _order(record).get("total", 0)
        if not isinstance(total, (int, float)):
            return f"could not convert string to float: {total!r}"
    return None


def log_lines(request_id, message):
    """What the failed invocation has written to its log."""
    return [
        f"START RequestId: {request_id} Version: $LATEST",
        f"[ERROR] {request_id} ValueError: {message}\nTraceback (most recent call last):\n"
        '  File "/var/task/app.py", line 31, in handler\n    total += float(order["total"])',
        f"END RequestId: {request_id}",
    ]


def _order(record):
    """The order in a record; nothing where the record holds none."""
    data = base64.b64decode(record.get("kinesis", {}).get("data", ""))
    try:
        order = json.loads(gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data)
    except ValueError:
        return {}
    return order if isinstance(order, dict) else {}


class _Handler(local_http.Handler):
    def do_POST(self):
        event = json.loads(self.read_body())
        path = urllib.parse.unquote(self.path)
        is_failing = FAILING in path and not self.server.corrected.exists()
        if message := is_failing and failure(event):
            body = {"errorType": "ValueError", "errorMessage": message, "stackTrace": []}
            return self.answer(200, json.dumps(body).encode(), {"X-Amz-Function-Error": "Unhandled"})
        self.answer(200, b"null", {"X-Amz-Executed-Version": "$LATEST"})

    def do_GET(self):
        path, _, query = self.path.partition("?")
        parts = urllib.parse.unquote(path).split("/")
        if parts[-1] == "configuration":
            name = parts[-2].removeprefix(ARN)
            qualifier = "".join(f":{value}" for value in urllib.parse.parse_qs(query).get("Qualifier", []))
            return self._json({"FunctionName": name, "FunctionArn": f"{ARN}{name}{qualifier}"})
        if parts[-1] == "concurrency":
            return self._json({"ReservedConcurrentExecutions": 10})
        if "event-source-mappings" in parts:
            return self._json({"EventSourceMappings": list(self.server.mappings)})
        self.answer(404, b"{}", {"X-Amzn-ErrorType": "ResourceNotFoundException"})

    def _json(self, document):
        self.answer(200, json.dumps(document).encode())
