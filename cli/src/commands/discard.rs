//! `dlq discard`: delete messages that were dealt with in another way.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use hydration::ports::Clock;

use crate::commands::replay::audit::{Audit, AuditEntry, AuditStep};
use crate::context::Context;
use crate::exit::{Exit, explain};
use crate::ports::{Bucket, Queue};
use crate::print::message_json::MessageJson;
use crate::print::{Output, Paint, count, short_id};
use crate::queue::filter::{Filter, FilterArgs, parse_id};
use crate::queue::hydrated_message::HydratedMessage;
use crate::queue::lease::{Lease, with_lease};
use crate::queue::read_queue::{KeepBodies, read_queue};

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
    #[arg(value_name = "ID", value_parser = parse_id, required_unless_present = "all", conflicts_with = "all")]
    ids: Vec<String>,
    /// Every message that the filters let pass
    #[arg(long)]
    all: bool,
    /// Delete; without it, only say what would be deleted
    #[arg(long)]
    execute: bool,
    #[command(flatten)]
    filter: FilterArgs,
    /// The audit file; by default one for the queue in $XDG_STATE_HOME/dlq
    #[arg(long, value_name = "FILE")]
    audit: Option<PathBuf>,
}

impl Arguments {
    pub fn audit_file(&self) -> Option<&Path> {
        self.audit.as_deref()
    }
}

pub async fn run<Q: Queue, B: Bucket, C: Clock>(
    context: &Context<C>,
    queue: &Q,
    bucket: &B,
    audit_path: PathBuf,
    arguments: Arguments,
) -> Result<Exit> {
    let filter = Filter::new(&arguments.filter, &arguments.ids, context.now())?;
    let mut audit = if arguments.execute { Some(Audit::open(&audit_path)?) } else { None };
    let chosen = with_lease(queue, &context.interrupt, async |lease| {
        let mut contents = read_queue(lease, bucket, KeepBodies::None).await?;
        let chosen = contents.choose(&filter, lease).await?;
        contents.warnings().iter().for_each(|warning| context.output.note(warning));
        if let Some(audit) = &mut audit {
            for message in &chosen {
                delete(lease, message, audit, &context.clock).await?;
            }
        }
        Ok(chosen)
    })
    .await?;
    print(&context.output, &chosen, arguments.execute)?;
    Ok(Exit::Done)
}

async fn delete<Q: Queue, C: Clock>(
    lease: &Lease<'_, Q>,
    message: &HydratedMessage,
    audit: &mut Audit,
    clock: &C,
) -> Result<()> {
    for message_id in message.message_ids() {
        lease.delete(message_id).await.map_err(|fault| explain(&fault))?;
        let function = message.function_arn.as_deref().unwrap_or_default();
        audit.write(&AuditEntry {
            message_id: Some(message_id.to_owned()),
            ..AuditEntry::new(clock.now().rfc3339(), AuditStep::Deleted, &message.id, function)
        })?;
    }
    Ok(())
}

fn print(output: &Output, chosen: &[HydratedMessage], is_executed: bool) -> Result<()> {
    if output.json {
        return chosen.iter().try_for_each(|message| output.json(&MessageJson::from(message)));
    }
    for message in chosen {
        let id = output.paint(Paint::Cyan, short_id(&message.id));
        let records = count(message.records, "record", "records");
        output.line(format!("{id}  {:<12} {records}", message.status.as_str()))?;
    }
    let messages = count(chosen.len() as u64, "message", "messages");
    let records = count(chosen.iter().map(|message| message.records).sum(), "record", "records");
    let summary = if is_executed {
        format!("{messages} deleted, with {records}.")
    } else {
        format!("Dry run: nothing was deleted. --execute deletes {messages}, with {records}.")
    };
    output.line(output.paint(Paint::Bold, summary))
}
