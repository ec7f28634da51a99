//! Every call of a hydration, in order, for replies that a test writes down: the ways in which AWS shows that records are
//! there or are not.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod delivery;
mod dynamodb;
mod kinesis;
mod objects;
mod reading;
mod trimming;

use std::time::Duration;

use hydration::arn::Source;
use hydration::error::{FaultKind, HydrateError};
use hydration::hydrator::{Deadline, Hydrated, HydrationOutcome, Hydrator, Settings};
use hydration::incoming::{IncomingMessage, recognize};
use hydration::message::OutgoingMessage;
use hydration::ports::Rejection;
use hydration::record::{KinesisRecord, StreamRecord};
use hydration::retry::CallStats;
use hydration::test_support::{
    DYNAMODB_STREAM_ARN as TABLE, InvocationRecordBuilder, KINESIS_STREAM_ARN as STREAM, Reply, START_MILLIS,
    ScriptedAws, dynamodb_record, kinesis_record, now_or_never, settings,
};
use hydration::timestamp::Timestamp;
use serde_json::{Value, json};

const MINUTE: i64 = 60 * 1000;
const HOUR: i64 = 60 * MINUTE;

fn record(source: Source, number: u64) -> StreamRecord {
    match source {
        Source::Kinesis => kinesis_record(number, format!(r#"{{"n":{number}}}"#)),
        Source::DynamoDb => dynamodb_record(number),
    }
}

/// The failure of a batch of three, 10 to 12, of the given age in milliseconds.
fn failed(arn: &str, age: i64) -> Value {
    let mut record = InvocationRecordBuilder::new(arn, 10, 12, Timestamp::from_millis(START_MILLIS - age));
    record.executed_version = None;
    record.batch_size = Some(3);
    record.to_json()
}

/// Hydrates the record. Every reply of the script must be used.
fn hydrate(aws: &ScriptedAws, record: &Value, settings: Settings) -> Result<Hydrated, HydrateError> {
    let message = recognize(&record.to_string()).pop().unwrap().unwrap();
    assert!(matches!(message, IncomingMessage::FailedBatch(_)), "{record}");
    hydrate_message(aws, &message, settings)
}

fn hydrate_message(aws: &ScriptedAws, message: &IncomingMessage, settings: Settings) -> Result<Hydrated, HydrateError> {
    let hydrator = Hydrator::new(aws, aws, aws, settings);
    let minutes = |count: u64| aws.clock.instant_after(Duration::from_secs(60 * count));
    let deadline = Deadline { read: minutes(5), deliver: minutes(6) };
    let result = now_or_never(hydrator.hydrate(message, deadline, &mut CallStats::default()));
    let result = result.map(|outcome| match outcome {
        HydrationOutcome::Hydrated(hydrated) => hydrated,
        HydrationOutcome::Continued(_) => panic!("there is no retry queue"),
    });
    assert!(aws.script.borrow().is_empty(), "replies that were not used: {:?}", aws.script.borrow());
    result
}
