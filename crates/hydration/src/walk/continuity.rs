//! The records read so far, and whether some between them may be missing.
//!
//! DynamoDB returns an error for an iterator whose records were trimmed. Kinesis does not: its iterator goes on with the
//! oldest records that are left. But streams trim the oldest records first. So while one record of the shard is still
//! there, nothing after it was trimmed. A record near the end of the retention is therefore read again together with the
//! records after it. No stream trims a younger one, and there the check would cost calls and show nothing.

use super::{MIN_RETENTION, POSITION_TOLERANCE};
use crate::arn::Source;
use crate::ports::Position;
use crate::record::StreamRecord;
use crate::sequence_number::SequenceNumber;
use crate::timestamp::Timestamp;

/// A record that was read: its position, and its arrival if the service reports one.
#[derive(Debug, Clone)]
struct ReadRecord {
    number: SequenceNumber,
    arrival: Option<Timestamp>,
}

impl ReadRecord {
    fn of(record: &StreamRecord) -> Self {
        let arrival = match record {
            StreamRecord::Kinesis(record) => record.approximate_arrival,
            StreamRecord::DynamoDb(_) => None,
        };
        Self { number: record.sequence_number().clone(), arrival }
    }
}

/// The records read so far.
pub(super) struct Continuity {
    source: Source,
    /// The first record that matters. What is missing before it is no gap.
    first_wanted: SequenceNumber,
    last: Option<ReadRecord>,
    /// The last record up to which none is missing between two that were read.
    gap_free_to: Option<ReadRecord>,
    /// The iterator was placed at or before `gap_free_to`, or at the oldest record. Its first record shows if that one is
    /// still there.
    is_checking: bool,
    has_gap: bool,
}

impl Continuity {
    pub(super) fn new(source: Source, first_wanted: SequenceNumber) -> Self {
        Self { source, first_wanted, last: None, gap_free_to: None, is_checking: false, has_gap: false }
    }

    /// The last record that was read.
    pub(super) fn last(&self) -> Option<&SequenceNumber> {
        self.last.as_ref().map(|last| &last.number)
    }

    /// Records between two that were read were trimmed, or may have been.
    pub(super) fn may_have_gap(&self) -> bool {
        self.has_gap || self.needs_check()
    }

    /// Returns true if records may be missing before the last one that was read, and a check would show it.
    pub(super) fn needs_check(&self) -> bool {
        match (&self.gap_free_to, &self.last) {
            (Some(proven), Some(last)) => last.number > proven.number && last.number > self.first_wanted,
            _ => false,
        }
    }

    pub(super) fn is_checking(&self) -> bool {
        self.is_checking
    }

    /// Returns true if records after the last one that is proven may be trimmed without an error.
    pub(super) fn may_be_trimmed(&self, now: Timestamp) -> bool {
        let is_old = |record: &ReadRecord| {
            let latest = now.plus_millis(POSITION_TOLERANCE.as_millis() as i64);
            record.arrival.is_none_or(|arrival| latest.millis_since(arrival) >= MIN_RETENTION.as_millis() as i64)
        };
        self.source == Source::Kinesis && self.gap_free_to.as_ref().is_some_and(is_old)
    }

    /// The next iterator is placed anew, and not behind the records that were read.
    pub(super) fn set_checking(&mut self) {
        self.is_checking = self.last.is_some();
    }

    /// The position from which a check starts.
    pub(super) fn position_to_check(&self) -> Option<Position> {
        self.gap_free_to.as_ref().map(|proven| Position::At(proven.number.clone()))
    }

    /// Compares a page with what was read before it. Call it before [`is_new`](Self::is_new).
    pub(super) fn handle_page(&mut self, records: &[StreamRecord], now: Timestamp) {
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return };
        let first = first.sequence_number();
        match &self.gap_free_to {
            Some(proven) if self.is_checking => {
                self.has_gap |= *first > proven.number && *first > self.first_wanted;
            }
            // The record before this page may be gone, and others with it.
            Some(_) if self.may_be_trimmed(now) => return,
            _ => {}
        }
        self.is_checking = false;
        let was_read = self.last().is_some_and(|read| read > last.sequence_number());
        self.gap_free_to = if was_read { self.last.clone() } else { Some(ReadRecord::of(last)) };
    }

    /// Returns true if the record was not read before, and takes note of it.
    pub(super) fn is_new(&mut self, record: &StreamRecord) -> bool {
        let is_new = self.last().is_none_or(|last| record.sequence_number() > last);
        if is_new {
            self.last = Some(ReadRecord::of(record));
        }
        is_new
    }
}
