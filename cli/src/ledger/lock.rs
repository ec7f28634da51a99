//! The lock on a queue: one run at a time, on whatever machine.
//!
//! A lock for the queue, not for each shard. SQS hands out messages of all shards together and cannot be asked for one
//! shard's, so a second run would hide the first one's messages whatever it meant to do with them, and would see a
//! shard without its earliest batches. A run works through its shards side by side anyway. It is also one write for a
//! run and not one for a shard.
//!
//! The lock is taken before messages are received and released after they are visible again. A run that dies leaves
//! it, and no time ends it: a person settles it. Messages that the dead run received stay hidden until their
//! visibility timeout ends, and a later batch must not overtake them meanwhile: [`Lock::hidden_until`] says how long
//! to wait before receiving.

use std::time::Duration;

use hydration::ports::Clock;
use hydration::timestamp::Timestamp;

use super::Ledger;
use super::error::LedgerError;
use super::key::Key;
use super::record::{Holder, QueueLock, SettledLock, VERSION, Who, time};
use super::store::{Store, Version};
use crate::print::visible::Visible;

/// Attempts to take a lock that others take and release at the same moment.
const ATTEMPTS: u32 = 10;
/// The longest time that SQS hides a message
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html>).
pub const MAX_HIDDEN: Duration = Duration::from_secs(12 * 3600);

/// A lock that this run holds.
#[derive(Debug)]
#[must_use = "a lock that is not released stays until a person settles it"]
pub struct Lock {
    record: QueueLock,
    version: Version,
}

impl Lock {
    /// The time until which messages of an earlier holder may be hidden. Receive none before.
    ///
    /// Another machine's clock may have set it, so that it is twelve hours after the lock was taken at the latest.
    pub fn hidden_until(&self) -> Option<Timestamp> {
        Some(self.recorded_until()?.min(self.latest_hidden()))
    }

    /// The time that the ledger names where SQS cannot hide messages for so long: the clock of some machine is wrong.
    pub fn impossible_time(&self) -> Option<Timestamp> {
        self.recorded_until().filter(|recorded| *recorded > self.latest_hidden())
    }

    fn recorded_until(&self) -> Option<Timestamp> {
        self.record.hidden_until.as_deref().map(time)
    }

    fn latest_hidden(&self) -> Timestamp {
        let since = self.record.holder.as_ref().map_or(Timestamp::EPOCH, |holder| time(&holder.since));
        since.plus_millis(millis(MAX_HIDDEN))
    }
}

/// A lock that another run holds, or that a dead run has left.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "another run holds this queue: {} on {}, since {} (run {})\n  \
     → wait until it ends; if you know that it was cut off, release its lock: --ended-run {} with --in-doubt rerun \
     or --in-doubt done",
    Visible::line(&holder.by.user), Visible::line(&holder.by.host), Visible::line(&holder.since),
    Visible::line(&holder.by.run), Visible::line(&holder.by.run)
)]
pub struct HeldLock {
    pub holder: Holder,
    record: QueueLock,
    version: Version,
}

#[derive(Debug)]
pub enum Locking {
    Locked(Lock),
    Held(HeldLock),
}

/// The result of settling something that was in doubt.
#[derive(Debug, PartialEq, Eq)]
pub enum Settled<T> {
    Done(T),
    /// Somebody else acted first: look again.
    Changed,
}

impl<S: Store, C: Clock> Ledger<S, C> {
    /// Takes the lock. `hides_for` is the visibility timeout of the messages that this run will receive.
    pub async fn lock(&self, hides_for: Duration) -> Result<Locking, LedgerError> {
        for _ in 0..ATTEMPTS {
            let found = self.read::<QueueLock>(&Key::lock()).await?;
            let (mut record, version) = match found {
                Some((record, version)) => (record, Some(version)),
                None => {
                    (QueueLock { version: VERSION, revision: 0, holder: None, hidden_until: None, settled: None }, None)
                }
            };
            match (record.holder.clone(), version.clone()) {
                (Some(holder), Some(version)) if holder.by == self.who => {
                    return Ok(Locking::Locked(Lock { record, version }));
                }
                (Some(holder), Some(version)) => return Ok(Locking::Held(HeldLock { holder, record, version })),
                _ => {}
            }
            record.revision += 1;
            record.holder =
                Some(Holder { by: self.who.clone(), since: self.now(), hides_for_seconds: hides_for.as_secs() });
            if let Some(version) = self.write(&Key::lock(), &record, version.as_ref()).await? {
                return Ok(Locking::Locked(Lock { record, version }));
            }
        }
        Err(LedgerError::LockContended)
    }

