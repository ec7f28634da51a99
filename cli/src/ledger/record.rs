//! The ledger's records as JSON, version 1.
//!
//! They hold ids, ARNs, sequence numbers, counts, times, error types, request ids and who acted: nothing of a record.
//! Every string that somebody else chose is cut to a bounded length.

use hydration::timestamp::Timestamp;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_with::skip_serializing_none;

use super::span::{Span, count};

pub const VERSION: u32 = 1;

/// Attempts that a run's record keeps, the latest ones.
pub const MAX_ATTEMPTS_KEPT: usize = 20;
const MAX_NAME_CHARS: usize = 64;
const MAX_ERROR_TYPE_CHARS: usize = 100;
const MAX_SHARD_CHARS: usize = 512;

/// A person on a machine, and one run of the tool there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Who {
    pub user: String,
    pub host: String,
    /// A random id of this run of the tool.
    pub run: String,
}

impl Who {
    pub fn new(user: &str, host: &str, run: &str) -> Self {
        Self { user: cut(user, MAX_NAME_CHARS), host: cut(host, MAX_NAME_CHARS), run: cut(run, MAX_NAME_CHARS) }
    }

    /// This process: its user and host by name, and a new run id.
    pub fn current() -> Self {
        let variable = |name| std::env::var(name).ok().filter(|name| !name.is_empty());
        let user = variable("USER").or_else(|| variable("LOGNAME")).unwrap_or_else(|| "unknown user".to_owned());
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self::new(&user, &host, &format!("{:032x}", fastrand::u128(..)))
    }
}

/// A shard of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Shard {
    pub stream_arn: String,
    pub shard_id: String,
}

impl Shard {
    pub fn new(stream_arn: &str, shard_id: &str) -> Self {
        Self { stream_arn: cut(stream_arn, MAX_SHARD_CHARS), shard_id: cut(shard_id, MAX_SHARD_CHARS) }
    }
}

/// A batch on one function: what was tried, what is done, and the claim that is open.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Run {
    pub version: u32,
    /// The count of changes. With it no two states of a record are ever equal.
    pub revision: u64,
    pub batch: String,
    pub function: String,
    pub shard: Option<Shard>,
    /// Records in the batch, as the last claim saw it.
    pub records: u64,
    /// Records that have succeeded.
    pub done: Vec<Span>,
    pub claim: Option<OpenClaim>,
    pub attempts_made: u32,
    /// The latest attempts that have an outcome, oldest first.
    pub attempts: Vec<Attempt>,
}

impl Run {
    pub fn new(batch: &str, function: &str) -> Self {
        Self {
            version: VERSION,
            revision: 0,
            batch: batch.to_owned(),
            function: function.to_owned(),
            shard: None,
            records: 0,
            done: Vec::new(),
            claim: None,
            attempts_made: 0,
            attempts: Vec::new(),
        }
    }

    /// The open claim becomes an attempt with an outcome.
    pub fn close(&mut self, at: &str, outcome: AttemptOutcome, succeeded: Vec<Span>) -> Option<&mut Attempt> {
        let claim = self.claim.take()?;
        let unknown = claim.unknown.unwrap_or_default();
        let attempt = Attempt {
            attempt: claim.attempt,
            by: claim.by,
            claimed_at: claim.at,
            finished_at: at.to_owned(),
            outcome,
            records: count(&claim.records),
            succeeded: count(&succeeded),
            error_type: unknown.error_type,
            request_id: unknown.request_id,
            settled_by: None,
        };
        self.done.extend(succeeded);
        self.attempts.push(attempt);
        let surplus = self.attempts.len().saturating_sub(MAX_ATTEMPTS_KEPT);
        self.attempts.drain(..surplus);
        self.attempts.last_mut()
    }
}

/// A claim without an outcome: the records may have run.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OpenClaim {
    /// From 1.
    pub attempt: u32,
    pub by: Who,
    pub at: String,
    pub records: Vec<Span>,
    /// The invocation ended, and nobody knows how.
    pub unknown: Option<Unknown>,
}

#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Unknown {
    pub at: String,
    pub error_type: Option<String>,
    pub request_id: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AttemptOutcome {
    Succeeded,
    /// Some of the records have succeeded.
    Partly,
    Failed,
    NotInvoked,
    /// It was in doubt, and a person had it run again.
    SettledRerun,
    /// It was in doubt, and a person said that it had run.
    SettledDone,
}

#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Attempt {
    pub attempt: u32,
    pub by: Who,
    pub claimed_at: String,
    pub finished_at: String,
    pub outcome: AttemptOutcome,
    /// Records that it was given.
    pub records: u64,
    pub succeeded: u64,
    pub error_type: Option<String>,
    pub request_id: Option<String>,
    pub settled_by: Option<Who>,
}

