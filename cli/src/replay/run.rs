//! Runs a plan: shards side by side, each in its order, and every step on record before the next.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use anyhow::Result;
use futures_util::stream::{self, StreamExt};
use hydration::error::FaultKind;
use hydration::message::part::MAX_EVENT_BYTES;
use hydration::message::received::Received;
use hydration::ports::Clock;
use hydration::record::event::EventRecord;
use hydration::sequence_number::SequenceNumber;
use serde_json::value::RawValue;

use crate::entry::Copy;
use crate::exit::explain;
use crate::gather::text_of;
use crate::hold::Hold;
use crate::ports::{Bucket, Function, Invoked, Queue};
use crate::replay::answer::succeeded;
use crate::replay::audit::{Audit, Line, Step};
use crate::replay::pace::Pace;
use crate::replay::plan::{InDoubt, Lane, Refusal, Unit};

/// Attempts of an invocation that Lambda throttles.
const ATTEMPTS: u32 = 6;
const FIRST_DELAY: Duration = Duration::from_millis(500);

/// What became of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Every record has succeeded, and the message is off the queue. `invoked`: in this run.
    Done {
        invoked: bool,
    },
    /// Every record has succeeded, but the message, or a copy of it with other records, is still there.
    NotDeleted(String),
    /// So many records remain.
    Failed {
        remaining: usize,
        kind: String,
        message: String,
    },
    Refused(Refusal, String),
    Unknown(String),
    /// Not begun: an earlier batch of the shard has not succeeded.
    HeldBack {
        behind: String,
    },
    /// Not begun: too many had failed, or it was interrupted.
    Stopped,
}

impl Outcome {
    fn is_done(&self) -> bool {
        matches!(self, Self::Done { .. } | Self::NotDeleted(_))
    }
}

pub struct Limits {
    pub concurrency: usize,
    pub max_failures: usize,
    /// Go on with a shard after one of its batches has failed.
    pub keep_going: bool,
    pub in_doubt: InDoubt,
}

pub struct Runner<'a, Q, B, F, C> {
    pub hold: &'a Hold<'a, Q>,
    pub bucket: &'a B,
    pub function: &'a F,
    pub clock: &'a C,
    pub audit: &'a RefCell<Audit>,
    pub pace: Pace,
    pub limits: Limits,
    pub failures: Cell<usize>,
}

