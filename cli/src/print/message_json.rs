//! A hydrated message as a line of JSON output, without its records.

use hydration::arn::Source;
use hydration::message::PartNumber;
use hydration::timestamp::Timestamp;
use hydration::verdict::Status;
use serde::Serialize;
use serde_with::skip_serializing_none;

use crate::queue::hydrated_message::HydratedMessage;
use crate::queue::queue_message::ForeignMessage;

#[skip_serializing_none]
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageJson<'a> {
    id: &'a str,
    status: Status,
    reason: Option<&'a str>,
    source: Option<Source>,
    function_arn: Option<&'a str>,
    version: Option<&'a str>,
    condition: Option<&'a str>,
    error: &'a str,
    request_id: Option<&'a str>,
    stream_arn: Option<&'a str>,
    shard_id: Option<&'a str>,
    records: u64,
    expected_records: Option<u64>,
    missing_records: Option<u64>,
    part: Option<PartNumber>,
    failed_at: Option<String>,
    sent_at: Option<String>,
    bytes: u64,
    overflow: Option<String>,
    copies: usize,
    receives: u32,
    message_ids: Vec<&'a str>,
    /// The reason why nothing but the message attributes is known.
    trouble: Option<&'a str>,
}

impl<'a> From<&'a HydratedMessage> for MessageJson<'a> {
    fn from(message: &'a HydratedMessage) -> Self {
        Self {
            id: &message.id,
            status: message.status,
            reason: message.reason.as_deref(),
            source: message.source,
            function_arn: message.function_arn.as_deref(),
            version: message.response.executed_version.as_deref(),
            condition: message.condition.as_deref(),
            error: message.error(),
            request_id: message.request_id.as_deref(),
            stream_arn: message.stream.as_deref(),
            shard_id: message.shard.as_deref(),
            records: message.records,
            expected_records: message.expected,
            missing_records: message.missing,
            part: message.part,
            failed_at: message.failed_at.map(Timestamp::rfc3339),
            sent_at: message.sent_at().map(Timestamp::rfc3339),
            bytes: message.bytes,
            overflow: message.pointer().map(|pointer| format!("s3://{}/{}", pointer.bucket, pointer.key)),
            copies: message.copies.len(),
            receives: message.receive_count,
            message_ids: message.message_ids().collect(),
            trouble: message.read_error.as_deref(),
        }
    }
}

/// A message that is not hydrated, as JSON.
#[skip_serializing_none]
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ForeignJson<'a> {
    not_hydrated: &'a str,
    is_invocation_record: bool,
    message_id: &'a str,
    sent_at: Option<String>,
    bytes: u64,
    receives: u32,
}

impl<'a> From<&'a ForeignMessage> for ForeignJson<'a> {
    fn from(foreign: &'a ForeignMessage) -> Self {
        Self {
            not_hydrated: &foreign.reason,
            is_invocation_record: foreign.is_bare_record,
            message_id: &foreign.message_id,
            sent_at: foreign.sent_at.map(Timestamp::rfc3339),
            bytes: foreign.bytes,
            receives: foreign.receive_count,
        }
    }
}
