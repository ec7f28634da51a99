"""GovCloud and China: what AWS lists as missing there is left out. docs/DEPLOY.md has the lists and their sources."""

import json
import re

import pytest

from tests.infra.templates import ACCOUNT, ROOT, TEMPLATES, Stack, transformed

REGIONS = {"aws": "eu-west-1", "aws-us-gov": "us-gov-west-1", "aws-cn": "cn-north-1"}
MISSING = {
    "JSON log format": {"aws-us-gov"},
    "X-Ray for Lambda": {"aws-cn"},
    "detection of recursive loops": {"aws-cn"},
    "metrics of event source mappings": {"aws-us-gov", "aws-cn"},
}
each_partition = pytest.mark.parametrize("partition", REGIONS)
DEPLOY = (ROOT / "docs" / "DEPLOY.md").read_text()
MAPPING = "0a1b2c3d-0000-1111-2222-333344445555"


def hydrator(partition, **parameters):
    return Stack("template.yaml", "hydrator", partition=partition, region=REGIONS[partition], **parameters)


def sources(partition, **parameters):
    region = REGIONS[partition]
    given = {"exports": hydrator(partition).exports, "partition": partition, "region": region,
             "HydratorStackName": "hydrator", "FunctionName": "orders", "FunctionRoleName": "orders-role", **parameters}
    stream = f"arn:{partition}:kinesis:{region}:{ACCOUNT}:stream/orders"
    table = f"arn:{partition}:dynamodb:{region}:{ACCOUNT}:table/orders/stream/2026-11-21T08:00:00.000"
    return [Stack("infra/kinesis-source.yaml", "orders", StreamArn=stream, **given),
            Stack("infra/dynamodb-source.yaml", "orders", StreamArn=table, **given)]


@each_partition
def test_lines_are_json_where_lambda_has_that_format(partition):
    logging = dict(hydrator(partition, LogLevel="DEBUG").properties("HydrateFunction")["LoggingConfig"])
    assert logging.pop("LogGroup") == "/aws/lambda/hydrator-hydrate"
    if partition in MISSING["JSON log format"]:
        assert logging == {"LogFormat": "Text"}  # levels go with JSON alone
    else:
        assert logging == {"LogFormat": "JSON", "ApplicationLogLevel": "DEBUG", "SystemLogLevel": "INFO"}


@each_partition
def test_tracing_is_on_where_lambda_has_x_ray(partition):
    tracing = hydrator(partition).properties("HydrateFunction")["TracingConfig"]
    assert tracing == {"Mode": "PassThrough" if partition in MISSING["X-Ray for Lambda"] else "Active"}


@each_partition
def test_loops_are_allowed_where_lambda_detects_them(partition):
    function = hydrator(partition).properties("HydrateFunction")
    assert ("RecursiveLoop" in function) is (partition not in MISSING["detection of recursive loops"])


@each_partition
@pytest.mark.parametrize("parameters", [{}, {"CreateMapping": "no", "MappingUuid": MAPPING}])
def test_mappings_are_counted_where_they_can_be(partition, parameters):
    counted = partition not in MISSING["metrics of event source mappings"]
    for source in sources(partition, **parameters):
        if parameters:
            assert ("--metrics-config" in source.outputs["UpdateMappingCommand"]) is counted
        else:
            assert ("MetricsConfig" in source.properties("Mapping")) is counted
        alarms = set(source.of_type("AWS::CloudWatch::Alarm"))
        assert {"FunctionFallsBehind", "ReportNotDelivered"} <= alarms
        assert ({"RecordsDropped", "MappingStopped"} <= alarms) is counted
        # No alarm on a metric that nobody sends.
        assert ("EventSourceMappingUUID" in json.dumps(source.resources)) is counted


@each_partition
@pytest.mark.parametrize("path", TEMPLATES)
def test_cloudformation_publishes_a_schema_of_every_type_there(partition, path):
    schemas = pytest.importorskip("cfnlint.schema.manager").PROVIDER_SCHEMA_MANAGER
    for resource in transformed(path)["Resources"].values():
        schemas.get_resource_schema(REGIONS[partition], resource["Type"])  # raises where there is none


def test_the_documents_name_what_is_left_out():
    section = re.search(r"^### GovCloud and China$(.*?)^## ", DEPLOY, re.MULTILINE | re.DOTALL).group(1)
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    rows = {name: (gov, china) for name, gov, china, _ in cells}
    for name, partitions in MISSING.items():
        gov, china = rows[name]
        assert ("yes" in gov, "yes" in china) == ("aws-us-gov" in partitions, "aws-cn" in partitions), name
