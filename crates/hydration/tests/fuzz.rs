//! Random and hostile input: no panic, no excess of time or memory, and no invented data.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::time::{Duration, Instant};

use hydration::incoming::{IncomingMessage, recognize, recognize_object};
use hydration::invocation_record::InvocationRecord;
use hydration::json::{self, BorrowedObject, Object};
use hydration::kpl::{MAX_PARTITION_KEY_CHARS, deaggregate};
use hydration::object_notification::ObjectLocation;
use hydration::test_support::{count_history, gzip, histories_to_run};
use hydration::view::{MAX_UNPACKED_BYTES, write_kinesis};
use md5::{Digest, Md5};
use proptest::prelude::*;
use proptest::sample::Index;
use serde::de::IgnoredAny;

const RECORD: &str = r#"{"requestContext":{"requestId":"r","functionArn":"arn:aws:lambda:us-east-1:123456789012:function:f","condition":"RetryAttemptsExhausted"},"responseContext":{"functionError":null},"version":"1.0","timestamp":"2023-12-10T22:43:49.459Z","payload":"{\"Records\":[{\"eventSource\":\"aws:kinesis\",\"kinesis\":{\"partitionKey\":\"k\",\"sequenceNumber\":\"496\",\"data\":\"e30=\"}}]}","KinesisBatchInfo":{"shardId":"shardId-000000000000","startSequenceNumber":"496","endSequenceNumber":"497","approximateArrivalOfFirstRecord":"2023-12-10T22:42:50.398Z","batchSize":4,"streamArn":"arn:aws:kinesis:us-east-1:123456789012:stream/s"}}"#;

const NOTIFICATION: &str = r#"{"Records":[{"eventSource":"aws:s3","eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"failed-batches"},"object":{"key":"aws/lambda/a+b%2B","versionId":"v"}}}]}"#;

fn in_sns(message: &str) -> String {
    serde_json::json!({"Records": [{"EventSource": "aws:sns", "Sns": {"Message": message}}]}).to_string()
}

/// Fragments that are difficult for JSON syntax, for numbers or for a parser's stack.
const FRAGMENTS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"",
    ",",
    ":",
    "\\",
    "\\u",
    "\\ud800",
    "\\udc00",
    "null",
    "true",
    "-",
    "0",
    "1e999",
    "9999999999999999999999",
    "\"Records\":",
    "\"Sns\":{\"Message\":",
    "\"requestPayload\":",
    "\"hydration\":{\"version\":1,\"id\":\"x\"}",
    "\u{FFFE}",
    "\u{FFFF}",
    "é",
    "\u{1F600}",
    " ",
    "\n",
    "\0",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    "{\"a\":{\"a\":{\"a\":{\"a\":",
    "KinesisBatchInfo",
    "DDBStreamBatchInfo",
    "\"Type\":\"Notification\",",
    "payload",
    "\"eventSource\":\"aws:s3\",",
    "{\"Service\":\"Amazon S3\",\"Event\":\"s3:TestEvent\"}",
    "\"source\":\"aws.s3\",\"detail-type\":\"Object Created\",",
    "%FF",
];

/// A change to a text: some of it replaced by a fragment.
fn changes() -> impl Strategy<Value = Vec<(Index, usize, &'static str)>> {
    let change = (any::<Index>(), prop_oneof![Just(0), 1..4_usize, 1..80_usize], prop::sample::select(FRAGMENTS));
    prop::collection::vec(change, 0..6)
}

fn changed(text: &str, changes: &[(Index, usize, &str)]) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    for (at, length, fragment) in changes {
        let start = at.index(characters.len() + 1);
        let end = (start + length).min(characters.len());
        characters.splice(start..end, fragment.chars());
    }
    characters.into_iter().collect()
}

fn fragments() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(FRAGMENTS), 0..40).prop_map(|pieces| pieces.concat())
}

