//! The invocation record: what Lambda sent to the on-failure destination, kept verbatim.
//!
//! Only what is needed to find the records again is interpreted, and leniently: `condition` is any string,
//! `responseContext` may be missing and is not looked at, unknown fields pass through untouched
//! (<https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html>,
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html>).

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::arn::{Source, StreamArn};
use crate::continuation::Continuation;
use crate::json::{self, Object};
use crate::sequence_number::SequenceNumber;
use crate::timestamp::Timestamp;

/// One shard's `[start, end]`, both ends inclusive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    pub start: SequenceNumber,
    pub end: SequenceNumber,
}

impl Range {
    pub fn contains(&self, number: &SequenceNumber) -> bool {
        (&self.start..=&self.end).contains(&number)
    }
}

/// A batch that an event source mapping gave up on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedBatch {
    /// The failed invocation's request id; a pipe names none.
    pub request_id: Option<String>,
    /// The function as the mapping names it, qualifier included; or the pipe.
    pub function_arn: Option<String>,
    pub condition: Option<String>,
    /// When Lambda gave up.
    pub timestamp: Option<Timestamp>,
    pub stream: StreamArn,
    pub shard_id: String,
    pub start: Option<SequenceNumber>,
    pub end: Option<SequenceNumber>,
    pub batch_size: Option<u64>,
    pub first_arrival: Option<Timestamp>,
    pub last_arrival: Option<Timestamp>,
}

impl FailedBatch {
    pub fn range(&self) -> Option<Range> {
        let (start, end) = (self.start.clone()?, self.end.clone()?);
        Some(Range { start, end })
    }

    /// No record of the batch arrived later: Lambda gave the batch up after its last record had arrived.
    pub fn latest_possible_arrival(&self) -> Option<Timestamp> {
        self.last_arrival.or(self.timestamp)
    }

    /// The same failure, delivered twice, has the same id.
    pub fn id(&self) -> String {
        let lines = [
            self.request_id.as_deref(),
            self.function_arn.as_deref(),
            Some(self.stream.as_str()),
            Some(self.shard_id.as_str()),
            self.start.as_ref().map(SequenceNumber::as_str),
            self.end.as_ref().map(SequenceNumber::as_str),
        ];
        let mut digest = Sha256::new();
        for line in lines {
            digest.update(line.unwrap_or_default());
            digest.update("\n");
        }
        hex(&digest.finalize())
    }

    /// The name of the failed function, or of the pipe.
    pub fn function_name(&self) -> Option<&str> {
        function_name(self.function_arn.as_deref()?)
    }
}

/// The name in the ARN of a function, qualified or not, or of a pipe.
pub fn function_name(arn: &str) -> Option<&str> {
    let resource = arn.splitn(6, ':').nth(5)?;
    match resource.split_once([':', '/'])? {
        ("function", name) => name.split(':').next(),
        ("pipe", name) => Some(name),
        _ => None,
    }
}

/// The SHA-256 of a text, in hexadecimal.
pub fn sha256_hex(text: &str) -> String {
    hex(&Sha256::digest(text))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An invocation record that names a failed batch.
#[derive(Debug, Clone)]
pub struct InvocationRecord {
    /// Every key, verbatim and in its order.
    pub fields: Object,
    pub batch: FailedBatch,
    /// The place to go on from, where an earlier invocation has delivered a part of the range.
    pub continuation: Option<Continuation>,
}

/// The key under which each service's batch is described.
pub fn batch_key(source: Source) -> &'static str {
    match source {
        Source::Kinesis => "KinesisBatchInfo",
        Source::DynamoDb => "DDBStreamBatchInfo",
    }
}

impl InvocationRecord {
    /// Whether an object means to be an invocation record of a stream, well-formed or not.
    pub fn is_meant_by(fields: &Object) -> bool {
        [Source::Kinesis, Source::DynamoDb].into_iter().any(|source| batch_info(fields, source).is_some())
    }

