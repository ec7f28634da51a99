//! The last step of a hydration: it sends one message to the queue.
//!
//! The message goes with its view if that fits, else without it. If that does not fit either, the message goes to the
//! overflow bucket and a pointer to the queue. With the archive on, every message is written to the bucket first.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::error::HydrateError;
use crate::invocation_record::FailedBatch;
use crate::json;
use crate::message::{Body, Fifo, OutgoingMessage, attributes, pointer};
use crate::object_key::ObjectName;
use crate::ports::{Clock, Outbox, PutOutcome, SendError};
use crate::retry::{CallStats, RetryBackoff};
use crate::timestamp::Timestamp;
use crate::verdict::Status;

/// The settings of the function, from its environment variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The limit for the bytes of body and attributes. A larger message goes to the overflow bucket.
    pub max_message_bytes: usize,
    pub decoded_view: bool,
    pub overflow_bucket: Option<String>,
    /// Every message but a drill's is written to the overflow bucket before it is sent, as one line. Needs the bucket.
    pub archive: bool,
    /// The queue for the rest of a range that takes longer than one invocation. Without it, every retry starts again.
    pub retry_queue_url: Option<String>,
    /// The queue of hydrated messages is a FIFO queue.
    pub fifo: bool,
    /// The limit for the bytes of each part's event: [`MAX_PART_BYTES`](crate::message::part::MAX_PART_BYTES), or less in
    /// a test.
    pub max_part_bytes: usize,
}

/// A message before it is decided whether it goes with its view, without it, or through the bucket.
pub(crate) struct Draft<'a> {
    pub body: Body<'a>,
    pub id: String,
    /// The id that all parts of a batch share.
    pub batch_id: String,
    /// The digest of the records, as in a part's id.
    pub digest: String,
    pub status: Status,
    pub batch: Option<&'a FailedBatch>,
    pub records: u64,
}

/// A message that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    pub id: String,
    pub status: Status,
    pub recovered_records: u64,
    pub message_id: String,
    /// `s3://bucket/key`, if the message is a pointer.
    pub overflow: Option<String>,
    /// The bytes of the whole body, on the queue or in the bucket.
    pub bytes: usize,
}

enum SendFailure {
    /// The message is larger than the queue's own limit.
    TooLarge(String),
    Error(HydrateError),
}

impl Draft<'_> {
    /// The object's key: the failed function's name, the day of the failure, and the id, digest and status of these
    /// records. A key always has the same content, so no object has to be replaced.
    fn key(&self) -> String {
        let function = match self.batch {
            None => "unrecognized",
            Some(batch) => batch.function_name().unwrap_or("unknown"),
        };
        let day = self.batch.and_then(|batch| batch.timestamp.or(batch.last_arrival)).unwrap_or(Timestamp::EPOCH);
        let Self { batch_id, digest, status, .. } = self;
        ObjectName { batch_id, digest, status: *status }.key(function, day)
    }

    /// A drill is no failure, and leaves nothing behind: it is not archived.
    fn is_drill(&self) -> bool {
        self.batch.is_some_and(FailedBatch::is_drill)
    }

    fn group(&self) -> String {
        let shard = |batch: &FailedBatch| format!("{}/{}", batch.stream.name(), batch.shard_id);
        self.batch.map_or_else(|| "unrecognized".to_owned(), shard)
    }
}

/// A sender to the queues and the bucket that retries transient faults until the deadline.
pub(crate) struct Sender<'a, O, C> {
    pub outbox: &'a O,
    pub clock: &'a C,
    pub settings: &'a Settings,
    pub deadline: Instant,
}

