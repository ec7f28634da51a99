//! Filters as they are typed: the same flags in every command that reads the queue.

use clap::Args;
use hydration::arn::{Source, StreamArn};
use hydration::invocation_record::function_name;
use hydration::timestamp::Timestamp;
use hydration::verdict::Status;

use crate::print::time::parse_duration;
use crate::queue::hydrated_message::HydratedMessage;

#[derive(Debug, Clone, Default, Args)]
pub struct FilterArgs {
    /// Only batches that this function failed on, by name or ARN; NAME:VERSION is one version or alias of it
    #[arg(long, value_name = "FUNCTION", value_parser = FunctionFilter::parse, help_heading = "Filters")]
    pub function: Option<FunctionFilter>,
    /// Only batches with one of these verdicts
    #[arg(long, value_name = "STATUS", value_delimiter = ',', value_parser = parse_status, help_heading = "Filters")]
    pub status: Vec<Status>,
    /// Only batches of this service: kinesis or dynamodb
    #[arg(long, value_name = "SERVICE", value_parser = parse_source, help_heading = "Filters")]
    pub source: Option<Source>,
    /// Only batches of this shard: its whole id, its number, or STREAM/NUMBER
    #[arg(long, value_name = "SHARD", value_parser = ShardFilter::parse, help_heading = "Filters")]
    pub shard: Option<ShardFilter>,
    /// Only batches that failed at that time or later: 30m, 2h or 3d ago, 2026-11-21, or 2026-11-21T02:51:00Z
    #[arg(long, value_name = "WHEN", value_parser = parse_time, help_heading = "Filters")]
    pub since: Option<PointInTime>,
    /// Only batches that failed before that time, given as for --since; a date is its first moment in UTC
    #[arg(long, value_name = "WHEN", value_parser = parse_time, help_heading = "Filters")]
    pub until: Option<PointInTime>,
    /// Only the oldest N batches of those
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Filters")]
    pub limit: Option<u64>,
}

impl FilterArgs {
    /// Tells if the filters choose by time.
    pub fn has_time(&self) -> bool {
        self.since.is_some() || self.until.is_some()
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

/// A stream, or a consumer of one, by its ARN.
pub fn parse_stream(text: &str) -> Result<StreamArn, String> {
    StreamArn::parse(text).map_err(|error| error.to_string())
}

/// A time from the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PointInTime {
    MillisAgo(i64),
    At(Timestamp),
}

impl PointInTime {
    pub fn resolve(self, now: Timestamp) -> Timestamp {
        match self {
            Self::MillisAgo(millis) => now.plus_millis(-millis),
            Self::At(time) => time,
        }
    }
}

pub fn parse_time(text: &str) -> Result<PointInTime, String> {
    let ago = parse_duration(text).map(PointInTime::MillisAgo);
    let time = ago.or_else(|| Timestamp::parse(text).map(PointInTime::At));
    let date = || Timestamp::parse(&format!("{text}T00:00:00Z")).map(PointInTime::At);
    time.or_else(date).ok_or_else(|| "give 30m, 2h, 3d, 2026-11-21, or 2026-11-21T02:51:00Z".to_owned())
}

/// A function by its name or ARN, with a version or an alias where one was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionFilter {
    /// The name, or the ARN without its qualifier.
    function: String,
    qualifier: Option<String>,
}

impl FunctionFilter {
    pub fn parse(text: &str) -> Result<Self, String> {
        let (function, qualifier) = split_qualifier(text);
        let is_arn = text.starts_with("arn:");
        if function.is_empty() || qualifier == Some("") || (is_arn && function_name(function).is_none()) {
            return Err("give a function's name, NAME:VERSION, NAME:ALIAS, or its ARN".to_owned());
        }
        Ok(Self { function: function.to_owned(), qualifier: qualifier.map(str::to_owned) })
    }

    /// The text that was typed.
    pub fn as_typed(&self) -> String {
        let qualifier = self.qualifier.as_ref().map(|qualifier| format!(":{qualifier}"));
        format!("{}{}", self.function, qualifier.unwrap_or_default())
    }

    /// The name, also of a function that was given by its ARN.
    pub fn name(&self) -> &str {
        function_name(&self.function).unwrap_or(&self.function)
    }

    pub fn takes(&self, message: &HydratedMessage) -> bool {
        let arn = message.function_arn.as_deref();
        arn.is_some_and(|arn| self.takes_function(arn, message.response.executed_version.as_deref()))
    }

    /// Compares with the ARN of a function and the version that ran, if that is known.
    pub fn takes_function(&self, arn: &str, executed_version: Option<&str>) -> bool {
        let (unqualified, own) = split_qualifier(arn);
        let is_same = self.function == unqualified || function_name(arn) == Some(self.function.as_str());
        let is_qualified = |wanted: &str| own.unwrap_or("$LATEST") == wanted || executed_version == Some(wanted);
        is_same && self.qualifier.as_deref().is_none_or(is_qualified)
    }
}

/// A name or an ARN, and its qualifier. The ARN of a function has seven fields before it.
pub fn split_qualifier(text: &str) -> (&str, Option<&str>) {
    let colons_before = if text.starts_with("arn:") { 6 } else { 0 };
    match text.match_indices(':').nth(colons_before) {
        Some((index, _)) => (text.get(..index).unwrap_or(text), text.get(index + 1..)),
        None => (text, None),
    }
}

