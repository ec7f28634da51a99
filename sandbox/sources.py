"""A Kinesis stream and a DynamoDB table on the emulators, filled and read back.

For a batch of their records both give what Lambda would send: `delivered`, the
records of the event, and `failure`, the invocation record.
"""

import time

from sandbox import as_lambda

PUT_RECORDS_COUNT, PUT_RECORDS_BYTES = 500, 4_000_000


class KinesisStream:
    def __init__(self, aws, name, shards=1, region="us-east-1"):
        self._kinesis = aws.client("kinesis", region)
        self.name, self._shards = name, shards
        self.shard_id = "shardId-000000000000"
        self._create()

    def put(self, items):
        """Puts (partition key, data) in this order; returns the shard's records so far."""
        batch, size = [], 0
        for key, data in items:
            if batch and (len(batch) == PUT_RECORDS_COUNT or size + len(data) > PUT_RECORDS_BYTES):
                self._put(batch)
                batch, size = [], 0
            batch.append({"PartitionKey": key, "Data": data})
            size += len(data)
        self._put(batch)
        return self.records()

    def records(self):
        """Every record of the shard, as boto3's GetRecords gives them."""
        iterator = self._kinesis.get_shard_iterator(
            StreamARN=self.arn, ShardId=self.shard_id, ShardIteratorType="TRIM_HORIZON",
        )["ShardIterator"]
        records = []
        while iterator:
            page = self._kinesis.get_records(ShardIterator=iterator, StreamARN=self.arn)
            records += page["Records"]
            iterator = page.get("NextShardIterator") if page["Records"] else None
        return records

    def split(self):
        """Closes the shard; later records go to its children."""
        middle = str(2 ** 127)
        self._kinesis.split_shard(
            StreamARN=self.arn, ShardToSplit=self.shard_id, NewStartingHashKey=middle)
        _until(self._active)

    def delete(self):
        self._kinesis.delete_stream(StreamARN=self.arn, EnforceConsumerDeletion=True)
        _until(self._absent)

    def recreate(self):
        """Deletes the stream and makes another of the same name."""
        self.delete()
        # Sequence numbers begin with the second of the stream's creation.
        time.sleep(1.1)
        self._create()

    def delivered(self, records, arn=None):
        return [as_lambda.kinesis_event_record(record, arn or self.arn, self.shard_id)
                for record in records]

    def failure(self, records, arn=None, **changes):
        return as_lambda.kinesis_failure(records, arn or self.arn, self.shard_id, **changes)

    def _create(self):
        self._kinesis.create_stream(StreamName=self.name, ShardCount=self._shards)
        self.arn = _until(self._active)

    def _put(self, batch):
        answer = self._kinesis.put_records(StreamARN=self.arn, Records=batch)
        assert not answer["FailedRecordCount"], answer

    def _active(self):
        summary = self._kinesis.describe_stream_summary(StreamName=self.name)
        summary = summary["StreamDescriptionSummary"]
        return summary["StreamStatus"] == "ACTIVE" and summary["StreamARN"]

    def _absent(self):
        try:
            self._kinesis.describe_stream_summary(StreamName=self.name)
        except self._kinesis.exceptions.ResourceNotFoundException:
            return True


class Table:
    """A table whose key is the string attribute `id`."""

    def __init__(self, aws, name, view="NEW_AND_OLD_IMAGES"):
        self._table = aws.client("dynamodb")
        self._streams = aws.client("dynamodbstreams")
        self.name = name
        self.arn = self._table.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": view},
        )["TableDescription"]["LatestStreamArn"]
        stream = self._streams.describe_stream(StreamArn=self.arn)["StreamDescription"]
        self.shard_id = stream["Shards"][0]["ShardId"]

    def put(self, item):
        self._table.put_item(TableName=self.name, Item=item)

    def remove(self, key):
        self._table.delete_item(TableName=self.name, Key={"id": {"S": key}})

    def delete(self):
        self._table.delete_table(TableName=self.name)

    def records(self):
        """Every change, as boto3's GetRecords gives them."""
        iterator = self._streams.get_shard_iterator(
            StreamArn=self.arn, ShardId=self.shard_id, ShardIteratorType="TRIM_HORIZON",
        )["ShardIterator"]
        return self._streams.get_records(ShardIterator=iterator)["Records"]

    def delivered(self, records):
        return [as_lambda.dynamodb_event_record(record, self.arn) for record in records]

    def failure(self, records, **changes):
        return as_lambda.dynamodb_failure(records, self.arn, self.shard_id, **changes)


def _until(condition, seconds=10):
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if result := condition():
            return result
        time.sleep(0.02)
    raise TimeoutError(f"{condition.__qualname__} did not come true in {seconds} s")
