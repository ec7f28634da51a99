//! A hydrated message, read back: what people and tools work from.
//!
//! Strictly where the contract is ours, leniently where the invocation record is Lambda's. Errors never quote.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::invocation_record::{FailedBatch, InvocationRecord};
use crate::json::{self, Object};
use crate::message::POINTER_CLASS;
use crate::message::body::Hydration;

/// The version of the contract that this code reads and writes.
pub const VERSION: u8 = 1;

/// Where a message in the overflow bucket lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    pub bucket: String,
    pub key: String,
}

impl Pointer {
    /// `None` when the body is the message itself, or something else.
    pub fn read(body: &str) -> Option<Self> {
        let (class, place): (String, Object) = serde_json::from_str(body).ok()?;
        if class != POINTER_CLASS {
            return None;
        }
        Some(Self { bucket: place.string("s3BucketName")?, key: place.string("s3Key")? })
    }
}

/// Why a body is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRead {
    #[error("it is not a hydrated message")]
    NotHydrated,
    #[error("it is a hydrated message of version {0}, and this program reads version {VERSION}: upgrade")]
    OtherVersion(u64),
    #[error("it is a hydrated message that breaks the contract: {0}")]
    Broken(&'static str),
}

/// How the function failed, as Lambda tells it. Its own words are in its log, not here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Response {
    /// `Unhandled`, `Handled`; absent when the function was not invoked at all.
    pub function_error: Option<String>,
    pub executed_version: Option<String>,
    pub status_code: Option<u64>,
    pub invoke_count: Option<u64>,
}

/// What stands before the records.
#[derive(Debug, Clone)]
pub struct Head {
    /// Every key up to `hydration`, verbatim.
    pub fields: Object,
    pub hydration: Hydration,
    /// `None` for what is `Unrecognized`.
    pub batch: Option<FailedBatch>,
    pub response: Response,
}

impl Head {
    /// Reads the beginning of a message; the text may break off anywhere after `hydration`.
    pub fn read(text: &str) -> Result<Self, NotRead> {
        let fields = Object::until(text, "hydration");
        let hydration = fields.get("hydration").ok_or(NotRead::NotHydrated)?;
        let version = Object::from_str(hydration.get()).map_err(|_| NotRead::NotHydrated)?;
        match version.get("version").and_then(|raw| raw.get().parse().ok()) {
            None => return Err(NotRead::NotHydrated),
            Some(version) if version != u64::from(VERSION) => return Err(NotRead::OtherVersion(version)),
            Some(_) => {}
        }
        let hydration = serde_json::from_str(hydration.get()).map_err(|_| NotRead::Broken("hydration"))?;
        let batch = InvocationRecord::read(fields.clone()).ok().map(|record| record.batch);
        let response = response(&fields);
        Ok(Self { fields, hydration, batch, response })
    }

    /// The id without its part: what all parts of a batch share.
    pub fn batch_id(&self) -> &str {
        let id = self.hydration.id.as_str();
        match self.hydration.part {
            Some(part) => id.strip_suffix(&format!("-{}", part.number)).unwrap_or(id),
            None => id,
        }
    }
}

fn response(fields: &Object) -> Response {
    let object = |key| fields.get(key).and_then(|raw: &RawValue| Object::from_str(raw.get()).ok()).unwrap_or_default();
    let (request, response) = (object("requestContext"), object("responseContext"));
    let number = |fields: &Object, key| fields.get(key).and_then(|raw| raw.get().parse().ok());
    Response {
        function_error: response.string("functionError"),
        executed_version: response.string("executedVersion"),
        status_code: number(&response, "statusCode"),
        invoke_count: number(&request, "approximateInvokeCount"),
    }
}

/// A whole message.
#[derive(Debug, Clone)]
pub struct Received {
    pub head: Head,
    /// The elements of `Records`, each with the text that Lambda delivered.
    pub records: Vec<Box<RawValue>>,
    /// What was sent to the topic in place of an invocation record.
    pub unrecognized: Option<Box<RawValue>>,
}