impl<O: Outbox, C: Clock> Sender<'_, O, C> {
    pub(crate) async fn send(&self, draft: Draft<'_>, stats: &mut CallStats) -> Result<Sent, HydrateError> {
        let mut attributes = attributes::attributes(&draft.id, draft.status.as_str(), draft.batch, draft.records);
        let limit = self.settings.max_message_bytes.saturating_sub(attributes::size(&attributes));
        let fifo = self.settings.fifo.then(|| Fifo::new(draft.group(), &draft.id));
        let sent = |message_id, overflow, bytes| Sent {
            id: draft.id.clone(),
            status: draft.status,
            recovered_records: draft.records,
            message_id,
            overflow,
            bytes,
        };

        let archived = match &self.settings.overflow_bucket {
            Some(bucket) if self.settings.archive && !draft.is_drill() => {
                Some(self.put_draft(bucket, &draft, stats).await?)
            }
            _ => None,
        };
        let mut refused = None;
        let forms = if draft.body.has_view() { &[true, false][..] } else { &[false] };
        for &with_view in forms {
            if draft.body.size(with_view) > limit {
                continue;
            }
            let body = draft.body.build(with_view);
            let bytes = body.len();
            let message = OutgoingMessage { body, attributes: attributes.clone(), fifo: fifo.clone() };
            match self.send_message(&message, stats).await {
                Ok(message_id) => return Ok(sent(message_id, None, bytes)),
                Err(SendFailure::Error(error)) => return Err(error),
                // With a bucket, the pointer fits any limit. Without one, the message without its view may fit.
                Err(SendFailure::TooLarge(detail)) => refused = Some(detail),
            }
            if self.settings.overflow_bucket.is_some() {
                break;
            }
        }

        let Some(bucket) = &self.settings.overflow_bucket else {
            let size = draft.body.size(false);
            let why = format!("the message has {size} bytes, the queue takes {limit} beside the attributes");
            return Err(HydrateError::MessageTooLarge(refused.unwrap_or(why)));
        };
        let (key, size) = match archived {
            Some(object) => object,
            None => self.put_draft(bucket, &draft, stats).await?,
        };
        attributes.push(attributes::overflow_size(size));
        let message = OutgoingMessage { body: pointer(bucket, &key), attributes, fifo };
        match self.send_message(&message, stats).await {
            Ok(message_id) => Ok(sent(message_id, Some(format!("s3://{bucket}/{key}")), size)),
            Err(SendFailure::TooLarge(detail)) => Err(HydrateError::RequestRefused(detail)),
            Err(SendFailure::Error(error)) => Err(error),
        }
    }

    /// Writes the whole message, with its view, to the bucket. Returns the object's key and the bytes of the message. It
    /// comes before the message that is sent, so that a pointer always points to an object.
    async fn put_draft(
        &self,
        bucket: &str,
        draft: &Draft<'_>,
        stats: &mut CallStats,
    ) -> Result<(String, usize), HydrateError> {
        let key = draft.key();
        let mut body = draft.body.build(draft.body.has_view()).into_bytes();
        if self.settings.archive {
            json::join_lines(&mut body);
        }
        let body = Bytes::from(body);
        self.put(bucket, &key, &body, stats).await?;
        Ok((key, body.len()))
    }

    async fn send_message(&self, message: &OutgoingMessage, stats: &mut CallStats) -> Result<String, SendFailure> {
        let mut backoff = RetryBackoff::new(self.clock, self.deadline);
        loop {
            match self.outbox.send(message).await {
                Ok(message_id) => return Ok(message_id),
                Err(SendError::Fault(fault)) => backoff.wait_after(fault, stats).await.map_err(SendFailure::Error)?,
                Err(SendError::TooLarge(fault)) => {
                    return Err(SendFailure::TooLarge(format!("{}: {}", fault.action, fault.detail)));
                }
            }
        }
    }

    /// Writes the object. An object that exists under the key has the same content.
    async fn put(&self, bucket: &str, key: &str, body: &Bytes, stats: &mut CallStats) -> Result<(), HydrateError> {
        let mut backoff = RetryBackoff::new(self.clock, self.deadline);
        loop {
            match self.outbox.put(bucket, key, body).await {
                Ok(PutOutcome::Created) => {
                    stats.overflow_bytes += body.len() as u64;
                    return Ok(());
                }
                Ok(PutOutcome::AlreadyExists) => return Ok(()),
                Err(fault) => backoff.wait_after(fault, stats).await?,
            }
        }
    }

    /// Sends the rest of a batch to the retry queue.
    pub(crate) async fn send_to_retry_queue(
        &self,
        queue_url: &str,
        body: &str,
        delay: Duration,
        stats: &mut CallStats,
    ) -> Result<(), HydrateError> {
        let mut backoff = RetryBackoff::new(self.clock, self.deadline);
        loop {
            match self.outbox.send_to_retry_queue(queue_url, body, delay).await {
                Ok(()) => return Ok(()),
                Err(fault) => backoff.wait_after(fault, stats).await?,
            }
        }
    }
}
