//! Reads of one shard, each tried again while its fault is a short one.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use crate::error::HydrateError;
use crate::invocation_record::FailedBatch;
use crate::ports::{Clock, Page, Position, ReadError, Refusal, ShardIterator, ShardReader};
use crate::retry::{Attempts, Tally};
use crate::timestamp::Timestamp;

/// When each shard may be read next, whichever batch wants it: several failures in one event are often of one shard.
#[derive(Default)]
pub(crate) struct Pace(RefCell<HashMap<(String, String), Timestamp>>);

impl Pace {
    /// How long to wait before a read of the batch's shard.
    pub(crate) fn pause(&self, batch: &FailedBatch, now: Timestamp) -> Duration {
        let next = self.0.borrow().get(&shard(batch)).copied();
        let millis = next.map_or(0, |next| next.millis_since(now).max(0));
        Duration::from_millis(millis.unsigned_abs())
    }

    /// Leaves the shard that was just read to its other readers.
    pub(crate) fn leave(&self, batch: &FailedBatch, now: Timestamp, pause: Duration) {
        let mut shards = self.0.borrow_mut();
        shards.retain(|_, next| *next > now);
        shards.insert(shard(batch), now.plus_millis(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX)));
    }
}

fn shard(batch: &FailedBatch) -> (String, String) {
    (batch.stream.stream().to_owned(), batch.shard_id.clone())
}

/// The shard of a failed batch, and until when it may be read.
pub(crate) struct Reading<'a, R, C> {
    pub reader: &'a R,
    pub clock: &'a C,
    pub batch: &'a FailedBatch,
    pub deadline: Timestamp,
}

/// An answer, or what the walk is to make of its absence; the error is for whoever invoked us.
type Answer<T> = Result<Result<T, Refusal>, HydrateError>;

impl<R: ShardReader, C: Clock> Reading<'_, R, C> {
    pub(crate) async fn iterator(&self, position: &Position, tally: &mut Tally) -> Answer<ShardIterator> {
        let mut attempts = Attempts::new(self.clock, self.deadline);
        loop {
            tally.iterators += 1;
            match self.reader.iterator(&self.batch.stream, &self.batch.shard_id, position).await {
                Ok(iterator) => return Ok(Ok(iterator)),
                Err(ReadError::Refusal(refusal)) => return Ok(Err(refusal)),
                Err(ReadError::Fault(fault)) => attempts.after(fault, tally).await?,
            }
        }
    }

    pub(crate) async fn page(&self, iterator: &ShardIterator, limit: u32, tally: &mut Tally) -> Answer<Page> {
        let mut attempts = Attempts::new(self.clock, self.deadline);
        loop {
            tally.read_calls += 1;
            match self.reader.page(&self.batch.stream, iterator, limit).await {
                Ok(page) => return Ok(Ok(page)),
                Err(ReadError::Refusal(refusal)) => return Ok(Err(refusal)),
                Err(ReadError::Fault(fault)) => attempts.after(fault, tally).await?,
            }
        }
    }
}
