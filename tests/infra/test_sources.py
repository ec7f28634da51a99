"""The source templates: every option of a mapping, bounded by default, and the command for an existing mapping."""

import re
import shlex

import pytest

from tests.infra.templates import KINESIS_STREAM, TABLE_STREAM, core, dynamodb_source, kinesis_source, load

CORE = core()
TOPIC = CORE.outputs["FailedBatchTopicArn"]
BUCKET = CORE.outputs["FailedBatchBucketArn"]
DESTINATIONS = {"Topic": TOPIC, "Bucket": BUCKET}
each_destination = pytest.mark.parametrize("destination", DESTINATIONS)
UUID = "0a1b2c3d-0000-1111-2222-333344445555"
each_source = pytest.mark.parametrize("source, stream",
                                      [(kinesis_source, KINESIS_STREAM), (dynamodb_source, TABLE_STREAM)],
                                      ids=["kinesis", "dynamodb"])


@each_source
def test_a_mapping_is_bounded_and_reports_to_the_topic_by_default(source, stream):
    mapping = source(CORE).properties("Mapping")
    assert mapping == {
        "EventSourceArn": stream,
        "FunctionName": "orders",
        "DestinationConfig": {"OnFailure": {"Destination": TOPIC}},
        "MaximumRetryAttempts": 5,
        "MaximumRecordAgeInSeconds": 43200,
        "BisectBatchOnFunctionError": "true",
        "BatchSize": 100,
        "MaximumBatchingWindowInSeconds": 0,
        "ParallelizationFactor": 1,
        "StartingPosition": "TRIM_HORIZON",
        "Enabled": "true",
        "MetricsConfig": {"Metrics": ["EventCount"]},
    }


def test_every_option_of_a_mapping_can_be_chosen():
    consumer = KINESIS_STREAM + "/consumer/orders:1789779975"
    key = "arn:aws:kms:eu-west-1:123456789012:key/99998888-7777-6666-5555-444433332222"
    source = kinesis_source(
        CORE, ConsumerArn=consumer, FunctionQualifier="live", MaximumRetryAttempts=0, MaximumRecordAgeInSeconds=-1,
        BisectBatchOnFunctionError="false", ReportBatchItemFailures="yes", BatchSize=10,
        MaximumBatchingWindowInSeconds=5, ParallelizationFactor=2,
        StartingPosition="AT_TIMESTAMP", StartingPositionTimestamp="1789779975.123",
        Enabled="false", FilterPattern1='{"data":{"type":["order"]}}', FilterPattern2='{"partitionKey":["a"]}',
        FilterKmsKeyArn=key, MappingMetrics="no")
    assert source.rules_hold()
    assert source.properties("Mapping") == {
        "EventSourceArn": consumer,
        "FunctionName": "arn:aws:lambda:eu-west-1:123456789012:function:orders:live",
        "DestinationConfig": {"OnFailure": {"Destination": TOPIC}},
        "MaximumRetryAttempts": 0,
        "MaximumRecordAgeInSeconds": -1,
        "BisectBatchOnFunctionError": "false",
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "BatchSize": 10,
        "MaximumBatchingWindowInSeconds": 5,
        "ParallelizationFactor": 2,
        "StartingPosition": "AT_TIMESTAMP",
        "StartingPositionTimestamp": "1789779975.123",
        "Enabled": "false",
        "FilterCriteria": {"Filters": [
            {"Pattern": '{"data":{"type":["order"]}}'}, {"Pattern": '{"partitionKey":["a"]}'}]},
        "KmsKeyArn": key,
    }


@each_source
def test_a_tumbling_window_can_be_chosen(source, stream):
    chosen = source(CORE, TumblingWindowInSeconds=60)
    assert chosen.rules_hold() and chosen.properties("Mapping")["TumblingWindowInSeconds"] == 60


def test_the_options_are_all_that_a_stream_mapping_has():
    """Against the resource's schema: an option that AWS adds shows up here."""
    schema = pytest.importorskip("cfnlint.schema.manager").PROVIDER_SCHEMA_MANAGER
    options = set(schema.get_resource_schema("us-east-1", "AWS::Lambda::EventSourceMapping").schema["properties"])
    for_other_sources = {
        "AmazonManagedKafkaEventSourceConfig", "SelfManagedKafkaEventSourceConfig", "SelfManagedEventSource", "Topics",
        "SourceAccessConfigurations", "ProvisionedPollerConfig", "LoggingConfig",  # Kafka
        "DocumentDBEventSourceConfig", "Queues", "ScalingConfig",  # DocumentDB, Amazon MQ, SQS
    }
    of_the_resource = {"Id", "EventSourceMappingArn", "Tags"}  # a stack's tags reach its resources
    ours = set(load("infra/kinesis-source.yaml")["Resources"]["Mapping"]["Properties"])
    assert ours == options - for_other_sources - of_the_resource
    assert set(load("infra/dynamodb-source.yaml")["Resources"]["Mapping"]["Properties"]) == \
        ours - {"StartingPositionTimestamp"}


