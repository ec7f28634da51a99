//! The rescue of one shard: reads it page by page, and cuts the records of the time range into batches.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::batch::BatchCutter;
use super::{RescuePlan, RescuedBatch, ShardEnd};
use crate::arn::Source;
use crate::error::HydrateError;
use crate::ports::{Clock, Page, Position, Rejection, ShardIterator, ShardReader};
use crate::read::{ReadReply, RetryingReader};
use crate::retry::CallStats;
use crate::sequence_number::SequenceNumber;
use crate::timestamp::Timestamp;
use crate::walk::{
    MAX_EMPTY_PAGES_WITHOUT_POSITION, MAX_EMPTY_PAGES_WITHOUT_PROGRESS, MAX_ITERATORS_WITHOUT_PAGE,
    MIN_EMPTY_PAGES_AT_TIP, MIN_READ_PAUSE, POSITION_TOLERANCE, max_page_records, pause_after,
};

/// The longest time for one call with its retries.
const CALL_TIMEOUT: Duration = Duration::from_secs(2 * 60);
/// The bytes that a page shall have. After a page of 10 MiB, Kinesis refuses reads of the shard for up to 5 seconds, and
/// its consumers would wait (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html>).
const PAGE_BYTES: u64 = 1024 * 1024;
/// `Limit` of the first page, when the size of the shard's records is not known yet.
const FIRST_LIMIT: u32 = 100;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RescueError {
    #[error("{shard_id}: {error}")]
    Read { shard_id: String, error: HydrateError },
    #[error("{shard_id}: it cannot be read to its end: {why}")]
    Stuck { shard_id: String, why: &'static str },
    #[error("{shard_id}: {why}")]
    NoBatch { shard_id: String, why: String },
}

/// The end of the batches that an earlier run has delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumePoint {
    pub end: SequenceNumber,
    pub arrival: Option<Timestamp>,
}

/// The state of one shard's rescue, between two batches.
#[derive(Debug)]
pub struct ShardRescue<'a> {
    plan: &'a RescuePlan,
    shard_id: String,
    cutter: BatchCutter<'a>,
    ready: VecDeque<RescuedBatch>,
    end: Option<ShardEnd>,

    iterator: Option<ShardIterator>,
    /// The position for the next iterator.
    position: Position,
    /// The last record that was read, by this run or by an earlier one.
    last: Option<ResumePoint>,
    /// The iterator was placed by time, or has returned a record: it is not at a trimmed record.
    is_placed_safely: bool,
    is_repositioned: bool,
    may_have_gap: bool,

    empty_pages: u32,
    pages_without_progress: u32,
    millis_behind: Option<u64>,
    iterators_without_page: u32,
    not_found_once: bool,
    next_read: Option<Instant>,
    limit: u32,
    pub stats: CallStats,
}

impl<'a> ShardRescue<'a> {
    pub fn new(plan: &'a RescuePlan, shard_id: &str, resume: Option<ResumePoint>) -> Self {
        let position = match &resume {
            Some(point) => Position::After(point.end.clone()),
            None => position_by_time(plan, None),
        };
        Self {
            plan,
            shard_id: shard_id.to_owned(),
            cutter: BatchCutter::new(plan, shard_id),
            ready: VecDeque::new(),
            end: None,
            iterator: None,
            is_placed_safely: resume.is_none(),
            position,
            last: resume,
            is_repositioned: false,
            may_have_gap: false,
            empty_pages: 0,
            pages_without_progress: 0,
            millis_behind: None,
            iterators_without_page: 0,
            not_found_once: false,
            next_read: None,
            limit: FIRST_LIMIT,
            stats: CallStats::default(),
        }
    }

