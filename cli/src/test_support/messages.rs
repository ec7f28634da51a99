//! A builder of hydrated messages of a Kinesis stream, as the contract has them.

use hydration::invocation_record::sha256_hex;
use hydration::object_key::ObjectName;
use hydration::timestamp::Timestamp;
use hydration::verdict::Status;

use crate::test_support::bucket::{InMemoryBucket, WriteIf};
use crate::test_support::clock::START;
use crate::test_support::queue::NewMessage;

const STREAM_ARN: &str = "arn:aws:kinesis:us-east-1:123456789012:stream/orders";
pub const BUCKET: &str = "overflow";

/// The arrival of the last record of every batch.
const LAST_ARRIVAL: &str = "2026-11-21T10:00:01Z";

fn minutes_before_start(minutes: i64) -> String {
    Timestamp::parse(START).unwrap().plus_millis(-60_000 * minutes).rfc3339()
}

/// A failed batch with two records, `Complete`, an hour old. Each field may be changed before `message`.
#[derive(Debug, Clone)]
pub struct TestBatch {
    /// Two hex digits, which are repeated to the length of an id.
    pub id: &'static str,
    /// The digest, the number, and whether it is the last part.
    pub part: Option<TestPart>,
    pub function: &'static str,
    pub version: &'static str,
    pub status: &'static str,
    pub shard: usize,
    /// The sequence number of the first record; the others follow it.
    pub first: u64,
    pub records: Vec<String>,
    pub expected: Option<u64>,
    pub failed_minutes_ago: Option<i64>,
}

#[derive(Debug, Clone, Copy)]
pub struct TestPart {
    pub digest: &'static str,
    pub number: u32,
    pub is_last: bool,
}

