"""A stand-in for the Lambda Runtime API that runs the compiled function.

    with Function(binary, environment) as function:
        answer = function.invoke(event)

The function is started once and given its events one by one, as on Lambda.
Calls from several threads wait for each other, also as on Lambda.
"""

import json
import os
import queue
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass, field

from sandbox import as_lambda, local_http, processes

VERSION = "/2018-06-01/runtime"
START_PATIENCE_SECONDS = 20
# Lambda waits this much longer than the timeout before it stops a function.
GRACE_SECONDS = 5


@dataclass
class Answer:
    """The result of one invocation: a payload, or the function's error."""

    payload: object = None
    error: dict = None
    raw: bytes = b""
    stdout: list = field(default_factory=list)
    stderr: str = ""
    seconds: float = 0.0

    @property
    def logs(self):
        """The log lines: the JSON objects on stdout that are not metrics."""
        return [line for line in self._objects() if "_aws" not in line]

    @property
    def metrics(self):
        """The CloudWatch embedded-metric objects on stdout."""
        return [line for line in self._objects() if "_aws" in line]

    def _objects(self):
        return [json.loads(line) for line in self.stdout]


class FunctionExited(Exception):
    """The process ended, at start or instead of answering."""

    def __init__(self, code, error, stdout, stderr):
        super().__init__(f"the function exited with {code}: {error or stderr[-1000:]}")
        self.code, self.error, self.stdout, self.stderr = code, error, stdout, stderr


class Function:
    """The compiled function, running."""

    def __init__(self, binary, environment, name="hydrate", timeout=30, memory_mb=256,
                 region="us-east-1", account="123456789012"):
        self.arn = f"arn:aws:lambda:{region}:{account}:function:{name}"
        self.timeout = timeout
        self._lock = threading.Lock()
        self._events = queue.Queue()
        self._reports = queue.Queue()
        self._server = local_http.Server(_Handler)
        self._server.function = self
        self._stdout, self._stderr = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        self._read = {}
        self.process = processes.start(
            [binary], {**self._lambda_variables(name, memory_mb, region), **environment},
            self._stdout, self._stderr)
        # Popen returns as soon as the child has become setpriv, which is the binary a millisecond later.
        executed = time.perf_counter()
        try:
            self._until(["next"], START_PATIENCE_SECONDS)
        except BaseException:
            self.close()
            raise
        self.start_seconds = time.perf_counter() - executed

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        processes.stop(self.process)
        self._server.close()

    def invoke(self, event, timeout=None, deadline_ms=None):
        """Gives the function one event: text or bytes as they are, else as JSON.

        `deadline_ms` is the deadline in the header, if it is not to be the true one.
        """
        if isinstance(event, str):
            event = event.encode()
        elif not isinstance(event, bytes):
            event = as_lambda.text(event).encode()
        timeout = timeout or self.timeout
        with self._lock:
            self._drain()
            started = time.perf_counter()
            self._events.put((event, deadline_ms or int((time.time() + timeout) * 1000)))
            kind, raw = self._until(["response", "error"], timeout + GRACE_SECONDS)
            seconds = time.perf_counter() - started
            # Its last line is only written when it asks for the next event.
            self._until(["next"], GRACE_SECONDS)
            stdout, stderr = self._drain()
        answer = Answer(raw=raw, stdout=stdout, stderr=stderr, seconds=seconds)
        parsed = json.loads(raw) if raw else None
        if kind == "error":
            answer.error = parsed
        else:
            answer.payload = parsed
        return answer

    def memory_bytes(self, field_name):
        """A line of /proc/PID/status: VmRSS, or VmHWM (the peak)."""
        with open(f"/proc/{self.process.pid}/status") as status:
            for line in status:
                if line.startswith(field_name + ":"):
                    return int(line.split()[1]) * 1024
        raise KeyError(field_name)

    def _until(self, kinds, seconds):
        """The next report of one of these kinds; others before it are dropped."""
        ends = time.monotonic() + seconds
        error = None
        while time.monotonic() < ends:
            try:
                kind, body = self._reports.get(timeout=0.2)
            except queue.Empty:
                if self.process.poll() is not None and self._reports.empty():
                    raise FunctionExited(self.process.returncode, error, *self._drain())
                continue
            if kind in kinds:
                return kind, body
            if kind == "init error":
                error = json.loads(body)
        self.process.kill()
        raise TimeoutError(f"no {kinds} from the function in {seconds} s: {self._drain()}")

    def _drain(self):
        """Output since the last call: the lines of stdout, the text of stderr."""
        texts = []
        for file in (self._stdout, self._stderr):
            text = os.pread(file.fileno(), 1 << 30, self._read.get(file, 0))
            self._read[file] = self._read.get(file, 0) + len(text)
            texts.append(text.decode())
        return texts[0].splitlines(), texts[1]

    def _lambda_variables(self, name, memory_mb, region):
        return {
            "PATH": "/usr/bin:/bin",
            "TZ": ":UTC",
            "AWS_LAMBDA_RUNTIME_API": self._server.address,
            "AWS_LAMBDA_FUNCTION_NAME": name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory_mb),
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": "2026/01/01/[$LATEST]0123456789abcdef",
            "AWS_REGION": region,
        }


class _Handler(local_http.Handler):
    def do_GET(self):
        function = self.server.function
        if self.path != VERSION + "/invocation/next":
            return self.answer(404)
        function._reports.put(("next", b""))
        while not self.server.closing.is_set():
            try:
                event, deadline_ms = function._events.get(timeout=0.2)
                break
            except queue.Empty:
                if function.process.poll() is not None:
                    return self.answer(500)
        else:
            return self.answer(500)
        request = str(uuid.uuid4())
        self.answer(200, event, {
            "Lambda-Runtime-Aws-Request-Id": request,
            "Lambda-Runtime-Deadline-Ms": str(deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": function.arn,
            "Lambda-Runtime-Trace-Id":
                "Root=1-%08x-%s;Sampled=0" % (int(time.time()), request.replace("-", "")[:24]),
        })

    def do_POST(self):
        body = self.read_body()
        kind = self.path.rsplit("/", 1)[-1]
        if self.path == VERSION + "/init/error":
            kind = "init error"
        elif kind not in ("response", "error"):
            return self.answer(404)
        self.answer(202, b'{"status":"OK"}')
        self.server.function._reports.put((kind, body))
