"""A log group of the emulated CloudWatch Logs, filled with what a function has printed."""

import time


class LogGroup:
    def __init__(self, aws, name):
        self.name = name
        self._logs = aws.client("logs")
        self._logs.create_log_group(logGroupName=name)
        self._logs.create_log_stream(logGroupName=name, logStreamName="stream")

    def put(self, lines):
        """Puts the lines, which are taken in now, and returns when a window that ends now holds them."""
        now = int(time.time() * 1000)
        for start in range(0, len(lines), 10_000):
            self._logs.put_log_events(logGroupName=self.name, logStreamName="stream", logEvents=[
                {"timestamp": now, "message": line} for line in lines[start:start + 10_000]])
        # Windows end at whole seconds.
        time.sleep(1.05)
