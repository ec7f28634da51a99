//! The ledger: what was run, by whom, and what is in doubt, in a place that every machine sees.
//!
//! A replay invokes functions again and deletes messages, on any of several machines, and may be cut off at any call.
//! The ledger holds three kinds of small JSON records, changed only by conditional writes:
//!
//! - `lock.json`: who is replaying this queue ([`lock`] says why it is one lock for the queue);
//! - `runs/<batch id>/<function>.json`: for a batch on a function, the records that have succeeded, the attempts with
//!   their outcomes, and the open claim. A claim that has no outcome is in doubt for everybody. No time ends it: a
//!   person says [`Settlement::Rerun`] or [`Settlement::Done`];
//! - `discards/<message id>.json`: who took a message off the queue without running the rest of it ([`discard`]).
//!
//! The order of a run, and the call for each step:
//!
//! ```text
//! let ledger = Ledger::new(store, SystemClock, Who::current());
//! let lock = match ledger.lock(VISIBILITY_TIMEOUT).await? {          // 1. before any message is received
//!     Locking::Locked(lock) => lock,
//!     Locking::Held(held) if in_doubt_flag => { ledger.settle_lock(&held).await?; /* then lock again */ }
//!     Locking::Held(held) => bail!(held),                            //    says who, where, since when, what to type
//! };
//! ledger.wait_until_visible(&lock).await;                            // 2. messages of a dead run come back first
//! let messages = receive_all().await?;
//! let known = ledger.known(&keys).await?;                            // 3. the plan: one key for each batch and target
//! for each batch of a shard, in order {
//!     let run = &known[&key].run;
//!     if run.claim.is_some() { settle(&key, known, how) or stop the shard }   // InDoubt::of(run) has the words
//!     let remaining = match coverage(&run.done, &numbers) {          //    `false`: not yet done
//!         Coverage::Known(covered) => spans(&numbers, |index| chosen(index) && !covered[index])?,
//!         Coverage::MoreThanWereRun => refuse and stop the shard,
//!     };
//!     if !remaining.is_empty() {
//!         let claim = match ledger.claim(&lock, &key, known, Invocation { .. }).await? {     // 4. the claim
//!             Claiming::Claimed(claim) => claim,
//!             Claiming::Refused(why) => stop the shard,
//!         };
//!         let answer = invoke().await;                               // 5. the invocation
//!         let after = ledger.outcome(&claim, Outcome::..).await?;    // 6. its outcome; the next claim's `known`
//!     }
//!     if every record of the message is covered by after.run.done { delete().await?; }       // 7. the deletion
//! }
//! let all_visible = release_messages().await;                        // 8. the rest is visible again
//! ledger.unlock(&lock, if all_visible { None } else { Some(VISIBILITY_TIMEOUT) }).await?;     // 9. last of all
//! ```
//!
//! Rules for the caller:
//!
//! - Any [`LedgerError`] ends the run: nothing is invoked or deleted after it. `outcome` may be tried again after an
//!   error of the store. Steps 8 and 9 are still done, if the lock is not what was lost.
//! - An invocation that was left under way (a second Ctrl-C) is [`Outcome::Unknown`], or no outcome at all.
//! - A dry run does step 3 alone, with [`Ledger::held_lock`].
//! - The store is made by `Location::choose`, then `S3Store::new(&aws::with_retries(config), bucket, prefix)` or
//!   `FolderStore::new(path)`. A folder that is not shared must be named to the user as such.
//! - Permissions: `s3:GetObject`, `s3:PutObject` and `s3:ListBucket`; without the last, S3 answers 403 for an object
//!   that does not exist. The bucket's lifecycle must keep `ledger/` for longer than the queue keeps messages.

pub mod claim;
pub mod discard;
pub mod error;
pub mod function;
pub mod history;
pub mod key;
pub mod location;
pub mod lock;
pub mod past;
mod read;
pub mod record;
pub mod span;
pub mod store;
#[cfg(test)]
mod tests;

use hydration::ports::Clock;
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::error::LedgerError;
use self::key::Key;
use self::record::{Who, decode};
use self::store::{Store, Version, Write};

/// The ledger of one queue, in the name of one run.
pub struct Ledger<S, C> {
    store: S,
    clock: C,
    who: Who,
}

impl<S: Store, C: Clock> Ledger<S, C> {
    pub fn new(store: S, clock: C, who: Who) -> Self {
        Self { store, clock, who }
    }

    fn now(&self) -> String {
        self.clock.now().rfc3339()
    }

    async fn read<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<(T, Version)>, LedgerError> {
        let Some(stored) = self.store.get(key).await? else { return Ok(None) };
        match decode(&stored.bytes) {
            Ok(record) => Ok(Some((record, stored.version))),
            Err(why) => Err(LedgerError::not_read(self.store.name_of(key), &why)),
        }
    }

    /// Writes over the version given, or where there is nothing. `None`: somebody else has written first.
    async fn write(
        &self,
        key: &Key,
        record: &impl Serialize,
        expected: Option<&Version>,
    ) -> Result<Option<Version>, LedgerError> {
        let bytes = serde_json::to_vec(record).map_err(|_| LedgerError::NotWritten)?;
        let write = match expected {
            None => self.store.create(key, &bytes).await?,
            Some(version) => self.store.replace(key, &bytes, version).await?,
        };
        match write {
            Write::Done(version) => Ok(Some(version)),
            Write::Gone => Err(LedgerError::Deleted { name: self.store.name_of(key) }),
            // The client repeats a call whose answer was lost, and then meets its own write. No two writers ever write
            // the same bytes: they hold the run's id and a count of changes.
            Write::Lost => {
                let found = self.store.get(key).await?;
                Ok(found.filter(|found| found.bytes == bytes).map(|found| found.version))
            }
        }
    }
}
