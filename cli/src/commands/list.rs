//! `dlq list`: the hydrated messages on the queue, one a line.

use anyhow::Result;
use clap::Args;
use hydration::ports::Clock;
use hydration::timestamp::Timestamp;
use serde::Serialize;

use crate::commands::histories::{Histories, OpenedLedger};
use crate::context::Context;
use crate::exit::Exit;
use crate::ledger::history::HistoryJson;
use crate::ledger::store::Store;
use crate::ports::{Bucket, Queue};
use crate::print::message_json::{ForeignJson, MessageJson};
use crate::print::table::Columns;
use crate::print::{Output, Paint, bytes, count, matches, printable, short_id, status_paint, time};
use crate::queue::filter::{Filter, FilterArgs};
use crate::queue::hydrated_message::{HydratedMessage, StoredBody};
use crate::queue::lease::with_lease;
use crate::queue::queue_message::ForeignMessage;
use crate::queue::read_queue::{KeepBodies, QueueContents, read_queue};
use crate::queue::read_summary::ReadSummary;
use crate::queue::record_search::{GrepArgs, MessageMatches, RecordSearch, keep_matching};
use crate::suspects::{SuspectJson, best_suspect};

/// List what waits on the queue, the oldest failure first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  dlq list --stack hydrator
  dlq list --status Partial,Expired,Gone      what lost records
  dlq list --function order-projector --since 2h
  dlq list --grep 'ORD-04711'                 the batches with that order, and which records
  dlq list --archive stack --since 2026-10-01 --until 2026-11-01
  dlq list | jq -r 'select(.records > 100).id'

Copies of one failure are one line, with their number. Messages that are not hydrated have a line each: dlq show and
dlq discard take their message id. The messages are visible again when the command ends. Batches that were replayed have
a line in a second table, from the ledger: what was tried, by whom, and how it ended.

