//! Which messages are meant: by id, by status, function, source, shard and time.

use anyhow::{Result, bail};
use clap::Args;
use hydration::arn::Source;
use hydration::ports::Clock;
use hydration::timestamp::Timestamp;
use hydration::verdict::Status;
use hydration_aws::SystemClock;

use crate::entry::Entry;
use crate::print::when::parse_duration;

/// The filters that every command shares.
#[derive(Debug, Clone, Default, Args)]
pub struct FilterArguments {
    /// Only batches with one of these verdicts
    #[arg(long, value_name = "STATUS", value_delimiter = ',', value_parser = status, help_heading = "Filters")]
    pub status: Vec<Status>,
    /// Only batches of this service: kinesis or dynamodb
    #[arg(long, value_name = "SERVICE", value_parser = source, help_heading = "Filters")]
    pub source: Option<Source>,
    /// Only batches that failed since then: 30m, 2h, 3d, or 2026-11-21T02:51:00Z
    #[arg(long, value_name = "WHEN", value_parser = since, help_heading = "Filters")]
    pub since: Option<Timestamp>,
    /// Only batches of this shard; the end of its id will do
    #[arg(long, value_name = "SHARD", help_heading = "Filters")]
    pub shard: Option<String>,
}

/// The filters of the commands that invoke nothing, where `--function` can only mean the one that failed.
#[derive(Debug, Clone, Default, Args)]
pub struct LookArguments {
    #[command(flatten)]
    arguments: FilterArguments,
    /// Only batches that this function failed on, by name or ARN
    #[arg(long, visible_alias = "failed-function", value_name = "NAME", help_heading = "Filters")]
    function: Option<String>,
}

impl LookArguments {
    pub fn filter(&self, ids: &[String]) -> Result<Filter> {
        Filter::new(self.arguments.clone(), self.function.clone(), ids.to_vec())
    }
}

fn status(text: &str) -> Result<Status, String> {
    let names = Status::ALL.map(Status::as_str);
    let found = Status::ALL.into_iter().find(|status| status.as_str().eq_ignore_ascii_case(text));
    found.ok_or_else(|| format!("a status is one of {}", names.join(", ")))
}

fn source(text: &str) -> Result<Source, String> {
    let found = [Source::Kinesis, Source::DynamoDb].into_iter().find(|source| source.as_str() == text);
    found.ok_or_else(|| "a service is kinesis or dynamodb".to_owned())
}

fn since(text: &str) -> Result<Timestamp, String> {
    let ago = parse_duration(text).map(|millis| SystemClock.now().plus_millis(-millis));
    ago.or_else(|| Timestamp::parse(text)).ok_or_else(|| "give 30m, 2h, 3d, or 2026-11-21T02:51:00Z".to_owned())
}

/// What was typed, together.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub arguments: FilterArguments,
    /// The failed function, by name or ARN.
    pub function: Option<String>,
    /// Ids, or the beginnings of some; none means all.
    pub ids: Vec<String>,
}

impl Filter {
    pub fn new(arguments: FilterArguments, function: Option<String>, ids: Vec<String>) -> Result<Self> {
        for id in &ids {
            let is_id = |c: char| c.is_ascii_hexdigit() || c == '-';
            if id.is_empty() || !id.chars().all(is_id) {
                bail!("{id} is no id\n  → dlq list shows them; the first characters will do");
            }
        }
        Ok(Self { arguments, function, ids: ids.into_iter().map(|id| id.to_ascii_lowercase()).collect() })
    }

    pub fn takes(&self, entry: &Entry) -> bool {
        let FilterArguments { status, source, since, shard } = &self.arguments;
        let is_function = |name: &String| {
            entry.function_name() == Some(name.as_str()) || entry.function_arn.as_deref() == Some(name.as_str())
        };
        (status.is_empty() || status.contains(&entry.status))
            && source.is_none_or(|source| entry.source == Some(source))
            && since.is_none_or(|since| entry.moment().is_some_and(|moment| moment >= since))
            && shard.as_ref().is_none_or(|shard| entry.shard.as_ref().is_some_and(|id| id.ends_with(shard)))
            && self.function.as_ref().is_none_or(is_function)
            && self.takes_id(entry)
    }

    pub fn takes_id(&self, entry: &Entry) -> bool {
        self.ids.is_empty() || self.ids.iter().any(|id| is_named(entry, id))
    }

    /// Each id that was typed must mean one batch, all of its parts included.
    pub fn check_ids(&self, entries: &[Entry]) -> Result<()> {
        for id in &self.ids {
            let mut batches: Vec<&str> =
                entries.iter().filter(|entry| is_named(entry, id)).map(|entry| entry.batch_id.as_str()).collect();
            batches.sort_unstable();
            batches.dedup();
            match batches.as_slice() {
                [] => bail!(
                    "no message {id} is on the queue\n  → dlq list shows what is; it may have been replayed, deleted, or \
                     be held by somebody else"
                ),
                [_] => {}
                several => bail!("{id} is the beginning of several ids\n  → {}", several.join("\n  → ")),
            }
        }
        Ok(())
    }
}

/// Whether the id means the entry: the beginning of its batch's id, and perhaps the number of its part.
fn is_named(entry: &Entry, id: &str) -> bool {
    match id.split_once('-') {
        None => entry.batch_id.starts_with(id),
        Some((batch, part)) => {
            let number = entry.part.map(|part| part.number.to_string());
            entry.batch_id.starts_with(batch) && (number.as_deref() == Some(part) || entry.id == id)
        }
    }
}