    /// The next batch. `None` at the end of the shard, or of the time range.
    pub async fn next_batch<R: ShardReader, C: Clock>(
        &mut self,
        reader: &R,
        clock: &C,
    ) -> Result<Option<RescuedBatch>, RescueError> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            if self.end.is_some() {
                return Ok(None);
            }
            self.read(reader, clock).await?;
        }
    }

    /// The reason why nothing more is read. `None` before that.
    pub fn end(&self) -> Option<ShardEnd> {
        self.end
    }

    /// Records of the time range may have been trimmed while the shard was read.
    pub fn may_have_gap(&self) -> bool {
        self.may_have_gap
    }

    /// Event records that the filters left out.
    pub fn filtered(&self) -> u64 {
        self.cutter.filtered
    }

    /// Makes the next call.
    async fn read<R: ShardReader, C: Clock>(&mut self, reader: &R, clock: &C) -> Result<(), RescueError> {
        if let Some(next) = self.next_read {
            clock.sleep(next.saturating_duration_since(clock.instant())).await;
        }
        let (stream, shard_id) = (&self.plan.stream, self.shard_id.clone());
        let deadline = clock.instant() + CALL_TIMEOUT;
        let reader = RetryingReader { reader, clock, stream, shard_id: &shard_id, deadline };
        let failed = |error| RescueError::Read { shard_id: shard_id.clone(), error };
        let Some(iterator) = &self.iterator else {
            match reader.iterator(&self.position, &mut self.stats).await.map_err(failed)? {
                ReadReply::Answer(iterator) => self.iterator = Some(iterator),
                ReadReply::Rejected(rejection) => self.handle_rejection(rejection, clock)?,
            }
            return Ok(());
        };
        match reader.page(iterator, self.limit, &mut self.stats).await.map_err(failed)? {
            ReadReply::Answer(page) => self.handle_page(page, clock),
            ReadReply::Rejected(rejection) => self.handle_rejection(rejection, clock),
        }
    }

    fn handle_page(&mut self, page: Page, clock: &impl Clock) -> Result<(), RescueError> {
        let now = clock.now();
        self.iterators_without_page = 0;
        self.not_found_once = false;
        self.next_read = Some(clock.instant() + pause_after(page.bytes));
        let is_closed = page.next.is_none();
        self.iterator = page.next;
        // The shard's turn may have come after its first records were trimmed.
        self.may_have_gap |= self.last.is_none() && self.plan.may_be_trimmed(self.plan.range.since, now);
        if page.records.is_empty() {
            if is_closed {
                return self.finish(ShardEnd::Closed, now);
            }
            return self.handle_empty_page(page.millis_behind_latest, now);
        }
        self.limit = next_limit(self.plan.stream.source(), page.bytes, page.records.len());
        self.empty_pages = 0;
        self.pages_without_progress = 0;
        self.millis_behind = page.millis_behind_latest;
        self.is_placed_safely = true;
        self.is_repositioned = false;
        // The records between the last one and this page may have been trimmed, if they were old enough.
        let last_arrival = self.last.as_ref().and_then(|last| last.arrival);
        self.may_have_gap |= last_arrival.is_some_and(|arrival| self.plan.may_be_trimmed(arrival, now));
        for record in page.records {
            let number = record.sequence_number();
            if self.last.as_ref().is_some_and(|last| *number <= last.end) {
                continue;
            }
            let arrival = record.arrival();
            self.last = Some(ResumePoint { end: number.clone(), arrival });
            if arrival.is_some_and(|arrival| self.is_after_range(arrival)) {
                return self.finish(ShardEnd::AfterRange, now);
            }
            if self.plan.range.contains(arrival) {
                let full = self.cutter.push(&record, now).map_err(|why| self.no_batch(why))?;
                self.ready.extend(full);
            }
        }
        if is_closed { self.finish(ShardEnd::Closed, now) } else { Ok(()) }
    }

    /// Arrival times are approximate: a record shortly after the range may stand before one that is in it.
    fn is_after_range(&self, time: Timestamp) -> bool {
        time.millis_since(self.plan.range.until) > POSITION_TOLERANCE.as_millis() as i64
    }

    /// Handles an empty page, which ends nothing by itself: AWS returns empty pages while records still follow
    /// (<https://docs.aws.amazon.com/streams/latest/dev/troubleshooting-consumers.html>).
    fn handle_empty_page(&mut self, millis_behind_latest: Option<u64>, now: Timestamp) -> Result<(), RescueError> {
        self.empty_pages += 1;
        let Some(behind) = millis_behind_latest else {
            let is_tip = self.empty_pages >= MAX_EMPTY_PAGES_WITHOUT_POSITION;
            return if is_tip { self.finish(ShardEnd::Tip, now) } else { Ok(()) };
        };
        let position = now.plus_millis(-i64::try_from(behind).unwrap_or(i64::MAX));
        let is_seen_twice = self.empty_pages >= MIN_EMPTY_PAGES_AT_TIP;
        if behind == 0 {
            return if is_seen_twice { self.finish(ShardEnd::Tip, now) } else { Ok(()) };
        }
        if self.is_after_range(position) && self.is_placed_safely {
            return if is_seen_twice { self.finish(ShardEnd::AfterRange, now) } else { Ok(()) };
        }
        let is_closer = self.millis_behind.is_none_or(|before| behind < before);
        self.millis_behind = Some(behind);
        self.pages_without_progress = if is_closer { 0 } else { self.pages_without_progress + 1 };
        if self.pages_without_progress < MAX_EMPTY_PAGES_WITHOUT_PROGRESS {
            return Ok(());
        }
        // An iterator at a record that was trimmed returns empty pages without end.
        if self.is_repositioned {
            return Err(self.stuck("its iterator returns empty pages and does not advance"));
        }
        self.reposition();
        Ok(())
    }

    fn handle_rejection(&mut self, rejection: Rejection, clock: &impl Clock) -> Result<(), RescueError> {
        self.iterator = None;
        self.next_read = Some(clock.instant() + MIN_READ_PAUSE);
        self.iterators_without_page += 1;
        if self.iterators_without_page > MAX_ITERATORS_WITHOUT_PAGE {
            return Err(self.stuck("the service rejected one iterator after another"));
        }
        let is_by_time = matches!(self.position, Position::AtTimestamp(_) | Position::TrimHorizon);
        match rejection {
            Rejection::NotFound if self.not_found_once => return self.finish(ShardEnd::Gone, clock.now()),
            Rejection::NotFound => self.not_found_once = true,
            Rejection::Trimmed => self.reposition(),
            Rejection::InvalidArgument if is_by_time => {
                return Err(self.stuck("the service takes neither the position nor the time"));
            }
            Rejection::InvalidArgument => self.reposition(),
            Rejection::ExpiredIterator => {}
        }
        if rejection == Rejection::ExpiredIterator
            && let Some(last) = &self.last
        {
            self.position = Position::After(last.end.clone());
            self.is_placed_safely = false;
        }
        Ok(())
    }

    /// Goes on by time, where a sequence number leads nowhere. Records that were read before are not taken again.
    fn reposition(&mut self) {
        self.may_have_gap |= self.last.is_some();
        self.is_repositioned = true;
        self.is_placed_safely = true;
        self.iterator = None;
        self.empty_pages = 0;
        self.pages_without_progress = 0;
        self.millis_behind = None;
        self.position = position_by_time(self.plan, self.last.as_ref());
    }

    fn finish(&mut self, end: ShardEnd, now: Timestamp) -> Result<(), RescueError> {
        let last = self.cutter.take(now).map_err(|why| self.no_batch(why))?;
        self.ready.extend(last);
        self.end = Some(end);
        Ok(())
    }

    fn stuck(&self, why: &'static str) -> RescueError {
        RescueError::Stuck { shard_id: self.shard_id.clone(), why }
    }

    fn no_batch(&self, why: String) -> RescueError {
        RescueError::NoBatch { shard_id: self.shard_id.clone(), why }
    }
}

/// The position a little before the first record that is wanted, by time. DynamoDB Streams has only the oldest record
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_GetShardIterator.html>).
fn position_by_time(plan: &RescuePlan, last: Option<&ResumePoint>) -> Position {
    if plan.stream.source() == Source::DynamoDb {
        return Position::TrimHorizon;
    }
    let from = last.and_then(|last| last.arrival).unwrap_or(plan.range.since);
    Position::AtTimestamp(from.plus_millis(-(POSITION_TOLERANCE.as_millis() as i64)))
}

/// `Limit` for pages of [`PAGE_BYTES`], by the size of the last page's records.
fn next_limit(source: Source, bytes: u64, records: usize) -> u32 {
    let size = (bytes / records.max(1) as u64).max(1);
    let limit = u32::try_from(PAGE_BYTES / size).unwrap_or(u32::MAX);
    limit.clamp(1, max_page_records(source))
}
