//! `dlq replay`: run failed batches again, and delete those that have succeeded.

mod batch;
pub mod execute;
mod held_by_others;
mod narrowed;
pub mod options;
mod outcome;
mod pace;
mod plan;
mod report;
mod selection;
pub mod session;

#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::rc::Rc;

use anyhow::{Context as _, Result, bail};
use hydration::message::parsed::ParsedMessage;
use hydration::message::part::MAX_EVENT_BYTES;
use hydration::ports::Clock;

use crate::commands::replay::execute::{ReplayExecutor, RunState};
use crate::commands::replay::held_by_others::{HeldByOthers, WaitForOthers};
use crate::commands::replay::narrowed::LeftOutByMessage;
use crate::commands::replay::options::InDoubtChoice;
pub use crate::commands::replay::options::{Arguments, parse_rate};
use crate::commands::replay::outcome::ReplayOutcome;
use crate::commands::replay::pace::Pace;
use crate::commands::replay::plan::{Facts, LeftBehind, OtherMessage, Plan, RefusalReason, ReplayItem, plan, run_key};
use crate::commands::replay::session::{LedgerPlace, PlacedLedger, say_hidden, take_lock};
use crate::context::Context;
use crate::exit::{Exit, UsageError, explain, is_broken_pipe};
use crate::ledger::Ledger;
use crate::ledger::claim::Known;
use crate::ledger::function::FunctionArn;
use crate::ledger::key::RunKey;
use crate::ledger::lock::Lock;
use crate::ledger::store::Store;
use crate::narrowing::Narrower;
use crate::ports::{Bucket, Function, Queue};
use crate::print::progress::Progress;
use crate::queue::filter::Filter;
use crate::queue::hydrated_message::HydratedMessage;
use crate::queue::lease::{Lease, VISIBILITY_TIMEOUT, with_lease, with_lease_counted};
use crate::queue::read_queue::{KeepBodies, body_of, read_queue};
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

/// The plan for one pass over the queue.
struct PassPlan {
    plan: Plan,
    /// The queue has more messages than it shows.
    has_more: bool,
    /// The first messages of each shard are shown first.
    is_in_order: bool,
    held_by_others: HeldByOthers,
    /// Nothing is invoked, because others hold messages.
    is_refused: bool,
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

    /// Reads the queue and the ledger, and plans what to run. Messages that are not run are released.
    async fn plan_pass(&self, lease: &Lease<'_, Q>) -> Result<PassPlan> {
        let filter = self.filter.after(&self.taken.borrow());
        let mut contents = read_queue(lease, self.resources.bucket, KeepBodies::Of(&filter)).await?;
        let held_by_others = HeldByOthers::after_read(lease, &contents.received).await?;
        let not_hydrated: Vec<OtherMessage> = contents.foreign.iter().filter_map(OtherMessage::not_hydrated).collect();
        let all: Vec<(String, OtherMessage)> = contents
            .messages
            .iter()
            .map(|message| (message.id.clone(), OtherMessage::new(message, self.on.as_ref())))
            .collect();
        let chosen = contents.choose(&filter, lease).await?;
        self.taken.borrow_mut().extend(chosen.iter().map(|message| message.batch_id().to_owned()));
        contents.warnings().iter().for_each(|warning| self.context.output.note(warning));
        let ids: BTreeSet<&str> = chosen.iter().map(|message| message.id.as_str()).collect();
        let not_chosen = all.into_iter().filter(|(id, _)| !ids.contains(id.as_str())).map(|(_, other)| other);
        let left_behind = self.left_behind.borrow().not_among(&ids);
        let others: Vec<OtherMessage> = not_chosen.chain(not_hydrated).chain(left_behind).collect();
        let read = contents.summary();
        self.read.set(ReadSummary { in_flight: read.in_flight.max(held_by_others.in_flight), ..read });
        self.check_function(&chosen)?;
        let (known, event_bytes) = self.context.interrupt.race(self.known(&chosen, &others)).await??;
        let left_out = match &self.narrower {
            None => LeftOutByMessage::new(),
            Some(narrower) => {
                let (bucket, options) = (self.resources.bucket, &self.arguments.options);
                let asked = narrowed::left_out(narrower, bucket, &chosen, &known, self.on.as_ref(), options);
                self.context.interrupt.race(asked).await??
            }
        };
        let failed_before = self.state.failed.borrow().clone();
        let facts = Facts {
            options: &self.arguments.options,
            on: self.on.as_ref(),
            known: &known,
            event_bytes: &event_bytes,
            failed_before: &failed_before,
            is_held_by_others: self.waits_for_others() && !held_by_others.is_none(),
            left_out: &left_out,
        };
        let plan = plan(chosen, &others, &facts);
        others
            .into_iter()
            .filter(|other| other.waits(&known))
            .for_each(|other| self.left_behind.borrow_mut().add(other));
        let is_kept =
            |item: &&ReplayItem| matches!(item.action, plan::Action::Refuse(_) | plan::Action::HoldBack { .. });
        lease.release(plan.items().filter(is_kept).flat_map(|item| item.message.message_ids())).await;
        let is_in_order = contents.received.attributes.is_fifo;
        let is_refused = plan.items().any(|item| item.action == plan::Action::Refuse(RefusalReason::InFlight));
        let has_more = contents.received.not_looked_at() > 0;
        Ok(PassPlan { plan, has_more, is_in_order, held_by_others, is_refused })
    }

    async fn known(
        &self,
        chosen: &[HydratedMessage],
        others: &[OtherMessage],
    ) -> Result<(BTreeMap<RunKey, Known>, HashMap<String, usize>)> {
        let own = chosen.iter().filter_map(|message| run_key(message, self.on.as_ref()));
        let keys: BTreeSet<RunKey> = own.chain(others.iter().filter_map(|other| other.key.clone())).collect();
        Ok((self.ledger.known(&keys).await?, self.large_event_bytes(chosen).await?))
    }

    /// The exact size of those events that may be too large to invoke, by message id.
    async fn large_event_bytes(&self, messages: &[HydratedMessage]) -> Result<HashMap<String, usize>> {
        let mut event_bytes = HashMap::new();
        let is_large =
            |message: &&HydratedMessage| message.bytes > MAX_EVENT_BYTES as u64 && message.read_error.is_none();
        for message in messages.iter().filter(is_large) {
            if let Ok(received) = ParsedMessage::parse(&body_of(message, self.resources.bucket).await?) {
                let event = ParsedMessage::event(received.records.iter().map(AsRef::as_ref));
                event_bytes.insert(message.id.clone(), event.len());
            }
        }
        Ok(event_bytes)
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

    /// Refuses to run the batches of several functions on one function by mistake.
    fn check_function(&self, chosen: &[HydratedMessage]) -> Result<()> {
        let failed: BTreeSet<&str> = chosen.iter().filter_map(|message| message.function_arn.as_deref()).collect();
        if let Some(function) = &self.on
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
