//! Reading of a range, page by page: a state machine that makes no calls itself.
//!
//! The caller asks [`Walk::next`] for the next action, performs it, and passes the result back with one of the
//! `handle_` methods. The walk decides which records lie in the range, when the range has been read, and when no more
//! of it can come. It holds no records.

mod continuity;
mod result;

use std::time::Duration;

use self::continuity::Continuity;
pub use self::result::{RangeCoverage, StopReason};
use crate::arn::Source;
use crate::continuation::Continuation;
use crate::invocation_record::{FailedBatch, Range};
use crate::ports::{Page, Position, Rejection};
use crate::record::StreamRecord;
use crate::timestamp::Timestamp;

/// The age from which a record may have been trimmed. DynamoDB Streams keeps records for 24 hours
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html>), Kinesis for at least 24 hours
/// (<https://docs.aws.amazon.com/streams/latest/dev/kinesis-extended-retention.html>).
pub const MIN_RETENTION: Duration = Duration::from_secs(24 * 60 * 60);

/// `MillisBehindLatest`, the arrival times and the clock are approximate. Their errors are far below a minute.
pub(crate) const POSITION_TOLERANCE: Duration = Duration::from_secs(60);
/// Empty pages in a row at the tip, before the walk believes that no record is left: one more read is cheaper than a
/// wrong verdict.
pub(crate) const MIN_EMPTY_PAGES_AT_TIP: u32 = 2;
/// Empty pages that do not come closer to the tip, before a Kinesis iterator counts as stuck.
pub(crate) const MAX_EMPTY_PAGES_WITHOUT_PROGRESS: u32 = 5;
/// Empty pages of a DynamoDB shard, which reports no distance to the tip, before the walk ends.
pub(crate) const MAX_EMPTY_PAGES_WITHOUT_POSITION: u32 = 20;
/// Iterators in a row that expire or are rejected before they return a page.
pub(crate) const MAX_ITERATORS_WITHOUT_PAGE: u32 = 5;

/// Two of the five reads a second that all consumers of a Kinesis shard share
/// (<https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html>). It also leaves a DynamoDB shard
/// to the mapping's own reader.
pub const MIN_READ_PAUSE: Duration = Duration::from_millis(500);
/// Half of the 2 MiB a second that all consumers of a Kinesis shard share.
pub const MAX_READ_BYTES_PER_SECOND: u64 = 1024 * 1024;

/// The largest `Limit` that a `GetRecords` call accepts.
pub fn max_page_records(source: Source) -> u32 {
    match source {
        Source::Kinesis => 10_000,
        Source::DynamoDb => 1_000,
    }
}

/// The pause after a page with these bytes of data. The shard's other readers need their share of its quota.
pub(crate) fn pause_after(bytes: u64) -> Duration {
    let millis_for_bytes = bytes.saturating_mul(1000) / MAX_READ_BYTES_PER_SECOND;
    MIN_READ_PAUSE.max(Duration::from_millis(millis_for_bytes))
}

/// The next call that the walk needs, or its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextAction {
    GetShardIterator(Position),
    GetRecords { limit: u32 },
    Stop(StopReason),
}

/// The state between two calls.
#[derive(Debug, Clone, PartialEq, Eq)]
enum WalkState {
    NeedsIterator(Position),
    Reading,
    Stopped(StopReason),
}

/// The state machine that reads one range.
pub struct Walk {
    source: Source,
    range: Range,
    batch_size: Option<u64>,
    first_arrival: Option<Timestamp>,
    last_arrival: Option<Timestamp>,

    /// The point up to which earlier invocations have delivered.
    continuation: Option<Continuation>,

    state: WalkState,
    /// The position to start from again when an iterator is lost before it returned a record.
    origin: Position,
    read: Continuity,
    /// The walk is over, but for a last check.
    stop_after_check: Option<StopReason>,
    coverage: RangeCoverage,
    /// Event records read so far. A KPL aggregate counts as its user records where Lambda de-aggregates.
    events_read: u64,
    empty_pages: u32,
    /// Empty pages in a row that came no closer to the tip.
    pages_without_progress: u32,
    /// The distance to the tip that the last page reported.
    millis_behind: Option<u64>,
    iterators_without_page: u32,
    is_repositioned: bool,
    start_rejected: bool,
    /// The stream or shard was not found once. The walk asks a second time.
    not_found_once: bool,
    pause: Duration,
}

