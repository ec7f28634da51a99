use proptest::prelude::*;

use super::*;

fn seconds(millis: i64) -> String {
    let mut out = String::new();
    write_seconds(millis, &mut out);
    out
}

#[test]
fn the_event_is_lambda_s() {
    let record = KinesisRecord {
        sequence_number: SequenceNumber::parse("49647238774018758449143791361301066723689190929215782914").unwrap(),
        partition_key: "a\"b".into(),
        data: b"hello\xFF".to_vec(),
        approximate_arrival: Some(Timestamp::from_millis(1_789_779_944_662)),
    };
    let stream = "arn:aws-cn:kinesis:cn-north-1:123456789012:stream/orders/consumer/fast:1789779975";
    let mut out = String::from("[");
    record.write_event(&StreamArn::parse(stream).unwrap(), "shardId-000000000000", &mut out);
    let expected = concat!(
        r#"[{"kinesis":{"kinesisSchemaVersion":"1.0","partitionKey":"a\"b","#,
        r#""sequenceNumber":"49647238774018758449143791361301066723689190929215782914","data":"aGVsbG//","#,
        r#""approximateArrivalTimestamp":1789779944.662},"eventSource":"aws:kinesis","eventVersion":"1.0","#,
        r#""eventID":"shardId-000000000000:49647238774018758449143791361301066723689190929215782914","#,
        r#""eventName":"aws:kinesis:record","awsRegion":"cn-north-1","#,
        r#""eventSourceARN":"arn:aws-cn:kinesis:cn-north-1:123456789012:stream/orders/consumer/fast:1789779975"}"#
    );
    assert_eq!(out, expected);
}

#[test]
fn an_empty_record_without_an_arrival_is_a_record() {
    let record = KinesisRecord {
        sequence_number: SequenceNumber::parse("1").unwrap(),
        partition_key: "k".into(),
        data: Vec::new(),
        approximate_arrival: None,
    };
    let mut out = String::new();
    record.write_event(&StreamArn::parse("arn:aws:kinesis:us-east-1:123456789012:stream/s").unwrap(), "s-0", &mut out);
    assert!(out.contains(r#""sequenceNumber":"1","data":""},"eventSource""#), "{out}");
}

#[test]
fn milliseconds_are_seconds_without_trailing_zeros() {
    for (millis, expected) in [
        (1_789_779_946_100, "1789779946.1"),
        (1_789_779_946_010, "1789779946.01"),
        (1_789_779_946_001, "1789779946.001"),
        (1_789_779_946_000, "1789779946"),
        (0, "0"),
        (-1, "-0.001"),
        (-1_500, "-1.5"),
        (i64::MIN, "-9223372036854775.808"),
    ] {
        assert_eq!(seconds(millis), expected);
    }
}

proptest! {
    #[test]
    fn no_millisecond_is_lost(millis in -100_000_000_000_000_i64..100_000_000_000_000) {
        let read: f64 = serde_json::from_str(&seconds(millis)).unwrap();
        prop_assert_eq!((read * 1000.0).round() as i64, millis);
    }
}
