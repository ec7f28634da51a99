//! Interfaces to everything outside the domain: shards, queues, the bucket, the clock.
//!
//! `hydration-aws` implements them with the AWS SDK. The tests implement them in memory.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::arn::StreamArn;
use crate::error::Fault;
use crate::message::OutgoingMessage;
use crate::object_notification::ObjectLocation;
use crate::record::StreamRecord;
use crate::sequence_number::SequenceNumber;
use crate::timestamp::Timestamp;

/// A start position in a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position {
    /// `AT_SEQUENCE_NUMBER`, inclusive.
    At(SequenceNumber),
    /// `AFTER_SEQUENCE_NUMBER`, exclusive.
    After(SequenceNumber),
    /// `AT_TIMESTAMP`; Kinesis only.
    AtTimestamp(Timestamp),
    TrimHorizon,
}

/// The service's opaque token for a position in a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardIterator(pub String);

/// The result of one `GetRecords` call.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    pub records: Vec<StreamRecord>,
    /// `None` when the shard is closed and this page is its last.
    pub next: Option<ShardIterator>,
    /// Milliseconds between this page and the tip of the shard. Kinesis only.
    pub millis_behind_latest: Option<u64>,
    /// Bytes of record data in the page, as the service counts them against its quota. An estimate is enough.
    pub bytes: u64,
}

/// A service error that says something about the shard or the position, and is no reason to retry the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// The iterator is older than 5 minutes (Kinesis,
    /// <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetShardIterator.html>) or 15 minutes (DynamoDB,
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_GetShardIterator.html>).
    ExpiredIterator,
    /// The records at the position were trimmed. DynamoDB only.
    Trimmed,
    /// The sequence number or the iterator does not belong to this shard, or no longer does. Kinesis only.
    InvalidArgument,
    /// The stream or the shard does not exist.
    NotFound,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadError {
    Rejected(Rejection),
    Fault(Fault),
}

/// Read access to the shards of streams.
#[allow(async_fn_in_trait, reason = "the function is single-threaded: no future has to be Send")]
pub trait ShardReader {
    async fn iterator(
        &self,
        stream: &StreamArn,
        shard_id: &str,
        position: &Position,
    ) -> Result<ShardIterator, ReadError>;

    /// Reads at most `limit` records; `limit` is within the service's cap.
    async fn page(&self, stream: &StreamArn, iterator: &ShardIterator, limit: u32) -> Result<Page, ReadError>;
}

/// A shard of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamShard {
    pub id: String,
    /// The shards that it came from: one after a split, two after a merge. They may be gone.
    pub parents: Vec<String>,
}

/// A reader of facts about a whole stream.
#[allow(async_fn_in_trait, reason = "the function is single-threaded: no future has to be Send")]
pub trait StreamReader {
    /// The shards that may hold records that arrived at that time or later, closed ones included.
    async fn shards(&self, stream: &StreamArn, since: Timestamp) -> Result<Vec<StreamShard>, Fault>;

    /// The time for which the stream keeps its records.
    async fn retention(&self, stream: &StreamArn) -> Result<Duration, Fault>;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadObjectError {
    /// The object has more bytes than the caller takes. Not all of them were read.
    TooLarge,
    Fault(Fault),
}

/// Read access to the objects that notifications name.
#[allow(async_fn_in_trait, reason = "the function is single-threaded: no future has to be Send")]
pub trait ObjectReader {
    /// Reads a whole object of at most `max_bytes`.
    async fn read_object(&self, object: &ObjectLocation, max_bytes: usize) -> Result<Vec<u8>, ReadObjectError>;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendError {
    /// The message is larger than the queue's own limit.
    TooLarge(Fault),
    Fault(Fault),
}

/// The result of a conditional write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutOutcome {
    Created,
    /// An object with that key exists. It was not changed.
    AlreadyExists,
}

/// The queue of hydrated messages, the bucket for those that do not fit, and the retry queue.
#[allow(async_fn_in_trait, reason = "the function is single-threaded: no future has to be Send")]
pub trait Outbox {
    /// Sends a hydrated message and returns the queue's message id.
    async fn send(&self, message: &OutgoingMessage) -> Result<String, SendError>;

    /// Writes an object unless one with that key exists: `If-None-Match: *`
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>).
    async fn put(&self, bucket: &str, key: &str, body: &Bytes) -> Result<PutOutcome, Fault>;

    /// Sends the rest of a batch to the retry queue. It becomes visible after `delay`.
    async fn send_to_retry_queue(&self, queue_url: &str, body: &str, delay: Duration) -> Result<(), Fault>;
}

/// The time, and random numbers.
#[allow(async_fn_in_trait, reason = "the function is single-threaded: no future has to be Send")]
pub trait Clock {
    /// The time of day. It may step backwards, so only ages are computed from it, never pauses or deadlines.
    fn now(&self) -> Timestamp;

    /// The monotonic time, for pauses and deadlines.
    fn instant(&self) -> Instant;

    async fn sleep(&self, duration: Duration);

    /// A random number in `[0, 1)`, to spread retries.
    fn jitter(&self) -> f64;
}