impl Walk {
    pub fn new(batch: &FailedBatch, range: Range, continuation: Option<Continuation>) -> Self {
        // The last delivered record is read again: if it is still there, nothing after it was trimmed.
        let first = continuation.as_ref().map_or(&range.start, |continuation| &continuation.after);
        let read = Continuity::new(batch.stream.source(), first.clone());
        let origin = Position::At(first.clone());
        let coverage = RangeCoverage { any_record: continuation.is_some(), ..RangeCoverage::default() };
        let events_read = continuation.as_ref().map_or(0, |continuation| continuation.recovered_records);
        Self {
            source: batch.stream.source(),
            batch_size: batch.batch_size,
            first_arrival: batch.first_arrival,
            last_arrival: batch.latest_possible_arrival(),
            range,
            continuation,
            state: WalkState::NeedsIterator(origin.clone()),
            origin,
            read,
            stop_after_check: None,
            coverage,
            events_read,
            empty_pages: 0,
            pages_without_progress: 0,
            millis_behind: None,
            iterators_without_page: 0,
            is_repositioned: false,
            start_rejected: false,
            not_found_once: false,
            pause: MIN_READ_PAUSE,
        }
    }

    pub fn next(&self) -> NextAction {
        match &self.state {
            WalkState::NeedsIterator(position) => NextAction::GetShardIterator(position.clone()),
            WalkState::Reading => NextAction::GetRecords { limit: self.limit() },
            WalkState::Stopped(reason) => NextAction::Stop(*reason),
        }
    }

    /// The pause before the next read. The shard's other readers need their share of its quota.
    pub fn pause(&self) -> Duration {
        self.pause
    }

    /// The parts of the range that were read, over all invocations.
    pub fn coverage(&self) -> RangeCoverage {
        let coverage = RangeCoverage { gap: self.read.may_have_gap(), ..self.coverage.clone() };
        match &self.continuation {
            None => coverage,
            Some(continuation) => RangeCoverage {
                start: coverage.start && continuation.from_start,
                gap: coverage.gap || !coverage.start,
                ..coverage
            },
        }
    }

    /// `Limit`: the records that are still missing of the batch, so that an exact batch is read without one record too
    /// many. When the batch size is reached and the end is not, the number of records in between is unknown.
    fn limit(&self) -> u32 {
        let max = max_page_records(self.source);
        if self.stop_after_check.is_some() {
            return 1;
        }
        let reads_last_delivered_again = self.continuation.is_some() && self.read.last().is_none();
        let reads_one_again = reads_last_delivered_again || (self.read.is_checking() && self.source == Source::Kinesis);
        match self.batch_size.map(|size| size.saturating_sub(self.events_read)) {
            None | Some(0) => max,
            Some(missing) => {
                let wanted = missing.saturating_add(u64::from(reads_one_again));
                u32::try_from(wanted).unwrap_or(max).min(max)
            }
        }
    }

    /// Handles a new iterator.
    pub fn handle_iterator(&mut self) {
        self.state = WalkState::Reading;
    }

    /// Adds the event records that the last page's records became.
    pub fn add_events(&mut self, events: u64) {
        self.events_read += events;
    }