fn hostile_text() -> impl Strategy<Value = String> {
    let wrapped = prop_oneof![
        Just(RECORD.to_owned()),
        Just(in_sns(RECORD)),
        Just(NOTIFICATION.to_owned()),
        Just(in_sns(NOTIFICATION)),
        Just(format!(r#"{{"version":"1.0","requestPayload":{}}}"#, in_sns(RECORD))),
        Just(serde_json::json!({"Type": "Notification", "Message": RECORD}).to_string()),
    ];
    prop_oneof![
        3 => (wrapped, changes()).prop_map(|(text, changes)| changed(&text, &changes)),
        1 => fragments(),
        1 => any::<String>(),
        1 => changes().prop_map(|changes| in_sns(&changed(RECORD, &changes))),
    ]
}

fn is_one_value(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

fn config(histories: u32) -> ProptestConfig {
    let cases = histories_to_run(histories);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(4000))]

    #[test]
    fn any_message_is_recognised_for_something_no_larger_than_itself(text in hostile_text()) {
        let items = recognize(&text);
        // Only a notification without a new object holds nothing.
        prop_assert!(!items.is_empty() || ["aws:s3", "aws.s3", "Amazon S3"].iter().any(|name| text.contains(name)));
        let mut kept = 0;
        for item in &items {
            match item {
                Ok(IncomingMessage::FailedBatch(record)) => {
                    for (key, value) in record.fields.iter() {
                        prop_assert!(serde_json::from_str::<IgnoredAny>(value.get()).is_ok());
                        // Escaping U+FFFE and U+FFFF doubles them.
                        kept += (key.len() + value.get().len()) / 2;
                    }
                    prop_assert_eq!(record.batch.id().len(), 64);
                    prop_assert!(record.batch.range().is_none_or(|range| range.start <= range.end));
                }
                Ok(IncomingMessage::Object(object)) => {
                    prop_assert!(!object.key.is_empty() && object.bucket.len() >= 3);
                    kept += object.bucket.len() + object.key.len();
                }
                Ok(IncomingMessage::Unrecognized(message)) => {
                    prop_assert!(!message.why.is_empty() && message.why.len() < 200, "{}", message.why);
                    kept += message.text.len();
                }
                Err(error) => prop_assert_eq!(error.kind(), "AlreadyHydrated"),
            }
        }
        prop_assert!(kept <= text.len(), "{} bytes of {}", kept, text.len());
        count_history();
    }

    #[test]
    fn any_content_of_an_object_is_a_record_or_is_named_by_its_place(
        text in hostile_text(),
        tail in prop_oneof![4 => Just(vec![]), 1 => prop::collection::vec(any::<u8>(), 0..4)],
    ) {
        let (bucket, key) = ("failed-batches".to_owned(), "k".to_owned());
        let location = ObjectLocation { bucket, key, version_id: None };
        let content = [text.as_bytes(), &tail].concat();
        match recognize_object(&location, &content) {
            Ok(IncomingMessage::FailedBatch(record)) => {
                prop_assert_eq!(record.object.as_deref(), Some("s3://failed-batches/k"));
                let bytes = record.payload.as_ref().map_or(0, String::len);
                prop_assert!(bytes <= content.len());
            }
            Ok(IncomingMessage::Object(_)) => prop_assert!(false, "an object is opened to no other object"),
            Ok(IncomingMessage::Unrecognized(message)) => {
                prop_assert_eq!(message.text, r#"{"object":"s3://failed-batches/k"}"#);
                prop_assert!(!message.why.is_empty() && message.why.len() < 200, "{}", message.why);
            }
            Err(error) => prop_assert_eq!(error.kind(), "AlreadyHydrated"),
        }
        count_history();
    }

    #[test]
    fn any_object_keeps_its_entries_and_nothing_else(text in hostile_text()) {
        if let Ok(object) = Object::from_str(&text) {
            let kept: usize = object.iter().map(|(key, value)| key.len() + value.get().len()).sum();
            prop_assert!(kept <= text.len());
            prop_assert!(object.iter().all(|(_, value)| is_one_value(value.get())));
            for (key, _) in object.iter() {
                let last = object.iter().filter(|(other, _)| *other == key).last().unwrap().1.get();
                prop_assert_eq!(object.get(key).unwrap().get(), last);
            }
        }
        // What breaks off is read as far as it goes.
        let beginning = Object::split_after(&text, "hydration").0;
        prop_assert!(beginning.iter().map(|(key, value)| key.len() + value.get().len()).sum::<usize>() <= text.len());
        count_history();
    }

    #[test]
    fn any_payload_yields_what_it_holds_and_no_more(
        values in prop::collection::vec(prop::sample::select(VALUES), 0..12),
        changes in prop_oneof![Just(vec![]), changes()],
        as_string in any::<bool>(),
    ) {
        let payload = changed(&format!(r#"{{"window":null,"Records":[{}]}}"#, values.join(" ,")), &changes);
        let value = if as_string { serde_json::to_string(&payload).unwrap() } else { payload };
        let text = RECORD.replacen("\"payload\":", "\"other\":", 1);
        let text = text.replacen("\"version\"", &format!("\"payload\":{value},\"version\""), 1);
        let fields = BorrowedObject::borrow_from(&text).ok();
        let record = fields.and_then(|fields| InvocationRecord::from_borrowed(&fields).ok());
        let events = record.as_ref().and_then(InvocationRecord::payload_records);
        let events: Option<Vec<&str>> = events.as_ref().map(|events| events.iter().map(|event| event.get()).collect());
        if changes.is_empty() {
            prop_assert_eq!(events, Some(values));
        } else if let Some(events) = events {
            prop_assert!(events.iter().all(|event| is_one_value(event)));
            prop_assert!(events.iter().map(|event| event.len()).sum::<usize>() <= text.len());
        }
        count_history();
    }
}

const VALUES: &[&str] = &[
    "{}",
    "[]",
    "null",
    "1e999",
    "-0.10",
    r#""\ud83d\ude00""#,
    r#""\ud800""#,
    r#"{"a" : [1.0, 2]}"#,
    r#"{"eventSource":"aws:kinesis"}"#,
];

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A protobuf field, right or wrong.
#[derive(Debug, Clone)]
enum Field {
    Number(u64, u64),
    Bytes(u64, Vec<u8>),
    /// A length that is not that of what follows.
    Lie(u64, u64),
    Raw(Vec<u8>),
}

fn written(fields: &[Field]) -> Vec<u8> {
    let mut out = Vec::new();
    for field in fields {
        match field {
            Field::Number(number, value) => {
                varint(number << 3, &mut out);
                varint(*value, &mut out);
            }
            Field::Bytes(number, bytes) => {
                varint(number << 3 | 2, &mut out);
                varint(bytes.len() as u64, &mut out);
                out.extend_from_slice(bytes);
            }
            Field::Lie(number, length) => {
                varint(number << 3 | 2, &mut out);
                varint(*length, &mut out);
            }
            Field::Raw(bytes) => out.extend_from_slice(bytes),
        }
    }
    out
}

fn sealed(message: &[u8]) -> Vec<u8> {
    [&[0xF3, 0x89, 0x9A, 0xC2], message, Md5::digest(message).as_slice()].concat()
}

fn data() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60),
        any::<String>().prop_map(String::into_bytes),
        fragments().prop_map(String::into_bytes),
        any::<String>().prop_map(|text| gzip(text.as_bytes())),
    ]
}

/// Mostly valid fields, so that the invalid ones are reached.
fn aggregates() -> impl Strategy<Value = Vec<u8>> {
    let odd = prop_oneof![
        (0..6_u64, any::<u64>()).prop_map(|(number, value)| Field::Number(number, value)),
        (0..6_u64, any::<u64>()).prop_map(|(number, length)| Field::Lie(number, length)),
        prop::collection::vec(any::<u8>(), 0..12).prop_map(Field::Raw),
    ];
    let entry = (0..4_u64, data(), prop::option::weighted(0.1, odd.clone())).prop_map(|(key, data, odd)| {
        let fields = [Field::Number(1, key), Field::Bytes(3, data)];
        Field::Bytes(3, written(&fields.into_iter().chain(odd).collect::<Vec<_>>()))
    });
    let key = ".{0,10}".prop_map(|key| Field::Bytes(1, key.into_bytes()));
    let field = prop_oneof![4 => key, 4 => entry, 1 => odd];
    prop::collection::vec(field, 0..16).prop_map(|fields| sealed(&written(&fields)))
}

fn view(data: &[u8]) -> String {
    let mut out = String::new();
    write_kinesis(data, &mut out);
    out
}

/// Returns true if the view is within its limit, with some bytes for the keys and braces around it.
fn within_bounds(data: &[u8], view: &str) -> bool {
    view.len() <= data.len() + MAX_UNPACKED_BYTES + 100
}

proptest! {
    #![proptest_config(config(3000))]

    #[test]
    fn any_aggregate_yields_slices_of_itself(data in aggregates()) {
        let records = deaggregate(&data).unwrap_or_default();
        let inside = data.as_ptr_range();
        for record in &records {
            prop_assert!(record.partition_key.chars().count() <= MAX_PARTITION_KEY_CHARS);
            for slice in [record.data, record.partition_key.as_bytes()] {
                let range = slice.as_ptr_range();
                prop_assert!(slice.is_empty() || (inside.start <= range.start && range.end <= inside.end));
            }
        }
        // Each has taken two bytes of key, two of data and two of its own at the least.
        prop_assert!(records.len() * 6 <= data.len());
        let view = view(&data);
        prop_assert!(is_one_value(&view), "{}", view);
        prop_assert!(within_bounds(&data, &view));
        count_history();
    }

    #[test]
    fn any_data_has_a_view_that_is_one_value_of_bounded_size(data in data(), twice in any::<bool>()) {
        let data = if twice { gzip(&data) } else { data };
        let view = view(&data);
        prop_assert!(is_one_value(&view) && json::is_sound(&view), "{}", view);
        prop_assert!(within_bounds(&data, &view));
        count_history();
    }
}

/// A few megabytes that decompress to gigabytes, in each possible form.
#[test]
fn decompression_bombs_stay_within_the_limits() {
    let mib = 1024 * 1024;
    let bomb = |byte: u8, size: usize| gzip(&vec![byte; size]);
    let text = bomb(b'x', 32 * mib);
    let control = bomb(0, 8 * mib);
    let members = bomb(b'x', mib).repeat(64);
    let empty_members = gzip(b"").repeat(20_000);
    let nested = gzip(&gzip(&bomb(b'x', 32 * mib)));
    let spaces = bomb(b' ', MAX_UNPACKED_BYTES);
    let brackets = bomb(b'[', MAX_UNPACKED_BYTES);
    let in_aggregate = {
        let fields: Vec<Field> = [Field::Bytes(1, b"k".to_vec())]
            .into_iter()
            .chain((0..200).map(|_| Field::Bytes(3, written(&[Field::Number(1, 0), Field::Bytes(3, bomb(b'x', mib))]))))
            .collect();
        sealed(&written(&fields))
    };
    for (name, data) in [
        ("text", text),
        ("control characters", control),
        ("members", members),
        ("empty members", empty_members),
        ("nested", nested),
        ("spaces", spaces),
        ("brackets", brackets),
        ("aggregate", in_aggregate),
    ] {
        let started = Instant::now();
        let view = view(&data);
        assert!(is_one_value(&view), "{name}");
        assert!(within_bounds(&data, &view), "{name}: {} bytes of {}", view.len(), data.len());
        assert!(started.elapsed() < Duration::from_secs(20), "{name}: {:?}", started.elapsed());
    }
}

/// Very long texts, in shapes for which a simple parser needs a deep stack or quadratic time.
#[test]
fn long_messages_are_read_in_proportion() {
    let size = 1_000_000;
    let long_number = format!(r#"{{"KinesisBatchInfo":{{"startSequenceNumber":"{}"}}}}"#, "9".repeat(size));
    let many_keys = format!("{{{}\"a\":1}}", "\"a\":1,".repeat(size / 6));
    let many_notes =
        format!(r#"{{"Records":[{}{{"Sns":{{"Message":"x"}}}}]}}"#, r#"{"Sns":{"Message":"x"}},"#.repeat(20_000));
    let deep = ["[", "{\"a\":", "{\"Records\":[{\"Sns\":", "{\"requestPayload\":"]
        .map(|piece| piece.repeat(size / piece.len()));
    let mut notification = RECORD.to_owned();
    while notification.len() < size {
        notification = serde_json::json!({"Type": "Notification", "Message": notification}).to_string();
    }
    let texts = [long_number, many_keys, many_notes, notification].into_iter().chain(deep);
    for text in texts {
        let started = Instant::now();
        assert!(!recognize(&text).is_empty());
        assert!(started.elapsed() < Duration::from_secs(10), "{}: {:?}", &text[..20], started.elapsed());
    }
}
