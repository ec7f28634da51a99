//! Stream records, and the Lambda event records that they become.

pub mod dynamodb;
pub mod event;
pub mod kinesis;

pub use dynamodb::{AttributeValue, DynamoDbRecord, Item, UserIdentity};
pub use kinesis::KinesisRecord;

use crate::sequence_number::SequenceNumber;
use crate::timestamp::Timestamp;

/// A record as the stream's API returns it.
#[derive(Debug, Clone, PartialEq)]
pub enum StreamRecord {
    Kinesis(KinesisRecord),
    DynamoDb(Box<DynamoDbRecord>),
}

impl StreamRecord {
    /// The time at which the record arrived in the stream. DynamoDB has whole seconds.
    pub fn arrival(&self) -> Option<Timestamp> {
        match self {
            Self::Kinesis(record) => record.approximate_arrival,
            Self::DynamoDb(record) => record.approximate_creation.map(|secs| Timestamp::from_secs_and_nanos(secs, 0)),
        }
    }

    pub fn sequence_number(&self) -> &SequenceNumber {
        match self {
            Self::Kinesis(record) => &record.sequence_number,
            Self::DynamoDb(record) => &record.sequence_number,
        }
    }
}