    /// Handles a page. Returns its records that lie in the range and were not returned before.
    pub fn handle_page(&mut self, page: Page, now: Timestamp) -> Vec<StreamRecord> {
        self.iterators_without_page = 0;
        self.not_found_once = false;
        self.pause = pause_after(page.bytes);
        let is_closed = page.next.is_none();
        if page.records.is_empty() && !is_closed {
            self.handle_empty_page(page.millis_behind_latest, now);
            return Vec::new();
        }
        self.empty_pages = 0;
        self.pages_without_progress = 0;
        self.millis_behind = page.millis_behind_latest;
        self.read.handle_page(&page.records, now);
        let is_end = page.records.last().is_some_and(|last| *last.sequence_number() >= self.range.end);
        let before = self.read.last().cloned();
        let records = self.select_new(page.records);
        let has_new = self.read.last() != before.as_ref();
        // A position that brought a record was no dead end. The next one may be looked for again.
        self.is_repositioned &= !has_new;
        if let Some(reason) = self.stop_after_check {
            self.stop(reason);
        } else if is_end {
            self.stop(StopReason::EndReached);
        } else if is_closed {
            self.stop(StopReason::ShardClosed);
        } else if has_new && self.read.may_be_trimmed(now) {
            self.read_again();
        }
        records
    }

    /// Goes on at a record that was read before, so that the next page shows whether records after it were trimmed.
    fn read_again(&mut self) {
        if let Some(position) = self.read.position_to_check() {
            self.place_at(position);
        }
    }

    /// Selects the records in the range that were not read before.
    fn select_new(&mut self, mut records: Vec<StreamRecord>) -> Vec<StreamRecord> {
        let after = self.continuation.as_ref().map(|continuation| &continuation.after);
        let first = after.unwrap_or(&self.range.start);
        records.retain(|record| {
            if !self.read.is_new(record) {
                return false;
            }
            let number = record.sequence_number();
            self.coverage.start |= number == first;
            self.coverage.end |= *number == self.range.end;
            let is_selected = self.range.contains(number) && after.is_none_or(|after| number > after);
            self.coverage.any_record |= is_selected;
            is_selected
        });
        records
    }

    /// Handles an empty page. It ends nothing by itself: AWS returns empty pages while records still follow
    /// (<https://docs.aws.amazon.com/streams/latest/dev/troubleshooting-consumers.html>).
    fn handle_empty_page(&mut self, millis_behind_latest: Option<u64>, now: Timestamp) {
        self.empty_pages += 1;
        match millis_behind_latest {
            Some(behind) if self.is_after_batch(behind, now) && self.empty_pages >= MIN_EMPTY_PAGES_AT_TIP => {
                // An iterator at a trimmed record looks the same.
                if behind > 0 && self.read.may_be_trimmed(now) && !self.is_repositioned {
                    self.reposition();
                } else {
                    self.stop(StopReason::Exhausted);
                }
            }
            Some(behind) => self.check_progress(behind, now),
            None if self.empty_pages >= MAX_EMPTY_PAGES_WITHOUT_POSITION => {
                self.stop_without_records("twenty empty pages in a row", now);
            }
            None => {}
        }
    }

    /// The position is the tip, or every record of the batch had arrived before it.
    fn is_after_batch(&self, millis_behind: u64, now: Timestamp) -> bool {
        let position = now.plus_millis(-i64::try_from(millis_behind).unwrap_or(i64::MAX));
        let tolerance = POSITION_TOLERANCE.as_millis() as i64;
        millis_behind == 0 || self.last_arrival.is_some_and(|last| position.millis_since(last) > tolerance)
    }

    /// Looks for the range by time when the iterator is stuck, and stops when that iterator is stuck too.
    fn check_progress(&mut self, millis_behind: u64, now: Timestamp) {
        let is_closer = self.millis_behind.is_none_or(|before| millis_behind < before);
        self.millis_behind = Some(millis_behind);
        self.pages_without_progress = if is_closer { 0 } else { self.pages_without_progress + 1 };
        let is_stuck = millis_behind > 0 && self.pages_without_progress >= MAX_EMPTY_PAGES_WITHOUT_PROGRESS;
        if is_stuck && self.is_repositioned {
            self.stop_without_records("the iterator does not advance", now);
        } else if is_stuck {
            self.reposition();
        }
    }

