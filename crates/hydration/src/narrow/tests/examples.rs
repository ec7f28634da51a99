//! Examples with Lambda's own records.

use serde_json::value::RawValue;

use super::super::{Contradiction, InBatch, MappingSettings, Narrowed, narrow};
use crate::arn::StreamArn;
use crate::filter::Filters;
use crate::invocation_record::{FailedBatch, InvocationRecord};
use crate::json::Object;
use crate::kpl::tests::aggregate;
use crate::record::KinesisRecord;
use crate::sequence_number::SequenceNumber;
use crate::test_support::{InvocationRecordBuilder, KINESIS_STREAM_ARN};
use crate::timestamp::Timestamp;

const CONSUMER: &str = "arn:aws:kinesis:us-east-1:123456789012:stream/orders/consumer/app:1789779975";
const TABLE: &str = "arn:aws:dynamodb:us-east-1:123456789012:table/Orders/stream/2026-11-20T00:00:00.000";
const BUY: &str = r#"{"data":{"type":["buy"]}}"#;

fn batch(stream: &str, range: (u64, u64), size: Option<u64>) -> FailedBatch {
    let mut builder = InvocationRecordBuilder::new(stream, range.0, range.1, Timestamp::from_millis(0));
    builder.batch_size = size;
    InvocationRecord::from_fields(Object::from_str(&builder.to_json().to_string()).unwrap()).unwrap().batch
}

fn settings(stream: &str, patterns: &[&str], factor: u64) -> MappingSettings {
    let filters = Filters::new(&StreamArn::parse(stream).unwrap(), patterns.iter().copied());
    MappingSettings { filters, parallelization_factor: factor }
}

fn kinesis(stream: &str, number: u64, key: &str, data: &[u8]) -> Box<RawValue> {
    let record = KinesisRecord {
        sequence_number: SequenceNumber::parse(&number.to_string()).unwrap(),
        partition_key: key.to_owned(),
        data: data.to_vec(),
        approximate_arrival: None,
    };
    let mut event = String::new();
    record.write_event(&StreamArn::parse(stream).unwrap(), "shardId-000000000000", &mut event);
    RawValue::from_string(event).unwrap()
}

/// One letter a record: a certain one is `C`, an excluded one is a dot.
fn letters(narrowed: &Narrowed) -> String {
    let letter = |in_batch: &InBatch| match in_batch {
        InBatch::Certain => 'C',
        InBatch::Possible => '?',
        InBatch::Excluded => '.',
    };
    narrowed.records.iter().map(letter).collect()
}

