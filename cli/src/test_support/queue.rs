//! A queue in memory: visibility timeouts, delays, receive counts, and the message groups of a FIFO queue.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hydration::error::{Fault, FaultKind};
use hydration::ports::Clock;
use hydration::timestamp::Timestamp;

use crate::ports::{Queue, QueueAttributes, Receipt, ReceivedMessage};
use crate::test_support::clock::YieldingClock;

/// Messages that SQS returns at most for one receive.
const MAX_RECEIVED: usize = 10;

#[derive(Debug, Clone)]
struct StoredMessage {
    id: String,
    body: String,
    attributes: BTreeMap<String, String>,
    group: Option<String>,
    sent_at: Timestamp,
    /// The time from which on it can be received.
    visible_at: Timestamp,
    is_delayed: bool,
    receive_count: u32,
}

/// Numbers of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub visible: u64,
    pub in_flight: u64,
    pub delayed: u64,
}

#[derive(Debug, Default)]
pub struct InMemoryQueue {
    clock: YieldingClock,
    messages: RefCell<Vec<StoredMessage>>,
    next_id: Cell<u32>,
    largest_batch: Cell<usize>,
    attributes: QueueAttributes,
    /// The calls that fail from now on, by the action's name.
    failing: RefCell<BTreeSet<&'static str>>,
    /// The calls that never answer from now on, by the action's name.
    hanging: RefCell<BTreeSet<&'static str>>,
    /// Deletions that succeed before all others are refused.
    max_deletions: Cell<Option<u32>>,
    /// Messages in flight from which on SQS gives no more.
    max_in_flight: Cell<Option<(u64, AtLimit)>>,
    /// No message is ever hidden.
    pub is_always_visible: Cell<bool>,
    /// A message that is made visible comes behind all others.
    pub puts_released_last: Cell<bool>,
    /// The time for which another client takes the first message, after the next look at the attributes.
    taken_after_look: Cell<Option<Duration>>,
    /// Messages that one receive returns; ten unless fewer were set.
    max_received: Cell<Option<usize>>,
}

/// The answer to a receive call while too many messages are in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtLimit {
    /// The error of a call that does not wait.
    OverLimit,
    /// No message, as for a call that waits.
    Nothing,
}

/// A message to send.
#[derive(Debug, Clone, Default)]
pub struct NewMessage {
    pub body: String,
    pub attributes: BTreeMap<String, String>,
    pub group: Option<String>,
    pub delay: Duration,
}

impl From<String> for NewMessage {
    fn from(body: String) -> Self {
        Self { body, ..Self::default() }
    }
}

impl InMemoryQueue {
    pub fn new(clock: YieldingClock, attributes: QueueAttributes) -> Self {
        Self { clock, attributes, ..Self::default() }
    }

    /// Puts a message on the queue and returns its id: `m0`, `m1` and so on.
    pub fn send(&self, message: impl Into<NewMessage>) -> String {
        let id = format!("m{}", self.next_id.replace(self.next_id.get() + 1));
        self.send_with_id(id, message)
    }

    /// Puts a message on the queue with an id, for a command line that names it as SQS does.
    pub fn send_with_id(&self, id: impl Into<String>, message: impl Into<NewMessage>) -> String {
        let (id, message) = (id.into(), message.into());
        let now = self.clock.now();
        self.messages.borrow_mut().push(StoredMessage {
            id: id.clone(),
            body: message.body,
            attributes: message.attributes,
            group: message.group,
            sent_at: now,
            visible_at: after(now, message.delay),
            is_delayed: !message.delay.is_zero(),
            receive_count: 0,
        });
        id
    }

    /// Makes every later call of the action fail, `sqs:DeleteMessage` for example.
    pub fn fail(&self, action: &'static str) {
        self.failing.borrow_mut().insert(action);
    }

    /// Lets every later call of the action wait for ever.
    pub fn hang(&self, action: &'static str) {
        self.hanging.borrow_mut().insert(action);
    }

    /// Refuses all deletions after the next few.
    pub fn refuse_after(&self, deletions: u32) {
        self.max_deletions.set(Some(deletions));
    }

    /// Gives no message while this many are in flight.
    pub fn limit_in_flight(&self, messages: u64, answer: AtLimit) {
        self.max_in_flight.set(Some((messages, answer)));
    }

    /// Lets another client receive the first message right after the next look at the attributes.
    pub fn take_after_look(&self, hidden: Duration) {
        self.taken_after_look.set(Some(hidden));
    }

    /// Returns that many messages for one receive at most.
    pub fn limit_received(&self, messages: usize) {
        self.max_received.set(Some(messages));
    }

    pub fn counts(&self) -> Counts {
        let now = self.clock.now();
        let count = |is_counted: &dyn Fn(&StoredMessage) -> bool| {
            self.messages.borrow().iter().filter(|message| is_counted(message)).count() as u64
        };
        Counts {
            visible: count(&|message| message.visible_at <= now),
            in_flight: count(&|message| message.visible_at > now && !message.is_delayed),
            delayed: count(&|message| message.visible_at > now && message.is_delayed),
        }
    }

    /// The number of receives of all messages that are still on the queue.
    pub fn receives(&self) -> u32 {
        self.messages.borrow().iter().map(|message| message.receive_count).sum()
    }