impl<Q: Queue, B: Bucket, F: Function, C: Clock> Runner<'_, Q, B, F, C> {
    /// `tell` hears of each message once, when its outcome is known.
    pub async fn run(&self, lanes: Vec<Lane>, tell: impl Fn(&Unit, &Outcome) -> Result<()>) -> Result<()> {
        let lanes = lanes.into_iter().map(|lane| self.lane(lane, &tell));
        let outcomes: Vec<Result<()>> = stream::iter(lanes).buffer_unordered(self.limits.concurrency).collect().await;
        outcomes.into_iter().collect()
    }

    async fn lane(&self, lane: Lane, tell: &impl Fn(&Unit, &Outcome) -> Result<()>) -> Result<()> {
        let mut blocked = None;
        for mut unit in lane {
            let outcome = match &blocked {
                _ if self.is_stopped() => Outcome::Stopped,
                Some(behind) if !self.limits.keep_going => Outcome::HeldBack { behind: String::clone(behind) },
                _ => self.unit(&mut unit).await?,
            };
            if matches!(outcome, Outcome::Failed { .. } | Outcome::Unknown(_)) {
                self.failures.set(self.failures.get() + 1);
            }
            if !outcome.is_done() && blocked.is_none() {
                blocked = Some(unit.entry.id.clone());
            }
            tell(&unit, &outcome)?;
        }
        Ok(())
    }

    fn is_stopped(&self) -> bool {
        self.hold.interrupt.is_asked() || self.failures.get() >= self.limits.max_failures
    }

    async fn unit(&self, unit: &mut Unit) -> Result<Outcome> {
        let text = match text_of(&unit.entry, self.bucket).await {
            Ok(text) => text,
            Err(error) => return Ok(Outcome::Refused(Refusal::Unreadable, format!("{error:#}"))),
        };
        // From here on the text is held once, not twice.
        unit.entry.copies.iter_mut().for_each(|copy| copy.body = None);
        let received = match Received::read(&text) {
            Ok(received) => received,
            Err(error) => return Ok(Outcome::Refused(Refusal::Unreadable, error.to_string())),
        };
        drop(text);
        let Some(records) = numbered(&received) else {
            return Ok(Outcome::Refused(Refusal::Unreadable, "a record of it has no sequence number".to_owned()));
        };
        let remaining = match self.remaining(unit, &records)? {
            Ok(remaining) => remaining,
            Err(refusal) => return Ok(Outcome::Refused(refusal, refusal.advice().to_owned())),
        };
        if remaining.is_empty() {
            return self.delete(unit, false).await;
        }
        match self.invoke(unit, &remaining).await? {
            None => self.delete(unit, true).await,
            Some(outcome) => Ok(outcome),
        }
    }

    /// The records that have not succeeded yet.
    fn remaining<'r>(&self, unit: &Unit, records: &[Record<'r>]) -> Result<Result<Vec<Record<'r>>, Refusal>> {
        let mut progress = self.audit.borrow().progress(&unit.entry.id, &unit.function);
        if let Some((_, in_doubt)) = &progress.in_doubt {
            let step = match (self.limits.in_doubt, in_doubt) {
                (InDoubt::Keep, _) => return Ok(Err(Refusal::InDoubt)),
                (InDoubt::Rerun, _) => self.line(unit, Step::Settled),
                (InDoubt::Done, done) => Line {
                    records: done.as_ref().map(|done| done.records),
                    first: done.as_ref().map(|done| done.first.as_str().to_owned()),
                    last: done.as_ref().map(|done| done.last.as_str().to_owned()),
                    ..self.line(unit, Step::Succeeded)
                },
            };
            self.audit.borrow_mut().write(&step)?;
            progress = self.audit.borrow().progress(&unit.entry.id, &unit.function);
        }
        let numbers: Vec<SequenceNumber> = records.iter().map(|record| record.0.clone()).collect();
        let Some(covered) = progress.covers(&numbers) else { return Ok(Err(Refusal::CopiesDiffer)) };
        let is_left = |(record, covered): (&Record<'r>, bool)| (!covered).then(|| record.clone());
        Ok(Ok(records.iter().zip(covered).filter_map(is_left).collect()))
    }

    /// `None`: every record has succeeded.
    async fn invoke(&self, unit: &Unit, records: &[Record<'_>]) -> Result<Option<Outcome>> {
        let event = Received::event(records.iter().map(|record| record.1));
        if event.len() > MAX_EVENT_BYTES {
            return Ok(Some(Outcome::Refused(Refusal::TooLarge, Refusal::TooLarge.advice().to_owned())));
        }
        let mut attempt = 0;
        let invoked = loop {
            self.pace.turn().await;
            if self.is_stopped() {
                return Ok(Some(Outcome::Stopped));
            }
            self.write(unit, Step::Started, records, None)?;
            let invoked = self.function.invoke(&unit.function, event.clone()).await;
            attempt += 1;
            match &invoked {
                Invoked::NotRun(fault) if fault.kind == FaultKind::Throttled && attempt < ATTEMPTS => {
                    self.write(unit, Step::Failed, records, Some("Throttled"))?;
                    let delay = FIRST_DELAY.mul_f64(f64::from(1 << attempt) * (0.5 + self.clock.jitter() / 2.0));
                    self.clock.sleep(delay).await;
                }
                _ => break invoked,
            }
        };
        let failed = |remaining, kind: String, message| Some(Outcome::Failed { remaining, kind, message });
        Ok(match invoked {
            Invoked::Answered(answer) => {
                let numbers: Vec<SequenceNumber> = records.iter().map(|record| record.0.clone()).collect();
                let count = succeeded(&answer, &numbers);
                let (done, left) = records.split_at(count.min(records.len()));
                if done.is_empty() {
                    self.write(unit, Step::Failed, records, Some("batchItemFailures"))?;
                } else {
                    self.write(unit, Step::Succeeded, done, None)?;
                }
                if left.is_empty() {
                    None
                } else {
                    let message =
                        format!("the function named {} as failed", left.first().map_or("", |record| record.0.as_str()));
                    failed(left.len(), "batchItemFailures".to_owned(), message)
                }
            }
            Invoked::Failed { kind, message } => {
                self.write(unit, Step::Failed, records, Some(&kind))?;
                failed(records.len(), kind, message)
            }
            Invoked::NotRun(fault) => {
                let kind = format!("{:?}", fault.kind);
                self.write(unit, Step::Failed, records, Some(&kind))?;
                failed(records.len(), kind, format!("{:#}", explain(&fault)))
            }
            Invoked::Unknown(why) => {
                self.write(unit, Step::Unknown, records, None)?;
                Some(Outcome::Unknown(why))
            }
        })
    }

    async fn delete(&self, unit: &Unit, invoked: bool) -> Result<Outcome> {
        let mut left = None;
        for copy in &unit.entry.copies {
            if !is_within(copy, unit) {
                left = Some("a copy of it holds other records; a second run deals with it".to_owned());
                continue;
            }
            match self.hold.delete(&copy.message_id).await {
                Err(fault) => left = Some(format!("{:#}", explain(&fault))),
                Ok(()) => {
                    let line = Line { message_id: Some(copy.message_id.clone()), ..self.line(unit, Step::Deleted) };
                    self.audit.borrow_mut().write(&line)?;
                }
            }
        }
        Ok(left.map_or(Outcome::Done { invoked }, Outcome::NotDeleted))
    }

    fn line(&self, unit: &Unit, step: Step) -> Line {
        Line::new(self.clock.now().rfc3339(), step, &unit.entry.id, &unit.function)
    }

    fn write(&self, unit: &Unit, step: Step, records: &[Record<'_>], error: Option<&str>) -> Result<()> {
        let number = |record: Option<&Record<'_>>| record.map(|record| record.0.as_str().to_owned());
        // A function chooses the name of its error; it is cut to what a name can be.
        let name =
            |text: &str| text.chars().filter(|c| c.is_ascii_alphanumeric() || ".:_$".contains(*c)).take(100).collect();
        self.audit.borrow_mut().write(&Line {
            records: Some(records.len() as u64),
            first: number(records.first()),
            last: number(records.last()),
            error: error.map(name),
            ..self.line(unit, step)
        })
    }
}

/// A record's number, and its text as delivered.
type Record<'a> = (SequenceNumber, &'a RawValue);

fn numbered(received: &Received) -> Option<Vec<Record<'_>>> {
    let source = received.head.batch.as_ref()?.stream.source();
    let number = |raw: &RawValue| EventRecord::parse(source, raw).map(|event| event.sequence_number().clone());
    received.records.iter().map(|raw| Some((number(raw)?, raw.as_ref()))).collect()
}

/// Whether all that the copy holds was in what has been run.
fn is_within(copy: &Copy, unit: &Unit) -> bool {
    let entry = &unit.entry;
    match (copy.records, &copy.first, &copy.last) {
        (Some(records), Some(first), Some(last)) => {
            entry.first.as_ref().is_some_and(|start| start <= first)
                && entry.last.as_ref().is_some_and(|end| last <= end)
                && records <= entry.records
        }
        // What could not be read may hold anything.
        (records, ..) => records == Some(0),
    }
}
