//! The hydration of one message: read the range, judge it, compose the hydrated message, send it.

use std::time::{Duration, Instant};

use crate::batch_run::BatchRun;
use crate::error::HydrateError;
use crate::incoming::{IncomingMessage, Unrecognized, recognize_object};
use crate::invocation_record::{FailedBatch, sha256_hex};
use crate::message::body::{DecodedView, OriginalMessage};
use crate::message::{Body, Hydration, Origin, Part};
use crate::object_notification::ObjectLocation;
use crate::ports::{Clock, ObjectReader, Outbox, ReadObjectError, ShardReader};
use crate::read::ReadPacer;
use crate::retry::{CallStats, RetryBackoff};
use crate::sender::{Draft, Sender};
pub use crate::sender::{Sent, Settings};
use crate::sequence_number::SequenceNumber;
use crate::verdict::Verdict;

/// The largest object that is read. An invocation record holds an event of up to 6 MB
/// (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>), escaped as a string within JSON.
pub const MAX_OBJECT_BYTES: usize = 32 * 1024 * 1024;

/// The instants at which to stop. Reading stops first, so that there is time to deliver the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    pub read: Instant,
    pub deliver: Instant,
}

/// The result of a hydration that did not fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HydrationOutcome {
    Hydrated(Hydrated),
    Continued(Continued),
}

/// A batch, or another message on the topic, that was delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hydrated {
    pub id: String,
    pub verdict: Verdict,
    pub origin: Option<Origin>,
    /// Number of event records of the whole range, including those in the parts of earlier invocations.
    pub recovered_records: u64,
    pub sent: Vec<Sent>,
    /// Milliseconds since the batch's first record arrived.
    pub oldest_record_age: Option<i64>,
}

/// A batch of which some parts were delivered. The rest is on the retry queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Continued {
    pub id: String,
    /// The error that stopped this invocation.
    pub cause: HydrateError,
    pub recovered_records: u64,
    pub sent: Vec<Sent>,
}

impl HydrationOutcome {
    pub fn sent(self) -> Vec<Sent> {
        match self {
            Self::Hydrated(hydrated) => hydrated.sent,
            Self::Continued(continued) => continued.sent,
        }
    }
}

/// Hydrates failed batches. All calls to the outside go through its ports.
pub struct Hydrator<R, O, C> {
    pub reader: R,
    pub outbox: O,
    pub clock: C,
    pub settings: Settings,
    pub(crate) pacer: ReadPacer,
}

impl<R, O: Outbox, C: Clock> Hydrator<R, O, C> {
    pub fn new(reader: R, outbox: O, clock: C, settings: Settings) -> Self {
        Self { reader, outbox, clock, settings, pacer: ReadPacer::default() }
    }

    /// The pause before the batch's shard may be read again.
    pub fn pause_before(&self, batch: &FailedBatch) -> Duration {
        self.pacer.pause(batch, self.clock.instant())
    }

    /// Delivers a message that is not about a failed batch. Its text is kept.
    async fn deliver_unrecognized(
        &self,
        message: &Unrecognized,
        deadline: Deadline,
        stats: &mut CallStats,
    ) -> Result<Hydrated, HydrateError> {
        let id = sha256_hex(&message.text);
        let verdict = Verdict::unrecognized(message.object.as_deref(), &message.why);
        let part = Part::default();
        let hydration = Hydration { object: message.object.clone(), ..self.hydration(id.clone(), &verdict, &part) };
        let draft = Draft {
            body: Body::new(OriginalMessage::Unrecognized(&message.text), hydration, &part),
            id: id.clone(),
            batch_id: id.clone(),
            digest: part.digest(),
            status: verdict.status,
            batch: None,
            records: 0,
        };
        let sent = self.sender(deadline).send(draft, stats).await?;
        Ok(Hydrated { id, verdict, origin: None, recovered_records: 0, sent: vec![sent], oldest_record_age: None })
    }

    pub(crate) fn sender(&self, deadline: Deadline) -> Sender<'_, O, C> {
        let deadline = deadline.deliver;
        Sender { outbox: &self.outbox, clock: &self.clock, settings: &self.settings, deadline }
    }

    pub(crate) fn hydration(&self, id: String, verdict: &Verdict, part: &Part) -> Hydration {
        let text = |number: &Option<SequenceNumber>| number.as_ref().map(|number| number.as_str().to_owned());
        Hydration {
            version: 1,
            id,
            status: verdict.status,
            reason: verdict.reason.clone(),
            expected_records: None,
            recovered_records: part.count,
            missing_records: verdict.missing,
            first_sequence_number: text(&part.first),
            last_sequence_number: text(&part.last),
            source: None,
            origin: None,
            object: None,
            hydrated_at: self.clock.now().rfc3339(),
            part: None,
            decoded_view: if self.settings.decoded_view { DecodedView::Included } else { DecodedView::Off },
        }
    }
}

impl<R: ShardReader + ObjectReader, O: Outbox, C: Clock> Hydrator<R, O, C> {
    /// Reads the object that a notification names, and returns the message in it. Any other message is returned as it
    /// is.
    pub async fn open(
        &self,
        message: IncomingMessage,
        deadline: Deadline,
        stats: &mut CallStats,
    ) -> Result<IncomingMessage, HydrateError> {
        match message {
            IncomingMessage::Object(location) => self.open_object(&location, deadline, stats).await,
            message => Ok(message),
        }
    }

    async fn open_object(
        &self,
        location: &ObjectLocation,
        deadline: Deadline,
        stats: &mut CallStats,
    ) -> Result<IncomingMessage, HydrateError> {
        let mut backoff = RetryBackoff::new(&self.clock, deadline.read);
        loop {
            match self.reader.read_object(location, MAX_OBJECT_BYTES).await {
                Ok(content) => return recognize_object(location, &content),
                Err(ReadObjectError::TooLarge) => {
                    let text = format!("{location} has more than {MAX_OBJECT_BYTES} bytes");
                    return Err(HydrateError::ObjectTooLarge(text));
                }
                Err(ReadObjectError::Fault(fault)) => backoff.wait_after(fault, stats).await?,
            }
        }
    }

    /// Reads the batch back and delivers it. After an error, call it again: the same records get the same ids. `stats`
    /// counts the calls, also those of a hydration that fails.
    pub async fn hydrate(
        &self,
        message: &IncomingMessage,
        deadline: Deadline,
        stats: &mut CallStats,
    ) -> Result<HydrationOutcome, HydrateError> {
        match message {
            IncomingMessage::FailedBatch(record) => BatchRun::new(self, record, deadline, stats).execute().await,
            IncomingMessage::Object(location) => {
                let opened = self.open_object(location, deadline, stats).await?;
                // An object is never opened to another object.
                Box::pin(self.hydrate(&opened, deadline, stats)).await
            }
            IncomingMessage::Unrecognized(message) => {
                self.deliver_unrecognized(message, deadline, stats).await.map(HydrationOutcome::Hydrated)
            }
        }
    }
}
