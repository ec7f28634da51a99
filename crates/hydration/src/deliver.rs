//! Delivery of one composed message: inline if it fits, without its view if that helps, else through the bucket.

use bytes::Bytes;

use crate::error::HydrateError;
use crate::invocation_record::FailedBatch;
use crate::message::{Body, Fifo, Message, attributes, pointer};
use crate::ports::{Clock, Outbox, SendError};
use crate::retry::{Attempts, Tally};
use crate::timestamp::Timestamp;
use crate::verdict::Status;

/// What the environment decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Bytes of body and attributes above which a message goes to the overflow bucket.
    pub max_message_bytes: usize,
    pub decoded_view: bool,
    pub overflow_bucket: Option<String>,
    /// Whether the queue is a FIFO queue.
    pub fifo: bool,
}

/// A message about to be delivered, its form not yet decided.
pub(crate) struct Letter<'a> {
    pub body: Body<'a>,
    pub id: String,
    pub status: Status,
    pub batch: Option<&'a FailedBatch>,
    pub records: u64,
    /// Whether an earlier object of the same id may be overwritten.
    pub replaces: bool,
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

impl Letter<'_> {
    /// Where the message lies if it does not fit: the failed function's name, and the day of the failure rather than
    /// of the hydration, so that a repetition overwrites itself.
    fn key(&self, suffix: &str) -> String {
        let name: String = match self.batch {
            None => "unrecognized".to_owned(),
            Some(batch) => batch.function_name().unwrap_or("unknown").chars().map(key_safe).collect(),
        };
        let day = self.batch.and_then(|batch| batch.timestamp.or(batch.last_arrival)).unwrap_or(Timestamp::EPOCH);
        format!("hydrated/{name}/{}/{}{suffix}.json", day.date_path(), self.id)
    }

    fn group(&self) -> String {
        let shard = |batch: &FailedBatch| format!("{}/{}", batch.stream.name(), batch.shard_id);
        self.batch.map_or_else(|| "unrecognized".to_owned(), shard)
    }
}

fn key_safe(c: char) -> char {
    if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' }
}

/// Where messages go, and until when.
pub(crate) struct Delivery<'a, O, C> {
    pub outbox: &'a O,
    pub clock: &'a C,
    pub settings: &'a Settings,
    pub deadline: Timestamp,
}

impl<O: Outbox, C: Clock> Delivery<'_, O, C> {
    pub(crate) async fn deliver(&self, letter: Letter<'_>, tally: &mut Tally) -> Result<Sent, HydrateError> {
        let mut attributes = attributes::attributes(&letter.id, letter.status.as_str(), letter.batch, letter.records);
        let limit = self.settings.max_message_bytes.saturating_sub(attributes::size(&attributes));
        let fifo = self.settings.fifo.then(|| Fifo::new(letter.group(), &letter.id));
        let sent = |message_id, overflow, bytes| Sent {
            id: letter.id.clone(),
            status: letter.status,
            recovered_records: letter.records,
            message_id,
            overflow,
            bytes,
        };

        let mut refused = None;
        let forms = if letter.body.has_view() { &[true, false][..] } else { &[false] };
        for &with_view in forms {
            if letter.body.size(with_view) > limit {
                continue;
            }
            let body = letter.body.build(with_view);
            let bytes = body.len();
            let message = Message { body, attributes: attributes.clone(), fifo: fifo.clone() };
            match self.send(&message, tally).await {
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
            let size = letter.body.size(false);
            let why = format!("the message has {size} bytes, the queue takes {limit} beside the attributes");
            return Err(HydrateError::MessageTooLarge(refused.unwrap_or(why)));
        };
        let mut key = letter.key("");
        let whole = Bytes::from(letter.body.build(letter.body.has_view()));
        // The object before the pointer: a pointer to nothing would be worse than no message.
        if !self.put(bucket, &key, &whole, letter.replaces, tally).await? {
            key = letter.key(&format!("-{}-records", letter.records));
            self.put(bucket, &key, &whole, true, tally).await?;
        }
        attributes.push(attributes::overflow_size(whole.len()));
        let message = Message { body: pointer(bucket, &key), attributes, fifo };
        match self.send(&message, tally).await {
            Ok(message_id) => Ok(sent(message_id, Some(format!("s3://{bucket}/{key}")), whole.len())),
            Err(SendFailure::TooLarge(detail)) => Err(HydrateError::RequestRefused(detail)),
            Err(SendFailure::Error(error)) => Err(error),
        }
    }

    async fn send(&self, message: &Message, tally: &mut Tally) -> Result<String, SendFailure> {
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

    async fn put(
        &self,
        bucket: &str,
        key: &str,
        body: &Bytes,
        replace: bool,
        tally: &mut Tally,
    ) -> Result<bool, HydrateError> {
        let mut attempts = Attempts::new(self.clock, self.deadline);
        loop {
            match self.outbox.put(bucket, key, body, replace).await {
                Ok(written) => {
                    tally.overflow_bytes += if written { body.len() as u64 } else { 0 };
                    return Ok(written);
                }
                Err(fault) => attempts.after(fault, tally).await?,
            }
        }
    }
}
