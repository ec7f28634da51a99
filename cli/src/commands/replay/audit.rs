//! The audit file: a line for each step of a replay, on disk before the step that depends on it.
//!
//! It makes a second run safe. `started` is written before an invocation and its outcome after it: a run that was
//! killed in between leaves the batch in doubt, and the batch does not run twice. An outcome is written before the
//! deletion: after a run that was killed there, only the deletion is left. The file holds ids and sequence numbers, and
//! nothing of a record.

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
pub enum AuditStep {
    /// The function is about to be invoked with these records.
    Started,
    /// These records have succeeded.
    Succeeded,
    /// None of the records given has succeeded.
    Failed,
    /// The outcome of the invocation is not known.
    Unknown,
    /// A person decided that what was in doubt is to be run again.
    Settled,
    /// The message was deleted from the queue.
    Deleted,
}

/// A line of the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    pub at: String,
    pub step: AuditStep,
    pub id: String,
    pub function: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// The type of the function's or of Lambda's error; never its message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
}

impl AuditEntry {
    pub fn new(at: String, step: AuditStep, id: &str, function: &str) -> Self {
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

    /// The same entry about these records.
    pub fn with_range(self, range: Option<&RecordRange>) -> Self {
        Self {
            records: range.map(|range| range.records),
            first: range.map(|range| range.first.as_str().to_owned()),
            last: range.map(|range| range.last.as_str().to_owned()),
            ..self
        }
    }

    fn range(&self) -> Option<RecordRange> {
        let number = |text: &Option<String>| text.as_deref().and_then(|text| SequenceNumber::parse(text).ok());
        Some(RecordRange { first: number(&self.first)?, last: number(&self.last)?, records: self.records? })
    }
}

/// A number of records, from the first to the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordRange {
    pub first: SequenceNumber,
    pub last: SequenceNumber,
    pub records: u64,
}

/// An invocation without a known outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvocationInDoubt {
    pub range: Option<RecordRange>,
}

/// Results of earlier runs of one batch on one function.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BatchHistory {
    pub done: Vec<RecordRange>,
    pub in_doubt: Option<InvocationInDoubt>,
}

impl BatchHistory {
    /// Tells for each record if it has succeeded; `None` when there are more records than were ever run.
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

    fn add(&mut self, entry: &AuditEntry) {
        match entry.step {
            AuditStep::Started | AuditStep::Unknown => {
                self.in_doubt = Some(InvocationInDoubt { range: entry.range() });
            }
            AuditStep::Failed | AuditStep::Settled => self.in_doubt = None,
            AuditStep::Succeeded => {
                self.in_doubt = None;
                self.done.extend(entry.range());
            }
            AuditStep::Deleted => {}
        }
    }
}

/// Results of all earlier runs. A run on another function does not count as a run on this one.
#[derive(Debug, Clone, Default)]
pub struct History(HashMap<HistoryKey, BatchHistory>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct HistoryKey {
    id: String,
    function: String,
}

impl HistoryKey {
    fn new(id: &str, function: &str) -> Self {
        Self { id: id.to_owned(), function: function_key(function) }
    }
}

impl History {
    /// The history in a file; none where the file cannot be read.
    pub fn read(path: &Path) -> Self {
        std::fs::read_to_string(path).map(|text| Self::parse(&text)).unwrap_or_default()
    }

    pub fn of(&self, id: &str, function: &str) -> BatchHistory {
        self.0.get(&HistoryKey::new(id, function)).cloned().unwrap_or_default()
    }

    fn parse(text: &str) -> Self {
        let mut history = Self::default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).for_each(|entry| history.add(&entry));
        history
    }

    fn add(&mut self, entry: &AuditEntry) {
        self.0.entry(HistoryKey::new(&entry.id, &entry.function)).or_default().add(entry);
    }
}

/// The file that was typed, or one for the queue. The end of the queue's URL, its account and name, is in its name.
pub fn path_for(typed: Option<&Path>, queue_url: &str) -> Result<PathBuf> {
    if let Some(path) = typed {
        return Ok(path.to_owned());
    }
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    let folder = state.or_else(home).context("neither XDG_STATE_HOME nor HOME is set\n  → give --audit FILE")?;
    let mut parts = queue_url.rsplit('/');
    let (queue, account) = (parts.next().unwrap_or("queue"), parts.next().unwrap_or("account"));
    Ok(folder.join("dlq").join(format!("audit-{account}-{queue}.jsonl")))
}

pub struct Audit {
    file: File,
    history: History,
}

impl Audit {
    /// Opens the file or creates it, and locks it against a second run on this machine.
    pub fn open(path: &Path) -> Result<Self> {
        let name = || format!("the audit file {}", path.display());
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(name)?;
        }
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path).with_context(name)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                bail!("{} is in use: another replay of this queue is running here\n  → wait for it to end", name())
            }
            Err(std::fs::TryLockError::Error(error)) => return Err(error).with_context(name),
        }
        let mut text = String::new();
        file.read_to_string(&mut text).with_context(name)?;
        // A crash may have cut off the last line. No step followed it, so it is ignored, and a new line starts here.
        if !text.is_empty() && !text.ends_with('\n') {
            file.seek(SeekFrom::End(0)).and_then(|_| file.write_all(b"\n")).with_context(name)?;
        }
        Ok(Self { file, history: History::parse(&text) })
    }

    pub fn history(&self) -> &History {
        &self.history
    }

    /// Returns when the line is on disk.
    pub fn write(&mut self, entry: &AuditEntry) -> Result<()> {
        let mut text = serde_json::to_string(entry)?;
        text.push('\n');
        self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data()).context("the audit file")?;
        self.history.add(entry);
        Ok(())
    }
}

/// The name that identifies a function: the same for its name and its ARN, and without a qualifier as with `$LATEST`.
pub fn function_key(function: &str) -> String {
    let (name, qualifier) = match function_name(function) {
        Some(name) => (name, function.splitn(8, ':').nth(7)),
        None => match function.split_once(':') {
            Some((name, qualifier)) => (name, Some(qualifier)),
            None => (function, None),
        },
    };
    match qualifier {
        None | Some("$LATEST") => name.to_owned(),
        Some(qualifier) => format!("{name}:{qualifier}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(texts: &[&str]) -> Vec<SequenceNumber> {
        texts.iter().map(|text| SequenceNumber::parse(text).unwrap()).collect()
    }

    fn range(first: &str, last: &str, records: u64) -> RecordRange {
        let [first, last] = [first, last].map(|text| SequenceNumber::parse(text).unwrap());
        RecordRange { first, last, records }
    }

    #[test]
    fn a_function_has_one_key_whatever_it_is_called() {
        let arn = "arn:aws:lambda:us-east-1:123456789012:function:f";
        for name in ["f", "f:$LATEST", arn, &format!("{arn}:$LATEST")] {
            assert_eq!(function_key(name), "f", "{name}");
        }
        assert_eq!(function_key(&format!("{arn}:live")), function_key("f:live"));
    }

    #[test]
    fn histories_add_up_and_say_when_they_cannot() {
        let history = BatchHistory { done: vec![range("1", "3", 2), range("7", "7", 1)], in_doubt: None };
        assert_eq!(history.covers(&numbers(&["1", "3", "5", "7"])), Some(vec![true, true, false, true]));
        assert_eq!(history.covers(&numbers(&["3", "5"])), Some(vec![true, false]));
        assert_eq!(history.covers(&numbers(&["1", "2", "3"])), None);
    }
}
