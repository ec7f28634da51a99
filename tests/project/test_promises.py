"""docs/SEMANTICS.md names the tests that hold the promises of a replay, and they exist."""

import re

from scripts.install import ROOT


def test_every_test_that_a_promise_names_exists():
    text = (ROOT / "docs" / "SEMANTICS.md").read_text()
    section = re.search(r"^## Replay$(.*?)^## ", text, re.MULTILINE | re.DOTALL).group(1)
    named = set(re.findall(r"`([a-z]+(?:_[a-z0-9]+){3,})`", section))
    files = [*ROOT.glob("cli/src/**/*.rs"), *ROOT.glob("tests/tool/*.py")]
    defined = {name for file in files
               for name in re.findall(r"^ *(?:async )?(?:fn|def) (\w+)\(", file.read_text(), re.MULTILINE)}
    assert len(named) > 30 and named <= defined, named - defined


def test_every_promise_names_a_test_but_the_one_that_only_informs():
    text = (ROOT / "docs" / "SEMANTICS.md").read_text()
    section = re.search(r"^## Replay$(.*?)^## ", text, re.MULTILINE | re.DOTALL).group(1)
    promises = re.findall(r"^- (.*?)(?=^- |^\*\*|^\||\Z)", section, re.MULTILINE | re.DOTALL)
    without = [promise for promise in promises if not re.search(r"`[a-z]+(?:_[a-z0-9]+){3,}`", promise)]
    assert [promise.split(" the ledger")[0] for promise in without] == ["Without a bucket"]
