//! Stream records.

use crate::record::{DynamoDbRecord, KinesisRecord, StreamRecord};
use crate::sequence_number::SequenceNumber;
use crate::test_support::START_MILLIS;
use crate::timestamp::Timestamp;

fn sequence_number(number: u64) -> SequenceNumber {
    SequenceNumber::parse(&number.to_string()).expect("a number in decimal is a sequence number")
}

/// A Kinesis record that arrived at the start of the test.
pub fn kinesis_record(number: u64, data: impl Into<Vec<u8>>) -> StreamRecord {
    StreamRecord::Kinesis(KinesisRecord {
        sequence_number: sequence_number(number),
        partition_key: "key".to_owned(),
        data: data.into(),
        approximate_arrival: Some(Timestamp::from_millis(START_MILLIS)),
    })
}

/// A DynamoDB record with a sequence number and nothing else.
pub fn dynamodb_record(number: u64) -> StreamRecord {
    StreamRecord::DynamoDb(Box::new(DynamoDbRecord {
        sequence_number: sequence_number(number),
        event_id: None,
        event_name: None,
        event_version: None,
        event_source: None,
        aws_region: None,
        approximate_creation: None,
        keys: None,
        new_image: None,
        old_image: None,
        size_bytes: None,
        stream_view_type: None,
        user_identity: None,
    }))
}
