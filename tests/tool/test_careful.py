"""The tool says what it did not see, stops at once, and trusts no message: real processes, signals and pipes."""

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import socket
import stat
import struct
import subprocess
import termios
import time
from datetime import datetime, timedelta, timezone

import pytest

from tests.kit import dlq

EVIL = "\x1b[2J\x9b31m\u202e"


def profile_files(folder, **profiles):
    """Files of the AWS configuration, with keys for each profile."""
    path = folder / "credentials"
    path.write_text("".join(
        f"[{name}]\naws_access_key_id = {key}\naws_secret_access_key = s\n" for name, key in profiles.items()))
    config = folder / "config"
    config.write_text("")
    return {"AWS_SHARED_CREDENTIALS_FILE": str(path), "AWS_CONFIG_FILE": str(config)}


class Listener:
    """A server that takes connections; it answers none, or keeps what each asked and then closes."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self.socket.getsockname()[1]

    def request(self):
        connection, _ = self.socket.accept()
        with connection:
            return connection.recv(65536).decode()


@pytest.fixture
def silent():
    listener = Listener()
    with listener.socket:
        yield listener


# Identity and filters.

def test_a_profile_that_was_typed_stands_above_the_environment(tool, tmp_path, silent):
    files = profile_files(tmp_path, prod="AKIDPROD")
    for flags, key in ((["--profile", "prod"], "AKIDPROD"), ([], "AKIDENVIRONMENT")):
        running = tool.start("list", *flags, **files, AWS_ENDPOINT_URL_SQS=silent.url,
                             AWS_ACCESS_KEY_ID="AKIDENVIRONMENT", AWS_SECRET_ACCESS_KEY="s")
        assert f"Credential={key}/" in silent.request()
        running.kill()
        running.wait()


def test_a_profile_that_does_not_exist_is_an_error_that_says_where_it_looked(tool, tmp_path):
    files = profile_files(tmp_path, prod="AKIDPROD")
    error = tool("list", "--profile", "prdo", code=1, **files).err
    assert "the profile prdo does not exist" in error and "have prod" in error
    assert all(path in error for path in files.values())


def test_a_shard_and_a_function_are_matched_exactly(tool, queue):
    queue.send(*[dlq.kinesis(at=10 * n, shard=n) for n in (1, 11, 21)])
    line, = tool("list", "--shard", 1).messages
    assert line["shardId"] == "shardId-000000000001"
    assert tool("list", "--shard", "orders/11").summary == {
        "shown": 1, "filtered": 2, "inFlight": 0, "delayed": 0, "foreign": 0, "notLookedAt": 0}
    other = "arn:aws:lambda:us-east-1:999999999999:function:order-projector"
    assert tool("list", "--function", other).messages == tool("list", "--function", "order").messages == []
    tool("discard", "--all", "--shard", 1, "--execute")
    assert queue.counts() == (2, 0)


def test_until_dates_and_limit_choose_the_oldest(tool, queue):
    old, middle, new = queue.send(*[dlq.kinesis(at=10 * n, age=timedelta(hours=age))
                                    for n, age in enumerate((72, 24, 1))])

    def ids(*flags):
        return [line["id"] for line in tool("list", *flags).messages]
    assert ids("--until", "2h") == [old.id, middle.id]
    assert ids("--since", "2d", "--until", "2h") == [middle.id]
    assert ids("--limit", 1) == [old.id]
    tomorrow = (datetime.now(timezone.utc) + timedelta(days=1)).date()
    assert ids("--until", tomorrow) == [old.id, middle.id, new.id]
    assert ids("--since", tomorrow) == []
    assert "check --since and --until" in tool("list", "--since", "1h", "--until", "2h", code=2).err
    header = tool("discard", "--all", "--limit", 2, "--execute").lines[0]["header"]
    ledger = {"ledger": header["ledger"], "ledgerIsShared": False}
    assert header == {"account": "123456789012", "region": "us-east-1", "queue": queue.name, **ledger}
    assert ids() == [new.id]


def test_doctor_says_that_there_is_no_such_function(tool, function):
    def other(path, body):
        if "event-source-mappings" in path:
            return 200, {"EventSourceMappings": []}
        return 404, {"__type": "ResourceNotFoundException", "Message": "Function not found"}
    function.other = other
    assert "there is no function nosuch here" in tool("doctor", "--function", "nosuch", code=1).err


# What was not seen.

def test_a_queue_is_called_empty_only_where_that_was_seen(tool, queue):
    empty = "No failed batch is on the queue."
    assert empty in tool("list", "-o", "text").out and empty in tool("status", "-o", "text").out
    queue.send(dlq.kinesis())
    held, = queue.sqs.receive_message(QueueUrl=queue.url, VisibilityTimeout=30)["Messages"]
    for command in ("list", "status"):
        result = tool(command, "-o", "text", code=3)
        assert empty not in result.out and "1 message in flight" in result.out
    assert tool("list", code=3).summary["inFlight"] == 1
    assert "1 message in flight" in tool("show", "ab" * 32, code=3).err
    queue.sqs.change_message_visibility(
        QueueUrl=queue.url, ReceiptHandle=held["ReceiptHandle"], VisibilityTimeout=0)
    filtered = tool("status", "--shard", 5, "-o", "text").out
    assert empty not in filtered and "1 message filtered out" in filtered
    queue.sqs.send_message(QueueUrl=queue.url, MessageBody="{}", DelaySeconds=60)
    assert tool("list", code=3).summary["delayed"] == 1


def test_what_a_redrive_policy_takes_away_is_counted(tool, aws, queue):
    dead = dlq.Queue(aws)
    policy = ('{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:123456789012:%s","maxReceiveCount":"2"}' % dead.name)
    queue.sqs.set_queue_attributes(QueueUrl=queue.url, Attributes={"RedrivePolicy": policy})
    queue.send(dlq.kinesis(), dlq.kinesis(at=10))
    assert "can be received one more time" in tool("list").err
    assert "moves it away" in tool("list").err
    moved = tool("list", code=3)
    assert moved.messages == [] and moved.summary["notLookedAt"] == 2
    assert "can be received" not in moved.err


def test_foreign_messages_have_a_line_and_go_by_their_message_id(tool, queue, tmp_path):
    batch, _ = queue.send(dlq.kinesis(), f"hello {EVIL}")
    foreign, = [line for line in tool("list", code=3).messages if "notHydrated" in line]
    message_id = foreign["messageId"]
    assert message_id in tool("list", "-o", "text", code=3).out
    assert "hello" in tool("show", message_id, "-o", "text").out
    tool("discard", message_id, "--execute", "--backup", tmp_path / "backup")
    assert (tmp_path / "backup" / f"{message_id}.message.json").read_text() == f"hello {EVIL}"
    assert [line["id"] for line in tool("list").messages] == [batch.id]


def on_a_terminal(tool, columns, *arguments):
    """The output of the tool on a terminal of this width, without colours."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {name: value for name, value in tool.environment.items() if name != "COLUMNS"}
    running = subprocess.Popen([tool.path, *map(str, arguments)], env={**environment, "NO_COLOR": "1"},
                               stdin=subprocess.DEVNULL, stdout=slave, stderr=subprocess.DEVNULL)
    os.close(slave)
    output = b""
    with contextlib.suppress(OSError):
        while part := os.read(master, 65536):
            output += part
    running.wait()
    os.close(master)
    return output.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("columns", [60, 80, 120, 200])
