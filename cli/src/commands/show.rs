//! `dlq show`: one batch, the facts of its failure and its records.

pub mod facts;
mod foreign;
mod in_batch;
mod past;

use anyhow::{Context as _, Result};
use clap::Args;
use hydration::message::parsed::ParsedMessage;
use hydration::ports::Clock;
use serde::Serialize;
use serde_with::skip_serializing_none;

use crate::commands::histories::{Histories, OpenedLedger};
use crate::commands::invocation_log;
use crate::commands::replay::Resources;
use crate::context::Context;
use crate::exit::Exit;
use crate::ledger::history::{BatchHistory, HistoryJson};
use crate::ledger::store::Store;
use crate::narrowing::{Narrower, Narrowing, NarrowingCounts, NotNarrowed};
use crate::ports::{Bucket, Function, Logs, Queue};
use crate::print::message_json::MessageJson;
use crate::print::progress::during;
use crate::print::records::{self, PickedRecords, RecordJson};
use crate::queue::filter::{Filter, parse_id};
use crate::queue::hydrated_message::HydratedMessage;
use crate::queue::lease::with_lease;
use crate::queue::read_queue::{KeepBodies, body_of, read_queue};
use crate::queue::record_search::{GrepArgs, RecordMatch, RecordSearch, keep_matching, record_match};
use crate::suspects::{self, LogLinesArgs, MoreEvidence, SuspectJson, suspects};

/// Show one batch: the failure, the verdict, the records decoded
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  dlq show 4f1c                     the first characters of an id will do
  dlq show 4f1c --logs              with the failed invocation's own log lines
  dlq show 4f1c --log-lines -       with log lines from elsewhere, to find suspects
  dlq show 4f1c --records 3         only the first three records
  dlq show 4f1c --all               every record, nothing shortened
  dlq show 4f1c --archive stack     a batch that is no longer on the queue
  dlq show --grep ORD-04711         the records with that order, of every batch that has one
  dlq show 4f1c --raw | jq .Records[0]

Suspects are the records most likely to have failed the batch: the log names them, or they are unlike the others. Nothing
is invoked for them. Where nothing stands out, or the log names a cause outside the records, nobody is suspected.

The parts of a batch are shown together. A message in the overflow bucket is fetched by itself. With an id of twelve
digits or more, the queue is read only until the batch and its parts are found. The ledger says what was replayed of a
batch, by whom, and how it ended; also of one that is no longer on the queue, and who discarded it. The exit code is
then 1, as for every id that is not found.

Each record of a superset is marked: it was in the failed batch (=), may have been (?), or was not (-). That is known from
the filters and the parallelization factor of the event source mapping, which is asked for
(lambda:ListEventSourceMappings), if it was not changed since. With -o json it is inBatch of each record.

With --grep only the records that match are shown, and only batches that have one; dlq list --help says what is
searched.")]
pub struct Arguments {
    /// Ids, or the beginnings of some; message ids where a message is not hydrated
    #[arg(required_unless_present = "grep", value_name = "ID", value_parser = parse_id)]
    pub ids: Vec<String>,
    #[command(flatten)]
    grep: GrepArgs,
    /// Show this many records of each message
    #[arg(long, value_name = "N", default_value_t = 10)]
    records: usize,
    /// Show every record, and none shortened
    #[arg(long, conflicts_with = "records")]
    all: bool,
    /// Print the message's body as it is
    #[arg(long, conflicts_with_all = ["all", "records", "logs", "log_lines"])]
    raw: bool,
    /// Fetch the failed invocation's log lines from CloudWatch Logs
    #[arg(long, conflicts_with = "log_lines")]
    logs: bool,
    #[command(flatten)]
    log_lines: LogLinesArgs,
    /// The function's log group, where it is not the one Lambda names
    #[arg(long, value_name = "NAME", requires = "logs")]
    log_group: Option<String>,
    /// The place of the ledger, as in dlq replay
    #[arg(long, value_name = "s3://…|DIR")]
    pub ledger: Option<String>,
}

/// A message with its records, as JSON.
#[skip_serializing_none]
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownJson<'a> {
    #[serde(flatten)]
    message: MessageJson<'a>,
    /// The replays of the batch, one for each function that it was tried on.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    history: &'a [HistoryJson],
    unrecognized: Option<&'a serde_json::value::RawValue>,
    /// The object in a failed-batch bucket that the message was made from.
    object: Option<&'a str>,
    /// The number of records by their relation to the failed batch, for a superset.
    narrowing: Option<NarrowingCounts>,
    /// The reason why that is not known.
    not_narrowed: Option<String>,
    /// The records most likely to have failed the batch, best first.
    suspects: Vec<SuspectJson>,
    /// The records that match `--grep`, all of them.
    match_count: Option<usize>,
    matches: Option<Vec<RecordMatch>>,
    shown: Vec<RecordJson>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    logs: Vec<String>,
}

