"""infra/archive.yaml describes the objects that the function writes, and asks them what docs/ARCHIVE.md prints."""

import base64
import json
import re
import subprocess

import pytest

from scripts import install
from tests.infra.policies import decide, grants, listed, statements
from tests.infra.templates import ACCOUNT, REGION, archive, core
from tests.kit.archive import documented, run

CORE = core(Archive="true")
ARCHIVE = archive(CORE)
BUCKET = CORE.outputs["OverflowBucketName"]
OBJECTS = f"arn:aws:s3:::{BUCKET}/hydrated/*"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/99998888-7777-6666-5555-444433332222"
ATHENA = documented("Athena")
HIVE_TYPES = {"varchar": "string", "bigint": "bigint", "boolean": "boolean", "double": "double"}


def one_line(sql):
    return re.sub(r"\s+", " ", sql).strip()


def tables():
    return {table["Properties"]["TableInput"]["Name"]: table["Properties"]["TableInput"]
            for table in ARCHIVE.of_type("AWS::Glue::Table").values()}


def view(table):
    """The definition in a view, as Athena decodes it."""
    encoded = re.fullmatch(r"/\* Presto View: (\S+) \*/", table["ViewOriginalText"]).group(1)
    return json.loads(base64.b64decode(encoded))


def parsed(dialect):
    """The names of the output columns of each statement of the page, as a parser of that dialect reads them."""
    install.ensure("duckdb")
    program = """
import json, sys, sqlglot
task = json.load(sys.stdin)
trees = {name: sqlglot.parse_one(sql, dialect=task["dialect"]) for name, sql in task["sql"].items()}
json.dump({name: (tree.expression if tree.key == "create" else tree).named_selects
           for name, tree in trees.items() if tree.key != "block"}, sys.stdout)
"""
    sql = {name: text for name, text in documented(dialect).items() if name != "setup"}
    done = subprocess.run([str(install.tool("duckdb")), "-c", program], text=True, capture_output=True, timeout=60,
                          input=json.dumps({"dialect": dialect.lower(), "sql": sql}))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_statement_of_the_manual_is_of_its_dialect_and_both_have_the_same_columns():
    athena, duckdb = parsed("Athena"), parsed("DuckDB")
    assert athena.keys() == duckdb.keys() - {"view messages"} and len(athena) == 7
    assert athena == {name: columns for name, columns in duckdb.items() if name != "view messages"}


@pytest.mark.parametrize("name", ["batches", "records"])
def test_a_view_is_the_manuals_and_its_columns_are_those_of_its_query(name):
    table = tables()[name]
    definition = view(table)
    assert one_line(definition["originalSql"]) == one_line(ATHENA[f"view {name}"])
    assert (definition["catalog"], definition["schema"]) == ("awsdatacatalog", "failed_batches")
    columns = [(column["name"], column["type"]) for column in definition["columns"]]
    assert [column for column, _ in columns] == parsed("Athena")[f"view {name}"]
    # Athena calls a view stale whose types are not those of its query.
    casts = {column: kind for kind, column in re.findall(
        r"AS (bigint|double)\) AS (\w+)", one_line(definition["originalSql"]))}
    expected = {"is_last_part": "boolean", "record": "bigint", **casts}
    assert {column: kind for column, kind in columns if kind != "varchar"} == {
        column: kind for column, kind in expected.items() if column in dict(columns)}
    assert [(column["Name"], column["Type"]) for column in table["StorageDescriptor"]["Columns"]] == [
        (column, HIVE_TYPES[kind]) for column, kind in columns]
    assert (table["TableType"], table["Parameters"]["presto_view"]) == ("VIRTUAL_VIEW", "true")


@pytest.mark.parametrize("data", [
    b"\xff\xfecustomer-17\x00", b"\xf3\x89\x9a\xc2\x0a\x0bcustomer-17", b"plain customer-17"])
def test_erasure_on_a_laptop_finds_a_text_among_bytes(tmp_path, data):
    message = {"hydration": {"decodedView": "off"}, "Records": [
        {"kinesis": {"data": base64.b64encode(data).decode()}}, {"dynamodb": {"Keys": {}}}]}
    place = tmp_path / "hydrated" / "orders" / "2026" / "11" / "21" / "1.json"
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps(message))
    sql = documented("DuckDB")
    views = [text for name, text in sql.items() if name.startswith("view ")]
    question = sql["objects-with-a-person"]
    for person, expected in {"customer-17": [str(place)], "customer-18": []}.items():
        rows = run({"setup": views, "questions": {"found": question}, "variables": {
            "archive": f"{tmp_path}/hydrated/*/*/*/*/*.json", "person": person}})["found"]
        assert [row["object"] for row in rows] == expected


def test_the_saved_queries_are_the_manuals():
    saved = [query["Properties"] for query in ARCHIVE.of_type("AWS::Athena::NamedQuery").values()]
    assert {query["Name"]: one_line(query["QueryString"]) for query in saved} == {
        name: one_line(sql) for name, sql in ATHENA.items() if not name.startswith("view ")}
    assert {(query["Database"], query["WorkGroup"]) for query in saved} == {("failed_batches", ARCHIVE.name)}


def test_the_partitions_are_the_keys_that_the_function_writes():
    table = tables()["messages"]
    parameters = table["Parameters"]
    assert [key["Name"] for key in table["PartitionKeys"]] == ["function_name", "day"]
    template = parameters["storage.location.template"]
    # The contract's key, docs/SEMANTICS.md.
    place = template.replace("${function_name}", "orders").replace("${day}", "2026/11/21")
    assert place == f"s3://{BUCKET}/hydrated/orders/2026/11/21/"
    assert parameters["projection.day.format"] == "yyyy/MM/dd"
    assert parameters["projection.day.range"] == "NOW-2YEARS,NOW"
    assert parameters["projection.function_name.values"] == "orders,payments"
    assert table["StorageDescriptor"]["Location"] == f"s3://{BUCKET}/hydrated/"


