//! A drill: the newest records of a shard, and the message that they are hydrated to.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use hydration::arn::{Source, StreamArn};
use hydration::drill::{DrillBatch, DrillPlan, ShardReadError, newest_records};
use hydration::error::FaultKind;
use hydration::hydrator::Hydrator;
use hydration::incoming;
use hydration::message::parsed::ParsedMessage;
use hydration::record::{KinesisRecord, StreamRecord};
use hydration::sequence_number::SequenceNumber;
use hydration::test_support::{
    DYNAMODB_STREAM_ARN, InjectedFault, KINESIS_STREAM_ARN, START_MILLIS, SimulatedAws, SimulatedShard, kinesis_record,
    now_or_never, settings,
};
use hydration::timestamp::Timestamp;
use serde_json::{Value, json};

const FUNCTION: &str = "arn:aws:lambda:us-east-1:123456789012:function:orders:live";

/// A shard with a record at each of these seconds before now. Their numbers are 100, 101 and so on.
fn shard(source: Source, seconds_ago: &[i64]) -> SimulatedAws {
    let shard = SimulatedShard {
        numbers: (100..).take(seconds_ago.len()).map(|n| SequenceNumber::parse(&format!("{n}")).unwrap()).collect(),
        arrivals: seconds_ago.iter().map(|seconds| START_MILLIS - seconds * 1000).collect(),
        ..SimulatedAws::empty(source).shard
    };
    SimulatedAws::new(shard, START_MILLIS, Vec::new())
}

fn stream(source: Source) -> StreamArn {
    StreamArn::parse(if source == Source::Kinesis { KINESIS_STREAM_ARN } else { DYNAMODB_STREAM_ARN }).unwrap()
}

fn read(aws: &SimulatedAws, most: usize) -> Result<Vec<StreamRecord>, ShardReadError> {
    let stream = stream(aws.shard.source);
    now_or_never(newest_records(&aws, &aws, &stream, "shardId-000000000000", most))
}

fn numbers(records: &[StreamRecord]) -> Vec<&str> {
    records.iter().map(|record| record.sequence_number().as_str()).collect()
}

fn batch(source: Source, records: &[StreamRecord]) -> DrillBatch {
    let plan = DrillPlan {
        stream: stream(source),
        shard_id: "shardId-000000000000".to_owned(),
        function_arn: FUNCTION.to_owned(),
        request_id: "5577e27b-0000-4000-8000-000000000000".to_owned(),
    };
    DrillBatch::new(&plan, records, Timestamp::from_millis(START_MILLIS)).unwrap().unwrap()
}

/// The message that the text of an invocation record is hydrated to.
fn hydrated(aws: &SimulatedAws, text: &str) -> String {
    let hydrator = Hydrator::new(aws, aws, aws, settings());
    let mut messages = incoming::recognize(text);
    let message = messages.pop().unwrap().unwrap();
    now_or_never(hydrator.hydrate(&message, aws.deadline(60_000), &mut Default::default())).unwrap();
    aws.outbox.queue.borrow().last().unwrap().body.clone()
}

#[test]
fn the_newest_records_are_read_from_a_minute_ago_or_from_longer_ago() {
    let aws = shard(Source::Kinesis, &[90_000, 50_000, 3_000, 50, 20, 10]);
    assert_eq!(numbers(&read(&aws, 2).unwrap()), ["104", "105"]);
    assert_eq!(numbers(&read(&aws, 10).unwrap()), ["103", "104", "105"], "a minute ago is enough for a drill");
    assert_eq!(numbers(&read(&shard(Source::Kinesis, &[90_000, 50_000, 3_000]), 10).unwrap()), ["102"]);
    assert_eq!(numbers(&read(&shard(Source::Kinesis, &[90_000, 50_000]), 10).unwrap()), ["101"]);
    assert_eq!(numbers(&read(&shard(Source::Kinesis, &[90_000]), 10).unwrap()), ["100"]);
    assert_eq!(numbers(&read(&shard(Source::DynamoDb, &[50_000, 3_000, 20]), 2).unwrap()), ["101", "102"]);
    for source in [Source::Kinesis, Source::DynamoDb] {
        assert!(read(&shard(source, &[]), 10).unwrap().is_empty());
    }
}

#[test]
fn a_read_goes_on_over_pages_faults_and_empty_pages_and_leaves_the_shard_its_quota() {
    let mut aws = shard(Source::Kinesis, &[30, 25, 20, 15, 10]);
    aws.shard.page_cap = 2;
    aws.faults = vec![
        Some(InjectedFault::Throttled),
        None,
        Some(InjectedFault::Unavailable),
        Some(InjectedFault::EmptyPage),
        None,
        Some(InjectedFault::EmptyPage),
    ]
    .into_iter()
    .collect::<std::collections::VecDeque<_>>()
    .into();
    assert_eq!(numbers(&read(&aws, 3).unwrap()), ["102", "103", "104"]);
    assert!(aws.calls.borrow().gaps.iter().all(|gap| *gap >= 500), "{:?}", aws.calls.borrow().gaps);
}

#[test]
fn a_shard_that_cannot_be_read_is_an_error() {
    let denied = shard(Source::Kinesis, &[10]);
    denied.faults.borrow_mut().push_back(Some(InjectedFault::AccessDenied));
    let ShardReadError::Fault(fault) = read(&denied, 1).unwrap_err() else { panic!("another error") };
    assert_eq!((fault.kind, fault.action), (FaultKind::AccessDenied, "kinesis:GetShardIterator"));
    let mut missing = shard(Source::Kinesis, &[10]);
    missing.shard.exists = false;
    assert_eq!(read(&missing, 1), Err(ShardReadError::NotFound));
    let throttled = shard(Source::Kinesis, &[10]);
    throttled.faults.borrow_mut().extend([Some(InjectedFault::Throttled); 9]);
    assert!(matches!(read(&throttled, 1), Err(ShardReadError::Fault(_))));
}

