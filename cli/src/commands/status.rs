//! `dlq status`: incidents rather than messages, the other queues, and what to do next.

use anyhow::Result;
use clap::Args;
use hydration::ports::Clock;
use hydration::timestamp::Timestamp;
use hydration::verdict::Status;
use hydration_aws::SystemClock;
use serde::Serialize;

use crate::aws::sqs::Sqs;
use crate::commands::list::{paint, warn};
use crate::exit::{Exit, explain};
use crate::filter::LookArguments;
use crate::gather::{Gathered, gather};
use crate::hold::holding;
use crate::incident::{Incident, incidents};
use crate::look::look;
use crate::ports::Queue;
use crate::print::progress::Progress;
use crate::print::table::Columns;
use crate::print::{Paint, count, short_id, thousands, when};
use crate::session::Session;

/// Show what failed, at a glance, and what to do next
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  dlq status --stack hydrator
  dlq status --since 2h
  DLQ_STACK=hydrator dlq status -o json

With --stack, the retry queue (failed hydrations that come back) and the parked queue (given up) are told of too.")]
pub struct Arguments {
    #[command(flatten)]
    filter: LookArguments,
}

/// A queue beside the hydrated one.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Side {
    queue: &'static str,
    url: String,
    visible: u64,
    in_flight: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest: Option<String>,
    #[serde(skip)]
    oldest_at: Option<Timestamp>,
}

pub async fn run(session: &Session, arguments: Arguments) -> Result<Exit> {
    let filter = arguments.filter.filter(&[])?;
    let (queue, bucket) = (session.queue().await?, session.bucket());
    let mut gathered = holding(&queue, &session.interrupt, async |hold| gather(hold, &bucket, |_| false).await).await?;
    gathered.entries.retain(|entry| filter.takes(entry));
    let mut sides = Vec::new();
    if let Some(stack) = session.stack() {
        for (name, url) in [("retry", stack.retry_queue()), ("parked", stack.parked_queue())] {
            if let Some(url) = url {
                sides.push(side(session, name, url).await?);
            }
        }
    }
    let found = incidents(&gathered.entries);
    if session.output.json {
        print_json(session, &found, &sides)?;
    } else {
        print(session, &gathered, &found, &sides)?;
    }
    warn(session, &gathered);
    Ok(Exit::Fine)
}

