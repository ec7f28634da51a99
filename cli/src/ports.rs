//! What the commands ask of the world beside the domain's own ports: a queue to read, a bucket, a function.
//!
//! The adapters in `aws` implement them on the SDK, the tests in memory.

use std::collections::BTreeMap;
use std::time::Duration;

use hydration::error::Fault;
use hydration::message::received::Pointer;
use hydration::timestamp::Timestamp;

/// A message as it was received.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Delivery {
    pub message_id: String,
    pub receipt: String,
    pub body: String,
    /// Message attributes, their values as text.
    pub attributes: BTreeMap<String, String>,
    pub sent: Option<Timestamp>,
    /// How often it was received, this time included.
    pub receives: u32,
}

/// What a queue says of itself. The counts are approximate.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueueFacts {
    pub visible: u64,
    /// Received by somebody and not yet visible again.
    pub in_flight: u64,
    pub delayed: u64,
    pub retention: Option<Duration>,
    /// Receives after which a message is moved to another queue.
    pub max_receives: Option<u32>,
    pub fifo: bool,
}

/// A message held: its id, and the latest receipt for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub message_id: String,
    pub receipt: String,
}

#[allow(async_fn_in_trait, reason = "one thread works; no future of ours needs to be Send")]
pub trait Queue {
    async fn describe(&self) -> Result<QueueFacts, Fault>;

    /// Up to ten messages, hidden from others for so long. None: every server was asked, and none is visible.
    async fn receive(&self, hide: Duration) -> Result<Vec<Delivery>, Fault>;

    /// Hides up to ten held messages for so long from now; zero shows them again. What is no longer held is passed over.
    async fn hide(&self, held: &[Held], hide: Duration) -> Result<(), Fault>;

    async fn delete(&self, held: &Held) -> Result<(), Fault>;
}

/// Why an object of the overflow bucket was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotFetched {
    /// It is not there: its lifecycle was shorter than the queue's, or somebody deleted it.
    Missing,
    Fault(Fault),
}

#[allow(async_fn_in_trait, reason = "one thread works; no future of ours needs to be Send")]
pub trait Bucket {
    /// The object, or its first bytes.
    async fn get(&self, pointer: &Pointer, first: Option<usize>) -> Result<Vec<u8>, NotFetched>;
}

/// What became of an invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invoked {
    /// The function returned; this is its answer.
    Answered(Vec<u8>),
    /// The function threw, timed out or ran out of memory, in its own words.
    Failed { kind: String, message: String },
    /// Lambda did not run it.
    NotRun(Fault),
    /// Nobody knows: the connection broke, or Lambda failed, after the event was on its way.
    Unknown(String),
}

#[allow(async_fn_in_trait, reason = "one thread works; no future of ours needs to be Send")]
pub trait Function {
    /// Invokes once and waits for the answer. Never repeats by itself what may have run.
    async fn invoke(&self, function: &str, event: String) -> Invoked;
}
