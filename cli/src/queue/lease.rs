//! A lease on messages: they stay hidden from others while a command works, and are visible again afterwards.
//!
//! SQS has no call that reads a message without hiding it. A received message is hidden for a while, so that one pass
//! over the queue sees each message once. When the work succeeds, fails, panics or is interrupted, all messages that
//! are still leased are made visible at once. If the process is killed, they become visible by themselves when the
//! visibility timeout ends, which is short for that reason.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use anyhow::Result;
use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use hydration::error::Fault;
use tokio::time::{Instant, timeout_at};

use crate::context::Context;
use crate::exit::{Interrupted, explain};
use crate::interrupt::Interrupt;
use crate::ports::{Queue, QueueAttributes, Receipt};
use crate::print::{Output, count};

/// The longest time that a message stays hidden after the process was killed.
pub const VISIBILITY_TIMEOUT: Duration = Duration::from_secs(60);
const EXTEND_INTERVAL: Duration = Duration::from_secs(20);
/// The most messages that SQS takes in one batch call
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibilityBatch.html>).
const MAX_BATCH_ENTRIES: usize = 10;
const MAX_CONCURRENT_CALLS: usize = 16;
/// The time that work may take to end by itself after an interrupt: a receive call waits for a second.
const GRACE: Duration = Duration::from_millis(1200);
/// The time between an interrupt and the end of the command, with a margin below two seconds.
const MAX_STOP: Duration = Duration::from_millis(1850);

/// The request that ends the work under a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StopAt {
    First,
    /// The work looks for the first request itself, and finishes what must not be cut off.
    Second,
}

pub struct Lease<'a, Q> {
    pub queue: &'a Q,
    pub interrupt: &'a Interrupt,
    /// Receipt handles by message id.
    handles: RefCell<BTreeMap<String, String>>,
    /// Handles of messages that are being released or deleted: no longer extended, and not visible for sure.
    releasing: RefCell<BTreeMap<String, String>>,
    /// The first failure to extend a visibility timeout.
    extension_error: RefCell<Option<Fault>>,
    /// Messages that could not be made visible.
    hidden: Cell<usize>,
    /// The first failure to make messages visible.
    release_error: RefCell<Option<Fault>>,
}

impl<'a, Q: Queue> Lease<'a, Q> {
    fn new(queue: &'a Q, interrupt: &'a Interrupt) -> Self {
        Self {
            queue,
            interrupt,
            handles: RefCell::default(),
            releasing: RefCell::default(),
            extension_error: RefCell::default(),
            hidden: Cell::new(0),
            release_error: RefCell::default(),
        }
    }

    /// Adds a message; `false` when the lease held it already, with an older receipt handle.
    pub fn add(&self, message_id: &str, receipt_handle: &str) -> bool {
        self.handles.borrow_mut().insert(message_id.to_owned(), receipt_handle.to_owned()).is_none()
    }

    pub async fn delete(&self, message_id: &str) -> Result<(), Fault> {
        let Some((message_id, handle)) = self.handles.borrow_mut().remove_entry(message_id) else { return Ok(()) };
        self.releasing.borrow_mut().insert(message_id.clone(), handle.clone());
        let receipt = Receipt { message_id, handle };
        let outcome = self.queue.delete(&receipt).await;
        self.releasing.borrow_mut().remove(&receipt.message_id);
        if outcome.is_err() {
            self.handles.borrow_mut().insert(receipt.message_id, receipt.handle);
        }
        outcome
    }

    /// The queue's attributes as they are now.
    pub async fn attributes_now(&self) -> Result<QueueAttributes> {
        self.interrupt.race(self.queue.attributes()).await?.map_err(|fault| explain(&fault))
    }

    /// An error once the visibility of a leased message could not be extended: somebody else may hold it now, so that
    /// nothing more must be started with it.
    pub fn check_extended(&self) -> Result<()> {
        self.extension_error.borrow().as_ref().map_or(Ok(()), |fault| Err(explain(fault)))
    }

