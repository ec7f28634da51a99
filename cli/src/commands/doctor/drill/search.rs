//! The search for the hydrated message of a drill, on a queue that may be full of others.
//!
//! SQS finds no message by its name: all that are visible are received, and made visible again at the end of each pass.
//! The passes are short, and apart, so that the others of the queue can be worked with meanwhile.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use anyhow::Result;
use hydration::drill::{DrillBatch, is_drill};
use hydration::message::parsed::{ParsedMessage, Pointer};
use hydration::ports::Clock;
use hydration::timestamp::Timestamp;
use hydration::verdict::Status;

use crate::commands::doctor::drill::args::MAX_WAIT;
use crate::context::Context;
use crate::interrupt::Interrupt;
use crate::ports::{Bucket, FailureDestination, GetObjectError, Queue, ReceivedMessage};
use crate::print::progress::Progress;
use crate::print::thousands;
use crate::queue::filter_args::shell_quoted;
use crate::queue::hydrated_message::{HydratedMessage, batch_id};
use crate::queue::lease::{Lease, with_lease_until};
use crate::queue::queue_message::QueueMessage;
use crate::queue::read_queue::HEAD_BYTES;
use crate::queue::receive_all::{Next, ReceiveSummary, receive_all};

/// The longest time for which a pass holds the messages of others.
const MAX_PASS: Duration = Duration::from_secs(10);
/// The shortest pause between two passes. It is four times the pass where that held messages of others.
const MIN_PAUSE: Duration = Duration::from_millis(500);
/// The age from which no drill is still at work on its message.
const ABANDONED: Duration = MAX_WAIT.saturating_mul(2);

/// Something that could not be removed, and the command that removes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    pub what: String,
    pub command: String,
}

/// The message of the drill. It is off the queue, unless something of it is left.
#[derive(Debug)]
pub struct Arrived {
    pub message_ids: Vec<String>,
    pub status: Option<Status>,
    /// The differences from what was read, a sentence each.
    pub differences: Vec<String>,
    pub left: Vec<Leftover>,
    pub at: Instant,
}

pub struct MessageSearch<'a, Q, B, F, C> {
    pub context: &'a Context<C>,
    pub queue: &'a Q,
    pub bucket: &'a B,
    pub destination: &'a F,
    pub batch: &'a DrillBatch,
    /// Receives after which the queue moves a message away.
    pub max_receives: Option<u32>,
    pub state: SearchState,
}

/// The state of a search, between its passes.
#[derive(Debug, Default)]
pub struct SearchState {
    /// Messages of earlier drills that were taken off the queue.
    earlier: Cell<u64>,
    /// A message of others that SQS would move if it were received again.
    must_stop: Cell<bool>,
    /// The messages that the last pass did not look at, in words; empty if there were none.
    unseen: RefCell<String>,
}

/// The messages of one pass that matter.
#[derive(Default)]
struct SearchPass {
    own: RefCell<Vec<ReceivedMessage>>,
    /// Each with its id.
    abandoned: RefCell<Vec<(String, ReceivedMessage)>>,
    others: Cell<u64>,
}

