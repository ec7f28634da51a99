"""AWS between the tool and the emulators, which knows each call by the action that authorises it.

    proxy = AwsProxy({"SQS": aws.aws_url, "LAMBDA": function.url})
    proxy.deny("s3:PutObject", "ledger/")
    ... run the tool with proxy.environment() ...
    proxy.actions()
"""

import http.client
import json
import re
import urllib.parse
from dataclasses import dataclass

from sandbox import local_http
from tests.kit import cbor

OPERATIONS = {"ChangeMessageVisibilityBatch": "ChangeMessageVisibility", "SendMessageBatch": "SendMessage"}
SERVICES = {
    "sqs": "sqs", "s3": "s3", "lambda": "lambda", "cloudwatch_logs": "logs", "iam": "iam", "kinesis": "kinesis",
    "cloudformation": "cloudformation", "cloudwatch": "cloudwatch", "sns": "sns"}


@dataclass(frozen=True)
class Call:
    """An action, and the part of the request that says what it is for: an S3 key or prefix, else the body."""

    action: str
    about: str


class AwsProxy:
    def __init__(self, upstreams, tls=None):
        """`upstreams` are URLs by the service, as in AWS_ENDPOINT_URL_<SERVICE>; `tls` is the context of HTTPS."""
        self.calls, self.refused = [], []
        self._tls = tls
        self._denied = []
        self._servers = {service: self._serve(service, url) for service, url in upstreams.items()}

    def _serve(self, service, url):
        server = local_http.Server(_Handler, self._tls)
        server.proxy, server.service, server.upstream = self, SERVICES[service.lower()], urllib.parse.urlsplit(url)
        return server

    def close(self):
        for server in self._servers.values():
            server.close()

    def environment(self):
        scheme = "https" if self._tls else "http"
        return {f"AWS_ENDPOINT_URL_{service}": f"{scheme}://{server.address}"
                for service, server in self._servers.items()}

    def deny(self, action, about="", allowed=0):
        """Denies an action for what has `about` in it, after some calls that are allowed."""
        self._denied.append([action, about, allowed])

    def deny_no_more(self):
        self._denied.clear()

    def actions(self):
        return {call.action for call in self.calls}

    def is_denied(self, call):
        self.calls.append(call)
        for denied in self._denied:
            if denied[0] == call.action and denied[1] in call.about:
                if denied[2]:
                    denied[2] -= 1
                    return False
                self.refused.append(call)
                return True
        return False


def _s3(method, url):
    path, query = urllib.parse.unquote(url.path), urllib.parse.parse_qs(url.query, keep_blank_values=True)
    key = path.strip("/").partition("/")[2]
    if "lifecycle" in query:
        return "GetLifecycleConfiguration", key
    if not key:
        return "ListBucket", query.get("prefix", [""])[0]
    return {"GET": "GetObject", "PUT": "PutObject"}[method], key


def _lambda(method, url):
    path = urllib.parse.unquote(url.path)
    for end, operation in (("/invocations", "InvokeFunction"), ("/configuration", "GetFunctionConfiguration"),
                           ("/concurrency", "GetFunctionConcurrency"), ("/account-settings", "GetAccountSettings"),
                           ("/event-source-mappings", "ListEventSourceMappings")):
        if path.rstrip("/").endswith(end):
            return operation, path
    raise AssertionError(f"the proxy does not know {method} {path}")


class _Handler(local_http.Handler):
    def do_GET(self):
        self._meet(b"")

    def do_POST(self):
        self._meet(self.read_body())

    do_PUT = do_POST

    def _call(self, body):
        service, url = self.server.service, urllib.parse.urlsplit(self.path)
        if service == "s3":
            operation, about = _s3(self.command, url)
        elif service == "lambda":
            operation, about = _lambda(self.command, url)
        elif service == "cloudwatch":
            operation, about = url.path.split("/")[-1], body.decode(errors="replace")
        elif target := self.headers.get("X-Amz-Target"):
            operation, about = target.split(".")[-1], body.decode()
        else:
            operation, about = re.search(rb"Action=(\w+)", body)[1].decode(), body.decode()
        return Call(f"{service}:{OPERATIONS.get(operation, operation)}", about)

    def _meet(self, body):
        if self.server.proxy.is_denied(self._call(body)):
            return self._deny()
        skipped = ("connection", "content-length", "transfer-encoding", "expect")
        connection = http.client.HTTPConnection(self.server.upstream.netloc, timeout=60)
        connection.request(self.command, self.path, body, {
            name: value for name, value in self.headers.items() if name.lower() not in skipped})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        kept = {name.title(): value for name, value in answer.headers.items()
                if name.lower().startswith(("x-amz", "smithy")) or name.lower() in ("content-type", "etag")}
        self.answer(answer.status, text, kept)

    def _deny(self):
        """Each protocol's own form. The message does not name the action: the tool has to."""
        if self.server.service in ("s3", "iam", "cloudformation", "sns"):
            error = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
            text = error if self.server.service == "s3" else f"<ErrorResponse>{error}</ErrorResponse>"
            return self.answer(403, text.encode(), {"Content-Type": "text/xml"})
        if self.server.service == "cloudwatch":
            return self.answer(400, cbor.encoded({"__type": "AccessDeniedException", "message": "no"}), cbor.HEADERS)
        if self.server.service == "lambda":
            return self.answer(403, b'{"Message":"no"}', {"X-Amzn-ErrorType": "AccessDeniedException"})
        text = json.dumps({"__type": "com.amazonaws#AccessDeniedException", "message": "no"})
        self.answer(400, text.encode(), {"Content-Type": "application/x-amz-json-1.1"})
