//! `dlq status`: incidents, the other queues of the stack, and the next steps.

mod archived;
mod errors;
pub mod incident;
mod replays;
mod retention;

use std::cell::Cell;

use anyhow::Result;
use clap::Args;
use hydration::drill::is_drill;
use hydration::incident::IncidentResult;
use hydration::ports::Clock;
use hydration::timestamp::Timestamp;
use serde::Serialize;

use crate::archive::ArchivePlace;
use crate::commands::histories::{Histories, OpenedLedger};
use crate::commands::status::errors::{LogJson, LogsArgs};
use crate::commands::status::incident::LoggedIncident;
use crate::commands::status::replays::Replays;
use crate::commands::status::retention::Retention;
use crate::context::Context;
use crate::exit::{Exit, explain};
use crate::ledger::store::Store;
use crate::ports::{Bucket, Logs, NamedQueue, Queue, ReceivedMessage};
use crate::print::progress::Progress;
use crate::print::table::Columns;
use crate::print::{Output, Paint, count, matches, printable, short_id, status_paint, thousands, time};
use crate::queue::filter::{Filter, FilterArgs};
use crate::queue::filter_args::typed_filters;
use crate::queue::hydrated_message::HydratedMessage;
use crate::queue::lease::with_lease;
use crate::queue::read_queue::{KeepBodies, QueueContents, body_of, read_queue};
use crate::queue::read_summary::ReadSummary;
use crate::queue::receive_all::{Next, receive_all};
use crate::queue::record_search::{GrepArgs, MatchesById, MessageMatches, RecordSearch, keep_matching};
use crate::suspects::{SuspectJson, best_suspect};

/// Below this time to the deletion of the oldest message, it is printed in red.
const URGENT_MILLIS: i64 = 2 * 24 * 60 * 60 * 1000;

/// Show what failed, at a glance, and what to do next
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  dlq status --stack hydrator
  dlq status --since 2h
  dlq status --logs                            with the error of each incident, from the function's log
  dlq status --grep ORD-04711                  the incidents of the batches with that order
  DLQ_STACK=hydrator dlq status -o json

With --stack, the retry queue (failed hydrations that come back) and the parked queue (given up) are counted too. Batches
that were replayed and are still on the queue are counted from the ledger, by how their last replay ended. Next to the time
of the first deletion stands how many of the messages are in the archive, by the names of its objects (s3:ListBucket).

--logs asks CloudWatch Logs for the failed invocation of each batch, of at most --max-logs batches, two in a second: two
searches a batch (logs:FilterLogEvents), and once a function lambda:GetFunctionConfiguration. Batches whose errors differ
are incidents of their own; numbers, ids and quoted values make no difference. Batches whose log was not read are apart.
A log that could not be read is noted, and the exit code is then 3. The error may quote a record.

With --grep, only batches with a record that matches count; dlq list --help says what is searched.")]
pub struct Arguments {
    #[command(flatten)]
    pub filter: FilterArgs,
    #[command(flatten)]
    grep: GrepArgs,
    #[command(flatten)]
    logs: LogsArgs,
    /// The place of the ledger, as in dlq replay
    #[arg(long, value_name = "s3://…|DIR")]
    pub ledger: Option<String>,
}

/// The depth and age of the retry queue or the parked queue.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct OtherQueue {
    queue: &'static str,
    url: String,
    visible: u64,
    in_flight: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest: Option<String>,
    #[serde(skip)]
    oldest_at: Option<Timestamp>,
}

/// The places that a stack has beside its queue of hydrated messages.
pub struct BesideQueue<'a, O> {
    pub retry_and_parked: &'a [NamedQueue<O>],
    /// The archive of what was on the queue, if its bucket is known.
    pub archive: Option<ArchivePlace>,
}

/// Everything that the command prints.
struct StatusReport {
    contents: QueueContents,
    messages: Vec<HydratedMessage>,
    summary: ReadSummary,
    histories: Histories,
    incidents: Vec<LoggedIncident>,
    /// The records that match `--grep`.
    found: MatchesById,
    others: Vec<OtherQueue>,
    /// `None` for an archive, which loses nothing, and where nothing was found.
    retention: Option<Retention>,
    /// The bucket is known in which the archive is, if there is one.
    knows_archive: bool,
}

