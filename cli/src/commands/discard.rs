//! `dlq discard`: take off the queue what has been dealt with in another way.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use hydration::ports::Clock;
use hydration_aws::SystemClock;

use crate::commands::list::{line, warn};
use crate::entry::Entry;
use crate::exit::{Exit, explain};
use crate::filter::LookArguments;
use crate::gather::gather;
use crate::hold::holding;
use crate::print::{Paint, count, short_id};
use crate::replay::audit::{Audit, Line, Step, path_for};
use crate::session::Session;

/// Delete messages without running them: what is expired, or was dealt with in another way
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  dlq discard --all --status Expired,Gone,NoRange      what would be deleted; nothing is
  dlq discard 4f1c --execute

Every copy of a message goes, and the audit file has a line for each. An object in the overflow bucket is left to the
bucket's lifecycle. To keep the records, dlq export them first.")]
pub struct Arguments {
    /// Ids, or the beginnings of some
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    ids: Vec<String>,
    /// Every message that the filters let pass
    #[arg(long)]
    all: bool,
    /// Delete; without it, only say what would be deleted
    #[arg(long)]
    execute: bool,
    #[command(flatten)]
    filter: LookArguments,
    /// The audit file; by default one for the queue in $XDG_STATE_HOME/dlq
    #[arg(long, value_name = "FILE")]
    audit: Option<PathBuf>,
}

pub async fn run(session: &Session, arguments: Arguments) -> Result<Exit> {
    let filter = arguments.filter.filter(&arguments.ids)?;
    let mut audit = match arguments.execute {
        true => Some(Audit::open(&path_for(arguments.audit.as_deref(), &session.queue_url().await?)?)?),
        false => None,
    };
    let (queue, bucket) = (session.queue().await?, session.bucket());
    let output = &session.output;
    let chosen = holding(&queue, &session.interrupt, async |hold| {
        let gathered = gather(hold, &bucket, |_| false).await?;
        filter.check_ids(&gathered.entries)?;
        warn(session, &gathered);
        let chosen: Vec<Entry> = gathered.entries.into_iter().filter(|entry| filter.takes(entry)).collect();
        for entry in &chosen {
            let Some(audit) = audit.as_mut() else { continue };
            for copy in &entry.copies {
                hold.delete(&copy.message_id).await.map_err(|fault| explain(&fault))?;
                let function = entry.function_arn.clone().unwrap_or_default();
                let at = SystemClock.now().rfc3339();
                audit.write(&Line {
                    message_id: Some(copy.message_id.clone()),
                    ..Line::new(at, Step::Deleted, &entry.id, &function)
                })?;
            }
        }
        Ok(chosen)
    })
    .await?;

    for entry in &chosen {
        if output.json {
            output.json(&line(entry))?;
        } else {
            let records = count(entry.records, "record", "records");
            output.line(format!(
                "{}  {:<12} {records}",
                output.paint(Paint::Cyan, short_id(&entry.id)),
                entry.status.as_str()
            ))?;
        }
    }
    if !output.json {
        let messages = count(chosen.len() as u64, "message", "messages");
        let records = count(chosen.iter().map(|entry| entry.records).sum(), "record", "records");
        let told = match arguments.execute {
            true => format!("{messages} deleted, with {records}."),
            false => format!("Dry run: nothing was deleted. --execute deletes {messages}, with {records}."),
        };
        output.line(output.paint(Paint::Bold, told))?;
    }
    Ok(Exit::Fine)
}
