"""Runs SQL of docs/ARCHIVE.md on DuckDB, and prints the rows of each question as JSON.

    {"setup": [SQL, ...], "variables": {name: text}, "questions": {name: SQL}}      on standard input

It runs in the virtual environment `duckdb`, so it imports nothing of this project.
"""

import json
import sys

import duckdb
import duckdb_extension_httpfs  # noqa: F401  the extension's file lies beside it

EXTENSION = next(iter(duckdb_extension_httpfs.__path__)) + f"/extensions/v{duckdb.__version__}/httpfs.duckdb_extension"


def main():
    task = json.load(sys.stdin)
    database = duckdb.connect(config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"})
    database.execute(f"LOAD '{EXTENSION}'")
    for name, text in task["variables"].items():
        database.execute(f"SET VARIABLE {name} = ?", [text])
    for sql in task["setup"]:
        database.execute(sql)
    answers = {}
    for name, sql in task["questions"].items():
        answer = database.execute(sql)
        columns = [column[0] for column in answer.description]
        answers[name] = [dict(zip(columns, row)) for row in answer.fetchall()]
    json.dump(answers, sys.stdout, default=str)


main()