    /// Interprets an object that [is meant](Self::is_meant_by) as a record. The error says what is wrong with it,
    /// without quoting it.
    pub fn read(fields: Object) -> Result<Self, String> {
        let info = |source| batch_info(&fields, source);
        let (source, info) = match (info(Source::Kinesis), info(Source::DynamoDb)) {
            (Some(info), None) => (Source::Kinesis, info),
            (None, Some(info)) => (Source::DynamoDb, info),
            (None, None) => return Err("it has neither KinesisBatchInfo nor DDBStreamBatchInfo".to_owned()),
            (Some(_), Some(_)) => return Err("it has both KinesisBatchInfo and DDBStreamBatchInfo".to_owned()),
        };
        let key = batch_key(source);
        let info = Object::from_str(info.get()).map_err(|_| format!("{key} is not a JSON object"))?;

        let stream = info.string("streamArn").ok_or_else(|| format!("{key}.streamArn is missing or not a string"))?;
        let stream = StreamArn::parse(&stream).map_err(|error| format!("{key}.streamArn: {error}"))?;
        if stream.source() != source {
            return Err(format!("{key}.streamArn is of another service"));
        }
        let shard_id = info.string("shardId").ok_or_else(|| format!("{key}.shardId is missing or not a string"))?;
        if !is_shard_id(&shard_id) {
            return Err(format!("{key}.shardId is not a shard's id"));
        }
        let start = sequence_number(&info, key, "startSequenceNumber")?;
        let end = sequence_number(&info, key, "endSequenceNumber")?;
        if let (Some(start), Some(end)) = (&start, &end)
            && start > end
        {
            return Err(format!("{key}.startSequenceNumber is after endSequenceNumber"));
        }

        let context = object(&fields, "requestContext");
        let pipe = object(&fields, "context");
        let batch = FailedBatch {
            request_id: context.string("requestId"),
            function_arn: context.string("functionArn").or_else(|| pipe.string("partnerResourceArn")),
            condition: context.string("condition").or_else(|| pipe.string("condition")),
            timestamp: timestamp(&fields, "timestamp"),
            first_arrival: timestamp(&info, "approximateArrivalOfFirstRecord"),
            last_arrival: timestamp(&info, "approximateArrivalOfLastRecord"),
            // Anything but a count is no help in judging the range, and no reason to leave the records unread.
            batch_size: info.get("batchSize").and_then(|raw| raw.get().parse().ok()),
            stream,
            shard_id,
            start,
            end,
        };
        let continuation = Continuation::read(&fields, batch.range().as_ref());
        Ok(Self { fields, batch, continuation })
    }

    /// The records of Lambda's own S3 destination, which carries the failed event in `payload`, as a string or as an
    /// object. `None` when there is no payload or when it is no event: the stream is read then.
    pub fn payload_records(&self) -> Option<Vec<Box<RawValue>>> {
        let payload = self.fields.get("payload")?;
        let text = json::string_value(payload);
        let event = Object::from_str(text.as_deref().unwrap_or(payload.get())).ok()?;
        serde_json::from_str(event.get("Records")?.get()).ok()
    }
}

/// The description of a service's batch. `null` is none: a typed writer prints every key that it knows.
fn batch_info(fields: &Object, source: Source) -> Option<&RawValue> {
    fields.get(batch_key(source)).filter(|raw| raw.get() != "null")
}

fn object(fields: &Object, key: &str) -> Object {
    fields.get(key).and_then(|raw| Object::from_str(raw.get()).ok()).unwrap_or_default()
}

fn timestamp(fields: &Object, key: &str) -> Option<Timestamp> {
    fields.string(key).and_then(|text| Timestamp::parse(&text))
}

fn sequence_number(info: &Object, batch_key: &str, key: &str) -> Result<Option<SequenceNumber>, String> {
    match info.get(key) {
        None => Ok(None),
        Some(raw) if raw.get() == "null" => Ok(None),
        Some(_) => {
            let text = info.string(key).ok_or_else(|| format!("{batch_key}.{key} is not a string"))?;
            SequenceNumber::parse(&text).map(Some).map_err(|error| format!("{batch_key}.{key}: {error}"))
        }
    }
}

/// Kinesis: `[a-zA-Z0-9_.-]+`, up to 128 characters
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_Shard.html>); DynamoDB: up to 65.
fn is_shard_id(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 128
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

#[cfg(test)]
mod tests;
