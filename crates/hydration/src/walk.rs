//! Reading a range page by page: a machine that knows pages and positions, and never touches a client.
//!
//! Whoever drives it asks [`Walk::next`] what to do, does it, and tells the walk what came of it. The walk decides
//! what lies in the range, when the range has been read, and when no more of it can come. It holds no records.

use std::time::Duration;

use crate::arn::Source;
use crate::continuation::Continuation;
use crate::invocation_record::{FailedBatch, Range};
use crate::ports::{Page, Position, Refusal};
use crate::record::StreamRecord;
use crate::sequence_number::SequenceNumber;
use crate::timestamp::Timestamp;

/// An age at which a record may have been trimmed: the retention of DynamoDB Streams, and the least that Kinesis
/// has (<https://docs.aws.amazon.com/streams/latest/dev/kinesis-extended-retention.html>).
pub const SHORTEST_RETENTION: Duration = Duration::from_secs(24 * 60 * 60);

/// `MillisBehindLatest` and the arrival times are both approximate; a minute is far beyond either's error.
const POSITION_SLACK: Duration = Duration::from_secs(60);
/// An empty page says little, two in a row say the same: one more read is cheaper than a wrong verdict.
const EMPTY_PAGES_TO_BELIEVE: u32 = 2;
/// Empty pages without progress after which a Kinesis iterator is held to be stuck.
const EMPTY_PAGES_STUCK: u32 = 5;
/// Empty pages after which a shard that tells no position is held to have nothing more for us.
const EMPTY_PAGES_BLIND: u32 = 20;
/// Iterators that may be lost in a row, to expiry or trimming, without a page in between.
const ITERATORS_WITHOUT_A_PAGE: u32 = 5;

/// Two of the five reads a second that all consumers of a Kinesis shard share
/// (<https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html>); within what DynamoDB's shards
/// bear beside the mapping's own reader.
const PAUSE: Duration = Duration::from_millis(500);
/// Half of the 2 MiB a second that all consumers of a Kinesis shard share.
const BYTES_PER_SECOND: u64 = 1024 * 1024;

/// The most records that one `GetRecords` call may ask for.
pub fn page_cap(source: Source) -> u32 {
    match source {
        Source::Kinesis => 10_000,
        Source::DynamoDb => 1_000,
    }
}

/// The next call that the walk needs, or its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Iterator(Position),
    Page { limit: u32 },
    Finish(Ending),
}

/// The state between two calls.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    NeedsIterator(Position),
    Reading,
    Finished(Ending),
}

/// How a walk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The record at the end of the range was read, or one beyond it.
    EndReached,
    /// The shard is closed and was read to its last record.
    ShardClosed,
    /// Everything the shard holds was read, or all that had arrived when the batch did.
    Exhausted,
    /// The service no longer knows the stream or the shard.
    NotFound,
    /// The service does not accept the range's sequence number, and its time holds nothing of it.
    NotOfThisStream,
    /// No page brought anything, though the records are too young to be gone: not a verdict.
    Undecided(&'static str),
}

/// The ends of the range that a finished walk has seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// The first record, and no gap between it and those that were read later.
    pub start: bool,
    pub end: bool,
    pub anything: bool,
    /// Records were trimmed after those before them had been read.
    pub gap: bool,
}

pub struct Walk {
    source: Source,
    range: Range,
    batch_size: Option<u64>,
    first_arrival: Option<Timestamp>,
    last_arrival: Option<Timestamp>,

    /// The place from which an earlier invocation's parts are continued.
    continuation: Option<Continuation>,

    state: State,
    /// The position to start over from when an iterator is lost before any record was read.
    origin: Position,
    last_read: Option<SequenceNumber>,
    /// The iterator does not stand behind the last record read: only a record read before shows that none is missing.
    is_behind_unknown: bool,
    seen: Seen,
    /// Event records taken so far, by the driver's count: user records where Lambda de-aggregates.
    taken: u64,
    empty_pages: u32,
    /// Empty pages in a row in which the distance to the tip did not shrink, and that distance.
    stuck_pages: u32,
    millis_behind: Option<u64>,
    iterators_without_a_page: u32,
    repositioned: bool,
    start_refused: bool,
    /// The stream or shard was not found once, and is asked for again before that is believed.
    not_found: bool,
    pause: Duration,
}

