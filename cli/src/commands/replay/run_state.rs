//! The state of a run: what failed, why it ends, and how many bytes it may hold.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::commands::replay::options::ReplayOptions;
use crate::queue::hydrated_message::HydratedMessage;

/// Bytes of the messages that are run at the same time. Each is in memory up to three times: its text, its records, and
/// the event that is sent.
const MAX_CONCURRENT_BYTES: u32 = 20_000_000;

/// State of a run, in all its passes over the queue.
#[derive(Debug, Default)]
pub struct RunState {
    pub failures: Cell<u32>,
    /// Ids of messages that have failed or been refused by the ledger: each is tried once in a run.
    pub failed: RefCell<BTreeSet<String>>,
    /// The fault that ended the run.
    stop: RefCell<Option<String>>,
    /// Ids of batches whose invocation is under way.
    pub under_way: RefCell<BTreeSet<String>>,
    /// A permit for each byte of the messages in memory.
    pub bytes: ByteBudget,
}

#[derive(Debug)]
pub struct ByteBudget(Semaphore);

impl Default for ByteBudget {
    fn default() -> Self {
        Self(Semaphore::new(MAX_CONCURRENT_BYTES as usize))
    }
}

impl ByteBudget {
    /// Waits until there is room for a message. One that is larger than the whole budget has it for itself.
    pub async fn reserve(&self, message: &HydratedMessage) -> Option<SemaphorePermit<'_>> {
        let bytes = u32::try_from(message.bytes).unwrap_or(u32::MAX).min(MAX_CONCURRENT_BYTES);
        self.0.acquire_many(bytes).await.ok()
    }
}

impl RunState {
    /// Ends the run before the next step. The first reason stays.
    pub fn stop(&self, reason: String) {
        self.stop.borrow_mut().get_or_insert(reason);
    }

    pub fn stop_reason(&self) -> Option<String> {
        self.stop.borrow().clone()
    }

    pub fn has_too_many_failures(&self, options: &ReplayOptions) -> bool {
        self.failures.get() >= options.max_failures
    }
}
