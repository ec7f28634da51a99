//! One pass over a queue: every visible message, once.

use std::cell::Cell;

use anyhow::Result;
use futures_util::future::join_all;

use crate::exit::{Interrupted, explain};
use crate::hold::{HIDDEN, Hold};
use crate::ports::{Delivery, Queue, QueueFacts};
use crate::print::progress::Progress;

/// Receives at once. One receive brings ten messages in ten milliseconds or so.
const RECEIVERS: usize = 8;
/// From a FIFO queue a second receive must not overtake the first in a group.
const FIFO_RECEIVERS: usize = 1;

/// What a pass over the queue found, beside the messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    /// As the queue was before.
    pub facts: QueueFacts,
    pub seen: u64,
    /// The most often that a message seen was received.
    pub most_receives: u32,
}

impl Pass {
    /// What the person should know about the queue before believing that this is all.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let facts = &self.facts;
        if facts.in_flight > 0 {
            warnings.push(format!(
                "{} more in flight: somebody else is holding them; they are not shown and come back by themselves",
                facts.in_flight
            ));
        }
        if facts.delayed > 0 {
            warnings.push(format!("{} more are delayed and not visible yet", facts.delayed));
        }
        if facts.fifo && facts.visible > self.seen {
            warnings.push(format!(
                "about {} more wait behind these: of each shard a FIFO queue shows ten at most, until they are deleted",
                facts.visible - self.seen
            ));
        }
        if let Some(max) = facts.max_receives {
            let left = max.saturating_sub(self.most_receives);
            warnings.push(format!(
                "the queue has a redrive policy: each look counts, and after {max} receives a message moves on; \
                 the one received most often can be received {left} more times"
            ));
        }
        warnings
    }
}

/// Hands each visible message to `take`, once, and holds it.
pub async fn look<Q: Queue>(hold: &Hold<'_, Q>, progress: &Progress, take: impl Fn(Delivery)) -> Result<Pass> {
    let facts = hold.queue.describe().await.map_err(|fault| explain(&fault))?;
    progress.expect(facts.visible);
    let (seen, most_receives) = (Cell::new(0), Cell::new(0));
    let receiver = async || -> Result<()> {
        // What is already on its way when the interrupt comes is awaited: an answer nobody reads hides its messages.
        while !hold.interrupt.is_asked() {
            let deliveries = hold.queue.receive(HIDDEN).await.map_err(|fault| explain(&fault))?;
            if deliveries.is_empty() {
                break;
            }
            // A message that was seen before means that the pass took longer than messages stay hidden.
            for delivery in deliveries {
                if hold.keep(&delivery.message_id, &delivery.receipt) {
                    seen.set(seen.get() + 1);
                    most_receives.set(most_receives.get().max(delivery.receives));
                    take(delivery);
                    progress.add(1);
                }
            }
        }
        Ok(())
    };
    let receivers = if facts.fifo { FIFO_RECEIVERS } else { RECEIVERS };
    for outcome in join_all((0..receivers).map(|_| receiver())).await {
        outcome?;
    }
    progress.done();
    if hold.interrupt.is_asked() {
        return Err(Interrupted.into());
    }
    Ok(Pass { facts, seen: seen.get(), most_receives: most_receives.get() })
}
