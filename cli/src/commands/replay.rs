//! `dlq replay`: run failed batches again, and delete those that have succeeded.

pub mod audit;
mod execute;
pub mod options;
mod plan;
mod report;

#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::path::PathBuf;

use anyhow::{Result, bail};
use hydration::message::parsed::ParsedMessage;
use hydration::message::part::MAX_EVENT_BYTES;
use hydration::ports::Clock;

use crate::commands::replay::audit::{Audit, History};
use crate::commands::replay::execute::{ReplayExecutor, ReplayOutcome};
pub use crate::commands::replay::options::{Arguments, parse_rate};
use crate::commands::replay::plan::{Plan, ReplayItem, plan};
use crate::context::Context;
use crate::exit::Exit;
use crate::ports::{Bucket, Function, Queue};
use crate::print::progress::Progress;
use crate::queue::filter::Filter;
use crate::queue::hydrated_message::HydratedMessage;
use crate::queue::lease::{Lease, with_lease, with_lease_until_done};
use crate::queue::read_queue::{KeepBodies, body_of, read_queue};
use crate::rate_limiter::RateLimiter;

pub async fn run<Q: Queue, B: Bucket, F: Function, C: Clock>(
    context: &Context<C>,
    queue: &Q,
    bucket: &B,
    function: &F,
    audit_path: PathBuf,
    arguments: Arguments,
) -> Result<Exit> {
    let filter = arguments.filter(context.now())?;
    let replay = Replay { context, queue, bucket, function, audit_path, arguments, filter, totals: Totals::default() };
    if replay.arguments.execute { replay.execute().await } else { replay.dry_run().await }
}

struct Replay<'a, Q, B, F, C> {
    context: &'a Context<C>,
    queue: &'a Q,
    bucket: &'a B,
    function: &'a F,
    audit_path: PathBuf,
    arguments: Arguments,
    filter: Filter,
    totals: Totals,
}

/// Numbers of messages in all passes over the queue.
#[derive(Debug, Default)]
struct Totals {
    done: Cell<u64>,
    /// Messages that the latest pass left on the queue.
    left: Cell<u64>,
    failures: Cell<u32>,
}

/// The plan for one pass over the queue.
struct PassPlan {
    plan: Plan,
    /// A FIFO queue has more messages than it shows.
    has_more: bool,
}

