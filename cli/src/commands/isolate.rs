//! `dlq isolate`: the search for the record that a function fails on.

mod ddmin;

use std::cell::{Cell, RefCell};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use hydration::message::parsed::ParsedMessage;
use hydration::message::part::MAX_EVENT_BYTES;
use hydration::ports::Clock;
use hydration::record::event::EventRecord;
use hydration::sequence_number::SequenceNumber;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::batch_item_failures::succeeded_count;
use crate::commands::isolate::ddmin::{Smallest, Trial, smallest};
use crate::commands::replay::execute::{MAX_ATTEMPTS, is_throttled, throttled_delay};
use crate::commands::replay::session::{LedgerPlace, take_lock};
use crate::commands::replay::{Resources, resolve};
use crate::context::Context;
use crate::exit::{Exit, explain};
use crate::interrupt::Interrupt;
use crate::ledger::Ledger;
use crate::ledger::store::Store;
use crate::ports::{Bucket, Function, InvokeOutcome, Queue};
use crate::print::progress::Progress;
use crate::print::records::{self, RecordJson};
use crate::print::{Output, Paint, printable, short_id};
use crate::queue::filter::{Filter, parse_id};
use crate::queue::lease::{Lease, Leased, VISIBILITY_TIMEOUT, with_lease_counted};
use crate::queue::read_queue::{KeepBodies, body_of, read_queue};
use crate::rate_limiter::RateLimiter;

/// Records that are tried by themselves before a function is said to fail on everything.
const MAX_SINGLE_TRIALS: usize = 8;

/// Find the record that a function fails on: invoke it with parts of the batch until the smallest failing set is left
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  dlq isolate 4f1c                                 what would be invoked, and how often
  dlq isolate 4f1c --execute --on orders:debug     on an alias or a copy with nothing behind it
  dlq isolate 4f1c --execute

The function really runs, and the records that it does not fail on are really processed: use an alias or a copy where
that matters. The message stays on the queue, and what isolate ran does not count as replayed. No replay runs beside it:
it holds the lock on the queue.

Exit code 3 means that the function did not fail on the batch this time, that it fails on everything, or that the search
was not finished.")]
pub struct Arguments {
    /// An id, or the beginning of one; one part of a batch has its own id
    #[arg(value_name = "ID", value_parser = parse_id)]
    id: String,
    /// Invoke; without it, only say what would be done
    #[arg(long)]
    execute: bool,
    /// Invoke this function instead of the one that failed: a name, name:alias, or an ARN
    #[arg(long, value_name = "FUNCTION")]
    on: Option<String>,
    /// Stop after this number of invocations
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    max_invocations: u32,
    /// Invocations a second, at most
    #[arg(long, value_name = "N", default_value_t = 5.0, value_parser = super::replay::parse_rate)]
    rate: f64,
    /// The place of the ledger, as in dlq replay
    #[arg(long, value_name = "s3://…|DIR")]
    pub ledger: Option<String>,
}

/// Searches under the lock on the queue, so that no replay runs the batch meanwhile. It makes no claim: a trial runs
/// records again on purpose, and none of them counts as run. What it did is not in doubt for anybody, because the
/// message stays as it was.
pub async fn run<Q: Queue, B: Bucket, F: Function, S: Store, C: Clock>(
    context: &Context<C>,
    resources: Resources<'_, Q, B, F>,
    ledger: &Ledger<S, C>,
    place: &LedgerPlace,
    arguments: Arguments,
) -> Result<Exit> {
    let on = match &arguments.on {
        Some(name) => Some(context.interrupt.race(resolve(resources.function, name)).await??.as_str().to_owned()),
        None => None,
    };
    if !context.output.json {
        place.queue.print(&context.output)?;
    }
    let search = Search { context, resources, arguments, on };
    if !search.arguments.execute {
        return search.run().await.result;
    }
    let lock = take_lock(ledger, &context.interrupt, None).await?;
    let leased = match context.interrupt.race(ledger.wait_until_visible(&lock)).await {
        Ok(()) => search.run().await,
        Err(interrupted) => Leased { result: Err(interrupted), hidden: 0 },
    };
    let hidden = (leased.hidden > 0).then_some(VISIBILITY_TIMEOUT);
    let unlocked = ledger.unlock(&lock, hidden).await;
    let exit = leased.result?;
    unlocked.context("the lock on the queue could not be released")?;
    Ok(exit)
}

