//! The log lines: one for each batch.

use hydration::error::HydrateError;
use hydration::hydrator::{Continued, Hydrated};
use hydration::invocation_record::FailedBatch;
use hydration::timestamp::Timestamp;
use hydration::verdict::Status;
use tracing::Level;

use crate::telemetry::BatchContext;

pub const SERVICE: &str = "hydrate";
/// The most bytes of a text that the sender of an invocation record chooses. Longer texts stand whole in the message.
const MAX_TEXT_BYTES: usize = 512;

fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_TEXT_BYTES)).unwrap_or(text)
}

/// The log line of a batch: the fields of every line, then those of this one. The macro is needed because `tracing`
/// takes the level only as a constant.
macro_rules! line {
    ($level:expr, $context:expr, $($field:tt)*) => {
        match $level {
            Level::ERROR => line!(@at tracing::error, $context, $($field)*),
            Level::WARN => line!(@at tracing::warn, $context, $($field)*),
            _ => line!(@at tracing::info, $context, $($field)*),
        }
    };
    (@at $log:path, $context:expr, $($field:tt)*) => {{
        let BatchContext { invocation, batch, object, stats, duration } = $context;
        $log!(
            service = SERVICE,
            function_name = invocation.function_name,
            function_request_id = invocation.request_id,
            cold_start = invocation.cold_start,
            xray_trace_id = invocation.xray_trace_id,
            correlation_id = batch.and_then(|batch| batch.request_id.as_deref()).map(cut),
            object = object.map(cut),
            source = batch.map(|batch| batch.stream.source().as_str()),
            function_arn = batch.and_then(|batch| batch.function_arn.as_deref()).map(cut),
            condition = batch.and_then(|batch| batch.condition.as_deref()).map(cut),
            stream_arn = batch.map(|batch| cut(batch.stream.as_str())),
            shard_id = batch.map(|batch| batch.shard_id.as_str()),
            start_sequence_number = batch.and_then(|batch| batch.start.as_ref()).map(|number| number.as_str()),
            end_sequence_number = batch.and_then(|batch| batch.end.as_ref()).map(|number| number.as_str()),
            failed_at = batch.and_then(|batch| batch.timestamp).map(Timestamp::rfc3339),
            function_error = batch.and_then(|batch| batch.response.function_error.as_deref()).map(cut),
            executed_version = batch.and_then(|batch| batch.response.executed_version.as_deref()).map(cut),
            status_code = batch.and_then(|batch| batch.response.status_code),
            expected_records = batch.and_then(|batch| batch.batch_size),
            read_calls = stats.read_calls,
            iterators = stats.iterators,
            throttles = stats.throttles,
            duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
            $($field)*
        )
    }};
}

pub fn hydrated(context: BatchContext<'_>, hydrated: &Hydrated) {
    let level = match hydrated.verdict.status {
        Status::Complete | Status::Superset => Level::INFO,
        _ => Level::WARN,
    };
    let message_ids: Vec<&str> = hydrated.sent.iter().map(|sent| sent.message_id.as_str()).collect();
    let overflow: Vec<&str> = hydrated.sent.iter().filter_map(|sent| sent.overflow.as_deref()).collect();
    let message_bytes: usize = hydrated.sent.iter().map(|sent| sent.bytes).sum();
    line!(
        level,
        context,
        id = hydrated.id,
        status = hydrated.verdict.status.as_str(),
        reason = hydrated.verdict.reason,
        origin = hydrated.origin.map(|origin| origin.as_str()),
        recovered_records = hydrated.recovered_records,
        missing_records = hydrated.verdict.missing,
        parts = hydrated.sent.len(),
        message_ids = message_ids.join(" "),
        overflow = (!overflow.is_empty()).then(|| overflow.join(" ")),
        message_bytes,
        oldest_record_age_seconds = hydrated.oldest_record_age.map(|millis| millis / 1000),
        "batch hydrated"
    );
}

pub fn continued(context: BatchContext<'_>, continued: &Continued) {
    let message_ids: Vec<&str> = continued.sent.iter().map(|sent| sent.message_id.as_str()).collect();
    let overflow: Vec<&str> = continued.sent.iter().filter_map(|sent| sent.overflow.as_deref()).collect();
    line!(
        Level::WARN,
        context,
        id = continued.id,
        error_type = continued.cause.kind(),
        error = %continued.cause,
        recovered_records = continued.recovered_records,
        parts = continued.sent.len(),
        message_ids = message_ids.join(" "),
        overflow = (!overflow.is_empty()).then(|| overflow.join(" ")),
        "batch continued"
    );
}

pub fn failed(context: BatchContext<'_>, error: &HydrateError) {
    let id = context.batch.map(FailedBatch::id);
    line!(Level::ERROR, context, id, error_type = error.kind(), error = %error, "batch failed");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_two_characters() {
        assert_eq!(cut("RetryAttemptsExhausted"), "RetryAttemptsExhausted");
        let long = cut(&format!("a{}", "ü".repeat(100_000))).to_owned();
        assert_eq!((long.len(), long.chars().count()), (511, 256));
    }
}
