//! A builder of invocation records.

use serde_json::{Map, Value, json};

use crate::arn::{Source, StreamArn};
use crate::invocation_record::batch_key;
use crate::timestamp::Timestamp;

pub const KINESIS_STREAM_ARN: &str = "arn:aws:kinesis:us-east-1:123456789012:stream/orders";
pub const DYNAMODB_STREAM_ARN: &str =
    "arn:aws:dynamodb:us-east-1:123456789012:table/Orders/stream/2026-11-20T00:00:00.000";

/// An invocation record as Lambda writes it
/// (<https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html>). Change its fields, then call
/// [`to_json`](Self::to_json). A `None` leaves the key out.
#[derive(Debug, Clone)]
pub struct InvocationRecordBuilder {
    pub request_id: Option<String>,
    pub function_arn: Option<String>,
    pub condition: Option<String>,
    pub invoke_count: Option<u64>,
    /// The version that ran last, for `responseContext`.
    pub executed_version: Option<String>,
    pub failed_at: Option<Timestamp>,
    pub stream_arn: String,
    pub shard_id: String,
    pub start: Option<String>,
    pub end: Option<String>,
    pub first_arrival: Option<Timestamp>,
    pub last_arrival: Option<Timestamp>,
    pub batch_size: Option<u64>,
}

impl InvocationRecordBuilder {
    /// The failure of a batch whose records arrived at one time, which is also that of the failure.
    pub fn new(stream_arn: &str, start: impl ToString, end: impl ToString, arrival: Timestamp) -> Self {
        Self {
            request_id: Some("5577e27b-0000-4000-8000-000000000000".to_owned()),
            function_arn: Some("arn:aws:lambda:us-east-1:123456789012:function:orders:live".to_owned()),
            condition: Some("RetryAttemptsExhausted".to_owned()),
            invoke_count: None,
            executed_version: None,
            failed_at: Some(arrival),
            stream_arn: stream_arn.to_owned(),
            shard_id: "shardId-000000000000".to_owned(),
            start: Some(start.to_string()),
            end: Some(end.to_string()),
            first_arrival: Some(arrival),
            last_arrival: Some(arrival),
            batch_size: None,
        }
    }

    pub fn source(&self) -> Source {
        StreamArn::parse(&self.stream_arn).expect("stream_arn is the ARN of a stream").source()
    }

    pub fn to_json(&self) -> Value {
        let text = |value: &Option<String>| value.as_ref().map(|text| json!(text));
        let number = |value: Option<u64>| value.map(|number| json!(number));
        let time = |value: Option<Timestamp>| value.map(|time| json!(time.rfc3339()));
        let response = self
            .executed_version
            .as_ref()
            .map(|version| json!({"statusCode": 200, "executedVersion": version, "functionError": "Unhandled"}));
        object([
            (
                "requestContext",
                Some(object([
                    ("requestId", text(&self.request_id)),
                    ("functionArn", text(&self.function_arn)),
                    ("condition", text(&self.condition)),
                    ("approximateInvokeCount", number(self.invoke_count)),
                ])),
            ),
            ("responseContext", response),
            ("version", Some(json!("1.0"))),
            ("timestamp", time(self.failed_at)),
            (
                batch_key(self.source()),
                Some(object([
                    ("shardId", Some(json!(self.shard_id))),
                    ("startSequenceNumber", text(&self.start)),
                    ("endSequenceNumber", text(&self.end)),
                    ("approximateArrivalOfFirstRecord", time(self.first_arrival)),
                    ("approximateArrivalOfLastRecord", time(self.last_arrival)),
                    ("batchSize", number(self.batch_size)),
                    ("streamArn", Some(json!(self.stream_arn))),
                ])),
            ),
        ])
    }
}

/// An object of the keys that have a value.
fn object<const N: usize>(entries: [(&str, Option<Value>); N]) -> Value {
    let entries = entries.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Value::Object(entries.collect::<Map<_, _>>())
}
