//! `dlq isolate`: the search for the record that a function fails on.

mod ddmin;
mod report;
mod trials;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use hydration::message::parsed::ParsedMessage;
use hydration::ports::Clock;
use hydration::record::event::EventRecord;
use hydration::sequence_number::SequenceNumber;

use crate::commands::isolate::report::{SearchResult, Subject};
use crate::commands::isolate::trials::{CandidateRecord, SuspectSearch, Trials};
use crate::commands::replay::session::{PlacedLedger, say_hidden, take_lock};
use crate::commands::replay::{Resources, resolve};
use crate::context::Context;
use crate::exit::Exit;
use crate::ledger::Ledger;
use crate::ledger::function::FunctionArn;
use crate::ledger::key::RunKey;
use crate::ledger::span::{Coverage, coverage};
use crate::ledger::store::Store;
use crate::ports::{Bucket, Function, Queue};
use crate::print::progress::Progress;
use crate::print::short_id;
use crate::queue::filter::{Filter, parse_id};
use crate::queue::hydrated_message::HydratedMessage;
use crate::queue::lease::{Lease, Leased, VISIBILITY_TIMEOUT, with_lease_counted};
use crate::queue::read_queue::{KeepBodies, body_of, read_queue};
use crate::rate_limiter::RateLimiter;
use crate::suspects::LogLinesArgs;

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
    pub id: String,
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
        if message.is_drill() {
            bail!("a drill has left it: no function has failed on it\n  → dlq discard takes it off the queue");
        }
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

/// The records of a batch, and the places of those that may fail.
struct Candidates<'a> {
    records: Vec<CandidateRecord<'a>>,
    places: Vec<usize>,
    /// Records that have succeeded before.
    left_out: usize,
}

fn numbered_records(received: &ParsedMessage) -> Result<Vec<CandidateRecord<'_>>> {
    let source = received.head.batch.as_ref().map(|batch| batch.stream.source()).context("it names no stream")?;
    let numbered = received.records.iter().map(|raw| {
        let event = EventRecord::parse(source, raw).context("a record of it has no sequence number")?;
        Ok(CandidateRecord { number: event.sequence_number().clone(), raw })
    });
    numbered.collect()
}