--grep searches the partition keys, and the data as the decoded view has it: unpacked, KPL records one by one, DynamoDB
items as plain JSON with their keys and images. A JSON value is one line with its escapes decoded and no space around
: and , as in {\"name\":\"Müller\",\"total\":12.50}. PATTERN is a regular expression
(https://docs.rs/regex/latest/regex/#syntax) without \\p{…}: \\b4711\\b is a whole word, \\w a letter of any script, and case
does not count after (?i). A match never spans two records, or a key and its data. Not searched is data that is binary,
or that unpacks to more than 10 MiB; the last lines count such records. Bytes in an item are base64. A batch without
records never matches. With --limit N, the oldest N batches that match are shown.

Exit code 3 means that something on the queue was not seen, or is not hydrated; the last lines count it. It also means
that the ledger could not be read.")]
pub struct Arguments {
    #[command(flatten)]
    pub filter: FilterArgs,
    #[command(flatten)]
    grep: GrepArgs,
    /// The place of the ledger, as in dlq replay
    #[arg(long, value_name = "s3://…|DIR")]
    pub ledger: Option<String>,
}

/// A message with what was replayed of it, as JSON.
#[derive(Serialize)]
struct ListedJson<'a> {
    #[serde(flatten)]
    message: MessageJson<'a>,
    /// The records that match `--grep`, the first twenty of them.
    #[serde(flatten)]
    matches: Option<&'a MessageMatches>,
    /// The replays of the batch, one for each function that it was tried on.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    history: &'a [HistoryJson],
    /// The record most likely to have failed the batch, if one stands out. Absent for a message in the bucket, whose
    /// records are not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    suspects: Option<Vec<SuspectJson>>,
}

pub async fn run<Q: Queue, B: Bucket, S: Store, C: Clock>(
    context: &Context<C>,
    queue: &Q,
    bucket: &B,
    ledger: &OpenedLedger<S, C>,
    arguments: Arguments,
) -> Result<Exit> {
    let mut filter = Filter::new(&arguments.filter, &[], context.now())?;
    let search = RecordSearch::new(&arguments.grep, &mut filter);
    let keep_bodies = if context.output.json || search.is_some() { KeepBodies::Of(&filter) } else { KeepBodies::None };
    let (mut contents, chosen) = with_lease(context, queue, async |lease| {
        let mut contents = read_queue(lease, bucket, keep_bodies).await?;
        let chosen = contents.choose(&filter, lease).await?;
        Ok((contents, chosen))
    })
    .await?;
    let (chosen, found) = keep_matching(context, bucket, search.as_ref(), &mut contents, chosen).await?;
    let summary = contents.summary();
    let histories = Histories::read(context, ledger, &chosen).await?;
    if context.output.json {
        chosen.iter().try_for_each(|message| {
            let history = histories.of(message).map(|history| history.json.as_slice()).unwrap_or_default();
            context.interrupt.check()?;
            let body = message.copies.first().and_then(|copy| copy.body.as_ref()).map(StoredBody::text).transpose()?;
            let suspects = body.and_then(|body| best_suspect(message, &body));
            let matches = found.of(message);
            context.output.json(&ListedJson { message: MessageJson::from(message), matches, history, suspects })
        })?;
        contents.foreign.iter().try_for_each(|foreign| context.output.json(&ForeignJson::from(foreign)))?;
    } else {
        print_table(&context.output, &chosen, &contents, &summary, context.now())?;
        matches::print(&context.output, &chosen, &found)?;
        print_histories(&context.output, &chosen, &histories)?;
    }
    summary.print(&context.output)?;
    contents.warnings().iter().for_each(|warning| context.output.note(warning));
    Ok(summary.exit())
}

fn print_table(
    output: &Output,
    chosen: &[HydratedMessage],
    contents: &QueueContents,
    summary: &ReadSummary,
    now: Timestamp,
) -> Result<()> {
    if !chosen.is_empty() {
        let mut table = Columns::new(output, &["ID", "STATUS", "FUNCTION", "STREAM/SHARD", "RECORDS", "FAILED", ""]);
        table.right(&[4]);
        chosen.iter().for_each(|message| table.row(row(message, now)));
        output.table(&table)?;
    }
    if !contents.foreign.is_empty() {
        let mut table = Columns::new(output, &["MESSAGE ID", "NOT HYDRATED", "SENT"]);
        contents.foreign.iter().for_each(|foreign| table.row(foreign_row(foreign, now)));
        output.table(&table)?;
    }
    if summary.is_empty() {
        return output.line(output.paint(Paint::Green, contents.nothing_found()));
    }
    let line = format!(
        "{}, {}",
        count(summary.shown, "message", "messages"),
        count(chosen.iter().map(|message| message.records).sum(), "record", "records")
    );
    output.line(output.paint(Paint::Dim, line))
}

/// The replays of the listed batches.
fn print_histories(output: &Output, chosen: &[HydratedMessage], histories: &Histories) -> Result<()> {
    let mut table = Columns::new(output, &["ID", "REPLAYS"]);
    let tried = chosen.iter().filter_map(|message| Some((message, histories.of(message)?)));
    let lines = tried.flat_map(|(message, history)| history.lines.iter().map(move |line| (message, line)));
    let mut is_empty = true;
    for (message, line) in lines {
        is_empty = false;
        table.row([(printable(&short_id(&message.id)), Some(Paint::Cyan)), (printable(line), None)]);
    }
    if is_empty { Ok(()) } else { output.line("").and_then(|()| output.table(&table)) }
}

fn foreign_row(foreign: &ForeignMessage, now: Timestamp) -> Vec<(String, Option<Paint>)> {
    let reason = if foreign.is_bare_record {
        "an invocation record without records; dlq hydrate --from-queue hydrates it"
    } else {
        &foreign.reason
    };
    vec![
        (foreign.message_id.clone(), Some(Paint::Cyan)),
        (printable(reason), None),
        (time::ago(foreign.sent_at, now), None),
    ]
}

fn row(message: &HydratedMessage, now: Timestamp) -> Vec<(String, Option<Paint>)> {
    let records = match message.expected {
        Some(expected) if expected != message.records => format!("{}/{expected}", message.records),
        _ => message.records.to_string(),
    };
    let mut notes = Vec::new();
    if message.is_drill() {
        notes.push("a drill".to_owned());
    }
    if message.copies.len() > 1 {
        notes.push(format!("{} copies", message.copies.len()));
    }
    if let Some(part) = message.part {
        notes.push(format!("part {}{}", part.number, if part.last { ", the last" } else { "" }));
    }
    if message.pointer().is_some() {
        notes.push(format!("{} in S3", bytes::size(message.bytes)));
    }
    if message.read_error.is_some() {
        notes.push("not readable: dlq show says why".to_owned());
    }
    vec![
        (printable(&short_id(&message.id)), Some(Paint::Cyan)),
        (message.status.as_str().to_owned(), Some(status_paint(message.status))),
        (printable(&message.function_and_version()), None),
        (printable(&format!("{}/{}", message.stream_name(), message.short_shard())), None),
        (records, None),
        (time::ago(message.failed_or_sent_at(), now), None),
        (notes.join("; "), Some(Paint::Dim)),
    ]
}
