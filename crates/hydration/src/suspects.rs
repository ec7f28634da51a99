//! Suspects: the records most likely to have failed a batch, found without invoking anything.
//!
//! Two kinds of evidence count. The log of the failed invocation may name a record, by a literal that few records
//! hold. And a record may be unlike the others: in its form, its shape or a value. Both are measured alike, in bits:
//! how few records share the mark, and how much such a mark says. Below [`THRESHOLD`] nobody is named.
//!
//! The work is linear in the bytes of the batch and of the log. The memory is bounded: at most
//! [`MAX_VALUES`](profile::MAX_VALUES) values are kept, in 56 bytes each, none with its text; and at most 64 MiB of
//! compressed data are unpacked, one record at a time.

mod content;
mod evidence;
mod form;
mod judge;
mod log;
mod named;
mod path;
mod profile;
mod ranking;
mod reason;
mod unit;
mod walk;

use serde::Serialize;

pub use evidence::{BatchEvidence, EvidenceRecord};
pub use log::LoggedError;

use crate::sequence_number::SequenceNumber;
use crate::suspects::log::InvocationLog;
use crate::suspects::profile::Profile;

/// The most suspects of a batch.
pub const MAX_SUSPECTS: usize = 5;

/// The bits of evidence that it takes to be named. A mark of middle weight that one record of sixteen has reaches it.
pub const THRESHOLD: f64 = 6.5;

/// A record that may have failed the batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Suspect {
    /// The place in the batch, from 0.
    pub place: usize,
    pub sequence_number: SequenceNumber,
    pub rule: SuspectRule,
    /// A sentence for a person. It may quote the record.
    pub reason: String,
    /// The evidence, in bits. Equal suspects have the same.
    pub bits: f64,
}

/// The rules that name a suspect. `docs/SEMANTICS.md` describes each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SuspectRule {
    /// The log names its sequence number, event id, partition key or item key.
    LoggedId,
    /// The log names a value, a key or a piece of text that few other records have.
    LoggedValue,
    /// No data, where the others have some.
    Empty,
    /// Another form than the others: not JSON, cut off, binary, compressed, an aggregate.
    Encoding,
    /// A value of another type.
    Type,
    /// A key that the others have is missing.
    MissingKey,
    /// Null, where the others have a value.
    Null,
    /// A number far outside the range of the others.
    Number,
    /// A text of another form: a date among dates, an id, an empty text.
    Text,
    /// A value of a small set that no other record has, such as a status or a version.
    NewValue,
    /// The id of another record.
    Duplicate,
    /// Much larger than the others, in bytes or elements.
    Size,
    /// Much deeper nested than the others.
    Nesting,
    /// Characters that are damaged or that no other record has.
    Characters,
}

impl SuspectRule {
    /// The name, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LoggedId => "loggedId",
            Self::LoggedValue => "loggedValue",
            Self::Empty => "empty",
            Self::Encoding => "encoding",
            Self::Type => "type",
            Self::MissingKey => "missingKey",
            Self::Null => "null",
            Self::Number => "number",
            Self::Text => "text",
            Self::NewValue => "newValue",
            Self::Duplicate => "duplicate",
            Self::Size => "size",
            Self::Nesting => "nesting",
            Self::Characters => "characters",
        }
    }
}

/// The suspects, best first. Empty when nothing stands out, and when the log names a cause outside the records.
pub fn find(evidence: &BatchEvidence) -> Vec<Suspect> {
    let log = InvocationLog::parse(&evidence.log, &evidence.not_evidence);
    if log.names_outside_cause() || evidence.records.is_empty() {
        return Vec::new();
    }
    // By itself first: other failed batches may have the same poison, which is then no longer rare.
    let found = find_with(evidence, &log, false);
    if !found.is_empty() || evidence.background.is_empty() || !evidence.is_small() {
        return found;
    }
    find_with(evidence, &log, true)
}

fn find_with(evidence: &BatchEvidence, log: &InvocationLog, with_background: bool) -> Vec<Suspect> {
    let profile = Profile::of(evidence, with_background);
    let mut clues = judge::clues(&profile, log);
    let named = named::clues(evidence, log);
    if log.blames_all_alike(&profile, &named, evidence) {
        return Vec::new();
    }
    clues.extend(named);
    ranking::suspects(evidence, &profile, clues)
}
