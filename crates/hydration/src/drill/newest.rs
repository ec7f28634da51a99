//! The newest records of a shard. No call reads a shard backwards, so that it is read to its tip from a time ago.

use std::collections::VecDeque;
use std::time::Duration;

use crate::arn::{Source, StreamArn};
use crate::error::Fault;
use crate::ports::{Clock, Page, Position, ReadError, Rejection, ShardReader};
use crate::record::StreamRecord;
use crate::timestamp::Timestamp;
use crate::walk::{MAX_EMPTY_PAGES_WITHOUT_POSITION, MIN_EMPTY_PAGES_AT_TIP, pause_after};

/// Times ago from which a Kinesis shard is read, one after the other until one of them has a record. The last is its
/// longest retention (<https://docs.aws.amazon.com/streams/latest/dev/kinesis-extended-retention.html>).
const WINDOWS: [Duration; 4] = [
    Duration::from_secs(60),
    Duration::from_secs(3_600),
    Duration::from_secs(86_400),
    Duration::from_secs(8_760 * 3_600),
];
/// Pages that are read of one window. A shard that gets more than they hold gives records that are almost its newest.
const MAX_PAGES: u32 = 40;
/// `Limit` of a page: small records, or a few MB of large ones, which leave the shard's quota to its consumers.
const PAGE_RECORDS: u32 = 100;
/// DynamoDB has no position in time, and its shards are read from their oldest record.
const DYNAMODB_PAGE_RECORDS: u32 = 1_000;
const MAX_ATTEMPTS: u32 = 5;
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// The reason why a shard could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShardReadError {
    /// There is no such stream or shard.
    NotFound,
    /// The service rejects the position or the iterator, again and again.
    Rejected,
    Fault(Fault),
}

/// The newest records of a shard, the oldest of them first, at most that many. None if the shard is empty.
pub async fn newest_records<R: ShardReader, C: Clock>(
    reader: &R,
    clock: &C,
    stream: &StreamArn,
    shard_id: &str,
    most: usize,
) -> Result<Vec<StreamRecord>, ShardReadError> {
    let read = NewestRead { reader, clock, stream, shard_id, most };
    if stream.source() == Source::DynamoDb {
        return read.from(&Position::TrimHorizon).await;
    }
    let now = clock.now();
    for window in WINDOWS {
        let records = read.from(&Position::AtTimestamp(before(now, window))).await?;
        if !records.is_empty() {
            return Ok(records);
        }
    }
    Ok(Vec::new())
}

fn before(now: Timestamp, window: Duration) -> Timestamp {
    now.plus_millis(-i64::try_from(window.as_millis()).unwrap_or(i64::MAX))
}

struct NewestRead<'a, R, C> {
    reader: &'a R,
    clock: &'a C,
    stream: &'a StreamArn,
    shard_id: &'a str,
    most: usize,
}

impl<R: ShardReader, C: Clock> NewestRead<'_, R, C> {
    async fn from(&self, position: &Position) -> Result<Vec<StreamRecord>, ShardReadError> {
        let limit = if self.stream.source() == Source::DynamoDb { DYNAMODB_PAGE_RECORDS } else { PAGE_RECORDS };
        let mut iterator = self.attempt(|| self.reader.iterator(self.stream, self.shard_id, position)).await?;
        let (mut newest, mut empty_pages) = (VecDeque::new(), 0);
        for _ in 0..MAX_PAGES {
            let page = self.attempt(|| self.reader.page(self.stream, &iterator, limit)).await?;
            empty_pages = if page.records.is_empty() { empty_pages + 1 } else { 0 };
            let is_at_end = is_at_end(&page, empty_pages, newest.is_empty());
            newest.extend(page.records);
            newest.drain(..newest.len().saturating_sub(self.most));
            match page.next {
                Some(next) if !is_at_end => iterator = next,
                _ => break,
            }
            self.clock.sleep(pause_after(page.bytes)).await;
        }
        Ok(newest.into())
    }

    /// Makes a call again after a fault that lasts seconds.
    async fn attempt<T>(&self, call: impl AsyncFn() -> Result<T, ReadError>) -> Result<T, ShardReadError> {
        let mut attempts = 1;
        loop {
            match call().await {
                Ok(answer) => return Ok(answer),
                Err(ReadError::Rejected(Rejection::NotFound)) => return Err(ShardReadError::NotFound),
                Err(ReadError::Rejected(_)) => return Err(ShardReadError::Rejected),
                Err(ReadError::Fault(fault)) if !fault.kind.is_transient() || attempts == MAX_ATTEMPTS => {
                    return Err(ShardReadError::Fault(fault));
                }
                Err(ReadError::Fault(_)) => {
                    attempts += 1;
                    self.clock.sleep(RETRY_DELAY).await;
                }
            }
        }
    }
}

/// Returns true where no newer record is to be expected. Kinesis says how far the tip is; a DynamoDB shard gives empty
/// pages, before its records as well.
fn is_at_end(page: &Page, empty_pages: u32, is_without_record: bool) -> bool {
    match page.millis_behind_latest {
        Some(millis) => millis == 0,
        None if is_without_record => empty_pages >= MAX_EMPTY_PAGES_WITHOUT_POSITION,
        None => empty_pages >= MIN_EMPTY_PAGES_AT_TIP,
    }
}
