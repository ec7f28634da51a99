"""sam validate --lint, cfn-lint with the serverless rules and checkov find nothing.

A finding that is hidden has its reason beside it, and is hidden no longer than it exists.
"""

import json
import os
import re
import subprocess
from pathlib import Path

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


# `sam validate --lint` of several templates in one process: most of its time is its start.
VALIDATE = """
import sys
from samcli.cli.main import cli
for path in sys.argv[1:]:
    cli(["validate", "--lint", "--template", path], standalone_mode=False)
"""


@pytest.fixture(scope="module")
def tools():
    install.ensure("sam", "checkov")
    return install.tool


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A copy of each template, in which nothing is hidden, and the hidden findings: (folder, {(rule, path)})."""
    folder, hidden = tmp_path_factory.mktemp("bare"), set()
    for path in TEMPLATES:
        template = load(path)
        for owner in (template, *template["Resources"].values()):
            metadata = owner.get("Metadata", {})
            for rule in metadata.pop("cfn-lint", {"config": {"ignore_checks": []}})["config"]["ignore_checks"]:
                hidden.add((rule, path))
            for skip in metadata.pop("checkov", {"skip": []})["skip"]:
                hidden.add((skip["id"], path))
        copy = folder / path
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(yaml.safe_dump(template, sort_keys=False))
    return folder, hidden


def run(*command):
    return subprocess.run(processes.ending_with_parent(command), cwd=ROOT, env=ENVIRONMENT, capture_output=True,
                          text=True, timeout=120)


def cfn_lint(tools, *files):
    done = run(tools("sam", "cfn-lint"), "--append-rules", "cfn_lint_serverless.rules", "--include-checks", "I",
               "--format", "json", "--template", *files)
    return {(finding["Rule"]["Id"], finding["Filename"]) for finding in json.loads(done.stdout or "[]")}


def checkov(tools, *files):
    files = [word for file in files for word in ("--file", file)]
    done = run(tools("checkov", "checkov"), *files, "--framework", "cloudformation", "--skip-download",
               "--output", "json")
    assert done.stdout.startswith(("{", "[")), done.stderr
    results = json.loads(done.stdout)["results"]
    failed = {(check["check_id"], check["file_abs_path"]) for check in results["failed_checks"]}
    return failed, {check["file_abs_path"] for check in results["passed_checks"]}


@pytest.mark.long_wait
def test_sam_validates(tools):
    done = run(tools("sam", "python"), "-c", VALIDATE, *TEMPLATES)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("is a valid SAM Template") == len(TEMPLATES), done.stdout


@pytest.mark.long_wait
def test_the_only_findings_are_those_that_are_hidden(tools, bare):
    """Nothing is found in the templates; in the bare copies exactly what is hidden. One run of each tool for both."""
    folder, hidden = bare
    written, copies = [ROOT / path for path in TEMPLATES], [folder / path for path in TEMPLATES]
    failed, looked_at = checkov(tools, *written, *copies)
    found = {(rule, Path(file)) for rule, file in cfn_lint(tools, *written, *copies) | failed}
    assert {(rule, file) for rule, file in found if file in written} == set()
    assert found == {(rule, folder / path) for rule, path in hidden}
    assert {str(file) for file in written} & looked_at, "checkov looked at nothing"


@pytest.mark.parametrize("path", TEMPLATES)
def test_every_hidden_finding_has_its_reason_beside_it(path):
    text = (ROOT / path).read_text()
    for match in re.finditer(r"ignore_checks: \[(.*)\]", text):
        above = text[:match.start()].splitlines()[-5:]
        for rule in match.group(1).split(", "):
            assert any(line.strip().startswith(f"# {rule}: ") for line in above), f"{rule} in {path}"
    for match in re.finditer(r"- id: (CKV\w+)\n(.*)", text):
        assert re.match(r" +comment: .{10,}", match.group(2)), f"{match.group(1)} in {path}"
