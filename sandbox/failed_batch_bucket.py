"""A bucket that is the S3 destination of event source mappings."""

import json
import uuid
from urllib.parse import unquote_plus

from sandbox import as_lambda
from scripts import install

EVENTS = install.ROOT / "events"
MAPPING = "0b1d2c3e-5f60-4718-8293-a4b5c6d7e8f9"


class FailedBatchBucket:
    def __init__(self, aws, name=None, versioned=False):
        self._s3 = aws.client("s3")
        self.name = name or f"failed-batches-{uuid.uuid4().hex[:12]}"
        self._s3.create_bucket(Bucket=self.name)
        if versioned:
            self._s3.put_bucket_versioning(Bucket=self.name, VersioningConfiguration={"Status": "Enabled"})

    def put(self, content, key=None):
        """Writes an object as Lambda does, and returns where: (bucket, key), or (bucket, key, version)."""
        if isinstance(content, dict):
            key = key or lambda_key(content)
            content = as_lambda.text(content)
        if isinstance(content, str):
            content = content.encode()
        key = key or str(uuid.uuid4())
        answer = self._s3.put_object(
            Bucket=self.name, Key=key, Body=content, ContentType="application/octet-stream")
        version = answer.get("VersionId")
        return (self.name, key, version) if version else (self.name, key)

    def delete(self, key):
        self._s3.delete_object(Bucket=self.name, Key=key)


def lambda_key(record):
    """The key that Lambda chooses for an invocation record."""
    info = record.get("KinesisBatchInfo") or record["DDBStreamBatchInfo"]
    day, time = record["timestamp"][:19].split("T")
    return (f"aws/lambda/{MAPPING}/{info['shardId']}/{day.replace('-', '/')}/"
            f"{day}T{time.replace(':', '.')}-{uuid.uuid4()}")


def put_samples(aws):
    """Writes the objects that the notifications under events/ name."""
    records = json.loads((EVENTS / "s3-several-objects.json").read_text())["Records"]
    failed, note = ((record["s3"]["bucket"]["name"], unquote_plus(record["s3"]["object"]["key"])) for record in records)
    bucket = FailedBatchBucket(aws, failed[0])
    bucket.put(json.loads((EVENTS / "direct-payload-string.json").read_text()), failed[1])
    bucket.put("The projector was rolled back on Friday evening. No alarm.", note[1])


def place(where):
    """What `hydration.object` says of it."""
    return f"s3://{where[0]}/{where[1]}"
