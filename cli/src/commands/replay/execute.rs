//! Execution of a plan: shards run side by side, each in its order, and every step is recorded before the next.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use anyhow::Result;
use futures_util::stream::{self, StreamExt};
use hydration::error::FaultKind;
use hydration::message::parsed::ParsedMessage;
use hydration::message::part::MAX_EVENT_BYTES;
use hydration::ports::Clock;
use hydration::record::event::EventRecord;
use hydration::sequence_number::SequenceNumber;
use serde_json::value::RawValue;

use crate::batch_item_failures::succeeded_count;
use crate::commands::replay::audit::{Audit, AuditEntry, AuditStep, InvocationInDoubt, RecordRange};
use crate::commands::replay::options::{InDoubt, ReplayOptions};
use crate::commands::replay::plan::{RefusalReason, ReplayItem, ShardQueue};
use crate::exit::explain;
use crate::ports::{Bucket, Function, InvokeOutcome, Queue};
use crate::queue::hydrated_message::{HydratedMessage, MessageCopy};
use crate::queue::lease::Lease;
use crate::queue::read_queue::body_of;
use crate::rate_limiter::RateLimiter;

/// Attempts of an invocation that Lambda throttles, the first included.
const MAX_ATTEMPTS: u32 = 6;
const FIRST_DELAY: Duration = Duration::from_millis(500);
/// Length of an error type in the audit file.
const MAX_ERROR_TYPE_CHARS: usize = 100;

/// Outcome of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplayOutcome {
    /// Every record has succeeded in this run, and the message is deleted.
    Replayed,
    /// Every record succeeded in an earlier run, and the message is deleted.
    Deleted,
    /// Every record has succeeded, but the message, or a copy of it with other records, is still there.
    NotDeleted {
        reason: String,
    },
    /// Some of the records remain.
    Failed {
        remaining: usize,
        error_type: String,
        message: String,
    },
    Refused {
        reason: RefusalReason,
        detail: String,
    },
    /// The invocation may or may not have run.
    Unknown {
        reason: String,
    },
    /// Not started: an earlier batch of the shard has not succeeded.
    HeldBack {
        behind: String,
    },
    /// Not started: too many batches had failed, or the run was interrupted.
    Stopped,
}

impl ReplayOutcome {
    /// Tells if the message is done and deleted.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Replayed | Self::Deleted)
    }

    fn blocks_shard(&self) -> bool {
        !self.is_done() && !matches!(self, Self::NotDeleted { .. })
    }

    fn is_failure(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::Unknown { .. })
    }
}

pub struct ReplayExecutor<'a, Q, B, F, C> {
    pub lease: &'a Lease<'a, Q>,
    pub bucket: &'a B,
    pub function: &'a F,
    pub clock: &'a C,
    pub audit: &'a RefCell<Audit>,
    pub options: &'a ReplayOptions,
    pub rate_limiter: RateLimiter,
    /// The number of batches that have failed, in earlier passes too.
    pub failures: &'a Cell<u32>,
}

/// A record of a batch: its sequence number, and its text as Lambda delivered it.
#[derive(Debug, Clone)]
struct NumberedRecord<'a> {
    number: SequenceNumber,
    raw: &'a RawValue,
}

/// Records of a message that have not succeeded yet, or the reason why the message is not run.
enum Remaining<'a> {
    Records(Vec<NumberedRecord<'a>>),
    Refused(RefusalReason),
}

/// Result of an invocation with all its attempts.
enum InvocationResult {
    AllSucceeded,
    Ended(ReplayOutcome),
}