/// A shard by its whole id or by its number, with its stream where one was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardFilter {
    stream: Option<String>,
    shard: String,
}

impl ShardFilter {
    pub fn parse(text: &str) -> Result<Self, String> {
        let (stream, shard) = match text.split_once('/') {
            None => (None, text),
            Some((stream, shard)) => (Some(stream), shard),
        };
        if shard.is_empty() || shard.contains('/') || stream == Some("") {
            return Err("give a shard's whole id, its number, or STREAM/NUMBER, as in orders/1".to_owned());
        }
        Ok(Self { stream: stream.map(str::to_owned), shard: shard.to_owned() })
    }

    pub fn takes(&self, message: &HydratedMessage) -> bool {
        message.shard.as_deref().is_some_and(|id| self.takes_shard(message.stream_name(), id))
    }

    pub fn takes_shard(&self, stream_name: &str, id: &str) -> bool {
        let is_shard = id == self.shard || self.is_number_of(id);
        is_shard && self.stream.as_deref().is_none_or(|stream| stream_name == stream)
    }

    /// Compares with what stands after `shardId-`, where leading zeros do not count.
    fn is_number_of(&self, id: &str) -> bool {
        let significant = |text: &str| text.trim_start_matches('0').to_owned();
        let number = id.strip_prefix("shardId-");
        number.is_some_and(|number| significant(number) == significant(&self.shard))
    }
}

/// The filters among the words that were typed, for a suggested command to repeat.
pub fn typed_filters(words: &[String]) -> String {
    let flags = ["--function", "--status", "--source", "--shard", "--since", "--until", "--limit"];
    let (mut filters, mut words) = (String::new(), words.iter());
    while let Some(word) = words.next() {
        let (flag, value) = match word.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (word.as_str(), None),
        };
        if let Some(flag) = flags.iter().find(|known| **known == flag)
            && let Some(value) = value.or_else(|| words.next().map(String::as_str))
        {
            filters.push_str(&format!(" {flag} {}", shell_quoted(value)));
        }
    }
    filters
}

/// A word for a shell, in quotes where it needs them.
pub fn shell_quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,@%+=".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:lambda:us-east-1:123456789012:function:orders";

    #[test]
    fn a_function_is_taken_by_its_exact_name_or_arn() {
        let live = format!("{ARN}:live");
        for (typed, arn, version, is_taken) in [
            ("orders", ARN, None, true),
            ("orders", &live, None, true),
            ("order", ARN, None, false),
            (ARN, ARN, None, true),
            (ARN, &live, None, true),
            ("orders:live", &live, None, true),
            ("orders:live", ARN, None, false),
            ("orders:$LATEST", ARN, None, true),
            ("orders:7", ARN, Some("7"), true),
            ("orders:7", ARN, Some("8"), false),
            (&live, ARN, None, false),
            ("arn:aws:lambda:us-east-1:999999999999:function:orders", ARN, None, false),
            ("arn:aws:lambda:eu-west-1:123456789012:function:orders", ARN, None, false),
            ("mover", "arn:aws:pipes:us-east-1:123456789012:pipe/mover", None, true),
        ] {
            let filter = FunctionFilter::parse(typed).unwrap();
            assert_eq!(filter.takes_function(arn, version), is_taken, "{typed} {arn} {version:?}");
            assert_eq!(filter.as_typed(), typed);
        }
        for wrong in ["", ":live", "orders:", "arn:aws:lambda:us-east-1"] {
            assert!(FunctionFilter::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_shard_is_never_taken_by_the_end_of_its_id() {
        let dynamodb = "shardId-00000001702248745067-29c36dc7";
        for (typed, id, is_taken) in [
            ("1", "shardId-000000000001", true),
            ("1", "shardId-000000000011", false),
            ("1", "shardId-000000000021", false),
            ("0", "shardId-000000000000", true),
            ("000000000001", "shardId-000000000001", true),
            ("shardId-000000000001", "shardId-000000000001", true),
            ("29c36dc7", dynamodb, false),
            ("1702248745067-29c36dc7", dynamodb, true),
            (dynamodb, dynamodb, true),
        ] {
            let filter = ShardFilter::parse(typed).unwrap();
            assert_eq!(id == filter.shard || filter.is_number_of(id), is_taken, "{typed} {id}");
        }
        for wrong in ["", "/1", "orders/", "a/b/c"] {
            assert!(ShardFilter::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_suggested_command_repeats_the_filters_that_were_typed() {
        let words = "status --stack s --function orders:$LATEST --since=2h -o json --shard a'b".split(' ');
        let words: Vec<String> = words.map(str::to_owned).collect();
        assert_eq!(typed_filters(&words), r" --function 'orders:$LATEST' --since 2h --shard 'a'\''b'");
    }

    #[test]
    fn times_are_ages_dates_or_instants() {
        assert_eq!(parse_time("2h"), Ok(PointInTime::MillisAgo(7_200_000)));
        let midnight = Timestamp::parse("2026-11-21T00:00:00Z").unwrap();
        assert_eq!(parse_time("2026-11-21"), Ok(PointInTime::At(midnight)));
        assert_eq!(parse_time("2026-11-21T01:00:00+01:00"), Ok(PointInTime::At(midnight)));
        for wrong in ["yesterday", "", "2026-13-01", "2026-11-21T", "-2h"] {
            assert!(parse_time(wrong).is_err(), "{wrong}");
        }
    }
}
