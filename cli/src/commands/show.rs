//! `dlq show`: one batch, the failure's facts and its records.

use anyhow::{Context, Result};
use clap::Args;
use hydration::message::received::Received;
use serde::Serialize;

use crate::commands::list::{Line, line};
use crate::entry::Entry;
use crate::exit::Exit;
use crate::filter::{Filter, FilterArguments};
use crate::gather::{gather, text_of};
use crate::hold::holding;
use crate::print::Output;
use crate::session::Session;
use crate::show::{facts, records};

/// Show one batch: the failure, the verdict, the records decoded
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  dlq show 4f1c                     the first characters of an id will do
  dlq show 4f1c --logs              with the failed invocation's own log lines
  dlq show 4f1c --records 3         only the first three records
  dlq show 4f1c --all               every record, nothing shortened
  dlq show 4f1c --raw | jq .Records[0]

The parts of a batch are shown together. A message in the overflow bucket is fetched by itself.")]
pub struct Arguments {
    /// Ids, or the beginnings of some
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    /// Show this many records of each message
    #[arg(long, value_name = "N", default_value_t = 10)]
    records: usize,
    /// Show every record, and none shortened
    #[arg(long, conflicts_with = "records")]
    all: bool,
    /// Print the message's body as it is
    #[arg(long, conflicts_with_all = ["all", "records", "logs"])]
    raw: bool,
    /// Fetch the failed invocation's log lines from CloudWatch Logs
    #[arg(long)]
    logs: bool,
    /// The function's log group, where it is not the one Lambda names
    #[arg(long, value_name = "NAME", requires = "logs")]
    log_group: Option<String>,
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    line: Line<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unrecognized: Option<&'a serde_json::value::RawValue>,
    shown: Vec<records::Line>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    logs: Vec<String>,
}

pub async fn run(session: &Session, arguments: Arguments) -> Result<Exit> {
    let filter = Filter::new(FilterArguments::default(), None, arguments.ids.clone())?;
    let (queue, bucket) = (session.queue().await?, session.bucket());
    let gathered =
        holding(&queue, &session.interrupt, async |hold| gather(hold, &bucket, |entry| filter.takes_id(entry)).await)
            .await?;
    filter.check_ids(&gathered.entries)?;
    let mut first = true;
    for entry in gathered.entries.iter().filter(|entry| filter.takes_id(entry)) {
        if !first && !session.output.json {
            session.output.line("")?;
        }
        first = false;
        let text = text_of(entry, &bucket).await.with_context(|| format!("{} could not be read", entry.id))?;
        if arguments.raw {
            session.output.line(&text)?;
        } else {
            show(session, &arguments, entry, &text).await?;
        }
    }
    Ok(Exit::Fine)
}

async fn show(session: &Session, arguments: &Arguments, entry: &Entry, text: &str) -> Result<()> {
    let output: &Output = &session.output;
    let received = Received::read(text).with_context(|| format!("{} could not be read", entry.id))?;
    let most = if arguments.all { usize::MAX } else { arguments.records };
    let logs = match arguments.logs {
        true => Some(crate::show::logs::fetch(session, entry, arguments.log_group.as_deref()).await),
        false => None,
    };
    if output.json {
        let unrecognized = received.unrecognized.as_deref();
        let logs = match logs {
            Some(Ok(lines)) => lines,
            Some(Err(error)) => {
                output.note(format!("{error:#}"));
                Vec::new()
            }
            None => Vec::new(),
        };
        let shown = records::lines(&received, most);
        return output.json(&Shown { line: line(entry), unrecognized, shown, logs });
    }
    facts::print(output, entry, &received)?;
    records::print(output, &received, most, arguments.all)?;
    match logs {
        None => Ok(()),
        Some(Ok(lines)) => crate::show::logs::print(output, &lines),
        Some(Err(error)) => {
            output.note(format!("no logs: {error:#}"));
            Ok(())
        }
    }
}
