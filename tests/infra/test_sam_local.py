"""make sam-local: what it says where there is no Docker, and the template it makes for SAM."""

import subprocess
import sys

import pytest
import yaml

from scripts import sam_local
from tests.infra.templates import ROOT, core


def test_it_says_what_to_do_without_docker(tmp_path):
    done = subprocess.run([sys.executable, "-m", "scripts.sam_local"], cwd=ROOT, env={"PATH": str(tmp_path)},
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "there is no `docker` command" in done.stderr and "apt-get install docker.io" in done.stderr
    assert "Traceback" not in done.stderr


def test_it_declares_the_endpoints_that_the_deployed_template_does_not(tmp_path, monkeypatch):
    """SAM passes a container only those variables that the template names."""
    built = {"Resources": {"HydrateFunction": {"Properties": {
        "Architectures": [{"Ref": "Architecture"}], "Environment": {"Variables": {"QUEUE_URL": "x"}}}}}}
    (tmp_path / "template.yaml").write_text(yaml.safe_dump(built))
    monkeypatch.setattr(sam_local, "BUILD", tmp_path)
    monkeypatch.setattr(sam_local, "TEMPLATE", tmp_path / "sandbox.yaml")
    sam_local.write_template({"AWS_ENDPOINT_URL": "http://172.17.0.1:4566"})
    properties = yaml.safe_load((tmp_path / "sandbox.yaml").read_text())["Resources"]["HydrateFunction"]["Properties"]
    assert properties["Environment"]["Variables"] == {"QUEUE_URL": "x", "AWS_ENDPOINT_URL": "http://172.17.0.1:4566"}
    assert properties["Architectures"] in (["arm64"], ["x86_64"])
    assert "AWS_ENDPOINT_URL" not in (ROOT / "template.yaml").read_text()


def test_it_sets_every_variable_of_the_template():
    """What it leaves out SAM takes from the template, with a resource's name in the place of its URL."""
    class Mailbox:
        def environment(self):
            return {"QUEUE_URL": "http://127.0.0.1/q", "OVERFLOW_BUCKET": "overflow"}

    variables = core().properties("HydrateFunction")["Environment"]["Variables"]
    assert sam_local.settings(Mailbox()).keys() == variables.keys()


def test_a_container_reaches_an_emulator_on_the_loopback():
    """Through the forwarder that listens where Docker's bridge would be."""
    if sys.platform != "linux":
        pytest.skip("Docker Desktop forwards to the loopback itself")
    import http.server
    import threading
    import urllib.request

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"here")

        def log_message(self, *words):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with sam_local.reachable(f"http://127.0.0.1:{server.server_port}", "127.0.0.2") as url:
            assert url.startswith("http://127.0.0.2:")
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            assert opener.open(url, timeout=5).read() == b"here"
        server.shutdown()
