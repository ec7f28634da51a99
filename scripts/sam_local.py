"""Runs `sam local invoke HydrateFunction` against the sandbox's emulators.

    make sam-local                                    two batches whose records exist
    make sam-local EVENTS=events/direct-pipe.json     event files of your choice
    make sam-local KEEP=1                             leaves the emulators running for your own commands

Builds with `sam build`, starts and fills the emulators, writes what `sam local
invoke` needs beside the built template under .aws-sam/build, and shows the
command it runs, the answer, and what arrived on the queue. Needs Docker: SAM
runs the function in a container of Lambda's own image.
"""


import argparse
import contextlib
import ipaddress
import json
import os
import platform
import shlex
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import yaml

from sandbox import as_lambda, emulators, failed_batch_bucket, processes, seed
from sandbox.mailbox import Mailbox
from scripts import install

BUILD = install.ROOT / ".aws-sam" / "build"
TEMPLATE, VARIABLES = BUILD / "sandbox.yaml", BUILD / "sandbox-variables.json"
FUNCTION = "HydrateFunction"
ARCHITECTURE = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
IMAGE = f"public.ecr.aws/lambda/provided:al2023-{ARCHITECTURE}"
NO_DOCKER = """\
sam local invoke runs the function in a container, and Docker does not answer here:

    {reason}

- Docker Desktop, or another engine: start it.
- Debian or Ubuntu: apt-get install docker.io, then systemctl start docker, or `dockerd &` as root.
- Installed, but you may not use it: add yourself to the group docker, or run this with sudo.

Without Docker, `make demo` runs the same binary against the same emulators, and `make sandbox` with
`cargo lambda watch` lets you invoke it with files of your own."""


class Problem(Exception):
    """A reason why it cannot run. Its text is printed as it is."""


def main():
    processes.exit_on_sigterm()
    arguments = parser().parse_args()
    try:
        run(arguments)
    except Problem as problem:
        sys.exit(str(problem))


def parser():
    parser = argparse.ArgumentParser(
        prog="make sam-local", description="Runs sam local invoke against the sandbox's emulators.")
    parser.add_argument("events", nargs="*", type=Path, metavar="EVENT",
                        help="event files; without any, two failed batches of the filled emulators")
    parser.add_argument("--keep", action="store_true", help="leave the emulators running until Ctrl-C")
    return parser


def run(arguments):
    host = docker_host()
    install.ensure("sam", "lambda")
    build()
    with contextlib.ExitStack() as stack:
        aws = stack.enter_context(emulators.running())
        batches = seed.seed(aws)
        failed_batch_bucket.put_samples(aws)
        mailbox = Mailbox(aws, "hydrated-batches")
        urls = {name: stack.enter_context(reachable(url, host)) for name, url in (
            ("AWS_ENDPOINT_URL", aws.aws_url), ("AWS_ENDPOINT_URL_KINESIS", aws.kinesis_url))}
        write_template(urls)
        VARIABLES.write_text(json.dumps({FUNCTION: {**settings(mailbox), **urls}}, indent=2))
        events = arguments.events or sample_events(batches)
        for event in events:
            invoke(aws, event)
            for message in mailbox.receive():
                print(f"  on the queue: {message.hydration['status']}, {len(message.records)} records, "
                      f"{len(message.text.encode()):,} bytes{' in S3' if message.overflow else ''}\n")
        if arguments.keep:
            keep(aws)


def docker_host():
    """The address of this machine for a container; raises `Problem` where Docker does not run."""
    if not shutil.which("docker"):
        raise Problem(NO_DOCKER.format(reason="there is no `docker` command"))
    info = subprocess.run(["docker", "version", "--format", "{{.Server.Os}}"], capture_output=True, text=True)
    if info.returncode:
        raise Problem(NO_DOCKER.format(reason=info.stderr.strip().splitlines()[-1]))
    if sys.platform != "linux":
        return "host.docker.internal"
    found = subprocess.run(["docker", "network", "inspect", "bridge", "--format", "{{json .IPAM.Config}}"],
                           capture_output=True, text=True, check=True)
    bridge = json.loads(found.stdout)[0]
    # Without a gateway of its own it is the network's first address.
    return bridge.get("Gateway") or str(ipaddress.ip_network(bridge["Subnet"])[1])


