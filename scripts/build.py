"""A function or the tool, built with cargo: the path of the binary."""

import json
import os
import subprocess
from pathlib import Path

from scripts import install


# The packages whose binary has another name.
PACKAGES = {"digest": "failure-digest"}
# The profile of a release: `release` for the functions, as cargo lambda has it.
PROFILES = {"dlq": "dist"}


class BuildError(Exception):
    pass


def binary(name, release=False):
    """The path of a binary, after a build; cargo prints its progress.

    HYDRATE_BINARY, DIGEST_BINARY and DLQ_BINARY name one that is built already.
    """
    package = PACKAGES.get(name, name)
    if given := os.environ.get(f"{name.upper()}_BINARY"):
        return Path(given).resolve()
    command = ["cargo", "build", "--locked", "-p", package, "--message-format=json-render-diagnostics"]
    if release:
        command += ["--profile", PROFILES.get(name, "release")]
    try:
        build = subprocess.Popen(command, cwd=install.ROOT, stdout=subprocess.PIPE, text=True)
    except FileNotFoundError:
        raise BuildError(f"cargo is not on PATH: install Rust to build {package}") from None
    found = None
    with build:
        for line in build.stdout:
            message = json.loads(line)
            if message.get("executable") and message["target"]["name"] == name:
                found = Path(message["executable"])
    if build.returncode or not found:
        raise BuildError(f"cargo could not build {package}: see its output above")
    return found
