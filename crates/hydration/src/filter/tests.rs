use super::Answer::{Fails, Passes, Unknown};
use proptest::prelude::*;

use super::*;
use crate::kpl::tests::aggregate;
use crate::record::KinesisRecord;
use crate::sequence_number::SequenceNumber;

const STREAM: &str = "arn:aws:kinesis:us-east-1:123456789012:stream/orders";
const CONSUMER: &str = "arn:aws:kinesis:us-east-1:123456789012:stream/orders/consumer/app:1789779975";
const TABLE: &str = "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-11-21T02:51:00.123";

fn filters(stream: &str, patterns: &[&str]) -> Filters {
    Filters::new(&StreamArn::parse(stream).unwrap(), patterns.iter().copied())
}

fn kinesis_answer(stream: &str, patterns: &[&str], data: &[u8]) -> Answer {
    let record = KinesisRecord {
        sequence_number: SequenceNumber::parse("7").unwrap(),
        partition_key: "customer-1".to_owned(),
        data: data.to_vec(),
        approximate_arrival: None,
    };
    let mut event = String::new();
    record.write_event(&StreamArn::parse(stream).unwrap(), "shardId-000000000000", &mut event);
    filters(stream, patterns).answer(&RawValue::from_string(event).unwrap())
}

fn dynamodb_answer(pattern: &str, event: &str) -> Answer {
    filters(TABLE, &[pattern]).answer(&RawValue::from_string(event.to_owned()).unwrap())
}

const BUY: &str = r#"{"data":{"type":["buy"]}}"#;
const NO_TYPE: &str = r#"{"data":{"type":[{"exists":false}]}}"#;