    /// The lock as others see it, without taking it: for a dry run and for `status`.
    pub async fn held_lock(&self) -> Result<Option<HeldLock>, LedgerError> {
        let found = self.read::<QueueLock>(&Key::lock()).await?;
        Ok(found.and_then(|(record, version)| Some(HeldLock { holder: record.holder.clone()?, record, version })))
    }

    /// Waits until no message of an earlier holder can be hidden.
    pub async fn wait_until_visible(&self, lock: &Lock) {
        let left = lock.hidden_until().map_or(0, |until| until.millis_since(self.clock.now()));
        if let Ok(millis) = u64::try_from(left)
            && millis > 0
        {
            self.clock.sleep(Duration::from_millis(millis)).await;
        }
    }

    /// Releases the lock. `hidden` is how long messages may stay hidden that could not be made visible again.
    ///
    /// It may be called again after an error of the store.
    pub async fn unlock(&self, lock: &Lock, hidden: Option<Duration>) -> Result<(), LedgerError> {
        let mut record = lock.record.clone();
        record.revision += 1;
        record.holder = None;
        record.settled = None;
        record.hidden_until = self.still_hidden(lock.hidden_until(), hidden.unwrap_or_default());
        if self.write(&Key::lock(), &record, Some(&lock.version)).await?.is_some() {
            return Ok(());
        }
        // Either an earlier release was carried out and its answer was lost, or a person has settled the lock.
        let found = self.read::<QueueLock>(&Key::lock()).await?;
        found
            .and_then(|(record, _)| self.settler(record))
            .map_or(Ok(()), |by| Err(LedgerError::LockLost { by: Some(by) }))
    }

    /// Releases the lock of a run that a person knows to be dead.
    pub async fn settle_lock(&self, held: &HeldLock) -> Result<Settled<()>, LedgerError> {
        let mut record = held.record.clone();
        record.revision += 1;
        record.holder = None;
        let hides_for = Duration::from_secs(held.holder.hides_for_seconds).min(MAX_HIDDEN);
        let latest = self.clock.now().plus_millis(millis(MAX_HIDDEN));
        let before = record.hidden_until.as_deref().map(|recorded| time(recorded).min(latest));
        record.hidden_until = self.still_hidden(before, hides_for);
        record.settled = Some(SettledLock { by: self.who.clone(), at: self.now(), holder: held.holder.clone() });
        let written = self.write(&Key::lock(), &record, Some(&held.version)).await?;
        Ok(written.map_or(Settled::Changed, |_| Settled::Done(())))
    }

    /// An error unless this run still holds the lock.
    pub(super) async fn check_lock(&self) -> Result<(), LedgerError> {
        let found = self.read::<QueueLock>(&Key::lock()).await?;
        let holder = found.as_ref().and_then(|(record, _)| record.holder.as_ref());
        if holder.is_some_and(|holder| holder.by == self.who) {
            return Ok(());
        }
        Err(LedgerError::LockLost { by: found.and_then(|(record, _)| self.settler(record)) })
    }

    /// The person who settled this run's lock.
    fn settler(&self, record: QueueLock) -> Option<Who> {
        record.settled.filter(|settled| settled.holder.by == self.who).map(|settled| settled.by)
    }

    /// The later of two times; none that has passed.
    fn still_hidden(&self, before: Option<Timestamp>, hidden: Duration) -> Option<String> {
        let now = self.clock.now();
        let until = before.unwrap_or(now).max(now.plus_millis(millis(hidden)));
        (until > now).then(|| until.rfc3339())
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
