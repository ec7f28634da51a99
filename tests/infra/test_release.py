"""What `make release` writes to dist/. test_wiring.py deploys it."""

import os
import re
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from scripts import install, plain_templates, release
from scripts.plain_templates import TEMPLATES, load, parse
from tests.infra.conftest import TARGET, program, stand_ins
from tests.infra.templates import ROOT, transformed
from tests.infra.test_lint import cfn_lint

VERSION = release.workspace_version()
TOOL = f"dlq-v{VERSION}-{TARGET}"
CODE_PARAMETERS = {"CodeBucket", "CodeBucketPerRegion", "CodeKeyPrefix"}
each_template = pytest.mark.parametrize("path", TEMPLATES)


def plain(dist, path):
    return parse((dist / "templates" / Path(path).name).read_text())


def checked(dist):
    return subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=dist, capture_output=True, text=True)


def test_a_release_holds_what_it_says(dist):
    functions = [f"{folder.name}-{architecture}.zip" for folder in (ROOT / "functions").iterdir()
                 for architecture in ("arm64", "x86_64")]
    templates = [f"templates/{Path(path).name}" for path in TEMPLATES]
    assert release.files(dist) == sorted(
        [*functions, *templates, f"{TOOL}.tar.gz", "CHANGELOG.md", "LICENSE", "SHA256SUMS"])
    for name in functions:
        function, architecture = name.removesuffix(".zip").rsplit("-", 1)
        with zipfile.ZipFile(dist / name) as archive:
            assert archive.read("bootstrap") == program(function, architecture)
            assert archive.infolist()[0].external_attr >> 16 == 0o100755  # Lambda starts it


def test_the_checksums_are_those_of_all_files(dist, tmp_path):
    assert checked(dist).returncode == 0
    listed = [line.split("  ", 1)[1] for line in (dist / "SHA256SUMS").read_text().splitlines()]
    assert listed == [file for file in release.files(dist) if file != "SHA256SUMS"]
    spoiled = tmp_path / "dist"
    subprocess.run(["cp", "-r", dist, spoiled], check=True)
    (spoiled / "templates" / "template.yaml").write_text("Resources: {}\n")
    done = checked(spoiled)
    assert done.returncode == 1 and "templates/template.yaml: FAILED" in done.stdout


def test_the_same_files_make_the_same_release(dist, tmp_path, tool_binary):
    again = tmp_path / "dist"
    again.mkdir()
    (again / "old-arm64.zip").touch()  # of an earlier release
    given = stand_ins(tmp_path, tool_binary)
    for file in given[0].values():
        os.utime(file, (0, 0))
    release.assemble(again, *given)
    assert (again / "SHA256SUMS").read_text() == (dist / "SHA256SUMS").read_text()
    assert release.files(again) == release.files(dist)


@pytest.mark.parametrize("members, reason", [
    ({"hydrate": program("hydrate", "arm64")}, "bootstrap and nothing else"),
    ({"bootstrap": program("hydrate", "x86_64")}, "no program for arm64"),
    ({"bootstrap": b"#!/bin/sh"}, "no program for arm64")])