def test_on_a_terminal_words_and_ids_stay_whole(tool, queue, columns):
    batch, _ = queue.send(dlq.kinesis(), "hello")
    foreign, = [line for line in tool("list", code=3).messages if "notHydrated" in line]
    for command in ("list", "status"):
        text = on_a_terminal(tool, columns, command)
        words = [batch.id[:12], "order-projector", "Complete"]
        words += ["RetryAttemptsExhausted"] if command == "status" else ["orders/0", foreign["messageId"]]
        assert all(re.search(rf"(^|\s){re.escape(word)}(\s|$)", text, re.M) for word in words), text
        table = [line for line in text.splitlines() if "dlq " not in line]
        assert max(map(len, table)) <= columns, text


def test_a_raw_body_is_escaped_on_a_terminal_only(tool, queue):
    batch = dlq.kinesis([b"x"])
    batch.view = ["view \u202e"]
    queue.send(batch)
    assert "\u202e" in tool("show", batch.id, "--raw").out
    text = on_a_terminal(tool, 80, "show", batch.id, "--raw")
    assert "\u202e" not in text and "\\u202e" in text
    assert json.loads(text.replace("\n", "")) == json.loads(tool("show", batch.id, "--raw").out)


# Stopping.

@pytest.mark.parametrize("stop,code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("command", [["list"], ["status"], ["doctor"], ["list", "--stack", "hydrator"],
                                     ["hydrate", "--from-queue", "old"]])
def test_a_signal_ends_a_look_up_that_hangs_within_two_seconds(tool, silent, command, stop, code):
    running = tool.start(*command, AWS_ENDPOINT_URL=silent.url, AWS_ENDPOINT_URL_SQS=silent.url,
                         AWS_ENDPOINT_URL_CLOUDFORMATION=silent.url)
    silent.socket.accept()
    running.send_signal(stop)
    started = time.monotonic()
    assert running.wait(timeout=10) == code
    assert time.monotonic() - started < 2


def test_a_signal_ends_a_search_in_the_log_and_a_fetch_within_two_seconds(tool, queue, silent):
    batch, large = queue.send(dlq.kinesis(), dlq.kinesis(at=10, overflow=True))
    for words, variable in ((["show", batch.id, "--logs"], "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS"),
                            (["show", large.id], "AWS_ENDPOINT_URL_S3")):
        running = tool.start(*words, **{variable: silent.url})
        silent.socket.accept()
        running.send_signal(signal.SIGINT)
        started = time.monotonic()
        assert running.wait(timeout=10) == 130
        assert time.monotonic() - started < 2
        assert queue.counts() == (2, 0)