/// The lock on the queue.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QueueLock {
    pub version: u32,
    pub revision: u64,
    pub holder: Option<Holder>,
    /// Messages that an earlier holder received may be hidden until then.
    #[serde(default, deserialize_with = "readable_time")]
    pub hidden_until: Option<String>,
    /// The holder before, when a person settled its lock; kept until the next holder releases it.
    pub settled: Option<SettledLock>,
}

/// The text of a time. One that is no time is not read: it must not be taken for a time that has passed.
fn readable_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    match &text {
        Some(text) if Timestamp::parse(text).is_none() => Err(D::Error::custom("a time is not one")),
        _ => Ok(text),
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Holder {
    pub by: Who,
    pub since: String,
    /// The visibility timeout of the messages that it receives.
    pub hides_for_seconds: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SettledLock {
    pub by: Who,
    pub at: String,
    pub holder: Holder,
}

/// The reason why bytes are not read as a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotRead {
    /// The version of the format that they have.
    Later(u64),
    /// The place in the text where reading stopped; never the text itself.
    Broken { line: usize, column: usize },
}

pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, NotRead> {
    #[derive(Deserialize)]
    struct Head {
        version: u64,
    }
    let broken = |error: serde_json::Error| NotRead::Broken { line: error.line(), column: error.column() };
    let head: Head = serde_json::from_slice(bytes).map_err(broken)?;
    if head.version != u64::from(VERSION) {
        return Err(NotRead::Later(head.version));
    }
    serde_json::from_slice(bytes).map_err(broken)
}

/// The name of an error, which a function chooses: its first word that looks like a name. What follows may quote data.
pub fn error_type(text: &str) -> String {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || ".:_$-".contains(c);
    let name = text.trim_start_matches(|c| !is_allowed(c)).split(|c| !is_allowed(c)).next().unwrap_or_default();
    let name = cut(name.trim_end_matches([':', '.', '-']), MAX_ERROR_TYPE_CHARS);
    if name.is_empty() { "Unnamed".to_owned() } else { name }
}

pub fn request_id(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(MAX_NAME_CHARS).collect()
}

/// A time as a record has it; the epoch where a person has broken it.
pub fn time(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap_or(Timestamp::EPOCH)
}

fn cut(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_version_and_an_unknown_field_are_not_read() {
        let written = serde_json::to_string(&Run::new("ab", "arn")).unwrap();
        assert_eq!(decode::<Run>(written.as_bytes()).unwrap(), Run::new("ab", "arn"));
        let later = written.replace("\"version\":1", "\"version\":2");
        assert_eq!(decode::<Run>(later.as_bytes()), Err(NotRead::Later(2)));
        let extended = written.replace("\"version\":1", "\"version\":1,\"more\":1");
        assert!(matches!(decode::<Run>(extended.as_bytes()), Err(NotRead::Broken { .. })));
    }

    #[test]
    fn a_cut_record_is_never_read() {
        let written = serde_json::to_string(&Run::new("ab", "arn")).unwrap();
        for length in 0..written.len() {
            assert!(decode::<Run>(&written.as_bytes()[..length]).is_err());
        }
    }

    #[test]
    fn strings_from_outside_are_bounded_and_plain() {
        let long = "x".repeat(10_000);
        assert_eq!(error_type(&long).len(), 100);
        assert_eq!(request_id(&format!("{long}\u{202e}")).len(), 64);
        assert_eq!(error_type("KeyError: 'card 4111'\u{1b}[2J"), "KeyError");
        assert_eq!(error_type("&alloc::boxed::Box<dyn Error>"), "alloc::boxed::Box");
        assert_eq!(error_type("\u{202e}"), "Unnamed");
        assert_eq!(Who::new(&long, &long, "r").user.len(), 64);
        assert!(!Who::current().host.is_empty());
        assert_ne!(Who::current().run, Who::current().run);
    }

    #[test]
    fn old_attempts_are_dropped_and_still_counted() {
        let mut run = Run::new("ab", "arn");
        for attempt in 1..=50 {
            let by = Who::new("ana", "laptop", "r");
            run.claim = Some(OpenClaim { attempt, by, at: String::new(), records: Vec::new(), unknown: None });
            run.attempts_made = attempt;
            run.close("", AttemptOutcome::Failed, Vec::new());
        }
        assert_eq!((run.attempts.len(), run.attempts_made), (MAX_ATTEMPTS_KEPT, 50));
        assert_eq!(run.attempts.last().unwrap().attempt, 50);
    }
}
