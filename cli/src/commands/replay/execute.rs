//! Execution of a plan: shards run side by side, each in its order, and every step is in the ledger before the next.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use futures_util::stream::{self, StreamExt};
use hydration::error::FaultKind;
use hydration::message::parsed::ParsedMessage;
use hydration::message::part::MAX_EVENT_BYTES;
use hydration::ports::Clock;
use hydration::sequence_number::SequenceNumber;

use crate::commands::replay::batch::{Batch, NumberedRecord, numbered_records};
use crate::commands::replay::narrowed::places_left_out;
use crate::commands::replay::options::ReplayOptions;
use crate::commands::replay::outcome::{ReplayOutcome, not_claimed, outcome_of, refused, unreadable};
use crate::commands::replay::plan::{Action, Behind, ReplayItem, ShardQueue, Target};
use crate::commands::replay::refusal::RefusalReason;
use crate::commands::replay::run_state::RunState;
use crate::exit::explain;
use crate::ledger::Ledger;
use crate::ledger::claim::{Claim, Claiming, Invocation, Known, Outcome};
use crate::ledger::error::LedgerError;
use crate::ledger::lock::{Lock, Settled};
use crate::ledger::record::Shard;
use crate::ledger::span::{Coverage, coverage, spans};
use crate::ledger::store::Store;
use crate::narrowing::Narrower;
use crate::ports::{Bucket, Function, InvokeOutcome, Invoked, Queue};
use crate::queue::hydrated_message::{HydratedMessage, MessageCopy};
use crate::queue::lease::Lease;
use crate::queue::read_queue::{body_of, copy_text};
use crate::rate_limiter::RateLimiter;

/// Attempts of an invocation that Lambda throttles, the first included.
pub const MAX_ATTEMPTS: u32 = 6;
const FIRST_DELAY: Duration = Duration::from_millis(500);

pub struct ReplayExecutor<'a, Q, B, F, S, C> {
    pub lease: &'a Lease<'a, Q>,
    pub bucket: &'a B,
    pub function: &'a F,
    pub clock: &'a C,
    pub ledger: &'a Ledger<S, C>,
    pub lock: &'a Lock,
    pub options: &'a ReplayOptions,
    pub concurrency: usize,
    pub rate_limiter: &'a RateLimiter,
    pub state: &'a RunState,
    /// Present if supersets are narrowed.
    pub narrower: Option<&'a Narrower<'a, F>>,
}

/// A step that may end an item before its last one.
enum Step<T> {
    Go(T),
    End(ReplayOutcome),
}

