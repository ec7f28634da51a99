//! `dlq replay`: run failed batches again, and delete those that have succeeded.

mod batch;
pub mod execute;
mod held_by_others;
mod narrowed;
pub mod options;
mod outcome;
mod pace;
mod pass;
mod plan;
mod refusal;
mod report;
mod run_state;
mod selection;
pub mod session;

#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::rc::Rc;

use anyhow::{Context as _, Result, bail};
use hydration::ports::Clock;

use crate::commands::replay::execute::ReplayExecutor;
use crate::commands::replay::held_by_others::WaitForOthers;
use crate::commands::replay::options::InDoubtChoice;
pub use crate::commands::replay::options::{Arguments, parse_rate};
use crate::commands::replay::outcome::ReplayOutcome;
use crate::commands::replay::pace::Pace;
use crate::commands::replay::pass::PassPlan;
use crate::commands::replay::plan::{LeftBehind, OtherMessage, Plan, ReplayItem};
use crate::commands::replay::run_state::RunState;
use crate::commands::replay::session::{LedgerPlace, PlacedLedger, say_hidden, take_lock};
use crate::context::Context;
use crate::exit::{Exit, UsageError, explain, is_broken_pipe};
use crate::ledger::Ledger;
use crate::ledger::function::FunctionArn;
use crate::ledger::lock::Lock;
use crate::ledger::store::Store;
use crate::narrowing::Narrower;
use crate::ports::{Bucket, Function, Queue};
use crate::print::progress::Progress;
use crate::queue::filter::Filter;
use crate::queue::lease::{Lease, VISIBILITY_TIMEOUT, with_lease, with_lease_counted};
use crate::queue::read_summary::ReadSummary;

/// The resources of a command that may look at all of them.
#[derive(Debug)]
pub struct Resources<'a, Q, B, F, L> {
    pub queue: &'a Q,
    pub bucket: &'a B,
    pub function: &'a F,
    pub ledger: L,
}

pub async fn run<Q: Queue, B: Bucket, F: Function, S: Store, C: Clock>(
    context: &Context<C>,
    resources: Resources<'_, Q, B, F, PlacedLedger<'_, S, C>>,
    arguments: Arguments,
) -> Result<Exit> {
    let PlacedLedger { ledger, place } = resources.ledger;
    let options = &arguments.options;
    if (options.records.is_some() || options.except.is_some()) && arguments.ids.len() != 1 {
        let text = "--records and --except choose records of one batch\n  → name one id";
        return Err(UsageError(text.to_owned()).into());
    }
    let on = match &options.on {
        Some(name) => Some(context.interrupt.race(resolve(resources.function, name)).await??),
        None => None,
    };
    let filter = arguments.filter(context.now())?;
    let narrower = arguments.options.narrow.then(|| Narrower::new(resources.function));
    let replay = Replay {
        context,
        resources,
        ledger,
        place,
        arguments,
        on,
        filter,
        taken: RefCell::default(),
        narrower,
        pace: RefCell::default(),
        state: RunState::default(),
        outcomes: RefCell::default(),
        left_behind: RefCell::default(),
        read: Cell::default(),
    };
    if replay.arguments.execute { replay.execute().await } else { replay.dry_run().await }
}

/// The whole ARN of a function. A bare name is looked up, so that a run is never known by a name that two accounts have.
pub async fn resolve<F: Function>(function: &F, name: &str) -> Result<FunctionArn> {
    if let Ok(arn) = FunctionArn::parse(name) {
        return Ok(arn);
    }
    if name.starts_with("arn:") {
        bail!("{name}: {}", crate::ledger::function::InvalidFunctionArn);
    }
    let arn = function.resolve(name).await.map_err(|fault| explain(&fault)).with_context(|| {
        format!("the function {name} could not be looked up; give its whole ARN if you may not look it up")
    })?;
    FunctionArn::parse(&arn).with_context(|| format!("Lambda answered for {name} with {arn}"))
}