impl<Q: Queue, B: Bucket, F: Function, C: Clock> ReplayExecutor<'_, Q, B, F, C> {
    /// Runs all items, and calls `report` once for each, when its outcome is known.
    pub async fn run(
        &self,
        shard_queues: Vec<ShardQueue>,
        report: impl Fn(&ReplayItem, &ReplayOutcome) -> Result<()>,
    ) -> Result<()> {
        let shards = shard_queues.into_iter().map(|items| self.run_shard(items, &report));
        let concurrency = usize::from(self.options.concurrency);
        let outcomes: Vec<Result<()>> = stream::iter(shards).buffer_unordered(concurrency).collect().await;
        outcomes.into_iter().collect()
    }

    async fn run_shard(
        &self,
        items: ShardQueue,
        report: &impl Fn(&ReplayItem, &ReplayOutcome) -> Result<()>,
    ) -> Result<()> {
        let mut blocked_by: Option<String> = None;
        for mut item in items {
            let outcome = match &blocked_by {
                _ if self.is_stopped() => ReplayOutcome::Stopped,
                Some(behind) if !self.options.keep_going => ReplayOutcome::HeldBack { behind: behind.clone() },
                _ => self.run_item(&mut item).await?,
            };
            if outcome.is_failure() {
                self.failures.set(self.failures.get() + 1);
            }
            if outcome.blocks_shard() && blocked_by.is_none() {
                blocked_by = Some(item.message.id.clone());
            }
            report(&item, &outcome)?;
        }
        Ok(())
    }

    fn is_stopped(&self) -> bool {
        self.lease.interrupt.is_requested() || self.failures.get() >= self.options.max_failures
    }

    async fn run_item(&self, item: &mut ReplayItem) -> Result<ReplayOutcome> {
        let received = match self.read(&mut item.message).await {
            Ok(received) => received,
            Err(error) => return Ok(unreadable(format!("{error:#}"))),
        };
        let Some(records) = numbered_records(&received) else {
            return Ok(unreadable("a record of it has no sequence number".to_owned()));
        };
        let remaining = match self.remaining(item, &records)? {
            Remaining::Refused(reason) => return Ok(refused(reason)),
            Remaining::Records(remaining) => remaining,
        };
        if remaining.is_empty() {
            return self.delete(item, ReplayOutcome::Deleted).await;
        }
        match self.invoke(item, &remaining).await? {
            InvocationResult::AllSucceeded => self.delete(item, ReplayOutcome::Replayed).await,
            InvocationResult::Ended(outcome) => Ok(outcome),
        }
    }

    /// Reads the whole message, and drops the bodies of its copies: the text must not be in memory twice.
    async fn read(&self, message: &mut HydratedMessage) -> Result<ParsedMessage> {
        let body = body_of(message, self.bucket).await?;
        message.copies.iter_mut().for_each(|copy| copy.body = None);
        Ok(ParsedMessage::parse(&body)?)
    }

    fn remaining<'r>(&self, item: &ReplayItem, records: &[NumberedRecord<'r>]) -> Result<Remaining<'r>> {
        let in_doubt = self.audit.borrow().history().of(&item.message.id, &item.function).in_doubt;
        if let Some(invocation) = in_doubt {
            if self.options.in_doubt == InDoubt::Keep {
                return Ok(Remaining::Refused(RefusalReason::InDoubt));
            }
            self.settle(item, &invocation)?;
        }
        let history = self.audit.borrow().history().of(&item.message.id, &item.function);
        let numbers: Vec<SequenceNumber> = records.iter().map(|record| record.number.clone()).collect();
        let Some(covered) = history.covers(&numbers) else {
            return Ok(Remaining::Refused(RefusalReason::CopiesDiffer));
        };
        let left = records.iter().zip(covered).filter(|(_, is_covered)| !is_covered);
        Ok(Remaining::Records(left.map(|(record, _)| record.clone()).collect()))
    }

    /// Records what a person decided about an invocation in doubt.
    fn settle(&self, item: &ReplayItem, invocation: &InvocationInDoubt) -> Result<()> {
        let entry = if self.options.in_doubt == InDoubt::Done {
            self.entry(item, AuditStep::Succeeded).with_range(invocation.range.as_ref())
        } else {
            self.entry(item, AuditStep::Settled)
        };
        self.audit.borrow_mut().write(&entry)
    }

    async fn invoke(&self, item: &ReplayItem, records: &[NumberedRecord<'_>]) -> Result<InvocationResult> {
        let event = ParsedMessage::event(records.iter().map(|record| record.raw));
        if event.len() > MAX_EVENT_BYTES {
            return Ok(InvocationResult::Ended(refused(RefusalReason::TooLarge)));
        }
        for attempt in 1..=MAX_ATTEMPTS {
            self.rate_limiter.wait(self.clock).await;
            if self.is_stopped() {
                break;
            }
            self.write(item, AuditStep::Started, records, None)?;
            match self.function.invoke(&item.function, event.clone()).await {
                InvokeOutcome::NotRun(fault) if fault.kind == FaultKind::Throttled && attempt < MAX_ATTEMPTS => {
                    self.write(item, AuditStep::Failed, records, Some("Throttled"))?;
                    let delay = FIRST_DELAY.mul_f64(f64::from(1 << attempt) * (0.5 + self.clock.jitter() / 2.0));
                    self.clock.sleep(delay).await;
                }
                outcome => return self.record(item, records, outcome),
            }
        }
        Ok(InvocationResult::Ended(ReplayOutcome::Stopped))
    }

    /// Records the outcome of an invocation.
    fn record(
        &self,
        item: &ReplayItem,
        records: &[NumberedRecord<'_>],
        outcome: InvokeOutcome,
    ) -> Result<InvocationResult> {
        let failed =
            |error_type: String, message| ReplayOutcome::Failed { remaining: records.len(), error_type, message };
        let ended = match outcome {
            InvokeOutcome::Returned(answer) => return self.record_answer(item, records, &answer),
            InvokeOutcome::Failed { error_type, message } => {
                self.write(item, AuditStep::Failed, records, Some(&error_type))?;
                failed(error_type, message)
            }
            InvokeOutcome::NotRun(fault) => {
                let error_type = format!("{:?}", fault.kind);
                self.write(item, AuditStep::Failed, records, Some(&error_type))?;
                failed(error_type, format!("{:#}", explain(&fault)))
            }
            InvokeOutcome::Unknown(reason) => {
                self.write(item, AuditStep::Unknown, records, None)?;
                ReplayOutcome::Unknown { reason }
            }
        };
        Ok(InvocationResult::Ended(ended))
    }

    fn record_answer(
        &self,
        item: &ReplayItem,
        records: &[NumberedRecord<'_>],
        answer: &[u8],
    ) -> Result<InvocationResult> {
        let numbers: Vec<SequenceNumber> = records.iter().map(|record| record.number.clone()).collect();
        let succeeded = succeeded_count(answer, &numbers).min(records.len());
        let (done, left) = records.split_at(succeeded);
        if done.is_empty() {
            self.write(item, AuditStep::Failed, records, Some("batchItemFailures"))?;
        } else {
            self.write(item, AuditStep::Succeeded, done, None)?;
        }
        let Some(first_left) = left.first() else { return Ok(InvocationResult::AllSucceeded) };
        Ok(InvocationResult::Ended(ReplayOutcome::Failed {
            remaining: left.len(),
            error_type: "batchItemFailures".to_owned(),
            message: format!("the function named {} as failed", first_left.number),
        }))
    }

    /// Deletes every copy whose records have all run, and returns `done` when no copy is left.
    async fn delete(&self, item: &ReplayItem, done: ReplayOutcome) -> Result<ReplayOutcome> {
        let mut not_deleted = None;
        for copy in &item.message.copies {
            if !is_within(copy, &item.message) {
                not_deleted = Some("a copy of it holds other records; a second run deals with it".to_owned());
                continue;
            }
            match self.lease.delete(&copy.message_id).await {
                Err(fault) => not_deleted = Some(format!("{:#}", explain(&fault))),
                Ok(()) => {
                    let message_id = Some(copy.message_id.clone());
                    let entry = AuditEntry { message_id, ..self.entry(item, AuditStep::Deleted) };
                    self.audit.borrow_mut().write(&entry)?;
                }
            }
        }
        Ok(not_deleted.map_or(done, |reason| ReplayOutcome::NotDeleted { reason }))
    }

    fn entry(&self, item: &ReplayItem, step: AuditStep) -> AuditEntry {
        AuditEntry::new(self.clock.now().rfc3339(), step, &item.message.id, &item.function)
    }

    fn write(
        &self,
        item: &ReplayItem,
        step: AuditStep,
        records: &[NumberedRecord<'_>],
        error_type: Option<&str>,
    ) -> Result<()> {
        let range = records.first().zip(records.last()).map(|(first, last)| RecordRange {
            first: first.number.clone(),
            last: last.number.clone(),
            records: records.len() as u64,
        });
        let entry = AuditEntry { error: error_type.map(name_only), ..self.entry(item, step) };
        self.audit.borrow_mut().write(&entry.with_range(range.as_ref()))
    }
}

/// An error type without anything that cannot be in a name: a function chooses this text, and it must not carry data.
fn name_only(error_type: &str) -> String {
    let is_name = |c: &char| c.is_ascii_alphanumeric() || ".:_$".contains(*c);
    error_type.chars().filter(is_name).take(MAX_ERROR_TYPE_CHARS).collect()
}

fn refused(reason: RefusalReason) -> ReplayOutcome {
    ReplayOutcome::Refused { reason, detail: reason.advice().to_owned() }
}

fn unreadable(detail: String) -> ReplayOutcome {
    ReplayOutcome::Refused { reason: RefusalReason::Unreadable, detail }
}

fn numbered_records(received: &ParsedMessage) -> Option<Vec<NumberedRecord<'_>>> {
    let source = received.head.batch.as_ref()?.stream.source();
    let number = |raw: &RawValue| EventRecord::parse(source, raw).map(|event| event.sequence_number().clone());
    received.records.iter().map(|raw| Some(NumberedRecord { number: number(raw)?, raw })).collect()
}

/// Tells if all records of the copy are among those of the message, which have been run.
fn is_within(copy: &MessageCopy, message: &HydratedMessage) -> bool {
    match (copy.records, &copy.first, &copy.last) {
        (Some(records), Some(first), Some(last)) => {
            message.first.as_ref().is_some_and(|start| start <= first)
                && message.last.as_ref().is_some_and(|end| last <= end)
                && records <= message.records
        }
        // A copy that could not be read may hold anything.
        (records, ..) => records == Some(0),
    }
}
