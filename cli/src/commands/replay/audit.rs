//! The record of what `dlq discard` deleted: a line for each message, in a file of this machine.
//!
//! It is no record of what was run: that is the ledger's. The file holds ids and names, and nothing of a record.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AuditStep {
    /// The message was deleted from the queue.
    Deleted,
}

/// A line of the file.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    pub at: String,
    pub step: AuditStep,
    pub id: String,
    pub function: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
}

impl AuditEntry {
    pub fn new(at: String, step: AuditStep, id: &str, function: &str) -> Self {
        Self { at, step, id: id.to_owned(), function: function.to_owned(), message_id: None }
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
                bail!("{} is in use: another discard of this queue is running here\n  → wait for it to end", name())
            }
            Err(std::fs::TryLockError::Error(error)) => return Err(error).with_context(name),
        }
        let mut text = String::new();
        file.read_to_string(&mut text).with_context(name)?;
        // A crash may have cut off the last line. No step followed it, so it is ignored, and a new line starts here.
        if !text.is_empty() && !text.ends_with('\n') {
            file.seek(SeekFrom::End(0)).and_then(|_| file.write_all(b"\n")).with_context(name)?;
        }
        Ok(Self { file })
    }

    /// Returns when the line is on disk.
    pub fn write(&mut self, entry: &AuditEntry) -> Result<()> {
        let mut text = serde_json::to_string(entry)?;
        text.push('\n');
        self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data()).context("the audit file")
    }
}
