//! The ledger of a run: its place, and the lock on the queue.

use anyhow::{Result, bail};
use hydration::ports::Clock;
use serde::Serialize;

use crate::context::Context;
use crate::interrupt::Interrupt;
use crate::ledger::Ledger;
use crate::ledger::lock::{Lock, Locking};
use crate::ledger::store::Store;
use crate::print::{Output, Paint};
use crate::queue::identity::QueueIdentity;
use crate::queue::lease::VISIBILITY_TIMEOUT;

/// The queue and the place of its ledger, for the first lines of a run.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LedgerPlace {
    #[serde(flatten)]
    pub queue: QueueIdentity,
    pub ledger: String,
    /// It is in a bucket, where every machine sees it.
    #[serde(rename = "ledgerIsShared")]
    pub is_shared: bool,
}

/// A ledger that can be written, and its place.
pub struct PlacedLedger<'a, S, C> {
    pub ledger: &'a Ledger<S, C>,
    pub place: &'a LedgerPlace,
}

impl<S, C> Clone for PlacedLedger<'_, S, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S, C> Copy for PlacedLedger<'_, S, C> {}

impl LedgerPlace {
    /// Prints it as the first lines of a dry run or of --execute.
    pub fn print(&self, output: &Output) -> Result<()> {
        if output.json {
            return output.json(&serde_json::json!({ "header": self }));
        }
        self.print_lines(output)
    }

    pub fn print_lines(&self, output: &Output) -> Result<()> {
        self.queue.print(output)?;
        let alone =
            if self.is_shared { "" } else { " (a folder: a machine that does not see it knows nothing of this run)" };
        output.line(output.paint(Paint::Dim, format!("Ledger: {}{alone}", self.ledger)))
    }
}

/// Says until when a run waits for the messages of an earlier one, if it does.
pub fn say_hidden<C: Clock>(context: &Context<C>, lock: &Lock) {
    let Some(until) = lock.hidden_until().filter(|until| *until > context.now()) else { return };
    if let Some(recorded) = lock.impossible_time() {
        context.output.note(format!(
            "the ledger says that messages are hidden until {}, but SQS hides none for longer than 12 hours: the clock \
             of this machine or of another one is wrong",
            recorded.rfc3339()
        ));
    }
    let until = until.rfc3339();
    context
        .output
        .progress(format!("waiting until {until}, when the messages of a run that was cut off are visible again"));
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
