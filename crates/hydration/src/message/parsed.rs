//! Hydrated messages, parsed.
//!
//! The parser is strict about the keys of the contract and lenient about those of the invocation record, which Lambda
//! writes. Its errors name the field and never quote its value.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::function_response::FunctionResponse;
use crate::incoming::{self, IncomingMessage};
use crate::invocation_record::{FailedBatch, InvocationRecord};
use crate::json::{self, Object};
use crate::message::POINTER_CLASS;
use crate::message::body::Hydration;

/// The version of the contract that this code reads and writes.
pub const VERSION: u8 = 1;

/// Keys of an invocation record. They come before `hydration`, so that the head of a message is enough to show it.
const INVOCATION_RECORD_KEYS: [&str; 7] =
    ["requestContext", "responseContext", "context", "version", "timestamp", "KinesisBatchInfo", "DDBStreamBatchInfo"];

/// The location of a message in the overflow bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    pub bucket: String,
    pub key: String,
}

impl Pointer {
    /// `None` if the body is not a pointer.
    pub fn parse(body: &str) -> Option<Self> {
        let (class, location): (String, Object) = serde_json::from_str(body).ok()?;
        if class != POINTER_CLASS {
            return None;
        }
        Some(Self { bucket: location.string("s3BucketName")?, key: location.string("s3Key")? })
    }
}

/// The reason why a body cannot be used as a hydrated message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseMessageError {
    #[error("it is not a hydrated message")]
    NotHydrated,
    #[error("it is a hydrated message of version {0}, and this program reads version {VERSION}: upgrade")]
    OtherVersion(u64),
    #[error("it is a hydrated message that breaks the contract: {0}")]
    Invalid(String),
}

/// The part of a message before its records.
#[derive(Debug, Clone)]
pub struct MessageHead {
    /// Every key up to `hydration`, verbatim.
    pub fields: Object,
    pub hydration: Hydration,
    /// `None` for an `Unrecognized` message.
    pub batch: Option<FailedBatch>,
    pub response: FunctionResponse,
}

impl MessageHead {
    /// Parses the start of a message. The text may be cut off anywhere after `hydration`.
    pub fn parse(text: &str) -> Result<Self, ParseMessageError> {
        let (fields, later_keys) = Object::split_after(text, "hydration");
        let hydration = fields.get("hydration").ok_or(ParseMessageError::NotHydrated)?;
        let hydration = Object::from_str(hydration.get()).map_err(|_| ParseMessageError::NotHydrated)?;
        match hydration.get("version").and_then(|raw| raw.get().parse().ok()) {
            None => return Err(ParseMessageError::NotHydrated),
            Some(version) if version != u64::from(VERSION) => return Err(ParseMessageError::OtherVersion(version)),
            Some(_) => {}
        }
        if let Some(key) = later_keys.iter().find(|key| INVOCATION_RECORD_KEYS.contains(&key.as_str())) {
            return Err(ParseMessageError::Invalid(format!("{key} is after hydration, and must be before it")));
        }
        let hydration = parse_hydration(&hydration)?;
        let batch = InvocationRecord::from_fields(fields.clone()).ok().map(|record| record.batch);
        let response = FunctionResponse::from_fields(&fields);
        Ok(Self { fields, hydration, batch, response })
    }

    /// The id that all parts of the batch share.
    pub fn batch_id(&self) -> &str {
        let id = self.hydration.id.as_str();
        match self.hydration.part {
            Some(_) => id.rsplit_once('-').map_or(id, |(batch_id, _digest)| batch_id),
            None => id,
        }
    }
}

fn parse_hydration(fields: &Object) -> Result<Hydration, ParseMessageError> {
    Ok(Hydration {
        version: required(fields, "version")?,
        id: required(fields, "id")?,
        status: required(fields, "status")?,
        reason: optional(fields, "reason")?,
        expected_records: optional(fields, "expectedRecords")?,
        recovered_records: required(fields, "recoveredRecords")?,
        missing_records: optional(fields, "missingRecords")?,
        first_sequence_number: optional(fields, "firstSequenceNumber")?,
        last_sequence_number: optional(fields, "lastSequenceNumber")?,
        source: optional(fields, "source")?,
        origin: optional(fields, "origin")?,
        object: optional(fields, "object")?,
        hydrated_at: required(fields, "hydratedAt")?,
        part: optional(fields, "part")?,
        decoded_view: required(fields, "decodedView")?,
    })
}

