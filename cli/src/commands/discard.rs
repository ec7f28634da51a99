//! `dlq discard`: delete messages that were dealt with in another way.

use std::cell::Cell;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use hydration::ports::Clock;
use serde::Serialize;

use crate::commands::replay::session::LedgerPlace;
use crate::context::Context;
use crate::exit::{Exit, explain};
use crate::ledger::Ledger;
use crate::ledger::store::Store;
use crate::message_file::MessageFolder;
use crate::ports::{Bucket, Queue};
use crate::print::message_json::{ForeignJson, MessageJson};
use crate::print::{Paint, count, printable, short_id};
use crate::queue::filter::{Filter, FilterArgs, parse_id};
use crate::queue::hydrated_message::HydratedMessage;
use crate::queue::lease::{Lease, with_lease};
use crate::queue::queue_message::ForeignMessage;
use crate::queue::read_queue::{KeepBodies, QueueContents, body_of, read_queue};

/// Delete messages without running them: what is expired, or was dealt with in another way
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  dlq discard --all --status Expired,Gone,NoRange      what would be deleted; nothing is
  dlq discard 4f1c --execute
  dlq discard --all --until 3d --execute --backup discarded/

Every copy of a message goes. Before that, the ledger says who discarded it and when: also where some of its records
have succeeded and others are given up. dlq show with its id prints that later. An object in the overflow bucket is left
to the bucket's lifecycle. --backup keeps the records: each message is written to a file before it is deleted. Messages
are deleted one by one, so that Ctrl-C stops before the next. A message that is not hydrated is named by its message id.

Exit code 3 means that something on the queue was not seen, or is not hydrated; the last lines count it.")]
pub struct Arguments {
    /// Ids, or the beginnings of some; message ids where a message is not hydrated
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
    /// Write each message to a file in this folder before it is deleted
    #[arg(long, value_name = "DIR")]
    backup: Option<PathBuf>,
    /// The place of the ledger, as in dlq replay
    #[arg(long, value_name = "s3://…|DIR")]
    pub ledger: Option<String>,
}

/// Deletes what was received, without the lock on the queue: a replay holds its messages, so that none of them is
/// received here.
pub async fn run<Q: Queue, B: Bucket, S: Store, C: Clock>(
    context: &Context<C>,
    queue: &Q,
    bucket: &B,
    ledger: &Ledger<S, C>,
    place: &LedgerPlace,
    arguments: Arguments,
) -> Result<Exit> {
    let filter = Filter::new(&arguments.filter, &arguments.ids, context.now())?;
    let backup = arguments.backup.as_deref().filter(|_| arguments.execute);
    let backup = backup.map(|path| MessageFolder::open(path, false)).transpose()?;
    place.print(&context.output)?;
    let keep = if backup.is_some() { KeepBodies::Of(&filter) } else { KeepBodies::None };
    let ledger = arguments.execute.then_some(ledger);
    let discard = Discard { context, bucket, ledger, backup, totals: DiscardTotals::default() };
    let outcome = with_lease(context, queue, async |lease| {
        let mut contents = read_queue(lease, bucket, keep).await?;
        let chosen = contents.choose(&filter, lease).await?;
        // Without an id, foreign messages are none of this command's business.
        let foreign: Vec<_> = contents.foreign.iter().filter(|foreign| filter.names(foreign)).cloned().collect();
        contents.foreign.retain(|foreign| !filter.names(foreign));
        let items = chosen.iter().map(Item::hydrated).chain(foreign.iter().map(Item::foreign));
        for item in items {
            discard.discard(lease, &item).await?;
        }
        Ok(contents)
    })
    .await;
    discard.finish(outcome)
}

/// A message to discard.
struct Item<'a> {
    id: &'a str,
    /// The status, or the reason why it is foreign.
    status: &'a str,
    records: u64,
    message_ids: Vec<&'a str>,
    kind: ItemKind<'a>,
}

