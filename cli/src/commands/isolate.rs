//! `dlq isolate`: which record is the poison.

use std::cell::{Cell, RefCell};

use anyhow::{Context, Result, bail};
use clap::Args;
use hydration::message::part::MAX_EVENT_BYTES;
use hydration::message::received::Received;
use hydration::record::event::EventRecord;
use hydration::sequence_number::SequenceNumber;
use serde_json::value::RawValue;

use crate::aws::lambda::Lambda;
use crate::ddmin::{Trial, smallest};
use crate::entry::Entry;
use crate::exit::{Exit, Interrupted, explain};
use crate::filter::{Filter, FilterArguments};
use crate::gather::{gather, text_of};
use crate::hold::holding;
use crate::ports::{Function, Invoked};
use crate::print::progress::Progress;
use crate::print::{Paint, printable};
use crate::replay::answer::succeeded;
use crate::replay::pace::Pace;
use crate::session::Session;
use crate::show::records;

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
    /// An id, or the beginning of one; with -N for one part of a batch
    #[arg(value_name = "ID")]
    id: String,
    /// Invoke; without it, only say what would be done
    #[arg(long)]
    execute: bool,
    /// Invoke this function instead of the one that failed: a name, name:alias, or an ARN
    #[arg(long, value_name = "NAME")]
    function: Option<String>,
    /// Stop after so many invocations
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    max_invocations: u32,
    /// Invocations a second, at most
    #[arg(long, value_name = "N", default_value_t = 5.0, value_parser = super::replay::rate)]
    rate: f64,
}

pub async fn run(session: &Session, arguments: Arguments) -> Result<Exit> {
    let filter = Filter::new(FilterArguments::default(), None, vec![arguments.id.clone()])?;
    let (queue, bucket) = (session.queue().await?, session.bucket());
    // Held while it is examined, so that nobody replays it meanwhile.
    holding(&queue, &session.interrupt, async |hold| {
        let gathered = gather(hold, &bucket, |entry| filter.takes_id(entry)).await?;
        filter.check_ids(&gathered.entries)?;
        let (chosen, others): (Vec<Entry>, Vec<Entry>) =
            gathered.entries.into_iter().partition(|entry| filter.takes_id(entry));
        let unchosen = others.iter().flat_map(|entry| &entry.copies).map(|copy| copy.message_id.as_str());
        hold.put_back(unchosen.chain(gathered.foreign.iter().map(|foreign| foreign.message_id.as_str()))).await;
        let entry = match chosen.as_slice() {
            [entry] => entry,
            several => bail!("the batch has {} parts\n  → name one: {}-1", several.len(), arguments.id),
        };
        let text = text_of(entry, &bucket).await?;
        let received = Received::read(&text)?;
        if received.records.is_empty() {
            bail!("the message holds no records\n  → dlq show {} says why", arguments.id);
        }
        let function = arguments.function.clone().or_else(|| entry.function_arn.clone());
        let function = function.filter(|name| arguments.function.is_some() || name.contains(":lambda:"));
        let function = function.context("no Lambda function failed on it\n  → name one with --function")?;
        if !arguments.execute {
            let most = (received.records.len() as f64).log2().ceil() * 2.0 + 1.0;
            session.output.line(format!(
                "Dry run: nothing was invoked. With --execute, {function} is invoked with parts of {} records, about {most} \
                 times for one poison record and {} at most.",
                received.records.len(),
                arguments.max_invocations
            ))?;
            return Ok(Exit::Fine);
        }
        isolate(session, &arguments, &function, &received).await
    })
    .await
}

async fn isolate(session: &Session, arguments: &Arguments, function: &str, received: &Received) -> Result<Exit> {
    let raw: Vec<&RawValue> = received.records.iter().map(AsRef::as_ref).collect();
    let source = received.head.batch.as_ref().map(|batch| batch.stream.source()).context("it names no stream")?;
    let numbers: Vec<SequenceNumber> = raw
        .iter()
        .map(|raw| EventRecord::parse(source, raw).map(|event| event.sequence_number().clone()))
        .collect::<Option<_>>()
        .context("a record of it has no sequence number")?;
    let (lambda, pace) = (Lambda::new(&session.config), Pace::new(arguments.rate));
    let progress = Progress::new("invoking");
    let (invocations, last_error) = (Cell::new(0), RefCell::new(None));
    let trial = async |places: &[usize]| -> Result<Trial> {
        pace.turn().await;
        if session.interrupt.is_asked() || invocations.get() >= arguments.max_invocations {
            return Ok(Trial::Stop);
        }
        invocations.set(invocations.get() + 1);
        progress.add(1);
        let pick = |place: &usize| raw.get(*place).copied();
        let event = Received::event(places.iter().filter_map(pick));
        if event.len() > MAX_EVENT_BYTES {
            bail!("the batch is larger than the 6 MB that an invocation takes\n  → dlq export writes it to a file");
        }
        let error = match lambda.invoke(function, event).await {
            Invoked::Failed { kind, message } => Some((kind, message)),
            Invoked::Answered(answer) => {
                let given: Vec<SequenceNumber> =
                    places.iter().filter_map(|place| numbers.get(*place).cloned()).collect();
                let named = given.get(succeeded(&answer, &given));
                named.map(|number| ("batchItemFailures".to_owned(), format!("the function named {number} as failed")))
            }
            Invoked::NotRun(fault) => return Err(explain(&fault)),
            Invoked::Unknown(why) => bail!("{function} was invoked and did not answer: {why}\n  → try again"),
        };
        let fails = error.is_some();
        if fails {
            *last_error.borrow_mut() = error;
        }
        Ok(if fails { Trial::Fails } else { Trial::Passes })
    };

    let all: Vec<usize> = (0..raw.len()).collect();
    let output = &session.output;
    let whole = trial(&all).await?;
    if whole == Trial::Passes {
        progress.done();
        output.line(format!("{function} does not fail on the batch any more. It was just run as a whole."))?;
        output.line("  → dlq replay runs it again and deletes it; isolate does not count as a replay")?;
        return Ok(Exit::Attention);
    }
    let found = smallest(all, trial).await?;
    progress.done();
    let (kind, message) = last_error.into_inner().unwrap_or_default();
    if output.json {
        let lines = records::pick(received, &found.places);
        return output
            .json(&serde_json::json!({
                "function": function, "invocations": invocations.get(), "isMinimal": found.is_minimal,
                "errorType": kind, "errorMessage": message, "records": lines,
            }))
            .and_then(|()| finish(session));
    }
    let what = match (found.is_minimal, found.places.len()) {
        (false, left) => format!("Not finished: {left} of {} records still fail together", raw.len()),
        (true, 1) => "One record fails by itself".to_owned(),
        (true, several) => format!("{several} records fail together, and not without any one of them"),
    };
    output.line(output.paint(Paint::Bold, format!("{what} ({} invocations of {function})", invocations.get())))?;
    output.line(output.paint(Paint::Red, format!("{kind}: {}", printable(&message))))?;
    records::print_places(output, received, &found.places, false)?;
    finish(session)
}

fn finish(session: &Session) -> Result<Exit> {
    if session.interrupt.is_asked() { Err(Interrupted.into()) } else { Ok(Exit::Fine) }
}
