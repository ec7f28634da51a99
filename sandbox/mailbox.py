"""The queue of hydrated messages, and the bucket for those that are too large for it."""

import json
import uuid
from dataclasses import dataclass
from functools import cache

import jsonschema

from scripts import install

SCHEMA = install.ROOT / "schema" / "hydrated-message.v1.schema.json"
POINTER_CLASS = "software.amazon.payloadoffloading.PayloadS3Pointer"


@dataclass
class Message:
    """One message as it was received; `text` is the hydrated message, from the queue or from the bucket."""

    message_id: str
    text: str
    attributes: dict
    group: str = None
    deduplication: str = None
    overflow: str = None
    size: int = 0

    @property
    def body(self):
        return json.loads(self.text)

    @property
    def hydration(self):
        return self.body["hydration"]

    @property
    def records(self):
        return self.body["Records"]


class Mailbox:
    """A new queue, and a new bucket unless `bucket` is False."""

    def __init__(self, aws, name=None, bucket=True, fifo=False, maximum_bytes=None):
        self._sqs, self._s3 = aws.client("sqs"), aws.client("s3")
        name = name or f"hydrated-{uuid.uuid4().hex[:12]}"
        attributes = {"MaximumMessageSize": str(maximum_bytes)} if maximum_bytes else {}
        if fifo:
            attributes["FifoQueue"] = "true"
        queue = name + (".fifo" if fifo else "")
        self.url = self._sqs.create_queue(QueueName=queue, Attributes=attributes)["QueueUrl"]
        self.bucket = f"{name}-overflow" if bucket else None
        if bucket:
            self._s3.create_bucket(Bucket=self.bucket)

    def environment(self):
        """The function's variables that name this mailbox."""
        variables = {"QUEUE_URL": self.url}
        return {**variables, "OVERFLOW_BUCKET": self.bucket} if self.bucket else variables

    def receive(self):
        """Takes every message off the queue, follows pointers, and checks each against the schema."""
        received = []
        while page := self._receive(self._sqs):
            for message in page:
                self._sqs.delete_message(
                    QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
                received.append(self._read(message))
        for message in received:
            check(message.body)
        return received

    def receive_with_stock_client(self):
        """The bodies as AWS's extended client for Python returns them."""
        from sqs_extended_client import SQSExtendedClientSession
        client = SQSExtendedClientSession().client("sqs")
        client.large_payload_support = self.bucket
        return [message["Body"] for message in self._receive(client, visibility=0)]

    def objects(self):
        """The keys in the overflow bucket."""
        listed = self._s3.list_objects_v2(Bucket=self.bucket)
        return [item["Key"] for item in listed.get("Contents", [])]

    def contents(self):
        """The objects in the overflow bucket, byte for byte, by their keys."""
        read = lambda key: self._s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()  # noqa: E731
        return {key: read(key) for key in self.objects()}

    def _receive(self, client, visibility=60):
        return client.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=10, VisibilityTimeout=visibility,
            MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"],
        ).get("Messages", [])

    def _read(self, message):
        attributes = message.get("MessageAttributes", {})
        values = {name: attribute["StringValue"] for name, attribute in attributes.items()}
        assert {name: attribute["DataType"] for name, attribute in attributes.items()} == {
            name: "Number" if name in ("recordCount", "ExtendedPayloadSize") else "String"
            for name in attributes}
        text, overflow = message["Body"], None
        if "ExtendedPayloadSize" in values:
            pointer_class, place = json.loads(text)
            assert pointer_class == POINTER_CLASS, pointer_class
            overflow = f"s3://{place['s3BucketName']}/{place['s3Key']}"
            stored = self._s3.get_object(Bucket=place["s3BucketName"], Key=place["s3Key"])
            text = stored["Body"].read().decode()
            assert int(values["ExtendedPayloadSize"]) == len(text.encode())
        return Message(
            message["MessageId"], text, values,
            group=message["Attributes"].get("MessageGroupId"),
            deduplication=message["Attributes"].get("MessageDeduplicationId"),
            overflow=overflow, size=_size(message["Body"], attributes))


def check(body):
    """Raises unless the body is a hydrated message, version 1."""
    _validator().validate(body)


@cache
def _validator():
    schema = json.loads(SCHEMA.read_text())
    return jsonschema.Draft202012Validator(schema)


def _size(body, attributes):
    """Bytes as SQS counts them: the body, and each attribute's name, type and value."""
    parts = [body]
    for name, attribute in attributes.items():
        parts += [name, attribute["DataType"], attribute["StringValue"]]
    return sum(len(part.encode()) for part in parts)
