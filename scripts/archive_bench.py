"""The time of a question to the archive, over objects as the function writes them and over compacted ones.

    make bench-archive OBJECTS=1000000

The objects are synthetic, small and local, so the time is DuckDB's own: no requests are made. What the requests cost is
in docs/ARCHIVE.md. Compacted is a gzipped file of lines for each function and day.
"""

import argparse
import base64
import gzip
import hashlib
import json
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

from sandbox import processes
from tests.kit import archive

FUNCTIONS, DAYS, RECORDS = 5, 30, 5
FIRST_DAY = date(2026, 10, 1)
# In place of the manual's view: one file holds many messages.
COMPACTED_MESSAGES = """
CREATE OR REPLACE VIEW messages AS
SELECT
  filename AS object,
  regexp_extract(filename, '/hydrated/([^/]+)/', 1) AS function_name,
  regexp_extract(filename, '/([0-9]{4}/[0-9]{2}/[0-9]{2})/', 1) AS day,
  CAST(json AS varchar) AS line
FROM read_json_objects(getvariable('archive'), format = 'newline_delimited', filename = true)
"""
QUESTIONS = {
    "how many messages of each status": "SELECT status, count(*) AS messages FROM batches GROUP BY status",
    "the records of a partition key": "SELECT count(*) AS records FROM records WHERE partition_key = 'customer-17'",
}
PLACES = {"everything": "*/*/*/*", "a function and a day": f"function-0/{FIRST_DAY:%Y/%m/%d}"}


def main():
    processes.exit_on_sigterm()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=1_000_000)
    objects = parser.parse_args().objects
    with tempfile.TemporaryDirectory(prefix="archive-bench-") as folder:
        plain, compacted = Path(folder) / "plain" / "hydrated", Path(folder) / "compacted" / "hydrated"
        size = fill(plain, objects)
        compact(plain, compacted)
        print(f"{objects} objects of {size} bytes, {FUNCTIONS} functions, {DAYS} days\n")
        print("| question | of | objects | seconds | compacted: files | seconds |")
        print("| --- | --- | --- | --- | --- | --- |")
        for place, pattern in PLACES.items():
            for question in QUESTIONS:
                one, other = ask(plain, pattern, "json", question), ask(compacted, pattern, "json.gz", question)
                if one.rows != other.rows:
                    raise RuntimeError(f"{question}: {one.rows} is not {other.rows}")
                figures = f"{one.files} | {one.seconds:.2f} | {other.files} | {other.seconds:.2f}"
                print(f"| {question} | {place} | {figures} |", flush=True)


def message(number):
    """A message of some records, as the function composes it."""
    records = [{"kinesis": {
        "kinesisSchemaVersion": "1.0", "partitionKey": f"customer-{(number * RECORDS + place) % 1000}",
        "sequenceNumber": str(49647238774018758449143791361301066723689190929215782914 + number * RECORDS + place),
        "data": base64.b64encode(json.dumps({"order": number, "total": place}).encode()).decode(),
        "approximateArrivalTimestamp": 1795228972.1}, "eventID": f"shardId-000000000000:{number}-{place}",
        "eventSourceARN": "arn:aws:kinesis:us-east-1:123456789012:stream/orders"} for place in range(RECORDS)]
    body = {"requestContext": {"requestId": f"request-{number}"},
            "hydration": {"version": 1, "id": identity(number), "status": status(number), "recoveredRecords": RECORDS},
            "KinesisBatch": [{"order": number, "total": place} for place in range(RECORDS)], "Records": records}
    return json.dumps(body, separators=(",", ":"))


def identity(number):
    return hashlib.sha256(str(number).encode()).hexdigest()


def status(number):
    return "Superset" if number % 10 == 0 else "Complete"


def fill(folder, objects):
    """Writes the objects; returns the size of the last one in bytes."""
    for number in range(objects):
        day = FIRST_DAY + timedelta(days=number // FUNCTIONS % DAYS)
        place = folder / f"function-{number % FUNCTIONS}" / f"{day:%Y/%m/%d}"
        if number < FUNCTIONS * DAYS:
            place.mkdir(parents=True)
        text = message(number)
        (place / f"{identity(number)}-{identity(-number)[:16]}-{status(number)}.json").write_text(text)
    return len(text)


def compact(plain, compacted):
    for day in plain.glob("*/*/*/*"):
        target = compacted / day.relative_to(plain)
        target.mkdir(parents=True)
        with gzip.open(target / "messages.json.gz", "wt", compresslevel=6) as lines:
            for file in sorted(day.iterdir()):
                lines.write(file.read_text() + "\n")


class Answer:
    def __init__(self, rows, seconds, files):
        self.rows, self.seconds, self.files = rows, seconds, files


def ask(folder, pattern, ending, question):
    sql = archive.documented("DuckDB")
    messages = COMPACTED_MESSAGES if ending == "json.gz" else sql["view messages"]
    task = {"setup": [messages, sql["view batches"], sql["view records"]],
            "variables": {"archive": f"{folder}/{pattern}/*.{ending}"}, "questions": {"question": QUESTIONS[question]}}
    started = time.perf_counter()
    rows = archive.run(task, seconds=3_600)
    seconds = time.perf_counter() - started
    files = sum(1 for _ in folder.glob(f"{pattern}/*.{ending}"))
    return Answer(sorted(rows["question"], key=str), seconds, files)


if __name__ == "__main__":
    main()
