//! One failed batch, from its range to the message: range → walk → verdict → compose → send.

use std::time::{Duration, Instant};

use crate::batch_run::BatchRun;
use crate::error::HydrateError;
use crate::intake::{Intake, Unrecognized};
use crate::invocation_record::{FailedBatch, sha256_hex};
use crate::message::body::{DecodedView, Subject};
use crate::message::{Body, Hydration, Origin, Part};
use crate::ports::{Clock, Outbox, ShardReader};
use crate::read::ReadPacer;
use crate::retry::Tally;
use crate::sender::{Draft, Sender};
pub use crate::sender::{Sent, Settings};
use crate::sequence_number::SequenceNumber;
use crate::verdict::Verdict;

/// The instants at which to stop: reading first, so that what was read can still be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    pub read: Instant,
    pub deliver: Instant,
}

/// The result of a hydration that did not fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Hydrated(Hydrated),
    Continued(Continued),
}

/// A batch, or another message on the topic, that was delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hydrated {
    pub id: String,
    pub verdict: Verdict,
    pub origin: Option<Origin>,
    /// Event records of the whole range, those in the parts of earlier invocations included.
    pub recovered_records: u64,
    pub sent: Vec<Sent>,
    /// Milliseconds since the batch's first record arrived.
    pub oldest_record_age: Option<i64>,
}

/// A batch of which this invocation delivered some parts. The retry queue holds the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Continued {
    pub id: String,
    /// The reason why the invocation did not go on.
    pub cause: HydrateError,
    pub recovered_records: u64,
    pub sent: Vec<Sent>,
}

impl Outcome {
    pub fn sent(self) -> Vec<Sent> {
        match self {
            Self::Hydrated(hydrated) => hydrated.sent,
            Self::Continued(continued) => continued.sent,
        }
    }
}

/// Hydrates failed batches, through ports.
pub struct Hydrator<R, O, C> {
    pub reader: R,
    pub outbox: O,
    pub clock: C,
    pub settings: Settings,
    pub(crate) pacer: ReadPacer,
}

impl<R: ShardReader, O: Outbox, C: Clock> Hydrator<R, O, C> {
    pub fn new(reader: R, outbox: O, clock: C, settings: Settings) -> Self {
        Self { reader, outbox, clock, settings, pacer: ReadPacer::default() }
    }

    /// Reads the batch back and delivers it. After an error the whole is to be tried again: the ids make the
    /// repetition harmless. `tally` counts the calls, either way.
    pub async fn hydrate(
        &self,
        intake: &Intake,
        deadline: Deadline,
        tally: &mut Tally,
    ) -> Result<Outcome, HydrateError> {
        match intake {
            Intake::Unrecognized(message) => {
                self.deliver_unrecognized(message, deadline, tally).await.map(Outcome::Hydrated)
            }
            Intake::Batch(record) => BatchRun::new(self, record, deadline, tally).execute().await,
        }
    }

    /// The time that the batch's shard is still to be left to its other readers.
    pub fn pause_before(&self, batch: &FailedBatch) -> Duration {
        self.pacer.pause(batch, self.clock.instant())
    }

    /// Delivers a message that is no stream failure as it came.
    async fn deliver_unrecognized(
        &self,
        message: &Unrecognized,
        deadline: Deadline,
        tally: &mut Tally,
    ) -> Result<Hydrated, HydrateError> {
        let id = sha256_hex(&message.text);
        let verdict = Verdict::unrecognized(&message.why);
        let part = Part::default();
        let hydration = self.hydration(id.clone(), &verdict, &part);
        let draft = Draft {
            body: Body::new(Subject::Unrecognized(&message.text), hydration, &part),
            id: id.clone(),
            batch_id: id.clone(),
            digest: part.digest(),
            status: verdict.status,
            batch: None,
            records: 0,
        };
        let sent = self.sender(deadline).send(draft, tally).await?;
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
            hydrated_at: self.clock.now().rfc3339(),
            part: None,
            decoded_view: if self.settings.decoded_view { DecodedView::Included } else { DecodedView::Off },
        }
    }
}