def test_a_line_comes_within_two_seconds_of_silence(tool, silent):
    running = tool.start("list", AWS_ENDPOINT_URL_SQS=silent.url)
    started = time.monotonic()
    line = running.stderr.readline()
    assert time.monotonic() - started < 2.5 and line.startswith("dlq: ")
    running.kill()
    running.wait()


def test_an_interrupted_discard_leaves_what_it_has_not_printed(tool, queue):
    queue.send(*[dlq.kinesis(at=10 * n) for n in range(600)])
    running = tool.start("discard", "--all", "--execute")
    lines = [running.stdout.readline() for _ in range(52)]
    running.send_signal(signal.SIGINT)
    # `communicate` would miss the lines that Python has read ahead.
    rest, error = running.stdout.read(), running.stderr.read()
    running.wait(timeout=20)
    deleted = len(lines) - 1 + len(rest.splitlines())
    assert running.returncode == 130
    assert f"{deleted} messages deleted" in error
    assert queue.counts() == (600 - deleted, 0) and deleted < 600
    # Each is recorded before it is deleted, and the one at which it was stopped may be recorded already.
    assert len(tool.discards()) in (deleted, deleted + 1)


def test_a_closed_pipe_stops_a_discard(tool, queue):
    queue.send(*[dlq.kinesis(at=10 * n) for n in range(300)])
    running = tool.start("discard", "--all", "--execute")
    for _ in range(11):
        running.stdout.readline()
    running.stdout.close()
    assert running.wait(timeout=20) == 141
    left = queue.counts()[0]
    assert 0 < left < 300 and queue.counts()[1] == 0


def test_a_full_disk_stops_a_discard_before_the_deletion(tool, queue, tmp_path):
    queue.send(*[dlq.kinesis([b"x" * 3000], at=10 * n) for n in range(3)])
    arguments = [tool.path, "discard", "--all", "--execute", "--backup", str(tmp_path / "backup")]
    # The shell's limit on a file's size stands for the full disk.
    done = subprocess.run(["sh", "-c", "trap '' XFSZ; ulimit -f 4; exec \"$@\"", "sh", *arguments],
                          env=tool.environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done
    assert queue.counts() == (3, 0) and "0 messages deleted" in done.stderr
    assert list((tmp_path / "backup").iterdir()) == []


# Hostile input.

def test_export_writes_nothing_outside_its_folder(tool, queue, tmp_path):
    batch = dlq.kinesis()
    for name in ("../../escaped", str(tmp_path / "absolute"), "..", "A" * 64):
        queue.send(batch.body.replace(batch.id, name))
    folder = tmp_path / "a" / "b"
    for export in ("event", "ndjson", "message"):
        tool("export", "--all", "--to", folder, "--format", export, code=3)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_export_follows_no_link(tool, queue, tmp_path):
    batch, = queue.send(dlq.kinesis())
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / f"{batch.id}.json").symlink_to(tmp_path / "target")
    tool("export", "--all", "--to", folder, code=1)
    tool("export", "--all", "--to", folder, "--force")
    assert not (tmp_path / "target").exists()
    path = folder / f"{batch.id}.json"
    assert path.read_text() == batch.event and stat.S_IMODE(os.lstat(path).st_mode) == 0o600


def test_no_control_character_of_a_message_reaches_a_terminal(tool, queue, function, tmp_path):
    escaped = "\\u001b[2J\\u009b31m\\u202e"
    batch = dlq.kinesis([b"plain", EVIL.encode()], request_id="r-1")
    body = batch.body
    for text in ("order-projector", "RetryAttemptsExhausted", "Unhandled"):
        body = body.replace(text, text + escaped)
    queue.send(body, f"foreign {EVIL}")
    function.log_events = [{"timestamp": int((time.time() - 3600) * 1000), "message": f"r-1 {EVIL}",
                            "logStreamName": "one", "eventId": "e"}]
    for words, code in ((["list"], 3), (["status"], 3), (["show", batch.id], 0), (["show", batch.id, "--logs"], 0),
                        (["status", "--logs"], 3), (["show", "--grep", "plain|text"], 3),
                        (["discard", "--all"], 3), (["export", "--all", "--to", tmp_path / "out"], 3)):
        for output in ("text", "json"):
            result = tool(*words, "-o", output, "--color", "always", code=code)
            text = re.sub(r"\x1b\[[\d;]*m", "", result.out + result.err)
            assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", text), (words, text)


# Long queues.

@pytest.mark.long_wait
def test_large_messages_are_exported_and_searched_in_little_memory(tool, queue, tmp_path):
    for n in range(300):
        queue.send(dlq.kinesis([os.urandom(500_000)], at=10 * n))
    script = ("import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); "
              "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
    for words in (["export", "--all", "--to", str(tmp_path / "out")], ["list", "--grep", "nowhere"]):
        done = subprocess.run(["python3", "-c", script, str(tool.path), *words],
                              env=tool.environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert int(done.stdout) < 150_000, f"{words[0]}: {done.stdout} kB"
    assert len(list((tmp_path / "out").iterdir())) == 300