#[test]
fn a_drill_that_is_hydrated_from_the_topic_or_from_a_bucket_has_no_difference() {
    for source in [Source::Kinesis, Source::DynamoDb] {
        let aws = shard(source, &[30, 20, 10]);
        let batch = batch(source, &read(&aws, 2).unwrap());
        assert_eq!((batch.first.as_str(), batch.last.as_str(), batch.events.len()), ("101", "102", 2));
        for (text, origin) in [(batch.invocation_record.clone(), "stream"), (batch.with_payload(), "payload")] {
            let message = ParsedMessage::parse(&hydrated(&aws, &text)).unwrap();
            assert_eq!(message.head.hydration.id, batch.id);
            assert_eq!(message.head.hydration.origin.unwrap().as_str(), origin);
            assert_eq!(batch.differences(&message), [""; 0]);
        }
    }
}

#[test]
fn characters_that_a_queue_refuses_are_no_difference() {
    let record = StreamRecord::Kinesis(KinesisRecord {
        sequence_number: SequenceNumber::parse("7").unwrap(),
        partition_key: "a\u{FFFE}b".to_owned(),
        data: b"x".to_vec(),
        approximate_arrival: Some(Timestamp::from_millis(START_MILLIS)),
    });
    let aws = SimulatedAws::with_records(vec![record.clone()], START_MILLIS);
    let batch = batch(Source::Kinesis, &[record]);
    let message = ParsedMessage::parse(&hydrated(&aws, &batch.invocation_record)).unwrap();
    assert_eq!(batch.differences(&message), [""; 0]);
}

#[test]
fn the_invocation_record_has_the_shape_that_lambda_gives_it() {
    let sample: Value =
        serde_json::from_str(include_str!("../../../events/sns-kinesis-record-age-exceeded.json")).unwrap();
    let sample: Value = serde_json::from_str(sample["Records"][0]["Sns"]["Message"].as_str().unwrap()).unwrap();
    let aws = shard(Source::Kinesis, &[30, 20]);
    let batch = batch(Source::Kinesis, &read(&aws, 2).unwrap());
    let record: Value = serde_json::from_str(&batch.invocation_record).unwrap();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&record), keys(&sample));
    for part in ["requestContext", "KinesisBatchInfo"] {
        assert_eq!(keys(&record[part]), keys(&sample[part]));
    }
    assert_eq!(record["requestContext"]["condition"], "Drill");
    let dynamodb = self::batch(Source::DynamoDb, &read(&shard(Source::DynamoDb, &[30]), 1).unwrap());
    let record: Value = serde_json::from_str(&dynamodb.invocation_record).unwrap();
    let info = &record["DDBStreamBatchInfo"];
    assert_eq!(info["approximateArrivalOfFirstRecord"], json!("2026-11-20T23:59:30Z"), "Lambda writes no milliseconds");
    let payload: Value = serde_json::from_str(&dynamodb.with_payload()).unwrap();
    assert_eq!(payload["payload"], format!(r#"{{"Records":[{}]}}"#, dynamodb.events[0]));
}

#[test]
fn a_batch_is_no_larger_than_lambda_s_own() {
    let records: Vec<_> = (1..=9).map(|number| kinesis_record(number, vec![b'x'; 1_000_000])).collect();
    let batch = self::batch(Source::Kinesis, &records);
    assert_eq!((batch.first.as_str(), batch.last.as_str(), batch.events.len()), ("6", "9", 4));
    let one = self::batch(Source::Kinesis, &[kinesis_record(1, vec![b'x'; 9_000_000])]);
    assert_eq!(one.events.len(), 1);
}

#[test]
fn every_difference_is_named_and_no_record_is_quoted() {
    let aws = shard(Source::Kinesis, &[50, 40, 30, 20, 10]);
    let batch = batch(Source::Kinesis, &read(&aws, 5).unwrap());
    let body = hydrated(&aws, &batch.invocation_record);
    let differences = |from: &str, to: &str| {
        assert!(body.contains(from), "{from}");
        batch.differences(&ParsedMessage::parse(&body.replace(from, to)).unwrap())
    };
    let eighth = r#""partitionKey":"key-3""#;
    assert_eq!(differences(eighth, r#""partitionKey":"secret""#), ["record 4 of 5 is not as it was read"]);
    assert_eq!(differences(eighth, r#""partitionKey": "key-3""#), ["record 4 of 5 is not as it was read"]);
    let all = differences(r#""partitionKey":"key"#, r#""partitionKey":"secret"#);
    assert_eq!((all.len(), all[3].as_str()), (4, "2 more records are not as they were read"));
    assert_eq!(
        differences(r#""approximateInvokeCount":1"#, r#""approximateInvokeCount":2"#),
        ["its invocation record is not the one that was sent"]
    );
    assert_eq!(
        differences(r#""status":"Complete""#, r#""status":"Partial","reason":"Some have gone.""#),
        ["its status is Partial, and not Complete: Some have gone."]
    );
    let fewer = hydrated(&aws, &self::batch(Source::Kinesis, &read(&aws, 4).unwrap()).invocation_record);
    let found = batch.differences(&ParsedMessage::parse(&fewer).unwrap());
    assert!(found.contains(&"it has 4 records, and 5 were read".to_owned()), "{found:?}");
}
