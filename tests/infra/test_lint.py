"""sam validate --lint, cfn-lint with the serverless rules and checkov find nothing.

A finding that is hidden has its reason beside it, and is hidden no longer than it exists.
"""

import json
import os
import re
import subprocess

import pytest
import yaml

from sandbox import processes
from scripts import install
from tests.infra.templates import ROOT, TEMPLATES, load

ENVIRONMENT = {
    **os.environ, "SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "eu-west-1", "LOG_LEVEL": "ERROR",
    # checkov asks a server for texts when it thinks it may
    "BC_SKIP_MAPPING": "TRUE",
}


@pytest.fixture(scope="module")
def tools():
    install.ensure("sam", "checkov")
    return install.tool


def run(*command):
    command = [str(word) for word in command]
    return subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=120,
                          preexec_fn=processes.end_with_parent)


def cfn_lint(tools, *files):
    done = run(tools("sam", "cfn-lint"), "--append-rules", "cfn_lint_serverless.rules", "--include-checks", "I",
               "--format", "json", "--template", *files)
    return {(finding["Rule"]["Id"], finding["Filename"]) for finding in json.loads(done.stdout or "[]")}


def checkov(tools, *files):
    files = [word for file in files for word in ("--file", file)]
    done = run(tools("checkov", "checkov"), *files, "--framework", "cloudformation", "--skip-download",
               "--output", "json")
    assert done.stdout.startswith(("{", "[")), done.stderr
    report = json.loads(done.stdout)
    # A template with nothing to check makes an empty report.
    return report.get("results", {"failed_checks": [], "passed_checks": [], "skipped_checks": []})


@pytest.mark.parametrize("path", TEMPLATES)
def test_sam_validates(tools, path):
    done = run(tools("sam", "sam"), "validate", "--lint", "--template", path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_cfn_lint_finds_nothing(tools):
    assert cfn_lint(tools, *TEMPLATES) == set()


@pytest.mark.long_wait
def test_checkov_finds_nothing(tools):
    results = checkov(tools, *TEMPLATES)
    assert [f"{check['check_id']} {check['resource']}" for check in results["failed_checks"]] == []
    assert results["passed_checks"], "checkov looked at nothing"


@pytest.mark.long_wait
def test_every_hidden_finding_is_a_real_one(tools, tmp_path):
    """The hidden findings are exactly those that the tools report when nothing is hidden."""
    hidden = set()
    for path in TEMPLATES:
        template = load(path)
        for owner in (template, *template["Resources"].values()):
            metadata = owner.get("Metadata", {})
            for rule in metadata.pop("cfn-lint", {"config": {"ignore_checks": []}})["config"]["ignore_checks"]:
                hidden.add((rule, path))
            for skip in metadata.pop("checkov", {"skip": []})["skip"]:
                hidden.add((skip["id"], path))
        bare = tmp_path / path
        bare.parent.mkdir(exist_ok=True)
        bare.write_text(yaml.safe_dump(template, sort_keys=False))
    bare = [tmp_path / path for path in TEMPLATES]
    found = {(rule, os.path.relpath(file, tmp_path)) for rule, file in cfn_lint(tools, *bare)}
    for check in checkov(tools, *bare)["failed_checks"]:
        found.add((check["check_id"], os.path.relpath(check["file_abs_path"], tmp_path)))
    assert found == hidden


@pytest.mark.parametrize("path", TEMPLATES)
def test_every_hidden_finding_has_its_reason_beside_it(path):
    text = (ROOT / path).read_text()
    for match in re.finditer(r"ignore_checks: \[(.*)\]", text):
        above = text[:match.start()].splitlines()[-5:]
        for rule in match.group(1).split(", "):
            assert any(line.strip().startswith(f"# {rule}: ") for line in above), f"{rule} in {path}"
    for match in re.finditer(r"- id: (CKV\w+)\n(.*)", text):
        assert re.match(r" +comment: .{10,}", match.group(2)), f"{match.group(1)} in {path}"