pub async fn run<Q: Queue, O: Queue, B: Bucket, L: Logs, S: Store, C: Clock>(
    context: &Context<C>,
    queue: &Q,
    bucket: &B,
    logs: &L,
    ledger: &OpenedLedger<S, C>,
    beside: BesideQueue<'_, O>,
    arguments: Arguments,
) -> Result<Exit> {
    let mut filter = Filter::new(&arguments.filter, &[], context.now())?;
    let search = RecordSearch::new(&arguments.grep, &mut filter);
    let keep_bodies = if context.output.json || search.is_some() { KeepBodies::Of(&filter) } else { KeepBodies::None };
    let (mut contents, messages) = with_lease(context, queue, async |lease| {
        let mut contents = read_queue(lease, bucket, keep_bodies).await?;
        let messages = contents.choose(&filter, lease).await?;
        Ok((contents, messages))
    })
    .await?;
    let (messages, found) = keep_matching(context, bucket, search.as_ref(), &mut contents, messages).await?;
    let mut others = Vec::new();
    for other in beside.retry_and_parked {
        others.push(count_other(context, other).await?);
    }
    let summary = contents.summary();
    let histories = Histories::read(context, ledger, &messages).await?;
    let incidents = errors::group(context, logs, &arguments.logs, &messages).await?;
    let retention = Retention::of(context, bucket, beside.archive.as_ref(), &contents, &messages).await?;
    let report = StatusReport {
        retention,
        knows_archive: beside.archive.is_some(),
        histories,
        incidents,
        found,
        messages,
        summary,
        contents,
        others,
    };
    if context.output.json {
        print_json(context, bucket, &report).await?;
    } else {
        print_text(context, &report, &arguments)?;
    }
    report.summary.print(&context.output)?;
    report.contents.warnings().iter().for_each(|warning| context.output.note(warning));
    Ok(report.summary.exit())
}

/// Counts a queue and looks for its oldest message. A queue with a redrive policy is not read, because each receive
/// counts there: the retry queue is in use.
async fn count_other<Q: Queue, C>(context: &Context<C>, other: &NamedQueue<Q>) -> Result<OtherQueue> {
    let attributes = context.interrupt.race(other.queue.attributes()).await?.map_err(|fault| explain(&fault))?;
    let oldest_at = Cell::new(None::<Timestamp>);
    if attributes.visible > 0 && attributes.max_receives.is_none() {
        let progress = Progress::new("reading the parked queue");
        let keep_oldest = |sent_at: Timestamp| {
            oldest_at.set(Some(oldest_at.get().map_or(sent_at, |oldest| oldest.min(sent_at))));
        };
        with_lease(context, &other.queue, async |lease| {
            let take = |message: ReceivedMessage| {
                message.sent_at.into_iter().for_each(keep_oldest);
                Ok(Next::Continue)
            };
            receive_all(lease, &progress, take).await
        })
        .await?;
    }
    Ok(OtherQueue {
        queue: other.name,
        url: other.url.clone(),
        visible: attributes.visible,
        in_flight: attributes.in_flight,
        oldest: oldest_at.get().map(Timestamp::rfc3339),
        oldest_at: oldest_at.get(),
    })
}

/// An incident as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IncidentJson<'a> {
    function: &'a str,
    version: Option<&'a str>,
    condition: &'a str,
    error: &'a str,
    status: &'a str,
    batches: u64,
    messages: u64,
    records: u64,
    missing_records: u64,
    shards: u64,
    first_seen: Option<String>,
    last_seen: Option<String>,
    example: &'a str,
    /// What the log says of the example.
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<LogJson<'a>>,
    /// The record of the example that most likely failed it, if one stands out. Absent where its records could not be
    /// read.
    #[serde(skip_serializing_if = "Option::is_none")]
    suspects: Option<Vec<SuspectJson>>,
}

