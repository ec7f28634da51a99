//! Responses of the services, in the bodies that AWS writes, and their results.

use hydration::ports::Page;
use hydration::record::{AttributeValue, DynamoDbRecord, Item, KinesisRecord, StreamRecord, UserIdentity};
use hydration::sequence_number::SequenceNumber;
use hydration::test_support::dynamodb_record;
use hydration::timestamp::Timestamp;

use crate::*;

async fn page(stream: &str, body: &str) -> Page {
    get_page(stream, 10, answer(body)).await.1.unwrap()
}

async fn kinesis_record(body: &str) -> KinesisRecord {
    let page = page(STREAM, &format!(r#"{{"Records":[{body}]}}"#)).await;
    match page.records.into_iter().next() {
        Some(StreamRecord::Kinesis(record)) => record,
        other => panic!("no Kinesis record: {other:?}"),
    }
}

async fn change(body: &str) -> DynamoDbRecord {
    let page = page(TABLE, &format!(r#"{{"Records":[{body}]}}"#)).await;
    match page.records.into_iter().next() {
        Some(StreamRecord::DynamoDb(record)) => *record,
        other => panic!("no DynamoDB record: {other:?}"),
    }
}

#[tokio::test]
async fn a_kinesis_page_is_read_with_its_place_in_the_shard() {
    let page = page(
        STREAM,
        r#"{"Records":[
            {"SequenceNumber":"49647238774018758449143791361301066723689190929215782914","PartitionKey":"k",
             "Data":"eyJuIjoxfQ==","ApproximateArrivalTimestamp":1.789779944662E9},
            {"SequenceNumber":"49647238774018758449143791361304693501148036740885250050","PartitionKey":"",
             "Data":"","ApproximateArrivalTimestamp":1789779946.1,"EncryptionType":"KMS","Later":{"than":["this"]}}],
            "NextShardIterator":"BBBB","MillisBehindLatest":86400000,"ChildShards":[]}"#,
    )
    .await;
    let record = |number: &str, key: &str, data: &str, millis| {
        StreamRecord::Kinesis(KinesisRecord {
            sequence_number: SequenceNumber::parse(number).unwrap(),
            partition_key: key.to_owned(),
            data: data.as_bytes().to_vec(),
            approximate_arrival: Some(Timestamp::from_millis(millis)),
        })
    };
    let expected = Page {
        records: vec![
            record("49647238774018758449143791361301066723689190929215782914", "k", r#"{"n":1}"#, 1_789_779_944_662),
            record("49647238774018758449143791361304693501148036740885250050", "", "", 1_789_779_946_100),
        ],
        next: Some(iterator("BBBB")),
        millis_behind_latest: Some(86_400_000),
        bytes: 7,
    };
    assert_eq!(page, expected);
}

/// The SDK cuts a float to nanoseconds; every millisecond must survive that.
#[tokio::test]
async fn an_arrival_keeps_its_milliseconds_in_every_format() {
    for (text, millis) in [
        ("1.789779944662E9", 1_789_779_944_662_i64),
        ("1545084650.987", 1_545_084_650_987),
        ("1789809023.187", 1_789_809_023_187),
        ("1789779946.1", 1_789_779_946_100),
        ("1.78977994E9", 1_789_779_940_000),
        ("1789779944", 1_789_779_944_000),
        ("1789779944.999", 1_789_779_944_999),
        ("0.001", 1),
    ] {
        let body = format!(r#"{{"SequenceNumber":"1","Data":"","ApproximateArrivalTimestamp":{text}}}"#);
        let arrival = kinesis_record(&body).await.approximate_arrival;
        assert_eq!(arrival, Some(Timestamp::from_millis(millis)), "{text}");
    }
}

#[tokio::test]
async fn missing_fields_of_a_kinesis_record_are_not_invented() {
    let record = kinesis_record(r#"{"SequenceNumber":"1","Data":"AP8="}"#).await;
    assert_eq!((record.partition_key.as_str(), record.approximate_arrival), ("", None));
    assert_eq!(record.data, [0x00, 0xFF]);
}

#[tokio::test]
async fn the_end_of_a_closed_shard_has_no_iterator() {
    for (stream, body) in [
        (
            STREAM,
            r#"{"Records":[],"MillisBehindLatest":0,"ChildShards":[{"ShardId":"shardId-000000000001","ParentShards":["shardId-000000000000"],"HashKeyRange":{"StartingHashKey":"0","EndingHashKey":"1"}}]}"#,
        ),
        (STREAM, r#"{"Records":[],"NextShardIterator":null,"MillisBehindLatest":0}"#),
        (TABLE, r#"{"Records":[]}"#),
        (TABLE, r#"{"Records":[],"NextShardIterator":null}"#),
    ] {
        let page = page(stream, body).await;
        assert_eq!((page.records.len(), page.next), (0, None), "{body}");
    }
}

const CHANGE: &str = r#"{
    "awsRegion": "us-west-2", "eventID": "c4ca4238a0b923820dcc509a6f75849b", "eventName": "REMOVE",
    "eventSource": "aws:dynamodb", "eventVersion": "1.1",
    "userIdentity": {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"},
    "dynamodb": {
        "ApproximateCreationDateTime": 1.578648338E9,
        "Keys": {"id": {"S": "o-1"}},
        "OldImage": {
            "s": {"S": ""}, "n": {"N": "12345678901234567890123456789012345678.10"}, "b": {"B": "AP8="},
            "ss": {"SS": ["b", "a"]}, "ns": {"NS": ["2", "1.0"]}, "bs": {"BS": ["AQ==", ""]},
            "m": {"M": {"in": {"L": [{"NULL": true}, {"BOOL": false}, {"M": {}}]}}}, "l": {"L": []}
        },
        "SequenceNumber": "4421584500000000017450439091", "SizeBytes": 59, "StreamViewType": "NEW_AND_OLD_IMAGES"
    }}"#;

#[tokio::test]
async fn a_dynamodb_change_is_read_whole_with_every_type_of_attribute() {
    use AttributeValue::{B, Bool, Bs, L, M, N, Ns, Null, S, Ss};
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let item = |entries: Vec<(&str, AttributeValue)>| -> Item {
        entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    };
    let inner = M(item(vec![("in", L(vec![Null(true), Bool(false), M(Item::new())]))]));
    let old_image = item(vec![
        ("s", S(String::new())),
        ("n", N("12345678901234567890123456789012345678.10".to_owned())),
        ("b", B(vec![0x00, 0xFF])),
        ("ss", Ss(texts(&["b", "a"]))),
        ("ns", Ns(texts(&["2", "1.0"]))),
        ("bs", Bs(vec![vec![1], vec![]])),
        ("m", inner),
        ("l", L(vec![])),
    ]);
    let expected = DynamoDbRecord {
        sequence_number: SequenceNumber::parse("4421584500000000017450439091").unwrap(),
        event_id: Some("c4ca4238a0b923820dcc509a6f75849b".to_owned()),
        event_name: Some("REMOVE".to_owned()),
        event_version: Some("1.1".to_owned()),
        event_source: Some("aws:dynamodb".to_owned()),
        aws_region: Some("us-west-2".to_owned()),
        approximate_creation: Some(1_578_648_338),
        keys: Some(item(vec![("id", S("o-1".to_owned()))])),
        new_image: None,
        old_image: Some(old_image),
        size_bytes: Some(59),
        stream_view_type: Some("NEW_AND_OLD_IMAGES".to_owned()),
        user_identity: Some(UserIdentity {
            principal_id: Some("dynamodb.amazonaws.com".to_owned()),
            kind: Some("Service".to_owned()),
        }),
    };
    assert_eq!(change(CHANGE).await, expected);
}

#[tokio::test]
async fn missing_fields_of_a_dynamodb_change_are_not_invented() {
    let record = change(r#"{"dynamodb":{"SequenceNumber":"1"},"userIdentity":{}}"#).await;
    assert_eq!(StreamRecord::DynamoDb(Box::new(record)), dynamodb_record(1));
}

#[tokio::test]
async fn an_event_name_that_the_sdk_does_not_know_passes_as_it_is() {
    let record = change(r#"{"eventName":"ARCHIVE","dynamodb":{"SequenceNumber":"1","StreamViewType":"NEW"}}"#).await;
    assert_eq!((record.event_name.as_deref(), record.stream_view_type.as_deref()), (Some("ARCHIVE"), Some("NEW")));
}

#[tokio::test]
async fn the_size_of_a_page_counts_towards_the_shard_s_quota() {
    let page = page(TABLE, &format!(r#"{{"Records":[{CHANGE},{CHANGE}],"NextShardIterator":"BBBB"}}"#)).await;
    assert_eq!((page.bytes, page.next, page.millis_behind_latest), (118, Some(iterator("BBBB")), None));
}
