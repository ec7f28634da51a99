//! `dlq report`: a picture of the incident in one HTML file, to pass on.

mod history_rows;
mod incident_cards;
mod overview;
mod page;
mod page_text;
mod retention;
mod tables;
mod timeline;
mod totals;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use askama::Template;
use clap::Args;
use hydration::incident::Incident;
use hydration::message::parsed::ParsedMessage;
use hydration::ports::Clock;
use hydration::suspects::Suspect;
use hydration::timestamp::Timestamp;

use self::history_rows::{LedgerContent, QueueIds};
use self::incident_cards::{IncidentCards, LatestBatch, MAX_INCIDENTS};
use self::page::ReportPage;
use crate::archive::ArchivePlace;
use crate::commands::histories::{OpenedLedger, say_folder};
use crate::commands::status::incident::incidents;
use crate::context::Context;
use crate::exit::{Exit, explain};
use crate::ledger::Ledger;
use crate::ledger::error::LedgerError;
use crate::ledger::store::Store;
use crate::message_file::MessageFolder;
use crate::ports::{Bucket, NamedQueue, Queue};
use crate::print::progress::{Progress, during};
use crate::print::{bytes, count, short_id};
use crate::queue::filter::{Filter, FilterArgs};
use crate::queue::filter_args::typed_filters;
use crate::queue::hydrated_message::HydratedMessage;
use crate::queue::identity::QueueIdentity;
use crate::queue::lease::with_lease;
use crate::queue::read_queue::{KeepBodies, body_of, read_queue};
use crate::queue::read_summary::ReadSummary;
use crate::suspects::{MoreEvidence, suspects};

/// Batches of the same function that show what is usual, for the suspects of a small one.
const MAX_BACKGROUND: usize = 8;

/// Write what failed to one HTML file, to pass on
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  dlq report --to incident.html                     everything on the queue
  dlq report --to incident.html --since 1d          only what failed since yesterday
  dlq report --to incident.html --with-records      with the data of some records, marked on every page

The page needs no network and no JavaScript, follows the reader's dark or light theme, prints, and stays under 2 MB. It
says what failed when, how much came back and how much is lost, the ages against what the stream and the queue keep, the
incidents with their suspects, the shards, and from the ledger who replayed or discarded what. Each section says what it
leaves out.

Without --with-records the page holds ids, names, counts, times and sequence numbers: no record data, no partition key,
and no reason of a suspect, which may quote its record. The file is readable by you alone until you pass it on.

Looking changes nothing: the messages are visible again when the command ends. Exit code 3 means that something on the
queue, or the ledger, was not seen; the page says what.")]
pub struct Arguments {
    /// The file to write, or - for standard output
    #[arg(long, value_name = "FILE|-")]
    to: PathBuf,
    /// Overwrite a file that is there
    #[arg(long)]
    force: bool,
    /// Show the data of some records, and the reasons of suspects, which may quote it
    #[arg(long)]
    with_records: bool,
    #[command(flatten)]
    pub filter: FilterArgs,
    /// The place of the ledger, as in dlq replay
    #[arg(long, value_name = "s3://…|DIR")]
    pub ledger: Option<String>,
}

/// Words for the place that the messages were read from.
#[derive(Debug, Clone, Copy)]
struct SourceWords {
    is_archive: bool,
    name: &'static str,
    /// For a message that was read.
    here: &'static str,
    /// For a message of the ledger that was not.
    elsewhere: &'static str,
}

impl SourceWords {
    const QUEUE: Self =
        Self { is_archive: false, name: "the queue", here: "on the queue", elsewhere: "no longer on the queue" };
    const ARCHIVE: Self =
        Self { is_archive: true, name: "the archive", here: "in the archive", elsewhere: "not among those read" };
}

/// Everything that the page is made from, beside the records.
struct ReportFacts<'a> {
    now: Timestamp,
    queue: QueueIdentity,
    source: SourceWords,
    retention: Option<Duration>,
    with_records: bool,
    /// The filters as they were typed.
    filters: String,
    filter: &'a FilterArgs,
    location_flags: &'a str,
    messages: &'a [HydratedMessage],
    incidents: &'a [Incident],
    summary: ReadSummary,
    /// What was not looked at, a sentence each.
    unseen: Vec<String>,
    ids: QueueIds<'a>,
    /// The error where the ledger was not read.
    ledger: Result<LedgerContent, String>,
    ledger_place: String,
}

