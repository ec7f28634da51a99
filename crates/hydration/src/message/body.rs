//! The body of a hydrated message, key by key in the contract's order.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::arn::Source;
use crate::continuation;
use crate::json::{self, Object};
use crate::message::Part;
use crate::verdict::Status;

/// The origin of the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Read back from the shard.
    Stream,
    /// Taken from the invocation record's `payload`, as Lambda's S3 destination writes it
    /// (<https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html>).
    Payload,
}

impl Origin {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Payload => "payload",
        }
    }
}

/// The `part` of a hydrated message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartNumber {
    /// The number of the part, from 1.
    pub number: u32,
    pub last: bool,
}

/// The `decodedView` of a hydrated message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DecodedView {
    Included,
    Omitted,
    Off,
}

/// The `hydration` object of a message. The order of the fields is the contract's.
#[skip_serializing_none]
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hydration {
    pub version: u8,
    pub id: String,
    pub status: Status,
    pub reason: Option<String>,
    pub expected_records: Option<u64>,
    pub recovered_records: u64,
    pub missing_records: Option<u64>,
    pub first_sequence_number: Option<String>,
    pub last_sequence_number: Option<String>,
    pub source: Option<Source>,
    pub origin: Option<Origin>,
    /// `s3://bucket/key` of the object that the message was read from. The key is as it is, not URL-encoded.
    pub object: Option<String>,
    pub hydrated_at: String,
    pub part: Option<PartNumber>,
    pub decoded_view: DecodedView,
}

/// The message that arrived, and that the hydrated message passes on.
#[derive(Debug, Clone, Copy)]
pub enum OriginalMessage<'a> {
    /// The fields of an invocation record, and the service that holds its stream.
    InvocationRecord { fields: &'a Object, source: Source },
    /// The text of a message that is no invocation record.
    Unrecognized(&'a str),
}

/// Keys that only this program writes. They are not taken from an invocation record.
const RESERVED_KEYS: [&str; 5] = ["hydration", "KinesisBatch", "DDBStreamBatch", "Records", continuation::KEY];

/// The pieces of a body. Its size is known before it is built.
pub struct Body<'a> {
    original: OriginalMessage<'a>,
    hydration: Hydration,
    part: &'a Part,
}

impl<'a> Body<'a> {
    pub fn new(original: OriginalMessage<'a>, hydration: Hydration, part: &'a Part) -> Self {
        Self { original, hydration, part }
    }

    /// Returns true if there is a view that can be left out.
    pub fn has_view(&self) -> bool {
        self.part.view.is_some() && matches!(self.original, OriginalMessage::InvocationRecord { .. })
    }

    pub fn build(&self, with_view: bool) -> String {
        let (head, view_key) = self.head(with_view);
        let mut body = String::with_capacity(self.length(&head, view_key));
        body.push_str(&head);
        if let (Some(key), Some(view)) = (view_key, &self.part.view) {
            body.push_str(",\"");
            body.push_str(key);
            body.push_str("\":[");
            body.push_str(view);
            body.push(']');
        }
        body.push_str(",\"Records\":[");
        body.push_str(&self.part.records);
        body.push_str("]}");
        body
    }

    /// The bytes of the text that [`build`](Self::build) returns.
    pub fn size(&self, with_view: bool) -> usize {
        let (head, view_key) = self.head(with_view);
        self.length(&head, view_key)
    }

    fn length(&self, head: &str, view_key: Option<&str>) -> usize {
        let view = match (view_key, &self.part.view) {
            (Some(key), Some(view)) => r#","":[]"#.len() + key.len() + view.len(),
            _ => 0,
        };
        head.len() + view + r#","Records":[]}"#.len() + self.part.records.len()
    }

    /// The text before the view, without the closing brace, and the view's key if the view is to follow.
    fn head(&self, with_view: bool) -> (String, Option<&'static str>) {
        let mut head = String::from("{");
        let mut view_key = None;
        if let OriginalMessage::InvocationRecord { fields, source } = self.original {
            for (key, value) in fields.iter() {
                if key != "payload" && !RESERVED_KEYS.contains(&key) {
                    json::write_string(key, &mut head);
                    head.push(':');
                    head.push_str(value.get());
                    head.push(',');
                }
            }
            view_key = (with_view && self.part.view.is_some()).then_some(match source {
                Source::Kinesis => "KinesisBatch",
                Source::DynamoDb => "DDBStreamBatch",
            });
        }
        let mut hydration = self.hydration.clone();
        if hydration.decoded_view != DecodedView::Off {
            hydration.decoded_view = if view_key.is_some() { DecodedView::Included } else { DecodedView::Omitted };
        }
        head.push_str("\"hydration\":");
        // A struct of strings and integers cannot fail to serialise.
        head.push_str(&json::sqs_safe(serde_json::to_string(&hydration).unwrap_or_default()));
        if let OriginalMessage::Unrecognized(text) = self.original {
            head.push_str(",\"unrecognized\":");
            if json::is_sound(text) {
                head.push_str(&json::sqs_safe(text.trim().to_owned()));
            } else {
                let mut string = String::new();
                json::write_string(text, &mut string);
                head.push_str(&json::sqs_safe(string));
            }
        }
        (head, view_key)
    }
}

#[cfg(test)]
mod tests;
