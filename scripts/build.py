"""The function or the tool, built with cargo: the path of the binary."""

import json
import os
import subprocess
from pathlib import Path

from scripts import install


class BuildError(Exception):
    pass


def binary(package, release=False):
    """The path of the package's binary, after a build; cargo prints its progress.

    HYDRATE_BINARY and DLQ_BINARY name one that is built already.
    """
    if given := os.environ.get(f"{package.upper()}_BINARY"):
        return Path(given).resolve()
    command = ["cargo", "build", "--locked", "-p", package, "--message-format=json-render-diagnostics"]
    if release:
        command.append("--release")
    try:
        build = subprocess.Popen(command, cwd=install.ROOT, stdout=subprocess.PIPE, text=True)
    except FileNotFoundError:
        raise BuildError(f"cargo is not on PATH: install Rust to build {package}") from None
    found = None
    with build:
        for line in build.stdout:
            message = json.loads(line)
            if message.get("executable") and message["target"]["name"] == package:
                found = Path(message["executable"])
    if build.returncode or not found:
        raise BuildError(f"cargo could not build {package}: see its output above")
    return found