    /// The number of messages in the largest batch call.
    pub fn largest_batch(&self) -> usize {
        self.largest_batch.get()
    }

    async fn check(&self, action: &'static str) -> Result<(), Fault> {
        if self.hanging.borrow().contains(action) {
            std::future::pending::<()>().await;
        }
        if self.failing.borrow().contains(action) {
            return Err(Fault { kind: FaultKind::AccessDenied, action, detail: "AccessDenied: no".to_owned() });
        }
        Ok(())
    }
}

fn after(time: Timestamp, duration: Duration) -> Timestamp {
    time.plus_millis(i64::try_from(duration.as_millis()).unwrap())
}

/// A receipt handle that is no longer valid once the message was received again.
fn handle(message: &StoredMessage) -> String {
    format!("{}#{}", message.id, message.receive_count)
}

impl Queue for InMemoryQueue {
    async fn attributes(&self) -> Result<QueueAttributes, Fault> {
        self.check("sqs:GetQueueAttributes").await?;
        let Counts { visible, in_flight, delayed } = self.counts();
        let arn = match self.attributes.arn.as_str() {
            "" => "arn:aws:sqs:us-east-1:123456789012:hydrated".to_owned(),
            arn => arn.to_owned(),
        };
        if let Some(hidden) = self.taken_after_look.take()
            && let Some(first) = self.messages.borrow_mut().first_mut()
        {
            first.visible_at = after(self.clock.now(), hidden);
            first.receive_count += 1;
        }
        Ok(QueueAttributes { arn, visible, in_flight, delayed, ..self.attributes.clone() })
    }

    async fn receive(&self, visibility_timeout: Duration) -> Result<Vec<ReceivedMessage>, Fault> {
        self.check("sqs:ReceiveMessage").await?;
        if let Some((max, answer)) = self.max_in_flight.get()
            && self.counts().in_flight >= max
        {
            if answer == AtLimit::Nothing {
                return Ok(Vec::new());
            }
            let detail = "OverLimit (HTTP 403): too many messages are in flight".to_owned();
            return Err(Fault { kind: FaultKind::Throttled, action: "sqs:ReceiveMessage", detail });
        }
        let now = self.clock.now();
        let mut messages = self.messages.borrow_mut();
        if let Some(max) = self.attributes.max_receives {
            messages.retain(|message| message.visible_at > now || message.receive_count < max);
        }
        // A FIFO queue holds back a group while one of its messages is in flight.
        let groups_in_flight: BTreeSet<String> =
            messages.iter().filter(|message| message.visible_at > now).filter_map(|m| m.group.clone()).collect();
        let can_receive = |message: &&mut StoredMessage| {
            let is_held_back = message.group.as_ref().is_some_and(|group| groups_in_flight.contains(group));
            message.visible_at <= now && !is_held_back
        };
        let received = messages
            .iter_mut()
            .filter(can_receive)
            .take(self.max_received.get().unwrap_or(MAX_RECEIVED))
            .map(|message| {
                message.receive_count += 1;
                message.visible_at = if self.is_always_visible.get() { now } else { after(now, visibility_timeout) };
                message.is_delayed = false;
                ReceivedMessage {
                    message_id: message.id.clone(),
                    receipt_handle: handle(message),
                    body: message.body.clone(),
                    attributes: message.attributes.clone(),
                    sent_at: Some(message.sent_at),
                    receive_count: message.receive_count,
                }
            });
        Ok(received.collect())
    }

    async fn change_visibility(&self, receipts: &[Receipt], visibility_timeout: Duration) -> Result<(), Fault> {
        self.check("sqs:ChangeMessageVisibility").await?;
        self.largest_batch.set(self.largest_batch.get().max(receipts.len()));
        let now = self.clock.now();
        for message in self.messages.borrow_mut().iter_mut() {
            if receipts.iter().any(|receipt| receipt.handle == handle(message)) {
                message.visible_at = after(now, visibility_timeout);
            }
        }
        if self.puts_released_last.get() && visibility_timeout.is_zero() {
            let is_released =
                |message: &StoredMessage| receipts.iter().any(|receipt| receipt.handle == handle(message));
            self.messages.borrow_mut().sort_by_key(is_released);
        }
        let messages = self.messages.borrow();
        let is_known = |receipt: &Receipt| messages.iter().any(|message| receipt.handle == handle(message));
        if visibility_timeout.is_zero() || receipts.iter().all(is_known) {
            return Ok(());
        }
        let detail = "ReceiptHandleIsInvalid: it has expired".to_owned();
        Err(Fault { kind: FaultKind::Refused, action: "sqs:ChangeMessageVisibility", detail })
    }

    async fn delete(&self, receipt: &Receipt) -> Result<(), Fault> {
        self.check("sqs:DeleteMessage").await?;
        match self.max_deletions.get() {
            Some(0) => {
                let detail = "AccessDenied: no".to_owned();
                return Err(Fault { kind: FaultKind::AccessDenied, action: "sqs:DeleteMessage", detail });
            }
            left => self.max_deletions.set(left.map(|left| left - 1)),
        }
        self.messages.borrow_mut().retain(|message| handle(message) != receipt.handle);
        Ok(())
    }
}