pub async fn run<Q: Queue, O: Queue, B: Bucket, S: Store, C: Clock>(
    context: &Context<C>,
    queue: &Q,
    bucket: &B,
    ledger: &OpenedLedger<S, C>,
    retry_and_parked: &[NamedQueue<O>],
    arguments: Arguments,
) -> Result<Exit> {
    let filter = Filter::new(&arguments.filter, &[], context.now())?;
    let folder = open_folder(&arguments)?;
    let (contents, messages, all_ids) = with_lease(context, queue, async |lease| {
        let mut contents = read_queue(lease, bucket, KeepBodies::Of(&filter)).await?;
        let all_ids: Vec<String> = contents.messages.iter().map(|message| message.id.clone()).collect();
        let messages = contents.choose(&filter, lease).await?;
        Ok((contents, messages, all_ids))
    })
    .await?;
    let source = if queue.archive().is_some() { SourceWords::ARCHIVE } else { SourceWords::QUEUE };
    // No function has failed on what a drill has left.
    let (drills, messages): (Vec<_>, Vec<_>) = messages.into_iter().partition(HydratedMessage::is_drill);
    let summary = contents.summary();
    let mut unseen = summary.lines();
    unseen.extend(drills.first().map(|drill| describe_drills(context, source, drills.len(), drill)));
    for other in retry_and_parked {
        unseen.extend(describe_other(context, other).await?);
    }
    let incidents = incidents(messages.iter());
    let chosen: BTreeSet<&str> = messages.iter().map(|message| message.id.as_str()).collect();
    let others = all_ids.iter().map(String::as_str).filter(|id| !chosen.contains(id)).collect();
    let attributes = &contents.received.attributes;
    let facts = ReportFacts {
        now: context.now(),
        queue: match queue.archive() {
            None => QueueIdentity::parse(&attributes.arn).context("the queue's attributes hold no ARN")?,
            Some(archive) => archive_identity(archive, ledger),
        },
        source,
        retention: attributes.retention,
        with_records: arguments.with_records,
        filters: typed_filters(&context.words),
        filter: &arguments.filter,
        location_flags: &context.location_flags,
        messages: &messages,
        incidents: &incidents,
        summary,
        unseen,
        ids: QueueIds { chosen, others, elsewhere: source.elsewhere },
        ledger: read_ledger(context, ledger).await?,
        ledger_place: place_words(ledger),
    };
    let cards = read_incidents(context, bucket, &facts).await?;
    let html = ReportPage::new(&facts, cards).render().context("the page could not be made")?;
    write(context, &arguments, folder.as_ref(), &html, &summary)?;
    contents.warnings().iter().for_each(|warning| context.output.note(warning));
    Ok(summary.exit())
}

/// The archive's address, and the account and region of the queue that it belongs to, if that is known.
fn archive_identity<S, C>(archive: &ArchivePlace, ledger: &OpenedLedger<S, C>) -> QueueIdentity {
    let unknown = || "unknown".to_owned();
    let of_queue = ledger.as_ref().ok().map(|(_, place)| place.queue.clone());
    let (account, region) = of_queue.map_or_else(|| (unknown(), unknown()), |queue| (queue.account, queue.region));
    QueueIdentity { account, region, queue: archive.to_string(), archive: None }
}

/// The folder for the page; `None` for standard output. A file that cannot be written is refused before the queue is
/// read.
fn open_folder(arguments: &Arguments) -> Result<Option<MessageFolder>> {
    let path = &arguments.to;
    if path == Path::new("-") {
        return Ok(None);
    }
    let is_named_as_folder = path.as_os_str().as_encoded_bytes().ends_with(b"/");
    if path.file_name().is_none() || is_named_as_folder || path.is_dir() {
        bail!("{} is a folder\n  → give a file: --to {}", path.display(), path.join("incident.html").display());
    }
    // Overwriting puts a file in its place, for everybody on the machine.
    if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        bail!("{} is not a file\n  → give a file, or --to - for standard output", path.display());
    }
    if !arguments.force && path.symlink_metadata().is_ok() {
        bail!("{} is there already\n  → give --force to overwrite it, or another name", path.display());
    }
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    MessageFolder::open(folder, arguments.force).map(Some)
}

/// The number of messages on another queue of the stack; `None` where there is none. It is not read.
async fn describe_other<Q: Queue, C>(context: &Context<C>, other: &NamedQueue<Q>) -> Result<Option<String>> {
    let attributes = context.interrupt.race(other.queue.attributes()).await?.map_err(|fault| explain(&fault))?;
    let number = attributes.visible + attributes.in_flight + attributes.delayed;
    let meaning = match other.name {
        "retry" => "failed hydrations, which are tried again every half hour",
        _ => "failed hydrations that were given up; dlq hydrate --from-queue hydrates them",
    };
    let messages = count(number, "message", "messages");
    Ok((number > 0).then(|| format!("{messages} on the {} queue: {meaning}", other.name)))
}