    /// Makes some of the messages visible now.
    pub async fn release(&self, message_ids: impl IntoIterator<Item = &str>) {
        let removed: BTreeMap<String, String> = {
            let mut handles = self.handles.borrow_mut();
            message_ids.into_iter().filter_map(|id| handles.remove_entry(id)).collect()
        };
        self.releasing.borrow_mut().extend(removed.clone());
        // A message that cannot be released becomes visible by itself.
        let changed = Cell::new(0);
        self.keep_error(self.change_visibility(receipts(removed.clone()), Duration::ZERO, &changed).await);
        self.hidden.set(self.hidden.get() + removed.len() - changed.get());
        self.releasing.borrow_mut().retain(|message_id, _| !removed.contains_key(message_id));
    }

    /// Makes all messages visible, until the deadline, and returns the number of those that may not be.
    async fn release_all(&self, deadline: Option<Instant>) -> usize {
        let mut handles = self.handles.take();
        handles.append(&mut self.releasing.borrow_mut());
        let receipts = receipts(handles);
        let (count, changed) = (receipts.len(), Cell::new(0));
        let release = self.change_visibility(receipts, Duration::ZERO, &changed);
        match deadline {
            None => self.keep_error(release.await),
            Some(deadline) => self.keep_error(timeout_at(deadline, release).await.unwrap_or(Ok(()))),
        }
        count - changed.get()
    }

    fn keep_error(&self, released: Result<(), Fault>) {
        if let Err(fault) = released {
            self.release_error.borrow_mut().get_or_insert(fault);
        }
    }

    /// Extends the visibility timeout of all leased messages, again and again. Never returns.
    async fn keep_extending(&self) -> std::convert::Infallible {
        loop {
            tokio::time::sleep(EXTEND_INTERVAL).await;
            if self.extend().await.is_err()
                && let Err(fault) = self.extend().await
            {
                self.extension_error.borrow_mut().get_or_insert(fault);
            }
        }
    }

    async fn extend(&self) -> Result<(), Fault> {
        let message_ids: Vec<String> = self.handles.borrow().keys().cloned().collect();
        let calls = message_ids.chunks(MAX_BATCH_ENTRIES).map(|batch| self.extend_batch(batch));
        let outcomes: Vec<_> = stream::iter(calls).buffer_unordered(MAX_CONCURRENT_CALLS).collect().await;
        outcomes.into_iter().collect()
    }

    /// A message that is deleted or released meanwhile makes the call fail: then those that are left are tried again.
    /// While a long queue is replayed there are always some.
    async fn extend_batch(&self, message_ids: &[String]) -> Result<(), Fault> {
        let mut held = self.held(message_ids);
        while !held.is_empty() {
            let Err(fault) = self.queue.change_visibility(&held, VISIBILITY_TIMEOUT).await else { return Ok(()) };
            let still_held = self.held(message_ids);
            if still_held == held {
                return Err(fault);
            }
            held = still_held;
        }
        Ok(())
    }

    fn held(&self, message_ids: &[String]) -> Vec<Receipt> {
        let handles = self.handles.borrow();
        let receipt = |id: &String| Some(Receipt { message_id: id.clone(), handle: handles.get(id)?.clone() });
        message_ids.iter().filter_map(receipt).collect()
    }

    /// Changes the visibility timeout of all, counts those that were changed, and returns the first failure.
    async fn change_visibility(
        &self,
        receipts: Vec<Receipt>,
        visibility_timeout: Duration,
        changed: &Cell<usize>,
    ) -> Result<(), Fault> {
        let calls = receipts.chunks(MAX_BATCH_ENTRIES).map(async |batch| {
            let outcome = self.queue.change_visibility(batch, visibility_timeout).await;
            if outcome.is_ok() {
                changed.set(changed.get() + batch.len());
            }
            outcome
        });
        let outcomes: Vec<_> = stream::iter(calls).buffer_unordered(MAX_CONCURRENT_CALLS).collect().await;
        outcomes.into_iter().collect()
    }
}

fn receipts(handles: BTreeMap<String, String>) -> Vec<Receipt> {
    handles.into_iter().map(|(message_id, handle)| Receipt { message_id, handle }).collect()
}

