//! Filters: the messages that a command works on, by id, status, function, source, shard and time.

use anyhow::{Result, bail};
use clap::Args;
use hydration::arn::Source;
use hydration::timestamp::Timestamp;
use hydration::verdict::Status;

use crate::print::time::parse_duration;
use crate::queue::hydrated_message::HydratedMessage;

/// Filters that every command has.
#[derive(Debug, Clone, Default, Args)]
pub struct FilterArgs {
    /// Only batches with one of these verdicts
    #[arg(long, value_name = "STATUS", value_delimiter = ',', value_parser = parse_status, help_heading = "Filters")]
    pub status: Vec<Status>,
    /// Only batches of this service: kinesis or dynamodb
    #[arg(long, value_name = "SERVICE", value_parser = parse_source, help_heading = "Filters")]
    pub source: Option<Source>,
    /// Only batches that failed since then: 30m, 2h, 3d, or 2026-11-21T02:51:00Z
    #[arg(long, value_name = "WHEN", value_parser = parse_time, help_heading = "Filters")]
    pub since: Option<PointInTime>,
    /// Only batches of this shard; the end of its id will do
    #[arg(long, value_name = "SHARD", help_heading = "Filters")]
    pub shard: Option<String>,
}

/// Filters of the commands that invoke nothing. There, `--function` can only mean the function that failed.
#[derive(Debug, Clone, Default, Args)]
pub struct ReadFilterArgs {
    #[command(flatten)]
    common: FilterArgs,
    /// Only batches that this function failed on, by name or ARN
    #[arg(long, visible_alias = "failed-function", value_name = "NAME", help_heading = "Filters")]
    function: Option<String>,
}

impl ReadFilterArgs {
    pub fn filter(&self, ids: &[String], now: Timestamp) -> Filter {
        Filter::new(&self.common, self.function.clone(), ids, now)
    }
}

fn parse_status(text: &str) -> Result<Status, String> {
    let names = Status::ALL.map(Status::as_str);
    let found = Status::ALL.into_iter().find(|status| status.as_str().eq_ignore_ascii_case(text));
    found.ok_or_else(|| format!("a status is one of {}", names.join(", ")))
}

fn parse_source(text: &str) -> Result<Source, String> {
    let found = [Source::Kinesis, Source::DynamoDb].into_iter().find(|source| source.as_str() == text);
    found.ok_or_else(|| "a service is kinesis or dynamodb".to_owned())
}

/// A time from the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PointInTime {
    MillisAgo(i64),
    At(Timestamp),
}

impl PointInTime {
    fn resolve(self, now: Timestamp) -> Timestamp {
        match self {
            Self::MillisAgo(millis) => now.plus_millis(-millis),
            Self::At(time) => time,
        }
    }
}

fn parse_time(text: &str) -> Result<PointInTime, String> {
    let ago = parse_duration(text).map(PointInTime::MillisAgo);
    let time = ago.or_else(|| Timestamp::parse(text).map(PointInTime::At));
    time.ok_or_else(|| "give 30m, 2h, 3d, or 2026-11-21T02:51:00Z".to_owned())
}

/// An id from the command line, or its first characters. clap ends with code 2 where it is malformed.
pub fn parse_id(text: &str) -> Result<String, String> {
    let is_id = |c: char| c.is_ascii_hexdigit() || c == '-';
    if text.is_empty() || text.starts_with('-') || !text.chars().all(is_id) {
        return Err("an id has the digits 0-9 and a-f; dlq list shows the ids, and the first characters will do".into());
    }
    Ok(text.to_ascii_lowercase())
}

/// The filters of one command, together.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    status: Vec<Status>,
    source: Option<Source>,
    since: Option<Timestamp>,
    shard: Option<String>,
    /// The function that failed, by name or ARN.
    function: Option<String>,
    /// Ids, or the first characters of ids; none means all.
    ids: Vec<String>,
}

impl Filter {
    pub fn new(args: &FilterArgs, function: Option<String>, ids: &[String], now: Timestamp) -> Self {
        Self {
            status: args.status.clone(),
            source: args.source,
            since: args.since.map(|time| time.resolve(now)),
            shard: args.shard.clone(),
            function,
            ids: ids.to_vec(),
        }
    }

    /// A filter that takes the messages with one of the ids.
    pub fn by_ids(ids: &[String]) -> Self {
        Self { ids: ids.to_vec(), ..Self::default() }
    }

    pub fn takes(&self, message: &HydratedMessage) -> bool {
        (self.status.is_empty() || self.status.contains(&message.status))
            && self.since.is_none_or(|since| message.failed_or_sent_at().is_some_and(|time| time >= since))
            && self.source.is_none_or(|source| message.source == Some(source))
            && self.shard.as_ref().is_none_or(|end| message.shard.as_ref().is_some_and(|id| id.ends_with(end)))
            && self.function.as_ref().is_none_or(|function| is_function(message, function))
            && self.takes_id(message)
    }

    /// Tells from one copy if the message may pass, for a decision that comes before the copies are united. Status and
    /// times differ between copies, so they do not count here. What a copy does not say may be said by another.
    pub fn may_take(&self, copy: &HydratedMessage) -> bool {
        self.source.is_none_or(|source| copy.source.is_none_or(|own| own == source))
            && self.shard.as_ref().is_none_or(|end| copy.shard.as_ref().is_none_or(|id| id.ends_with(end)))
            && self.function.as_ref().is_none_or(|function| copy.function_arn.is_none() || is_function(copy, function))
            && self.takes_id(copy)
    }

    fn takes_id(&self, message: &HydratedMessage) -> bool {
        self.ids.is_empty() || self.ids.iter().any(|id| is_named(message, id))
    }

    /// Checks that each id means exactly one batch, all of its parts included.
    pub fn check_ids(&self, messages: &[HydratedMessage]) -> Result<()> {
        for id in &self.ids {
            let mut batches: Vec<&str> =
                messages.iter().filter(|message| is_named(message, id)).map(HydratedMessage::batch_id).collect();
            batches.sort_unstable();
            batches.dedup();
            match batches.as_slice() {
                [] => bail!(
                    "no message {id} is on the queue\n  → dlq list shows what is; it may have been replayed, deleted, or be \
                     held by somebody else"
                ),
                [_] => {}
                several => bail!("{id} is the beginning of several ids\n  → {}", several.join("\n  → ")),
            }
        }
        Ok(())
    }
}

fn is_function(message: &HydratedMessage, function: &str) -> bool {
    message.function_name() == Some(function) || message.function_arn.as_deref() == Some(function)
}

/// Tells if the id names the message: the first characters of its batch's id, and perhaps, after a `-`, the first
/// characters of its part.
fn is_named(message: &HydratedMessage, id: &str) -> bool {
    let Some((batch, part)) = id.split_once('-') else { return message.batch_id().starts_with(id) };
    let own_part = message.id.split_once('-').map(|(_, part)| part);
    message.batch_id().starts_with(batch) && own_part.is_some_and(|own| own.starts_with(part))
}
