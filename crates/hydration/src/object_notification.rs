//! Object notifications: the messages that say that S3 holds a new object.
//!
//! Lambda's own S3 destination writes an invocation record, with the failed event, to a bucket
//! (<https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html>). S3 announces the object with
//! an event of its own (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>),
//! in which keys are URL-encoded, or through EventBridge
//! (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html>), where they are not.

use std::borrow::Borrow;
use std::fmt;

use serde_json::value::RawValue;

use crate::json::{BorrowedObject, Object};
use crate::object_key::url_decoded;

/// The longest key, in bytes (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>).
const MAX_KEY_BYTES: usize = 1024;

/// The place of an object. Its Display form is `s3://bucket/key`, with the key as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectLocation {
    pub bucket: String,
    pub key: String,
    /// Present if the bucket keeps versions.
    pub version_id: Option<String>,
}

impl fmt::Display for ObjectLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

/// A notification that names no object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidNotification;

/// The new objects that a message announces. `None` if it is no object notification.
///
/// A test event announces nothing, and neither does the removal, the restore or the tagging of an object: there is
/// nothing in them to hydrate.
pub fn new_objects<V: Borrow<RawValue>>(
    fields: &Object<V>,
) -> Option<Vec<Result<ObjectLocation, InvalidNotification>>> {
    let is = |key: &str, text: &str| fields.string(key).as_deref() == Some(text);
    if is("Service", "Amazon S3") && is("Event", "s3:TestEvent") {
        return Some(Vec::new());
    }
    if is("source", "aws.s3") && fields.get("detail-type").is_some() {
        let created =
            is("detail-type", "Object Created").then(|| eventbridge_object(fields).ok_or(InvalidNotification));
        return Some(created.into_iter().collect());
    }
    s3_objects(fields)
}

/// The objects of S3's own event.
fn s3_objects<V: Borrow<RawValue>>(fields: &Object<V>) -> Option<Vec<Result<ObjectLocation, InvalidNotification>>> {
    let records: Vec<BorrowedObject<'_>> = serde_json::from_str(fields.get("Records")?.get()).ok()?;
    let is_s3 = |record: &BorrowedObject<'_>| record.string("eventSource").as_deref() == Some("aws:s3");
    if records.is_empty() || !records.iter().all(is_s3) {
        return None;
    }
    let is_created = |record: &&BorrowedObject<'_>| {
        record.string("eventName").is_none_or(|name| name.trim_start_matches("s3:").starts_with("ObjectCreated:"))
    };
    let created = records.iter().filter(is_created);
    Some(created.map(|record| s3_object(record).ok_or(InvalidNotification)).collect())
}

fn s3_object(record: &BorrowedObject<'_>) -> Option<ObjectLocation> {
    let s3 = child(record, "s3")?;
    let (bucket, object) = (child(&s3, "bucket")?, child(&s3, "object")?);
    let key = url_decoded(&object.string("key")?)?;
    location(bucket.string("name")?, key, object.string("versionId"))
}

fn eventbridge_object<V: Borrow<RawValue>>(fields: &Object<V>) -> Option<ObjectLocation> {
    let detail = child(fields, "detail")?;
    let (bucket, object) = (child(&detail, "bucket")?, child(&detail, "object")?);
    location(bucket.string("name")?, object.string("key")?, object.string("version-id"))
}

fn child<'a, V: Borrow<RawValue>>(fields: &'a Object<V>, key: &str) -> Option<BorrowedObject<'a>> {
    BorrowedObject::borrow_from(fields.get(key)?.get()).ok()
}

fn location(bucket: String, key: String, version_id: Option<String>) -> Option<ObjectLocation> {
    let is_key = !key.is_empty() && key.len() <= MAX_KEY_BYTES;
    let version_id = version_id.filter(|id| !id.is_empty());
    (is_bucket(&bucket) && is_key).then_some(ObjectLocation { bucket, key, version_id })
}

/// Returns true for the name of a bucket, including those of old buckets in us-east-1
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>). The name becomes part of a host
/// name or a path, so an ARN and anything else is refused.
fn is_bucket(name: &str) -> bool {
    (3..=255).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
}

#[cfg(test)]
mod tests;
