//! One pass over a queue: every visible message, once.

use std::cell::Cell;

use anyhow::Result;
use futures_util::future::join_all;
use hydration::error::Fault;

use crate::exit::explain;
use crate::ports::{Queue, QueueAttributes, ReceivedMessage};
use crate::print::progress::Progress;
use crate::queue::lease::{Lease, VISIBILITY_TIMEOUT};

/// Receive calls at the same time. One call brings ten messages in about ten milliseconds.
const MAX_CONCURRENT_RECEIVES: usize = 8;
/// On a FIFO queue a second call must not overtake the first in a message group.
const MAX_CONCURRENT_FIFO_RECEIVES: usize = 1;
/// Answers in a row that a receiver takes with nothing new in them. SQS may give a message twice; a queue that does so
/// again and again would be read for ever.
const MAX_REPEATED_ANSWERS: u32 = 10;
/// Bytes of the bodies that all calls may bring at the same time. An answer is in memory about three times while it is
/// parsed, and may have ten bodies of one megabyte.
const MAX_CONCURRENT_BYTES: usize = 20_000_000;

/// The next step after a message was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    Continue,
    /// Nothing more is needed.
    Stop,
}

/// Facts about one pass over the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiveSummary {
    /// The queue's attributes before the pass.
    pub attributes: QueueAttributes,
    /// Messages received.
    pub received: u64,
    /// The highest receive count of a message.
    pub max_receive_count: u32,
    /// Messages that others held after the pass.
    pub held_by_others: u64,
    /// Messages that are visible and that SQS did not give, as it does when too many are in flight.
    pub not_given: u64,
    /// The pass ended early, because nothing more was needed.
    pub is_cut_short: bool,
}

impl ReceiveSummary {
    /// Messages of a FIFO queue that wait behind those received.
    pub fn waiting_behind(&self) -> u64 {
        if self.attributes.is_fifo { self.not_received() } else { 0 }
    }

    /// Messages that were visible before the pass and were not received.
    fn not_received(&self) -> u64 {
        self.attributes.visible.saturating_sub(self.received)
    }

    /// Messages that SQS did not show. The count of visible messages is approximate, so that a standard queue is
    /// believed when it says after the pass that none is left, unless a redrive policy may have moved them.
    pub fn not_looked_at(&self) -> u64 {
        let not_received = if self.attributes.max_receives.is_some() { self.not_received() } else { 0 };
        if self.is_cut_short { 0 } else { self.waiting_behind().max(self.not_given).max(not_received) }
    }

    /// Messages that others hold. Those that became visible during the pass were received, and those that were visible
    /// before it may have gone to a command that reads the queue at the same time.
    pub fn in_flight(&self) -> u64 {
        let came_back = self.received.saturating_sub(self.attributes.visible);
        self.attributes.in_flight.saturating_sub(came_back).max(self.held_by_others)
    }

    /// The cost of the pass on a queue with a redrive policy, for standard error.
    pub fn warnings(&self) -> Vec<String> {
        self.attributes.max_receives.map(|max| self.redrive_warning(max)).into_iter().collect()
    }

    /// SQS moves a message at the receive after the last that the policy allows
    /// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html>).
    fn redrive_warning(&self, max: u32) -> String {
        let cost = format!("the queue has a redrive policy: after {max} receives a message moves to another queue");
        if self.received == 0 {
            return match self.attributes.visible {
                0 => cost,
                visible => format!(
                    "{cost}; {visible} were visible and none was received: they have moved, or others have them"
                ),
            };
        }
        let left = match max.saturating_sub(self.max_receive_count) {
            0 => "the next command that reads the queue moves it away".to_owned(),
            1 => "it can be received one more time".to_owned(),
            left => format!("it can be received {left} more times"),
        };
        format!("{cost}; this command has received each once; for the one received most often, {left}")
    }
}

/// Receives every visible message once, adds it to the lease and hands it to `take`.
pub async fn receive_all<Q: Queue>(
    lease: &Lease<'_, Q>,
    progress: &Progress,
    take: impl Fn(ReceivedMessage) -> Result<Next>,
) -> Result<ReceiveSummary> {
    let attributes = lease.attributes_now().await?;
    progress.expect(attributes.visible);
    let max_receivers = if attributes.is_fifo { MAX_CONCURRENT_FIFO_RECEIVES } else { MAX_CONCURRENT_RECEIVES };
    let pass = Pass { lease, progress, take, counters: Counters::default() };
    pass.run_receivers(max_receivers).await?;
    let (mut held_by_others, mut not_given) = (0, 0);
    if pass.may_have_missed_some(&attributes) {
        let mut after = lease.attributes_now().await?;
        if after.visible > 0 {
            // Another command has released them since, or the count is outdated: the second look decides.
            pass.run_receivers(max_receivers).await?;
            after = lease.attributes_now().await?;
        }
        held_by_others = after.in_flight.saturating_sub(pass.counters.received.get());
        not_given = after.visible;
    }
    progress.finish();
    lease.interrupt.check()?;
    let Counters { received, max_receive_count, is_cut_short, is_over_limit, .. } = pass.counters;
    if is_over_limit.get() {
        not_given = lease.attributes_now().await?.visible.max(1);
    }
    Ok(ReceiveSummary {
        attributes,
        received: received.get(),
        max_receive_count: max_receive_count.get(),
        held_by_others,
        not_given,
        is_cut_short: is_cut_short.get(),
    })
}

