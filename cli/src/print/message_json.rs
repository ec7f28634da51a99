//! A hydrated message as a line of JSON output, without its records.

use hydration::arn::Source;
use hydration::message::PartNumber;
use hydration::timestamp::Timestamp;
use hydration::verdict::Status;
use serde::Serialize;

use crate::queue::hydrated_message::HydratedMessage;
use crate::queue::queue_message::ForeignMessage;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageJson<'a> {
    id: &'a str,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<Source>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_arn: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<&'a str>,
    error: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_arn: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shard_id: Option<&'a str>,
    records: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_records: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing_records: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<PartNumber>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent_at: Option<String>,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    overflow: Option<String>,
    copies: usize,
    receives: u32,
    message_ids: Vec<&'a str>,
    /// The reason why nothing but the message attributes is known.
    #[serde(skip_serializing_if = "Option::is_none")]
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
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ForeignJson<'a> {
    not_hydrated: &'a str,
    is_invocation_record: bool,
    message_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
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