def test_a_zip_that_lambda_could_not_start_is_refused(tmp_path, tool_binary, members, reason):
    """And the release that was there before is left as it is."""
    zips, *rest = stand_ins(tmp_path, tool_binary)
    with zipfile.ZipFile(zips["hydrate", "arm64"], "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "before").touch()
    with pytest.raises(release.ReleaseError, match=reason):
        release.assemble(tmp_path / "dist", zips, *rest)
    assert release.files(tmp_path / "dist") == ["before"]
    assert not list(tmp_path.glob(".dist-*"))


# ---------------------------------------------------------------- templates

def test_cfn_lint_finds_nothing_wrong_in_the_plain_templates(dist):
    install.ensure("sam")
    # ES1001: a mapping of a queue has no destination for failures; the queue's redrive policy has. SAM writes this
    # mapping, and leaves no place for the reason.
    expected = {("ES1001", str(dist / "templates" / "template.yaml"))}
    assert cfn_lint(install.tool, *sorted((dist / "templates").glob("*.yaml"))) == expected


@each_template
def test_a_plain_template_needs_neither_sam_nor_files_beside_it(dist, path):
    template = plain(dist, path)
    text = (dist / "templates" / Path(path).name).read_text()
    assert "Transform" not in template and "AWS::Serverless" not in text and "CodeUri" not in text
    assert "infra/" not in text
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::CloudFormation::Stack":
            url, _ = resource["Properties"]["TemplateURL"]["Fn::Sub"]
            assert url.startswith("https://") and (dist / url.split("${CodeKeyPrefix}" + VERSION + "/")[1]).exists()
    for command in re.findall(r"--template-file (\S+)", text):
        assert (dist / command).exists(), command


@each_template
def test_a_plain_template_is_otherwise_the_one_it_was_made_from(dist, path):
    made, source = plain(dist, path), transformed(path)
    added = {"Parameters": CODE_PARAMETERS, "Conditions": {"HasCodeBucketPerRegion"}}
    for section in ("Parameters", "Conditions", "Outputs", "Rules"):
        kept = {key: value for key, value in made.get(section, {}).items() if key not in added.get(section, ())}
        source_text = repr(source.get(section, {})).replace("infra/", "templates/")
        assert repr(kept) == source_text
        assert len(made.get(section, {})) - len(kept) in (0, len(added.get(section, ())))
    assert made["Resources"].keys() == source["Resources"].keys()
    for logical_id, resource in made["Resources"].items():
        properties, before = resource["Properties"], source["Resources"][logical_id]["Properties"]
        changed = {key for key in properties if properties[key] != before.get(key)}
        assert changed <= {"Code", "TemplateURL"} and properties.keys() == before.keys(), logical_id


def test_each_function_takes_its_own_code(dist):
    """From a key that another version changes, whatever the values of the parameters are."""
    template = plain(dist, "template.yaml")
    for logical_id, name in plain_templates.functions(load("template.yaml")).items():
        code = template["Resources"][logical_id]["Properties"]["Code"]
        assert code["S3Key"] == {"Fn::Sub": "${CodeKeyPrefix}" + f"{VERSION}/{name}-" + "${Architecture}.zip"}
        assert code["S3Bucket"]["Fn::If"][0] == "HasCodeBucketPerRegion"
    needed = {name for name, parameter in template["Parameters"].items() if "Default" not in parameter}
    assert needed == {"CodeBucket"}


# ---------------------------------------------------------------- the tool

def test_the_tools_archive_holds_its_manual_and_its_completions(dist, tmp_path):
    with tarfile.open(dist / f"{TOOL}.tar.gz") as archive:
        members = {member.name.removeprefix(f"{TOOL}/"): member for member in archive.getmembers()}
    subprocess.run(["tar", "-xzf", dist / f"{TOOL}.tar.gz", "-C", tmp_path], check=True)
    assert members["dlq"].mode == 0o755 and {"LICENSE", "CHANGELOG.md"} <= members.keys()
    tool = tmp_path / TOOL / "dlq"
    listed = subprocess.run([tool, "--help"], capture_output=True, text=True, check=True).stdout
    groups, _, _ = listed.partition("\nOptions:\n")
    pages = {f"man/man1/dlq-{command}.1" for command in re.findall(r"^  ([a-z]+)  ", groups, re.MULTILINE)}
    pages.add("man/man1/dlq.1")
    assert {name for name in members if name.startswith("man/")} == pages and len(pages) > 10
    completions = {name for name in members if name.startswith("completions/")}
    assert completions == {"completions/dlq.bash", "completions/_dlq", "completions/dlq.fish"}
    for name in completions:
        text = (tmp_path / TOOL / name).read_text()
        assert all(re.search(r"dlq-([a-z]+)", page)[1] in text for page in pages if "dlq-" in page), name


def test_cargo_binstall_looks_for_the_archive_that_there_is(dist):
    """https://github.com/cargo-bins/cargo-binstall/blob/main/SUPPORT.md has the variables."""
    section = (ROOT / "cli" / "Cargo.toml").read_text().split("[package.metadata.binstall]")[1].split("\n[")[0]
    values = dict(re.findall(r'^([a-z-]+) = "(.*)"$', section, re.MULTILINE))
    for variable, value in {"repo": "https://example.org", "name": "dlq", "bin": "dlq", "version": VERSION,
                            "target": TARGET, "binary-ext": ""}.items():
        values = {key: text.replace("{ %s }" % variable, value) for key, text in values.items()}
    assert values["pkg-fmt"] == "tgz" and "{" not in values["pkg-url"] + values["bin-dir"]
    archive = dist / values["pkg-url"].rsplit("/", 1)[1]
    with tarfile.open(archive) as opened:
        assert opened.getmember(values["bin-dir"]).isfile()
