"""Templates as CloudFormation sees them: transformed, with their parameters, conditions and functions resolved.

    stack = core(KmsKeyArn="arn:aws:kms:…")
    stack.resources["RetryQueue"]["Properties"]["VisibilityTimeout"]

A name or an id that CloudFormation would choose becomes a plausible value, so that policies can be checked against
ARNs of the right form. An attribute that this file does not know is an error, not a guess.
"""

import base64
import functools
import json
import re

from scripts import plain_templates
from scripts.install import ROOT
from scripts.plain_templates import TEMPLATES, load

ACCOUNT, REGION = "123456789012", "eu-west-1"
STACK = "failed-batch-hydrator"
NO_VALUE = object()


@functools.cache
def _transformed_text(path):
    return json.dumps(plain_templates.transform(load(path), code_uri=lambda name: f"s3://packages/{name}.zip"))


def transformed(path):
    """The template after SAM's transform (as sam package leaves it), still with its parameters and conditions."""
    return json.loads(_transformed_text(path))


class Stack:
    """Resources and outputs that CloudFormation would create from a template and its parameters."""

    def __init__(self, path, name, exports=None, partition="aws", region=REGION, **parameters):
        self.path, self.name, self.partition, self.region = path, name, partition, region
        self.imports = exports or {}
        self.template = transformed(path)
        declared = self.template.get("Parameters", {})
        unknown = set(parameters) - set(declared)
        assert not unknown, f"{path} has no parameter {unknown}"
        self.parameters = {}
        for parameter, properties in declared.items():
            value = parameters.get(parameter, properties.get("Default"))
            assert value is not None, f"{path} needs {parameter}"
            pattern = properties.get("AllowedPattern")
            is_list = properties["Type"] == "CommaDelimitedList"
            for item in str(value).split(",") if is_list else [str(value)]:
                assert not pattern or re.fullmatch(pattern, item), f"{parameter}={item} does not match {pattern}"
            assert value in properties.get("AllowedValues", [value]), f"{parameter}={value}"
            self.parameters[parameter] = value.split(",") if is_list else value
        self.resources = {}
        for logical_id, resource in self.template["Resources"].items():
            if self._is(resource.get("Condition")):
                self.resources[logical_id] = self.resolve(resource)
        self.outputs, self.exports = {}, {}
        for key, output in self.template.get("Outputs", {}).items():
            if self._is(output.get("Condition")):
                self.outputs[key] = self.resolve(output["Value"])
                if "Export" in output:
                    self.exports[self.resolve(output["Export"]["Name"])] = self.outputs[key]

    def of_type(self, kind):
        return {key: value for key, value in self.resources.items() if value["Type"] == kind}

    def properties(self, logical_id):
        return self.resources[logical_id]["Properties"]

    def rules_hold(self):
        """True if the template's Rules accept the parameters."""
        for rule in self.template.get("Rules", {}).values():
            if "RuleCondition" in rule and not self._test(rule["RuleCondition"]):
                continue
            if not all(self._test(assertion["Assert"]) for assertion in rule["Assertions"]):
                return False
        return True

    def resolve(self, value):
        if isinstance(value, list):
            return [item for item in map(self.resolve, value) if item is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (function, argument), = value.items()
            if function == "Ref":
                return self._ref(argument)
            if function.startswith("Fn::"):
                return getattr(self, "_" + function[4:].lower())(argument)
        pairs = ((key, self.resolve(item)) for key, item in value.items())
        return {key: item for key, item in pairs if item is not NO_VALUE}

    def arn(self, service, rest, account=ACCOUNT):
        region = "" if service in ("s3", "iam") else self.region
        return f"arn:{self.partition}:{service}:{region}:{'' if service == 's3' else account}:{rest}"

    def physical_name(self, logical_id):
        fixed = {"AWS::Logs::LogGroup": ["LogGroupName"], "AWS::Athena::WorkGroup": ["Name"],
                 "AWS::Glue::Database": ["DatabaseInput", "Name"]}
        resource = self.template["Resources"][logical_id]
        if resource["Type"] in fixed:
            return self.resolve(functools.reduce(dict.get, fixed[resource["Type"]], resource["Properties"]))
        name = f"{self.name}-{logical_id}-1A2B3C4D5E6F"
        is_queue = resource["Type"] == "AWS::SQS::Queue"
        if is_queue and self.resolve(resource["Properties"].get("FifoQueue", False)) is True:
            name += ".fifo"
        return name.lower() if resource["Type"] == "AWS::S3::Bucket" else name

    # The functions of CloudFormation, by their names.

    def _ref(self, name):
        pseudo = {
            "AWS::NoValue": NO_VALUE, "AWS::Region": self.region, "AWS::AccountId": ACCOUNT,
            "AWS::Partition": self.partition, "AWS::StackName": self.name,
            "AWS::URLSuffix": "amazonaws.com.cn" if self.partition == "aws-cn" else "amazonaws.com",
            "AWS::StackId": self.arn("cloudformation", f"stack/{self.name}/0f6f4f30-0000-11f0-8000-0a1b2c3d4e5f"),
        }
        if name in pseudo:
            return pseudo[name]
        if name in self.parameters:
            return self.parameters[name]
        kind = self.template["Resources"][name]["Type"]
        assert self._is(self.template["Resources"][name].get("Condition")), f"{name} is referred to but not made"
        if kind == "AWS::SNS::Topic":
            return self._getatt([name, "TopicArn"])
        if kind == "AWS::SQS::Queue":
            suffix = self._ref("AWS::URLSuffix")
            return f"https://sqs.{self.region}.{suffix}/{ACCOUNT}/{self.physical_name(name)}"
        if kind == "AWS::IAM::ManagedPolicy":
            return f"arn:{self.partition}:iam::{ACCOUNT}:policy/{self.physical_name(name)}"
        if kind == "AWS::Lambda::EventSourceMapping":
            return "11111111-2222-3333-4444-555555555555"
        return self.physical_name(name)

    def _getatt(self, argument):
        name, attribute = argument.split(".", 1) if isinstance(argument, str) else argument
        resource = self.template["Resources"][name]
        assert self._is(resource.get("Condition")), f"{name}.{attribute} is referred to but {name} is not made"
        physical = self.physical_name(name)
        known = {
            ("AWS::KMS::Key", "Arn"): self.arn("kms", "key/11112222-3333-4444-5555-666677778888"),
            ("AWS::SNS::Topic", "TopicArn"): self.arn("sns", physical),
            ("AWS::SNS::Topic", "TopicName"): physical,
            ("AWS::SQS::Queue", "Arn"): self.arn("sqs", physical),
            ("AWS::SQS::Queue", "QueueName"): physical,
            ("AWS::S3::Bucket", "Arn"): self.arn("s3", physical),
            ("AWS::IAM::Role", "Arn"): f"arn:{self.partition}:iam::{ACCOUNT}:role/{physical}",
            ("AWS::Logs::LogGroup", "Arn"): self.arn("logs", f"log-group:{physical}:*"),
            ("AWS::Lambda::Function", "Arn"): self.arn("lambda", f"function:{physical}"),
            ("AWS::CloudWatch::Alarm", "Arn"): self.arn("cloudwatch", f"alarm:{physical}"),
            ("AWS::Events::Rule", "Arn"): self.arn("events", f"rule/{physical}"),
            ("AWS::Kinesis::Stream", "Arn"): self.arn("kinesis", f"stream/{physical}"),
            ("AWS::DynamoDB::Table", "Arn"): self.arn("dynamodb", f"table/{physical}"),
            ("AWS::DynamoDB::Table", "StreamArn"):
                self.arn("dynamodb", f"table/{physical}/stream/2026-11-21T08:00:00.000"),
        }
        return known[resource["Type"], attribute]

    def _sub(self, argument):
        text, given = (argument, {}) if isinstance(argument, str) else argument
        given = {key: self.resolve(item) for key, item in given.items()}

        def replace(match):
            name = match.group(1)
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            if name in given:
                return str(given[name])
            return str(self._getatt(name) if "." in name else self._ref(name))

        return re.sub(r"\$\{([^}]+)\}", replace, text)

    def _if(self, argument):
        condition, yes, no = argument
        return self.resolve(yes if self._is(condition) else no)

    def _select(self, argument):
        index, items = argument
        return self.resolve(items)[int(index)]

    def _split(self, argument):
        separator, text = argument
        return self.resolve(text).split(separator)

    def _join(self, argument):
        separator, items = argument
        return separator.join(self.resolve(items))

    def _base64(self, argument):
        return base64.b64encode(self.resolve(argument).encode()).decode()

    def _importvalue(self, argument):
        return self.imports[self.resolve(argument)]

    def _is(self, condition):
        return condition is None or self._test(self.template["Conditions"][condition])

    def _test(self, expression):
        (function, argument), = expression.items()
        if function == "Condition":
            return self._is(argument)
        if function == "Fn::Equals":
            one, other = map(self.resolve, argument)
            return str(one) == str(other)
        if function == "Fn::Not":
            return not self._test(argument[0])
        return {"Fn::And": all, "Fn::Or": any}[function](map(self._test, argument))


def core(**parameters):
    """The hydrator's stack."""
    return Stack("template.yaml", STACK, **parameters)


KINESIS_STREAM = f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/orders"
TABLE_STREAM = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/orders/stream/2026-11-21T08:00:00.000"


def operators(hydrator, **parameters):
    """The policies for people who use the tool."""
    return Stack("infra/operator.yaml", "orders-operators", exports=hydrator.exports, **{
        "HydratorStackName": hydrator.name, "FunctionNamePrefix": "orders", **parameters})


def archive(hydrator, **parameters):
    """The tables, views and queries over the archive."""
    return Stack("infra/archive.yaml", "failed-batch-archive", exports=hydrator.exports, **{
        "HydratorStackName": hydrator.name, "FunctionNames": "orders,payments", **parameters})


def kinesis_source(hydrator, **parameters):
    return _source("infra/kinesis-source.yaml", hydrator, {"StreamArn": KINESIS_STREAM, **parameters})


def dynamodb_source(hydrator, **parameters):
    return _source("infra/dynamodb-source.yaml", hydrator, {"StreamArn": TABLE_STREAM, **parameters})


BUCKET = "failed-orders"
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:orders-dlq"


def bucket_source(hydrator, **parameters):
    """A bucket of the user's own, attached."""
    return Stack("infra/bucket-source.yaml", "failed-orders-bucket", exports=hydrator.exports, **{
        "HydratorStackName": hydrator.name, "BucketName": BUCKET, **parameters})


def dead_letter_queue(hydrator, **parameters):
    """A queue that a mapping reports to already, attached."""
    return Stack("infra/dead-letter-queue.yaml", "orders-dlq-hydrated", exports=hydrator.exports, **{
        "HydratorStackName": hydrator.name, "QueueArn": QUEUE, **parameters})


def _source(path, hydrator, parameters):
    return Stack(path, "orders-failed-batches", exports=hydrator.exports, **{
        "HydratorStackName": hydrator.name, "FunctionName": "orders", "FunctionRoleName": "orders-role", **parameters})
