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
use crate::context::Context;
use crate::exit::{Exit, explain};
use crate::interrupt::Interrupt;
use crate::ports::{Bucket, Function, InvokeOutcome, Queue};
use crate::print::progress::Progress;
use crate::print::records::{self, RecordJson};
use crate::print::{Output, Paint, printable, short_id};
use crate::queue::filter::{Filter, parse_id};
use crate::queue::lease::with_lease_until_done;
use crate::queue::read_queue::{KeepBodies, body_of, read_queue};
use crate::rate_limiter::RateLimiter;

/// Find the record that a function fails on: invoke it with parts of the batch until the smallest failing set is left
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  dlq isolate 4f1c                                       what would be invoked, and how often
  dlq isolate 4f1c --execute --function orders:debug     on an alias or a copy with nothing behind it
  dlq isolate 4f1c --execute

The function really runs, and the records that it does not fail on are really processed: use an alias or a copy where
that matters. The message stays on the queue, and what isolate ran does not count as replayed.

Exit code 3 means that the function did not fail on the batch this time.")]
pub struct Arguments {
    /// An id, or the beginning of one; one part of a batch has its own id
    #[arg(value_name = "ID", value_parser = parse_id)]
    id: String,
    /// Invoke; without it, only say what would be done
    #[arg(long)]
    execute: bool,
    /// Invoke this function instead of the one that failed: a name, name:alias, or an ARN
    #[arg(long, value_name = "NAME")]
    function: Option<String>,
    /// Stop after this number of invocations
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    max_invocations: u32,
    /// Invocations a second, at most
    #[arg(long, value_name = "N", default_value_t = 5.0, value_parser = super::replay::parse_rate)]
    rate: f64,
}

pub async fn run<Q: Queue, B: Bucket, F: Function, C: Clock>(
    context: &Context<C>,
    queue: &Q,
    bucket: &B,
    function: &F,
    arguments: Arguments,
) -> Result<Exit> {
    let filter = Filter::by_ids(std::slice::from_ref(&arguments.id));
    // The message stays leased during the search, so that nobody replays it meanwhile.
    with_lease_until_done(queue, &context.interrupt, async |lease| {
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
        let name = arguments.function.as_deref().or_else(|| message.lambda_arn());
        let name = name.context("no Lambda function failed on it\n  → name one with --function")?;
        if !arguments.execute {
            print_dry_run(&context.output, &arguments, name, received.records.len())?;
            return Ok(Exit::Done);
        }
        isolate(context, &arguments, function, name, &received).await
    })
    .await
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
    };
    let all: Vec<usize> = (0..trials.records.len()).collect();
    if trials.run(&all).await? == Trial::Passes {
        trials.progress.finish();
        output.line(format!("{name} does not fail on the batch any more. It was just run as a whole."))?;
        output.line("  → dlq replay runs it again and deletes it; isolate does not count as a replay")?;
        return Ok(Exit::Attention);
    }
    let found = smallest(all, async |places: &[usize]| trials.run(places).await).await?;
    trials.progress.finish();
    if output.json {
        print_json(output, &trials, received, &found)?;
    } else {
        print_text(output, &trials, received, &found)?;
    }
    context.interrupt.check()?;
    Ok(Exit::Done)
}

/// A record of the batch: its sequence number, and its text as Lambda delivered it.
struct NumberedRecord<'a> {
    number: SequenceNumber,
    raw: &'a RawValue,
}

fn numbered_records(received: &ParsedMessage) -> Result<Vec<NumberedRecord<'_>>> {
    let source = received.head.batch.as_ref().map(|batch| batch.stream.source()).context("it names no stream")?;
    let numbered = received.records.iter().map(|raw| {
        let event = EventRecord::parse(source, raw).context("a record of it has no sequence number")?;
        Ok(NumberedRecord { number: event.sequence_number().clone(), raw })
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
    records: Vec<NumberedRecord<'a>>,
    rate_limiter: RateLimiter,
    progress: Progress,
    max_invocations: u32,
    invocations: Cell<u32>,
    last_error: RefCell<FunctionError>,
}

impl<F: Function, C: Clock> Trials<'_, F, C> {
    async fn run(&self, places: &[usize]) -> Result<Trial> {
        self.rate_limiter.wait(self.clock).await;
        if self.interrupt.is_requested() || self.invocations.get() >= self.max_invocations {
            return Ok(Trial::Stop);
        }
        self.invocations.set(self.invocations.get() + 1);
        self.progress.add(1);
        match self.invoke(places).await? {
            None => Ok(Trial::Passes),
            Some(error) => {
                *self.last_error.borrow_mut() = error;
                Ok(Trial::Fails)
            }
        }
    }

    async fn invoke(&self, places: &[usize]) -> Result<Option<FunctionError>> {
        let given: Vec<&NumberedRecord<'_>> = places.iter().filter_map(|place| self.records.get(*place)).collect();
        let event = ParsedMessage::event(given.iter().map(|record| record.raw));
        if event.len() > MAX_EVENT_BYTES {
            bail!("the batch is larger than the 6 MB that an invocation takes\n  → dlq export writes it to a file");
        }
        match self.function.invoke(self.name, event).await {
            InvokeOutcome::Failed { error_type, message } => Ok(Some(FunctionError { error_type, message })),
            InvokeOutcome::Returned(answer) => {
                let numbers: Vec<SequenceNumber> = given.iter().map(|record| record.number.clone()).collect();
                let first_failed = numbers.get(succeeded_count(&answer, &numbers));
                Ok(first_failed.map(|number| FunctionError {
                    error_type: "batchItemFailures".to_owned(),
                    message: format!("the function named {number} as failed"),
                }))
            }
            InvokeOutcome::NotRun(fault) => Err(explain(&fault)),
            InvokeOutcome::Unknown(reason) => {
                bail!("{} was invoked and did not answer: {reason}\n  → try again", self.name)
            }
        }
    }
}

/// The smallest failing set, as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IsolatedJson<'a> {
    function: &'a str,
    invocations: u32,
    is_minimal: bool,
    error_type: &'a str,
    error_message: &'a str,
    records: Vec<RecordJson>,
}

fn print_json<F, C>(
    output: &Output,
    trials: &Trials<'_, F, C>,
    received: &ParsedMessage,
    found: &Smallest,
) -> Result<()> {
    let error = trials.last_error.borrow();
    output.json(&IsolatedJson {
        function: trials.name,
        invocations: trials.invocations.get(),
        is_minimal: found.is_minimal,
        error_type: &error.error_type,
        error_message: &error.message,
        records: records::as_json(received, &found.places),
    })
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
