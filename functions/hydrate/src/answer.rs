//! What the function answers, and how it fails.

use aws_lambda_events::sqs::SqsBatchResponse;
use hydration::error::HydrateError;
use hydration::hydrator::Sent;
use lambda_runtime::Diagnostic;
use serde::Serialize;

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To SNS, or to whoever invoked the function by hand.
    Batches { batches: Vec<SentBatch> },
    /// To an event source mapping of a queue.
    Queue(SqsBatchResponse),
}

/// One message that was sent.
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

/// Why an invocation fails. The runtime logs it in its Debug form: it holds nothing that may not be logged.
#[derive(Debug)]
pub struct Failure {
    error_type: &'static str,
    error_message: String,
}

impl Failure {
    /// The failure of an event in which `total` batches were tried; there is at least one error.
    pub fn of(errors: &[HydrateError], total: usize) -> Self {
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

impl From<Failure> for Diagnostic {
    fn from(failure: Failure) -> Self {
        Self { error_type: failure.error_type.to_owned(), error_message: failure.error_message }
    }
}
