//! The hydrator's log lines about batches, read back.

use hydration::drill::is_drill;
use hydration::function_response::FunctionResponse;
use hydration::incident::{BatchFailure, IncidentKey, IncidentResult};
use hydration::invocation_record::function_name;
use hydration::timestamp::Timestamp;
use hydration::verdict::Status;
use serde::Deserialize;

/// The filter of CloudWatch Logs for the lines that a digest is about
/// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html>).
pub const PATTERN: &str = r#"{ ($.message = "batch hydrated") || ($.message = "batch failed") }"#;

/// The fields of a line that the digest reads. None of them is record data.
#[derive(Debug, Deserialize)]
pub struct BatchLine {
    message: String,
    id: Option<String>,
    function_request_id: Option<String>,
    status: Option<Status>,
    reason: Option<String>,
    error_type: Option<String>,
    error: Option<String>,
    function_arn: Option<String>,
    condition: Option<String>,
    function_error: Option<String>,
    executed_version: Option<String>,
    status_code: Option<u64>,
    failed_at: Option<String>,
    stream_arn: Option<String>,
    shard_id: Option<String>,
    recovered_records: Option<u64>,
    missing_records: Option<u64>,
    oldest_record_age_seconds: Option<i64>,
}

impl BatchLine {
    /// Reads a line. `None` if it is about no batch, or about one that a drill has made: that is no failure.
    pub fn parse(text: &str) -> Option<Self> {
        let line: Self = serde_json::from_str(text).ok()?;
        (line.result().is_some() && !is_drill(line.condition.as_deref())).then_some(line)
    }

    fn result(&self) -> Option<IncidentResult> {
        match self.message.as_str() {
            "batch hydrated" => self.status.map(IncidentResult::Hydrated),
            "batch failed" => self.error_type.clone().map(IncidentResult::NotHydrated),
            _ => None,
        }
    }

    /// The incident that the batch belongs to.
    pub fn key(&self) -> Option<IncidentKey> {
        let arn = self.function_arn.as_deref();
        let response = FunctionResponse {
            function_error: self.function_error.clone(),
            executed_version: self.executed_version.clone(),
            status_code: self.status_code,
            invoke_count: None,
        };
        Some(IncidentKey {
            function: arn.and_then(function_name).or(arn).unwrap_or("-").to_owned(),
            condition: self.condition.clone().unwrap_or_else(|| "-".to_owned()),
            error: response.error().to_owned(),
            version: response.executed_version,
            result: self.result()?,
        })
    }

    /// The failure, which is `logged_at` where the line does not say when the batch failed.
    pub fn failure(&self, logged_at: Timestamp) -> BatchFailure<'_> {
        let id = self.id.as_deref().or(self.function_request_id.as_deref()).unwrap_or("-");
        BatchFailure {
            id,
            batch_id: id,
            messages: 1,
            records: self.recovered_records.unwrap_or(0),
            missing: self.missing_records.unwrap_or(0),
            stream: self.stream_arn.as_deref(),
            shard: self.shard_id.as_deref(),
            failed_at: self.failed_at.as_deref().and_then(Timestamp::parse).or(Some(logged_at)),
            record_age_seconds: self.oldest_record_age_seconds,
            reason: self.reason.as_deref().or(self.error.as_deref()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYDRATED: &str = r#"{"timestamp":"2026-11-21T10:00:03.000Z","level":"WARN","service":"hydrate","function_name":"hydrate","function_request_id":"r","cold_start":true,"correlation_id":"c","source":"kinesis","function_arn":"arn:aws:lambda:us-east-1:123456789012:function:orders:live","condition":"RetryAttemptsExhausted","stream_arn":"arn:aws:kinesis:us-east-1:123456789012:stream/shop","shard_id":"shardId-000000000000","failed_at":"2026-11-21T09:59:00.000Z","function_error":"Unhandled","executed_version":"7","status_code":200,"expected_records":5,"id":"abc","status":"Partial","reason":"Recovered 3 records.","recovered_records":3,"missing_records":2,"oldest_record_age_seconds":90,"message":"batch hydrated"}"#;
    const FAILED: &str = r#"{"level":"ERROR","function_request_id":"r","error_type":"NotRecognized","error":"the event is not known","message":"batch failed"}"#;

    #[test]
    fn a_hydrated_batch_is_read() {
        let line = BatchLine::parse(HYDRATED).unwrap();
        let key = line.key().unwrap();
        assert_eq!(
            (key.function.as_str(), key.version.as_deref(), key.error.as_str()),
            ("orders", Some("7"), "Unhandled")
        );
        assert_eq!(key.result, IncidentResult::Hydrated(Status::Partial));
        let failure = line.failure(Timestamp::EPOCH);
        assert_eq!((failure.id, failure.records, failure.missing), ("abc", 3, 2));
        assert_eq!(failure.failed_at, Timestamp::parse("2026-11-21T09:59:00Z"));
        assert_eq!((failure.record_age_seconds, failure.reason), (Some(90), Some("Recovered 3 records.")));
    }

    #[test]
    fn a_failed_hydration_of_an_unknown_batch_is_read() {
        let line = BatchLine::parse(FAILED).unwrap();
        let key = line.key().unwrap();
        assert_eq!((key.function.as_str(), key.condition.as_str(), key.error.as_str()), ("-", "-", "not invoked"));
        assert_eq!(key.result, IncidentResult::NotHydrated("NotRecognized".to_owned()));
        let failure = line.failure(Timestamp::EPOCH);
        assert_eq!((failure.id, failure.failed_at), ("r", Some(Timestamp::EPOCH)));
    }

    #[test]
    fn a_drill_is_no_failure() {
        for line in
            [HYDRATED, &HYDRATED.replace("batch hydrated", "batch failed").replace("\"status\":", "\"error_type\":")]
        {
            assert!(BatchLine::parse(line).is_some());
            assert!(BatchLine::parse(&line.replace("RetryAttemptsExhausted", "Drill")).is_none());
        }
    }

    #[test]
    fn other_lines_are_left_out() {
        for text in [
            "",
            "START RequestId: 1",
            "{}",
            r#"{"message":"batch continued","error_type":"DeadlineReached"}"#,
            r#"{"message":"batch hydrated"}"#,
            r#"{"message":"batch hydrated","status":"Later"}"#,
            r#"{"_aws":{},"Status":"Complete"}"#,
        ] {
            assert!(BatchLine::parse(text).is_none(), "{text}");
        }
    }
}