impl<Q: Queue, B: Bucket, F: Function, S: Store, C: Clock> ReplayExecutor<'_, Q, B, F, S, C> {
    /// Runs all items, and calls `report` once for each, when its outcome is known.
    pub async fn run(
        &self,
        shard_queues: Vec<ShardQueue>,
        report: impl Fn(&ReplayItem, &ReplayOutcome) -> Result<()>,
    ) -> Result<()> {
        let shards = shard_queues.into_iter().map(async |items| {
            let outcome = self.run_shard(items, &report).await;
            if let Err(error) = &outcome {
                // Nothing may be run or deleted after an error of the ledger, or when nobody reads the output.
                self.state.stop(format!("{error:#}"));
            }
            outcome
        });
        let outcomes: Vec<Result<()>> = stream::iter(shards).buffer_unordered(self.concurrency).collect().await;
        outcomes.into_iter().collect()
    }

    async fn run_shard(
        &self,
        items: ShardQueue,
        report: &impl Fn(&ReplayItem, &ReplayOutcome) -> Result<()>,
    ) -> Result<()> {
        let mut blocked_by: Option<Behind> = None;
        for item in items {
            let outcome = match (&item.action, &blocked_by) {
                (Action::Refuse(reason), _) => {
                    item.read_error().map_or_else(|| refused(*reason), |error| unreadable(error.to_owned()))
                }
                (Action::HoldBack { behind }, _) => ReplayOutcome::HeldBack { behind: behind.clone() },
                (Action::Keep, _) if self.options.in_doubt.settlement().is_none() => ReplayOutcome::AlreadyDone,
                _ if self.is_stopped() => ReplayOutcome::Stopped,
                (Action::Invoke, Some(behind)) if !self.options.keep_going => {
                    ReplayOutcome::HeldBack { behind: behind.clone() }
                }
                _ => self.run_item(&item).await?,
            };
            if outcome.is_failure() {
                self.state.failures.set(self.state.failures.get() + 1);
            }
            if outcome.is_failure() || matches!(outcome, ReplayOutcome::Refused { .. }) {
                self.state.failed.borrow_mut().insert(item.message.id.clone());
            }
            if outcome.blocks_shard() && blocked_by.is_none() {
                blocked_by = Some(Behind::Batch(item.message.id.clone()));
            }
            report(&item, &outcome)?;
        }
        Ok(())
    }

    /// Tells if no new step may be started.
    fn is_stopped(&self) -> bool {
        if let Err(error) = self.lease.check_extended() {
            self.state
                .stop(format!("a held message could not be kept from others, so nothing more is started: {error:#}"));
        }
        self.lease.interrupt.is_requested()
            || self.state.has_too_many_failures(self.options)
            || self.state.stop_reason().is_some()
    }

    async fn run_item(&self, item: &ReplayItem) -> Result<ReplayOutcome> {
        let reserved = tokio::select! {
            reserved = self.state.bytes.reserve(&item.message) => reserved,
            () = self.lease.interrupt.requested() => None,
        };
        if reserved.is_none() || self.is_stopped() {
            return Ok(ReplayOutcome::Stopped);
        }
        let received = match self.read(&item.message).await {
            Ok(received) => received,
            Err(error) => return Ok(unreadable(format!("{error:#}"))),
        };
        let Some(records) = numbered_records(&received) else {
            return Ok(unreadable("a record of it has no sequence number".to_owned()));
        };
        let Some(mut target) = item.target.clone() else { return Ok(refused(RefusalReason::NoFunction)) };
        if let Step::End(outcome) = self.settle(&mut target).await? {
            return Ok(outcome);
        }
        let is_left_out = match self.left_out(&received, &records).await {
            Step::Go(is_left_out) => is_left_out,
            Step::End(outcome) => return Ok(outcome),
        };
        let batch = match self.batch(&target.known, records, is_left_out) {
            Step::Go(batch) => batch,
            Step::End(outcome) => return Ok(outcome),
        };
        if batch.not_covered_by(&target.known) == 0 {
            return self.finish(item, &target, &received, ReplayOutcome::Deleted, ReplayOutcome::AlreadyDone).await;
        }
        if batch.to_run().is_empty() {
            return Ok(ReplayOutcome::PartlyDone { remaining: batch.not_covered_by(&target.known) });
        }
        let known = match self.invoke(item, &target, &batch).await? {
            Step::Go(known) => known,
            Step::End(outcome) => return Ok(outcome),
        };
        match batch.not_covered_by(&known) {
            0 => self.finish(item, &target, &received, ReplayOutcome::Replayed, ReplayOutcome::Kept).await,
            remaining => Ok(ReplayOutcome::PartlyDone { remaining }),
        }
    }

    async fn read(&self, message: &HydratedMessage) -> Result<ParsedMessage> {
        Ok(ParsedMessage::parse(&body_of(message, self.bucket).await?)?)
    }

    /// Writes down what a person decided about an invocation in doubt.
    async fn settle(&self, target: &mut Target) -> Result<Step<()>> {
        if target.known.run.claim.is_none() {
            return Ok(Step::Go(()));
        }
        let Some(how) = self.options.in_doubt.settlement() else {
            return Ok(Step::End(refused(RefusalReason::InDoubt)));
        };
        match self.ledger.settle(&target.key, &target.known, how).await? {
            Settled::Done(known) => target.known = known,
            Settled::Changed => return Ok(Step::End(refused(RefusalReason::Changed))),
        }
        Ok(Step::Go(()))
    }

    /// The records of a superset that `--narrow` leaves out. The mapping is the one that the plan was made with.
    async fn left_out(&self, received: &ParsedMessage, records: &[NumberedRecord<'_>]) -> Step<Vec<bool>> {
        let narrowing = match self.narrower {
            Some(narrower) => narrower.narrow(received).await,
            None => None,
        };
        match narrowing {
            None => Step::Go(vec![false; records.len()]),
            Some(Ok(narrowing)) => {
                let numbers: Vec<SequenceNumber> = records.iter().map(|record| record.number.clone()).collect();
                Step::Go(places_left_out(&narrowing, &numbers))
            }
            Some(Err(_)) if self.options.include_superset => Step::Go(vec![false; records.len()]),
            Some(Err(reason)) => {
                Step::End(ReplayOutcome::Refused { reason: RefusalReason::NotNarrowed, detail: reason.to_string() })
            }
        }
    }

    /// Chooses the records to run: those that have not succeeded, that were or may have been in the batch, and that the
    /// command line names.
    fn batch<'r>(&self, known: &Known, records: Vec<NumberedRecord<'r>>, is_left_out: Vec<bool>) -> Step<Batch<'r>> {
        let numbers: Vec<SequenceNumber> = records.iter().map(|record| record.number.clone()).collect();
        let Coverage::Known(covered) = coverage(&known.run.done, &numbers) else {
            return Step::End(refused(RefusalReason::CopiesDiffer));
        };
        let is_chosen = match self.chosen(&numbers) {
            Ok(is_chosen) => is_chosen,
            Err(detail) => return Step::End(ReplayOutcome::Refused { reason: RefusalReason::Selection, detail }),
        };
        let is_to_run: Vec<bool> =
            is_chosen.iter().zip(&covered).map(|(is_chosen, covered)| *is_chosen && !covered).collect();
        let is_to_run: Vec<bool> =
            is_to_run.iter().zip(&is_left_out).map(|(is_to_run, is_left_out)| *is_to_run && !is_left_out).collect();
        if let Err(error) = spans(&numbers, |place| is_to_run.get(place) == Some(&true)) {
            let detail = error.to_string();
            return Step::End(ReplayOutcome::Refused { reason: RefusalReason::Selection, detail });
        }
        Step::Go(Batch { records, numbers, is_to_run, is_left_out })
    }

    fn chosen(&self, numbers: &[SequenceNumber]) -> Result<Vec<bool>, String> {
        match (&self.options.records, &self.options.except) {
            (Some(records), _) => records.of(numbers),
            (None, Some(except)) => Ok(except.of(numbers)?.into_iter().map(|is_left_out| !is_left_out).collect()),
            (None, None) => Ok(vec![true; numbers.len()]),
        }
    }

    /// Invokes the function with the records to run, and returns the run's state in the ledger when all have succeeded.
    async fn invoke(&self, item: &ReplayItem, target: &Target, batch: &Batch<'_>) -> Result<Step<Known>> {
        let records = batch.to_run();
        let event = ParsedMessage::event(records.iter().map(|record| record.raw));
        if event.len() > MAX_EVENT_BYTES {
            return Ok(Step::End(refused(RefusalReason::TooLarge)));
        }
        let mut known = target.known.clone();
        for attempt in 1..=MAX_ATTEMPTS {
            self.wait(self.rate_limiter.wait(self.clock)).await;
            if self.is_stopped() {
                break;
            }
            let invocation = Invocation {
                shard: shard_of(&item.message),
                batch_records: batch.records.len() as u64,
                records: batch.spans_of_first(records.len()),
            };
            let claim = match self.ledger.claim(self.lock, &target.key, &known, invocation).await? {
                Claiming::Claimed(claim) => claim,
                Claiming::Refused(refused) => return Ok(Step::End(not_claimed(&refused))),
            };
            self.state.under_way.borrow_mut().insert(item.message.id.clone());
            let invoked = self.function.invoke(target.key.function.as_str(), event.clone()).await;
            let is_throttled = is_throttled(&invoked) && attempt < MAX_ATTEMPTS;
            let (outcome, ended) = outcome_of(invoked, batch, &records);
            known = self.write_outcome(&claim, outcome).await?;
            self.state.under_way.borrow_mut().remove(&item.message.id);
            match ended {
                None => return Ok(Step::Go(known)),
                Some(_) if is_throttled => self.wait(self.clock.sleep(throttled_delay(attempt, self.clock))).await,
                Some(ended) => return Ok(Step::End(ended)),
            }
        }
        Ok(Step::End(ReplayOutcome::Stopped))
    }

    /// Waits, unless the run is interrupted.
    async fn wait(&self, until: impl Future<Output = ()>) {
        tokio::select! {
            () = until => {}
            () = self.lease.interrupt.requested() => {}
        }
    }

    async fn write_outcome(&self, claim: &Claim, outcome: Outcome) -> Result<Known, LedgerError> {
        match self.ledger.outcome(claim, outcome.clone()).await {
            // The first write may or may not have been carried out, and the ledger finds out which.
            Err(LedgerError::Store(_)) => self.ledger.outcome(claim, outcome).await,
            written => written,
        }
    }

    /// Deletes the message, or keeps it where that was asked.
    async fn finish(
        &self,
        item: &ReplayItem,
        target: &Target,
        received: &ParsedMessage,
        deleted: ReplayOutcome,
        kept: ReplayOutcome,
    ) -> Result<ReplayOutcome> {
        if target.deletes { Ok(self.delete(item, received, deleted).await) } else { Ok(kept) }
    }

    /// Deletes every copy whose records have all run, and returns `done` when no copy is left.
    async fn delete(&self, item: &ReplayItem, received: &ParsedMessage, done: ReplayOutcome) -> ReplayOutcome {
        let mut not_deleted = None;
        for (index, copy) in item.message.copies.iter().enumerate() {
            // The first copy is the one that was run.
            let has_run = index == 0 || is_within(copy, &item.message) && self.holds_the_same(copy, received).await;
            if !has_run {
                not_deleted = Some("a copy of it holds other records; a second run deals with it".to_owned());
                continue;
            }
            if let Err(fault) = self.lease.delete(&copy.message_id).await {
                let reason = format!("{:#}", explain(&fault));
                self.state.stop(format!("a message could not be deleted, so nothing more is started: {reason}"));
                return ReplayOutcome::NotDeleted { reason };
            }
        }
        not_deleted.map_or(done, |reason| ReplayOutcome::NotDeleted { reason })
    }

    /// Tells if the copy is of the same batch and its records are among those that were run. Its head says so too, but
    /// a deletion must not depend on what a message says about itself.
    async fn holds_the_same(&self, copy: &MessageCopy, received: &ParsedMessage) -> bool {
        if copy.records == Some(0) {
            return true;
        }
        let Ok(text) = copy_text(copy, self.bucket).await else { return false };
        let Ok(other) = ParsedMessage::parse(&text) else { return false };
        let batch = |message: &ParsedMessage| {
            let batch = message.head.batch.as_ref()?;
            Some((batch.function_arn.clone(), batch.stream.as_str().to_owned(), batch.shard_id.clone()))
        };
        let (Some(run), Some(held)) = (numbered_records(received), numbered_records(&other)) else { return false };
        let run: BTreeSet<&SequenceNumber> = run.iter().map(|record| &record.number).collect();
        batch(received) == batch(&other) && held.iter().all(|record| run.contains(&record.number))
    }
}

pub fn is_throttled(invoked: &Invoked) -> bool {
    matches!(&invoked.outcome, InvokeOutcome::NotRun(fault) if fault.kind == FaultKind::Throttled)
}

/// The wait before the next attempt of an invocation that was throttled.
pub fn throttled_delay<C: Clock>(attempt: u32, clock: &C) -> Duration {
    FIRST_DELAY.mul_f64(f64::from(1 << attempt) * (0.5 + clock.jitter() / 2.0))
}

fn shard_of(message: &HydratedMessage) -> Option<Shard> {
    Some(Shard::new(message.stream.as_deref()?, message.shard.as_deref()?))
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
