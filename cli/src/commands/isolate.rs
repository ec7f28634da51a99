//! `dlq isolate`: the search for the record that a function fails on.

mod ddmin;
mod report;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use hydration::message::parsed::ParsedMessage;
use hydration::message::part::MAX_EVENT_BYTES;
use hydration::ports::Clock;
use hydration::record::event::EventRecord;
use hydration::sequence_number::SequenceNumber;
use hydration::suspects::Suspect;
use serde_json::value::RawValue;

use crate::batch_item_failures::succeeded_count;
use crate::commands::isolate::ddmin::{Smallest, Trial, smallest};
use crate::commands::isolate::report::{SearchResult, Subject};
use crate::commands::replay::execute::{MAX_ATTEMPTS, is_throttled, throttled_delay};
use crate::commands::replay::session::{PlacedLedger, say_hidden, take_lock};
use crate::commands::replay::{Resources, resolve};
use crate::context::Context;
use crate::exit::{Exit, explain};
use crate::ledger::Ledger;
use crate::ledger::function::FunctionArn;
use crate::ledger::key::RunKey;
use crate::ledger::span::{Coverage, coverage};
use crate::ledger::store::Store;
use crate::ports::{Bucket, Function, InvokeOutcome, Queue};
use crate::print::progress::Progress;
use crate::print::short_id;
use crate::queue::filter::{Filter, parse_id};
use crate::queue::hydrated_message::HydratedMessage;
use crate::queue::lease::{Lease, Leased, VISIBILITY_TIMEOUT, with_lease_counted};
use crate::queue::read_queue::{KeepBodies, body_of, read_queue};
use crate::rate_limiter::RateLimiter;
use crate::suspects::{LogLinesArgs, MoreEvidence, suspects};

/// Records that are tried by themselves before a function is said to fail on everything.
const MAX_SINGLE_TRIALS: usize = 8;

/// Find the record that a function fails on: invoke it with parts of the batch until the smallest failing set is left
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  dlq isolate 4f1c                                 what would be invoked, and how often
  dlq isolate 4f1c --execute --on orders:debug     on an alias or a copy with nothing behind it
  dlq isolate 4f1c --execute

Suspects, as dlq show names them, are tried first, each alone: where one fails and the rest passes, two invocations are
enough. --log-lines helps to find them, and so does the error of the first invocation.

The function really runs, and the records that it does not fail on are really processed: use an alias or a copy where
that matters. Records that have succeeded on the function in a replay are left out. The message stays on the queue, and
what isolate ran does not count as replayed. No replay runs beside it: it holds the lock on the queue.

Exit code 3 means that the function did not fail on the batch this time, that it fails on everything, that the search
was not finished, or that something on the queue was not seen.")]
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
    #[command(flatten)]
    log_lines: LogLinesArgs,
    /// The place of the ledger, as in dlq replay
    #[arg(long, value_name = "s3://…|DIR")]
    pub ledger: Option<String>,
}

/// Searches under the lock on the queue, so that no replay runs the batch meanwhile. It makes no claim: a trial runs
/// records again on purpose, and none of them counts as run. What it did is not in doubt for anybody, because the
/// message stays as it was.
pub async fn run<Q: Queue, B: Bucket, F: Function, S: Store, C: Clock>(
    context: &Context<C>,
    resources: Resources<'_, Q, B, F, PlacedLedger<'_, S, C>>,
    arguments: Arguments,
) -> Result<Exit> {
    let on = match &arguments.on {
        Some(name) => Some(context.interrupt.race(resolve(resources.function, name)).await??.as_str().to_owned()),
        None => None,
    };
    let PlacedLedger { ledger, place } = resources.ledger;
    place.print(&context.output)?;
    let log_lines = arguments.log_lines.read(&context.interrupt).await?;
    let search = Search { context, resources, ledger, arguments, on, log_lines };
    if !search.arguments.execute {
        return search.run().await.result;
    }
    let lock = take_lock(ledger, &context.interrupt, None).await?;
    say_hidden(context, &lock);
    let leased = match context.interrupt.race(ledger.wait_until_visible(&lock)).await {
        Ok(()) => search.run().await,
        Err(interrupted) => Leased { result: Err(interrupted), hidden: 0, release_error: None },
    };
    let hidden = (leased.hidden > 0).then_some(VISIBILITY_TIMEOUT);
    let unlocked = ledger.unlock(&lock, hidden).await;
    let exit = leased.result?;
    unlocked.context("the lock on the queue could not be released")?;
    Ok(exit)
}

