//! Stream records, and the Lambda event records that they become.

pub mod dynamodb;
pub mod event;
pub mod kinesis;

pub use dynamodb::{AttributeValue, DynamoDbRecord, Item, UserIdentity};
pub use kinesis::KinesisRecord;

use crate::arn::StreamArn;
use crate::kpl;
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

    /// The event records that Lambda delivers for it. `stream` is the ARN that the mapping names.
    pub fn event_records(&self, stream: &StreamArn, shard_id: &str) -> Vec<String> {
        let written = |write: &dyn Fn(&mut String)| {
            let mut event = String::new();
            write(&mut event);
            event
        };
        let kinesis = |record: &KinesisRecord| written(&|out| record.write_event(stream, shard_id, out));
        match self {
            Self::DynamoDb(record) => vec![written(&|out| record.write_event(stream, out))],
            // Lambda de-aggregates KPL records for a mapping with an enhanced fan-out consumer, and for no other.
            Self::Kinesis(record) => match kpl::deaggregate(&record.data).filter(|_| stream.is_consumer()) {
                Some(user_records) => user_records.iter().map(|opened| kinesis(&record.opened(opened))).collect(),
                None => vec![kinesis(record)],
            },
        }
    }
}
