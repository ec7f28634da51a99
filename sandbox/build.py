"""Builds the function with cargo and says where the binary is."""

import json
import os
import subprocess
import sys
from pathlib import Path

import setup

PACKAGE = "hydrate"
BUILD = ["cargo", "build", "--release", "--locked", "-p", PACKAGE,
         "--message-format=json-render-diagnostics"]


class BuildError(Exception):
    pass


def binary():
    """The release binary, up to date; cargo shows its own progress meanwhile.

    HYDRATE_BINARY names one that is built already.
    """
    if given := os.environ.get("HYDRATE_BINARY"):
        return Path(given).resolve()
    try:
        build = subprocess.Popen(BUILD, cwd=setup.ROOT, stdout=subprocess.PIPE, text=True)
    except FileNotFoundError:
        raise BuildError("cargo is not on PATH: install Rust to build the function") from None
    found = None
    with build:
        for line in build.stdout:
            message = json.loads(line)
            if message.get("executable") and message["target"]["name"] == PACKAGE:
                found = Path(message["executable"])
    if build.returncode or not found:
        raise BuildError("cargo could not build the function; its own words are above")
    return found


if __name__ == "__main__":
    try:
        print(binary())
    except BuildError as error:
        sys.exit(f"build: {error}")
