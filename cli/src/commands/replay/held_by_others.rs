//! Messages that others hold, or that are delayed, when a replay is about to begin.
//!
//! SQS does not say which shard a message in flight is of, and it may be an earlier batch of one that is about to run.
//! So a replay of many batches does not begin while there are any. A FIFO queue needs no such care: its groups are the
//! shards, and SQS gives no message of a group while an earlier one of it is in flight
//! (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/interleaving-multiple-ordered-message-groups.html>).

use std::cell::Cell;
use std::time::{Duration, Instant};

use anyhow::Result;
use hydration::ports::Clock;

use crate::context::Context;
use crate::exit::explain;
use crate::ports::{Queue, QueueAttributes};
use crate::print::count;
use crate::print::progress::Progress;
use crate::queue::lease::Lease;
use crate::queue::receive_all::ReceiveSummary;

/// The longest wait for such messages. SQS's counts may lag by a minute or more
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html>), so that what
/// a command released a moment ago may still be counted.
const MAX_WAIT: Duration = Duration::from_secs(60);
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Numbers of messages of a standard queue. On a FIFO queue both are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HeldByOthers {
    pub in_flight: u64,
    pub delayed: u64,
}

impl HeldByOthers {
    /// Counts while no message is leased.
    fn before_read(attributes: &QueueAttributes) -> Self {
        if attributes.is_fifo {
            return Self::default();
        }
        Self { in_flight: attributes.in_flight, delayed: attributes.delayed }
    }

    /// Counts after every visible message was received, and before any of them is released. A message that was hidden
    /// before may have become visible too late to be received, so that the larger number counts.
    pub async fn after_read<Q: Queue>(lease: &Lease<'_, Q>, received: &ReceiveSummary) -> Result<Self> {
        if received.attributes.is_fifo {
            return Ok(Self::default());
        }
        let now = lease.attributes_now().await?;
        let in_flight = now.in_flight.saturating_sub(received.received);
        Ok(Self {
            in_flight: in_flight.max(received.in_flight()),
            delayed: now.delayed.max(received.attributes.delayed),
        })
    }

    pub fn is_none(self) -> bool {
        self == Self::default()
    }

    /// The beginning of a sentence: how many are held.
    pub fn sentence(self) -> String {
        let Self { in_flight, delayed } = self;
        let messages = |number| count(number, "message is", "messages are");
        match (in_flight, delayed) {
            (in_flight, 0) => format!("{} in flight", messages(in_flight)),
            (0, delayed) => format!("{} delayed", messages(delayed)),
            (in_flight, delayed) => format!("{} in flight and {delayed} delayed", messages(in_flight)),
        }
    }
}

/// The wait before one pass over the queue, with a second look if somebody takes messages after the first.
pub struct WaitForOthers {
    deadline: Instant,
    has_looked_again: Cell<bool>,
}

impl WaitForOthers {
    pub fn begin<C: Clock>(clock: &C) -> Self {
        Self { deadline: clock.instant() + MAX_WAIT, has_looked_again: Cell::new(false) }
    }

    /// Waits until no message is held, or until the deadline. What is held then is counted again after the read.
    pub async fn until_none<Q: Queue, C: Clock>(&self, context: &Context<C>, queue: &Q) -> Result<()> {
        let mut progress = None;
        loop {
            let attributes = context.interrupt.race(queue.attributes()).await?.map_err(|fault| explain(&fault))?;
            let held = HeldByOthers::before_read(&attributes);
            let left = self.deadline.saturating_duration_since(context.clock.instant());
            if held.is_none() || left.is_zero() {
                return Ok(());
            }
            if progress.is_none() {
                let seconds = left.as_secs_f64().ceil();
                context.output.progress(format!("{}: waiting {seconds} seconds at most", held.sentence()));
                progress = Some(Progress::new("waiting for messages that are in flight or delayed"));
            }
            context.interrupt.race(context.clock.sleep(LOOK_INTERVAL)).await?;
        }
    }

    /// Tells, once, if there is time left for another look. Each look costs a receive of every message.
    pub fn may_look_again<C: Clock>(&self, clock: &C) -> bool {
        clock.instant() < self.deadline && !self.has_looked_again.replace(true)
    }
}