pub async fn run<Q: Queue, B: Bucket, F: Function, L: Logs, S: Store, C: Clock>(
    context: &Context<C>,
    Resources { queue, bucket, function, ledger }: Resources<'_, Q, B, F, &OpenedLedger<S, C>>,
    logs: &L,
    arguments: Arguments,
) -> Result<Exit> {
    let mut filter = Filter::by_ids(&arguments.ids);
    let search = RecordSearch::new(&arguments.grep, &mut filter);
    let log_lines = arguments.log_lines.read(&context.interrupt).await?;
    let read = with_lease(context, queue, async |lease| {
        let mut contents = read_queue(lease, bucket, KeepBodies::UntilFoundWithOthers(&filter)).await?;
        let chosen = contents.choose(&filter, lease).await?;
        Ok((contents, chosen))
    })
    .await;
    let (mut contents, chosen) = match read {
        Ok(read) => read,
        Err(error) if arguments.raw => return Err(error),
        Err(error) => return Err(past::show(context, ledger, error).await?),
    };
    let (chosen, _) = keep_matching(context, bucket, search.as_ref(), &mut contents, chosen).await?;
    // The message's body alone says nothing of replays.
    let histories =
        if arguments.raw { Histories::default() } else { Histories::read(context, ledger, &chosen).await? };
    let narrower = Narrower::new(function);
    for (index, message) in chosen.iter().enumerate() {
        if index > 0 && !context.output.json {
            context.output.line("")?;
        }
        let could_not = || format!("{} could not be read", message.id);
        let body = context.interrupt.race(body_of(message, bucket)).await?.with_context(could_not)?;
        if arguments.raw {
            context.output.raw_json(&body)?;
        } else {
            let received = ParsedMessage::parse(&body).with_context(could_not)?;
            let narrowing = during("asking for the event source mapping", narrower.narrow(&received));
            let narrowing = context.interrupt.race(narrowing).await?;
            let matching = match &search {
                Some(search) => Some(search.places(&received, &context.interrupt).await?.0),
                None => None,
            };
            let found = ShownMessage {
                message,
                received: &received,
                history: histories.of(message),
                narrowing,
                matching,
                log_lines: &log_lines,
                others: &contents.others_with_body,
            };
            show(context, logs, &arguments, &found).await?;
        }
    }
    // Without an id none was asked for; the summary counts them.
    let foreign = contents.foreign.iter().filter(|message| filter.names(message));
    foreign.into_iter().try_for_each(|message| foreign::show(context, &arguments, message))?;
    contents.warnings().iter().for_each(|warning| context.output.note(warning));
    if search.is_none() || contents.received.is_cut_short {
        return Ok(Exit::Done);
    }
    if chosen.is_empty() {
        context.output.note("no record matches");
    }
    let summary = contents.summary();
    summary.print(&context.output)?;
    Ok(summary.exit())
}

/// A message with its body, and what was replayed of it.
struct ShownMessage<'a> {
    message: &'a HydratedMessage,
    received: &'a ParsedMessage,
    history: Option<&'a BatchHistory>,
    /// The relation of each record to the failed batch, for a superset.
    narrowing: Option<Result<Narrowing, NotNarrowed>>,
    /// The places of the records that match a search, from 0.
    matching: Option<Vec<usize>>,
    /// Log lines that the caller gave.
    log_lines: &'a [String],
    /// Other messages on the queue.
    others: &'a [HydratedMessage],
}

async fn show<L: Logs, C: Clock>(
    context: &Context<C>,
    logs: &L,
    arguments: &Arguments,
    found: &ShownMessage<'_>,
) -> Result<()> {
    let ShownMessage { message, received, history, ref narrowing, ref matching, log_lines, others } = *found;
    let narrowed = narrowing.as_ref().and_then(|narrowing| narrowing.as_ref().ok());
    let relations = narrowed.map(|narrowed| narrowed.in_batch.as_slice());
    let (output, now) = (&context.output, context.now());
    let picked = PickedRecords::new(received, matching.as_deref(), arguments.all, arguments.records);
    let log = if arguments.logs {
        let fetch = invocation_log::fetch(logs, message, arguments.log_group.as_deref(), now);
        Some(context.interrupt.race(during("fetching the log", fetch)).await?)
    } else {
        None
    };
    let lines = log.as_ref().and_then(|log| log.as_ref().ok());
    let log_lines = lines.map_or(log_lines, |log| log.lines.as_slice());
    let suspected = suspects(message, received, MoreEvidence { log: log_lines, in_batch: relations, others });
    if output.json {
        let logs = match log {
            None => Vec::new(),
            Some(Ok(log)) => {
                invocation_log::print_not_seen(output, &log);
                log.lines
            }
            Some(Err(error)) => {
                invocation_log::print_error(output, &error);
                Vec::new()
            }
        };
        return output.json(&ShownJson {
            message: MessageJson::from(message),
            history: history.map(|history| history.json.as_slice()).unwrap_or_default(),
            unrecognized: received.unrecognized.as_deref(),
            object: received.head.hydration.object.as_deref(),
            narrowing: narrowed.map(Narrowing::counts),
            not_narrowed: narrowing.as_ref().and_then(|narrowing| narrowing.as_ref().err()).map(ToString::to_string),
            suspects: suspected.iter().map(SuspectJson::from).collect(),
            match_count: matching.as_ref().map(Vec::len),
            matches: matching
                .as_ref()
                .map(|places| places.iter().map(|place| record_match(received, *place)).collect()),
            shown: records::picked_as_json(received, &picked, relations),
            logs,
        });
    }
    facts::print(output, message, received, now)?;
    facts::print_history(output, history)?;
    in_batch::print(output, narrowing.as_ref())?;
    suspects::print(output, &suspected)?;
    records::print_picked(output, received, &picked, arguments.all, relations)?;
    match log {
        None => Ok(()),
        Some(Ok(log)) => invocation_log::print(output, &log),
        Some(Err(error)) => {
            invocation_log::print_error(output, &error);
            Ok(())
        }
    }
}
