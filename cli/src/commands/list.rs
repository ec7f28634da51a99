//! `dlq list`: what waits on the queue, one hydrated message a line.

use anyhow::Result;
use clap::Args;
use hydration::arn::Source;
use hydration::ports::Clock;
use hydration::timestamp::Timestamp;
use hydration::verdict::Status;
use hydration_aws::SystemClock;
use serde::Serialize;

use crate::entry::{Entry, Foreign};
use crate::exit::Exit;
use crate::filter::{Filter, LookArguments};
use crate::gather::{Gathered, gather};
use crate::hold::holding;
use crate::print::table::Columns;
use crate::print::{Output, Paint, bytes, count, short_id, when};
use crate::session::Session;

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
    filter: LookArguments,
}

/// A line of the JSON output.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line<'a> {
    pub id: &'a str,
    pub status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function_arn: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<&'a str>,
    pub error: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_arn: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shard_id: Option<&'a str>,
    pub records: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_records: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_records: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<hydration::message::PartNumber>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<String>,
    pub bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overflow: Option<String>,
    pub copies: usize,
    pub receives: u32,
    pub message_ids: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<&'a str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ForeignLine<'a> {
    not_hydrated: &'a str,
    is_invocation_record: bool,
    message_id: &'a str,
}

pub async fn run(session: &Session, arguments: Arguments) -> Result<Exit> {
    let filter = arguments.filter.filter(&[])?;
    let (queue, bucket) = (session.queue().await?, session.bucket());
    let gathered = holding(&queue, &session.interrupt, async |hold| gather(hold, &bucket, |_| false).await).await?;
    print(&session.output, &gathered, &filter)?;
    warn(session, &gathered);
    Ok(Exit::Fine)
}

fn print(output: &Output, gathered: &Gathered, filter: &Filter) -> Result<()> {
    let entries = || gathered.entries.iter().filter(|entry| filter.takes(entry));
    if output.json {
        entries().try_for_each(|entry| output.json(&line(entry)))?;
        return gathered.foreign.iter().try_for_each(|foreign| output.json(&foreign_line(foreign)));
    }
    let mut table = Columns::new(output, &["ID", "STATUS", "FUNCTION", "STREAM/SHARD", "RECORDS", "FAILED", ""]);
    table.right(&[4]);
    let now = SystemClock.now();
    for entry in entries() {
        table.row(row(entry, now));
    }
    let (shown, all) = (entries().count(), gathered.entries.len());
    if shown > 0 {
        output.line(table.text())?;
    }
    let records = entries().map(|entry| entry.records).sum();
    let of = if shown == all { String::new() } else { format!(" of {all}") };
    let summary =
        format!("{}{of}, {}", count(shown as u64, "message", "messages"), count(records, "record", "records"));
    output.line(output.paint(Paint::Dim, summary))
}

/// What the answer does not show, on stderr.
pub fn warn(session: &Session, gathered: &Gathered) {
    let bare = gathered.foreign.iter().filter(|foreign| foreign.is_bare).count() as u64;
    if bare > 0 {
        session.output.note(format!(
            "{} on the queue without records: dlq hydrate --from-queue … hydrates them",
            count(bare, "bare invocation record is", "bare invocation records are")
        ));
    }
    let others = gathered.foreign.len() as u64 - bare;
    if let Some(other) = gathered.foreign.iter().find(|foreign| !foreign.is_bare) {
        session.output.note(format!(
            "{} not shown, of {}: {}",
            count(others, "message is", "messages are"),
            other.message_id,
            other.why
        ));
    }
    for warning in gathered.pass.warnings() {
        session.output.note(warning);
    }
}

fn foreign_line(foreign: &Foreign) -> ForeignLine<'_> {
    ForeignLine { not_hydrated: &foreign.why, is_invocation_record: foreign.is_bare, message_id: &foreign.message_id }
}

pub fn line(entry: &Entry) -> Line<'_> {
    Line {
        id: &entry.id,
        status: entry.status,
        reason: entry.reason.as_deref(),
        source: entry.source,
        function_arn: entry.function_arn.as_deref(),
        version: entry.response.executed_version.as_deref(),
        condition: entry.condition.as_deref(),
        error: entry.error(),
        request_id: entry.request_id.as_deref(),
        stream_arn: entry.stream.as_deref(),
        shard_id: entry.shard.as_deref(),
        records: entry.records,
        expected_records: entry.expected,
        missing_records: entry.missing,
        part: entry.part,
        failed_at: entry.failed_at.map(Timestamp::rfc3339),
        sent_at: entry.sent().map(Timestamp::rfc3339),
        bytes: entry.bytes,
        overflow: entry
            .copies
            .iter()
            .find_map(|copy| copy.pointer.as_ref())
            .map(|p| format!("s3://{}/{}", p.bucket, p.key)),
        copies: entry.copies.len(),
        receives: entry.receives,
        message_ids: entry.copies.iter().map(|copy| copy.message_id.as_str()).collect(),
        trouble: entry.trouble.as_deref(),
    }
}

fn row(entry: &Entry, now: Timestamp) -> Vec<(String, Option<Paint>)> {
    let records = match entry.expected {
        Some(expected) if expected != entry.records => format!("{}/{expected}", entry.records),
        _ => entry.records.to_string(),
    };
    let mut notes = Vec::new();
    if entry.copies.len() > 1 {
        notes.push(format!("{} copies", entry.copies.len()));
    }
    if let Some(part) = entry.part {
        notes.push(format!("part {}{}", part.number, if part.last { ", the last" } else { "" }));
    }
    if entry.copies.iter().any(|copy| copy.pointer.is_some()) {
        notes.push(format!("{} in S3", bytes::size(entry.bytes)));
    }
    if entry.trouble.is_some() {
        notes.push("not readable: dlq show says why".to_owned());
    }
    vec![
        (short_id(&entry.id), Some(Paint::Cyan)),
        (entry.status.as_str().to_owned(), paint(entry.status)),
        (entry.function_and_version(), None),
        (format!("{}/{}", entry.stream_name(), entry.short_shard()), None),
        (records, None),
        (when::ago(entry.moment(), now), None),
        (notes.join("; "), Some(Paint::Dim)),
    ]
}

/// Red where records are lost, yellow where a person has to decide.
pub fn paint(status: Status) -> Option<Paint> {
    match status {
        Status::Complete => Some(Paint::Green),
        Status::Superset | Status::NoRange | Status::Unrecognized => Some(Paint::Yellow),
        Status::Partial | Status::Expired | Status::Gone => Some(Paint::Red),
    }
}