def build():
    """Runs `sam build` for this machine's processor; another one would need emulation."""
    print(f"sam build ({ARCHITECTURE})", flush=True)
    sam("build", "--parameter-overrides", f"Architecture={ARCHITECTURE}", quiet=True)


def write_template(variables):
    """The built template, with the endpoints declared: SAM passes only variables that a template names."""
    template = yaml.safe_load((BUILD / "template.yaml").read_text())
    properties = template["Resources"][FUNCTION]["Properties"]
    properties["Environment"]["Variables"].update(variables)
    properties["Architectures"] = [ARCHITECTURE]
    TEMPLATE.write_text(yaml.safe_dump(template, sort_keys=False))


def settings(mailbox):
    """The template's variables with values: SAM would fill in the names of the resources, which are no URLs."""
    # Nothing polls a retry queue here, so the rest of a long range would wait in vain: every try reads the whole range.
    return {**mailbox.environment(), "RETRY_QUEUE_URL": "", "MAX_MESSAGE_BYTES": "1048576", "DECODED_VIEW": "true",
            "ARCHIVE": "false"}


def sample_events(batches):
    for name in ("orders", "stock"):
        path = BUILD / f"sandbox-{name}.json"
        path.write_text(json.dumps(as_lambda.sns_event(batches[name].message), indent=2))
        yield path


def invoke(aws, event):
    options = ["--template", relative(TEMPLATE), "--env-vars", relative(VARIABLES),
               "--event", relative(event.resolve())]
    if subprocess.run(["docker", "image", "inspect", IMAGE], capture_output=True).returncode == 0:
        options.append("--skip-pull-image")
    print(f"\n$ sam local invoke {FUNCTION} {shlex.join(options)}", flush=True)
    answer = sam("local", "invoke", FUNCTION, *options, variables=aws.environment())
    if "errorType" in answer:
        raise Problem("the function answered with an error")


def sam(*words, variables=None, quiet=False):
    """Runs SAM CLI and returns its standard output: for an invocation, the answer."""
    environment = {**os.environ, **(variables or emulators_credentials()), "SAM_CLI_TELEMETRY": "0"}
    # cargo-lambda asks the first python3 for its zig.
    environment["PATH"] = os.pathsep.join(
        [str(install.tool("lambda").parent), str(install.tool("sam").parent), environment["PATH"]])
    command = [str(install.tool("sam", "sam")), *words]
    done = subprocess.run(command, cwd=install.ROOT, env=environment, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE if quiet else None)
    if done.returncode:
        raise Problem(f"sam {' '.join(words[:2])} failed\n{done.stdout}{done.stderr or ''}")
    if not quiet:
        print(done.stdout, flush=True)
    return done.stdout


def emulators_credentials():
    """Any values: without a region and credentials SAM searches for them."""
    return {**emulators.CREDENTIALS, "AWS_DEFAULT_REGION": emulators.REGION, "AWS_EC2_METADATA_DISABLED": "true"}


@contextlib.contextmanager
def reachable(url, host):
    """The URL by which a container reaches an emulator that listens on this machine's loopback alone.

    Docker Desktop forwards to the loopback itself. On Linux this listens on the address of Docker's bridge, which
    containers reach and other machines do not, and forwards connections.
    """
    port = int(url.rsplit(":", 1)[1])
    if sys.platform != "linux":
        yield f"http://{host}:{port}"
        return
    with socket.create_server((host, 0)) as listener:
        threading.Thread(target=forward, args=(listener, port), daemon=True).start()
        yield f"http://{host}:{listener.getsockname()[1]}"


def forward(listener, port):
    while True:
        try:
            incoming, _ = listener.accept()
        except OSError:  # closed: the sandbox is being left
            return
        outgoing = socket.create_connection(("127.0.0.1", port))
        for source, target in ((incoming, outgoing), (outgoing, incoming)):
            threading.Thread(target=pump, args=(source, target), daemon=True).start()


def pump(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def keep(aws):
    print("The emulators run until Ctrl-C. In another terminal:\n")
    for name, value in aws.environment().items():
        print(f"  export {name}={shlex.quote(value)}")
    print(f"  sam local invoke {FUNCTION} --template {relative(TEMPLATE)} --env-vars {relative(VARIABLES)} "
          "--event events/sns-kinesis.json")
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()


def relative(path):
    return os.path.relpath(path, install.ROOT)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