struct Replay<'a, Q, B, F, S, C> {
    context: &'a Context<C>,
    resources: Resources<'a, Q, B, F, PlacedLedger<'a, S, C>>,
    ledger: &'a Ledger<S, C>,
    place: &'a LedgerPlace,
    arguments: Arguments,
    /// The function that `--on` names.
    on: Option<FunctionArn>,
    filter: Filter,
    /// Ids of the batches that the passes so far have chosen.
    taken: RefCell<BTreeSet<String>>,
    /// Present if supersets are narrowed.
    narrower: Option<Narrower<'a, F>>,
    pace: RefCell<Option<Rc<Pace>>>,
    state: RunState,
    /// The latest outcome of each message: done or not.
    outcomes: RefCell<BTreeMap<String, bool>>,
    left_behind: RefCell<LeftBehind>,
    /// Facts about the latest pass over the queue.
    read: Cell<ReadSummary>,
}

/// The end of one pass.
enum PassEnd {
    /// Others hold messages that were not held before the read. Nothing was run.
    LookAgain,
    /// `has_more`: the queue has messages that this pass did not show.
    Run { has_more: bool },
}

impl<Q: Queue, B: Bucket, F: Function, S: Store, C: Clock> Replay<'_, Q, B, F, S, C> {
    async fn dry_run(&self) -> Result<Exit> {
        let (interrupt, output) = (&self.context.interrupt, &self.context.output);
        let lock = interrupt.race(self.ledger.held_lock()).await??;
        let pass = with_lease(self.context, self.resources.queue, async |lease| self.plan_pass(lease).await).await?;
        let pace = self.pace(&pass.plan).await?;
        let report = report::Report { context: self.context, place: self.place, pace: &pace };
        report.header(&pass.plan)?;
        report.held_by_others(&pass);
        report.dry_run(&pass.plan, self.read.get())?;
        if let Some(held) = &lock {
            output.note(held.to_string());
        }
        Ok(if lock.is_none() { self.read.get().exit() } else { Exit::Attention })
    }

    async fn execute(&self) -> Result<Exit> {
        let options = &self.arguments.options;
        let settles = (options.in_doubt != InDoubtChoice::Keep).then_some(options.ended_run.as_deref()).flatten();
        let lock = take_lock(self.ledger, &self.context.interrupt, settles).await?;
        let is_all_visible = Cell::new(true);
        let worked = tokio::select! {
            worked = self.run_passes(&lock, &is_all_visible) => worked,
            never = self.announce_interrupt() => match never {},
        };
        let hidden = (!is_all_visible.get()).then_some(VISIBILITY_TIMEOUT);
        let unlocked = self.ledger.unlock(&lock, hidden).await;
        let is_readable = worked.as_ref().err().is_none_or(|error| !is_broken_pipe(error));
        if is_readable {
            self.summary()?;
        }
        worked?;
        unlocked.context("the lock on the queue could not be released")?;
        self.context.interrupt.check()?;
        if let Some(reason) = self.state.stop_reason() {
            bail!("{reason}\n  → run it again: what is done is in the ledger");
        }
        Ok(if self.left() > 0 || !self.read.get().is_complete() { Exit::Attention } else { Exit::Done })
    }

    fn summary(&self) -> Result<()> {
        let output = &self.context.output;
        for id in self.state.under_way.borrow().iter() {
            output.note(format!("{id} was under way: nobody knows whether it ran, and it is in doubt"));
        }
        report::summary(output, self.done(), self.left(), self.read.get())
    }

    fn done(&self) -> u64 {
        self.outcomes.borrow().values().filter(|is_done| **is_done).count() as u64
    }

    fn left(&self) -> u64 {
        self.outcomes.borrow().values().filter(|is_done| !**is_done).count() as u64
    }

    /// Says on the first Ctrl-C that the run comes to its end. Never returns.
    async fn announce_interrupt(&self) -> Infallible {
        self.context.interrupt.requested().await;
        self.context
            .output
            .progress("stopping after the invocations that are running now; Ctrl-C again leaves them, in doubt");
        std::future::pending().await
    }

    /// Runs passes until nothing more can be done. One is enough, unless the queue shows only a part of its messages:
    /// ten of each shard on a FIFO queue, 120,000 on others.
    async fn run_passes(&self, lock: &Lock, is_all_visible: &Cell<bool>) -> Result<()> {
        let interrupt = &self.context.interrupt;
        say_hidden(self.context, lock);
        tokio::select! {
            () = self.ledger.wait_until_visible(lock) => {}
            () = interrupt.requested() => return Ok(()),
        }
        let (mut is_first, mut wait) = (true, WaitForOthers::begin(&self.context.clock));
        loop {
            let done_before = self.done();
            if self.waits_for_others()
                && let Err(error) = wait.until_none(self.context, self.resources.queue).await
            {
                // The lock is released and the summary printed as after any other interrupt.
                return if interrupt.is_requested() { Ok(()) } else { Err(error) };
            }
            let work = async |lease: &Lease<'_, Q>| self.run_pass(lease, lock, &wait, is_first).await;
            let leased = with_lease_counted(self.context, self.resources.queue, work).await;
            is_all_visible.set(is_all_visible.get() && leased.hidden == 0);
            let has_more = match leased.result? {
                PassEnd::LookAgain if interrupt.is_requested() => return Ok(()),
                PassEnd::LookAgain => continue,
                PassEnd::Run { has_more } => has_more,
            };
            let is_stopped =
                self.state.stop_reason().is_some() || self.state.has_too_many_failures(&self.arguments.options);
            let is_worth_another = has_more && self.arguments.all && self.done() > done_before && !is_stopped;
            if !is_worth_another || interrupt.is_requested() {
                return Ok(());
            }
            (is_first, wait) = (false, WaitForOthers::begin(&self.context.clock));
        }
    }

    /// Runs what is visible on the queue now.
    async fn run_pass(
        &self,
        lease: &Lease<'_, Q>,
        lock: &Lock,
        wait: &WaitForOthers,
        is_first: bool,
    ) -> Result<PassEnd> {
        let planned = self.plan_pass(lease).await?;
        if planned.is_refused && wait.may_look_again(&self.context.clock) {
            return Ok(PassEnd::LookAgain);
        }
        let pace = self.pace(&planned.plan).await?;
        let report = report::Report { context: self.context, place: self.place, pace: &pace };
        if is_first {
            report.header(&planned.plan)?;
            if planned.has_more && self.arguments.all && !planned.is_in_order {
                let note = "SQS does not show the whole queue at once: it is run in several passes, and a shard's batches \
                            are in order only among those that one pass shows";
                self.context.output.note(note);
            }
        }
        if is_first || planned.is_refused {
            report.held_by_others(&planned);
        }
        let executor = ReplayExecutor {
            lease,
            bucket: self.resources.bucket,
            function: self.resources.function,
            clock: &self.context.clock,
            ledger: self.ledger,
            lock,
            options: &self.arguments.options,
            concurrency: pace.concurrency,
            rate_limiter: &pace.limiter,
            state: &self.state,
            narrower: self.narrower.as_ref(),
        };
        self.run_plan(&executor, planned.plan).await?;
        Ok(PassEnd::Run { has_more: planned.has_more && !planned.is_refused })
    }

    /// Tells if nothing may be invoked while others hold messages. Who names batches by their ids has looked at them.
    fn waits_for_others(&self) -> bool {
        self.arguments.all && !self.arguments.options.keep_going
    }

    async fn run_plan(&self, executor: &ReplayExecutor<'_, Q, B, F, S, C>, plan: Plan) -> Result<()> {
        let output = &self.context.output;
        let progress = Progress::new("replaying");
        progress.expect(plan.items().count() as u64);
        let report_item = |item: &ReplayItem, outcome: &ReplayOutcome| {
            let before = self.outcomes.borrow_mut().insert(item.message.id.clone(), outcome.is_done());
            if outcome.blocks_shard() {
                self.left_behind.borrow_mut().add(OtherMessage::new(&item.message, self.on.as_ref()));
            }
            progress.add(1);
            // A later pass meets again what an earlier one has left.
            if before == Some(false) && !outcome.is_done() {
                return Ok(());
            }
            progress.aside(|| report::outcome(output, item, outcome))
        };
        executor.run(plan.shard_queues, report_item).await?;
        progress.finish();
        Ok(())
    }

    /// The speed of the run. A later pass may meet functions that an earlier one has not, with less concurrency.
    async fn pace(&self, plan: &Plan) -> Result<Rc<Pace>> {
        if let Some(pace) = self.pace.borrow().as_ref().filter(|pace| pace.is_for(plan)) {
            return Ok(Rc::clone(pace));
        }
        let pace = Pace::choose(&self.arguments.options, self.resources.function, plan);
        let pace = Rc::new(self.context.interrupt.race(pace).await??);
        self.pace.replace(Some(Rc::clone(&pace)));
        Ok(pace)
    }
}
