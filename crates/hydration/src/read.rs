//! Reads of one shard, with retries of transient faults, and the pauses between them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::arn::StreamArn;
use crate::error::HydrateError;
use crate::invocation_record::FailedBatch;
use crate::ports::{Clock, Page, Position, ReadError, Rejection, ShardIterator, ShardReader};
use crate::retry::{CallStats, RetryBackoff};

/// The instant from which each shard may be read again. All batches share it, because several failures in one event
/// often come from one shard. Instants are monotonic: a step of the system's clock changes no pause.
#[derive(Default)]
pub(crate) struct ReadPacer(RefCell<HashMap<ShardKey, Instant>>);

#[derive(PartialEq, Eq, Hash)]
struct ShardKey {
    stream: String,
    shard_id: String,
}

impl ShardKey {
    fn of(batch: &FailedBatch) -> Self {
        Self { stream: batch.stream.stream().to_owned(), shard_id: batch.shard_id.clone() }
    }
}

impl ReadPacer {
    /// The time to wait before the batch's shard may be read.
    pub(crate) fn pause(&self, batch: &FailedBatch, now: Instant) -> Duration {
        let next = self.0.borrow().get(&ShardKey::of(batch)).copied();
        next.map_or(Duration::ZERO, |next| next.saturating_duration_since(now))
    }

    /// Sets the pause before the shard's next read. The shard's other readers need their share of its quota.
    pub(crate) fn set_pause(&self, batch: &FailedBatch, now: Instant, pause: Duration) {
        let mut shards = self.0.borrow_mut();
        shards.retain(|_, next| *next > now);
        shards.insert(ShardKey::of(batch), now + pause);
    }
}

/// A reader of a shard that retries transient faults until the deadline.
pub(crate) struct RetryingReader<'a, R, C> {
    pub reader: &'a R,
    pub clock: &'a C,
    pub stream: &'a StreamArn,
    pub shard_id: &'a str,
    pub deadline: Instant,
}

/// The reply to a read: the result, or a rejection that the walk has to handle.
pub(crate) enum ReadReply<T> {
    Answer(T),
    Rejected(Rejection),
}

impl<R: ShardReader, C: Clock> RetryingReader<'_, R, C> {
    pub(crate) async fn iterator(
        &self,
        position: &Position,
        stats: &mut CallStats,
    ) -> Result<ReadReply<ShardIterator>, HydrateError> {
        let mut backoff = RetryBackoff::new(self.clock, self.deadline);
        loop {
            stats.iterators += 1;
            match self.reader.iterator(self.stream, self.shard_id, position).await {
                Ok(iterator) => return Ok(ReadReply::Answer(iterator)),
                Err(ReadError::Rejected(rejection)) => return Ok(ReadReply::Rejected(rejection)),
                Err(ReadError::Fault(fault)) => backoff.wait_after(fault, stats).await?,
            }
        }
    }

    pub(crate) async fn page(
        &self,
        iterator: &ShardIterator,
        limit: u32,
        stats: &mut CallStats,
    ) -> Result<ReadReply<Page>, HydrateError> {
        let mut backoff = RetryBackoff::new(self.clock, self.deadline);
        loop {
            stats.read_calls += 1;
            match self.reader.page(self.stream, iterator, limit).await {
                Ok(page) => return Ok(ReadReply::Answer(page)),
                Err(ReadError::Rejected(rejection)) => return Ok(ReadReply::Rejected(rejection)),
                Err(ReadError::Fault(fault)) => backoff.wait_after(fault, stats).await?,
            }
        }
    }
}
