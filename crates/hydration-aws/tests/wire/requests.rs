//! Every request, byte for byte. The IAM policies allow these calls and no others.

use bytes::Bytes;
use hydration::error::FaultKind;
use hydration::message::Fifo;
use hydration::ports::{ObjectReader, Outbox, Position, PutOutcome};
use hydration::sequence_number::SequenceNumber;
use hydration::timestamp::Timestamp;
use hydration_aws::{AwsOutbox, AwsReader};
use serde_json::{Value, json};

use crate::objects::location;
use crate::*;

fn number(text: &str) -> SequenceNumber {
    SequenceNumber::parse(text).unwrap()
}

/// The request for an iterator, without the shard that every case has.
async fn iterator_request(stream: &str, position: &Position) -> (Sent, Value) {
    let (sent, answered) = get_iterator(stream, position, answer(r#"{"ShardIterator":"AAAA"}"#)).await;
    assert_eq!(answered, Ok(iterator("AAAA")));
    let mut body = sent.json();
    assert_eq!(body.as_object_mut().unwrap().remove("ShardId"), Some(json!("shardId-000000000000")));
    (sent, body)
}

#[tokio::test]
async fn a_kinesis_iterator_is_asked_of_the_stream_in_its_own_region() {
    let at = json!({"StreamARN": STREAM, "ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": "496"});
    let after =
        json!({"StreamARN": STREAM, "ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": "497"});
    let time = json!({"StreamARN": STREAM, "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": 1789779944.662});
    for (stream, position, expected) in [
        (STREAM, Position::At(number("496")), at.clone()),
        (CONSUMER, Position::At(number("496")), at),
        (STREAM, Position::After(number("497")), after),
        (STREAM, Position::AtTimestamp(Timestamp::from_millis(1_789_779_944_662)), time),
        (STREAM, Position::TrimHorizon, json!({"StreamARN": STREAM, "ShardIteratorType": "TRIM_HORIZON"})),
    ] {
        let (sent, body) = iterator_request(stream, &position).await;
        assert_eq!(body, expected);
        assert_eq!(sent.target, "Kinesis_20131202.GetShardIterator");
        // The endpoint of the stream's account, which the SDK takes from the ARN.
        let endpoint = "https://123456789012.data-kinesis.eu-west-1.amazonaws.com/";
        assert_eq!((sent.method.as_str(), sent.url.as_str()), ("POST", endpoint));
    }
}

#[tokio::test]
async fn a_dynamodb_iterator_is_asked_of_the_streams_endpoint() {
    let at = json!({"StreamArn": TABLE, "ShardIteratorType": "AT_SEQUENCE_NUMBER", "SequenceNumber": "496"});
    let after = json!({"StreamArn": TABLE, "ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": "497"});
    let oldest = json!({"StreamArn": TABLE, "ShardIteratorType": "TRIM_HORIZON"});
    for (position, expected) in [
        (Position::At(number("496")), at),
        (Position::After(number("497")), after),
        (Position::TrimHorizon, oldest.clone()),
        // The service knows no AT_TIMESTAMP.
        (Position::AtTimestamp(Timestamp::EPOCH), oldest),
    ] {
        let (sent, body) = iterator_request(TABLE, &position).await;
        assert_eq!(body, expected);
        assert_eq!(sent.target, "DynamoDBStreams_20120810.GetShardIterator");
        assert_eq!(sent.url, "https://streams.dynamodb.us-west-2.amazonaws.com/");
    }
}

#[tokio::test]
async fn a_page_is_asked_with_its_limit() {
    for (stream, limit, target, expected) in [
        (
            CONSUMER,
            10_000,
            "Kinesis_20131202.GetRecords",
            json!({"StreamARN": STREAM, "ShardIterator": "AAAA", "Limit": 10_000}),
        ),
        (TABLE, 1, "DynamoDBStreams_20120810.GetRecords", json!({"ShardIterator": "AAAA", "Limit": 1})),
    ] {
        let (sent, _) = get_page(stream, limit, answer(r#"{"Records":[]}"#)).await;
        assert_eq!((sent.target.as_str(), sent.json()), (target, expected));
    }
}

async fn send(message: &OutgoingMessage, response: http::Response<SdkBody>) -> (Sent, Result<String, SendError>) {
    exchange(response, async |config| AwsOutbox::new(&config, QUEUE.to_owned()).send(message).await).await
}

const ACCEPTED: &str = r#"{"MessageId":"m-1","MD5OfMessageBody":"900150983cd24fb0d6963f7d28e17f72"}"#;

#[tokio::test]
async fn a_message_is_sent_with_its_attributes_and_their_types() {
    let (sent, answered) = send(&message("abc"), answer(ACCEPTED)).await;
    assert_eq!(answered, Ok("m-1".to_owned()));
    assert_eq!(sent.target, "AmazonSQS.SendMessage");
    let expected = json!({
        "QueueUrl": QUEUE,
        "MessageBody": "abc",
        "MessageAttributes": {
            "hydrationId": {"DataType": "String", "StringValue": "ab"},
            "recordCount": {"DataType": "Number", "StringValue": "2"},
        },
    });
    assert_eq!(sent.json(), expected);
}

#[tokio::test]
async fn on_a_fifo_queue_a_message_has_its_group_and_its_deduplication_id() {
    let fifo = Fifo { group: "orders/shardId-000000000000".to_owned(), deduplication_id: "ab".to_owned() };
    let (sent, _) = send(&OutgoingMessage { fifo: Some(fifo), ..message("abc") }, answer(ACCEPTED)).await;
    let body = sent.json();
    assert_eq!(body["MessageGroupId"], "orders/shardId-000000000000");
    assert_eq!(body["MessageDeduplicationId"], "ab");
}

#[tokio::test]
async fn an_object_is_put_whole_under_its_key() {
    let key = "hydrated/orders/2026/11/21/ab.json";
    let body = Bytes::from_static(br#"{"Records":[]}"#);
    let call = async |config| AwsOutbox::new(&config, QUEUE.to_owned()).put("overflow", key, &body).await;
    let (sent, answered) = exchange(response(200, &[("etag", "\"x\"")], ""), call).await;
    assert_eq!((answered, sent.method.as_str()), (Ok(PutOutcome::Created), "PUT"));
    // A shell that points the SDK at an emulator has one host for all buckets.
    let is_emulated = ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"].iter().any(|name| std::env::var_os(name).is_some());
    let host = if is_emulated { "s3.us-east-1.amazonaws.com/overflow" } else { "overflow.s3.us-east-1.amazonaws.com" };
    assert_eq!(sent.url, format!("https://{host}/{key}?x-id=PutObject"));
    assert_eq!(sent.body, body);
    let header = |name: &str| sent.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    assert_eq!(header("content-type"), Some("application/json"));
    // The bucket's encryption and storage class are the bucket's business.
    assert!(!sent.headers.iter().any(|(name, _)| name.starts_with("x-amz-server-side") || name == "x-amz-acl"));
}

#[tokio::test]
async fn an_object_is_written_only_where_there_is_none() {
    let put = async |config| {
        let outbox = AwsOutbox::new(&config, QUEUE.to_owned());
        outbox.put("overflow", "key", &Bytes::from_static(b"{}")).await
    };
    let precondition = |headers: &[(String, String)]| {
        headers.iter().find(|(key, _)| key == "if-none-match").map(|(_, value)| value.clone())
    };
    for (status, expected) in [(200, PutOutcome::Created), (412, PutOutcome::AlreadyExists)] {
        let error = "<Error><Code>PreconditionFailed</Code></Error>";
        let (sent, answered) = exchange(response(status, &[], if status == 412 { error } else { "" }), put).await;
        assert_eq!((precondition(&sent.headers).as_deref(), answered), (Some("*"), Ok(expected)), "{status}");
    }
    let conflict = "<Error><Code>ConditionalRequestConflict</Code></Error>";
    let (_, answered) = exchange(response(409, &[], conflict), put).await;
    assert_eq!(answered.unwrap_err().kind, FaultKind::Unavailable);
}

/// Each call is paced and counted by the domain: one call, one request.
#[tokio::test]
async fn the_sdk_repeats_nothing_by_itself() {
    let calls = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let counter = calls.clone();
    let client = aws_smithy_http_client::test_util::infallible_client_fn(move |_| {
        counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        response(500, &[], r#"{"__type":"InternalFailure"}"#)
    });
    let loader = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("AKIDEXAMPLE", "secret", None, None, "test"))
        .http_client(client);
    let config = hydration_aws::with_timeouts_and_no_retries(loader).load().await;
    let shards = AwsReader::new(&config);
    let outbox = AwsOutbox::new(&config, QUEUE.to_owned());
    assert!(shards.page(&arn(STREAM), &iterator("AAAA"), 1).await.is_err());
    assert!(shards.page(&arn(TABLE), &iterator("AAAA"), 1).await.is_err());
    assert!(outbox.send(&message("abc")).await.is_err());
    assert!(outbox.put("overflow", "key", &Bytes::new()).await.is_err());
    assert!(AwsReader::new(&config).read_object(&location("key", None), 100).await.is_err());
    assert_eq!(calls.load(std::sync::atomic::Ordering::Relaxed), 5);
}

#[tokio::test]
async fn the_rest_of_a_batch_goes_to_the_retry_queue_with_its_delay() {
    let answered = answer(r#"{"MessageId":"m-1","MD5OfMessageBody":"900150983cd24fb0d6963f7d28e17f72"}"#);
    let (sent, result) = exchange(answered, async |config| {
        let outbox = AwsOutbox::new(&config, QUEUE.to_owned());
        outbox.send_to_retry_queue(RETRY_QUEUE, "abc", Duration::from_secs(60)).await
    })
    .await;
    assert_eq!(result, Ok(()));
    let expected = json!({"QueueUrl": RETRY_QUEUE, "MessageBody": "abc", "DelaySeconds": 60});
    assert_eq!((sent.target.as_str(), sent.json()), ("AmazonSQS.SendMessage", expected));
}