struct Search<'a, Q, B, F, C> {
    context: &'a Context<C>,
    resources: Resources<'a, Q, B, F>,
    arguments: Arguments,
    /// The ARN of the function that `--on` names.
    on: Option<String>,
}

impl<Q: Queue, B: Bucket, F: Function, C: Clock> Search<'_, Q, B, F, C> {
    /// The message stays leased during the search, so that nobody replays it meanwhile.
    async fn run(&self) -> Leased<Exit> {
        let work = async |lease: &Lease<'_, Q>| self.search(lease).await;
        with_lease_counted(self.resources.queue, &self.context.interrupt, work).await
    }

    async fn search(&self, lease: &Lease<'_, Q>) -> Result<Exit> {
        let (arguments, bucket) = (&self.arguments, self.resources.bucket);
        let filter = Filter::by_ids(std::slice::from_ref(&arguments.id));
        let mut contents = read_queue(lease, bucket, KeepBodies::Of(&filter)).await?;
        let chosen = contents.choose(&filter, lease).await?;
        let message = match chosen.as_slice() {
            [message] => message,
            several => {
                let ids: Vec<String> = several.iter().map(|message| short_id(&message.id)).collect();
                bail!("the batch has {} parts\n  → name one: {}", several.len(), ids.join(", "))
            }
        };
        let received = ParsedMessage::parse(&body_of(message, bucket).await?)?;
        if received.records.is_empty() {
            bail!("the message holds no records\n  → dlq show {} says why", arguments.id);
        }
        let name = self.on.as_deref().or_else(|| message.lambda_arn());
        let name = name.context("no Lambda function failed on it\n  → name one with --on")?;
        if !arguments.execute {
            print_dry_run(&self.context.output, arguments, name, received.records.len())?;
            return Ok(Exit::Done);
        }
        isolate(self.context, arguments, self.resources.function, name, &received).await
    }
}

fn print_dry_run(output: &Output, arguments: &Arguments, name: &str, records: usize) -> Result<()> {
    let expected = (records as f64).log2().ceil() * 2.0 + 1.0;
    output.line(format!(
        "Dry run: nothing was invoked. With --execute, {name} is invoked with parts of {records} records, about \
         {expected} times for one poison record and {} at most.",
        arguments.max_invocations
    ))
}

async fn isolate<F: Function, C: Clock>(
    context: &Context<C>,
    arguments: &Arguments,
    function: &F,
    name: &str,
    received: &ParsedMessage,
) -> Result<Exit> {
    let output = &context.output;
    let trials = Trials {
        function,
        clock: &context.clock,
        name,
        interrupt: &context.interrupt,
        records: numbered_records(received)?,
        rate_limiter: RateLimiter::per_second(arguments.rate),
        progress: Progress::new("invoking"),
        max_invocations: arguments.max_invocations,
        invocations: Cell::new(0),
        last_error: RefCell::default(),
        has_passed: Cell::new(false),
        stopped_by: RefCell::default(),
    };
    let all: Vec<usize> = (0..trials.records.len()).collect();
    match trials.run(&all).await? {
        Trial::Passes => {
            trials.progress.finish();
            output.line(format!("{name} does not fail on the batch any more. It was just run as a whole."))?;
            output.line("  → dlq replay runs it again and deletes it; isolate does not count as a replay")?;
            return Ok(Exit::Attention);
        }
        Trial::Fails | Trial::Stop => {}
    }
    let found = smallest(all, async |places: &[usize]| trials.run(places).await).await?;
    let is_selective = found.places.len() == trials.records.len() || trials.has_one_that_passes(&found).await?;
    trials.progress.finish();
    if let Some(reason) = trials.stopped_by.borrow().as_ref() {
        output.note(format!("the search was not finished: {reason}"));
    }
    match (output.json, is_selective) {
        (true, _) => print_json(output, &trials, received, &found, is_selective)?,
        (false, true) => print_text(output, &trials, received, &found)?,
        (false, false) => print_fails_on_everything(output, &trials)?,
    }
    context.interrupt.check()?;
    Ok(if found.is_minimal && is_selective { Exit::Done } else { Exit::Attention })
}

