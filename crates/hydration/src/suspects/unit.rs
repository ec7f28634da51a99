//! Units: what records are compared by. A unit is a record, or a user record of an aggregate.

use crate::kpl;
use crate::record::{DynamoDbRecord, StreamRecord};
use crate::suspects::content::UnitContent;
use crate::view::{Budget, Decoded, decode};

/// The most bytes of all records together that are unpacked. Compressed data after that counts as binary.
const MAX_UNPACKED_BYTES: usize = 64 * 1024 * 1024;

/// The most units of a batch. An aggregate of empty user records has one for every four bytes.
pub const MAX_UNITS: usize = 100_000;

/// A record, or a user record of an aggregate, decoded.
#[derive(Debug)]
pub struct Unit<'a> {
    /// The number of the user record in its aggregate, from 1.
    pub in_aggregate: Option<usize>,
    pub partition_key: Option<&'a str>,
    /// Bytes in the stream.
    pub stored_bytes: usize,
    pub gzipped: bool,
    pub content: UnitContent<'a>,
}

/// Decodes records with one budget for all of them.
pub struct Decoder {
    budget: Budget,
    is_deaggregated: bool,
}

impl Decoder {
    pub fn new(is_deaggregated: bool) -> Self {
        Self { budget: Budget::of_bytes(MAX_UNPACKED_BYTES), is_deaggregated }
    }

    /// Hands each unit of the record to the visitor.
    pub fn visit(&mut self, record: &StreamRecord, mut visit: impl FnMut(Unit<'_>)) {
        match record {
            StreamRecord::DynamoDb(change) => visit(dynamodb_unit(change)),
            StreamRecord::Kinesis(record) => {
                let opened = if self.is_deaggregated { None } else { kpl::deaggregate(&record.data) };
                match opened {
                    None => visit(self.unit(None, &record.partition_key, &record.data)),
                    Some(user_records) => {
                        for (index, user_record) in user_records.iter().enumerate().take(MAX_UNITS) {
                            visit(self.unit(Some(index + 1), user_record.partition_key, user_record.data));
                        }
                    }
                }
            }
        }
    }

    fn unit<'a>(&mut self, in_aggregate: Option<usize>, partition_key: &'a str, data: &'a [u8]) -> Unit<'a> {
        let (content, gzipped) = match decode(data, &mut self.budget) {
            _ if data.is_empty() => (UnitContent::Empty, false),
            Decoded::Json { text, gzipped } => (UnitContent::Json(text), gzipped),
            Decoded::Text { text, gzipped } => (UnitContent::of_text(text), gzipped),
            Decoded::Binary { .. } | Decoded::Aggregate(_) => (UnitContent::Binary(data), false),
        };
        Unit { in_aggregate, partition_key: Some(partition_key), stored_bytes: data.len(), gzipped, content }
    }
}

fn dynamodb_unit(change: &DynamoDbRecord) -> Unit<'_> {
    let stored_bytes = change.size_bytes.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or_default();
    Unit { in_aggregate: None, partition_key: None, stored_bytes, gzipped: false, content: UnitContent::Change(change) }
}

/// Returns true if the record is an aggregate that is opened.
pub fn is_aggregate(record: &StreamRecord, is_deaggregated: bool) -> bool {
    match record {
        StreamRecord::Kinesis(record) => !is_deaggregated && kpl::deaggregate(&record.data).is_some(),
        StreamRecord::DynamoDb(_) => false,
    }
}