impl<'a> IncidentJson<'a> {
    fn new(LoggedIncident { incident, error }: &'a LoggedIncident, suspects: Option<Vec<SuspectJson>>) -> Self {
        Self {
            function: &incident.key.function,
            version: incident.key.version.as_deref(),
            condition: &incident.key.condition,
            error: &incident.key.error,
            status: incident.key.result.as_str(),
            batches: incident.batches,
            messages: incident.messages,
            records: incident.records,
            missing_records: incident.missing,
            shards: incident.shards,
            first_seen: incident.first.map(Timestamp::rfc3339),
            last_seen: incident.last.map(Timestamp::rfc3339),
            example: &incident.example,
            log: error.as_ref().map(LogJson::from),
            suspects,
        }
    }
}

/// A message with records that match `--grep`, as JSON: `{"matching": {…}}`.
#[derive(Serialize)]
struct MatchingJson<'a> {
    matching: MatchingMessage<'a>,
}

#[derive(Serialize)]
struct MatchingMessage<'a> {
    id: &'a str,
    #[serde(flatten)]
    matches: &'a MessageMatches,
}

async fn print_json<B: Bucket, C>(context: &Context<C>, bucket: &B, report: &StatusReport) -> Result<()> {
    let output = &context.output;
    for incident in &report.incidents {
        let mut suspects = None;
        if let Some(example) = report.messages.iter().find(|message| message.id == incident.incident.example) {
            // An object that is gone has no suspects; `dlq list` says that it is.
            let body = context.interrupt.race(body_of(example, bucket)).await?.ok();
            suspects = body.and_then(|body| best_suspect(example, &body));
        }
        output.json(&IncidentJson::new(incident, suspects))?;
    }
    for message in &report.messages {
        if let Some(matches) = report.found.of(message) {
            output.json(&MatchingJson { matching: MatchingMessage { id: &message.id, matches } })?;
        }
    }
    if let Some(replays) = Replays::of(&report.messages, &report.histories) {
        output.json(&replays)?;
    }
    if let Some(retention) = &report.retention {
        output.json(&serde_json::json!({ "retention": retention }))?;
    }
    report.others.iter().try_for_each(|other| output.json(other))
}

fn print_text<C: Clock>(context: &Context<C>, report: &StatusReport, arguments: &Arguments) -> Result<()> {
    let (output, now) = (&context.output, context.now());
    print_incidents(output, report, now)?;
    matches::print(output, &report.messages, &report.found)?;
    if let Some(replays) = Replays::of(&report.messages, &report.histories) {
        replays.print(output)?;
    }
    for other in report.others.iter().filter(|other| other.visible + other.in_flight > 0) {
        let meaning = match other.queue {
            "retry" => "failed hydrations, tried again every half hour",
            _ => "failed hydrations that were given up",
        };
        let oldest = other.oldest_at.map(|oldest| format!(", the oldest for {}", time::age(now.millis_since(oldest))));
        output.line(format!(
            "\n{} queue: {}, {} in flight{} ({meaning})",
            output.paint(Paint::Bold, other.queue),
            thousands(other.visible),
            thousands(other.in_flight),
            oldest.unwrap_or_default()
        ))?;
    }
    let steps = next_steps(context, report, arguments);
    if !steps.is_empty() {
        output.line(format!("\n{}", output.paint(Paint::Bold, "Next")))?;
    }
    steps.iter().try_for_each(|step| output.line(format!("  {step}")))
}

fn print_incidents(output: &Output, report: &StatusReport, now: Timestamp) -> Result<()> {
    let incidents = &report.incidents;
    if report.summary.is_empty() {
        return output.line(output.paint(Paint::Green, report.contents.nothing_found()));
    }
    if incidents.is_empty() {
        return output.line("No failed batch was found that the filters let pass.");
    }
    let all = || incidents.iter().map(|logged| &logged.incident);
    let summary = format!(
        "{}: {}, {}",
        count(incidents.len() as u64, "incident", "incidents"),
        count(all().map(|incident| incident.batches).sum(), "batch", "batches"),
        count(all().map(|incident| incident.records).sum(), "record", "records")
    );
    output.line(output.paint(Paint::Bold, summary))?;
    output.line("")?;
    let header = ["FUNCTION", "STATUS", "FAILURE", "BATCHES", "RECORDS", "SHARDS", "FIRST", "LAST", "LATEST"];
    let mut table = Columns::new(output, &header);
    table.right(&[3, 4, 5]);
    incidents.iter().for_each(|incident| table.row(row(incident, now)));
    output.table(&table)
}