struct Search<'a, Q, B, F, S, C> {
    context: &'a Context<C>,
    resources: Resources<'a, Q, B, F, PlacedLedger<'a, S, C>>,
    ledger: &'a Ledger<S, C>,
    arguments: Arguments,
    /// The ARN of the function that `--on` names.
    on: Option<String>,
    /// Log lines that the caller gave.
    log_lines: Vec<String>,
}

impl<Q: Queue, B: Bucket, F: Function, S: Store, C: Clock> Search<'_, Q, B, F, S, C> {
    /// The message stays leased during the search, so that nobody replays it meanwhile.
    async fn run(&self) -> Leased<Exit> {
        let work = async |lease: &Lease<'_, Q>| self.search(lease).await;
        with_lease_counted(self.context, self.resources.queue, work).await
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
        let candidates = self.candidates(message, name, &received).await?;
        let output = &self.context.output;
        let subject = Subject { id: &message.id, function: name, received: &received, left_out: candidates.left_out };
        let exit = if candidates.places.is_empty() {
            report::nothing_left(output, &subject)?;
            Exit::Attention
        } else if arguments.execute {
            self.isolate(lease, message, &subject, candidates).await?
        } else {
            report::dry_run(output, &subject, arguments.max_invocations)?;
            Exit::Done
        };
        let summary = contents.summary();
        summary.print(output)?;
        contents.warnings().iter().for_each(|warning| output.note(warning));
        Ok(if exit == Exit::Done { summary.exit() } else { exit })
    }

    /// The records to search in: those that have not succeeded on the function. One that has is not the one that fails
    /// by itself, and a trial would process it once more.
    async fn candidates<'r>(
        &self,
        message: &HydratedMessage,
        function: &str,
        received: &'r ParsedMessage,
    ) -> Result<Candidates<'r>> {
        let records = numbered_records(received)?;
        let all: Vec<usize> = (0..records.len()).collect();
        let Ok(function) = FunctionArn::parse(function) else {
            return Ok(Candidates { records, places: all, left_out: 0 });
        };
        let key = RunKey { batch: message.id.clone(), function };
        let known = self.context.interrupt.race(self.ledger.known(&BTreeSet::from([key]))).await??;
        let done = known.into_values().flat_map(|known| known.run.done).collect::<Vec<_>>();
        let numbers: Vec<SequenceNumber> = records.iter().map(|record| record.number.clone()).collect();
        let places = match coverage(&done, &numbers) {
            Coverage::Known(covered) => {
                all.iter().copied().filter(|place| covered.get(*place) != Some(&true)).collect()
            }
            // A copy with other records has run: nobody can say which of these have succeeded.
            Coverage::MoreThanWereRun => all.clone(),
        };
        Ok(Candidates { left_out: all.len() - places.len(), records, places })
    }

    async fn isolate(
        &self,
        lease: &Lease<'_, Q>,
        message: &HydratedMessage,
        subject: &Subject<'_>,
        Candidates { records, places, .. }: Candidates<'_>,
    ) -> Result<Exit> {
        let (context, arguments) = (self.context, &self.arguments);
        let trials = Trials {
            function: self.resources.function,
            clock: &context.clock,
            name: subject.function,
            lease,
            records,
            rate_limiter: RateLimiter::per_second(arguments.rate),
            progress: Progress::new("invoking"),
            max_invocations: arguments.max_invocations,
            invocations: Cell::new(0),
            last_error: RefCell::default(),
            has_passed: Cell::new(false),
            stopped_by: RefCell::default(),
        };
        report::left_out(&context.output, subject);
        let search = SuspectSearch { message, received: subject.received, places: &places };
        let (found, is_selective, suspect) = trials.search(&search, &self.log_lines).await?;
        trials.progress.finish();
        if let Some(reason) = trials.stopped_by.borrow().as_ref() {
            context.output.note(format!("the search was not finished: {reason}"));
        }
        let last_error = trials.last_error.borrow();
        let result = SearchResult {
            found: found.as_ref(),
            candidates: places.len(),
            is_selective,
            invocations: trials.invocations.get(),
            error: &last_error,
            suspect: suspect.as_ref(),
        };
        report::result(&context.output, subject, &result)?;
        context.interrupt.check()?;
        let is_found = found.is_some_and(|found| found.is_minimal) && is_selective;
        Ok(if is_found { Exit::Done } else { Exit::Attention })
    }
}

