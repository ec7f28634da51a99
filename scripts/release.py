"""Writes dist/: all that a release is made of, with checksums.

    make release

    hydrate-arm64.zip, hydrate-x86_64.zip   a function's code; digest has the two as well
    templates/                              plain CloudFormation, without a transform
    dlq-v0.1.0-TARGET.tar.gz                the tool for this machine's platform, with manual pages and completions
    LICENSE, CHANGELOG.md
    SHA256SUMS                              sha256sum -c SHA256SUMS, in the folder

The same files give the same bytes: archives have no times, no owners and a fixed order.
"""

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from scripts import build, install, plain_templates

DIST = install.ROOT / "dist"
# Each with the number that ELF has for it, bytes 18 and 19 of a program.
ARCHITECTURES = {"arm64": 183, "x86_64": 62}
# By the names under which the shells look for them.
COMPLETIONS = {"bash": "dlq.bash", "zsh": "_dlq", "fish": "dlq.fish"}
DOCUMENTS = ("LICENSE", "CHANGELOG.md")
# The first time that a zip can hold, 1980-01-01, and the same for tar.
ZIP_TIME, TAR_TIME = (1980, 1, 1, 0, 0, 0), 315532800


class ReleaseError(Exception):
    """A reason why nothing is released. Its text is printed as it is."""


def main():
    with tempfile.TemporaryDirectory() as folder:
        zips = packages(Path(folder))
        tool = build.binary("dlq", release=True)
        assemble(DIST, zips, tool, host())
    for file in files(DIST):
        print(f"{(DIST / file).stat().st_size / 1e6:8.2f} MB  dist/{file}")


def packages(folder):
    """The zip of each function and architecture, by the two. Both architectures are built to the same path."""
    names = sorted(plain_templates.functions(plain_templates.load("template.yaml")).values())
    built = target_directory() / "lambda"
    zips = {}
    for architecture in ARCHITECTURES:
        for name in names:  # what an earlier build left is no release
            (built / name / "bootstrap.zip").unlink(missing_ok=True)
        subprocess.run(["make", "package", f"ARCH={architecture}"], cwd=install.ROOT, check=True)
        for name in names:
            zips[name, architecture] = folder / f"{name}-{architecture}.zip"
            shutil.copy(built / name / "bootstrap.zip", zips[name, architecture])
    return zips


def assemble(dist, zips, tool, target):
    """Writes the folder `dist` from what was compiled; a folder that is there is replaced when the new one is whole."""
    version = workspace_version()
    with tempfile.TemporaryDirectory(dir=dist.parent, prefix=".dist-") as parent:
        new = Path(parent) / "dist"
        (new / "templates").mkdir(parents=True)
        for (name, architecture), file in zips.items():
            (new / f"{name}-{architecture}.zip").write_bytes(repacked(file, architecture))
        for path in plain_templates.TEMPLATES:
            (new / "templates" / Path(path).name).write_text(plain_templates.plain(path, version))
        for document in DOCUMENTS:
            shutil.copyfile(install.ROOT / document, new / document)
        name = f"dlq-v{version}-{target}"
        (new / f"{name}.tar.gz").write_bytes(archive(name, tool_files(tool)))
        sums = "".join(f"{hashlib.sha256((new / file).read_bytes()).hexdigest()}  {file}\n" for file in files(new))
        (new / "SHA256SUMS").write_text(sums)
        shutil.rmtree(dist, ignore_errors=True)
        os.replace(new, dist)


def files(folder):
    """The paths of all files in the folder, relative to it, in order."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def repacked(file, architecture):
    """A function's zip with the one file that Lambda starts, and no times."""
    with zipfile.ZipFile(file) as given:
        if given.namelist() != ["bootstrap"]:
            raise ReleaseError(f"{file} must hold the file bootstrap and nothing else; it holds {given.namelist()}")
        content = given.read("bootstrap")
    # Both architectures are built to the same path: two builds at once would mix them up.
    if content[:4] != b"\x7fELF" or int.from_bytes(content[18:20], "little") != ARCHITECTURES[architecture]:
        raise ReleaseError(f"{file} holds no program for {architecture}: run make release again, alone")
    info = zipfile.ZipInfo("bootstrap", ZIP_TIME)
    info.create_system, info.external_attr = 3, 0o100755 << 16
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr(info, content, zipfile.ZIP_DEFLATED, compresslevel=9)
    return out.getvalue()


def tool_files(tool):
    """What the tool's archive holds, by path: its mode and its bytes. The tool itself writes its manual."""
    found = {"dlq": (0o755, Path(tool).read_bytes())}
    for document in DOCUMENTS:
        found[document] = (0o644, (install.ROOT / document).read_bytes())
    for shell, name in COMPLETIONS.items():
        found[f"completions/{name}"] = (0o644, output(tool, "completions", shell))
    with tempfile.TemporaryDirectory() as pages:
        output(tool, "man", "--to", pages)
        for page in sorted(Path(pages).iterdir()):
            found[f"man/man1/{page.name}"] = (0o644, page.read_bytes())
    return found


def archive(folder, members):
    """A tar.gz of one folder."""
    out = io.BytesIO()
    with (gzip.GzipFile(filename="", mode="wb", fileobj=out, mtime=TAR_TIME) as zipped,
          tarfile.open(fileobj=zipped, mode="w", format=tarfile.USTAR_FORMAT) as tar):
        for path, (mode, content) in sorted(members.items()):
            info = tarfile.TarInfo(f"{folder}/{path}")
            info.size, info.mode, info.mtime = len(content), mode, TAR_TIME
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def workspace_version():
    return next(package["version"] for package in metadata()["packages"] if package["name"] == "dlq")


def target_directory():
    return Path(metadata()["target_directory"])


def metadata():
    return json.loads(output("cargo", "metadata", "--no-deps", "--offline", "--format-version", "1"))


def host():
    """The platform that cargo compiles for when it is given none, as x86_64-unknown-linux-gnu."""
    return re.search(r"^host: (\S+)$", output("rustc", "-vV").decode(), re.MULTILINE).group(1)


def output(*command):
    done = subprocess.run([str(word) for word in command], cwd=install.ROOT, stdin=subprocess.DEVNULL,
                          capture_output=True)
    if done.returncode:
        raise ReleaseError(f"{' '.join(map(str, command))} failed: {done.stderr.decode(errors='replace')}")
    return done.stdout


if __name__ == "__main__":
    try:
        main()
    except (ReleaseError, build.BuildError, install.InstallError) as error:
        sys.exit(f"release: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(f"release: {' '.join(error.cmd)} failed: see its output above")
    except OSError as error:
        sys.exit(f"release: {error}")
    except KeyboardInterrupt:
        sys.exit("release: interrupted; run it again")
