//! The adapters' requests and responses, as AWS sends and receives them.
//!
//! No connection is made: an HTTP client with one prepared response replaces the network.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod answers;
mod faults;
mod objects;
mod requests;
mod streams;

use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_http_client::test_util::capture_request;
use aws_smithy_runtime_api::client::http::HttpClient;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use hydration::arn::StreamArn;
use hydration::message::{MessageAttribute, MessageAttributeValue, OutgoingMessage};
use hydration::ports::{Page, Position, ReadError, SendError, ShardIterator, ShardReader};
use hydration_aws::AwsReader;
use serde_json::Value;

const STREAM: &str = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders";
const CONSUMER: &str = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders/consumer/fast:1789779975";
const TABLE: &str = "arn:aws:dynamodb:us-west-2:123456789012:table/Orders/stream/2026-11-21T02:51:00.123";
const QUEUE: &str = "https://sqs.us-east-1.amazonaws.com/123456789012/hydrated";
const RETRY_QUEUE: &str = "https://sqs.us-east-1.amazonaws.com/123456789012/retry";

fn arn(text: &str) -> StreamArn {
    StreamArn::parse(text).unwrap()
}

fn iterator(text: &str) -> ShardIterator {
    ShardIterator(text.to_owned())
}

fn message(body: &str) -> OutgoingMessage {
    let attribute = |name, value| MessageAttribute { name, value };
    OutgoingMessage {
        body: body.to_owned(),
        attributes: vec![
            attribute("hydrationId", MessageAttributeValue::String("ab".to_owned())),
            attribute("recordCount", MessageAttributeValue::Number(2)),
        ],
        fifo: None,
    }
}

/// The SDK as the function has it, without a network: another region than any stream's, no retries.
fn config(client: impl HttpClient + 'static) -> SdkConfig {
    let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(Duration::from_millis(50)).build())
        .sleep_impl(aws_smithy_async::rt::sleep::TokioSleep::new())
        .http_client(client)
        .build()
}

/// A request as it went out.
struct Sent {
    method: String,
    url: String,
    target: String,
    body: Vec<u8>,
    headers: Vec<(String, String)>,
}

impl Sent {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

fn response(status: u16, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> http::Response<SdkBody> {
    let response = headers
        .iter()
        .fold(http::Response::builder().status(status), |response, (name, value)| response.header(*name, *value));
    response.body(SdkBody::from(body.into())).unwrap()
}

/// One call, answered with `response`: what was sent, and what the adapter made of the answer.
async fn exchange<T>(response: http::Response<SdkBody>, call: impl AsyncFnOnce(SdkConfig) -> T) -> (Sent, T) {
    let (client, received) = capture_request(Some(response));
    let made = call(config(client)).await;
    let request = received.expect_request();
    let header = |name: &str| request.headers().get(name).unwrap_or_default().to_owned();
    let sent = Sent {
        method: request.method().to_owned(),
        url: request.uri().to_owned(),
        target: header("x-amz-target"),
        body: request.body().bytes().map(<[u8]>::to_vec).unwrap_or_default(),
        headers: request.headers().iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
    };
    (sent, made)
}

async fn get_iterator(
    stream: &str,
    position: &Position,
    response: http::Response<SdkBody>,
) -> (Sent, Result<ShardIterator, ReadError>) {
    let stream = arn(stream);
    let call = async |config| AwsReader::new(&config).iterator(&stream, "shardId-000000000000", position).await;
    exchange(response, call).await
}

async fn get_page(stream: &str, limit: u32, response: http::Response<SdkBody>) -> (Sent, Result<Page, ReadError>) {
    let stream = arn(stream);
    let call = async |config| AwsReader::new(&config).page(&stream, &iterator("AAAA"), limit).await;
    exchange(response, call).await
}

/// The headers of every response of a stream's API.
fn answer(body: impl Into<Vec<u8>>) -> http::Response<SdkBody> {
    response(200, &[("content-type", "application/x-amz-json-1.1")], body)
}

fn fault_of<T: std::fmt::Debug>(result: Result<T, ReadError>) -> hydration::error::Fault {
    match result {
        Err(ReadError::Fault(fault)) => fault,
        other => panic!("no fault: {other:?}"),
    }
}

fn send_fault_of(result: Result<String, SendError>) -> hydration::error::Fault {
    match result {
        Err(SendError::Fault(fault)) => fault,
        other => panic!("no fault: {other:?}"),
    }
}