impl<Q: Queue, B: Bucket, F: FailureDestination, C: Clock> MessageSearch<'_, Q, B, F, C> {
    /// Messages of earlier drills that were taken off the queue.
    pub fn earlier(&self) -> u64 {
        self.state.earlier.get()
    }

    /// The reason why the search ended early.
    pub fn refusal(&self) -> Option<String> {
        let text = "the search was stopped, since the queue's redrive policy would move away a message of others next";
        self.state.must_stop.get().then(|| text.to_owned())
    }

    /// The messages that the last look at the queue left out, in words, as the drill's own may be among them.
    pub fn unseen(&self) -> Option<String> {
        Some(self.state.unseen.borrow().clone()).filter(|unseen| !unseen.is_empty())
    }

    /// Waits for the message, compares it, and takes it off the queue. `None` if it did not come in that time.
    pub async fn wait(&self, interrupt: &Interrupt, wait: Duration) -> Result<Option<Arrived>> {
        let clock = &self.context.clock;
        let deadline = clock.instant() + wait;
        loop {
            let began = clock.instant();
            let pass = SearchPass::default();
            let found = RefCell::new(None);
            let looked = with_lease_until(&self.context.output, interrupt, self.queue, async |lease| {
                let received = self.receive(lease, &pass).await;
                *found.borrow_mut() = self.take_off(lease, &pass).await;
                received
            })
            .await;
            // A message that was taken off is the end, even if the pass was interrupted behind it.
            if let Some(arrived) = found.take() {
                return Ok(Some(arrived));
            }
            looked?;
            let took = clock.instant().saturating_duration_since(began);
            let pause = if pass.others.get() > 0 { MIN_PAUSE.max(took * 4) } else { MIN_PAUSE };
            if self.state.must_stop.get() || clock.instant() + pause >= deadline {
                return Ok(None);
            }
            // Two drills at the same time must not hold each other's message again and again.
            interrupt.race(clock.sleep(pause.mul_f64(0.75 + clock.jitter() / 2.0))).await?;
        }
    }

    async fn receive(&self, lease: &Lease<'_, Q>, pass: &SearchPass) -> Result<()> {
        let clock = &self.context.clock;
        let ends = clock.instant() + MAX_PASS;
        let take = |received: ReceivedMessage| {
            match self.kind(&received) {
                FoundKind::Own => pass.own.borrow_mut().push(received),
                FoundKind::Abandoned(id) => pass.abandoned.borrow_mut().push((id, received)),
                FoundKind::Other => {
                    pass.others.set(pass.others.get() + 1);
                    if self.max_receives.is_some_and(|max| received.receive_count >= max) {
                        self.state.must_stop.set(true);
                    }
                }
            }
            let is_over = !pass.own.borrow().is_empty() || self.state.must_stop.get() || clock.instant() >= ends;
            Ok(if is_over { Next::Stop } else { Next::Continue })
        };
        let progress = Progress::new("waiting for the hydrated message; messages seen");
        let summary = receive_all(lease, &progress, take).await?;
        *self.state.unseen.borrow_mut() = unseen(&summary);
        Ok(())
    }

    fn kind(&self, received: &ReceivedMessage) -> FoundKind {
        // A message that breaks the contract has the id in its attributes, or it is not known.
        let is_own = |id: &str| batch_id(id) == self.batch.id;
        if received.attributes.get("hydrationId").is_some_and(|id| is_own(id)) {
            return FoundKind::Own;
        }
        let Ok(message) = QueueMessage::parse(received).describe() else { return FoundKind::Other };
        if is_own(&message.id) {
            return FoundKind::Own;
        }
        let age = |at: Timestamp| self.context.now().millis_since(at);
        let is_old = |at| u128::try_from(age(at)).is_ok_and(|age| age >= ABANDONED.as_millis());
        if is_drill(message.condition.as_deref()) && message.failed_or_sent_at().is_some_and(is_old) {
            FoundKind::Abandoned(message.id)
        } else {
            FoundKind::Other
        }
    }

    /// Compares the message and takes it off the queue, together with those that earlier drills have left.
    async fn take_off(&self, lease: &Lease<'_, Q>, pass: &SearchPass) -> Option<Arrived> {
        for (id, received) in pass.abandoned.take() {
            if !self.is_of_drill(&received, &id).await {
                continue;
            }
            match self.remove(lease, &received, &id).await.pop() {
                None => self.state.earlier.set(self.state.earlier.get() + 1),
                Some(left) => self.context.output.note(format!("of an earlier drill, {}: {}", left.what, left.command)),
            }
        }
        let own = pass.own.take();
        let at = self.context.clock.instant();
        let first = own.first()?;
        let (status, differences) = self.compare(first).await;
        let mut left = Vec::new();
        for received in &own {
            left.extend(self.remove(lease, received, &self.batch.id).await);
        }
        let message_ids = own.into_iter().map(|received| received.message_id).collect();
        Some(Arrived { message_ids, status, differences, left, at })
    }

    async fn compare(&self, received: &ReceivedMessage) -> (Option<Status>, Vec<String>) {
        let text = match Pointer::parse(&received.body) {
            None => Ok(received.body.clone()),
            Some(pointer) => self.read_object(&pointer).await,
        };
        match text.and_then(|text| ParsedMessage::parse(&text).map_err(|error| error.to_string())) {
            Ok(message) => (Some(message.head.hydration.status), self.batch.differences(&message)),
            Err(error) => (None, vec![error]),
        }
    }

    async fn read_object(&self, pointer: &Pointer) -> Result<String, String> {
        let place = format!("s3://{}/{}", pointer.bucket, pointer.key);
        let bytes = self.bucket.get(pointer, None).await.map_err(|error| match error {
            GetObjectError::Missing => format!("its object {place} is not there"),
            GetObjectError::Fault(fault) => {
                format!("its object {place} was not read: {}: {}", fault.action, fault.detail)
            }
        })?;
        String::from_utf8(bytes).map_err(|_| format!("its object {place} is not text"))
    }

    /// Looks into the object of a message that calls itself a drill's. Its attributes are not enough to delete that: they
    /// may name a failed batch.
    async fn is_of_drill(&self, received: &ReceivedMessage, id: &str) -> bool {
        let Some(pointer) = Pointer::parse(&received.body) else { return true };
        let first_bytes = match self.bucket.get(&pointer, Some(HEAD_BYTES)).await {
            Ok(bytes) => bytes,
            Err(GetObjectError::Missing) => return true,
            Err(GetObjectError::Fault(_)) => return false,
        };
        let mut message = QueueMessage::parse(received);
        message.set_object(Ok(first_bytes));
        let is_same = |found: HydratedMessage| found.read_error.is_none() && found.is_drill() && found.id == id;
        message.describe().is_ok_and(is_same)
    }

    /// Deletes a message of a drill, and its object in the overflow bucket. Returns what is left of it.
    async fn remove(&self, lease: &Lease<'_, Q>, received: &ReceivedMessage, id: &str) -> Vec<Leftover> {
        let mut left = Vec::new();
        // The name of an object that belongs to the message begins with its id.
        let is_its_own = |pointer: &Pointer| {
            let name = pointer.key.rsplit('/').next().unwrap_or_default();
            name.starts_with(batch_id(id))
        };
        // The object goes first: where a request to stop comes between, the message still names it.
        if let Some(Pointer { bucket, key }) = Pointer::parse(&received.body).filter(is_its_own)
            && let Err(fault) = self.destination.delete(&bucket, &key, None).await
        {
            let place = format!("s3://{bucket}/{key}");
            let what = format!("its object {place} is left: {}: {}", fault.action, fault.detail);
            left.push(Leftover { what, command: format!("aws s3 rm {}", shell_quoted(&place)) });
        }
        if let Err(fault) = lease.delete(&received.message_id).await {
            let what = format!("message {} is left: {}: {}", received.message_id, fault.action, fault.detail);
            let command = format!("dlq discard {id} --execute{}", self.context.location_flags);
            left.push(Leftover { what, command });
        }
        left
    }
}

/// The messages that a pass did not look at, in words.
fn unseen(summary: &ReceiveSummary) -> String {
    let ReceiveSummary { attributes, received, is_cut_short, .. } = summary;
    let not_looked_at =
        if *is_cut_short { attributes.visible.saturating_sub(*received) } else { summary.not_looked_at() };
    let behind = if attributes.is_fifo { "behind others of their group" } else { "not received" };
    let numbers = [(summary.in_flight(), "held by others"), (attributes.delayed, "delayed"), (not_looked_at, behind)];
    let words = numbers.into_iter().filter(|(number, _)| *number > 0);
    words.map(|(number, words)| format!("{} {words}", thousands(number))).collect::<Vec<_>>().join(", ")
}

/// The kinds of messages on the queue, for a drill.
enum FoundKind {
    Own,
    /// An earlier drill has left the message with this id.
    Abandoned(String),
    /// A failed batch, a drill at work, or anything else.
    Other,
}