impl<Q: Queue, B: Bucket, F: Function, C: Clock> Replay<'_, Q, B, F, C> {
    async fn dry_run(&self) -> Result<Exit> {
        let history = History::read(&self.audit_path);
        let interrupt = &self.context.interrupt;
        let pass = with_lease(self.queue, interrupt, async |lease| self.plan_pass(lease, &history).await).await?;
        if self.context.output.json {
            report::dry_run_json(&self.context.output, &pass.plan)?;
        } else {
            report::dry_run(self.context, &pass.plan, self.arguments.options.rate, &self.audit_path)?;
        }
        Ok(Exit::Done)
    }

    async fn execute(&self) -> Result<Exit> {
        let audit = RefCell::new(Audit::open(&self.audit_path)?);
        tokio::select! {
            outcome = self.run_passes(&audit) => outcome?,
            never = self.announce_interrupt() => match never {},
        }
        self.context.interrupt.check()?;
        let (done, left) = (self.totals.done.get(), self.totals.left.get());
        if !self.context.output.json {
            report::summary(&self.context.output, done, left, &self.audit_path)?;
        }
        Ok(if left > 0 { Exit::Attention } else { Exit::Done })
    }

    /// Says on the first Ctrl-C that the run comes to its end. Never returns.
    async fn announce_interrupt(&self) -> Infallible {
        self.context.interrupt.requested().await;
        self.context
            .output
            .progress("stopping after the invocations that are running now; Ctrl-C again leaves them, in doubt");
        std::future::pending().await
    }

    /// Runs passes until nothing more can be done. One is enough, but a FIFO queue shows ten messages of a shard, and
    /// the next when these are deleted.
    async fn run_passes(&self, audit: &RefCell<Audit>) -> Result<()> {
        loop {
            let done_before = self.totals.done.get();
            let has_more = self.run_pass(audit).await?;
            let has_advanced = self.totals.done.get() > done_before
                && self.totals.failures.get() < self.arguments.options.max_failures;
            let is_worth_another = has_more && self.arguments.all && has_advanced;
            if !is_worth_another || self.context.interrupt.is_requested() {
                return Ok(());
            }
        }
    }

    /// Runs what is visible on the queue now; `true` when the queue has more.
    async fn run_pass(&self, audit: &RefCell<Audit>) -> Result<bool> {
        with_lease_until_done(self.queue, &self.context.interrupt, async |lease| {
            let history = audit.borrow().history().clone();
            let pass = self.plan_pass(lease, &history).await?;
            let executor = ReplayExecutor {
                lease,
                bucket: self.bucket,
                function: self.function,
                clock: &self.context.clock,
                audit,
                options: &self.arguments.options,
                rate_limiter: RateLimiter::per_second(self.arguments.options.rate),
                failures: &self.totals.failures,
            };
            self.run_plan(&executor, pass.plan).await?;
            Ok(pass.has_more)
        })
        .await
    }

    async fn run_plan(&self, executor: &ReplayExecutor<'_, Q, B, F, C>, plan: Plan) -> Result<()> {
        let (output, totals) = (&self.context.output, &self.totals);
        totals.left.set(plan.refused.len() as u64);
        if output.json {
            report::refused_json(output, &plan, "refused")?;
        }
        let progress = Progress::new("replaying");
        progress.expect(plan.items().count() as u64);
        let report_item = |item: &ReplayItem, outcome: &ReplayOutcome| {
            let total = if outcome.is_done() { &totals.done } else { &totals.left };
            total.set(total.get() + 1);
            progress.add(1);
            progress.aside(|| report::outcome(output, item, outcome))
        };
        executor.run(plan.shard_queues, report_item).await?;
        progress.finish();
        if output.json { Ok(()) } else { report::refused(output, &plan.refused) }
    }

    /// Reads the queue and plans what to run. Messages that are not run are released.
    async fn plan_pass(&self, lease: &Lease<'_, Q>, history: &History) -> Result<PassPlan> {
        let mut contents = read_queue(lease, self.bucket, KeepBodies::Of(&self.filter)).await?;
        let chosen = contents.choose(&self.filter, lease).await?;
        contents.summary().lines().iter().for_each(|line| self.context.output.note(line));
        contents.warnings().iter().for_each(|warning| self.context.output.note(warning));
        self.check_function(&chosen)?;
        let event_bytes = self.large_event_bytes(&chosen).await?;
        let plan = plan(chosen, &self.arguments.options, history, &event_bytes);
        lease.release(plan.refused.iter().flat_map(|refused| refused.message.message_ids())).await;
        Ok(PassPlan { plan, has_more: contents.received.waiting_behind() > 0 })
    }

    /// The exact size of those events that may be too large to invoke, by message id.
    async fn large_event_bytes(&self, messages: &[HydratedMessage]) -> Result<HashMap<String, usize>> {
        let mut event_bytes = HashMap::new();
        let is_large =
            |message: &&HydratedMessage| message.bytes > MAX_EVENT_BYTES as u64 && message.read_error.is_none();
        for message in messages.iter().filter(is_large) {
            if let Ok(received) = ParsedMessage::parse(&body_of(message, self.bucket).await?) {
                let event = ParsedMessage::event(received.records.iter().map(AsRef::as_ref));
                event_bytes.insert(message.id.clone(), event.len());
            }
        }
        Ok(event_bytes)
    }

    /// Refuses to run the batches of several functions on one function by mistake.
    fn check_function(&self, chosen: &[HydratedMessage]) -> Result<()> {
        let failed: BTreeSet<&str> = chosen.iter().filter_map(|message| message.function_arn.as_deref()).collect();
        if let Some(function) = &self.arguments.options.function
            && self.arguments.all
            && failed.len() > 1
        {
            let failed: Vec<&str> = failed.into_iter().collect();
            bail!(
                "--on {function} would run the batches of {} functions: {}\n  → --function chooses those of one",
                failed.len(),
                failed.join(", ")
            );
        }
        Ok(())
    }
}
