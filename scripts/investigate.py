"""Runs the commands that docs/INVESTIGATE.md shows, in their order, and puts what they print into the page.

    python -m scripts.investigate            the commands
    python -m scripts.investigate picture    docs/report.png: the top of the page that `dlq report` writes

The tool is the compiled one, the queue and the bucket are emulated, and Lambda is the stand-in of the tests. Run it
when the output of a command has changed, and read the page afterwards. The picture needs Chromium.
"""

import base64
import contextlib
import json
import re
import shlex
import subprocess
import sys
import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path

from sandbox import batch_id, emulators, processes, shop_functions
from sandbox import orders as orders_of_a_shop
from scripts import browser, build, install
from tests.kit import dlq, outage

PAGE = install.ROOT / "docs" / "INVESTIGATE.md"
BATCH, POISON = 100, 57
STREAM = "arn:aws:kinesis:us-east-1:123456789012:stream/"
# The beginning of the id of the batch that the page follows.
ID = "4491"
PICTURE = install.ROOT / "docs" / "report.png"
PICTURE_SIZE = "880x1120"
CAUSE = "could not convert string to float: '12,50 € (see note)'"


@contextlib.contextmanager
def stage():
    """A queue, a Lambda and the tool that works with them."""
    function = dlq.Lambda()
    with emulators.running() as aws, tempfile.TemporaryDirectory() as folder:
        queue = dlq.Queue(aws, MessageRetentionPeriod="1209600")
        yield queue, function, dlq.Dlq(build.binary("dlq"), {
            **aws.environment(), **function.environment(), "DLQ_QUEUE": queue.url, "OVERFLOW_BUCKET": queue.bucket,
        }, Path(folder))
    function.close()


def picture():
    """Takes the picture of a report on a night with more than one function."""
    install.ensure("browser")
    chromium = browser.chromium()
    if not chromium:
        raise RuntimeError("no Chromium is on PATH: apt-get install chromium-headless-shell")
    with stage() as (queue, function, tool):
        outage.fill(queue, tool, function)
        page = tool.folder / "incident.html"
        tool("report", "--to", page, code=3)
        page.write_text(page.read_text().replace(queue.name, "hydrated-batches"))
        subprocess.run([install.tool("browser"), install.ROOT / "scripts" / "browser.py", chromium, page,
                        PICTURE.parent, PICTURE_SIZE], check=True)


def main():
    with stage() as (queue, function, tool):
        request_id = incidents(queue)
        function.log_events = log(request_id)
        is_corrected = False

        def answer(invocation):
            if not is_corrected and "12,50" in texts(invocation):
                raise dlq.Fails("ValueError", CAUSE)

        function.answer = answer
        parts = re.split(r"(```console\n.*?```\n)", PAGE.read_text(), flags=re.DOTALL)
        for index, part in enumerate(parts):
            if "corrected function is deployed" in part:
                is_corrected = True
            if part.startswith("```console\n$ dlq"):
                command = part.splitlines()[1][len("$ dlq "):]
                text = run(tool, command).replace(queue.bucket, "hydrator-overflow")
                parts[index] = f"```console\n$ dlq {command}\n{text.replace(queue.name, 'hydrated-batches')}```\n"
        PAGE.write_text("".join(parts))


def run(tool, command):
    done = subprocess.run([tool.path, "--output", "text", *shlex.split(command)], env=tool.environment, cwd=tool.folder,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    print(f"{done.returncode} dlq {command}", file=sys.stderr)
    if done.returncode not in (0, 3):
        raise RuntimeError(done.stdout + done.stderr)
    # Hints repeat the flag that only this script types.
    return done.stdout.replace("dlq --output text ", "dlq ")


def incidents(queue):
    """Sends what failed, and returns the request id of the batch that the page follows."""
    orders = [orders_of_a_shop.json_record(
        (orders_of_a_shop.poison if number == POISON else orders_of_a_shop.order)(100 + number))
        for number in range(BATCH)]
    options = {"age": timedelta(minutes=6), "function": "order-projector"}
    request_id = batch_id.request_id_for(dlq.kinesis(orders, **options).record, ID)
    message = dlq.kinesis(orders, request_id=request_id, **options)
    queue.send(
        message,
        dlq.kinesis(orders[:5], function="stock-auditor", stream=STREAM + "stock", age=timedelta(minutes=5)),
        dlq.kinesis(orders[:48], function="catalogue-indexer", stream=STREAM + "catalogue", age=timedelta(minutes=4)),
        dlq.nothing_left("Gone", data=orders[:20], function="refunder", stream=STREAM + "refunds",
                         age=timedelta(minutes=3)))
    return request_id


def texts(invocation):
    records = json.loads(invocation.payload)["Records"]
    return "\n".join(base64.b64decode(record["kinesis"]["data"]).decode() for record in records)


def log(request_id):
    lines = shop_functions.log_lines(request_id, CAUSE)
    at = datetime.now(timezone.utc) - timedelta(minutes=5)
    return [{"timestamp": int(at.timestamp() * 1000) + index, "message": line, "logStreamName": "2026/11/21/1",
             "eventId": str(index), "ingestionTime": 0} for index, line in enumerate(lines)]


if __name__ == "__main__":
    try:
        processes.exit_on_sigterm()
        picture() if sys.argv[1:] == ["picture"] else main()
    except (build.BuildError, install.InstallError, RuntimeError, OSError) as error:
        sys.exit(f"investigate: {error}")
