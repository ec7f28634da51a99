"""Asks IAM policies what they allow: enough of IAM's rules for the policies in this repository, and an error beyond."""

import fnmatch
import json
import re


def statements(document):
    found = document["Statement"]
    return found if isinstance(found, list) else [found]


def listed(value):
    return value if isinstance(value, list) else [value]


def grants(documents):
    """Every (action, resource) that the documents allow, as written."""
    return {
        (action, resource)
        for document in documents
        for statement in statements(document)
        if statement["Effect"] == "Allow"
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
    }


def role_documents(stack, role):
    """The policies that a stack gives a role: in the role itself, and as resources of their own that name it."""
    found = []
    for logical_id, resource in stack.resources.items():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::IAM::Role" and stack.physical_name(logical_id) == role:
            found += [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
            assert not properties.get("ManagedPolicyArns"), "managed policies say more than they are read to say"
        if resource["Type"] == "AWS::IAM::RolePolicy" and properties["RoleName"] == role:
            found.append(properties["PolicyDocument"])
    return found


def decide(documents, action, resource, principal=None, **context):
    """'deny', 'allow', or None when no statement says anything. `context` keys use `_` for `:`."""
    context = {key.replace("_", ":", 1).lower(): value for key, value in context.items()}
    decision = None
    for document in documents:
        for statement in statements(document):
            if not any(_like(action.lower(), pattern.lower()) for pattern in listed(statement["Action"])):
                continue
            if not any(_like(resource, pattern) for pattern in listed(statement["Resource"])):
                continue
            if "Principal" in statement and not _is_principal(statement["Principal"], principal):
                continue
            if not _conditions_hold(statement.get("Condition", {}), context):
                continue
            if statement["Effect"] == "Deny":
                return "deny"
            decision = "allow"
    return decision


def _like(value, pattern):
    return fnmatch.fnmatchcase(value, pattern.replace("[", "[[]"))


def _is_principal(stated, principal):
    if stated == "*":
        return True
    (kind, names), = stated.items()
    return principal in listed(names) or (kind == "AWS" and "*" in listed(names))


def _conditions_hold(conditions, context):
    for operator, tests in conditions.items():
        for key, patterns in tests.items():
            value = context.get(key.lower())
            patterns = [str(pattern) for pattern in listed(patterns)]
            match operator:
                case "Bool":
                    holds = value is not None and str(value).lower() in patterns
                case "StringEquals":
                    holds = value in patterns
                case "ArnEquals" | "ArnLike" | "StringLike":
                    holds = value is not None and any(_like(value, pattern) for pattern in patterns)
                case "StringLikeIfExists":
                    holds = value is None or any(_like(value, pattern) for pattern in patterns)
                # A negated operator holds when the key is absent.
                case "ArnNotLike" | "StringNotLike":
                    holds = value is None or not any(_like(value, pattern) for pattern in patterns)
                case _:
                    raise NotImplementedError(operator)
            if not holds:
                return False
    return True


def inline_size(documents):
    """Characters that IAM counts against a role's 10,240 for inline policies: all but white space."""
    return sum(len(re.sub(r"\s", "", json.dumps(document))) for document in documents)
