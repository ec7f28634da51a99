"""The page of `dlq report` in a browser: read at two widths, in two themes, without JavaScript, and printed."""

import json
import os
import resource
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from scripts import browser, install
from tests.kit import dlq, outage

EVIL = "</script></style><script>alert(1)</script><svg onload=alert(2)><img src=http://localhost:9/x onerror=alert(3)>\u202e"


def in_chromium(chromium, page, folder):
    """What the browser found: see scripts/browser.py."""
    install.ensure("browser")
    done = subprocess.run(
        [install.tool("browser"), install.ROOT / "scripts" / "browser.py", chromium, page, folder],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def hostile():
    """A batch whose texts would do something if the page let them."""
    arn = f"arn:aws:lambda:us-east-1:123456789012:function:mailer{EVIL}"
    data = [EVIL.encode(), json.dumps({"k" * 300_000: EVIL}).encode(), json.dumps({"a": EVIL}).encode()]
    return dlq.kinesis(data, at=5000, shard=7, request_id=f"r-{EVIL}", changes={
        "requestContext.functionArn": arn, "requestContext.condition": EVIL})


@pytest.mark.long_wait
def test_the_page_is_read_by_everyone_and_printed_with_its_mark(tool, queue, function, tmp_path):
    chromium = browser.chromium()
    if not chromium:
        pytest.skip("THE REPORT WAS NOT LOOKED AT: no Chromium is on PATH. apt-get install chromium-headless-shell")
    outage.fill(queue, tool, function)
    queue.send(hostile())
    page = tmp_path / "incident.html"
    done = tool("report", "--to", page, "--with-records", code=3)
    assert done.lines[0] == {"path": str(page), "bytes": page.stat().st_size, "withRecords": True}
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    found = in_chromium(chromium, page, tmp_path)
    assert (found["errors"], found["requests"], found["violations"]) == ([], [], [])
    # No page is wider than the window.
    assert set(found["overflow"].values()) == {0} and len(found["overflow"]) == 4
    assert found["isSameWithoutJavaScript"]
    pages = found["printed"]
    assert len(pages) > 3
    assert [number for number, text in enumerate(pages) if "This page holds record data." not in text] == []
    assert "order-projector" in pages[0] and "ValueError" in pages[-1]
    # Each picture has its own colours and its own width.
    pictures = [Path(path).read_bytes() for path in found["pictures"].values()]
    assert len(set(pictures)) == 4 and all(len(picture) > 20_000 for picture in pictures)


def test_a_disk_that_is_full_leaves_no_half_of_a_page(tool, queue, tmp_path):
    def small_files():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (6_000, 6_000))

    queue.send(dlq.kinesis())
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "incident.html").write_text("mine")
    done = subprocess.run([tool.path, "report", "--force", "--to", folder / "incident.html"], env=tool.environment,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, preexec_fn=small_files)
    assert done.returncode == 1 and "File too large" in done.stderr, done.stderr
    assert os.listdir(folder) == ["incident.html"] and (folder / "incident.html").read_text() == "mine"
    assert queue.counts() == (1, 0)
