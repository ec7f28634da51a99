//! The ledger of a run: its place, and the lock on the queue.

use anyhow::{Result, bail};
use hydration::ports::Clock;

use crate::interrupt::Interrupt;
use crate::ledger::Ledger;
use crate::ledger::lock::{Lock, Locking};
use crate::ledger::store::Store;
use crate::queue::identity::QueueIdentity;
use crate::queue::lease::VISIBILITY_TIMEOUT;

/// The queue and the place of its ledger, for the first lines of a run.
#[derive(Debug, Clone)]
pub struct LedgerPlace {
    pub queue: QueueIdentity,
    pub ledger: String,
    /// Other machines see it.
    pub is_shared: bool,
}

/// Takes the lock on the queue. The lock of a run that was cut off is released first, where the person names that run.
pub async fn take_lock<S: Store, C: Clock>(
    ledger: &Ledger<S, C>,
    interrupt: &Interrupt,
    ended_run: Option<&str>,
) -> Result<Lock> {
    // A place that does not answer is met here, where the wait can be cut off. Cutting off a write could leave a lock.
    interrupt.race(ledger.held_lock()).await??;
    let held = match ledger.lock(VISIBILITY_TIMEOUT).await? {
        Locking::Locked(lock) => return Ok(lock),
        Locking::Held(held) => held,
    };
    if ended_run != Some(held.holder.by.run.as_str()) {
        bail!(held);
    }
    // Somebody else may settle it at the same moment: then the second attempt to lock says who holds it.
    ledger.settle_lock(&held).await?;
    match ledger.lock(VISIBILITY_TIMEOUT).await? {
        Locking::Locked(lock) => Ok(lock),
        Locking::Held(held) => bail!(held),
    }
}
