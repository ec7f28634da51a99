//! Suspects of a batch, for the output of commands, and the log lines that a caller gives for them.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use hydration::message::parsed::ParsedMessage;
use hydration::narrow::InBatch;
use hydration::suspects::{BatchEvidence, Suspect, SuspectRule, find};
use serde::Serialize;

use crate::interrupt::Interrupt;
use crate::print::{Output, Paint, printable};
use crate::queue::hydrated_message::HydratedMessage;

/// The most bytes of log lines that are read.
const MAX_LOG_BYTES: u64 = 16 * 1024 * 1024;

/// The option for log lines that the caller has.
#[derive(Debug, Args)]
pub struct LogLinesArgs {
    /// Find suspects with the failed invocation's log lines from a file, or from standard input (-)
    #[arg(long, value_name = "FILE|-")]
    log_lines: Option<PathBuf>,
}

impl LogLinesArgs {
    /// Reads the lines: text or JSON lines, as CloudWatch has them. None where the option was not given.
    pub async fn read(&self, interrupt: &Interrupt) -> Result<Vec<String>> {
        let Some(path) = self.log_lines.clone() else { return Ok(Vec::new()) };
        let could_not = format!("the log lines in {} cannot be read", path.display());
        let (sender, receiver) = tokio::sync::oneshot::channel();
        // A thread by itself: nobody waits for one that reads a terminal when the command is interrupted.
        std::thread::spawn(move || drop(sender.send(read_lines(&path))));
        let text = interrupt.race(receiver).await?.with_context(|| could_not.clone())?.context(could_not)?;
        Ok(vec![text])
    }
}

fn read_lines(path: &Path) -> Result<String> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().take(MAX_LOG_BYTES + 1).read_to_end(&mut bytes)?;
    } else {
        std::fs::File::open(path)?.take(MAX_LOG_BYTES + 1).read_to_end(&mut bytes)?;
    }
    if bytes.len() as u64 > MAX_LOG_BYTES {
        bail!("they are more than 16 MiB\n  → give only the lines of the failed invocation and its retries");
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A suspect in the JSON output.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SuspectJson {
    /// The place in the message's `Records`, from 1.
    record: usize,
    sequence_number: String,
    rule: SuspectRule,
    reason: String,
}

impl From<&Suspect> for SuspectJson {
    fn from(suspect: &Suspect) -> Self {
        Self {
            record: suspect.place + 1,
            sequence_number: suspect.sequence_number.as_str().to_owned(),
            rule: suspect.rule,
            reason: suspect.reason.clone(),
        }
    }
}

/// What is known besides the message itself.
#[derive(Debug, Default, Clone, Copy)]
pub struct MoreEvidence<'a> {
    pub log: &'a [String],
    /// The relation of each record to the failed batch, for a superset that was narrowed.
    pub in_batch: Option<&'a [InBatch]>,
    /// Other messages on the queue, whose bodies were kept.
    pub others: &'a [HydratedMessage],
}

/// The suspects of a message, best first.
pub fn suspects(message: &HydratedMessage, received: &ParsedMessage, more: MoreEvidence<'_>) -> Vec<Suspect> {
    let mut evidence = BatchEvidence::of_message(received);
    evidence.log = more.log.to_vec();
    if let Some(in_batch) = more.in_batch {
        for record in &mut evidence.records {
            record.may_be_named = in_batch.get(record.place) != Some(&InBatch::Excluded);
        }
    }
    if evidence.is_small() {
        let is_alike = |other: &&HydratedMessage| {
            other.function_arn == message.function_arn && other.stream == message.stream && other.id != message.id
        };
        let bodies = more.others.iter().filter(is_alike).filter_map(|other| other.copies.first()?.body.as_ref());
        // A body that cannot be read is no background; the message itself was read.
        let parsed = bodies.filter_map(|body| ParsedMessage::parse(&body.text().ok()?).ok());
        parsed.for_each(|other| evidence.add_background(&other));
    }
    find(&evidence)
}

/// The best suspect of a message whose body is at hand, for commands that print many messages.
pub fn best_suspect(message: &HydratedMessage, body: &str) -> Option<Vec<SuspectJson>> {
    let received = ParsedMessage::parse(body).ok()?;
    let found = suspects(message, &received, MoreEvidence::default());
    Some(found.iter().take(1).map(SuspectJson::from).collect())
}

/// Prints the suspects, a line each. Nothing where nobody is suspected.
pub fn print(output: &Output, suspects: &[Suspect]) -> Result<()> {
    if suspects.is_empty() {
        return Ok(());
    }
    let title = format!("Suspects ({}, nothing was invoked)", suspects.len());
    output.line(format!("\n{}", output.paint(Paint::Bold, title)))?;
    for suspect in suspects {
        let record = output.paint(Paint::Bold, (suspect.place + 1).to_string());
        let rule = output.paint(Paint::Cyan, suspect.rule.as_str());
        output.line(format!("  record {record}  {rule}  {}", printable(&suspect.reason)))?;
    }
    Ok(())
}
