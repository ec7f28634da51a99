//! The last step of a hydration: one message to the queue, inline if it fits, without its view if that helps, else
//! through the bucket.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::error::HydrateError;
use crate::invocation_record::FailedBatch;
use crate::message::{Body, Fifo, Message, attributes, pointer};
use crate::ports::{Clock, Outbox, PutOutcome, SendError};
use crate::retry::{Attempts, Tally};
use crate::timestamp::Timestamp;
use crate::verdict::Status;

/// The settings that the environment decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Bytes of body and attributes above which a message goes to the overflow bucket.
    pub max_message_bytes: usize,
    pub decoded_view: bool,
    pub overflow_bucket: Option<String>,
    /// The queue that takes the rest of a range longer than an invocation; without it every try starts over.
    pub retry_queue_url: Option<String>,
    /// The queue of hydrated messages is a FIFO queue.
    pub fifo: bool,
    /// Bytes below which the event of each part stays: [`MAX_PART_BYTES`](crate::message::part::MAX_PART_BYTES), or
    /// less in a test.
    pub max_part_bytes: usize,
}

/// A message about to be sent, its form not yet decided.
pub(crate) struct Draft<'a> {
    pub body: Body<'a>,
    pub id: String,
    /// The id that all parts of a batch share.
    pub batch_id: String,
    /// Names the records, as in a part's id.
    pub digest: String,
    pub status: Status,
    pub batch: Option<&'a FailedBatch>,
    pub records: u64,
}

/// One message that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    pub id: String,
    pub status: Status,
    pub recovered_records: u64,
    pub message_id: String,
    /// `s3://bucket/key`, where the message itself is a pointer.
    pub overflow: Option<String>,
    /// Bytes of the whole body, wherever it went.
    pub bytes: usize,
}

enum SendFailure {
    /// The queue's own limit is lower than the configured one.
    TooLarge(String),
    Error(HydrateError),
}

impl Draft<'_> {
    /// The object's key: the failed function's name, the day of the failure, and a name for exactly these records with
    /// this status. What is written under a key is always the same, so no object has to be replaced.
    fn key(&self) -> String {
        let name: String = match self.batch {
            None => "unrecognized".to_owned(),
            Some(batch) => batch.function_name().unwrap_or("unknown").chars().map(key_safe).collect(),
        };
        let day = self.batch.and_then(|batch| batch.timestamp.or(batch.last_arrival)).unwrap_or(Timestamp::EPOCH);
        let Self { batch_id, digest, .. } = self;
        format!("hydrated/{name}/{}/{batch_id}-{digest}-{}.json", day.date_path(), self.status.as_str())
    }

    fn group(&self) -> String {
        let shard = |batch: &FailedBatch| format!("{}/{}", batch.stream.name(), batch.shard_id);
        self.batch.map_or_else(|| "unrecognized".to_owned(), shard)
    }
}

fn key_safe(c: char) -> char {
    if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' }
}

/// The queues and the bucket, and the instant until which they may be tried.
pub(crate) struct Sender<'a, O, C> {
    pub outbox: &'a O,
    pub clock: &'a C,
    pub settings: &'a Settings,
    pub deadline: Instant,
}

impl<O: Outbox, C: Clock> Sender<'_, O, C> {
    pub(crate) async fn send(&self, draft: Draft<'_>, tally: &mut Tally) -> Result<Sent, HydrateError> {
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

        let mut refused = None;
        let forms = if draft.body.has_view() { &[true, false][..] } else { &[false] };
        for &with_view in forms {
            if draft.body.size(with_view) > limit {
                continue;
            }
            let body = draft.body.build(with_view);
            let bytes = body.len();
            let message = Message { body, attributes: attributes.clone(), fifo: fifo.clone() };
            match self.send_message(&message, tally).await {
                Ok(message_id) => return Ok(sent(message_id, None, bytes)),
                Err(SendFailure::Error(error)) => return Err(error),
                // The pointer will pass, whatever the queue's limit; without a bucket, the message without its view may.
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
        let key = draft.key();
        let whole = Bytes::from(draft.body.build(draft.body.has_view()));
        // The object before the pointer: a pointer to nothing would be worse than no message.
        self.put(bucket, &key, &whole, tally).await?;
        attributes.push(attributes::overflow_size(whole.len()));
        let message = Message { body: pointer(bucket, &key), attributes, fifo };
        match self.send_message(&message, tally).await {
            Ok(message_id) => Ok(sent(message_id, Some(format!("s3://{bucket}/{key}")), whole.len())),
            Err(SendFailure::TooLarge(detail)) => Err(HydrateError::RequestRefused(detail)),
            Err(SendFailure::Error(error)) => Err(error),
        }
    }

    async fn send_message(&self, message: &Message, tally: &mut Tally) -> Result<String, SendFailure> {
        let mut attempts = Attempts::new(self.clock, self.deadline);
        loop {
            match self.outbox.send(message).await {
                Ok(message_id) => return Ok(message_id),
                Err(SendError::Fault(fault)) => attempts.after(fault, tally).await.map_err(SendFailure::Error)?,
                Err(SendError::TooLarge(fault)) => {
                    return Err(SendFailure::TooLarge(format!("{}: {}", fault.action, fault.detail)));
                }
            }
        }
    }

    /// Writes the object. One that exists already is what was to be written: its key names its records.
    async fn put(&self, bucket: &str, key: &str, body: &Bytes, tally: &mut Tally) -> Result<(), HydrateError> {
        let mut attempts = Attempts::new(self.clock, self.deadline);
        loop {
            match self.outbox.put(bucket, key, body).await {
                Ok(PutOutcome::Created) => {
                    tally.overflow_bytes += body.len() as u64;
                    return Ok(());
                }
                Ok(PutOutcome::AlreadyExists) => return Ok(()),
                Err(fault) => attempts.after(fault, tally).await?,
            }
        }
    }

    /// Sends the rest of a batch to the retry queue.
    pub(crate) async fn send_to_retry_queue(
        &self,
        queue_url: &str,
        body: &str,
        delay: Duration,
        tally: &mut Tally,
    ) -> Result<(), HydrateError> {
        let mut attempts = Attempts::new(self.clock, self.deadline);
        loop {
            match self.outbox.send_to_retry_queue(queue_url, body, delay).await {
                Ok(()) => return Ok(()),
                Err(fault) => attempts.after(fault, tally).await?,
            }
        }
    }
}
