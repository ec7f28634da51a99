"""Records the verdicts of AWS's Event Ruler that the filters of this project are tested against.

    python3 -m scripts.ruler.record

Needs a JDK and Maven, which fetches Event Ruler; its jars must have the SHA-256 that jars.sha256 lists. The verdicts go
to crates/hydration/tests/ruler/verdicts.json, a case a line. The tests read that file and need no Java.
"""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

from scripts.install import ROOT, TOOLS
from scripts.ruler import cases

HERE = Path(__file__).resolve().parent
JARS = TOOLS / "ruler"
VERDICTS = ROOT / "crates/hydration/tests/ruler/verdicts.json"
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"


def main():
    fetch_jars()
    pairs = [*cases.written(), *cases.generated()]
    lines = "".join(f"{pattern}\t{event}\n" for pattern, event, _ in pairs)
    command = ["java", "-cp", f"{JARS}/*", HERE / "Verdicts.java"]
    answers = subprocess.run(command, input=lines, capture_output=True, text=True, encoding="utf-8", check=True)
    verdicts = answers.stdout.split()
    if len(verdicts) != len(pairs):
        sys.exit(f"Event Ruler gave {len(verdicts)} verdicts for {len(pairs)} pairs")
    entries = [entry(*pair, verdict) for pair, verdict in zip(pairs, verdicts)]
    VERDICTS.write_text("[\n" + ",\n".join(entries) + "\n]\n", encoding="utf-8")
    counts = {verdict: verdicts.count(verdict) for verdict in sorted(set(verdicts))}
    print(f"{VERDICTS.relative_to(ROOT)}: {counts}")


def entry(pattern, event, why, verdict):
    """A line of the file. `open` says why the project gives no answer, where it gives none."""
    fields = {"pattern": pattern, "event": event, "ruler": verdict} | ({"open": why} if why else {})
    return json.dumps(fields, ensure_ascii=False)


def fetch_jars():
    expected = dict(reversed(line.split()) for line in (HERE / "jars.sha256").read_text().splitlines())
    if not JARS.exists():
        TOOLS.mkdir(exist_ok=True)
        command = ["mvn", "-q", "-B", "-f", HERE / "pom.xml", COPY, f"-DoutputDirectory={JARS}"]
        subprocess.run(command, check=True)
    found = {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in JARS.glob("*.jar")}
    if found != expected:
        sys.exit(f"the jars in {JARS} are not those of jars.sha256; remove the folder and try again")


if __name__ == "__main__":
    main()
