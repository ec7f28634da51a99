//! `dlq export`: batches as files, to debug on a laptop.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use hydration::message::received::Received;

use crate::commands::list::warn;
use crate::exit::Exit;
use crate::filter::LookArguments;
use crate::gather::{gather, text_of};
use crate::hold::holding;
use crate::print::{bytes, count};
use crate::session::Session;
use crate::show::records;

/// Write batches to files: events to invoke a function with, or records to read
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  dlq export 4f1c --to .                       then: sam local invoke -e 4f1c….json
  dlq export --all --status Complete --to events/
  dlq export 4f1c --to . --format ndjson       one decoded record a line, for jq

The files hold the records' data: they are readable by you alone. A file that is there already is never overwritten
unless --force is given. The messages stay on the queue.")]
pub struct Arguments {
    /// Ids, or the beginnings of some
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    ids: Vec<String>,
    /// Every message that the filters let pass
    #[arg(long)]
    all: bool,
    /// The folder to write to; made if it is not there
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// What to write
    #[arg(long, value_enum, default_value = "event")]
    format: ExportFormat,
    /// Overwrite files that are there
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    filter: LookArguments,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ExportFormat {
    /// The event as Lambda delivered it, in ID.json
    Event,
    /// The decoded records, one a line, in ID.ndjson
    Ndjson,
    /// The whole message, in ID.message.json
    Message,
}

pub async fn run(session: &Session, arguments: Arguments) -> Result<Exit> {
    let filter = arguments.filter.filter(&arguments.ids)?;
    fs::create_dir_all(&arguments.to).with_context(|| format!("the folder {}", arguments.to.display()))?;
    let (queue, bucket) = (session.queue().await?, session.bucket());
    let gathered =
        holding(&queue, &session.interrupt, async |hold| gather(hold, &bucket, |entry| filter.takes(entry)).await)
            .await?;
    filter.check_ids(&gathered.entries)?;
    let (mut written, mut empty) = (0, 0);
    for entry in gathered.entries.iter().filter(|entry| filter.takes(entry)) {
        if entry.records == 0 && arguments.format != ExportFormat::Message {
            empty += 1;
            continue;
        }
        let text = text_of(entry, &bucket).await.with_context(|| format!("{} could not be read", entry.id))?;
        let (content, ending) = content(&text, arguments.format).with_context(|| entry.id.clone())?;
        let path = arguments.to.join(format!("{}.{ending}", entry.id));
        write(&path, content.as_bytes(), arguments.force)?;
        written += 1;
        if session.output.json {
            session.output.json(&serde_json::json!({ "id": entry.id, "path": path, "records": entry.records }))?;
        } else {
            session.output.line(format!("{}  {}", path.display(), bytes::size(content.len() as u64)))?;
        }
    }
    if empty > 0 {
        session.output.note(format!("{} no record left and no file", count(empty, "message has", "messages have")));
    }
    if written == 0 && empty == 0 {
        session.output.note("no message passes the filters");
    }
    warn(session, &gathered);
    Ok(Exit::Fine)
}

fn content(text: &str, format: ExportFormat) -> Result<(String, &'static str)> {
    if format == ExportFormat::Message {
        return Ok((text.to_owned(), "message.json"));
    }
    let received = Received::read(text)?;
    if format == ExportFormat::Event {
        return Ok((Received::event(received.records.iter().map(AsRef::as_ref)), "json"));
    }
    let lines =
        records::lines(&received, usize::MAX).iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
    Ok((lines.join("\n") + "\n", "ndjson"))
}

/// Whole or not at all: under another name first.
fn write(path: &Path, content: &[u8], force: bool) -> Result<()> {
    if !force && path.exists() {
        bail!("{} is there already\n  → give --force to overwrite it, or another --to", path.display());
    }
    let partial = path.with_extension("partial");
    let told = || path.display().to_string();
    match fs::remove_file(&partial) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).with_context(told),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial).with_context(told)?;
    file.write_all(content).and_then(|()| file.sync_all()).with_context(told)?;
    fs::rename(&partial, path).with_context(told)
}
