"""The archive, asked with the SQL that docs/ARCHIVE.md prints."""

import json
import re
import subprocess

from sandbox import processes
from scripts import install

TEXT = (install.ROOT / "docs" / "ARCHIVE.md").read_text()


def documented(dialect):
    """The SQL of the page by its name, without the semicolon; `view` is part of the name of a view."""
    blocks = re.findall(rf"```sql\n-- {dialect}: ([^\n]+)\n(.*?)```", TEXT, re.DOTALL)
    assert len(dict(blocks)) == len(blocks), "two blocks of one name"
    return {name: sql.strip().removesuffix(";") for name, sql in blocks}


def ask(aws, bucket, **variables):
    """The rows of every question of the page, by its name, and of the views."""
    sql = documented("DuckDB")
    # The emulator in place of AWS, and the extension from a package in place of a download.
    host = aws.aws_url.removeprefix("http://")
    key, secret = (aws.environment()[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
    setup = [f"CREATE SECRET (TYPE s3, KEY_ID '{key}', SECRET '{secret}', REGION 'us-east-1', ENDPOINT '{host}', "
             "URL_STYLE 'path', USE_SSL false)"]
    place, = re.findall(r"SET VARIABLE archive = '(.*)'", sql.pop("setup"))
    variables["archive"] = place.replace("OVERFLOW_BUCKET", bucket)
    views = [name for name in sql if name.startswith("view ")]
    setup += [sql.pop(name) for name in views]
    sql.update({name: f"SELECT * FROM {name.removeprefix('view ')}" for name in views})
    return run({"setup": setup, "variables": variables, "questions": sql})


def run(task, seconds=120):
    install.ensure("duckdb")
    command = [install.tool("duckdb"), install.ROOT / "tests" / "kit" / "ask_duckdb.py"]
    done = subprocess.run(processes.ending_with_parent(command), input=json.dumps(task), capture_output=True,
                          text=True, timeout=seconds)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
