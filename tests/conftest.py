"""The compiled function on the emulators, one queue and bucket for each test."""

import contextlib
import uuid
from pathlib import Path

import certifi
import pytest

from sandbox import as_lambda, emulators, sources
from sandbox.mailbox import Mailbox
from sandbox.runtime_api import Function
from scripts import build
from tests.kit import fakes as fake_aws
from tests.kit.contract import assert_hydrated


KINESIS_URL = pytest.StashKey[str]()


def pytest_collection_modifyitems(items):
    """Puts the longest waits first, so that the others run meanwhile."""
    items.sort(key=lambda item: item.get_closest_marker("long_wait") is None)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    """Starts one Kinesis emulator for all the workers, each of which would have to warm up its own.

    They meet only there, and each stream has a name of its own. moto keeps more than streams: every worker has one.
    """
    if KINESIS_URL not in node.config.stash:
        running = contextlib.ExitStack()
        node.config.stash[KINESIS_URL] = running.enter_context(emulators.kinesis())
        node.config.add_cleanup(running.close)
    node.workerinput["kinesis_url"] = node.config.stash[KINESIS_URL]


@pytest.fixture(scope="session")
def aws(request, one_certificate):
    kinesis_url = getattr(request.config, "workerinput", {}).get("kinesis_url")
    with emulators.running(kinesis_url, one_certificate) as running:
        yield running


@pytest.fixture(scope="session")
def one_certificate(tmp_path_factory):
    """The variables under which a program reads one trusted certificate, where the system has a hundred and more.

    Every start of a program under test reads them, though no emulator speaks TLS: a sixth of the time of a command.
    """
    folder = tmp_path_factory.mktemp("certificates")
    end = "-----END CERTIFICATE-----\n"
    (folder / "one.pem").write_text(Path(certifi.where()).read_text().partition(end)[0] + end)
    (folder / "none").mkdir()
    return {"SSL_CERT_FILE": str(folder / "one.pem"), "SSL_CERT_DIR": str(folder / "none")}


@pytest.fixture(scope="session")
def binary():
    return build.binary("hydrate")


@pytest.fixture(scope="session")
def digest_binary():
    return build.binary("digest")


@pytest.fixture(scope="session")
def tool_binary():
    return build.binary("dlq")


@pytest.fixture
def fakes(aws):
    with fake_aws.Fakes(aws) as running:
        yield running


@pytest.fixture
def stream(aws):
    """Makes a Kinesis stream and puts pairs of key and data on it; returns the stream and its records."""
    def make(items, **options):
        made = sources.KinesisStream(aws, f"stream-{uuid.uuid4().hex[:12]}", **options)
        return made, made.put(items)
    return make


@pytest.fixture
def table(aws):
    def make(**options):
        return sources.Table(aws, f"table-{uuid.uuid4().hex[:12]}", **options)
    return make


class Deployment:
    """The function with its own mailbox."""

    def __init__(self, function, mailbox):
        self.function, self.mailbox = function, mailbox

    def invoke(self, event, **options):
        return self.function.invoke(event, **options)

    def hydrate(self, record, **options):
        """Sends one invocation record through the topic; returns the answer and the messages."""
        answer = self.invoke(as_lambda.sns_event(record), **options)
        assert answer.error is None, answer.error
        messages = self.mailbox.receive()
        assert [batch["messageId"] for batch in answer.payload["batches"]] == [
            message.message_id for message in messages]
        return answer, messages

    def hydrated(self, record, delivered, status="Complete", **expected):
        """Like `hydrate`, for a record that must give one message as the contract defines it."""
        _, (message,) = self.hydrate(record)
        assert_hydrated(message, record, delivered, status, **expected)
        return message

    def failing(self, record, error_type, **options):
        """Like `hydrate`, for an invocation that must fail and deliver nothing."""
        answer = self.invoke(as_lambda.sns_event(record), **options)
        assert answer.payload is None, answer.payload
        assert answer.error["errorType"] == error_type, answer.error
        assert self.mailbox.receive() == []
        return answer


@pytest.fixture
def deploy(aws, binary):
    """Starts the function; `variables` are its environment beside the mailbox's."""
    with contextlib.ExitStack() as stack:
        def make(fakes=None, mailbox=None, timeout=30, **variables):
            mailbox = mailbox or Mailbox(aws)
            environment = {**aws.environment(), **mailbox.environment(), **variables}
            if fakes:
                environment.update(fakes.environment())
            function = Function(binary, environment, timeout=timeout)
            stack.enter_context(function)
            return Deployment(function, mailbox)
        yield make


@pytest.fixture
def hydrator(deploy):
    """The function with no configuration but the mailbox."""
    return deploy()


@pytest.fixture
def faked(deploy, fakes):
    """The function, connected to the fakes."""
    return deploy(fakes=fakes)