/// A record of the batch: its sequence number, and its text as Lambda delivered it.
struct CandidateRecord<'a> {
    number: SequenceNumber,
    raw: &'a RawValue,
}

fn numbered_records(received: &ParsedMessage) -> Result<Vec<CandidateRecord<'_>>> {
    let source = received.head.batch.as_ref().map(|batch| batch.stream.source()).context("it names no stream")?;
    let numbered = received.records.iter().map(|raw| {
        let event = EventRecord::parse(source, raw).context("a record of it has no sequence number")?;
        Ok(CandidateRecord { number: event.sequence_number().clone(), raw })
    });
    numbered.collect()
}

#[derive(Debug, Clone, Default)]
struct FunctionError {
    error_type: String,
    message: String,
}

/// Invocations of the function with some of the records.
struct Trials<'a, F, C> {
    function: &'a F,
    clock: &'a C,
    name: &'a str,
    interrupt: &'a Interrupt,
    records: Vec<CandidateRecord<'a>>,
    rate_limiter: RateLimiter,
    progress: Progress,
    max_invocations: u32,
    invocations: Cell<u32>,
    last_error: RefCell<FunctionError>,
    has_passed: Cell<bool>,
    /// The reason why the search ended early.
    stopped_by: RefCell<Option<String>>,
}

impl<F: Function, C: Clock> Trials<'_, F, C> {
    async fn run(&self, places: &[usize]) -> Result<Trial> {
        for attempt in 1..=MAX_ATTEMPTS {
            self.wait(self.rate_limiter.wait(self.clock)).await;
            if self.interrupt.is_requested() || self.stopped_by.borrow().is_some() {
                return Ok(Trial::Stop);
            }
            if self.invocations.get() >= self.max_invocations {
                return Ok(self.stop(format!("--max-invocations {} is reached", self.max_invocations)));
            }
            self.invocations.set(self.invocations.get() + 1);
            self.progress.add(1);
            let invoked = self.function.invoke(self.name, self.event(places)?).await;
            if is_throttled(&invoked) && attempt < MAX_ATTEMPTS {
                self.wait(self.clock.sleep(throttled_delay(attempt, self.clock))).await;
            } else {
                return Ok(self.trial(places, invoked.outcome));
            }
        }
        Ok(Trial::Stop)
    }

    /// Waits, unless the search is interrupted.
    async fn wait(&self, until: impl Future<Output = ()>) {
        tokio::select! {
            () = until => {}
            () = self.interrupt.requested() => {}
        }
    }

    fn stop(&self, reason: String) -> Trial {
        self.stopped_by.borrow_mut().get_or_insert(reason);
        Trial::Stop
    }

    fn event(&self, places: &[usize]) -> Result<String> {
        let given = places.iter().filter_map(|place| self.records.get(*place));
        let event = ParsedMessage::event(given.map(|record| record.raw));
        if event.len() > MAX_EVENT_BYTES {
            bail!("the batch is larger than the 6 MB that an invocation takes\n  → dlq export writes it to a file");
        }
        Ok(event)
    }

    fn trial(&self, places: &[usize], outcome: InvokeOutcome) -> Trial {
        let error = match outcome {
            InvokeOutcome::Failed { error_type, message } => FunctionError { error_type, message },
            InvokeOutcome::Returned(answer) => {
                let given = places.iter().filter_map(|place| self.records.get(*place));
                let numbers: Vec<SequenceNumber> = given.map(|record| record.number.clone()).collect();
                let Some(number) = numbers.get(succeeded_count(&answer, &numbers)) else {
                    self.has_passed.set(true);
                    return Trial::Passes;
                };
                let message = format!("the function named {number} as failed");
                FunctionError { error_type: "batchItemFailures".to_owned(), message }
            }
            // What was found until now is printed: a fault must not lose the search.
            InvokeOutcome::NotRun(fault) => return self.stop(format!("{:#}", explain(&fault))),
            InvokeOutcome::Unknown(reason) => {
                return self.stop(format!("{} was invoked and did not answer: {reason}", self.name));
            }
        };
        *self.last_error.borrow_mut() = error;
        Trial::Fails
    }

    /// Tells if the function passes on anything. Where no trial has passed, it may fail whatever it is given, and then
    /// the first record is as innocent as the others: the rest of the batch is tried, and some records by themselves.
    async fn has_one_that_passes(&self, found: &Smallest) -> Result<bool> {
        let others: Vec<usize> = (0..self.records.len()).filter(|place| !found.places.contains(place)).collect();
        let step = others.len().div_ceil(MAX_SINGLE_TRIALS).max(1);
        let singles = others.iter().rev().step_by(step).map(|place| vec![*place]);
        let last_error = self.last_error.borrow().clone();
        for places in std::iter::once(others.clone()).chain(singles) {
            if self.has_passed.get() || self.run(&places).await? != Trial::Fails {
                break;
            }
        }
        *self.last_error.borrow_mut() = last_error;
        // A search that was stopped does not know.
        Ok(self.has_passed.get() || self.stopped_by.borrow().is_some() || self.interrupt.is_requested())
    }
}