/// Numbers that the receivers of one pass share.
#[derive(Debug, Default)]
struct Counters {
    received: Cell<u64>,
    max_receive_count: Cell<u32>,
    /// Bytes of the bodies in the largest answer.
    largest_answer: Cell<usize>,
    is_cut_short: Cell<bool>,
    is_over_limit: Cell<bool>,
    /// A receiver met an error, so that the others stop.
    has_failed: Cell<bool>,
}

struct Pass<'a, 'q, Q, T> {
    lease: &'a Lease<'q, Q>,
    progress: &'a Progress,
    take: T,
    counters: Counters,
}

impl<Q: Queue, T: Fn(ReceivedMessage) -> Result<Next>> Pass<'_, '_, Q, T> {
    async fn run_receivers(&self, max_receivers: usize) -> Result<()> {
        let receivers = (0..max_receivers).map(|number| self.run_receiver(number));
        join_all(receivers).await.into_iter().collect()
    }

    /// Tells if fewer messages were received than were visible, and no other number says so. On a FIFO queue they wait
    /// behind those received. While too many messages are in flight, a standard queue answers a call that waits with
    /// nothing, as if it were empty; its count of visible messages says that it is not
    /// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html>).
    fn may_have_missed_some(&self, before: &QueueAttributes) -> bool {
        let Counters { received, is_cut_short, is_over_limit, .. } = &self.counters;
        let has_ended_early = is_cut_short.get() || is_over_limit.get() || self.lease.interrupt.is_requested();
        !before.is_fifo && !has_ended_early && received.get() < before.visible
    }

    async fn run_receiver(&self, number: usize) -> Result<()> {
        let outcome = self.receive_until_empty(number).await;
        if outcome.is_err() {
            self.counters.has_failed.set(true);
        }
        outcome
    }

    /// A call that is running when the interrupt comes is awaited: an answer that nobody reads hides its messages.
    async fn receive_until_empty(&self, number: usize) -> Result<()> {
        let mut repeated_answers = 0;
        while self.may_receive(number) && repeated_answers < MAX_REPEATED_ANSWERS {
            let answer = self.lease.queue.receive(VISIBILITY_TIMEOUT).await;
            if answer.as_ref().is_err_and(is_over_limit) {
                self.counters.is_over_limit.set(true);
                return Ok(());
            }
            let messages = answer.map_err(|fault| explain(&fault))?;
            if messages.is_empty() {
                return Ok(());
            }
            let bytes = messages.iter().map(|message| message.body.len()).sum();
            let largest = &self.counters.largest_answer;
            largest.set(largest.get().max(bytes));
            // All are leased before the first is taken, so that an error hides none of them.
            let new: Vec<_> = messages.into_iter().filter(|message| self.add(message)).collect();
            repeated_answers = if new.is_empty() { repeated_answers + 1 } else { 0 };
            for message in new {
                if (self.take)(message)? == Next::Stop {
                    self.counters.is_cut_short.set(true);
                }
            }
        }
        Ok(())
    }

    /// Tells if the receiver with this number may go on. Large messages are received by fewer at a time.
    fn may_receive(&self, number: usize) -> bool {
        let Counters { largest_answer, is_cut_short, is_over_limit, has_failed, .. } = &self.counters;
        let receivers = MAX_CONCURRENT_BYTES / largest_answer.get().max(1);
        let has_ended =
            is_cut_short.get() || is_over_limit.get() || has_failed.get() || self.lease.interrupt.is_requested();
        !has_ended && number < receivers.max(1)
    }

    /// Leases a message; `false` where it was leased before, which means that the pass took longer than the visibility
    /// timeout.
    fn add(&self, message: &ReceivedMessage) -> bool {
        let Counters { received, max_receive_count, .. } = &self.counters;
        max_receive_count.set(max_receive_count.get().max(message.receive_count));
        let is_new = self.lease.add(&message.message_id, &message.receipt_handle);
        if is_new {
            received.set(received.get() + 1);
            self.progress.add(1);
        }
        is_new
    }
}

/// The error of a standard queue while 120,000 messages are in flight. AWS documents it for calls that do not wait.
fn is_over_limit(fault: &Fault) -> bool {
    fault.detail.contains("OverLimit")
}
