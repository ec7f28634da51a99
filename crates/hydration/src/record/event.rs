//! Lambda event records, parsed.
//!
//! Lambda's S3 destination keeps the failed event in the invocation record's `payload`. Its records are passed on as
//! they are. They are parsed only to count them, to find the range's ends, and to show them.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::arn::Source;
use crate::json;
use crate::record::{DynamoDbRecord, Item, KinesisRecord, StreamRecord, UserIdentity};
use crate::sequence_number::SequenceNumber;
use crate::timestamp::Timestamp;
use crate::view;

/// A parsed event record.
#[derive(Debug, Clone, PartialEq)]
pub struct EventRecord {
    pub record: StreamRecord,
    /// `eventSourceARN`.
    pub stream_arn: Option<String>,
}

impl EventRecord {
    /// `None` if the text is not an event record of that service: it has another `eventSource`, no sequence number, data
    /// that is not base64, an attribute value of an unknown type, or JSON that is not [sound](json::is_sound). Fields
    /// that are only shown, such as an arrival time, may be missing or invalid.
    pub fn parse(source: Source, raw: &RawValue) -> Option<Self> {
        if !json::is_sound(raw.get()) {
            return None;
        }
        match source {
            Source::Kinesis => kinesis(raw),
            Source::DynamoDb => dynamodb(raw),
        }
    }

    pub fn sequence_number(&self) -> &SequenceNumber {
        self.record.sequence_number()
    }

    /// Appends the decoded view. With `deaggregated`, Lambda has already taken the record out of its aggregate, so data
    /// that looks like an aggregate is not opened.
    pub fn write_view(&self, deaggregated: bool, out: &mut String) {
        match &self.record {
            StreamRecord::Kinesis(record) if deaggregated => view::write_kinesis_user_record(&record.data, out),
            StreamRecord::Kinesis(record) => view::write_kinesis(&record.data, out),
            StreamRecord::DynamoDb(record) => view::write_dynamodb(record, out),
        }
    }
}

#[derive(Deserialize)]
struct KinesisEvent<'a> {
    #[serde(rename = "eventSource", borrow)]
    event_source: Cow<'a, str>,
    #[serde(rename = "eventSourceARN")]
    stream_arn: Option<String>,
    #[serde(borrow)]
    kinesis: KinesisFields<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KinesisFields<'a> {
    partition_key: String,
    #[serde(borrow)]
    sequence_number: Cow<'a, str>,
    #[serde(borrow)]
    data: Cow<'a, str>,
    #[serde(borrow)]
    approximate_arrival_timestamp: Option<&'a RawValue>,
}

fn kinesis(raw: &RawValue) -> Option<EventRecord> {
    let event: KinesisEvent<'_> = serde_json::from_str(raw.get()).ok()?;
    if event.event_source != "aws:kinesis" {
        return None;
    }
    let record = KinesisRecord {
        sequence_number: SequenceNumber::parse(&event.kinesis.sequence_number).ok()?,
        partition_key: event.kinesis.partition_key,
        data: STANDARD.decode(event.kinesis.data.as_bytes()).ok()?,
        approximate_arrival: event
            .kinesis
            .approximate_arrival_timestamp
            .and_then(millis_of_seconds)
            .map(Timestamp::from_millis),
    };
    Some(EventRecord { record: StreamRecord::Kinesis(record), stream_arn: event.stream_arn })
}

#[derive(Deserialize)]
struct DynamoDbEvent<'a> {
    #[serde(rename = "eventID")]
    event_id: Option<String>,
    #[serde(rename = "eventName")]
    event_name: Option<String>,
    #[serde(rename = "eventVersion")]
    event_version: Option<String>,
    #[serde(rename = "eventSource")]
    event_source: String,
    #[serde(rename = "eventSourceARN")]
    stream_arn: Option<String>,
    #[serde(rename = "awsRegion")]
    aws_region: Option<String>,
    #[serde(borrow)]
    dynamodb: DynamoDbFields<'a>,
    #[serde(rename = "userIdentity")]
    user_identity: Option<UserIdentityFields>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DynamoDbFields<'a> {
    #[serde(borrow)]
    approximate_creation_date_time: Option<&'a RawValue>,
    keys: Option<Item>,
    new_image: Option<Item>,
    old_image: Option<Item>,
    #[serde(borrow)]
    sequence_number: Cow<'a, str>,
    #[serde(borrow)]
    size_bytes: Option<&'a RawValue>,
    stream_view_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UserIdentityFields {
    #[serde(rename = "type")]
    kind: Option<String>,
    principal_id: Option<String>,
}

fn dynamodb(raw: &RawValue) -> Option<EventRecord> {
    let event: DynamoDbEvent<'_> = serde_json::from_str(raw.get()).ok()?;
    if event.event_source != "aws:dynamodb" {
        return None;
    }
    let change = event.dynamodb;
    let record = DynamoDbRecord {
        sequence_number: SequenceNumber::parse(&change.sequence_number).ok()?,
        event_id: event.event_id,
        event_name: event.event_name,
        event_version: event.event_version,
        event_source: Some(event.event_source),
        aws_region: event.aws_region,
        approximate_creation: change
            .approximate_creation_date_time
            .and_then(millis_of_seconds)
            .map(|millis| millis / 1000),
        keys: change.keys,
        new_image: change.new_image,
        old_image: change.old_image,
        size_bytes: change.size_bytes.and_then(|size| size.get().parse().ok()),
        stream_view_type: change.stream_view_type,
        user_identity: event
            .user_identity
            .map(|identity| UserIdentity { principal_id: identity.principal_id, kind: identity.kind }),
    };
    Some(EventRecord { record: StreamRecord::DynamoDb(Box::new(record)), stream_arn: event.stream_arn })
}

/// Reads a JSON number of seconds as milliseconds. A float of today's seconds is exact to less than a microsecond.
fn millis_of_seconds(raw: &RawValue) -> Option<i64> {
    let seconds: f64 = raw.get().parse().ok()?;
    // The cast saturates.
    Some((seconds * 1000.0).round() as i64)
}

#[cfg(test)]
mod tests;
