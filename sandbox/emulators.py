"""Emulators of AWS: kinesis-local for Kinesis, moto for everything else.

    with emulators.running() as aws:
        aws.client("sqs").list_queues()
        start_something(environment=aws.environment())

Inside the block the AWS_* variables of this process name the emulators. No
profile, credential or endpoint of the caller is left, so that no program
started here can reach a real account.
"""

import contextlib
import os
import socket
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from boto3.session import Session
from botocore.config import Config

from sandbox import processes
from scripts import install

ACCOUNT = "123456789012"
REGION = "us-east-1"
PATIENCE_SECONDS = 30
# boto3 tries five times, a minute each: an emulator that hangs would look like a slow one.
NO_RETRIES = Config(connect_timeout=5, read_timeout=60, retries={"total_max_attempts": 1})
# moto keeps tables and streams by account; kinesis-local takes a 12-digit key
# id for the account, so this one must not look like that.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "sandbox", "AWS_SECRET_ACCESS_KEY": "sandbox"}


class Emulators:
    """Addresses of the running emulators, and clients for them."""

    def __init__(self, aws_url, kinesis_url, variables=None):
        self.aws_url = aws_url
        self.kinesis_url = kinesis_url
        self._variables = variables or {}
        self._session = None
        self._clients = {}

    def environment(self, region=REGION):
        """The variables with which any AWS SDK talks to the emulators alone."""
        return {
            **CREDENTIALS,
            "AWS_ENDPOINT_URL": self.aws_url,
            "AWS_ENDPOINT_URL_KINESIS": self.kinesis_url,
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            **self._variables,
        }

    def client(self, service, region=REGION):
        """A plain boto3 client. It has a session of its own: the extended client changes boto3's default session."""
        if not self._session:
            self._session = Session()
        if (service, region) not in self._clients:
            self._clients[service, region] = self._session.client(service, region_name=region, config=NO_RETRIES)
        return self._clients[service, region]


@contextlib.contextmanager
def running(kinesis_url=None, variables=None):
    """Starts the emulators on free ports, and stops them on every way out.

    `kinesis_url` is the address of a Kinesis emulator that runs already, `variables` what the environment shall have
    beside that of AWS.
    """
    with contextlib.ExitStack() as stack:
        started = [stack.enter_context(_started("moto", _moto, "/moto-api/data.json"))]
        if not kinesis_url:
            started.append(stack.enter_context(_started("kinesis-local", _kinesis, "/healthcheck")))
        for emulator in started:
            emulator.wait()
        aws = Emulators(started[0].url, kinesis_url or started[1].url, variables)
        with _only_these_aws_variables(aws.environment()):
            yield aws


@contextlib.contextmanager
def kinesis():
    """The address of a Kinesis emulator for several `running`."""
    with _started("kinesis-local", _kinesis, "/healthcheck") as emulator:
        emulator.wait()
        yield emulator.url


@contextlib.contextmanager
def _started(*arguments):
    with tempfile.TemporaryFile() as log:
        emulator = _Emulator(*arguments, log)
        emulator.start()
        try:
            yield emulator
        finally:
            emulator.stop()


def _moto(port):
    server = Path(__file__).with_name("moto_server.py")
    return [install.tool("venv"), server, "-H", "127.0.0.1", "-p", port], {}, None


def _kinesis(port):
    variables = {
        "KINESIS_MOCK_PLAIN_PORT": port, "KINESIS_MOCK_TLS_PORT": _free_port(),
        "AWS_ACCOUNT_ID": ACCOUNT, "AWS_REGION": REGION, "SHARD_LIMIT": 5000,
        "LOG_LEVEL": "ERROR",
        **{f"{action}_DURATION": "1ms" for action in (
            "CREATE_STREAM", "DELETE_STREAM", "SPLIT_SHARD", "MERGE_SHARDS",
            "REGISTER_STREAM_CONSUMER")},
    }
    command = install.kinesis_command()
    # It reads its own certificate from the folder it is started in.
    return command, variables, Path(command[1]).parent


class _Emulator:
    def __init__(self, name, command, health, log):
        self._name, self._command, self._health, self._log = name, command, health, log
        self._process = None

    def start(self):
        port = _free_port()
        command, variables, folder = self._command(port)
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        self._process = processes.start(
            command, {**inherited, **{k: str(v) for k, v in variables.items()}},
            self._log, folder=folder)
        self.url = f"http://127.0.0.1:{port}"

    def stop(self):
        processes.stop(self._process)

    def wait(self):
        """Returns when it answers. Tries another port if it ended: something else took the first."""
        ends = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < ends:
            if self._process.poll() is not None:
                time.sleep(0.2)
                self.start()
            if _answers(self.url + self._health):
                return
            time.sleep(0.05)
        self._log.seek(0)
        said = self._log.read().decode(errors="replace")[-2000:]
        raise RuntimeError(f"{self._name} did not start in {PATIENCE_SECONDS} s:\n{said}")


def _answers(url):
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        direct.open(url, timeout=2).close()
        return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def _only_these_aws_variables(variables):
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
