"""The demo, the sandbox and the installer: they work, and whatever happens they leave no process behind."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time

import pytest

from sandbox.runtime_api import Function
from scripts import install
from tests.kit.process_tree import assert_all_gone, descendants, start


def read_until(process, text, seconds=60):
    ends, seen = time.monotonic() + seconds, ""
    while text not in seen:
        line = process.stdout.readline()
        assert line and time.monotonic() < ends, seen
        seen += line
    return seen


@pytest.mark.long_wait
def test_the_demo_shows_what_it_says(binary, digest_binary, tool_binary):
    demo = start("sandbox.demo", HYDRATE_BINARY=binary, DIGEST_BINARY=digest_binary, DLQ_BINARY=tool_binary)
    output, _ = demo.communicate(timeout=110)
    assert demo.returncode == 0, output
    assert "[11/11]" in output and "✗" not in output and "\033" not in output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_demo_stopped_half_way_leaves_nothing_behind(binary, digest_binary, tool_binary, number):
    demo = start("sandbox.demo", HYDRATE_BINARY=binary, DIGEST_BINARY=digest_binary, DLQ_BINARY=tool_binary)
    read_until(demo, "[3/11]")
    started = descendants(demo.pid)
    assert len(started) >= 3
    demo.send_signal(number)
    demo.communicate(timeout=20)
    assert demo.returncode in (130, -9)
    assert_all_gone(started)


@pytest.mark.long_wait
def test_the_sandbox_can_be_worked_with_as_the_guides_say(binary, tool_binary, tmp_path):
    folder = tmp_path / "sandbox"
    sandbox = start("sandbox", folder, HYDRATE_BINARY=binary)
    try:
        guide = read_until(sandbox, "Ctrl-C here")
        sourced = subprocess.run(
            ["bash", "-c", f". {folder}/env.sh && env -0"], capture_output=True, text=True,
            check=True, env={"PATH": os.environ["PATH"], "AWS_PROFILE": "production"}).stdout
        variables = dict(line.split("=", 1) for line in sourced.split("\0") if "=" in line)
        assert "AWS_PROFILE" not in variables
        # The guide exports a batch beside them.
        samples = sorted((folder / "events").glob("*.json"))
        follow_the_guide(tool_binary, folder, {**variables, "DLQ_STACK": "hydrator", "HOME": str(tmp_path)})
        statuses = {}
        with Function(binary, variables) as function:
            for path in samples:
                answer = function.invoke(path.read_bytes())
                assert answer.error is None, (path, answer.error)
                statuses[path.stem] = [line["status"] for line in answer.logs]
        drill = re.search(r"doctor --drill --stream \S+", guide).group().split()
        done = subprocess.run([tool_binary, *drill], env=variables, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        unusual = {name: seen for name, seen in statuses.items() if set(seen) != {"Complete"}}
        assert unusual == {
            "sns-kinesis-gone": ["Gone"], "sns-dynamodb-final-tumbling-window": ["NoRange"],
            "sns-not-a-stream-failure": ["Unrecognized"]}
        assert len(statuses) >= 15
        started = descendants(sandbox.pid)
    finally:
        sandbox.send_signal(signal.SIGINT)
        sandbox.communicate(timeout=20)
    assert_all_gone(started)


def follow_the_guide(tool, folder, variables):
    """Runs every command that docs/INVESTIGATE.md shows, as it stands there."""
    page = (install.ROOT / "docs" / "INVESTIGATE.md").read_text()
    steps = re.findall(r"corrected function is deployed|^\$ dlq (.+)\n(.*)$", page, re.MULTILINE)
    assert len(steps) > 12
    for words, shown in steps:
        if not words:
            (folder / "corrected").touch()
            continue
        done = subprocess.run([tool, "--output", "text", *shlex.split(words)], env=variables, cwd=folder,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        assert done.returncode in (0, 3), (words, done.stdout, done.stderr)
        # Ids differ after the characters that the guide types.
        assert done.stdout[:4] == shown[:4], (words, done.stdout)
    assert done.stdout == "No failed batch is on the queue.\n"


def test_the_installer_has_nothing_to_do_twice():
    done = subprocess.run([sys.executable, install.SCRIPTS / "install.py"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    unknown = subprocess.run(
        [sys.executable, install.SCRIPTS / "install.py", "nonesuch"], capture_output=True, text=True)
    assert unknown.returncode == 1 and "nonesuch" in unknown.stderr


def test_no_pinned_file_names_a_registry():
    pins = [*install.REQUIREMENTS.glob("*.txt"), install.SCRIPTS / "kinesis" / "package-lock.json"]
    for path in pins:
        assert "://" not in path.read_text(), path
    lock = json.loads(pins[-1].read_text())
    assert lock["packages"]["node_modules/kinesis-local"]["integrity"].startswith("sha512-")