#[test]
fn data_is_matched_as_json_and_fails_where_it_is_none() {
    let gzipped = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3];
    for (data, of_buy, of_no_type) in [
        (&br#"{"type":"buy"}"#[..], Passes, Fails),
        (br#" { "type" : "sell" } "#, Fails, Fails),
        (br#"{"kind":"buy"}"#, Fails, Passes),
        (b"plain text", Fails, Fails),
        (b"", Fails, Fails),
        (b"   ", Fails, Fails),
        (&gzipped, Fails, Fails),
        // JSON without fields, or a text that a lenient parser takes for it.
        (b"123", Fails, Unknown),
        (b"\"buy\"", Fails, Unknown),
        (b"null", Fails, Unknown),
        (b"nothing", Fails, Unknown),
        // It may count as the objects in it.
        (br#"[{"type":"buy"}]"#, Unknown, Unknown),
        (br#"[{"type":"sell"}]"#, Fails, Unknown),
        (b"[]", Fails, Unknown),
        // Not JSON for us, and perhaps for Lambda.
        (br#"{"type":"buy"}{"type":"sell"}"#, Unknown, Unknown),
        (br#"{"type":"buy",}"#, Unknown, Unknown),
        (b"{\"type\":\"buy\xFF\"}", Unknown, Unknown),
        (b"\xEF\xBB\xBF{\"type\":\"buy\"}", Unknown, Unknown),
        (br#"{"type":"sell","type":"buy"}"#, Unknown, Unknown),
        (br#"{"type":"\uD800"}"#, Unknown, Unknown),
    ] {
        let text = String::from_utf8_lossy(data).into_owned();
        assert_eq!(kinesis_answer(STREAM, &[BUY], data), of_buy, "{text} of type buy");
        assert_eq!(kinesis_answer(STREAM, &[NO_TYPE], data), of_no_type, "{text} of no type");
    }
}

#[test]
fn an_aggregate_is_left_open_where_lambda_has_not_taken_it_apart() {
    let data = aggregate(&[("k", br#"{"type":"buy"}"#)]);
    assert_eq!(kinesis_answer(STREAM, &[BUY], &data), Unknown);
    assert_eq!(kinesis_answer(CONSUMER, &[BUY], &data), Fails);
    assert_eq!(kinesis_answer(CONSUMER, &[BUY], br#"{"type":"buy"}"#), Passes);
}

#[test]
fn a_record_passes_if_it_passes_one_of_several_filters() {
    let sell = r#"{"data":{"type":["sell"]}}"#;
    let unreadable = r#"{"data":{"type":"sell"}}"#;
    for (patterns, expected) in [
        (&[][..], Passes),
        (&[BUY], Passes),
        (&[sell], Fails),
        (&[sell, BUY], Passes),
        (&[sell, sell], Fails),
        (&[sell, unreadable], Unknown),
        (&[unreadable, BUY], Passes),
        (&[unreadable], Unknown),
    ] {
        assert_eq!(kinesis_answer(STREAM, patterns, br#"{"type":"buy"}"#), expected, "{patterns:?}");
    }
}

#[test]
fn fields_of_a_kinesis_record_other_than_its_data_are_left_open() {
    let data = br#"{"type":"buy"}"#;
    for (pattern, expected) in [
        (r#"{"partitionKey":["customer-1"]}"#, Unknown),
        (r#"{"partitionKey":["customer-2"]}"#, Unknown),
        (r#"{"data":["buy"]}"#, Unknown),
        // Whatever the key does, the data decides.
        (r#"{"partitionKey":["customer-1"],"data":{"type":["sell"]}}"#, Fails),
        (r#"{"partitionKey":["customer-1"],"data":{"type":["buy"]}}"#, Unknown),
        (r#"{"$or":[{"partitionKey":["customer-1"]},{"data":{"type":["buy"]}}]}"#, Passes),
    ] {
        assert_eq!(kinesis_answer(STREAM, &[pattern], data), expected, "{pattern}");
    }
}

#[test]
fn a_dynamodb_record_is_matched_on_its_change_its_event_name_and_its_identity() {
    let event = r#"{"eventID":"1","eventName":"INSERT","eventVersion":"1.1","eventSource":"aws:dynamodb",
        "awsRegion":"us-east-1","dynamodb":{"ApproximateCreationDateTime":1678831218,"Keys":{"Id":{"N":"101"}},
        "NewImage":{"Id":{"N":"101"},"Open":{"BOOL":true},"Blob":{"B":"AQID"},"Tags":{"L":[{"S":"x"},{"N":"1"}]}},
        "SequenceNumber":"111","SizeBytes":26},"userIdentity":{"type":"Service","principalId":"dynamodb.amazonaws.com"}}"#;
    for (pattern, expected) in [
        (r#"{"eventName":["INSERT"]}"#, Passes),
        (r#"{"eventName":["REMOVE"]}"#, Fails),
        (r#"{"dynamodb":{"Keys":{"Id":{"N":["101"]}}}}"#, Passes),
        (r#"{"dynamodb":{"Keys":{"Id":{"N":[101]}}}}"#, Fails),
        (r#"{"dynamodb":{"Keys":{"Id":{"N":[{"numeric":[">",1]}]}}}}"#, Fails),
        (r#"{"dynamodb":{"NewImage":{"Open":{"BOOL":[true]}}}}"#, Passes),
        (r#"{"dynamodb":{"NewImage":{"Tags":{"L":{"S":["x"]}}}}}"#, Passes),
        (r#"{"dynamodb":{"NewImage":{"Id":[{"exists":true}]}}}"#, Fails),
        (r#"{"dynamodb":{"OldImage":{"Id":{"N":[{"exists":false}]}}}}"#, Passes),
        (r#"{"userIdentity":{"type":["Service"],"principalId":["dynamodb.amazonaws.com"]}}"#, Passes),
        // The document that Lambda filters may spell these in another way.
        (r#"{"dynamodb":{"ApproximateCreationDateTime":[1678831218]}}"#, Unknown),
        (r#"{"dynamodb":{"NewImage":{"Blob":{"B":["AQID"]}}}}"#, Unknown),
        (r#"{"eventSourceARN":["x"]}"#, Unknown),
        (r#"{"eventID":["1"]}"#, Unknown),
    ] {
        assert_eq!(dynamodb_answer(pattern, event), expected, "{pattern}");
    }
}

#[test]
fn filters_that_cannot_be_seen_answer_nothing() {
    let stream = StreamArn::parse(STREAM).unwrap();
    let record = RawValue::from_string("{}".to_owned()).unwrap();
    assert_eq!(Filters::hidden(&stream).answer(&record), Unknown);
    assert!(Filters::hidden(&stream).are_unreadable() && !Filters::hidden(&stream).are_none());
    assert!(filters(STREAM, &[]).are_none() && !filters(STREAM, &[]).are_unreadable());
    assert!(filters(STREAM, &["no pattern"]).are_unreadable());
}

#[test]
fn a_record_that_cannot_be_read_is_left_open() {
    let record = RawValue::from_string(r#"{"eventSource":"aws:sqs"}"#.to_owned()).unwrap();
    assert_eq!(filters(STREAM, &[BUY]).answer(&record), Unknown);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_pattern_and_any_data_have_an_answer(
        pattern in r#"(\{"data":)?\{"(a|\$or|data)":\[(1|"x"|\{"(prefix|numeric|anything-but|exists|x)":(\["=",1\]|"x"|true|\[\])\}){0,2}\]\}?\}?"#,
        data in r#"(\{"a":)?(\[|\{|"|x|1|-|e|\\|\PC){0,8}\}?"#,
    ) {
        // Whatever is not JSON, or no pattern, fails or is left open.
        let answer = kinesis_answer(STREAM, &[&pattern], data.as_bytes());
        let is_readable = serde_json::from_str::<serde::de::IgnoredAny>(&data).is_ok();
        prop_assert!(answer != Passes || is_readable, "{} {}", pattern, data);
        let event = RawValue::from_string(format!(r#"{{"a":{}}}"#, serde_json::to_string(&data).unwrap())).unwrap();
        if let Ok(pattern) = Pattern::parse(&pattern) {
            pattern.answer(&event);
        }
    }
}

#[test]
fn patterns_without_bounds_are_not_followed() {
    let many = format!(r#"[{}]"#, vec![r#"{"a":["x"]}"#; 40].join(","));
    assert!(Pattern::parse(&format!(r#"{{"$or":{many}}}"#)).is_ok());
    let deep = format!(r#"{{"k":{{"$or":{many}}},"l":{{"$or":{many}}}}}"#);
    assert_eq!(Pattern::parse(&deep), Err(InvalidPattern));

    // Each field has matches, and x and y are in no element together: it would take 40 to the power of 4 trials.
    let list = format!("[{}]", vec![r#"{"v":1}"#; 40].join(","));
    let event = |names: &[&str]| {
        let fields: String = names.iter().map(|name| format!(r#""{name}":{list},"#)).collect();
        RawValue::from_string(format!(r#"{{{fields}"l":[{{"x":1}},{{"y":1}}]}}"#)).unwrap()
    };
    let pattern = |names: &[&str]| {
        let fields: String = names.iter().map(|name| format!(r#""{name}":{{"v":[1]}},"#)).collect();
        Pattern::parse(&format!(r#"{{{fields}"l":{{"x":[1],"y":[1]}}}}"#)).unwrap()
    };
    for (names, expected) in [(&["a"][..], Fails), (&["a", "b", "c", "d"], Unknown)] {
        assert_eq!(pattern(names).answer(&event(names)), expected, "{names:?}");
    }
}
