//! `dlq list`: the hydrated messages on the queue, one a line.

use anyhow::Result;
use clap::Args;
use hydration::ports::Clock;
use hydration::timestamp::Timestamp;
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::ports::{Bucket, Queue};
use crate::print::message_json::MessageJson;
use crate::print::table::Columns;
use crate::print::{Output, Paint, bytes, count, short_id, status_paint, time};
use crate::queue::filter::{Filter, ReadFilterArgs};
use crate::queue::hydrated_message::HydratedMessage;
use crate::queue::lease::with_lease;
use crate::queue::queue_message::ForeignMessage;
use crate::queue::read_queue::{KeepBodies, QueueContents, read_queue};

/// List what waits on the queue, the oldest failure first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  dlq list --stack hydrator
  dlq list --status Partial,Expired,Gone      what lost records
  dlq list --function order-projector --since 2h
  dlq list | jq -r 'select(.records > 100).id'

Copies of one failure are one line, with their number. The messages are visible again when the command ends.")]
pub struct Arguments {
    #[command(flatten)]
    filter: ReadFilterArgs,
}

/// A message that is not hydrated, as JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ForeignJson<'a> {
    not_hydrated: &'a str,
    is_invocation_record: bool,
    message_id: &'a str,
}

impl<'a> From<&'a ForeignMessage> for ForeignJson<'a> {
    fn from(foreign: &'a ForeignMessage) -> Self {
        Self {
            not_hydrated: &foreign.reason,
            is_invocation_record: foreign.is_bare_record,
            message_id: &foreign.message_id,
        }
    }
}

pub async fn run<Q: Queue, B: Bucket, C: Clock>(
    context: &Context<C>,
    queue: &Q,
    bucket: &B,
    arguments: Arguments,
) -> Result<Exit> {
    let filter = arguments.filter.filter(&[], context.now());
    let contents =
        with_lease(queue, &context.interrupt, async |lease| read_queue(lease, bucket, KeepBodies::None).await).await?;
    if context.output.json {
        print_json(&context.output, &contents, &filter)?;
    } else {
        print_table(&context.output, &contents, &filter, context.now())?;
    }
    contents.warnings().iter().for_each(|warning| context.output.note(warning));
    Ok(Exit::Done)
}

fn print_json(output: &Output, contents: &QueueContents, filter: &Filter) -> Result<()> {
    for message in contents.messages.iter().filter(|message| filter.takes(message)) {
        output.json(&MessageJson::from(message))?;
    }
    contents.foreign.iter().try_for_each(|foreign| output.json(&ForeignJson::from(foreign)))
}

fn print_table(output: &Output, contents: &QueueContents, filter: &Filter, now: Timestamp) -> Result<()> {
    let chosen: Vec<&HydratedMessage> = contents.messages.iter().filter(|message| filter.takes(message)).collect();
    let mut table = Columns::new(output, &["ID", "STATUS", "FUNCTION", "STREAM/SHARD", "RECORDS", "FAILED", ""]);
    table.right(&[4]);
    chosen.iter().for_each(|message| table.row(row(message, now)));
    if !chosen.is_empty() {
        output.line(table.text())?;
    }
    let all = contents.messages.len();
    let of_all = if chosen.len() == all { String::new() } else { format!(" of {all}") };
    let summary = format!(
        "{}{of_all}, {}",
        count(chosen.len() as u64, "message", "messages"),
        count(chosen.iter().map(|message| message.records).sum(), "record", "records")
    );
    output.line(output.paint(Paint::Dim, summary))
}

fn row(message: &HydratedMessage, now: Timestamp) -> Vec<(String, Option<Paint>)> {
    let records = match message.expected {
        Some(expected) if expected != message.records => format!("{}/{expected}", message.records),
        _ => message.records.to_string(),
    };
    let mut notes = Vec::new();
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
        (short_id(&message.id), Some(Paint::Cyan)),
        (message.status.as_str().to_owned(), Some(status_paint(message.status))),
        (message.function_and_version(), None),
        (format!("{}/{}", message.stream_name(), message.short_shard()), None),
        (records, None),
        (time::ago(message.failed_or_sent_at(), now), None),
        (notes.join("; "), Some(Paint::Dim)),
    ]
}
