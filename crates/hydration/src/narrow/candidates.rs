//! The records of a range, as the rules of narrowing see them.

use std::collections::HashSet;

use serde_json::value::RawValue;

use crate::filter::Answer;
use crate::invocation_record::FailedBatch;
use crate::kpl;
use crate::narrow::MappingSettings;
use crate::record::StreamRecord;
use crate::record::event::EventRecord;
use crate::sequence_number::SequenceNumber;

/// A record of the range.
#[derive(Debug, Clone)]
pub struct RangeRecord {
    pub number: SequenceNumber,
    /// The key that Lambda keeps in order: the partition key, or the key of the item. `None` where it is not known.
    pub key: Option<String>,
    /// The answer of the mapping's filters.
    pub answer: Answer,
}

impl RangeRecord {
    pub fn may_pass(&self) -> bool {
        self.answer != Answer::Fails
    }
}

/// The records in the order of the shard. `None` if one of them cannot be read, or they are in another order.
pub fn read(
    batch: &FailedBatch,
    records: &[&RawValue],
    settings: &MappingSettings,
    is_whole: bool,
) -> Option<Vec<RangeRecord>> {
    let mut candidates: Vec<RangeRecord> = Vec::with_capacity(records.len());
    for raw in records {
        let event = EventRecord::parse(batch.stream.source(), raw)?;
        candidates.push(RangeRecord {
            number: event.sequence_number().clone(),
            key: key(&event.record, batch.stream.is_consumer()),
            answer: settings.filters.answer(raw),
        });
    }
    if !candidates.is_sorted_by_key(|candidate| &candidate.number) {
        return None;
    }
    // User records of aggregates: whether Lambda orders them by their own key or by the aggregate's is not documented.
    let numbers: HashSet<&SequenceNumber> = candidates.iter().map(|candidate| &candidate.number).collect();
    if numbers.len() < candidates.len() || (batch.stream.is_consumer() && !is_whole) {
        candidates.iter_mut().for_each(|candidate| candidate.key = None);
    }
    Some(candidates)
}

fn key(record: &StreamRecord, deaggregated: bool) -> Option<String> {
    match record {
        // The keys of the user records are inside.
        StreamRecord::Kinesis(record) if !deaggregated && kpl::deaggregate(&record.data).is_some() => None,
        StreamRecord::Kinesis(record) => Some(record.partition_key.clone()),
        StreamRecord::DynamoDb(record) => {
            let keys = record.keys.as_ref().filter(|keys| !keys.is_empty())?;
            serde_json::to_string(keys).ok()
        }
    }
}
