//! A DynamoDB Streams record, and the Lambda event record that it becomes.

mod blob;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::arn::StreamArn;
use crate::sequence_number::SequenceNumber;

/// An item, or its key. It is sorted because the SDK's maps have no order, and a message must not change between
/// retries.
pub type Item = BTreeMap<String, AttributeValue>;

/// A DynamoDB attribute value. Numbers stay strings, because no machine number has 38 digits.
///
/// In JSON it is an object with one key, the type, as in DynamoDB's own API. Bytes are in base64
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_AttributeValue.html>).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum AttributeValue {
    S(String),
    N(String),
    B(#[serde(with = "blob")] Vec<u8>),
    Ss(Vec<String>),
    Ns(Vec<String>),
    Bs(#[serde(with = "blob::list")] Vec<Vec<u8>>),
    M(Item),
    L(Vec<AttributeValue>),
    Null(bool),
    Bool(bool),
}

/// The identity that made a change, if it was not a user: DynamoDB's time to live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserIdentity {
    pub principal_id: Option<String>,
    pub kind: Option<String>,
}

/// A record as `GetRecords` returns it. An image that the view type leaves out is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DynamoDbRecord {
    pub sequence_number: SequenceNumber,
    pub event_id: Option<String>,
    pub event_name: Option<String>,
    pub event_version: Option<String>,
    pub event_source: Option<String>,
    pub aws_region: Option<String>,
    /// Whole seconds since the Unix epoch.
    pub approximate_creation: Option<i64>,
    pub keys: Option<Item>,
    pub new_image: Option<Item>,
    pub old_image: Option<Item>,
    pub size_bytes: Option<i64>,
    pub stream_view_type: Option<String>,
    pub user_identity: Option<UserIdentity>,
}

impl DynamoDbRecord {
    /// Appends the record as Lambda delivered it to the function
    /// (<https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html>).
    ///
    /// Fields that AWS always sends are filled in, because emulators may leave them out. A missing or empty image is
    /// left out, as Lambda leaves it out.
    pub fn write_event(&self, stream: &StreamArn, out: &mut String) {
        let identity = self.user_identity.as_ref().map(|identity| UserIdentityJson {
            kind: identity.kind.as_deref(),
            principal_id: identity.principal_id.as_deref(),
        });
        let event = EventJson {
            event_id: self.event_id.as_deref(),
            event_name: self.event_name.as_deref(),
            event_version: self.event_version.as_deref().unwrap_or("1.1"),
            event_source: self.event_source.as_deref().unwrap_or("aws:dynamodb"),
            aws_region: self.aws_region.as_deref().unwrap_or(stream.region()),
            dynamodb: ChangeJson {
                approximate_creation_date_time: self.approximate_creation,
                keys: present(&self.keys),
                new_image: present(&self.new_image),
                old_image: present(&self.old_image),
                sequence_number: self.sequence_number.as_str(),
                size_bytes: self.size_bytes,
                stream_view_type: self.stream_view_type.as_deref(),
            },
            user_identity: identity.filter(|identity| identity.kind.is_some() || identity.principal_id.is_some()),
            event_source_arn: stream.as_str(),
        };
        // Strings and integers under string keys always serialise.
        out.push_str(&serde_json::to_string(&event).unwrap_or_default());
    }
}

fn present(item: &Option<Item>) -> Option<&Item> {
    item.as_ref().filter(|item| !item.is_empty())
}

/// The event record. Its fields are in Lambda's order.
#[skip_serializing_none]
#[derive(Serialize)]
struct EventJson<'a> {
    #[serde(rename = "eventID")]
    event_id: Option<&'a str>,
    #[serde(rename = "eventName")]
    event_name: Option<&'a str>,
    #[serde(rename = "eventVersion")]
    event_version: &'a str,
    #[serde(rename = "eventSource")]
    event_source: &'a str,
    #[serde(rename = "awsRegion")]
    aws_region: &'a str,
    dynamodb: ChangeJson<'a>,
    #[serde(rename = "userIdentity")]
    user_identity: Option<UserIdentityJson<'a>>,
    #[serde(rename = "eventSourceARN")]
    event_source_arn: &'a str,
}

#[skip_serializing_none]
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ChangeJson<'a> {
    approximate_creation_date_time: Option<i64>,
    keys: Option<&'a Item>,
    new_image: Option<&'a Item>,
    old_image: Option<&'a Item>,
    sequence_number: &'a str,
    size_bytes: Option<i64>,
    stream_view_type: Option<&'a str>,
}

/// The identity with Lambda's spelling of the keys. The API writes `Type` and `PrincipalId`
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-streams.html>).
#[skip_serializing_none]
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UserIdentityJson<'a> {
    #[serde(rename = "type")]
    kind: Option<&'a str>,
    principal_id: Option<&'a str>,
}

#[cfg(test)]
pub(crate) mod tests;
