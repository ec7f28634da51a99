//! One pass over a queue: every visible message, once.

use std::cell::Cell;

use anyhow::Result;
use futures_util::future::join_all;

use crate::exit::{Interrupted, explain};
use crate::ports::{Queue, QueueAttributes, ReceivedMessage};
use crate::print::progress::Progress;
use crate::queue::lease::{Lease, VISIBILITY_TIMEOUT};

/// Receive calls at the same time. One call brings ten messages in about ten milliseconds.
const MAX_CONCURRENT_RECEIVES: usize = 8;
/// On a FIFO queue a second call must not overtake the first in a message group.
const MAX_CONCURRENT_FIFO_RECEIVES: usize = 1;

/// Facts about one pass over the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiveSummary {
    /// The queue's attributes before the pass.
    pub attributes: QueueAttributes,
    /// Messages received.
    pub received: u64,
    /// The highest receive count of a message.
    pub max_receive_count: u32,
}

impl ReceiveSummary {
    /// Messages of a FIFO queue that wait behind those received.
    pub fn waiting_behind(&self) -> u64 {
        let behind = self.attributes.visible.saturating_sub(self.received);
        if self.attributes.is_fifo { behind } else { 0 }
    }

    /// Reasons why the messages received may not be all.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let attributes = &self.attributes;
        if attributes.in_flight > 0 {
            warnings.push(format!(
                "{} more in flight: somebody else is holding them; they are not shown and come back by themselves",
                attributes.in_flight
            ));
        }
        if attributes.delayed > 0 {
            warnings.push(format!("{} more are delayed and not visible yet", attributes.delayed));
        }
        if self.waiting_behind() > 0 {
            warnings.push(format!(
                "about {} more wait behind these: of each shard a FIFO queue shows ten at most, until they are deleted",
                self.waiting_behind()
            ));
        }
        if let Some(max) = attributes.max_receives {
            let left = max.saturating_sub(self.max_receive_count);
            warnings.push(format!(
                "the queue has a redrive policy: each receive counts, and after {max} receives a message moves on; \
                 the one received most often can be received {left} more times"
            ));
        }
        warnings
    }
}

/// Receives every visible message once, adds it to the lease and hands it to `take`.
pub async fn receive_all<Q: Queue>(
    lease: &Lease<'_, Q>,
    progress: &Progress,
    take: impl Fn(ReceivedMessage),
) -> Result<ReceiveSummary> {
    let attributes = lease.queue.attributes().await.map_err(|fault| explain(&fault))?;
    progress.expect(attributes.visible);
    let (received, max_receive_count) = (Cell::new(0), Cell::new(0));
    let take_new = |message: ReceivedMessage| {
        // A message that was received before means that the pass took longer than the visibility timeout.
        if lease.add(&message.message_id, &message.receipt_handle) {
            received.set(received.get() + 1);
            max_receive_count.set(max_receive_count.get().max(message.receive_count));
            take(message);
            progress.add(1);
        }
    };
    let receiver = async || -> Result<()> {
        // A call that is running when the interrupt comes is awaited: an answer that nobody reads hides its messages.
        while !lease.interrupt.is_requested() {
            let messages = lease.queue.receive(VISIBILITY_TIMEOUT).await.map_err(|fault| explain(&fault))?;
            if messages.is_empty() {
                break;
            }
            messages.into_iter().for_each(&take_new);
        }
        Ok(())
    };
    let receivers = if attributes.is_fifo { MAX_CONCURRENT_FIFO_RECEIVES } else { MAX_CONCURRENT_RECEIVES };
    for outcome in join_all((0..receivers).map(|_| receiver())).await {
        outcome?;
    }
    progress.finish();
    if lease.interrupt.is_requested() {
        return Err(Interrupted.into());
    }
    Ok(ReceiveSummary { attributes, received: received.get(), max_receive_count: max_receive_count.get() })
}