impl Walk {
    pub fn new(batch: &FailedBatch, range: Range, continuation: Option<Continuation>) -> Self {
        // The last delivered record is read again: where it is still there, nothing between was trimmed.
        let first = continuation.as_ref().map_or(&range.start, |continuation| &continuation.after);
        let origin = Position::At(first.clone());
        let seen = Seen { anything: continuation.is_some(), ..Seen::default() };
        let taken = continuation.as_ref().map_or(0, |continuation| continuation.recovered_records);
        Self {
            source: batch.stream.source(),
            batch_size: batch.batch_size,
            first_arrival: batch.first_arrival,
            last_arrival: batch.latest_possible_arrival(),
            range,
            continuation,
            state: State::NeedsIterator(origin.clone()),
            origin,
            last_read: None,
            is_behind_unknown: false,
            seen,
            taken,
            empty_pages: 0,
            stuck_pages: 0,
            millis_behind: None,
            iterators_without_a_page: 0,
            repositioned: false,
            start_refused: false,
            not_found: false,
            pause: PAUSE,
        }
    }

    pub fn next(&self) -> Step {
        match &self.state {
            State::NeedsIterator(position) => Step::Iterator(position.clone()),
            State::Reading => Step::Page { limit: self.limit() },
            State::Finished(ending) => Step::Finish(*ending),
        }
    }

    /// The time for which the shard is left to its other readers before the next read.
    pub fn pause(&self) -> Duration {
        self.pause
    }

    /// The ends of the range that were seen, over all invocations that read it.
    pub fn seen(&self) -> Seen {
        match &self.continuation {
            None => self.seen.clone(),
            Some(continuation) => Seen {
                start: self.seen.start && continuation.from_start,
                gap: self.seen.gap || !self.seen.start,
                ..self.seen.clone()
            },
        }
    }

    /// `Limit`: what is still missing of the batch, so that an exact batch is read with not one record too many.
    /// Once the batch size is met and the end is not, nobody knows how many lie in between.
    fn limit(&self) -> u32 {
        let cap = page_cap(self.source);
        let is_again = self.continuation.is_some() && self.last_read.is_none();
        match self.batch_size.map(|size| size.saturating_sub(self.taken)) {
            None | Some(0) => cap,
            Some(missing) => u32::try_from(missing.saturating_add(u64::from(is_again))).unwrap_or(cap).min(cap),
        }
    }

    /// The iterator asked for is there.
    pub fn positioned(&mut self) {
        self.state = State::Reading;
    }

    /// Counts event records that the last page's records became.
    pub fn taken(&mut self, events: u64) {
        self.taken += events;
    }

    /// Takes a page and returns those of its records that lie in the range and were not returned before.
    pub fn page(&mut self, page: Page, now: Timestamp) -> Vec<StreamRecord> {
        self.iterators_without_a_page = 0;
        self.not_found = false;
        self.pause = PAUSE.max(Duration::from_millis(page.bytes.saturating_mul(1000) / BYTES_PER_SECOND));
        let closed = page.next.is_none();
        if page.records.is_empty() && !closed {
            self.empty_page(page.millis_behind_latest, now);
            return Vec::new();
        }
        self.empty_pages = 0;
        self.stuck_pages = 0;
        self.millis_behind = page.millis_behind_latest;
        let is_end = page.records.last().is_some_and(|last| *last.sequence_number() >= self.range.end);
        let kept = self.keep(page.records);
        if is_end {
            self.conclude(Ending::EndReached);
        } else if closed {
            self.conclude(Ending::ShardClosed);
        }
        kept
    }

    fn keep(&mut self, mut records: Vec<StreamRecord>) -> Vec<StreamRecord> {
        let after = self.continuation.as_ref().map(|continuation| &continuation.after);
        let first = after.unwrap_or(&self.range.start);
        if let (true, Some(last), Some(next)) = (self.is_behind_unknown, &self.last_read, records.first()) {
            self.seen.gap |= next.sequence_number() > last;
            self.is_behind_unknown = false;
        }
        records.retain(|record| {
            let number = record.sequence_number();
            let is_new = self.last_read.as_ref().is_none_or(|last| number > last);
            let is_kept = is_new && self.range.contains(number) && after.is_none_or(|after| number > after);
            if is_new {
                self.last_read = Some(number.clone());
                self.seen.start |= number == first;
                self.seen.end |= *number == self.range.end;
            }
            self.seen.anything |= is_kept;
            is_kept
        });
        records
    }