fn describe_drills<C>(context: &Context<C>, source: SourceWords, number: usize, first: &HydratedMessage) -> String {
    let drills = count(number as u64, "message", "messages");
    let sentence = format!("{drills} that a drill has left: no function has failed on it");
    if source.is_archive {
        return sentence;
    }
    format!("{sentence}; dlq discard {} --execute{}", short_id(&first.id), context.location_flags)
}

/// All that the ledger has, or the reason why it was not read, which is a note and exit code 3.
async fn read_ledger<S: Store, C: Clock>(
    context: &Context<C>,
    opened: &OpenedLedger<S, C>,
) -> Result<Result<LedgerContent, String>> {
    let not_read = |error: String| {
        context.output.attention(format!("what was replayed before is not shown: {error}"));
        Err(error)
    };
    let (ledger, place) = match opened {
        Ok(opened) => opened,
        Err(error) => return Ok(not_read(format!("{error:#}"))),
    };
    let read = context.interrupt.race(during("reading the ledger", all_of(ledger))).await?;
    Ok(match read {
        Err(error) => not_read(error.to_string()),
        Ok(content) => {
            if !place.is_shared {
                say_folder(context, place);
            }
            Ok(content)
        }
    })
}

async fn all_of<S: Store, C: Clock>(ledger: &Ledger<S, C>) -> Result<LedgerContent, LedgerError> {
    let runs = ledger.all().await?.into_iter().map(|(_, known)| known.run).collect();
    Ok(LedgerContent { runs, discards: ledger.discards(|_| true).await? })
}

fn place_words<S, C>(opened: &OpenedLedger<S, C>) -> String {
    match opened {
        Ok((_, place)) if place.is_shared => place.ledger.clone(),
        Ok((_, place)) => format!("{} (a folder of one machine: others may have done more)", place.ledger),
        Err(_) => "-".to_owned(),
    }
}

/// Reads the latest batch of each incident and finds its suspects: one batch at a time, none of which is kept.
async fn read_incidents<B: Bucket, C>(
    context: &Context<C>,
    bucket: &B,
    facts: &ReportFacts<'_>,
) -> Result<IncidentCards> {
    let progress = Progress::new("looking for suspects");
    progress.expect(facts.incidents.len().min(MAX_INCIDENTS) as u64);
    let mut cards = IncidentCards::new(facts.with_records);
    for incident in facts.incidents {
        if cards.is_full() {
            cards.leave_out();
            continue;
        }
        let Some(message) = facts.messages.iter().find(|message| message.id == incident.example) else { continue };
        let body = context.interrupt.race(body_of(message, bucket)).await?;
        let received = body.and_then(|body| Ok(ParsedMessage::parse(&body)?));
        let records = received.map_err(|error| format!("{error:#}")).map(|received| {
            let found = suspects_among(message, &received, facts.messages);
            (received, found)
        });
        cards.add(incident, &LatestBatch { message, records });
        progress.add(1);
        context.interrupt.check()?;
    }
    Ok(cards)
}

fn suspects_among(message: &HydratedMessage, received: &ParsedMessage, all: &[HydratedMessage]) -> Vec<Suspect> {
    let is_alike = |other: &&HydratedMessage| {
        other.id != message.id && other.function_arn == message.function_arn && other.stream == message.stream
    };
    let others: Vec<HydratedMessage> = all.iter().filter(is_alike).take(MAX_BACKGROUND).cloned().collect();
    suspects(message, received, MoreEvidence { others: &others, ..MoreEvidence::default() })
}

/// Writes the page, and says so. With `--to -` the page is the whole answer, and the rest is a note.
fn write<C>(
    context: &Context<C>,
    arguments: &Arguments,
    folder: Option<&MessageFolder>,
    html: &str,
    summary: &ReadSummary,
) -> Result<()> {
    let output = &context.output;
    let Some(folder) = folder else {
        output.line(html.trim_end())?;
        summary.lines().iter().for_each(|line| output.note(line));
        return Ok(());
    };
    let path = &arguments.to;
    context.interrupt.check()?;
    folder.write(path, html.as_bytes())?;
    if output.json {
        let (bytes, with_records) = (html.len(), arguments.with_records);
        output.json(&serde_json::json!({ "path": path, "bytes": bytes, "withRecords": with_records }))?;
    } else {
        let data = if arguments.with_records { ", with record data" } else { "" };
        output.line(format!("{}  {}{data}", path.display(), bytes::size(html.len() as u64)))?;
    }
    summary.print(output)
}
