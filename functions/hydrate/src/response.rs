//! The function's response and its error.

use aws_lambda_events::sqs::SqsBatchResponse;
use hydration::error::HydrateError;
use hydration::hydrator::Sent;
use lambda_runtime::Diagnostic;
use serde::Serialize;

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum HandlerResponse {
    /// The response to SNS or to a direct invocation.
    Batches { batches: Vec<SentBatch> },
    /// The response to an event source mapping of an SQS queue: the messages that failed.
    Sqs(SqsBatchResponse),
}

/// A message that was sent.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SentBatch {
    id: String,
    status: &'static str,
    recovered_records: u64,
    message_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    overflow: Option<String>,
}

impl From<Sent> for SentBatch {
    fn from(sent: Sent) -> Self {
        Self {
            id: sent.id,
            status: sent.status.as_str(),
            recovered_records: sent.recovered_records,
            message_id: sent.message_id,
            overflow: sent.overflow,
        }
    }
}

/// The error of an invocation. The runtime logs its Debug form, so it holds no record data.
#[derive(Debug)]
pub struct HandlerError {
    error_type: &'static str,
    error_message: String,
}

impl HandlerError {
    /// The error for an event of `total` batches, of which at least one failed.
    pub fn new(errors: &[HydrateError], total: usize) -> Self {
        match errors {
            [error] if total == 1 => Self { error_type: error.kind(), error_message: error.to_string() },
            errors => {
                let first = errors.first();
                let kind = first.map_or("NotRecognized", HydrateError::kind);
                let is_one_kind = errors.iter().all(|error| error.kind() == kind);
                let text = first.map(ToString::to_string).unwrap_or_default();
                Self {
                    error_type: if is_one_kind { kind } else { "SeveralBatchesFailed" },
                    error_message: format!("{} of {total} batches failed, the first because: {text}", errors.len()),
                }
            }
        }
    }
}

impl From<HandlerError> for Diagnostic {
    fn from(error: HandlerError) -> Self {
        Self { error_type: error.error_type.to_owned(), error_message: error.error_message }
    }
}
