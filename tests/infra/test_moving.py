"""A source that moves to another hydrator: what the new one needs comes before what the old one has goes."""

import pytest

from tests.infra.policies import grants, role_documents
from tests.infra.templates import (
    Stack, bucket_source, core, dead_letter_queue, dynamodb_source, kinesis_source, load,
)

OLD, NEW = core(), Stack("template.yaml", "failed-batch-hydrator-2")
ATTACHED = {
    "kinesis, topic": (kinesis_source, {}),
    "kinesis, bucket": (kinesis_source, {"Destination": "Bucket"}),
    "kinesis, mapping made elsewhere": (kinesis_source, {"CreateMapping": "no"}),
    "dynamodb, topic": (dynamodb_source, {}),
    "dynamodb, bucket": (dynamodb_source, {"Destination": "Bucket"}),
    "dynamodb, mapping made elsewhere": (dynamodb_source, {"CreateMapping": "no"}),
    "queue": (dead_letter_queue, {}),
    "bucket": (bucket_source, {}),
}
each_attached = pytest.mark.parametrize("attach, parameters", ATTACHED.values(), ids=list(ATTACHED))
SOURCES = ["infra/kinesis-source.yaml", "infra/dynamodb-source.yaml"]


def policy_names(stack):
    return {policy["Properties"]["PolicyName"] for policy in stack.of_type("AWS::IAM::RolePolicy").values()}


@each_attached
def test_the_policies_of_two_hydrators_have_different_names(attach, parameters):
    """Under the same name CloudFormation would rewrite the policy in place, before the mapping moves."""
    old, new = policy_names(attach(OLD, **parameters)), policy_names(attach(NEW, **parameters))
    assert len(old) == len(new) > 0 and not old & new


def test_a_policy_of_another_name_is_another_policy():
    """Against the resource's schema: a name cannot be updated, so the policy is replaced."""
    schema = pytest.importorskip("cfnlint.schema.manager").PROVIDER_SCHEMA_MANAGER
    policy = schema.get_resource_schema("us-east-1", "AWS::IAM::RolePolicy").schema
    assert "/properties/PolicyName" in policy["createOnlyProperties"]
    mapping = schema.get_resource_schema("us-east-1", "AWS::Lambda::EventSourceMapping").schema
    # The mapping itself is updated, and goes on where it is.
    assert not {"/properties/DestinationConfig", "/properties/FunctionName"} & set(mapping["createOnlyProperties"])
    # What the documents say of StartingPosition.
    assert "/properties/StartingPosition" in mapping["createOnlyProperties"]


@each_attached
def test_iam_takes_the_names_of_the_policies(attach, parameters):
    """128 characters. The name of a role that CloudFormation makes has 64 at most."""
    exports = {**OLD.exports, f"{OLD.name}-HydrateRoleName": "r" * 64}
    stack = attach(OLD, **parameters)
    longest = Stack(stack.path, stack.name, exports=exports, **{
        key: ",".join(value) if isinstance(value, list) else value for key, value in stack.parameters.items()})
    names = policy_names(longest)
    assert names and all("r" * 64 in name and len(name) <= 128 for name in names)


@pytest.mark.parametrize("attach", [kinesis_source, dynamodb_source])
@pytest.mark.parametrize("destination", ["Topic", "Bucket"])
def test_a_stack_without_a_mapping_keeps_all_that_the_old_hydrator_needs(attach, destination):
    """docs/DEPLOY.md, Moving: deployed before the move, deleted a retention after it."""
    moving, keeping = attach(OLD, Destination=destination), attach(OLD, CreateMapping="no")
    assert not keeping.of_type("AWS::Lambda::EventSourceMapping")
    for role in ("orders-role", OLD.outputs["HydrateRoleName"]):
        needed = grants(role_documents(moving, role))
        assert needed and needed <= grants(role_documents(keeping, role))


@pytest.mark.parametrize("path", SOURCES)
def test_a_mapping_goes_before_the_policies_that_it_needs(path):
    """CloudFormation deletes in the order of the dependencies, turned round."""
    mapping = load(path)["Resources"]["Mapping"]
    needed = {mapping["DependsOn"], *(item["Ref"] for item in mapping["Metadata"]["ReportsWith"]["Fn::If"][1:])}
    policies = {key for key, resource in load(path)["Resources"].items() if resource["Type"] == "AWS::IAM::RolePolicy"}
    assert needed == policies


@pytest.mark.parametrize("attach", [kinesis_source, dynamodb_source, dead_letter_queue])
def test_reports_can_be_stopped_before_permissions_go(attach):
    """docs/DEPLOY.md, Removing: Enabled=false leaves every policy as it is."""
    running, stopped = attach(OLD), attach(OLD, Enabled="false")
    assert stopped.properties("Mapping")["Enabled"] == "false"
    assert running.of_type("AWS::IAM::RolePolicy") == stopped.of_type("AWS::IAM::RolePolicy")
