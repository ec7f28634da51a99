"""The demo: what the hydrator does, on this machine, with no AWS account.

    make demo

Fills the emulators with the data of a small shop, runs the compiled function
on the invocation records that Lambda would send for four failed batches, and
prints what arrives on the queue. Every claim is checked before it is printed
as true; one that is not true ends the demo with an error.
"""


import json
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

from sandbox import as_lambda, emulators, processes, seed
from sandbox.alerts import AlertsTopic
from sandbox.delivery import Delivery
from sandbox.failed_batch_bucket import FailedBatchBucket, place
from sandbox.log_group import LogGroup
from sandbox.mailbox import Mailbox
from sandbox.runtime_api import Function, FunctionExited
from sandbox.terminal import Terminal, Unexpected
from scripts import build, install

STEPS = 11
WIDTH = 100
# The place of the poison in its batch, from 1.
POISON_PLACE = seed.POISON - seed.BATCH.start + 1


def main():
    processes.exit_on_sigterm()
    terminal = Terminal(STEPS)
    terminal.step("Build the functions and the tool")
    binary, digest, tool = (build.binary(name) for name in ("hydrate", "digest", "dlq"))
    terminal.done(f"{binary}, {binary.stat().st_size / 1e6:.1f} MB")
    terminal.done(f"{digest}")
    terminal.done(f"{tool}")
    compiled = terminal.seconds()

    terminal.step("Start the emulators and fill them")
    terminal.working("starting moto and kinesis-local")
    with emulators.running() as aws:
        batches = seed.seed(aws, lambda name: terminal.working(f"filling {name}"))
        mailbox = Mailbox(aws, "hydrated-batches")
        terminal.done("moto for SQS, S3 and DynamoDB Streams; kinesis-local for Kinesis")
        terminal.done(f"{seed.ORDERS} orders on a stream, changes on a table, "
                      "a catalogue feed, a stream that was recreated")
        environment = {**aws.environment(), **mailbox.environment()}
        with Function(binary, environment) as function:
            shop = Shop(terminal, function, mailbox, batches)
            shop.pointer()
            shop.orders()
            shop.stock()
            shop.catalogue()
            shop.returns()
            shop.destination(FailedBatchBucket(aws, "failed-batches"))
            shop.tool(tool, environment)
            shop.mail(digest, environment, LogGroup(aws, "/aws/lambda/hydrator-hydrate"))
            shop.drill(aws, tool, environment)
    seconds = terminal.seconds() - compiled
    terminal.say()
    terminal.say(terminal.paint("bold", f"Done in {seconds:.1f} s") + " after compiling. "
                 "Everything is stopped; nothing was left outside this folder.")
    terminal.say("Next: `make sandbox` leaves the emulators running for you to try it by hand.")


