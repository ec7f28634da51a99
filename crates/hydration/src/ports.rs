//! What the domain asks of the world: read a page, put an object, send a message, tell the time.
//!
//! One adapter implements these on the AWS SDK; the tests implement them on a model of a shard.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::arn::StreamArn;
use crate::error::Fault;
use crate::message::Message;
use crate::record::StreamRecord;
use crate::sequence_number::SequenceNumber;
use crate::timestamp::Timestamp;

/// Where in a shard to start reading.
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

/// What one `GetRecords` call returned.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    pub records: Vec<StreamRecord>,
    /// `None`: the shard is closed and this was its end.
    pub next: Option<ShardIterator>,
    /// How far behind the tip this page is; Kinesis only.
    pub millis_behind_latest: Option<u64>,
    /// Bytes of record data in the page, as the service counts them against its quota: an estimate serves.
    pub bytes: u64,
}

/// An answer that tells the walk something about the shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The iterator is older than 5 minutes (Kinesis) or 15 minutes (DynamoDB).
    ExpiredIterator,
    /// DynamoDB: the position has been trimmed.
    Trimmed,
    /// Kinesis: the sequence number or the iterator is not of this shard, or no longer.
    InvalidArgument,
    /// The stream or the shard does not exist.
    NotFound,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadError {
    Refusal(Refusal),
    Fault(Fault),
}

/// The shards of a stream, read.
#[allow(async_fn_in_trait, reason = "one thread hydrates; no future of ours needs to be Send")]
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

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendError {
    /// The queue's own limit is lower than the message.
    TooLarge(Fault),
    Fault(Fault),
}

/// The result of a conditional write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutOutcome {
    Created,
    /// There is an object of that key. It was left as it is.
    AlreadyExists,
}

/// The queue of hydrated messages, the bucket for those that do not fit, and the retry queue.
#[allow(async_fn_in_trait, reason = "one thread hydrates; no future of ours needs to be Send")]
pub trait Outbox {
    /// Sends a hydrated message and returns the queue's message id.
    async fn send(&self, message: &Message) -> Result<String, SendError>;

    /// Writes an object where there is none of that key: `If-None-Match: *`
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>).
    async fn put(&self, bucket: &str, key: &str, body: &Bytes) -> Result<PutOutcome, Fault>;

    /// Sends the rest of a batch to the retry queue, to be received after `delay`.
    async fn send_to_retry_queue(&self, queue_url: &str, body: &str, delay: Duration) -> Result<(), Fault>;
}

/// Time, and chance.
#[allow(async_fn_in_trait, reason = "one thread hydrates; no future of ours needs to be Send")]
pub trait Clock {
    /// The time of day, which may step backwards. Ages are computed from it, never pauses or deadlines.
    fn now(&self) -> Timestamp;

    /// The time that never steps backwards, for pauses and deadlines.
    fn instant(&self) -> Instant;

    async fn sleep(&self, duration: Duration);

    /// A number in `[0, 1)`, to spread retries.
    fn jitter(&self) -> f64;
}
