use proptest::prelude::*;

use super::*;
use crate::arn::StreamArn;
use crate::record::dynamodb::tests::{any_value, change, event, item};

fn parse(source: Source, text: &str) -> Option<EventRecord> {
    EventRecord::parse(source, &RawValue::from_string(text.to_owned()).unwrap())
}

fn kinesis_record(data: &[u8], millis: i64) -> KinesisRecord {
    KinesisRecord {
        sequence_number: SequenceNumber::parse("49647238774018758449143791361301066723689190929215782914").unwrap(),
        partition_key: "customer \"1\"".into(),
        data: data.to_vec(),
        approximate_arrival: Some(Timestamp::from_millis(millis)),
    }
}

fn kinesis_event(record: &KinesisRecord) -> String {
    let mut out = String::new();
    let stream = StreamArn::parse("arn:aws:kinesis:us-east-1:123456789012:stream/orders").unwrap();
    record.write_event(&stream, "shardId-000000000000", &mut out);
    out
}

fn view(event: &EventRecord, deaggregated: bool) -> String {
    let mut out = String::new();
    event.write_view(deaggregated, &mut out);
    out
}

/// The shape of the capture in Lambda's S3 destination, `invokeIdentityArn` included.
const KINESIS: &str = r#"{
  "kinesis": {"kinesisSchemaVersion": "1.0", "partitionKey": "k", "sequenceNumber": "496", "data": "eyJuIjoxLjB9",
    "approximateArrivalTimestamp": 1789809023.187},
  "eventSource": "aws:kinesis", "eventVersion": "1.0", "eventID": "shardId-000000000000:496",
  "eventName": "aws:kinesis:record", "invokeIdentityArn": "arn:aws:iam::123456789012:role/r", "awsRegion": "us-east-1",
  "eventSourceARN": "arn:aws:kinesis:us-east-1:123456789012:stream/orders"}"#;

#[test]
fn a_kinesis_event_record_is_read() {
    let event = parse(Source::Kinesis, KINESIS).unwrap();
    assert_eq!(event.sequence_number().as_str(), "496");
    assert_eq!(view(&event, false), r#"{"n":1.0}"#);
    let StreamRecord::Kinesis(record) = event.record else { panic!("another service's") };
    assert_eq!(record.approximate_arrival, Some(Timestamp::from_millis(1_789_809_023_187)));
    assert_eq!(record.partition_key, "k");
}

#[test]
fn text_that_is_not_an_event_record_of_the_service_is_refused() {
    assert!(parse(Source::DynamoDb, KINESIS).is_none());
    assert!(parse(Source::Kinesis, &event(&change())).is_none());
    for (from, to) in [
        ("\"aws:kinesis\"", "\"aws:sqs\""),
        ("\"sequenceNumber\": \"496\", ", ""),
        ("\"496\"", "496"),
        ("\"496\"", "\"-496\""),
        ("eyJuIjoxLjB9", "eyJuIjoxLjB"),
        ("eyJuIjoxLjB9", "not base64!"),
        ("\"partitionKey\": \"k\", ", ""),
        ("arn:aws:iam", r"\ud800"),
    ] {
        let text = KINESIS.replacen(from, to, 1);
        assert_ne!(text, KINESIS);
        assert!(parse(Source::Kinesis, &text).is_none(), "{from} to {to}");
    }
    for text in ["null", "[]", "{}", "\"x\"", r#"{"eventSource":"aws:kinesis"}"#, r#"{"Sns":{}}"#] {
        assert!(parse(Source::Kinesis, text).is_none() && parse(Source::DynamoDb, text).is_none(), "{text}");
    }
}

#[test]
fn leading_zeros_of_a_sequence_number_are_kept() {
    let event = parse(Source::Kinesis, &KINESIS.replacen("\"496\"", "\"0496\"", 1)).unwrap();
    assert_eq!(event.sequence_number().as_str(), "0496");
}

#[test]
fn an_arrival_that_is_missing_or_strange_is_no_reason_to_refuse() {
    for arrival in ["\"yesterday\"", "null", "{}"] {
        let event = parse(Source::Kinesis, &KINESIS.replace("1789809023.187", arrival)).unwrap();
        let StreamRecord::Kinesis(record) = event.record else { panic!("another service's") };
        assert_eq!(record.approximate_arrival, None, "{arrival}");
    }
}

#[test]
fn a_record_that_lambda_took_out_of_an_aggregate_is_not_opened_again() {
    let aggregate = crate::kpl::tests::aggregate(&[("k", b"text")]);
    let event = parse(Source::Kinesis, &kinesis_event(&kinesis_record(&aggregate, 0))).unwrap();
    assert_eq!(view(&event, false), r#"[{"partitionKey":"k","data":"text"}]"#);
    assert_eq!(view(&event, true), format!(r#"{{"binary":{}}}"#, aggregate.len()));
}

#[test]
fn a_dynamodb_event_record_is_read() {
    let mut record = change();
    record.user_identity = Some(UserIdentity { principal_id: Some("p".into()), kind: Some("Service".into()) });
    let text = event(&record).replace("1700000000", "1.7E9");
    let event = parse(Source::DynamoDb, &text).unwrap();
    assert_eq!(event.record, StreamRecord::DynamoDb(Box::new(record)));
    assert_eq!(
        view(&event, false),
        r#"{"eventName":"MODIFY","keys":{"id":"o-1"},"newImage":{"id":"o-1","total":12.50}}"#
    );
    assert!(parse(Source::DynamoDb, &text.replace("{\"N\":\"12.50\"}", "12.50")).is_none());
}

proptest! {
    #[test]
    fn a_written_kinesis_event_reads_back(data in prop::collection::vec(any::<u8>(), 0..200), millis in -1_000_000_000_000_i64..4_000_000_000_000) {
        let record = kinesis_record(&data, millis);
        let event = parse(Source::Kinesis, &kinesis_event(&record)).unwrap();
        prop_assert_eq!(event.record, StreamRecord::Kinesis(record));
    }

    #[test]
    fn a_written_dynamodb_event_reads_back(value in any_value()) {
        let mut record = change();
        record.old_image = Some(item("value", value));
        let read = parse(Source::DynamoDb, &event(&record)).unwrap();
        prop_assert_eq!(read.record, StreamRecord::DynamoDb(Box::new(record)));
    }

    #[test]
    fn no_payload_data_panics(data in "[A-Za-z0-9+/=\\-_ ]{0,40}") {
        if let Some(event) = parse(Source::Kinesis, &KINESIS.replace("eyJuIjoxLjB9", &data)) {
            prop_assert!(!view(&event, false).is_empty());
        }
    }
}
