//! Batches of a shard's records, each with the invocation record that Lambda would have sent for it.

use serde_json::value::RawValue;

use super::{CONDITION, RescuePlan};
use crate::filter::Answer;
use crate::invocation_record::{BatchEnd, BatchEnds, InvocationRecord, write_batch_info};
use crate::json::{Object, write_string};
use crate::message::part::MAX_PART_BYTES;
use crate::record::StreamRecord;
use crate::sequence_number::SequenceNumber;
use crate::timestamp::Timestamp;

const EVENT_FRAME_BYTES: usize = r#"{"Records":[]}"#.len();

/// A batch that is ready to be hydrated from its own payload.
#[derive(Debug, Clone)]
pub struct RescuedBatch {
    pub record: InvocationRecord,
    pub end: SequenceNumber,
    pub last_arrival: Option<Timestamp>,
    /// Number of its event records.
    pub records: u64,
}

/// The records of the batch that is being filled.
#[derive(Debug, Default)]
struct UnfinishedBatch {
    /// The elements of `Records`, separated by commas.
    events: String,
    count: u64,
    /// Sequence number and arrival of the first record and of the last.
    first: Option<BatchEnd>,
    last: Option<BatchEnd>,
}

/// A cutter of records into batches, in their order.
#[derive(Debug)]
pub(super) struct BatchCutter<'a> {
    plan: &'a RescuePlan,
    shard_id: String,
    batch: UnfinishedBatch,
    /// Event records that the filters left out.
    pub(super) filtered: u64,
}

impl<'a> BatchCutter<'a> {
    pub(super) fn new(plan: &'a RescuePlan, shard_id: &str) -> Self {
        Self { plan, shard_id: shard_id.to_owned(), batch: UnfinishedBatch::default(), filtered: 0 }
    }

    /// Adds a record, and returns the batches that are full: the one before it, if the record does not fit, and the one
    /// that it fills.
    ///
    /// The event records of an aggregate share its sequence number. They stay in one batch, because a batch's id is
    /// that of its sequence numbers.
    pub(super) fn push(&mut self, record: &StreamRecord, now: Timestamp) -> Result<Vec<RescuedBatch>, String> {
        let all = record.event_records(&self.plan.stream, &self.shard_id);
        let number = all.len();
        let kept: Vec<String> = all.into_iter().filter(|event| self.passes(event)).collect();
        self.filtered += (number - kept.len()) as u64;
        let mut full = Vec::new();
        if kept.is_empty() {
            return Ok(full);
        }
        let bytes = kept.iter().map(|event| event.len() + ",".len()).sum::<usize>();
        let is_too_long = self.batch.count + kept.len() as u64 > self.plan.batch_size;
        let is_too_large = self.batch.events.len() + bytes + EVENT_FRAME_BYTES > MAX_PART_BYTES;
        if is_too_long || is_too_large {
            full.extend(self.take(now)?);
        }
        for event in &kept {
            if !self.batch.events.is_empty() {
                self.batch.events.push(',');
            }
            self.batch.events.push_str(event);
        }
        self.batch.count += kept.len() as u64;
        let end = (record.sequence_number().clone(), record.arrival());
        self.batch.first.get_or_insert_with(|| end.clone());
        self.batch.last = Some(end);
        if self.batch.count >= self.plan.batch_size {
            full.extend(self.take(now)?);
        }
        Ok(full)
    }

    /// Returns false if the record certainly fails the filters. A record whose answer is not known is kept.
    fn passes(&self, event: &str) -> bool {
        let raw = serde_json::from_str::<&RawValue>(event);
        raw.map_or(true, |raw| self.plan.filters.answer(raw) != Answer::Fails)
    }

    /// The batch so far. `None` if it has no record.
    pub(super) fn take(&mut self, now: Timestamp) -> Result<Option<RescuedBatch>, String> {
        let batch = std::mem::take(&mut self.batch);
        let (Some(first), Some(last)) = (batch.first, batch.last) else { return Ok(None) };
        let text =
            invocation_record(self.plan, &self.shard_id, BatchEnds { first: &first, last: &last }, batch.count, now);
        let fields = Object::from_str(&text).map_err(|_| "its invocation record is not JSON".to_owned())?;
        let payload = Some(format!(r#"{{"Records":[{}]}}"#, batch.events));
        let record = InvocationRecord { payload, ..InvocationRecord::from_fields(fields)? };
        Ok(Some(RescuedBatch { record, end: last.0, last_arrival: last.1, records: batch.count }))
    }
}

/// The document that Lambda would have sent. There is no `requestId` and no `approximateInvokeCount`: nothing says
/// whether the function was invoked with these records.
fn invocation_record(plan: &RescuePlan, shard_id: &str, ends: BatchEnds<'_>, count: u64, now: Timestamp) -> String {
    let mut out = r#"{"requestContext":{"functionArn":"#.to_owned();
    write_string(&plan.function_arn, &mut out);
    out.push_str(&format!(r#","condition":"{CONDITION}"}},"version":"1.0","timestamp":"{}","#, now.rfc3339()));
    write_batch_info(&plan.stream, shard_id, ends, count, &mut out);
    out.push('}');
    out
}
