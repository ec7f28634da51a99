//! Ports of the tool: the queue, the bucket, the function, the log and the deployment that the commands work with.
//!
//! The adapters in `aws` implement them on the AWS SDK. `test_support` implements them in memory.

mod deployment;
mod failure_destination;

use std::collections::BTreeMap;
use std::time::Duration;

use hydration::error::Fault;
use hydration::message::parsed::Pointer;
use hydration::timestamp::Timestamp;

use crate::archive::ArchivePlace;
pub use crate::ports::deployment::{
    Deployment, EncryptedFilters, EventRule, EventTarget, Mappings, MetricPoint, Permission, QueueMapping,
    StreamMapping,
};
pub use crate::ports::failure_destination::FailureDestination;

/// A message as SQS returned it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReceivedMessage {
    pub message_id: String,
    pub receipt_handle: String,
    pub body: String,
    /// Message attributes, their values as text.
    pub attributes: BTreeMap<String, String>,
    pub sent_at: Option<Timestamp>,
    /// Number of receives so far, this one included.
    pub receive_count: u32,
}

/// Attributes of a queue. SQS keeps the three counts approximate.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueueAttributes {
    pub arn: String,
    pub visible: u64,
    /// Messages that somebody received and that are not visible again yet.
    pub in_flight: u64,
    pub delayed: u64,
    pub retention: Option<Duration>,
    pub visibility_timeout: Option<Duration>,
    /// Receives after which a message is moved to another queue.
    pub max_receives: Option<u32>,
    /// The KMS key that encrypts it: an id, an ARN or an alias. `None` where it is encrypted with a key of SQS.
    pub kms_key: Option<String>,
    pub is_fifo: bool,
    /// Messages that are not handed out, because their names say that no filter takes them. Only an archive has any.
    pub ruled_out: u64,
}

/// A message that was received: its id, and the latest receipt handle for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    pub message_id: String,
    pub handle: String,
}

#[allow(async_fn_in_trait, reason = "one thread works; no future of ours needs to be Send")]
pub trait Queue {
    /// The archive that is read in place of a queue. Its messages are never hidden from others and never deleted.
    fn archive(&self) -> Option<&ArchivePlace> {
        None
    }

    async fn attributes(&self) -> Result<QueueAttributes, Fault>;

    /// Receives up to ten messages and hides them from others for that time. An empty answer means that every server
    /// was asked and that none is visible.
    async fn receive(&self, visibility_timeout: Duration) -> Result<Vec<ReceivedMessage>, Fault>;

    /// Hides up to ten received messages for that time from now; zero makes them visible. A receipt that has expired is
    /// an error, unless the time is zero.
    async fn change_visibility(&self, receipts: &[Receipt], visibility_timeout: Duration) -> Result<(), Fault>;

    async fn delete(&self, receipt: &Receipt) -> Result<(), Fault>;
}

impl<Q: Queue> Queue for &Q {
    fn archive(&self) -> Option<&ArchivePlace> {
        (**self).archive()
    }

    async fn attributes(&self) -> Result<QueueAttributes, Fault> {
        (**self).attributes().await
    }

    async fn receive(&self, visibility_timeout: Duration) -> Result<Vec<ReceivedMessage>, Fault> {
        (**self).receive(visibility_timeout).await
    }

    async fn change_visibility(&self, receipts: &[Receipt], visibility_timeout: Duration) -> Result<(), Fault> {
        (**self).change_visibility(receipts, visibility_timeout).await
    }

    async fn delete(&self, receipt: &Receipt) -> Result<(), Fault> {
        (**self).delete(receipt).await
    }
}

/// Reasons why an object of the overflow bucket was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GetObjectError {
    /// It is not there: the bucket's lifecycle is shorter than the queue's retention, or somebody deleted it.
    Missing,
    Fault(Fault),
}

#[allow(async_fn_in_trait, reason = "one thread works; no future of ours needs to be Send")]
pub trait Bucket {
    /// Reads the whole object, or its first bytes.
    async fn get(&self, pointer: &Pointer, first_bytes: Option<usize>) -> Result<Vec<u8>, GetObjectError>;