/// A batch whose suspects are tried.
struct SuspectSearch<'a> {
    message: &'a HydratedMessage,
    received: &'a ParsedMessage,
    /// The records that may fail.
    places: &'a [usize],
}

/// The records of a batch, and the places of those that may fail.
struct Candidates<'a> {
    records: Vec<CandidateRecord<'a>>,
    places: Vec<usize>,
    /// Records that have succeeded before.
    left_out: usize,
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
pub struct FunctionError {
    error_type: String,
    message: String,
}

/// Invocations of the function with some of the records.
struct Trials<'a, Q, F, C> {
    function: &'a F,
    clock: &'a C,
    name: &'a str,
    lease: &'a Lease<'a, Q>,
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

impl<Q: Queue, F: Function, C: Clock> Trials<'_, Q, F, C> {
    /// Tries the suspects alone, then the whole batch, then the suspects that its error names, and then searches.
    async fn search(
        &self,
        search: &SuspectSearch<'_>,
        log_lines: &[String],
    ) -> Result<(Option<Smallest>, bool, Option<Suspect>)> {
        let places = search.places;
        let mut tried = BTreeSet::new();
        let found = match self.try_suspects(search, log_lines, &mut tried).await? {
            Some(found) => Some(found),
            None => match self.run(places).await? {
                Trial::Passes => return Ok((None, true, None)),
                Trial::Stop => return Ok((Some(Smallest { places: Vec::new(), is_minimal: false }), true, None)),
                Trial::Fails => {
                    let FunctionError { error_type, message } = self.last_error.borrow().clone();
                    let lines = [log_lines, &[format!("[ERROR] {error_type}: {message}")]].concat();
                    self.try_suspects(search, &lines, &mut tried).await?
                }
            },
        };
        let smallest = match &found {
            Some((smallest, _)) => smallest.clone(),
            None => smallest(places.to_vec(), async |places: &[usize]| self.run(places).await).await?,
        };
        let is_selective = smallest.places.len() == places.len() || self.has_one_that_passes(places, &smallest).await?;
        Ok((Some(smallest), is_selective, found.map(|(_, suspect)| suspect)))
    }

    /// Runs each suspect alone. The first that fails is the smallest failing set.
    async fn try_suspects(
        &self,
        search: &SuspectSearch<'_>,
        log: &[String],
        tried: &mut BTreeSet<usize>,
    ) -> Result<Option<(Smallest, Suspect)>> {
        if search.places.len() < 2 {
            return Ok(None);
        }
        let found = suspects(search.message, search.received, MoreEvidence { log, ..MoreEvidence::default() });
        for suspect in found {
            if search.places.contains(&suspect.place)
                && tried.insert(suspect.place)
                && self.run(&[suspect.place]).await? == Trial::Fails
            {
                return Ok(Some((Smallest { places: vec![suspect.place], is_minimal: true }, suspect)));
            }
        }
        Ok(None)
    }

    async fn run(&self, places: &[usize]) -> Result<Trial> {
        for attempt in 1..=MAX_ATTEMPTS {
            self.wait(self.rate_limiter.wait(self.clock)).await;
            if self.lease.interrupt.is_requested() || self.stopped_by.borrow().is_some() {
                return Ok(Trial::Stop);
            }
            if let Err(error) = self.lease.check_extended() {
                return Ok(self.stop(format!(
                    "the message could not be kept from others, so nothing more is invoked: {error:#}"
                )));
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
            () = self.lease.interrupt.requested() => {}
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
    async fn has_one_that_passes(&self, all: &[usize], found: &Smallest) -> Result<bool> {
        let others: Vec<usize> = all.iter().copied().filter(|place| !found.places.contains(place)).collect();
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
        Ok(self.has_passed.get() || self.stopped_by.borrow().is_some() || self.lease.interrupt.is_requested())
    }
}