@each_source
@pytest.mark.parametrize("parameters", [
    {"MaximumRetryAttempts": -1, "MaximumRecordAgeInSeconds": -1},
    {"TumblingWindowInSeconds": 60, "ParallelizationFactor": 2},
    {"TumblingWindowInSeconds": 60, "FilterPattern1": "{}"},
])
def test_what_could_not_work_is_refused(source, stream, parameters):
    assert not source(CORE, **parameters).rules_hold()


def test_a_starting_time_is_asked_for_when_one_is_needed():
    assert not kinesis_source(CORE, StartingPosition="AT_TIMESTAMP").rules_hold()


@pytest.mark.parametrize("path, retention", [
    ("infra/dynamodb-source.yaml", 86400), ("infra/kinesis-source.yaml", None)])
def test_records_are_given_up_well_before_they_expire(path, retention):
    age = load(path)["Parameters"]["MaximumRecordAgeInSeconds"]
    assert age["Default"] <= 86400 / 2
    assert retention is None or age["MaxValue"] < retention


@each_source
@each_destination
def test_the_destination_is_all_that_differs_between_the_two(source, stream, destination):
    mapping, default = (source(CORE, **given).properties("Mapping") for given in ({"Destination": destination}, {}))
    assert mapping.pop("DestinationConfig") == {"OnFailure": {"Destination": DESTINATIONS[destination]}}
    default.pop("DestinationConfig")
    assert mapping == default


@pytest.mark.parametrize("path", ["infra/kinesis-source.yaml", "infra/dynamodb-source.yaml"])
def test_the_mapping_is_made_after_both_roles_may_do_their_part(path):
    """And when Destination changes: the new permission, then the mapping, then the old permission goes."""
    mapping = load(path)["Resources"]["Mapping"]
    assert mapping["DependsOn"] == "ReadFailedBatches"
    # DependsOn takes no condition; a reference does.
    assert mapping["Metadata"]["ReportsWith"] == {
        "Fn::If": ["ToBucket", {"Ref": "WriteFailedBatches"}, {"Ref": "PublishFailedBatches"}]}


@each_source
def test_a_mapping_that_is_made_here_may_report_to_its_destination_alone(source, stream):
    assert "WriteFailedBatches" not in source(CORE).resources
    assert "PublishFailedBatches" not in source(CORE, Destination="Bucket").resources


# ---------------------------------------------------------------- a mapping that exists

@each_source
@each_destination
def test_an_existing_mapping_is_left_alone_and_its_command_printed(source, stream, destination):
    stack = source(CORE, CreateMapping="no", MappingUuid=UUID, Destination=destination)
    assert "Mapping" not in stack.resources
    assert shlex.split(stack.outputs["UpdateMappingCommand"]) == [
        "aws", "lambda", "update-event-source-mapping", "--region", "eu-west-1", "--uuid", UUID,
        "--destination-config", '{"OnFailure":{"Destination":"%s"}}' % DESTINATIONS[destination],
        "--maximum-retry-attempts", "5", "--maximum-record-age-in-seconds", "43200",
        "--bisect-batch-on-function-error", "--metrics-config", '{"Metrics":["EventCount"]}']


@each_source
@each_destination
def test_an_existing_mapping_may_report_to_either_until_the_command_has_run(source, stream, destination):
    """Lambda drops a report that is refused, and tries no more."""
    resources = source(CORE, CreateMapping="no", Destination=destination).resources
    assert {"PublishFailedBatches", "WriteFailedBatches"} <= resources.keys()


@each_source
def test_the_command_finds_the_mapping_when_it_is_not_told(source, stream):
    stack = source(CORE, CreateMapping="no", FunctionQualifier="live", MappingMetrics="no",
                   BisectBatchOnFunctionError="false")
    command = stack.outputs["UpdateMappingCommand"]
    inner, = re.findall(r'--uuid "\$\((.*?)\)"', command)
    assert shlex.split(inner) == [
        "aws", "lambda", "list-event-source-mappings", "--region", "eu-west-1", "--function-name", "orders:live",
        "--event-source-arn", stream, "--query", "EventSourceMappings[0].UUID", "--output", "text"]
    assert command.endswith(" --no-bisect-batch-on-function-error")


def test_the_commands_are_the_aws_clis():
    """Each option is a member of the API's request."""
    import botocore.session
    from botocore import xform_name
    api = botocore.session.Session().get_service_model("lambda").operation_model
    update = {xform_name(name, "-") for name in api("UpdateEventSourceMapping").input_shape.members}
    listing = {xform_name(name, "-") for name in api("ListEventSourceMappings").input_shape.members}
    command = kinesis_source(CORE, CreateMapping="no").outputs["UpdateMappingCommand"]
    inner = re.search(r'"\$\(.*?\)"', command).group(0)
    for text, known in ((command.replace(inner, ""), update), (inner, listing)):
        options = {option.removeprefix("no-") for option in re.findall(r"--([a-z-]+)", text)}
        assert options - {"region", "query", "output"} <= known
