//! A lease on messages: they stay hidden from others while a command works, and are visible again afterwards.
//!
//! SQS has no call that reads a message without hiding it. A received message is hidden for a while, so that one pass
//! over the queue sees each message once. When the work succeeds, fails, panics or is interrupted, all messages that
//! are still leased are made visible at once. If the process is killed, they become visible by themselves when the
//! visibility timeout ends, which is short for that reason.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use anyhow::Result;
use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use hydration::error::Fault;

use crate::exit::Interrupted;
use crate::interrupt::Interrupt;
use crate::ports::{Queue, Receipt};

/// The longest time that a message stays hidden after the process was killed.
pub const VISIBILITY_TIMEOUT: Duration = Duration::from_secs(60);
const EXTEND_INTERVAL: Duration = Duration::from_secs(20);
/// The most messages that SQS takes in one batch call
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibilityBatch.html>).
const MAX_BATCH_ENTRIES: usize = 10;
const MAX_CONCURRENT_CALLS: usize = 8;

pub struct Lease<'a, Q> {
    pub queue: &'a Q,
    pub interrupt: &'a Interrupt,
    /// Receipt handles by message id.
    handles: RefCell<BTreeMap<String, String>>,
}

impl<'a, Q: Queue> Lease<'a, Q> {
    fn new(queue: &'a Q, interrupt: &'a Interrupt) -> Self {
        Self { queue, interrupt, handles: RefCell::default() }
    }

    /// Adds a message; `false` when the lease held it already, with an older receipt handle.
    pub fn add(&self, message_id: &str, receipt_handle: &str) -> bool {
        self.handles.borrow_mut().insert(message_id.to_owned(), receipt_handle.to_owned()).is_none()
    }

    pub async fn delete(&self, message_id: &str) -> Result<(), Fault> {
        let handle = self.handles.borrow().get(message_id).cloned();
        let Some(handle) = handle else { return Ok(()) };
        self.queue.delete(&Receipt { message_id: message_id.to_owned(), handle }).await?;
        self.handles.borrow_mut().remove(message_id);
        Ok(())
    }

    /// Makes some of the messages visible now.
    pub async fn release(&self, message_ids: impl IntoIterator<Item = &str>) {
        let receipts: Vec<Receipt> = {
            let mut handles = self.handles.borrow_mut();
            let removed = message_ids.into_iter().filter_map(|id| handles.remove_entry(id));
            removed.map(|(message_id, handle)| Receipt { message_id, handle }).collect()
        };
        self.change_visibility(receipts, Duration::ZERO).await;
    }

    async fn release_all(&self) {
        let message_ids: Vec<String> = self.handles.borrow().keys().cloned().collect();
        self.release(message_ids.iter().map(String::as_str)).await;
    }

    /// Extends the visibility timeout of all leased messages, again and again. Never returns.
    async fn keep_extending(&self) -> std::convert::Infallible {
        loop {
            tokio::time::sleep(EXTEND_INTERVAL).await;
            let handles = self.handles.borrow().clone();
            let receipts = handles.into_iter().map(|(message_id, handle)| Receipt { message_id, handle }).collect();
            self.change_visibility(receipts, VISIBILITY_TIMEOUT).await;
        }
    }

    /// A call that fails does not stop the work: the message becomes visible by itself.
    async fn change_visibility(&self, receipts: Vec<Receipt>, visibility_timeout: Duration) {
        let batches = receipts.chunks(MAX_BATCH_ENTRIES);
        let calls = batches.map(|batch| self.queue.change_visibility(batch, visibility_timeout));
        stream::iter(calls).buffer_unordered(MAX_CONCURRENT_CALLS).for_each(|_| std::future::ready(())).await;
    }
}

/// Runs the work with a lease, and releases every message that the work has not deleted.
pub async fn with_lease<Q: Queue, T>(
    queue: &Q,
    interrupt: &Interrupt,
    work: impl AsyncFnOnce(&Lease<'_, Q>) -> Result<T>,
) -> Result<T> {
    let lease = Lease::new(queue, interrupt);
    let outcome = tokio::select! {
        outcome = AssertUnwindSafe(work(&lease)).catch_unwind() => outcome,
        never = lease.keep_extending() => match never {},
        () = interrupt.requested_twice() => Ok(Err(Interrupted.into())),
    };
    lease.release_all().await;
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;
    use crate::test_support::queue::InMemoryQueue;

    /// Leases 25 messages of a queue that has them.
    async fn lease_all(lease: &Lease<'_, InMemoryQueue>) {
        loop {
            let received = lease.queue.receive(VISIBILITY_TIMEOUT).await.unwrap();
            if received.is_empty() {
                return assert_eq!(lease.queue.counts().in_flight, 25);
            }
            for message in received {
                assert!(lease.add(&message.message_id, &message.receipt_handle));
                assert!(!lease.add(&message.message_id, &message.receipt_handle));
            }
        }
    }

    fn queue() -> InMemoryQueue {
        let queue = InMemoryQueue::default();
        (0..25).for_each(|number| drop(queue.send(format!("message {number}"))));
        queue
    }

    #[tokio::test]
    async fn messages_that_were_not_deleted_are_released_however_the_work_ends() {
        let (sender, interrupt) = Interrupt::manual();
        let deleting = queue();
        with_lease(&deleting, &interrupt, async |lease| {
            lease_all(lease).await;
            lease.delete("m7").await.unwrap();
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!((deleting.counts().visible, deleting.counts().in_flight), (24, 0));

        let failing = queue();
        let failed: Result<()> = with_lease(&failing, &interrupt, async |lease| {
            lease_all(lease).await;
            bail!("no")
        })
        .await;
        assert!(failed.is_err() && failing.counts().visible == 25);

        let panicking = queue();
        let panics = with_lease(&panicking, &interrupt, async |lease| -> Result<()> {
            lease_all(lease).await;
            panic!("no")
        });
        assert!(AssertUnwindSafe(panics).catch_unwind().await.is_err());
        assert_eq!(panicking.counts().visible, 25);

        let waiting = queue();
        let waits = with_lease(&waiting, &interrupt, async |lease| -> Result<()> {
            lease_all(lease).await;
            sender.send_modify(|requests| *requests += 2);
            std::future::pending().await
        });
        assert!(waits.await.unwrap_err().is::<Interrupted>());
        assert_eq!(waiting.counts().visible, 25);
        assert!([deleting, failing, panicking, waiting].iter().all(|queue| queue.largest_batch() <= MAX_BATCH_ENTRIES));
    }
}
