"""Events and invocation records as Lambda writes them, made from a stream's records.

The event that a function gets, the invocation record that the on-failure
destination gets, and the SNS and SQS envelopes around it. Written from captures
of the real service and not from the code under test, so that each checks the
other.
"""

import base64
import json
import uuid
from datetime import datetime, timezone
from urllib.parse import quote_plus

FUNCTIONS = "arn:aws:lambda:us-east-1:123456789012:function:"
TOPIC = "arn:aws:sns:us-east-1:123456789012:failed-batches"


def text(value):
    """JSON as Lambda prints it: no spaces, every character as it is."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


# The records of the event: `record` is one of boto3's GetRecords.

def kinesis_event_record(record, stream_arn, shard_id):
    return {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": record["PartitionKey"],
            "sequenceNumber": record["SequenceNumber"],
            "data": base64.b64encode(record["Data"]).decode(),
            "approximateArrivalTimestamp":
                round(record["ApproximateArrivalTimestamp"].timestamp(), 3),
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"{shard_id}:{record['SequenceNumber']}",
        "eventName": "aws:kinesis:record",
        "awsRegion": stream_arn.split(":")[3],
        "eventSourceARN": stream_arn,
    }


def dynamodb_event_record(record, stream_arn):
    change = dict(record["dynamodb"])
    change["ApproximateCreationDateTime"] = int(change["ApproximateCreationDateTime"].timestamp())
    for image in ("Keys", "NewImage", "OldImage"):
        if image in change:
            change[image] = {name: _attribute(value) for name, value in change[image].items()}
    event = {**record, "dynamodb": change, "eventSourceARN": stream_arn}
    if identity := event.pop("userIdentity", None):
        event["userIdentity"] = {"type": identity["Type"], "principalId": identity["PrincipalId"]}
    return event


def _attribute(value):
    """An attribute value on the wire: boto3 hands out bytes where JSON has base64."""
    (kind, content), = value.items()
    if kind == "B":
        content = base64.b64encode(content).decode()
    elif kind == "BS":
        content = [base64.b64encode(item).decode() for item in content]
    elif kind == "L":
        content = [_attribute(item) for item in content]
    elif kind == "M":
        content = {name: _attribute(item) for name, item in content.items()}
    return {kind: content}


# The invocation record.

def kinesis_failure(records, stream_arn, shard_id, **changes):
    """For a batch of boto3's Kinesis records; `changes` as for `failure`."""
    return failure("KinesisBatchInfo", _batch_info(
        shard_id, stream_arn,
        [(record["SequenceNumber"], record["ApproximateArrivalTimestamp"]) for record in records],
        "milliseconds"), **changes)


def dynamodb_failure(records, stream_arn, shard_id, **changes):
    """For a batch of boto3's DynamoDB Streams records."""
    return failure("DDBStreamBatchInfo", _batch_info(
        shard_id, stream_arn,
        [(record["dynamodb"]["SequenceNumber"], record["dynamodb"]["ApproximateCreationDateTime"])
         for record in records],
        "seconds"), **changes)