    /// Handles a rejection of a position or of an iterator.
    pub fn handle_rejection(&mut self, rejection: Rejection, now: Timestamp) {
        self.pause = MIN_READ_PAUSE;
        if rejection == Rejection::NotFound {
            self.handle_not_found(now);
            return;
        }
        self.iterators_without_page += 1;
        if self.iterators_without_page > MAX_ITERATORS_WITHOUT_PAGE {
            let why = "the service rejected one iterator after another";
            self.state = WalkState::Stopped(StopReason::Undecided(why));
            return;
        }
        match (rejection, &self.state) {
            (Rejection::Trimmed, _) => {
                self.place_at(Position::TrimHorizon);
            }
            (Rejection::InvalidArgument, WalkState::NeedsIterator(position)) => {
                // A rejected time says nothing about the range's sequence numbers.
                self.start_rejected |= self.read.last().is_none() && matches!(position, Position::At(_));
                if self.is_repositioned {
                    self.stop(StopReason::Exhausted);
                } else {
                    self.reposition();
                }
            }
            _ => self.renew_iterator(now),
        }
    }

    /// Asks a second time before it believes that a stream with records younger than any retention is gone.
    fn handle_not_found(&mut self, now: Timestamp) {
        if self.not_found_once || self.is_past_retention(now) {
            self.state = WalkState::Stopped(StopReason::NotFound);
        } else {
            self.not_found_once = true;
            self.renew_iterator(now);
        }
    }

    /// The stream or shard was not found once, and the next call asks again.
    pub fn is_confirming_not_found(&self) -> bool {
        self.not_found_once
    }

    /// Asks for a new iterator at the position of the last one.
    fn renew_iterator(&mut self, now: Timestamp) {
        match self.read.last() {
            Some(_) if self.read.is_checking() => self.state = WalkState::NeedsIterator(self.origin.clone()),
            Some(_) if self.read.needs_check() || self.read.may_be_trimmed(now) => self.read_again(),
            Some(last) => self.state = WalkState::NeedsIterator(Position::After(last.clone())),
            None => self.state = WalkState::NeedsIterator(self.origin.clone()),
        }
    }

    /// Looks for the range by time, once until it finds a record. Records that were read before are not returned again.
    fn reposition(&mut self) {
        self.is_repositioned = true;
        self.place_at(self.first_arrival.map_or(Position::TrimHorizon, Position::AtTimestamp));
    }

    /// Asks for an iterator that is not the continuation of the last one. Its progress starts anew.
    fn place_at(&mut self, position: Position) {
        self.origin = position.clone();
        self.state = WalkState::NeedsIterator(position);
        self.read.set_checking();
        self.empty_pages = 0;
        self.pages_without_progress = 0;
        self.millis_behind = None;
    }

    /// Stops, but looks for the range by time first if no record was read. Kinesis returns no error for a trimmed
    /// sequence number: its iterator may return empty pages for many minutes while later records of the range are still
    /// there. If records may be missing between those that were read, it checks that first, once.
    fn stop(&mut self, reason: StopReason) {
        if self.source == Source::Kinesis && self.read.last().is_none() && !self.is_repositioned {
            self.reposition();
        } else if self.start_rejected && !self.coverage.any_record {
            self.state = WalkState::Stopped(StopReason::NotOfThisStream);
        } else if self.read.needs_check() && self.stop_after_check.is_none() {
            self.stop_after_check = Some(reason);
            self.read_again();
        } else {
            self.state = WalkState::Stopped(self.stop_after_check.unwrap_or(reason));
        }
    }

    /// Stops after empty pages only. They prove nothing about records younger than any retention.
    fn stop_without_records(&mut self, why: &'static str, now: Timestamp) {
        if self.is_past_retention(now) {
            self.stop(StopReason::Exhausted);
        } else {
            self.state = WalkState::Stopped(StopReason::Undecided(why));
        }
    }

    fn is_past_retention(&self, now: Timestamp) -> bool {
        self.last_arrival.is_some_and(|last| is_past_retention(last, now))
    }
}

/// Returns true if a record that arrived then may have been trimmed by now.
pub fn is_past_retention(arrival: Timestamp, now: Timestamp) -> bool {
    now.millis_since(arrival) >= MIN_RETENTION.as_millis() as i64
}
