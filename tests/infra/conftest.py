"""A release of stand-ins, made as `make release` makes one, but for the compiling."""

import shlex
import zipfile

import pytest

from scripts import plain_templates, release

TARGET = "x86_64-unknown-linux-gnu"


def stand_ins(folder, tool_binary):
    """What `release.assemble` takes, without a compiled function: a zip for each one, and a tool of one line."""
    names = plain_templates.functions(plain_templates.load("template.yaml")).values()
    zips = {(name, architecture): folder / f"{name}-{architecture}.built"
            for name in names for architecture in release.ARCHITECTURES}
    for (name, architecture), file in zips.items():
        with zipfile.ZipFile(file, "w") as made:
            made.writestr("bootstrap", program(name, architecture))
    tool = folder / "dlq"
    tool.write_text(f'#!/bin/sh\nexec {shlex.quote(str(tool_binary))} "$@"\n')
    tool.chmod(0o755)
    return zips, tool, TARGET


def program(name, architecture):
    """What begins as a program for the architecture does, and is none."""
    return b"\x7fELF".ljust(18, b"\0") + release.ARCHITECTURES[architecture].to_bytes(2, "little") + name.encode()


@pytest.fixture(scope="session")
def dist(tmp_path_factory, tool_binary):
    folder = tmp_path_factory.mktemp("release")
    release.assemble(folder / "dist", *stand_ins(folder, tool_binary))
    return folder / "dist"