/// Runs the work with a lease, and releases every message that the work has not deleted. A request to stop ends the
/// work, after a second at most.
pub async fn with_lease<Q: Queue, T, C>(
    context: &Context<C>,
    queue: &Q,
    work: impl AsyncFnOnce(&Lease<'_, Q>) -> Result<T>,
) -> Result<T> {
    with_lease_until(&context.output, &context.interrupt, queue, work).await
}

/// The same for work that another interrupt stops.
pub async fn with_lease_until<Q: Queue, T>(
    output: &Output,
    interrupt: &Interrupt,
    queue: &Q,
    work: impl AsyncFnOnce(&Lease<'_, Q>) -> Result<T>,
) -> Result<T> {
    let leased = run(queue, interrupt, StopAt::First, work).await;
    leased.say_hidden(output);
    leased.result
}

/// The result of work with a lease.
pub struct Leased<T> {
    pub result: Result<T>,
    /// Messages that could not be made visible. They become visible by themselves.
    pub hidden: usize,
    /// The call that failed where SQS refused to make them visible.
    pub release_error: Option<Fault>,
}

impl<T> Leased<T> {
    /// Says that messages are hidden from others, and why.
    pub fn say_hidden(&self, output: &Output) {
        if let Some(fault) = &self.release_error {
            let messages = count(self.hidden as u64, "message", "messages");
            let error = explain(fault);
            output.attention(format!(
                "{messages} could not be made visible again, and will be visible within a minute: {error:#}"
            ));
        }
    }
}

/// The same for work that must not be cut off: it looks for the first request itself, and the second ends it.
pub async fn with_lease_counted<Q: Queue, T, C>(
    context: &Context<C>,
    queue: &Q,
    work: impl AsyncFnOnce(&Lease<'_, Q>) -> Result<T>,
) -> Leased<T> {
    let leased = run(queue, &context.interrupt, StopAt::Second, work).await;
    leased.say_hidden(&context.output);
    leased
}

async fn run<Q: Queue, T>(
    queue: &Q,
    interrupt: &Interrupt,
    stop_at: StopAt,
    work: impl AsyncFnOnce(&Lease<'_, Q>) -> Result<T>,
) -> Leased<T> {
    let lease = Lease::new(queue, interrupt);
    let interrupted_at = Cell::new(None);
    let stop = async {
        interrupt.requested().await;
        interrupted_at.set(Some(Instant::now()));
        match stop_at {
            StopAt::First => tokio::select! {
                () = tokio::time::sleep(GRACE) => {}
                () = interrupt.requested_twice() => {}
            },
            StopAt::Second => {
                interrupt.requested_twice().await;
                interrupted_at.set(Some(Instant::now()));
            }
        }
    };
    let outcome = tokio::select! {
        biased;
        outcome = AssertUnwindSafe(work(&lease)).catch_unwind() => outcome,
        never = lease.keep_extending() => match never {},
        () = stop => Ok(Err(interrupt.error())),
    };
    let deadline = match (stop_at, interrupted_at.get()) {
        (_, None) => None,
        // The work may have gone on for long after the first request, and has ended by itself.
        (StopAt::Second, Some(_)) => Some(Instant::now() + MAX_STOP),
        (StopAt::First, Some(at)) => Some(at + MAX_STOP),
    };
    let hidden = release(&lease, deadline).await;
    let outcome = outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    let result = outcome.map_err(|error| match error.downcast::<Interrupted>() {
        Ok(interrupted) => Interrupted { hidden, in_archive: queue.archive().is_some(), ..interrupted }.into(),
        Err(error) => error,
    });
    Leased { result, hidden: hidden + lease.hidden.get(), release_error: lease.release_error.take() }
}

/// Releases all messages. An interrupt that comes meanwhile leaves it two seconds, a second one ends it.
async fn release<Q: Queue>(lease: &Lease<'_, Q>, deadline: Option<Instant>) -> usize {
    let all = lease.handles.borrow().len();
    let interrupt = lease.interrupt;
    let give_up = async {
        interrupt.requested().await;
        let late = tokio::time::sleep_until(deadline.unwrap_or_else(|| Instant::now() + MAX_STOP));
        tokio::select! {
            () = late => {}
            () = interrupt.requested_twice(), if deadline.is_none() => {}
        }
    };
    tokio::select! {
        biased;
        hidden = lease.release_all(deadline) => hidden,
        () = give_up => all,
    }
}

#[cfg(test)]
mod tests;