/// The smallest failing set, as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IsolatedJson<'a> {
    function: &'a str,
    invocations: u32,
    is_minimal: bool,
    /// The function failed on every part of the batch that was tried, so that no record is to blame.
    fails_on_everything: bool,
    error_type: &'a str,
    error_message: &'a str,
    records: Vec<RecordJson>,
}

fn print_json<F, C>(
    output: &Output,
    trials: &Trials<'_, F, C>,
    received: &ParsedMessage,
    found: &Smallest,
    is_selective: bool,
) -> Result<()> {
    let error = trials.last_error.borrow();
    let places: &[usize] = if is_selective { &found.places } else { &[] };
    output.json(&IsolatedJson {
        function: trials.name,
        invocations: trials.invocations.get(),
        is_minimal: found.is_minimal && is_selective,
        fails_on_everything: !is_selective,
        error_type: &error.error_type,
        error_message: &error.message,
        records: records::as_json(received, places),
    })
}

fn print_fails_on_everything<F, C>(output: &Output, trials: &Trials<'_, F, C>) -> Result<()> {
    let title = format!(
        "{} fails on everything that it is given ({} invocations): no record is to blame",
        trials.name,
        trials.invocations.get()
    );
    output.line(output.paint(Paint::Bold, title))?;
    let error = trials.last_error.borrow();
    output.line(output.paint(Paint::Red, format!("{}: {}", error.error_type, printable(&error.message))))
}

fn print_text<F, C>(
    output: &Output,
    trials: &Trials<'_, F, C>,
    received: &ParsedMessage,
    found: &Smallest,
) -> Result<()> {
    let result = match (found.is_minimal, found.places.len()) {
        (false, left) => format!("Not finished: {left} of {} records still fail together", trials.records.len()),
        (true, 1) => "One record fails by itself".to_owned(),
        (true, several) => format!("{several} records fail together, and not without any one of them"),
    };
    let title = format!("{result} ({} invocations of {})", trials.invocations.get(), trials.name);
    output.line(output.paint(Paint::Bold, title))?;
    let error = trials.last_error.borrow();
    output.line(output.paint(Paint::Red, format!("{}: {}", error.error_type, printable(&error.message))))?;
    records::print_places(output, received, &found.places, false)
}