impl Received {
    pub fn read(text: &str) -> Result<Self, NotRead> {
        #[derive(Deserialize)]
        struct Rest {
            #[serde(rename = "Records")]
            records: Vec<Box<RawValue>>,
            unrecognized: Option<Box<RawValue>>,
        }
        let head = Head::read(text)?;
        let Rest { records, unrecognized } = serde_json::from_str(text).map_err(|_| NotRead::Broken("Records"))?;
        if head.hydration.recovered_records != records.len() as u64 {
            return Err(NotRead::Broken("recoveredRecords is not the number of Records"));
        }
        Ok(Self { head, records, unrecognized })
    }

    /// The event with some of the records, in their order; with all of them it is what Lambda delivered.
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

/// Whether a text that is no hydrated message could become one: a bare invocation record, perhaps in an envelope.
pub fn is_bare_record(text: &str) -> bool {
    json::is_sound(text)
        && crate::intake::recognize(text).iter().any(|item| matches!(item, Ok(crate::intake::Intake::Batch(_))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &str = r#"{"requestContext":{"requestId":"r-1","functionArn":"arn:aws:lambda:us-east-1:123456789012:function:f","condition":"RetryAttemptsExhausted","approximateInvokeCount":3},"responseContext":{"statusCode":200,"executedVersion":"7","functionError":"Unhandled"},"version":"1.0","KinesisBatchInfo":{"shardId":"shardId-000000000000","startSequenceNumber":"1","endSequenceNumber":"9","batchSize":2,"streamArn":"arn:aws:kinesis:us-east-1:123456789012:stream/s"},"hydration":{"version":1,"id":"ab-2","status":"Superset","reason":"why","expectedRecords":2,"recoveredRecords":2,"source":"kinesis","origin":"stream","hydratedAt":"2026-11-21T00:00:00.000Z","part":{"number":2,"last":true},"decodedView":"included"},"KinesisBatch":[1,2],"Records":[{"a": 1.10},{"b":2}]}"#;

    #[test]
    fn a_message_is_read_back_and_its_event_is_the_delivered_text() {
        let received = Received::read(MESSAGE).unwrap();
        assert_eq!(received.head.batch_id(), "ab");
        assert_eq!(received.head.response.executed_version.as_deref(), Some("7"));
        assert_eq!(received.head.batch.as_ref().unwrap().batch_size, Some(2));
        let event = Received::event(received.records.iter().map(AsRef::as_ref));
        assert_eq!(event, r#"{"Records":[{"a": 1.10},{"b":2}]}"#);
    }

    #[test]
    fn the_head_suffices_when_the_rest_is_cut_off_anywhere() {
        let end = MESSAGE.find(r#","KinesisBatch""#).unwrap();
        for length in end..MESSAGE.len() {
            assert_eq!(Head::read(&MESSAGE[..length]).unwrap().hydration.id, "ab-2");
        }
        for length in 0..end {
            assert!(Head::read(&MESSAGE[..length]).is_err());
        }
    }

    #[test]
    fn anything_else_is_told_apart() {
        for text in ["", "text", "{}", "[]", r#"{"hydration":1}"#, r#"{"hydration":{"status":"Complete"}}"#] {
            assert_eq!(Received::read(text).unwrap_err(), NotRead::NotHydrated, "{text}");
        }
        let later = MESSAGE.replace(r#""version":1,"id""#, r#""version":2,"id""#);
        assert_eq!(Received::read(&later).unwrap_err(), NotRead::OtherVersion(2));
        let fewer = MESSAGE.replace(r#""recoveredRecords":2"#, r#""recoveredRecords":3"#);
        assert!(matches!(Received::read(&fewer), Err(NotRead::Broken(_))));
    }

    #[test]
    fn a_pointer_is_followed_only_in_its_own_shape() {
        let body = crate::message::pointer("bucket", "hydrated/f/a.json");
        let place = Pointer { bucket: "bucket".to_owned(), key: "hydrated/f/a.json".to_owned() };
        assert_eq!(Pointer::read(&body), Some(place));
        for text in ["[]", MESSAGE, r#"["other",{"s3BucketName":"b","s3Key":"k"}]"#] {
            assert_eq!(Pointer::read(text), None);
        }
    }
}
