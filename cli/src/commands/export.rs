//! `dlq export`: batches written to files, to debug on a laptop.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use hydration::message::parsed::ParsedMessage;
use hydration::ports::Clock;
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::message_file::{MessageFolder, Written};
use crate::ports::{Bucket, Queue};
use crate::print::{Output, bytes, count, matches, records};
use crate::queue::filter::{Filter, FilterArgs, parse_id};
use crate::queue::hydrated_message::HydratedMessage;
use crate::queue::lease::with_lease;
use crate::queue::read_queue::{KeepBodies, body_of, read_queue};
use crate::queue::record_search::{GrepArgs, MessageMatches, RecordSearch, keep_matching};

/// Write batches to files: events to invoke a function with, or records to read
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  dlq export 4f1c --to .                       then: sam local invoke -e 4f1c….json
  dlq export --all --status Complete --to events/
  dlq export 4f1c --to . --format ndjson       one decoded record a line, for jq
  dlq export --all --to . --grep ORD-04711     the batches with that order

The files hold the records' data: they are readable by you alone. A file that is there already is never overwritten
unless --force is given. One with the same content counts as written, so that an export that was cut off can be run
again. The messages stay on the queue. With --grep, each file holds the whole batch, and the output says which of its
records match; dlq list --help says what is searched.")]
pub struct Arguments {
    /// Ids, or the beginnings of some
    #[arg(value_name = "ID", value_parser = parse_id, required_unless_present = "all", conflicts_with = "all")]
    pub ids: Vec<String>,
    /// Every message that the filters let pass
    #[arg(long)]
    all: bool,
    /// The folder to write to; made if it is not there
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// The content of the files
    #[arg(long, value_enum, default_value = "event")]
    format: ExportFormat,
    /// Overwrite files that are there
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    pub filter: FilterArgs,
    #[command(flatten)]
    grep: GrepArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ExportFormat {
    /// The event as Lambda delivered it, in ID.json
    Event,
    /// The decoded records, one a line, in ID.ndjson
    Ndjson,
    /// The whole message, in ID.message.json
    Message,
}

pub async fn run<Q: Queue, B: Bucket, C: Clock>(
    context: &Context<C>,
    queue: &Q,
    bucket: &B,
    arguments: Arguments,
) -> Result<Exit> {
    let mut filter = Filter::new(&arguments.filter, &arguments.ids, context.now())?;
    let search = RecordSearch::new(&arguments.grep, &mut filter);
    let folder = MessageFolder::open(&arguments.to, arguments.force)?;
    let output = &context.output;
    let (mut contents, chosen) = with_lease(context, queue, async |lease| {
        let mut contents = read_queue(lease, bucket, KeepBodies::UntilFound(&filter)).await?;
        let chosen = contents.choose(&filter, lease).await?;
        Ok((contents, chosen))
    })
    .await?;
    let (chosen, found) = keep_matching(context, bucket, search.as_ref(), &mut contents, chosen).await?;
    let mut empty = 0;
    for message in &chosen {
        if message.records == 0 && arguments.format != ExportFormat::Message {
            empty += 1;
            continue;
        }
        let could_not = || format!("{} could not be read", message.id);
        let body = context.interrupt.race(body_of(message, bucket)).await?.with_context(could_not)?;
        let (content, extension) = content(&body, arguments.format).with_context(|| message.id.clone())?;
        let path = folder.path_of(&message.id, extension)?;
        let written = folder.write(&path, content.as_bytes())?;
        print(output, message, found.of(message), &path, content.len(), written)?;
    }
    if empty > 0 {
        output.note(format!("{} no record left and no file", count(empty, "message has", "messages have")));
    }
    if chosen.is_empty() {
        output.note("no message passes the filters");
    }
    let summary = contents.summary();
    if !contents.received.is_cut_short {
        summary.print(output)?;
    }
    contents.warnings().iter().for_each(|warning| output.note(warning));
    Ok(if contents.received.is_cut_short { Exit::Done } else { summary.exit() })
}

/// A file that was written, as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExportedJson<'a> {
    id: &'a str,
    path: &'a Path,
    records: u64,
    is_new: bool,
    /// The records that match `--grep`, the first twenty of them.
    #[serde(flatten)]
    matches: Option<&'a MessageMatches>,
}

fn print(
    output: &Output,
    message: &HydratedMessage,
    matches: Option<&MessageMatches>,
    path: &Path,
    bytes: usize,
    written: Written,
) -> Result<()> {
    let is_new = written == Written::New;
    if output.json {
        let (id, records) = (message.id.as_str(), message.records);
        return output.json(&ExportedJson { id, path, records, is_new, matches });
    }
    let there = if is_new { "" } else { ", was there" };
    let matches = matches.map(|matches| format!("  {}", matches::sentence(matches))).unwrap_or_default();
    output.line(format!("{}  {}{there}{matches}", path.display(), bytes::size(bytes as u64)))
}

fn content(body: &str, format: ExportFormat) -> Result<(String, &'static str)> {
    if format == ExportFormat::Message {
        return Ok((body.to_owned(), "message.json"));
    }
    let received = ParsedMessage::parse(body)?;
    if format == ExportFormat::Event {
        return Ok((ParsedMessage::event(received.records.iter().map(AsRef::as_ref)), "json"));
    }
    let lines = records::first_as_json(&received, usize::MAX)
        .iter()
        .map(serde_json::to_string)
        .collect::<Result<Vec<_>, _>>()?;
    Ok((lines.join("\n") + "\n", "ndjson"))
}