def test_a_line_is_one_column_in_both_tables():
    lines = {name: table for name, table in tables().items() if table["TableType"] == "EXTERNAL_TABLE"}
    assert lines.keys() == {"messages", "all_messages"}
    for table in lines.values():
        storage = table["StorageDescriptor"]
        assert [column["Name"] for column in storage["Columns"]] == ["line"]
        assert storage["SerdeInfo"] == {
            "SerializationLibrary": "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe"}
    assert "PartitionKeys" not in lines["all_messages"]
    assert not any("projection" in name for name in lines["all_messages"]["Parameters"])


def test_a_query_has_a_limit_and_its_result_no_bucket():
    settings = archive(CORE, ScanLimitInMB="10").properties("WorkGroup")["WorkGroupConfiguration"]
    assert settings["BytesScannedCutoffPerQuery"] == "10000000"  # the least that Athena takes
    assert settings["EnforceWorkGroupConfiguration"] is True
    assert settings["ManagedQueryResultsConfiguration"] == {"Enabled": True}
    assert "ResultConfiguration" not in settings


# ---------------------------------------------------------------- the policies

def policies(**parameters):
    stack = archive(CORE, **parameters)
    return [stack.properties(name)["PolicyDocument"] for name in ("ReaderPolicy", "ErasurePolicy")]


READER, ERASURE = policies()
GLUE = f"arn:aws:glue:{REGION}:{ACCOUNT}:"
WORKGROUP = f"arn:aws:athena:{REGION}:{ACCOUNT}:workgroup/{ARCHIVE.name}"


def test_the_reader_may_ask_in_this_workgroup_and_change_nothing():
    given = grants([READER])
    assert {resource for action, resource in given if action.startswith("athena:")} == {WORKGROUP}
    assert ("athena:StartQueryExecution", WORKGROUP) in given and ("athena:GetQueryResults", WORKGROUP) in given
    assert {action for action, _ in given if action.startswith("s3:")} == {
        "s3:GetObject", "s3:ListBucket", "s3:GetBucketLocation"}
    assert {resource for action, resource in given if action == "s3:GetObject"} == {OBJECTS}
    changing = re.compile(r":(Put|Delete|Create|Update|Batch(Create|Delete|Update))")
    assert not [action for action, _ in given if changing.search(action)]


@pytest.mark.parametrize("place", [
    "database/failed_batches", "table/failed_batches/records", "database/default", "catalog"])
def test_the_reader_may_read_the_tables_of_this_database(place):
    assert decide([READER], "glue:GetTable", GLUE + place) == "allow"
    assert decide([READER], "glue:GetTable", GLUE + "table/payroll/salaries") is None
    assert decide([READER], "glue:GetTable", GLUE + "table/default/salaries") is None


def test_the_reader_lists_the_messages_alone():
    bucket = f"arn:aws:s3:::{BUCKET}"
    assert decide([READER], "s3:ListBucket", bucket, s3_prefix="hydrated/orders/2026/11/21/") == "allow"
    assert decide([READER], "s3:ListBucket", bucket, s3_prefix="hydrated/") == "allow"
    assert decide([READER], "s3:ListBucket", bucket, s3_prefix="ledger/") is None
    assert decide([READER], "s3:GetObject", bucket + "/ledger/x") is None


def test_erasing_is_a_policy_of_its_own():
    assert grants([ERASURE]) == {("s3:DeleteObject", OBJECTS)}


def test_the_key_is_used_through_s3_alone():
    reader, erasure = policies(KmsKeyArn=KEY)
    assert grants([reader]) - grants([READER]) == {("kms:Decrypt", KEY)} and grants([erasure]) == grants([ERASURE])
    assert decide([reader], "kms:Decrypt", KEY, kms_ViaService=f"s3.{REGION}.amazonaws.com") == "allow"
    assert decide([reader], "kms:Decrypt", KEY, kms_ViaService=f"sqs.{REGION}.amazonaws.com") is None


def test_no_action_is_a_wildcard():
    for statement in [*statements(READER), *statements(ERASURE)]:
        assert not any("*" in action for action in listed(statement["Action"]))


# ---------------------------------------------------------------- the hydrator's stack

@pytest.mark.parametrize("parameters, variable, days", [
    ({}, "false", "30"), ({"Archive": "true"}, "true", "365"),
    ({"Archive": "true", "ArchiveRetentionInDays": "3650"}, "true", "3650"),
    ({"ArchiveRetentionInDays": "15", "OverflowRetentionInDays": "60"}, "false", "60")])
def test_the_objects_live_as_long_as_the_archive(parameters, variable, days):
    stack = core(**parameters)
    assert stack.properties("HydrateFunction")["Environment"]["Variables"]["ARCHIVE"] == variable
    rule, = stack.properties("OverflowBucket")["LifecycleConfiguration"]["Rules"]
    assert (str(rule["ExpirationInDays"]), rule["Prefix"]) == (days, "hydrated/")


def test_the_archive_is_kept_for_15_days_to_10_years():
    parameter = CORE.template["Parameters"]["ArchiveRetentionInDays"]
    assert (parameter["MinValue"], parameter["MaxValue"]) == (15, 3650)
    assert CORE.template["Parameters"]["Archive"]["Default"] == "false"


def test_the_archive_needs_no_permission_more():
    documents = [CORE.properties("HydrateRole")["Policies"], core().properties("HydrateRole")["Policies"]]
    assert documents[0] == documents[1]