pub fn batch(id: &'static str) -> TestBatch {
    TestBatch {
        id,
        part: None,
        function: "order-projector",
        version: "$LATEST",
        status: "Complete",
        shard: 0,
        first: 100,
        records: vec![r#"{"n":1}"#.to_owned(), r#"{"n":2}"#.to_owned()],
        expected: None,
        failed_minutes_ago: Some(60),
    }
}

/// A batch of which no record is left.
pub fn expired(id: &'static str) -> TestBatch {
    TestBatch { status: "Expired", records: Vec::new(), expected: Some(2), ..batch(id) }
}

impl TestBatch {
    pub fn id(&self) -> String {
        let batch_id = self.id.repeat(32);
        self.part.map_or(batch_id.clone(), |part| format!("{batch_id}-{}", part.digest))
    }

    pub fn function_arn(&self) -> String {
        format!("arn:aws:lambda:us-east-1:123456789012:function:{}", self.function)
    }

    fn shard_id(&self) -> String {
        format!("shardId-{:012}", self.shard)
    }

    /// Sequence numbers of the records.
    pub fn numbers(&self) -> Vec<u64> {
        (self.first..).take(self.records.len()).collect()
    }

    /// The event that Lambda delivered.
    pub fn event(&self) -> String {
        format!(r#"{{"Records":[{}]}}"#, self.record_texts())
    }

    fn record_texts(&self) -> String {
        let shard_id = self.shard_id();
        let texts: Vec<String> = self
            .numbers()
            .iter()
            .zip(&self.records)
            .map(|(number, data)| {
                let data = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, data);
                format!(
                    r#"{{"kinesis":{{"kinesisSchemaVersion":"1.0","partitionKey":"key-{number}","sequenceNumber":"{number}","data":"{data}","approximateArrivalTimestamp":1795258800.5}},"eventSource":"aws:kinesis","eventVersion":"1.0","eventID":"{shard_id}:{number}","eventName":"aws:kinesis:record","awsRegion":"us-east-1","eventSourceARN":"{STREAM_ARN}"}}"#
                )
            })
            .collect();
        texts.join(",")
    }

    pub fn body(&self) -> String {
        let failed_at = self.failed_minutes_ago.map(minutes_before_start);
        let timestamp = failed_at.map_or(String::new(), |at| format!(r#""timestamp":"{at}","#));
        let (numbers, count) = (self.numbers(), self.records.len() as u64);
        let (first, last) = (self.first, self.first + count.max(1) - 1);
        let expected = self.expected.unwrap_or(count);
        let mut hydration = format!(r#""version":1,"id":"{}","status":"{}""#, self.id(), self.status);
        if self.status != "Complete" {
            hydration += &format!(r#","reason":"It is {}.""#, self.status);
        }
        hydration += &format!(r#","expectedRecords":{expected},"recoveredRecords":{count}"#);
        if expected > count {
            hydration += &format!(r#","missingRecords":{}"#, expected - count);
        }
        if !numbers.is_empty() {
            hydration += &format!(r#","firstSequenceNumber":"{first}","lastSequenceNumber":"{last}""#);
        }
        hydration += r#","source":"kinesis","origin":"stream","hydratedAt":"2026-11-21T11:30:00.000Z""#;
        if let Some(part) = self.part {
            hydration += &format!(r#","part":{{"number":{},"last":{}}}"#, part.number, part.is_last);
        }
        format!(
            r#"{{"requestContext":{{"requestId":"request-{id}","functionArn":"{function}","condition":"RetryAttemptsExhausted","approximateInvokeCount":3}},"responseContext":{{"statusCode":200,"executedVersion":"{version}","functionError":"Unhandled"}},"version":"1.0",{timestamp}"KinesisBatchInfo":{{"shardId":"{shard_id}","startSequenceNumber":"{first}","endSequenceNumber":"{last}","approximateArrivalOfFirstRecord":"2026-11-21T10:00:00Z","approximateArrivalOfLastRecord":"{LAST_ARRIVAL}","batchSize":{expected},"streamArn":"{STREAM_ARN}"}},"hydration":{{{hydration},"decodedView":"off"}},"Records":[{records}]}}"#,
            id = self.id,
            function = self.function_arn(),
            version = self.version,
            shard_id = self.shard_id(),
            records = self.record_texts(),
        )
    }

    pub fn message(&self) -> NewMessage {
        let attributes = [
            ("hydrationId", self.id()),
            ("hydrationStatus", self.status.to_owned()),
            ("source", "kinesis".to_owned()),
            ("functionArn", self.function_arn()),
            ("condition", "RetryAttemptsExhausted".to_owned()),
            ("streamArn", STREAM_ARN.to_owned()),
            ("shardId", self.shard_id()),
            ("recordCount", self.records.len().to_string()),
        ];
        NewMessage {
            body: self.body(),
            attributes: attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            ..NewMessage::default()
        }
    }

    /// The message on a FIFO queue, in the group of its shard.
    pub fn fifo_message(&self) -> NewMessage {
        NewMessage { group: Some(format!("orders/{}", self.shard_id())), ..self.message() }
    }

    /// The key in the archive: a record without a time is under the day of its last arrival.
    pub fn archive_key(&self) -> String {
        let failed_at = self.failed_minutes_ago.map_or(LAST_ARRIVAL.to_owned(), minutes_before_start);
        let digest =
            self.part.map_or_else(|| sha256_hex(&self.record_texts())[..16].to_owned(), |part| part.digest.to_owned());
        let status = Status::ALL.into_iter().find(|status| status.as_str() == self.status).unwrap();
        let name = ObjectName { batch_id: &self.id.repeat(32), digest: &digest, status };
        name.key(self.function, Timestamp::parse(&failed_at).unwrap())
    }

    /// Writes the message to the archive, as the function does.
    pub fn archive(&self, bucket: &InMemoryBucket) {
        bucket.put(&self.archive_key(), self.body(), WriteIf::Absent).unwrap();
    }

    pub fn overflow_key(&self) -> String {
        format!("hydrated/{}/{}.json", self.function, self.id())
    }

    /// A pointer, and the object that it points to in the bucket.
    pub fn overflow_message(&self, bucket: &InMemoryBucket) -> NewMessage {
        self.pointer_to(self.overflow_key(), bucket)
    }

    /// The same, with the object at its place in the archive.
    pub fn archived_message(&self, bucket: &InMemoryBucket) -> NewMessage {
        self.pointer_to(self.archive_key(), bucket)
    }

    fn pointer_to(&self, key: String, bucket: &InMemoryBucket) -> NewMessage {
        let mut message = self.message();
        bucket.put(&key, message.body.as_bytes(), WriteIf::Absent).unwrap();
        message.attributes.insert(hydration::message::POINTER_ATTRIBUTE.to_owned(), message.body.len().to_string());
        message.body = format!(
            r#"["software.amazon.payloadoffloading.PayloadS3Pointer",{{"s3BucketName":"{BUCKET}","s3Key":"{key}"}}]"#
        );
        message
    }
}
