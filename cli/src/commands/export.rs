//! `dlq export`: batches written to files, to debug on a laptop.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use hydration::message::parsed::ParsedMessage;
use hydration::ports::Clock;

use crate::context::Context;
use crate::exit::Exit;
use crate::ports::{Bucket, Queue};
use crate::print::{bytes, count, records};
use crate::queue::filter::{Filter, FilterArgs, parse_id};
use crate::queue::lease::with_lease;
use crate::queue::read_queue::{KeepBodies, body_of, read_queue};

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
    #[arg(value_name = "ID", value_parser = parse_id, required_unless_present = "all", conflicts_with = "all")]
    ids: Vec<String>,
    /// Every message that the filters let pass
    #[arg(long)]
    all: bool,
    /// The folder to write to; made if it is not there
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// The content of the files
    #[arg(long, value_enum, default_value = "event")]
    format: ExportFormat,
    /// Overwrite files that are there
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    filter: FilterArgs,
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

pub async fn run<Q: Queue, B: Bucket, C: Clock>(
    context: &Context<C>,
    queue: &Q,
    bucket: &B,
    arguments: Arguments,
) -> Result<Exit> {
    let filter = Filter::new(&arguments.filter, &arguments.ids, context.now())?;
    fs::create_dir_all(&arguments.to).with_context(|| format!("the folder {}", arguments.to.display()))?;
    let output = &context.output;
    let (contents, chosen) = with_lease(queue, &context.interrupt, async |lease| {
        let mut contents = read_queue(lease, bucket, KeepBodies::Of(&filter)).await?;
        let chosen = contents.choose(&filter, lease).await?;
        Ok((contents, chosen))
    })
    .await?;
    let (mut written, mut empty) = (0, 0);
    for message in &chosen {
        if message.records == 0 && arguments.format != ExportFormat::Message {
            empty += 1;
            continue;
        }
        let body = body_of(message, bucket).await.with_context(|| format!("{} could not be read", message.id))?;
        let (content, extension) = content(&body, arguments.format).with_context(|| message.id.clone())?;
        let path = arguments.to.join(format!("{}.{extension}", message.id));
        write(&path, content.as_bytes(), arguments.force)?;
        written += 1;
        if output.json {
            output.json(&serde_json::json!({ "id": message.id, "path": path, "records": message.records }))?;
        } else {
            output.line(format!("{}  {}", path.display(), bytes::size(content.len() as u64)))?;
        }
    }
    if empty > 0 {
        output.note(format!("{} no record left and no file", count(empty, "message has", "messages have")));
    }
    if written == 0 && empty == 0 {
        output.note("no message passes the filters");
    }
    contents.warnings().iter().for_each(|warning| output.note(warning));
    Ok(Exit::Done)
}

fn content(body: &str, format: ExportFormat) -> Result<(String, &'static str)> {
    if format == ExportFormat::Message {
        return Ok((body.to_owned(), "message.json"));
    }
    let received = ParsedMessage::parse(body)?;
    if format == ExportFormat::Event {
        return Ok((ParsedMessage::event(received.records.iter().map(AsRef::as_ref)), "json"));
    }
    let lines = records::first_as_json(&received, usize::MAX)
        .iter()
        .map(serde_json::to_string)
        .collect::<Result<Vec<_>, _>>()?;
    Ok((lines.join("\n") + "\n", "ndjson"))
}

/// Writes the file under another name first, so that it is there whole or not at all.
fn write(path: &Path, content: &[u8], force: bool) -> Result<()> {
    if !force && path.exists() {
        bail!("{} is there already\n  → give --force to overwrite it, or another --to", path.display());
    }
    let partial = path.with_extension("partial");
    let file_name = || path.display().to_string();
    match fs::remove_file(&partial) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).with_context(file_name),
        _ => {}
    }
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial).with_context(file_name)?;
    file.write_all(content).and_then(|()| file.sync_all()).with_context(file_name)?;
    fs::rename(&partial, path).with_context(file_name)
}
