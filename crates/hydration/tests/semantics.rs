//! Executes docs/SEMANTICS.md: every `json record` block is hydrated from the shard that the `json shard` block before
//! it describes, and must become the `json message` block after it, or fail as the `json error` block after it says. A
//! record that is a notification names the object of the `json object` block before it.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use hydration::error::HydrateError;
use hydration::hydrator::Hydrator;
use hydration::incoming::{IncomingMessage, recognize};
use hydration::record::{DynamoDbRecord, Item, KinesisRecord, StreamRecord};
use hydration::retry::CallStats;
use hydration::sequence_number::SequenceNumber;
use hydration::test_support::{ManualClock, SimulatedAws, now_or_never, settings};
use hydration::timestamp::Timestamp;
use serde_json::{Value, json};

const SEMANTICS: &str = include_str!("../../../docs/SEMANTICS.md");
/// The time at which every example is hydrated.
const NOW: &str = "2026-11-21T03:00:00.000Z";

fn record(value: &Value) -> StreamRecord {
    let text = |key: &str| value[key].as_str().map(str::to_owned);
    let sequence_number = SequenceNumber::parse(value["sequenceNumber"].as_str().unwrap()).unwrap();
    if let Some(data) = text("data") {
        let approximate_arrival = Timestamp::parse(value["arrival"].as_str().unwrap());
        let partition_key = text("partitionKey").unwrap();
        let data = data.into_bytes();
        return StreamRecord::Kinesis(KinesisRecord { sequence_number, partition_key, data, approximate_arrival });
    }
    let item = |key: &str| value.get(key).map(|item| serde_json::from_value::<Item>(item.clone()).unwrap());
    StreamRecord::DynamoDb(Box::new(DynamoDbRecord {
        sequence_number,
        event_id: text("eventID"),
        event_name: text("eventName"),
        event_version: None,
        event_source: None,
        aws_region: None,
        approximate_creation: value["created"].as_i64(),
        keys: item("keys"),
        new_image: item("newImage"),
        old_image: item("oldImage"),
        size_bytes: value["size"].as_i64(),
        stream_view_type: Some("NEW_AND_OLD_IMAGES".to_owned()),
        user_identity: None,
    }))
}

/// The fenced blocks of a kind and their places: `json record` and so on.
fn blocks() -> Vec<(String, String)> {
    let mut blocks = vec![];
    let mut lines = SEMANTICS.lines();
    while let Some(line) = lines.next() {
        if let Some(kind) = line.strip_prefix("```json ") {
            let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push((kind.to_owned(), body.join("\n")));
        }
    }
    blocks
}

fn hydrate(shard: &Value, object: &str, record_text: &str) -> Result<String, HydrateError> {
    let message = recognize(record_text).pop().unwrap().unwrap();
    let records = shard["records"].as_array().cloned().unwrap_or_default();
    let now = Timestamp::parse(NOW).unwrap();
    let mut aws = SimulatedAws::with_records(records.iter().map(record).collect(), now.millis());
    aws.shard.exists = shard.get("deleted").is_none();
    if let IncomingMessage::Object(location) = &message {
        aws.outbox.bucket.borrow_mut().insert(location.key.clone(), object.to_owned().into());
    }
    // Every example is hydrated at the same time, however long its pauses are.
    let clock = ManualClock::stopped_at(now.millis());
    let hydrator = Hydrator::new(&aws, &aws, clock, settings());
    let deadline = aws.deadline(3_600_000);
    let result = now_or_never(hydrator.hydrate(&message, deadline, &mut CallStats::default()));
    let sent = aws.outbox.queue.borrow_mut().pop();
    assert_eq!(sent.is_some(), result.is_ok(), "an error delivers nothing");
    result.map(|_| sent.unwrap().body)
}

/// JSON text without the white space between its tokens.
fn compact(json: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    let keep = |c: &char| {
        let is_kept = in_string || !c.is_ascii_whitespace();
        in_string = if *c == '"' && !escaped { !in_string } else { in_string };
        escaped = in_string && *c == '\\' && !escaped;
        is_kept
    };
    json.chars().filter(keep).collect()
}

#[test]
fn every_example_of_the_semantics_holds() {
    let mut shard = Value::Null;
    let mut object = String::new();
    let mut result = None;
    let (mut messages, mut errors) = (0, 0);
    for (kind, text) in blocks() {
        match kind.as_str() {
            "shard" => shard = serde_json::from_str(&text).expect("a shard block is JSON"),
            "object" => object = text,
            "record" => result = Some(hydrate(&shard, &object, &text)),
            "message" => {
                let body = result.take().expect("a record block comes before a message block").unwrap();
                // As text: the order of the keys and every digit are part of the promise.
                assert_eq!(compact(&body), compact(&text));
                messages += 1;
            }
            "error" => {
                let error = result.take().expect("a record block comes before an error block").unwrap_err();
                let said = json!({"errorType": error.kind(), "errorMessage": error.to_string()});
                assert_eq!(said, serde_json::from_str::<Value>(&text).expect("an error block is JSON"));
                errors += 1;
            }
            _ => {}
        }
    }
    assert!(messages >= 12 && errors >= 1, "only {messages} messages and {errors} errors were found");
}