    /// Lists the objects whose keys begin with a prefix, in the order of their keys, a page of them.
    async fn list(&self, request: &ListRequest) -> Result<ListPage, Fault>;
}

/// A page of a bucket's listing to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListRequest {
    pub bucket: String,
    pub prefix: String,
    /// Objects behind the next `/` are not listed: their folders are.
    pub by_folder: bool,
    pub from: ListFrom,
}

/// The beginning of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListFrom {
    First,
    /// The first object behind a key.
    After(String),
    /// The page that an earlier one names.
    Next(String),
}

/// A page of a bucket's listing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListPage {
    pub objects: Vec<ListedObject>,
    /// Folders, each with the prefix before it and a `/` at its end.
    pub folders: Vec<String>,
    /// The name of the next page; `None` on the last one.
    pub next: Option<String>,
}

/// An object as a listing has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedObject {
    pub key: String,
    pub bytes: u64,
    pub last_modified: Option<Timestamp>,
}

/// Outcome of one invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvokeOutcome {
    /// The function returned this payload.
    Returned(Vec<u8>),
    /// The function threw, timed out or ran out of memory.
    Failed { error_type: String, message: String },
    /// Lambda did not run it.
    NotRun(Fault),
    /// The connection broke, or Lambda failed, after the event was sent: the function may have run.
    Unknown(String),
}

/// An invocation with its id, by which the function's log names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invoked {
    pub outcome: InvokeOutcome,
    pub request_id: Option<String>,
}

#[allow(async_fn_in_trait, reason = "one thread works; no future of ours needs to be Send")]
pub trait Function {
    /// Invokes once and waits for the answer. It never repeats a call that may have run the function.
    async fn invoke(&self, function: &str, event: String) -> Invoked;

    /// The whole ARN of a function that is given by its name, perhaps with `:ALIAS`. A function that does not exist is
    /// an error.
    async fn resolve(&self, name: &str) -> Result<String, Fault>;

    /// Invocations that the function may run at the same time: its reserved concurrency, else what the account has
    /// left for functions without one.
    async fn concurrency(&self, function: &str) -> Result<u32, Fault>;

    /// The event source mappings that give the function the records of a stream, or of a consumer of one.
    async fn mappings(&self, function: &str, source: &str) -> Result<Vec<BatchMapping>, Fault>;

    /// An event source mapping by its UUID, in the region of that function.
    async fn mapping(&self, function: &str, uuid: &str) -> Result<BatchMapping, Fault>;
}

/// The settings of an event source mapping that decide which records a batch holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BatchMapping {
    pub uuid: String,
    /// The patterns of its filters. `None` if they are encrypted with a key of the customer's.
    pub patterns: Option<Vec<String>>,
    pub parallelization_factor: Option<i32>,
    pub last_modified: Option<Timestamp>,
    /// The stream, or the consumer of one, by its ARN.
    pub source_arn: Option<String>,
    /// The function that it invokes, by its ARN.
    pub function_arn: Option<String>,
    /// The most records in a batch.
    pub batch_size: Option<i32>,
}

/// A search in a log group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSearch {
    pub group: String,
    pub stream: Option<String>,
    pub pattern: Option<String>,
    pub from: Timestamp,
    pub to: Timestamp,
}

/// A line of a log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogEvent {
    pub timestamp: Option<Timestamp>,
    pub stream: Option<String>,
    pub message: String,
}

/// Lines that a search has found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FoundEvents {
    pub events: Vec<LogEvent>,
    /// The reason why there may be more, where the search did not come to its end.
    pub cut: Option<Fault>,
}

#[allow(async_fn_in_trait, reason = "one thread works; no future of ours needs to be Send")]
pub trait Logs {
    /// The log group that a function's settings name, if they name one.
    async fn log_group(&self, function: &str) -> Result<Option<String>, Fault>;

    async fn filter(&self, search: &LogSearch) -> Result<FoundEvents, Fault>;
}

/// A queue with its name in the hydrator's stack: `hydrated`, `retry` or `parked`.
#[derive(Debug)]
pub struct NamedQueue<Q> {
    pub name: &'static str,
    pub url: String,
    pub queue: Q,
}