fn row(LoggedIncident { incident, error }: &LoggedIncident, now: Timestamp) -> Vec<(String, Option<Paint>)> {
    let key = &incident.key;
    let paint = match &key.result {
        IncidentResult::Hydrated(status) => status_paint(*status),
        IncidentResult::NotHydrated(_) => Paint::Red,
    };
    let records = match incident.missing {
        0 => thousands(incident.records),
        missing => format!("{}\n{} missing", thousands(incident.records), thousands(missing)),
    };
    let mut failure = format!("{}\n{}", printable(&key.condition), printable(&key.error));
    if let Some(error) = error {
        failure.push_str(&format!("\n{}", printable(&error.line())));
    }
    vec![
        (printable(&key.function_and_version()), None),
        (key.result.as_str().to_owned(), Some(paint)),
        (failure, None),
        (thousands(incident.batches), None),
        (records, None),
        (thousands(incident.shards), None),
        (time::since(incident.first, now), None),
        (time::since(incident.last, now), None),
        (printable(&short_id(&incident.example)), Some(Paint::Cyan)),
    ]
}

/// The next steps, the most urgent first.
fn next_steps<C: Clock>(context: &Context<C>, report: &StatusReport, arguments: &Arguments) -> Vec<String> {
    let (output, now) = (&context.output, context.now());
    let command = |text: String| output.paint(Paint::Cyan, format!("dlq {text}{}", context.location_flags));
    let mut steps = Vec::new();
    if let Some(Retention { first_lost: Some(first_lost), archived, .. }) = &report.retention {
        let left = first_lost.millis_since(now);
        let mut text = format!("SQS deletes the oldest message in {}", time::age(left));
        if report.knows_archive {
            text.push_str(&format!("; {}", archived.words()));
        }
        steps.push(if left < URGENT_MILLIS { output.paint(Paint::Red, text) } else { text });
    }
    let all = report.incidents.iter().map(|logged| &logged.incident);
    let (drills, failures): (Vec<_>, Vec<_>) = all.partition(|incident| is_drill(Some(&incident.key.condition)));
    let with_records = failures.iter().find(|incident| incident.records > 0);
    if let Some(incident) = with_records.or(failures.first()) {
        let grep = arguments.grep.typed().unwrap_or_default();
        let show = command(format!("show {}{grep} --logs", short_id(&incident.example)));
        let records = if grep.is_empty() { "its records" } else { "the records that match" };
        steps.push(format!("{show}   the latest batch: its facts, {records}"));
    }
    // A replay takes whole batches, by the other filters.
    if with_records.is_some() && arguments.grep.grep.is_none() {
        let replay = command(format!("replay --all{}", typed_filters(&context.words)));
        steps.push(format!("{replay}   what a replay would do; nothing is invoked yet"));
    }
    if let Some(drill) = drills.first().filter(|_| !report.contents.is_archive()) {
        let discard = command(format!("discard {} --execute", short_id(&drill.example)));
        steps.push(format!("{discard}   a drill has left it; no function has failed on it"));
    }
    if let Some(parked) = report.others.iter().find(|other| other.queue == "parked" && other.visible > 0) {
        let hydrate = command(format!("hydrate --from-queue {} --send --delete", parked.url));
        steps.push(format!("{hydrate}   once the cause is fixed, hydrate the parked ones here"));
    }
    if report.others.iter().any(|other| other.queue == "retry" && other.visible + other.in_flight > 0) {
        steps.push(format!("{}   why hydration fails", command("doctor".to_owned())));
    }
    steps
}