enum ItemKind<'a> {
    Hydrated(&'a HydratedMessage),
    Foreign(&'a ForeignMessage),
}

impl<'a> Item<'a> {
    fn hydrated(message: &'a HydratedMessage) -> Self {
        Self {
            id: &message.id,
            status: message.status.as_str(),
            records: message.records,
            message_ids: message.message_ids().collect(),
            kind: ItemKind::Hydrated(message),
        }
    }

    fn foreign(message: &'a ForeignMessage) -> Self {
        Self {
            id: &message.message_id,
            status: &message.reason,
            records: 0,
            message_ids: vec![&message.message_id],
            kind: ItemKind::Foreign(message),
        }
    }
}

/// Numbers of messages and of their records.
#[derive(Debug, Default)]
struct DiscardTotals {
    messages: Cell<u64>,
    records: Cell<u64>,
}

impl DiscardTotals {
    fn add(&self, item: &Item<'_>) {
        self.messages.set(self.messages.get() + 1);
        self.records.set(self.records.get() + item.records);
    }
}

struct Discard<'a, B, S, C> {
    context: &'a Context<C>,
    bucket: &'a B,
    /// `None` in a dry run.
    ledger: Option<&'a Ledger<S, C>>,
    backup: Option<MessageFolder>,
    totals: DiscardTotals,
}

impl<B: Bucket, S: Store, C: Clock> Discard<'_, B, S, C> {
    /// Backs a message up, records it in the ledger, deletes its copies, and prints it, before the next is touched.
    async fn discard<Q: Queue>(&self, lease: &Lease<'_, Q>, item: &Item<'_>) -> Result<()> {
        lease.interrupt.check()?;
        if let Some(ledger) = self.ledger {
            lease.check_extended()?;
            self.back_up(item).await?;
            let recorded = ledger.discard(item.id, item.records, &item.message_ids);
            self.context.interrupt.race(recorded).await?.with_context(|| format!("{} was not deleted", item.id))?;
            for message_id in &item.message_ids {
                lease.delete(message_id).await.map_err(|fault| explain(&fault))?;
            }
        }
        self.totals.add(item);
        self.print(item)
    }

    async fn back_up(&self, item: &Item<'_>) -> Result<()> {
        let Some(folder) = &self.backup else { return Ok(()) };
        let body = match item.kind {
            ItemKind::Hydrated(message) => self.context.interrupt.race(body_of(message, self.bucket)).await?,
            ItemKind::Foreign(message) => message.text(),
        };
        let body = body.with_context(|| format!("{} could not be read, and was not deleted", item.id))?;
        folder.write(&folder.path_of(item.id, "message.json")?, body.as_bytes()).map(drop)
    }

    fn print(&self, item: &Item<'_>) -> Result<()> {
        let output = &self.context.output;
        if !output.json {
            let id = match item.kind {
                ItemKind::Hydrated(_) => short_id(item.id),
                ItemKind::Foreign(_) => item.id.to_owned(),
            };
            let records = count(item.records, "record", "records");
            let id = output.paint(Paint::Cyan, printable(&id));
            return output.line(format!("{id}  {:<12} {records}", printable(item.status)));
        }
        let action = if self.ledger.is_some() { "deleted" } else { "wouldDelete" };
        match item.kind {
            ItemKind::Hydrated(message) => output.json(&DiscardJson { action, message: &MessageJson::from(message) }),
            ItemKind::Foreign(message) => output.json(&DiscardJson { action, message: &ForeignJson::from(message) }),
        }
    }

    /// Prints what was done, also where the command was stopped.
    fn finish(&self, outcome: Result<QueueContents>) -> Result<Exit> {
        let output = &self.context.output;
        let messages = count(self.totals.messages.get(), "message", "messages");
        let records = count(self.totals.records.get(), "record", "records");
        let is_executed = self.ledger.is_some();
        let contents = match outcome {
            Ok(contents) => contents,
            Err(error) => {
                if is_executed {
                    output.progress(format!("{messages} deleted, with {records}, before it stopped"));
                }
                return Err(error);
            }
        };
        let summary = contents.summary();
        summary.print(output)?;
        if !output.json {
            let line = if is_executed {
                format!("{messages} deleted, with {records}.")
            } else {
                format!("Dry run: nothing was deleted. --execute deletes {messages}, with {records}.")
            };
            output.line(output.paint(Paint::Bold, line))?;
        }
        contents.warnings().iter().for_each(|warning| output.note(warning));
        Ok(summary.exit())
    }
}

/// A message with what was done with it, as JSON.
#[derive(Serialize)]
struct DiscardJson<'a, T> {
    action: &'static str,
    #[serde(flatten)]
    message: &'a T,
}