/// Narrows records whose keys are the letters of `keys`. An upper-case letter passes the filter, if there is one.
fn by_keys(keys: &str, size: Option<u64>, patterns: &[&str], factor: u64, is_whole: bool) -> Narrowed {
    let record = |(place, key): (usize, char)| {
        let kind = if key.is_uppercase() { &br#"{"type":"buy"}"#[..] } else { br#"{"type":"sell"}"# };
        kinesis(KINESIS_STREAM_ARN, 10 + place as u64, &key.to_lowercase().to_string(), kind)
    };
    let records: Vec<Box<RawValue>> = keys.chars().enumerate().map(record).collect();
    let records: Vec<&RawValue> = records.iter().map(AsRef::as_ref).collect();
    let batch = batch(KINESIS_STREAM_ARN, (10, 9 + keys.len() as u64), size);
    narrow(&batch, &records, &settings(KINESIS_STREAM_ARN, patterns, factor), is_whole)
}

#[test]
fn filters_alone_give_the_batch() {
    let narrowed = by_keys("AbCdE", Some(3), &[BUY], 1, true);
    assert_eq!((letters(&narrowed).as_str(), narrowed.is_exact), ("C.C.C", true));
    // Without a size it is the same, and not known to be exact.
    let narrowed = by_keys("AbCdE", None, &[BUY], 1, true);
    assert_eq!((letters(&narrowed).as_str(), narrowed.is_exact), ("C.C.C", false));
    // Nothing is known of the filters: then only the ends and the size speak.
    let narrowed = by_keys("AbCdE", Some(3), &["no pattern"], 1, true);
    assert_eq!((letters(&narrowed).as_str(), narrowed.is_exact), ("C???C", false));
    let narrowed = by_keys("AbCdE", Some(2), &["no pattern"], 1, true);
    assert_eq!((letters(&narrowed).as_str(), narrowed.is_exact), ("C...C", true));
    let narrowed = by_keys("AbCdE", Some(5), &["no pattern"], 1, true);
    assert_eq!((letters(&narrowed).as_str(), narrowed.is_exact), ("CCCCC", true));
}

#[test]
fn records_that_share_a_key_with_an_end_are_certain_and_whole_keys_add_up() {
    for (keys, size, expected, is_exact) in [
        // The two ends of one lane, and nothing else that fits.
        ("abcab", Some(4), "CC.CC", true),
        // One more record: only c has one.
        ("abcddb", Some(4), "CCC..C", true),
        // c or d.
        ("abcdb", Some(4), "CC??C", false),
        // All of them.
        ("abcb", Some(4), "CCCC", true),
        ("abbab", None, "CCCCC", false),
        ("abcab", None, "CC?CC", false),
        // d and e have two, c three: five more are c with d or with e.
        ("abcccddeeb", Some(8), "CC???????C", false),
        ("abcccddb", Some(8), "CCCCCCCC", true),
        ("abccccddb", Some(7), "CCCCCC..C", true),
    ] {
        let narrowed = by_keys(keys, size, &[], 10, true);
        assert_eq!((letters(&narrowed).as_str(), narrowed.is_exact), (expected, is_exact), "{keys} {size:?}");
        assert_eq!(narrowed.contradiction, None, "{keys}");
    }
}

#[test]
fn filters_and_lanes_together() {
    for (keys, size, expected, is_exact) in [
        ("AbCDcA", Some(2), "C....C", true),
        ("AbBBccCA", Some(5), "C.CC..CC", true),
        ("ABBCA", Some(4), "CCC.C", true),
        // Two more: both of b. Or both of c, if batchSize counts the one that the filter stopped.
        ("ABBCcA", Some(4), "C???.C", false),
    ] {
        let narrowed = by_keys(keys, size, &[BUY], 2, true);
        assert_eq!((letters(&narrowed).as_str(), narrowed.is_exact), (expected, is_exact), "{keys}");
    }
}

#[test]
fn a_contradiction_narrows_nothing_and_says_which() {
    for (keys, size, patterns, factor, contradiction, expected) in [
        ("ABc", 2, &[BUY][..], 1, Contradiction::EndFails, "C?C"),
        ("ABC", 2, &[BUY], 1, Contradiction::TooMany { certain: 3, size: 2 }, "C?C"),
        ("AbC", 3, &[BUY], 1, Contradiction::TooFew { candidates: 2, size: 3 }, "C?C"),
        ("abc", 2, &[], 1, Contradiction::TooMany { certain: 3, size: 2 }, "C?C"),
        ("aaa", 2, &[], 2, Contradiction::TooMany { certain: 3, size: 2 }, "C?C"),
        ("acceeb", 3, &[], 2, Contradiction::NoChoice { size: 3 }, "C????C"),
    ] {
        let narrowed = by_keys(keys, Some(size), patterns, factor, true);
        assert_eq!(narrowed.contradiction, Some(contradiction), "{keys}");
        assert_eq!((letters(&narrowed).as_str(), narrowed.is_exact), (expected, false), "{keys}");
    }
    let absent = narrow(
        &batch(KINESIS_STREAM_ARN, (1, 9), Some(1)),
        &[&kinesis(KINESIS_STREAM_ARN, 5, "a", b"x")],
        &settings(KINESIS_STREAM_ARN, &[], 1),
        true,
    );
    assert_eq!((letters(&absent).as_str(), absent.contradiction), ("?", Some(Contradiction::NoEnd)));
}

#[test]
fn a_part_is_narrowed_by_filters_and_by_the_ends_it_has() {
    let narrowed = by_keys("AbCdE", Some(2), &[BUY], 1, false);
    assert_eq!((letters(&narrowed).as_str(), narrowed.is_exact), ("C.C.C", false));
    let narrowed = by_keys("abcab", Some(4), &[], 2, false);
    assert_eq!((letters(&narrowed).as_str(), narrowed.is_exact), ("CC?CC", false));
}

#[test]
fn user_records_of_an_aggregate_share_a_number_and_their_ends_stay_open() {
    let records = [(10, "a"), (10, "b"), (11, "c"), (12, "d")]
        .map(|(number, key)| kinesis(CONSUMER, number, key, br#"{"type":"buy"}"#));
    let records: Vec<&RawValue> = records.iter().map(AsRef::as_ref).collect();
    let narrowed = |size, factor, is_whole| {
        narrow(&batch(CONSUMER, (10, 12), Some(size)), &records, &settings(CONSUMER, &[BUY], factor), is_whole)
    };
    assert_eq!(letters(&narrowed(3, 1, true)), "??CC");
    assert_eq!(letters(&narrowed(4, 1, true)), "CCCC");
    assert_eq!(letters(&narrowed(3, 2, true)), "???C");
    // The rest of an aggregate may be in another part.
    assert_eq!(letters(&narrowed(3, 1, false)), "??C?");
}

#[test]
fn an_aggregate_that_lambda_did_not_open_has_no_key() {
    let data = aggregate(&[("k", b"1"), ("l", b"2")]);
    let records = [
        kinesis(KINESIS_STREAM_ARN, 1, "a", b"x"),
        kinesis(KINESIS_STREAM_ARN, 2, "a", &data),
        kinesis(KINESIS_STREAM_ARN, 3, "a", b"x"),
        kinesis(KINESIS_STREAM_ARN, 4, "b", b"x"),
        kinesis(KINESIS_STREAM_ARN, 5, "a", b"x"),
    ];
    let records: Vec<&RawValue> = records.iter().map(AsRef::as_ref).collect();
    let batch = batch(KINESIS_STREAM_ARN, (1, 5), Some(4));
    let narrowed = narrow(&batch, &records, &settings(KINESIS_STREAM_ARN, &[], 2), true);
    assert_eq!((letters(&narrowed).as_str(), narrowed.is_exact), ("C?C?C", false));
}

#[test]
fn changes_of_one_item_belong_together() {
    let event = |number: u64, id: &str, name: &str| {
        let event = format!(
            r#"{{"eventName":"{name}","eventSource":"aws:dynamodb","dynamodb":{{"Keys":{{"Id":{{"S":"{id}"}}}},"SequenceNumber":"{number}"}}}}"#
        );
        RawValue::from_string(event).unwrap()
    };
    let records = [event(1, "a", "INSERT"), event(2, "b", "INSERT"), event(3, "a", "MODIFY"), event(4, "a", "REMOVE")];
    let records: Vec<&RawValue> = records.iter().map(AsRef::as_ref).collect();
    let narrowed = |size, patterns: &[&str], factor| {
        letters(&narrow(&batch(TABLE, (1, 4), Some(size)), &records, &settings(TABLE, patterns, factor), true))
    };
    assert_eq!(narrowed(3, &[], 2), "C.CC");
    assert_eq!(narrowed(2, &[r#"{"eventName":["INSERT","REMOVE"]}"#], 2), "C..C");
    assert_eq!(narrowed(3, &[r#"{"eventName":["INSERT","REMOVE"]}"#], 1), "CC.C");
}

#[test]
fn records_that_cannot_be_read_or_are_out_of_order_are_all_possible() {
    let first = kinesis(KINESIS_STREAM_ARN, 1, "a", b"x");
    let last = kinesis(KINESIS_STREAM_ARN, 2, "a", b"x");
    let other = RawValue::from_string(r#"{"eventSource":"aws:sqs"}"#.to_owned()).unwrap();
    for records in [[&*last, &*first], [&*first, &*other]] {
        let batch = batch(KINESIS_STREAM_ARN, (1, 2), Some(1));
        assert_eq!(letters(&narrow(&batch, &records, &settings(KINESIS_STREAM_ARN, &[BUY], 1), true)), "??");
    }
}
