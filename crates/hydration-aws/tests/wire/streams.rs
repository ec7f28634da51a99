//! Requests of a rescue about a whole stream: its shards, and the time for which it keeps its records.

use std::time::Duration;

use aws_smithy_http_client::test_util::{ReplayEvent, StaticReplayClient};
use aws_smithy_types::body::SdkBody;
use hydration::error::{Fault, FaultKind};
use hydration::ports::{StreamReader, StreamShard};
use hydration::timestamp::Timestamp;
use hydration_aws::AwsReader;
use serde_json::json;

use crate::*;

fn shard(id: &str, parents: &[&str]) -> StreamShard {
    StreamShard { id: id.to_owned(), parents: parents.iter().map(|&parent| parent.to_owned()).collect() }
}

/// The shards of a stream that are told in several answers, and the requests for them.
async fn shards(stream: &str, answers: &[Value]) -> (Vec<Value>, Result<Vec<StreamShard>, Fault>) {
    let request = || http::Request::builder().uri("https://example.com").body(SdkBody::empty()).unwrap();
    let event = |body: &Value| ReplayEvent::new(request(), answer(body.to_string()));
    let client = StaticReplayClient::new(answers.iter().map(event).collect());
    let reader = AwsReader::new(&config(client.clone()));
    let listed = reader.shards(&arn(stream), Timestamp::from_millis(1_789_779_944_662)).await;
    let body = |request: &aws_smithy_runtime_api::client::orchestrator::HttpRequest| {
        serde_json::from_slice(request.body().bytes().unwrap()).unwrap()
    };
    (client.actual_requests().map(body).collect(), listed)
}

#[tokio::test]
async fn the_shards_of_a_kinesis_stream_are_listed_by_time() {
    let hash = json!({"StartingHashKey": "0", "EndingHashKey": "1"});
    let numbers = json!({"StartingSequenceNumber": "1"});
    let told = |id: &str| json!({"ShardId": id, "HashKeyRange": hash, "SequenceNumberRange": numbers});
    let mut merged = told("shardId-2");
    merged["ParentShardId"] = json!("shardId-0");
    merged["AdjacentParentShardId"] = json!("shardId-1");
    let answers = [json!({"Shards": [told("shardId-0")], "NextToken": "more"}), json!({"Shards": [merged]})];
    let (requests, listed) = shards(CONSUMER, &answers).await;
    assert_eq!(listed.unwrap(), [shard("shardId-0", &[]), shard("shardId-2", &["shardId-0", "shardId-1"])]);
    let first =
        json!({"StreamARN": STREAM, "ShardFilter": {"Type": "FROM_TIMESTAMP", "Timestamp": 1_789_779_944.662_f64}});
    assert_eq!(requests, [first, json!({"NextToken": "more"})]);
}

#[tokio::test]
async fn the_shards_of_a_table_are_listed_to_the_last() {
    let page = |id: &str, parent: Option<&str>, last: Option<&str>| {
        let shards = json!([{"ShardId": id, "ParentShardId": parent}]);
        json!({"StreamDescription": {"Shards": shards, "LastEvaluatedShardId": last}})
    };
    let answers = [page("shardId-0", None, Some("shardId-0")), page("shardId-1", Some("shardId-0"), None)];
    let (requests, listed) = shards(TABLE, &answers).await;
    assert_eq!(listed.unwrap(), [shard("shardId-0", &[]), shard("shardId-1", &["shardId-0"])]);
    let first = json!({"StreamArn": TABLE});
    assert_eq!(requests, [first, json!({"StreamArn": TABLE, "ExclusiveStartShardId": "shardId-0"})]);
}

#[tokio::test]
async fn a_stream_says_how_long_it_keeps_its_records() {
    let summary = |hours: i32| {
        json!({"StreamDescriptionSummary": {
            "StreamName": "orders", "StreamARN": STREAM, "StreamStatus": "ACTIVE", "RetentionPeriodHours": hours,
            "StreamCreationTimestamp": 1, "EnhancedMonitoring": [], "OpenShardCount": 1
        }})
    };
    for (hours, expected) in [(48, 48), (24, 24), (0, 24)] {
        let call = async |config| AwsReader::new(&config).retention(&arn(CONSUMER)).await;
        let (sent, retention) = exchange(answer(summary(hours).to_string()), call).await;
        assert_eq!(retention, Ok(Duration::from_secs(expected * 60 * 60)));
        assert_eq!(sent.json(), json!({"StreamARN": STREAM}));
    }
}

#[tokio::test]
async fn a_listing_that_is_denied_is_a_fault() {
    let body = r#"{"__type":"AccessDeniedException","message":"no"}"#;
    for stream in [STREAM, TABLE] {
        let headers = [("content-type", "application/x-amz-json-1.1")];
        let call = async |config| AwsReader::new(&config).shards(&arn(stream), Timestamp::EPOCH).await;
        let (_, listed) = exchange(response(400, &headers, body), call).await;
        assert_eq!(listed.unwrap_err().kind, FaultKind::AccessDenied);
    }
}
