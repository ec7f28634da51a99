"""The templates as plain CloudFormation: SAM's transform run here, and the code taken from a bucket.

    plain("template.yaml", "0.1.0")     the text that `make release` writes to dist/templates

StackSets, Terraform's aws_cloudformation_stack and the CDK's CfnInclude take no template with a transform, and none of
them uploads code. What the transform makes stays as it is, and so do parameters, conditions, outputs and exports.
"""

import copy
from unittest import mock

import yaml

from scripts.install import ROOT

TEMPLATES = [
    "template.yaml", "infra/kinesis-source.yaml", "infra/dynamodb-source.yaml", "infra/bucket-source.yaml",
    "infra/dead-letter-queue.yaml", "infra/operator.yaml", "infra/archive.yaml", "infra/demo.yaml"]
# What only SAM reads.
METADATA_OF_SAM = ("AWS::ServerlessRepo::Application", "BuildMethod", "BuildProperties", "SamResourceId")
BUCKET = {"Fn::If": ["HasCodeBucketPerRegion", {"Fn::Sub": "${CodeBucket}-${AWS::Region}"}, {"Ref": "CodeBucket"}]}


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """YAML with CloudFormation's short forms, and dates left as the strings they are."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _short_form(loader, tag, node):
    name = tag if tag in ("Ref", "Condition") else f"Fn::{tag}"
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        return {name: value.split(".", 1) if tag == "GetAtt" else value}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    return {name: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _short_form)


class _Dumper(yaml.SafeDumper):
    """YAML without anchors, which not every reader of templates knows, and with long texts as blocks."""

    def ignore_aliases(self, data):
        return True


_Dumper.add_representer(str, lambda dumper, text: dumper.represent_scalar(
    "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None))


def parse(text):
    return yaml.load(text, _Loader)  # a subclass of SafeLoader


def load(path):
    """The template as written."""
    return parse((ROOT / path).read_text())


def functions(template):
    """The names of the functions that are compiled here, by their logical ids: the folders in functions/."""
    return {
        logical_id: resource["Properties"]["CodeUri"].removeprefix("functions/")
        for logical_id, resource in template["Resources"].items() if "CodeUri" in resource.get("Properties", {})}


def transform(template, code_uri):
    """The template after SAM's transform; `code_uri` gives the place of a function's code by the function's name."""
    if "Transform" not in template:
        return template
    from samtranslator.translator.transform import transform as sam_transform

    template = copy.deepcopy(template)
    for logical_id, name in functions(template).items():
        template["Resources"][logical_id]["Properties"]["CodeUri"] = code_uri(name)
    # No credentials and no network: the managed policies that SAM would look up are none that we use.
    with mock.patch("boto3.session.Session", return_value=mock.Mock(region_name="eu-west-1")):
        return sam_transform(template, {}, mock.Mock(load=dict))


def plain(path, version):
    """The text of the plain template. One that is plain already keeps its comments."""
    text = (ROOT / path).read_text()
    template = parse(text)
    nested = [resource["Properties"] for resource in template["Resources"].values()
              if resource["Type"] == "AWS::CloudFormation::Stack"]
    if "Transform" in template or nested:
        for properties in nested:
            properties["TemplateURL"] = {"Fn::Sub": [
                "https://s3.${AWS::Region}.${AWS::URLSuffix}/${Bucket}/${CodeKeyPrefix}" + version + "/templates/"
                + properties["TemplateURL"], {"Bucket": BUCKET}]}
        template = transform(template, code_uri=lambda name: {
            "Bucket": BUCKET, "Key": {"Fn::Sub": f"${{CodeKeyPrefix}}{version}/{name}-${{Architecture}}.zip"}})
        _add_code_parameters(template)
        for owner in (template, *template["Resources"].values()):
            for key in METADATA_OF_SAM:
                owner.get("Metadata", {}).pop(key, None)
        text = f"# Version {version}. Made from {path.rsplit('/')[-1]} of the source; change it there.\n" + yaml.dump(
            template, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
    # Commands and descriptions name the other templates by the folder that they are in.
    return text.replace("infra/", "templates/")


def _add_code_parameters(template):
    """Adds where the code is. The version is in the template and in none of its parameters, since a deployment keeps the
    values that a stack has, and CloudFormation updates a function when the key of its code changes."""
    template["Parameters"].update({
        "CodeBucket": {
            "Type": "String",
            "AllowedPattern": "^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
            "ConstraintDescription": "must be the name of an S3 bucket.",
            "Description": "S3 bucket in this region that the files of the release were copied to.",
        },
        "CodeBucketPerRegion": {
            "Type": "String",
            "Default": "false",
            "AllowedValues": ["true", "false"],
            "Description":
                "true where each region has its own bucket: its name is CodeBucket, a dash, and the name of the region. "
                "One template with the same parameters then serves several regions.",
        },
        "CodeKeyPrefix": {
            "Type": "String",
            "Default": "failed-batch-hydrator/",
            "AllowedPattern": r"^([A-Za-z0-9!_.*'()-]+/)*$",
            "ConstraintDescription": "must end with a slash, or be empty.",
            "Description":
                "First part of the keys of those files, before the folder that is called as the version.",
        },
    })
    template.setdefault("Conditions", {})["HasCodeBucketPerRegion"] = {
        "Fn::Equals": [{"Ref": "CodeBucketPerRegion"}, "true"]}
    interface = template["Metadata"]["AWS::CloudFormation::Interface"]
    interface["ParameterGroups"].append({
        "Label": {"default": "Code"}, "Parameters": ["CodeBucket", "CodeBucketPerRegion", "CodeKeyPrefix"]})
    interface["ParameterLabels"].update({
        "CodeBucket": {"default": "Bucket of the release"},
        "CodeBucketPerRegion": {"default": "A bucket in each region"},
        "CodeKeyPrefix": {"default": "Folder of the releases in the bucket"}})