/// Depth and age of a queue. Of the retry queue only the depth: it is being worked from, and looks count there.
async fn side(session: &Session, name: &'static str, url: &str) -> Result<Side> {
    let queue = Sqs::new(&session.config, url.to_owned());
    let facts = queue.describe().await.map_err(|fault| explain(&fault))?;
    let oldest = std::cell::Cell::new(None::<Timestamp>);
    if facts.visible > 0 && facts.max_receives.is_none() {
        let progress = Progress::new("reading the parked queue");
        let note = |sent: Option<Timestamp>| match (oldest.get(), sent) {
            (Some(known), Some(sent)) => oldest.set(Some(known.min(sent))),
            (None, sent) => oldest.set(sent),
            (Some(_), None) => {}
        };
        holding(&queue, &session.interrupt, async |hold| {
            look(hold, &progress, |delivery| note(delivery.sent)).await.map(drop)
        })
        .await?;
    }
    let oldest_at = oldest.get();
    Ok(Side {
        queue: name,
        url: url.to_owned(),
        visible: facts.visible,
        in_flight: facts.in_flight,
        oldest: oldest_at.map(Timestamp::rfc3339),
        oldest_at,
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    function: &'a str,
    version: Option<&'a str>,
    condition: &'a str,
    error: &'a str,
    status: Status,
    batches: u64,
    messages: u64,
    records: u64,
    missing_records: u64,
    shards: u64,
    first_seen: Option<String>,
    last_seen: Option<String>,
    example: &'a str,
}

fn print_json(session: &Session, found: &[Incident], sides: &[Side]) -> Result<()> {
    for incident in found {
        session.output.json(&Line {
            function: &incident.kind.function,
            version: incident.kind.version.as_deref(),
            condition: &incident.kind.condition,
            error: &incident.kind.error,
            status: incident.status,
            batches: incident.batches,
            messages: incident.messages,
            records: incident.records,
            missing_records: incident.missing,
            shards: incident.shards,
            first_seen: incident.first.map(Timestamp::rfc3339),
            last_seen: incident.last.map(Timestamp::rfc3339),
            example: &incident.example,
        })?;
    }
    sides.iter().try_for_each(|side| session.output.json(side))
}

fn print(session: &Session, gathered: &Gathered, found: &[Incident], sides: &[Side]) -> Result<()> {
    let (output, now) = (&session.output, SystemClock.now());
    let batches = found.iter().map(|incident| incident.batches).sum();
    let records = found.iter().map(|incident| incident.records).sum();
    if found.is_empty() {
        output.line(output.paint(Paint::Green, "No failed batch is on the queue."))?;
    } else {
        output.line(output.paint(
            Paint::Bold,
            format!(
                "{}: {}, {}",
                count(found.len() as u64, "incident", "incidents"),
                count(batches, "batch", "batches"),
                count(records, "record", "records")
            ),
        ))?;
        output.line("")?;
        let mut table = Columns::new(
            output,
            &["FUNCTION", "STATUS", "FAILURE", "BATCHES", "RECORDS", "SHARDS", "FIRST", "LAST", "LATEST"],
        );
        table.right(&[3, 4, 5]);
        for incident in found {
            table.row(row(incident, now));
        }
        output.line(table.text())?;
    }
    for side in sides.iter().filter(|side| side.visible + side.in_flight > 0) {
        let meaning = match side.queue {
            "retry" => "failed hydrations, tried again every half hour",
            _ => "failed hydrations that were given up",
        };
        let oldest = side.oldest_at.map(|oldest| format!(", the oldest for {}", when::age(now.millis_since(oldest))));
        output.line(format!(
            "\n{} queue: {}, {} in flight{} ({meaning})",
            output.paint(Paint::Bold, side.queue),
            thousands(side.visible),
            thousands(side.in_flight),
            oldest.unwrap_or_default()
        ))?;
    }
    let steps = next_steps(session, gathered, found, sides, now);
    if !steps.is_empty() {
        output.line(format!("\n{}", output.paint(Paint::Bold, "Next")))?;
    }
    steps.iter().try_for_each(|step| output.line(format!("  {step}")))
}

fn row(incident: &Incident, now: Timestamp) -> Vec<(String, Option<Paint>)> {
    let version = incident.kind.version.as_deref().filter(|version| *version != "$LATEST");
    let records = match incident.missing {
        0 => thousands(incident.records),
        missing => format!("{}\n{} missing", thousands(incident.records), thousands(missing)),
    };
    vec![
        (version.map_or_else(|| incident.kind.function.clone(), |v| format!("{}:{v}", incident.kind.function)), None),
        (incident.status.as_str().to_owned(), paint(incident.status)),
        (format!("{}\n{}", incident.kind.condition, incident.kind.error), None),
        (thousands(incident.batches), None),
        (records, None),
        (thousands(incident.shards), None),
        (when::since(incident.first, now), None),
        (when::since(incident.last, now), None),
        (short_id(&incident.example), Some(Paint::Cyan)),
    ]
}

/// What to do, the most urgent first.
fn next_steps(
    session: &Session,
    gathered: &Gathered,
    found: &[Incident],
    sides: &[Side],
    now: Timestamp,
) -> Vec<String> {
    let (here, output) = (session.here(), &session.output);
    let command = |text: String| output.paint(Paint::Cyan, format!("dlq {text}{here}"));
    let mut steps = Vec::new();
    let ends = gathered.entries.iter().filter_map(|entry| entry.sent()).min().zip(gathered.pass.facts.retention);
    if let Some((sent, retention)) = ends {
        let left = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX) - now.millis_since(sent);
        let text = format!("SQS deletes the oldest message in {}", when::age(left));
        steps.push(if left < 2 * 86_400_000 { output.paint(Paint::Red, text) } else { text });
    }
    let with_records = found.iter().find(|incident| incident.records > 0);
    if let Some(incident) = with_records.or(found.first()) {
        steps.push(format!(
            "{}   the latest batch: its facts, its records",
            command(format!("show {} --logs", short_id(&incident.example)))
        ));
    }
    if with_records.is_some() {
        steps.push(format!("{}   what a replay would do; nothing is invoked yet", command("replay --all".to_owned())));
    }
    if let Some(parked) = sides.iter().find(|side| side.queue == "parked" && side.visible > 0) {
        steps.push(format!(
            "{}   once what failed them is mended, hydrate the parked ones here",
            command(format!("hydrate --from-queue {} --send", parked.url))
        ));
    }
    if sides.iter().any(|side| side.queue == "retry" && side.visible + side.in_flight > 0) {
        steps.push(format!("{}   why hydration fails", command("doctor".to_owned())));
    }
    steps
}
