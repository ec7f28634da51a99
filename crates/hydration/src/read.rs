//! Reads of one shard, each tried again while its fault is a short one.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::error::HydrateError;
use crate::invocation_record::FailedBatch;
use crate::ports::{Clock, Page, Position, ReadError, Refusal, ShardIterator, ShardReader};
use crate::retry::{Attempts, Tally};

/// The instant from which each shard may be read again. It is shared by all batches, since several failures in one
/// event are often of one shard. Instants are monotonic: a step of the system's clock changes no pause.
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

    /// Leaves the shard that was just read to its other readers.
    pub(crate) fn leave(&self, batch: &FailedBatch, now: Instant, pause: Duration) {
        let mut shards = self.0.borrow_mut();
        shards.retain(|_, next| *next > now);
        shards.insert(ShardKey::of(batch), now + pause);
    }
}

/// The shard of a failed batch, and the instant until which it may be read.
pub(crate) struct Reading<'a, R, C> {
    pub reader: &'a R,
    pub clock: &'a C,
    pub batch: &'a FailedBatch,
    pub deadline: Instant,
}

/// The service's reply to a read: what was asked for, or a refusal that tells the walk something.
pub(crate) enum Reply<T> {
    Answer(T),
    Refused(Refusal),
}

impl<R: ShardReader, C: Clock> Reading<'_, R, C> {
    pub(crate) async fn iterator(
        &self,
        position: &Position,
        tally: &mut Tally,
    ) -> Result<Reply<ShardIterator>, HydrateError> {
        let mut attempts = Attempts::new(self.clock, self.deadline);
        loop {
            tally.iterators += 1;
            match self.reader.iterator(&self.batch.stream, &self.batch.shard_id, position).await {
                Ok(iterator) => return Ok(Reply::Answer(iterator)),
                Err(ReadError::Refusal(refusal)) => return Ok(Reply::Refused(refusal)),
                Err(ReadError::Fault(fault)) => attempts.after(fault, tally).await?,
            }
        }
    }

    pub(crate) async fn page(
        &self,
        iterator: &ShardIterator,
        limit: u32,
        tally: &mut Tally,
    ) -> Result<Reply<Page>, HydrateError> {
        let mut attempts = Attempts::new(self.clock, self.deadline);
        loop {
            tally.read_calls += 1;
            match self.reader.page(&self.batch.stream, iterator, limit).await {
                Ok(page) => return Ok(Reply::Answer(page)),
                Err(ReadError::Refusal(refusal)) => return Ok(Reply::Refused(refusal)),
                Err(ReadError::Fault(fault)) => attempts.after(fault, tally).await?,
            }
        }
    }
}