def failure(kind, batch_info, *, function="order-projector", payload=None, **changes):
    """The whole record; a change to None leaves that key out."""
    record = {
        "requestContext": {
            "requestId": str(uuid.uuid4()),
            "functionArn": FUNCTIONS + function,
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 3,
        },
        "responseContext": {
            "statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "version": "1.0",
        "payload": payload,
        "timestamp": _now(),
        kind: batch_info,
    }
    record.update(changes)
    return {key: value for key, value in record.items() if value is not None}


def with_payload(record, delivered):
    """The record as Lambda writes it to S3: the whole event stands in it as a string, before the timestamp."""
    before = {key: record[key] for key in list(record)[:list(record).index("timestamp")]}
    return {**before, "payload": text({"Records": delivered}), **record}


def _batch_info(shard_id, stream_arn, places, timespec):
    return {
        "shardId": shard_id,
        "startSequenceNumber": places[0][0],
        "endSequenceNumber": places[-1][0],
        "approximateArrivalOfFirstRecord": _iso(places[0][1], timespec),
        "approximateArrivalOfLastRecord": _iso(places[-1][1], timespec),
        "batchSize": len(places),
        "streamArn": stream_arn,
    }


def _iso(instant, timespec):
    instant = instant.astimezone(timezone.utc).replace(tzinfo=None)
    return instant.isoformat(timespec=timespec) + "Z"


def _now():
    return _iso(datetime.now(timezone.utc), "milliseconds")


# The envelopes: `message` is the text of an invocation record, or a record.

def sns_event(*messages):
    """The event of a function subscribed to the topic."""
    return {"Records": [{
        "EventSource": "aws:sns",
        "EventVersion": "1.0",
        "EventSubscriptionArn": f"{TOPIC}:{uuid.uuid4()}",
        "Sns": {
            "Type": "Notification",
            "MessageId": str(uuid.uuid4()),
            "TopicArn": TOPIC,
            "Subject": None,
            "Message": message if isinstance(message, str) else text(message),
            "Timestamp": _now(),
            "SignatureVersion": "1",
            "Signature": "c2FuZGJveA==",
            "SigningCertUrl": "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0.pem",
            "UnsubscribeUrl": "https://sns.us-east-1.amazonaws.com/?Action=Unsubscribe",
            "MessageAttributes": {},
        },
    } for message in messages]}


def sqs_event(*bodies):
    """The event of a function that polls a queue."""
    return {"Records": [{
        "messageId": str(uuid.uuid4()),
        "receiptHandle": "AQEBsandbox",
        "body": body if isinstance(body, str) else text(body),
        "attributes": {
            "ApproximateReceiveCount": "1", "SentTimestamp": "1795231300000",
            "SenderId": "AIDASANDBOX", "ApproximateFirstReceiveTimestamp": "1795231300001"},
        "messageAttributes": {},
        "md5OfBody": "00000000000000000000000000000000",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:retries",
        "awsRegion": "us-east-1",
    } for body in bodies]}


def sns_notification(message):
    """The body SNS puts on a queue subscribed without raw delivery: other keys, other case."""
    return {
        "Type": "Notification",
        "MessageId": str(uuid.uuid4()),
        "TopicArn": TOPIC,
        "Message": message if isinstance(message, str) else text(message),
        "Timestamp": _now(),
        "SignatureVersion": "1",
        "Signature": "c2FuZGJveA==",
        "SigningCertURL": "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0.pem",
        "UnsubscribeURL": "https://sns.us-east-1.amazonaws.com/?Action=Unsubscribe",
    }


def async_failure(event):
    """The document Lambda sends when every try of an asynchronous invocation failed."""
    return {
        "version": "1.0",
        "timestamp": _now(),
        "requestContext": {
            "requestId": str(uuid.uuid4()),
            "functionArn": FUNCTIONS + "hydrate:$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": event,
        "responseContext": {
            "statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "responsePayload": {"errorType": "Throttled", "errorMessage": "the shard is throttled"},
    }


# Object notifications: what S3 says of an object that Lambda wrote to a mapping's S3 destination.

def s3_event(*objects, event_name="ObjectCreated:Put"):
    """S3's own event. An object is (bucket, key), or (bucket, key, version)."""
    return {"Records": [{
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": _now(),
        "eventName": event_name,
        "userIdentity": {"principalId": "AWS:AROASANDBOX:order-projector"},
        "requestParameters": {"sourceIPAddress": "192.0.2.1"},
        "responseElements": {"x-amz-request-id": "C3D13FE58DE4C810", "x-amz-id-2": "FMyUVURIY8"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "failed-batches",
            "bucket": {"name": bucket, "ownerIdentity": {"principalId": "A3NL1KOZZKExample"},
                       "arn": f"arn:aws:s3:::{bucket}"},
            # As a form is encoded: a space is a plus.
            "object": {"key": quote_plus(key, safe="/"), "size": 1024, "eTag": "d41d8cd98f00b204e9800998ecf8427e",
                       **({"versionId": version[0]} if version else {}), "sequencer": "0055AED6DCD90281E5"},
        },
    } for bucket, key, *version in objects]}


def eventbridge_event(bucket, key, version=None, detail_type="Object Created"):
    """The same through EventBridge: the key is not encoded."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": detail_type,
        "source": "aws.s3",
        "account": "123456789012",
        "time": _now(),
        "region": "us-east-1",
        "resources": [f"arn:aws:s3:::{bucket}"],
        "detail": {
            "version": "0",
            "bucket": {"name": bucket},
            "object": {"key": key, "size": 1024, "etag": "d41d8cd98f00b204e9800998ecf8427e",
                       **({"version-id": version} if version else {}), "sequencer": "0055AED6DCD90281E5"},
            "request-id": "C3D13FE58DE4C810",
            "requester": "123456789012",
            "source-ip-address": "192.0.2.1",
            "reason": "PutObject",
        },
    }


def s3_test_event(bucket):
    """What S3 sends once, when a notification is configured."""
    return {"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": _now(), "Bucket": bucket,
            "RequestId": "5582815E1AEA5ADF", "HostId": "8cLeGAmw098X5cv4Zkwcmo8vvZa3eH3eKxsPzbB9wrR"}
