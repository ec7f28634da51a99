//! Reading a range page by page: a machine that knows pages and positions, and never touches a client.
//!
//! Whoever drives it asks [`Walk::next`] what to do, does it, and tells the walk what came of it. The walk decides
//! what lies in the range, when the range has been read, and when no more of it can come. It holds no records.

use std::time::Duration;

use crate::arn::Source;
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

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Iterator(Position),
    Page { limit: u32 },
    Finish(Ending),
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

/// What a finished walk has seen of the range.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    pub start: bool,
    pub end: bool,
    pub anything: bool,
}

pub struct Walk {
    source: Source,
    range: Range,
    batch_size: Option<u64>,
    first_arrival: Option<Timestamp>,
    last_arrival: Option<Timestamp>,

    step: Step,
    /// Where to start over when an iterator is lost before any record was read.
    origin: Position,
    last_read: Option<SequenceNumber>,
    seen: Seen,
    /// Event records delivered so far, by the driver's count: user records where Lambda de-aggregates.
    delivered: u64,
    empty_pages: u32,
    /// Empty pages in a row in which the distance to the tip did not shrink, and that distance.
    stuck_pages: u32,
    millis_behind: Option<u64>,
    iterators_without_a_page: u32,
    repositioned: bool,
    start_refused: bool,
    pause: Duration,
}

impl Walk {
    pub fn new(batch: &FailedBatch, range: Range) -> Self {
        let origin = Position::At(range.start.clone());
        Self {
            source: batch.stream.source(),
            batch_size: batch.batch_size,
            first_arrival: batch.first_arrival,
            last_arrival: batch.latest_possible_arrival(),
            range,
            step: Step::Iterator(origin.clone()),
            origin,
            last_read: None,
            seen: Seen::default(),
            delivered: 0,
            empty_pages: 0,
            stuck_pages: 0,
            millis_behind: None,
            iterators_without_a_page: 0,
            repositioned: false,
            start_refused: false,
            pause: PAUSE,
        }
    }

    pub fn next(&self) -> Step {
        match &self.step {
            Step::Page { .. } => Step::Page { limit: self.limit() },
            step => step.clone(),
        }
    }

    /// How long to leave the shard to its other readers before the next read.
    pub fn pause(&self) -> Duration {
        self.pause
    }

    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// `Limit`: what is still missing of the batch, so that an exact batch is read with not one record too many.
    /// Once the batch size is met and the end is not, nobody knows how many lie in between.
    fn limit(&self) -> u32 {
        let cap = page_cap(self.source);
        match self.batch_size.map(|size| size.saturating_sub(self.delivered)) {
            None | Some(0) => cap,
            Some(missing) => u32::try_from(missing).unwrap_or(cap).min(cap),
        }
    }

    /// The iterator asked for is there.
    pub fn positioned(&mut self) {
        self.step = Step::Page { limit: 0 };
    }

    /// Counts event records that the last page's records became.
    pub fn delivered(&mut self, events: u64) {
        self.delivered += events;
    }

    /// Takes a page and returns those of its records that lie in the range and were not returned before.
    pub fn page(&mut self, page: Page, now: Timestamp) -> Vec<StreamRecord> {
        self.iterators_without_a_page = 0;
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
        records.retain(|record| {
            let number = record.sequence_number();
            let is_new = self.last_read.as_ref().is_none_or(|last| number > last);
            let is_kept = is_new && self.range.contains(number);
            if is_new {
                self.last_read = Some(number.clone());
            }
            if is_kept {
                self.seen.anything = true;
                self.seen.start |= *number == self.range.start;
                self.seen.end |= *number == self.range.end;
            }
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
    pub fn refused(&mut self, refusal: Refusal) {
        self.iterators_without_a_page += 1;
        if refusal == Refusal::NotFound {
            self.step = Step::Finish(Ending::NotFound);
        } else if self.iterators_without_a_page > ITERATORS_WITHOUT_A_PAGE {
            self.step = Step::Finish(Ending::Undecided("the service took back one iterator after another"));
        } else {
            match (refusal, &self.step) {
                (Refusal::Trimmed, _) => {
                    self.origin = Position::TrimHorizon;
                    self.step = Step::Iterator(Position::TrimHorizon);
                }
                (Refusal::InvalidArgument, Step::Iterator(position)) => {
                    // A refused moment says nothing about the range's sequence numbers.
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
    }

    /// A new iterator for where the last one stood.
    fn renew(&mut self) {
        self.step = Step::Iterator(match &self.last_read {
            Some(last) => Position::After(last.clone()),
            None => self.origin.clone(),
        });
    }

    /// Looks for the range by time, once. What was read before is not returned again.
    fn reposition(&mut self) {
        self.repositioned = true;
        self.empty_pages = 0;
        self.stuck_pages = 0;
        self.millis_behind = None;
        self.origin = self.first_arrival.map_or(Position::TrimHorizon, Position::AtTimestamp);
        self.step = Step::Iterator(self.origin.clone());
    }

    /// Nothing more of the range is to come; but before nothing at all is said to be left, it is looked for by time.
    /// A trimmed sequence number is no error on Kinesis: its iterator may stay empty for many minutes, wherever the
    /// pages say that it stands, while later records of the range are still there.
    fn conclude(&mut self, ending: Ending) {
        if self.source == Source::Kinesis && self.last_read.is_none() && !self.repositioned {
            self.reposition();
        } else if self.start_refused && !self.seen.anything {
            self.step = Step::Finish(Ending::NotOfThisStream);
        } else {
            self.step = Step::Finish(ending);
        }
    }

    fn give_up(&mut self, now: Timestamp, why: &'static str) {
        let is_old = self.last_arrival.is_some_and(|last| is_past_retention(last, now));
        if is_old {
            self.conclude(Ending::Exhausted);
        } else {
            self.step = Step::Finish(Ending::Undecided(why));
        }
    }
}

/// Whether a record that arrived then may have been trimmed by now.
pub fn is_past_retention(arrival: Timestamp, now: Timestamp) -> bool {
    now.millis_since(arrival) >= SHORTEST_RETENTION.as_millis() as i64
}