    /// An empty page ends nothing by itself: AWS returns them with records still ahead
    /// (<https://docs.aws.amazon.com/streams/latest/dev/troubleshooting-consumers.html>).
    fn empty_page(&mut self, millis_behind_latest: Option<u64>, now: Timestamp) {
        self.empty_pages += 1;
        let Some(behind) = millis_behind_latest else {
            if self.empty_pages >= EMPTY_PAGES_BLIND {
                self.give_up(now, "twenty empty pages in a row");
            }
            return;
        };
        let position = now.plus_millis(-i64::try_from(behind).unwrap_or(i64::MAX));
        let slack = POSITION_SLACK.as_millis() as i64;
        let is_past = self.last_arrival.is_some_and(|last| position.millis_since(last) > slack);
        if (behind == 0 || is_past) && self.empty_pages >= EMPTY_PAGES_TO_BELIEVE {
            self.conclude(Ending::Exhausted);
            return;
        }
        let shrinks = self.millis_behind.is_none_or(|before| behind < before);
        self.millis_behind = Some(behind);
        self.stuck_pages = if shrinks { 0 } else { self.stuck_pages + 1 };
        if behind > 0 && self.stuck_pages >= EMPTY_PAGES_STUCK {
            if self.repositioned {
                self.give_up(now, "the iterator does not advance");
            } else {
                self.reposition();
            }
        }
    }

    /// The service did not give the iterator asked for, or did not accept it.
    pub fn refused(&mut self, refusal: Refusal, now: Timestamp) {
        self.pause = PAUSE;
        if refusal == Refusal::NotFound {
            self.stream_not_found(now);
            return;
        }
        self.iterators_without_a_page += 1;
        if self.iterators_without_a_page > ITERATORS_WITHOUT_A_PAGE {
            self.state = State::Finished(Ending::Undecided("the service took back one iterator after another"));
            return;
        }
        match (refusal, &self.state) {
            (Refusal::Trimmed, _) => {
                self.is_behind_unknown = self.last_read.is_some();
                self.origin = Position::TrimHorizon;
                self.state = State::NeedsIterator(Position::TrimHorizon);
            }
            (Refusal::InvalidArgument, State::NeedsIterator(position)) => {
                // A refused time says nothing about the range's sequence numbers.
                self.start_refused |= matches!(position, Position::At(_) | Position::After(_));
                if self.repositioned {
                    self.conclude(Ending::Exhausted);
                } else {
                    self.reposition();
                }
            }
            _ => self.renew(),
        }
    }

    /// One answer is not proof that a stream is gone whose records are younger than any retention: it is asked again.
    fn stream_not_found(&mut self, now: Timestamp) {
        let is_old = self.last_arrival.is_some_and(|last| is_past_retention(last, now));
        if self.not_found || is_old {
            self.state = State::Finished(Ending::NotFound);
        } else {
            self.not_found = true;
            self.renew();
        }
    }

    /// The stream or shard was not found, and a little later the service is asked again.
    pub fn doubts_not_found(&self) -> bool {
        self.not_found
    }

    /// A new iterator for where the last one stood.
    fn renew(&mut self) {
        self.is_behind_unknown = false;
        self.state = State::NeedsIterator(match &self.last_read {
            Some(last) => Position::After(last.clone()),
            None => self.origin.clone(),
        });
    }

    /// Looks for the range by time, once. What was read before is not returned again.
    fn reposition(&mut self) {
        self.repositioned = true;
        self.is_behind_unknown = self.last_read.is_some();
        self.empty_pages = 0;
        self.stuck_pages = 0;
        self.millis_behind = None;
        self.origin = self.first_arrival.map_or(Position::TrimHorizon, Position::AtTimestamp);
        self.state = State::NeedsIterator(self.origin.clone());
    }

    /// Nothing more of the range is to come; but before nothing at all is said to be left, it is looked for by time.
    /// A trimmed sequence number is no error on Kinesis: its iterator may stay empty for many minutes, wherever the
    /// pages say that it stands, while later records of the range are still there.
    fn conclude(&mut self, ending: Ending) {
        if self.source == Source::Kinesis && self.last_read.is_none() && !self.repositioned {
            self.reposition();
        } else if self.start_refused && !self.seen.anything {
            self.state = State::Finished(Ending::NotOfThisStream);
        } else {
            self.state = State::Finished(ending);
        }
    }

    fn give_up(&mut self, now: Timestamp, why: &'static str) {
        let is_old = self.last_arrival.is_some_and(|last| is_past_retention(last, now));
        if is_old {
            self.conclude(Ending::Exhausted);
        } else {
            self.state = State::Finished(Ending::Undecided(why));
        }
    }
}

/// Whether a record that arrived then may have been trimmed by now.
pub fn is_past_retention(arrival: Timestamp, now: Timestamp) -> bool {
    now.millis_since(arrival) >= SHORTEST_RETENTION.as_millis() as i64
}
