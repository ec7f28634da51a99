//! The invocation record: the document that Lambda sends to the on-failure destination. It is kept verbatim.
//!
//! Only the fields that locate the records are interpreted. `condition` may be any string, `responseContext` may be
//! missing, and unknown fields are kept
//! (<https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html>,
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html>).

use std::borrow::Borrow;

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::arn::{Source, StreamArn};
use crate::continuation::Continuation;
use crate::drill::is_drill;
use crate::function_response::FunctionResponse;
use crate::json::{self, BorrowedObject, Object, write_string};
use crate::sequence_number::SequenceNumber;
use crate::timestamp::Timestamp;

/// A range of sequence numbers of one shard. Both ends are inclusive.
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
    /// The request id of the failed invocation. A pipe names none.
    pub request_id: Option<String>,
    /// The ARN of the function with its qualifier, as the mapping names it, or of the pipe.
    pub function_arn: Option<String>,
    pub condition: Option<String>,
    pub response: FunctionResponse,
    /// The time at which Lambda gave up.
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

    /// The latest time at which the batch's last record can have arrived. Lambda gave up after it had arrived.
    pub fn latest_possible_arrival(&self) -> Option<Timestamp> {
        self.last_arrival.or(self.timestamp)
    }

    /// The id of the batch. It is the same when Lambda reports the same failure twice.
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

    /// Returns true for the batch of a drill, which no function has failed on.
    pub fn is_drill(&self) -> bool {
        is_drill(self.condition.as_deref())
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
    /// Every key but `payload`, verbatim and in its order.
    pub fields: Object,
    /// The event of the failed invocation, as JSON. Lambda writes it to its S3 destination only, as a string. A JSON
    /// object is read too.
    pub payload: Option<String>,
    /// `s3://bucket/key`, if the record was read from an object.
    pub object: Option<String>,
    pub batch: FailedBatch,
    /// Present if an earlier invocation has delivered parts of the range.
    pub continuation: Option<Continuation>,
}

/// The key of the object that describes the batch.
pub fn batch_key(source: Source) -> &'static str {
    match source {
        Source::Kinesis => "KinesisBatchInfo",
        Source::DynamoDb => "DDBStreamBatchInfo",
    }
}

/// The first or the last record of a batch: its sequence number and its arrival.
pub(crate) type BatchEnd = (SequenceNumber, Option<Timestamp>);

#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchEnds<'a> {
    pub first: &'a BatchEnd,
    pub last: &'a BatchEnd,
}

/// Writes the key and the object that describe a batch, as Lambda does.
pub(crate) fn write_batch_info(stream: &StreamArn, shard_id: &str, ends: BatchEnds<'_>, count: u64, out: &mut String) {
    out.push_str(&format!(r#""{}":{{"shardId":"#, batch_key(stream.source())));
    write_string(shard_id, out);
    let BatchEnds { first: (start, first_arrival), last: (end, last_arrival) } = ends;
    out.push_str(&format!(r#","startSequenceNumber":"{start}","endSequenceNumber":"{end}""#));
    let arrivals =
        [("approximateArrivalOfFirstRecord", first_arrival), ("approximateArrivalOfLastRecord", last_arrival)];
    for (key, arrival) in arrivals {
        if let Some(arrival) = arrival {
            // Lambda writes the whole seconds of DynamoDB without milliseconds.
            let text = match stream.source() {
                Source::Kinesis => arrival.rfc3339(),
                Source::DynamoDb => arrival.rfc3339_seconds(),
            };
            out.push_str(&format!(r#","{key}":"{text}""#));
        }
    }
    out.push_str(&format!(r#","batchSize":{count},"streamArn":"#));
    write_string(stream.as_str(), out);
    out.push('}');
}

impl InvocationRecord {
    /// Returns true if an object describes a batch of a stream, correctly or not.
    pub fn has_batch_info<V: Borrow<RawValue>>(fields: &Object<V>) -> bool {
        [Source::Kinesis, Source::DynamoDb].into_iter().any(|source| batch_info(fields, source).is_some())
    }

    /// Interprets an invocation record. Its fields are copied without the payload, which may be large and is kept once.
    pub fn from_borrowed(fields: &BorrowedObject<'_>) -> Result<Self, String> {
        let record = Self::from_fields(fields.to_owned_without("payload"))?;
        let text = |raw| json::string_value(raw).unwrap_or_else(|| raw.get().to_owned());
        Ok(Self { payload: fields.get("payload").map(text), ..record })
    }

    /// Interprets the fields of an invocation record. The error says which field is wrong, without its value.
    pub fn from_fields(fields: Object) -> Result<Self, String> {
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
            response: FunctionResponse::from_fields(&fields),
            timestamp: timestamp(&fields, "timestamp"),
            first_arrival: timestamp(&info, "approximateArrivalOfFirstRecord"),
            last_arrival: timestamp(&info, "approximateArrivalOfLastRecord"),
            // A batch size that is not a number is ignored: the records can be read without it.
            batch_size: info.get("batchSize").and_then(|raw| raw.get().parse().ok()),
            stream,
            shard_id,
            start,
            end,
        };
        let continuation = Continuation::from_fields(&fields, batch.range().as_ref());
        let object = continuation.as_ref().and_then(|continuation| continuation.object.clone());
        Ok(Self { fields, payload: None, object, batch, continuation })
    }

    /// The records in `payload`. `None` if there is no payload or if it is not an event.
    pub fn payload_records(&self) -> Option<Vec<&RawValue>> {
        let event = BorrowedObject::borrow_from(self.payload.as_deref()?).ok()?;
        json::elements(event.value("Records")?.get())
    }
}

/// The object that describes a service's batch. `null` counts as missing, because some writers print every key.
fn batch_info<V: Borrow<RawValue>>(fields: &Object<V>, source: Source) -> Option<&RawValue> {
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

/// Returns true for `[a-zA-Z0-9_.-]+` of up to 128 characters, as Kinesis documents it
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_Shard.html>). DynamoDB allows 65 characters.
fn is_shard_id(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 128
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

#[cfg(test)]
mod tests;