fn required<T: DeserializeOwned>(fields: &Object, key: &str) -> Result<T, ParseMessageError> {
    optional(fields, key)?.ok_or_else(|| ParseMessageError::Invalid(format!("hydration.{key} is missing")))
}

fn optional<T: DeserializeOwned>(fields: &Object, key: &str) -> Result<Option<T>, ParseMessageError> {
    let Some(value) = fields.get(key) else { return Ok(None) };
    serde_json::from_str(value.get()).map_err(|_| {
        ParseMessageError::Invalid(format!("hydration.{key} has a value that the contract does not allow"))
    })
}

/// A whole message.
#[derive(Debug, Clone)]
pub struct ParsedMessage {
    pub head: MessageHead,
    /// The elements of `Records`, each with the text that Lambda delivered.
    pub records: Vec<Box<RawValue>>,
    /// The message of an `Unrecognized` status.
    pub unrecognized: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct RecordFields<'a> {
    #[serde(rename = "Records", borrow)]
    records: Option<&'a RawValue>,
    #[serde(borrow)]
    unrecognized: Option<&'a RawValue>,
}

impl ParsedMessage {
    pub fn parse(text: &str) -> Result<Self, ParseMessageError> {
        let invalid = |problem: String| Err(ParseMessageError::Invalid(problem));
        let head = MessageHead::parse(text)?;
        let Ok(RecordFields { records, unrecognized }) = serde_json::from_str(text) else {
            return invalid("the text is cut off, is not JSON, or repeats a key".to_owned());
        };
        let Some(records) = records else {
            return invalid("Records is missing".to_owned());
        };
        let Ok(records) = serde_json::from_str::<Vec<Box<RawValue>>>(records.get()) else {
            return invalid("Records is not an array".to_owned());
        };
        let (count, expected) = (records.len() as u64, head.hydration.recovered_records);
        if count != expected {
            return invalid(format!("hydration.recoveredRecords is {expected}, and Records has {count} elements"));
        }
        Ok(Self { head, records, unrecognized: unrecognized.map(ToOwned::to_owned) })
    }

    /// The event with some of the records, in the given order. With all of them it is the event that Lambda delivered.
    pub fn event<'a>(records: impl IntoIterator<Item = &'a RawValue>) -> String {
        let mut event = String::from(r#"{"Records":["#);
        for (index, record) in records.into_iter().enumerate() {
            if index > 0 {
                event.push(',');
            }
            event.push_str(record.get());
        }
        event.push_str("]}");
        event
    }
}

