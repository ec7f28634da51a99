//! The record of what was run: a line for each step, on disk before the step that depends on it.
//!
//! It is what makes a second run safe. `started` stands before an invocation and its outcome after it, so that a run
//! that was killed in between leaves a batch in doubt rather than run twice; an outcome stands before the deletion, so
//! that one killed there only deletes. It holds ids and sequence numbers, and nothing that was in a record.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use hydration::invocation_record::function_name;
use hydration::sequence_number::SequenceNumber;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// About to be invoked with these records.
    Started,
    /// These records have succeeded.
    Succeeded,
    /// None of the records given has succeeded.
    Failed,
    /// The invocation's outcome was not learnt.
    Unknown,
    /// A person said that what was in doubt is done, or is to be run again.
    Settled,
    /// The message is off the queue.
    Deleted,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    pub at: String,
    pub step: Step,
    pub id: String,
    pub function: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// The type of the function's error, or what Lambda called its own; never a message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
}

impl Line {
    pub fn new(at: String, step: Step, id: &str, function: &str) -> Self {
        Self {
            at,
            step,
            id: id.to_owned(),
            function: function.to_owned(),
            records: None,
            first: None,
            last: None,
            error: None,
            message_id: None,
        }
    }
}

/// So many records, from the first to the last, have succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    pub first: SequenceNumber,
    pub last: SequenceNumber,
    pub records: u64,
}

/// What is known of a batch from earlier runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    pub done: Vec<Done>,
    /// Since when it has been unknown whether an invocation ran, and of which records.
    pub in_doubt: Option<(String, Option<Done>)>,
}

impl Progress {
    /// Whether the records have succeeded; `None` when more lie in between than were ever run.
    pub fn covers(&self, numbers: &[SequenceNumber]) -> Option<Vec<bool>> {
        let mut covered = vec![false; numbers.len()];
        for done in &self.done {
            let mut within = 0;
            for (number, covered) in numbers.iter().zip(&mut covered) {
                if (&done.first..=&done.last).contains(&number) {
                    within += 1;
                    *covered = true;
                }
            }
            if within > done.records {
                return None;
            }
        }
        Some(covered)
    }

    fn learn(&mut self, line: &Line) {
        let number = |text: &Option<String>| text.as_deref().and_then(|text| SequenceNumber::parse(text).ok());
        let done = number(&line.first).zip(number(&line.last)).zip(line.records).map(|((first, last), records)| Done {
            first,
            last,
            records,
        });
        match line.step {
            Step::Started | Step::Unknown => self.in_doubt = Some((line.at.clone(), done)),
            Step::Failed | Step::Settled => self.in_doubt = None,
            Step::Succeeded => {
                self.in_doubt = None;
                self.done.extend(done);
            }
            Step::Deleted => {}
        }
    }
}

/// The file given, or one for the queue: its name holds what the URL ends in, the account and the queue.
pub fn path_for(given: Option<&Path>, queue_url: &str) -> Result<PathBuf> {
    if let Some(path) = given {
        return Ok(path.to_owned());
    }
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    let folder = state.or_else(home).context("neither XDG_STATE_HOME nor HOME is set\n  → give --audit FILE")?;
    let mut parts = queue_url.rsplit('/');
    let (queue, account) = (parts.next().unwrap_or("queue"), parts.next().unwrap_or("account"));
    Ok(folder.join("dlq").join(format!("audit-{account}-{queue}.jsonl")))
}

/// A batch and the function it was run on: what was tried on another function is not done on this one.
type Key = (String, String);

pub struct Audit {
    file: File,
    known: HashMap<Key, Progress>,
}

impl Audit {
    /// Opens the file, makes it if need be, and locks it against a second run on this machine.
    pub fn open(path: &Path) -> Result<Self> {
        let told = || format!("the audit file {}", path.display());
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(told)?;
        }
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path).with_context(told)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                bail!("{} is in use: another replay of this queue is running here\n  → wait for it to end", told())
            }
            Err(std::fs::TryLockError::Error(error)) => return Err(error).with_context(told),
        }
        let mut text = String::new();
        file.read_to_string(&mut text).with_context(told)?;
        // A line that was cut off by a crash was never acted upon; ours must not be glued to it.
        if !text.is_empty() && !text.ends_with('\n') {
            file.seek(SeekFrom::End(0)).and_then(|_| file.write_all(b"\n")).with_context(told)?;
        }
        Ok(Self { file, known: known(&text) })
    }

    /// The same, for looking at only.
    pub fn look(path: &Path) -> HashMap<(String, String), Progress> {
        std::fs::read_to_string(path).map(|text| known(&text)).unwrap_or_default()
    }

    pub fn known(&self) -> &HashMap<Key, Progress> {
        &self.known
    }

    pub fn progress(&self, id: &str, function: &str) -> Progress {
        self.known.get(&key(id, function)).cloned().unwrap_or_default()
    }

    /// Returns once the line is on disk.
    pub fn write(&mut self, line: &Line) -> Result<()> {
        let mut text = serde_json::to_string(line)?;
        text.push('\n');
        self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data()).context("the audit file")?;
        self.known.entry(key(&line.id, &line.function)).or_default().learn(line);
        Ok(())
    }
}

fn known(text: &str) -> HashMap<Key, Progress> {
    let mut known: HashMap<Key, Progress> = HashMap::new();
    for line in text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok()) {
        known.entry(key(&line.id, &line.function)).or_default().learn(&line);
    }
    known
}

/// A function is the same by its name and by its ARN, and unqualified as with `$LATEST`.
pub fn key(id: &str, function: &str) -> Key {
    let qualifier = |name: &str| name.split_once(':').map(|(_, qualifier)| qualifier.to_owned());
    let (name, qualifier) = match function_name(function) {
        Some(name) => (name.to_owned(), function.splitn(8, ':').nth(7).map(str::to_owned)),
        None => (function.split(':').next().unwrap_or(function).to_owned(), qualifier(function)),
    };
    let function = match qualifier.as_deref() {
        None | Some("$LATEST") => name,
        Some(qualifier) => format!("{name}:{qualifier}"),
    };
    (id.to_owned(), function)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(texts: &[&str]) -> Vec<SequenceNumber> {
        texts.iter().map(|text| SequenceNumber::parse(text).unwrap()).collect()
    }

    fn done(first: &str, last: &str, records: u64) -> Done {
        let [first, last] = [first, last].map(|text| SequenceNumber::parse(text).unwrap());
        Done { first, last, records }
    }

    #[test]
    fn a_function_has_one_key_whatever_it_is_called() {
        let arn = "arn:aws:lambda:us-east-1:123456789012:function:f";
        for name in ["f", "f:$LATEST", arn, &format!("{arn}:$LATEST")] {
            assert_eq!(key("a", name), ("a".into(), "f".into()), "{name}");
        }
        assert_eq!(key("a", &format!("{arn}:live")), key("a", "f:live"));
    }

    #[test]
    fn progress_adds_up_and_tells_when_it_cannot() {
        let progress = Progress { done: vec![done("1", "3", 2), done("7", "7", 1)], in_doubt: None };
        assert_eq!(progress.covers(&numbers(&["1", "3", "5", "7"])), Some(vec![true, true, false, true]));
        assert_eq!(progress.covers(&numbers(&["3", "5"])), Some(vec![true, false]));
        assert_eq!(progress.covers(&numbers(&["1", "2", "3"])), None);
    }
}