class Shop:
    """The steps of the demo, a method for each."""

    def __init__(self, terminal, function, mailbox, batches):
        self.terminal, self.function = terminal, function
        self.mailbox, self.batches = mailbox, batches
        self.ids = []
        self.printed = []
        self.total = None

    def pointer(self):
        self.terminal.step("What Lambda sends when it gives a batch up")
        self.terminal.say("One order of a batch of 100 has a sentence where its total should be. The consumer\n"
                          "throws, Lambda retries, then sends this to the failure topic, and moves on:")
        self.terminal.show(shortened(self.batches["orders"].invocation_record), "yellow")
        self.terminal.claim("not one of the 100 orders is in it",
                            "ORD-" not in self.batches["orders"].message)

    def orders(self):
        self.terminal.step("What the hydrator puts on the queue")
        batch = self.batches["orders"]
        answer, message = self._hydrate("orders")
        body, view = message.body, message.body["KinesisBatch"]
        self.terminal.claim("everything Lambda sent, then the verdict:",
                            list(body) == [*batch.invocation_record, "hydration", "KinesisBatch", "Records"])
        self.terminal.show(shortened({"hydration": body["hydration"]}), "green")
        self.terminal.claim(
            f"{len(body['Records'])} records, each exactly as Lambda delivered it: replay the message "
            "with `aws lambda invoke`", body["Records"] == batch.delivered)
        self.terminal.claim("none of the 220 healthy records around them", len(view) == 100)
        self.terminal.say("a decoded view for people to read; some of it:")
        for number, what in ((100, "JSON"), (seed.GZIPPED[0], "gzipped JSON"),
                             (seed.BINARY[0], "binary"), (seed.AGGREGATE, "KPL aggregate")):
            self.terminal.show(f"{what:>13}  {clipped(view[number - seed.BATCH.start])}")
        poison = view[seed.POISON - seed.BATCH.start]
        self.terminal.show(f"{'the poison':>13}  {clipped(poison)}", "red")
        self.total = poison["total"]
        self.terminal.claim(f"there it is: order {poison['orderId']}, total {poison['total']!r}",
                            not isinstance(poison["total"], float))
        line, = [line for line in answer.logs if line["message"] == "batch hydrated"]
        self.terminal.say("the function's log line about it, with nothing of the data:")
        self.terminal.show(paragraph(cut(line)))
        self.terminal.claim(f"{line['read_calls']} read of the shard, not one record too many",
                            line["read_calls"] == 1 and line["recovered_records"] == 100
                            and "ORD-" not in "".join(answer.stdout))

    def stock(self):
        self.terminal.step("The same for a DynamoDB stream")
        batch = self.batches["stock"]
        _, message = self._hydrate("stock")
        self.terminal.claim(f"{message.hydration['status']}: {batch.title}",
                            message.hydration["status"] == "Complete"
                            and message.records == batch.delivered)
        change = next(entry for entry in message.body["DDBStreamBatch"]
                      if entry["eventName"] == "MODIFY")
        for image in ("oldImage", "newImage"):
            shown = {key: change[image][key] for key in ("id", "price", "count", "tags", "ledger")}
            self.terminal.show(f"{image:>13}  {clipped(shown)}")
        self.terminal.claim("a price of 9.9 became 10.9; a 38-digit number kept every digit",
                            (change["oldImage"]["price"], change["newImage"]["price"]) == (9.9, 10.9)
                            and "12345678901234567890123456789012345678" in message.text)

    def catalogue(self):
        self.terminal.step("A batch larger than an SQS message")
        answer, message = self._hydrate("catalogue", receive=False)
        overflow = answer.payload["batches"][0].get("overflow")
        self.terminal.claim("kept in the bucket, the message points to it:",
                            overflow and overflow.startswith(f"s3://{self.mailbox.bucket}/hydrated/"))
        self.terminal.show(overflow)
        text, = self.mailbox.receive_with_stock_client()
        records = json.loads(text)["Records"]
        self.terminal.claim(
            f"AWS's own SQS extended client reads it unaided: {len(text) / 1e6:.2f} MB, "
            f"{len(records)} records", records == self.batches["catalogue"].delivered)
        received, = self.mailbox.receive()
        self.terminal.claim("and so does anybody who follows the pointer", received.text == text)

    def returns(self):
        self.terminal.step("A batch whose records are gone")
        _, message = self._hydrate("returns")
        hydration = message.hydration
        self.terminal.claim(f"{hydration['status']}: {hydration['missingRecords']} records are missing",
                            hydration["status"] == "Gone" and hydration["missingRecords"] == 20)
        self.terminal.show(hydration["reason"], "yellow")
        self.terminal.say("It lands on the queue all the same, so that somebody learns of the loss.")

    def destination(self, bucket):
        self.terminal.step("The same batch from Lambda's own S3 destination")
        self.terminal.say("A mapping may send its failed batches to a bucket, with the whole event. S3 says that the\n"
                          "object was written, and the function reads it:")
        batch = self.batches["orders"]
        where = bucket.put(as_lambda.with_payload(batch.invocation_record, batch.delivered))
        answer = self._invoke(as_lambda.s3_event(where))
        message, = self.mailbox.receive()
        hydration = message.hydration
        self.terminal.show(shortened({key: hydration[key] for key in ("status", "origin", "object")}), "green")
        self.terminal.claim("the same 100 records under the same id",
                            (message.records, hydration["id"]) == (batch.delivered, self.ids[0]))
        line, = answer.logs
        self.terminal.claim("no read of the shard: what Lambda wrote is exact, and does not expire with the stream",
                            (line["iterators"], line["read_calls"], hydration["object"]) == (0, 0, place(where)))

    def tool(self, tool, environment):
        self.terminal.step("What a person does about it: the dlq tool")
        answer = self._invoke(as_lambda.sns_event(*(batch.message for batch in self.batches.values())))
        ids = [batch["id"] for batch in answer.payload["batches"]]
        self.terminal.claim("the same four failures, delivered again, have the same ids", ids == self.ids)
        poison = ids[0][:12]
        with tempfile.TemporaryDirectory() as home:
            environment = {**environment, "HOME": home, "PATH": "/usr/bin:/bin"}
            log = Path(home, "order-projector.log")
            log.write_text(f"[ERROR] ValueError: could not convert string to float: {self.total!r}\n")
            self.terminal.say("the consumer's log has one line about it; the tool finds the record of that line "
                              "and invokes nothing:")
            for arguments, expected in (
                    (["status"], "order-projector"),
                    (["show", poison, "--records", "1", "--log-lines", str(log)], f"record {POISON_PLACE}  loggedValue"),
                    (["replay", poison], "nothing was invoked")):
                self.terminal.say(self.terminal.paint("bold", f"$ dlq {' '.join(arguments)}"))
                done = subprocess.run([tool, "--output", "text", *arguments], env=environment,
                                      capture_output=True, text=True, timeout=60)
                self.terminal.show(done.stdout.strip() or done.stderr.strip())
                if done.returncode or expected not in done.stdout:
                    raise Unexpected(f"dlq {arguments[0]} ended with {done.returncode}: {done.stderr}")

    def drill(self, aws, tool, environment):
        self.terminal.step("Does the net hold, before it has to?")
        stream = self.batches["orders"].invocation_record["KinesisBatchInfo"]["streamArn"]
        with Delivery(aws) as delivery:
            delivery.map(stream, "order-projector")
            delivery.hydrate_with(self.function)
            self.terminal.say(self.terminal.paint("bold", "$ dlq doctor --drill --stream " + stream))
            done = subprocess.run(
                [tool, "--output", "text", "doctor", "--drill", "--stream", stream], capture_output=True, text=True,
                env={**environment, **delivery.environment(), "PATH": "/usr/bin:/bin"}, timeout=60)
        self.terminal.show(done.stdout.strip() or done.stderr.strip())
        self.terminal.claim("a batch went the whole way and came back byte for byte; the four others still wait",
                            done.returncode == 0 and "byte for byte" in done.stdout
                            and len(self.mailbox.receive()) == len(self.batches))

    def mail(self, digest, environment, log_group):
        self.terminal.step("The mail about all this")
        self.terminal.say("Every five minutes a second function reads the first one's log lines. What it has published:")
        log_group.put(self.printed)
        with AlertsTopic() as topic:
            variables = {**environment, **topic.environment(), "LOG_GROUP": log_group.name, "DELAY_SECONDS": "0",
                         "STATE_BUCKET": self.mailbox.bucket, "STACK_NAME": "failed-batch-hydrator"}
            with Function(digest, variables, name="digest") as function:
                for answer in (function.invoke({}), function.invoke({})):
                    if answer.error:
                        raise Unexpected(f"the digest failed: {answer.error}")
            published = topic.published
        self.terminal.claim("one message, though the function ran twice", len(published) == 1)
        self.terminal.show(published[0].mail.strip(), "green")
        self.terminal.claim("four batches, each once, and nothing of the data",
                            "4 batches" in published[0].mail and "ORD-" not in json.dumps(published[0].texts))

    def _invoke(self, event):
        """Invokes the function, and keeps what it has printed."""
        answer = self.function.invoke(event)
        if answer.error:
            raise Unexpected(f"the function failed: {answer.error}")
        self.printed += answer.stdout
        return answer

    def _hydrate(self, name, receive=True):
        """Sends the function what the topic would, and takes the message off the queue."""
        self.terminal.working(f"hydrating {name}")
        answer = self._invoke(as_lambda.sns_event(self.batches[name].message))
        self.ids += [batch["id"] for batch in answer.payload["batches"]]
        if not receive:
            return answer, None
        message, = self.mailbox.receive()
        if message.message_id != answer.payload["batches"][0]["messageId"]:
            raise Unexpected("the queue holds another message than the function answered")
        return answer, message


def shortened(document):
    """A document, one key on a line."""
    return "\n".join(paragraph({key: value})[1:-1] for key, value in cut(document).items())


def cut(value):
    """The value with long numbers and digests cut in the middle."""
    if isinstance(value, dict):
        return {key: cut(item) for key, item in value.items()}
    is_long = isinstance(value, str) and len(value) > 24 and (value.isdigit() or len(value) == 64)
    return f"{value[:8]}…{value[-8:]}" if is_long else value


def paragraph(value):
    return textwrap.fill(json.dumps(value, ensure_ascii=False), WIDTH, subsequent_indent="  ",
                         break_long_words=False, break_on_hyphens=False)


def clipped(value, width=WIDTH - 16):
    text = as_lambda.text(value)
    return text if len(text) <= width else text[:width - 1] + "…"


if __name__ == "__main__":
    try:
        main()
    except Unexpected as error:
        sys.exit(f"\ndemo: not as expected: {error}")
    except (build.BuildError, install.InstallError, FunctionExited, RuntimeError, TimeoutError) as error:
        sys.exit(f"\ndemo: {error}")
    except KeyboardInterrupt:
        print("\ndemo: stopped; everything it started is stopped too", file=sys.stderr)
        sys.exit(130)