/// Returns true for a text that can be hydrated: an invocation record, possibly in an envelope.
pub fn is_bare_record(text: &str) -> bool {
    let is_batch = |message: &incoming::Recognized| matches!(message, Ok(IncomingMessage::FailedBatch(_)));
    json::is_sound(text) && incoming::recognize(text).iter().any(is_batch)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &str = r#"{"requestContext":{"requestId":"r-1","functionArn":"arn:aws:lambda:us-east-1:123456789012:function:f","condition":"RetryAttemptsExhausted","approximateInvokeCount":3},"responseContext":{"statusCode":200,"executedVersion":"7","functionError":"Unhandled"},"version":"1.0","KinesisBatchInfo":{"shardId":"shardId-000000000000","startSequenceNumber":"1","endSequenceNumber":"9","batchSize":2,"streamArn":"arn:aws:kinesis:us-east-1:123456789012:stream/s"},"hydration":{"version":1,"id":"ab-2","status":"Superset","reason":"why","expectedRecords":2,"recoveredRecords":2,"source":"kinesis","origin":"stream","hydratedAt":"2026-11-21T00:00:00.000Z","part":{"number":2,"last":true},"decodedView":"included"},"KinesisBatch":[1,2],"Records":[{"a": 1.10},{"b":2}]}"#;

    #[test]
    fn a_message_is_read_back_and_its_event_is_the_delivered_text() {
        let received = ParsedMessage::parse(MESSAGE).unwrap();
        assert_eq!(received.head.batch_id(), "ab");
        assert_eq!(received.head.response.executed_version.as_deref(), Some("7"));
        assert_eq!(received.head.batch.as_ref().unwrap().batch_size, Some(2));
        let event = ParsedMessage::event(received.records.iter().map(AsRef::as_ref));
        assert_eq!(event, r#"{"Records":[{"a": 1.10},{"b":2}]}"#);
    }

    #[test]
    fn the_head_suffices_when_the_rest_is_cut_off_anywhere() {
        let end = MESSAGE.find(r#","KinesisBatch""#).unwrap();
        for length in end..MESSAGE.len() {
            assert_eq!(MessageHead::parse(&MESSAGE[..length]).unwrap().hydration.id, "ab-2");
        }
        for length in 0..end {
            assert!(MessageHead::parse(&MESSAGE[..length]).is_err());
        }
    }

    #[test]
    fn another_text_is_not_a_hydrated_message() {
        for text in ["", "text", "{}", "[]", r#"{"hydration":1}"#, r#"{"hydration":{"status":"Complete"}}"#] {
            assert_eq!(ParsedMessage::parse(text).unwrap_err(), ParseMessageError::NotHydrated, "{text}");
        }
        let later = MESSAGE.replace(r#""version":1,"id""#, r#""version":2,"id""#);
        assert_eq!(ParsedMessage::parse(&later).unwrap_err(), ParseMessageError::OtherVersion(2));
        let fewer = MESSAGE.replace(r#""recoveredRecords":2"#, r#""recoveredRecords":3"#);
        let error =
            ParseMessageError::Invalid("hydration.recoveredRecords is 3, and Records has 2 elements".to_owned());
        assert_eq!(ParsedMessage::parse(&fewer).unwrap_err(), error);
    }

    #[test]
    fn an_error_names_the_field() {
        for (from, to, field) in [
            (r#""status":"Superset","#, "", "hydration.status is missing"),
            (r#""id":"ab-2","#, "", "hydration.id is missing"),
            (r#""decodedView":"included""#, r#""a":1"#, "hydration.decodedView is missing"),
            (r#""status":"Superset""#, r#""status":"Good""#, "hydration.status has a value"),
            (r#""part":{"number":2,"last":true}"#, r#""part":2"#, "hydration.part has a value"),
            (r#""Records":["#, r#""records":["#, "Records is missing"),
            (r#""Records":[{"a": 1.10},{"b":2}]"#, r#""Records":{}"#, "Records is not an array"),
        ] {
            assert!(MESSAGE.contains(from), "{from}");
            let error = ParsedMessage::parse(&MESSAGE.replace(from, to)).unwrap_err();
            assert!(error.to_string().contains(field), "{error}");
        }
        let error = ParsedMessage::parse(&MESSAGE[..MESSAGE.len() - 1]).unwrap_err();
        assert!(error.to_string().contains("cut off"), "{error}");
    }

    #[test]
    fn a_key_of_the_invocation_record_after_hydration_is_an_error() {
        let (start, rest) = MESSAGE.split_once(r#""KinesisBatchInfo":"#).unwrap();
        let (info, rest) = rest.split_once("},").unwrap();
        let moved = format!(
            r#"{start}{}"#,
            rest.replacen(r#","Records""#, &format!(r#","KinesisBatchInfo":{info}}},"Records""#), 1)
        );
        let error = MessageHead::parse(&moved).unwrap_err();
        assert!(error.to_string().contains("KinesisBatchInfo is after hydration"), "{error}");
        // Version 1 may get new keys.
        let added = MESSAGE.replace(r#","Records""#, r#","later":1,"Records""#);
        assert!(ParsedMessage::parse(&added).is_ok());
    }

    #[test]
    fn the_id_of_a_batch_is_that_of_its_parts_without_the_digest() {
        let part = MESSAGE.replace(r#""id":"ab-2""#, r#""id":"ab-0123456789abcdef""#);
        assert_eq!(MessageHead::parse(&part).unwrap().batch_id(), "ab");
        let whole = MESSAGE.replace(r#""part":{"number":2,"last":true},"#, "");
        assert_eq!(MessageHead::parse(&whole).unwrap().batch_id(), "ab-2");
    }

    #[test]
    fn a_pointer_is_followed_only_in_its_own_shape() {
        let body = crate::message::pointer("bucket", "hydrated/f/a.json");
        let place = Pointer { bucket: "bucket".to_owned(), key: "hydrated/f/a.json".to_owned() };
        assert_eq!(Pointer::parse(&body), Some(place));
        for text in ["[]", MESSAGE, r#"["other",{"s3BucketName":"b","s3Key":"k"}]"#] {
            assert_eq!(Pointer::parse(text), None);
        }
    }
}
