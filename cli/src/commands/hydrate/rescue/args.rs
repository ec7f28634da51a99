//! Flags of a rescue, and what they mean.

use std::path::PathBuf;

use clap::Args;
use hydration::arn::StreamArn;
use hydration::rescue::TimeRange;
use hydration::timestamp::Timestamp;

use crate::exit::UsageError;
use crate::print::time::age;
use crate::queue::filter_args::{PointInTime, ShardFilter, parse_stream, parse_time};

#[derive(Debug, Clone, Args)]
pub struct RescueArgs {
    /// A stream, or a consumer of one, by ARN: make batches of its records that Lambda dropped without a report
    #[arg(
        long, value_name = "ARN", value_parser = parse_stream, help_heading = "Rescue",
        requires = "function", requires = "since", requires = "until"
    )]
    pub stream: Option<StreamArn>,
    /// The function that did not process them, by name or ARN
    #[arg(long, value_name = "FUNCTION", requires = "stream", help_heading = "Rescue")]
    function: Option<String>,
    /// Records that arrived at that time or later: 30m, 2h or 3d ago, 2026-11-21, or 2026-11-21T02:51:00Z
    #[arg(long, value_name = "WHEN", value_parser = parse_time, requires = "stream", help_heading = "Rescue")]
    since: Option<PointInTime>,
    /// Records that arrived before that time
    #[arg(long, value_name = "WHEN", value_parser = parse_time, requires = "stream", help_heading = "Rescue")]
    until: Option<PointInTime>,
    /// Only this shard: its whole id, or its number
    #[arg(long, value_name = "SHARD", value_parser = ShardFilter::parse, requires = "stream", help_heading = "Rescue")]
    pub shard: Option<ShardFilter>,
    /// Leave out the records that fail the filters of this event source mapping
    #[arg(long, value_name = "UUID", requires = "stream", help_heading = "Rescue")]
    pub filter_mapping: Option<String>,
    /// The most records in a batch, at most 10,000; by default the mapping's batch size, or 100
    #[arg(
        long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000), requires = "stream",
        help_heading = "Rescue"
    )]
    pub batch_size: Option<u64>,
    /// Print the hydrated messages; without it and without --send, only the plan is printed and no record is read
    #[arg(long, requires = "stream", conflicts_with = "send", help_heading = "Rescue")]
    pub print: bool,
    /// The file that says what was sent, for a rescue that was interrupted; by default in $XDG_STATE_HOME/dlq/rescue
    #[arg(long, value_name = "FILE", requires = "stream", requires = "send", help_heading = "Rescue")]
    pub progress: Option<PathBuf>,
}

/// The records that were asked for.
#[derive(Debug, Clone)]
pub struct WantedRecords {
    pub stream: StreamArn,
    pub function: String,
    pub range: TimeRange,
}

impl RescueArgs {
    /// `None` without `--stream`. The batches of a rescue begin at `--since`: a time that depends on the clock would
    /// give other batches with other ids to the next run, so such a time is refused where messages are sent.
    pub fn wanted(&self, sends: bool, now: Timestamp) -> Result<Option<WantedRecords>, UsageError> {
        let (Some(stream), Some(function)) = (self.stream.clone(), self.function.clone()) else { return Ok(None) };
        let (Some(since), Some(until)) = (self.since, self.until) else { return Ok(None) };
        let range = TimeRange { since: since.resolve(now), until: until.resolve(now) };
        if range.since >= range.until {
            return Err(UsageError("--since is not before --until: no record could be in between".to_owned()));
        }
        if range.until > now {
            return Err(UsageError("--until is in the future\n  → give a time until now".to_owned()));
        }
        let is_relative = [since, until].iter().any(|time| matches!(time, PointInTime::MillisAgo(_)));
        if sends && is_relative {
            return Err(UsageError(format!(
                "with --send, give times that are the same in the next run, which goes on where this one stopped\n  → {}",
                time_flags(range)
            )));
        }
        Ok(Some(WantedRecords { stream, function, range }))
    }
}

/// The flags for a time range, for a suggested command.
pub fn time_flags(range: TimeRange) -> String {
    format!("--since {} --until {}", range.since.rfc3339(), range.until.rfc3339())
}

/// The length of a time range in words.
pub fn length(range: TimeRange) -> String {
    age(range.until.millis_since(range.since))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{AwsCommand, Cli, Command};

    const STREAM: &str = "arn:aws:kinesis:us-east-1:123456789012:stream/orders";

    fn parse(words: &str) -> Result<RescueArgs, String> {
        let words = format!("dlq hydrate {words}");
        match Cli::try_parse_from(words.split(' ')).map_err(|error| error.to_string())?.command {
            Command::OnAws(AwsCommand::Hydrate(arguments)) => Ok(arguments.rescue),
            _ => Err("another command".to_owned()),
        }
    }

    fn wanted(words: &str, sends: bool) -> Result<String, String> {
        let now = Timestamp::parse("2026-11-21T12:00:00Z").unwrap();
        let arguments = parse(&format!("--stream {STREAM} --function orders {words}"))?;
        let wanted = arguments.wanted(sends, now).map_err(|error| error.to_string())?.unwrap();
        Ok(time_flags(wanted.range))
    }

    #[test]
    fn a_time_range_lies_in_the_past_and_is_fixed_where_messages_are_sent() {
        let fixed = "--since 2026-11-21T10:00:00.000Z --until 2026-11-21T11:00:00.000Z";
        assert_eq!(wanted("--since 2h --until 1h", false).unwrap(), fixed);
        assert_eq!(wanted(fixed, true).unwrap(), fixed);
        assert!(wanted("--since 2h --until 1h", true).unwrap_err().contains(fixed));
        assert!(wanted("--since 1h --until 2h", false).unwrap_err().contains("not before"));
        assert!(wanted("--since 1h --until 2026-11-22", false).unwrap_err().contains("future"));
    }

    #[test]
    fn the_flags_of_a_rescue_belong_together() {
        for wrong in [
            format!("--stream {STREAM}"),
            format!("--stream {STREAM} --since 2h --until 1h"),
            format!("--stream {STREAM} --function orders --since 2h"),
            "--stream orders --function orders --since 2h --until 1h".to_owned(),
            format!("--stream {STREAM} --function orders --since 2h --until 1h file.json"),
            format!("--stream {STREAM} --function orders --since 2h --until 1h --from-queue old"),
            format!("--stream {STREAM} --function orders --since 2h --until 1h --print --send"),
            format!("--stream {STREAM} --function orders --since 2h --until 1h --batch-size 0"),
            "file.json --shard 1".to_owned(),
            "file.json --print".to_owned(),
        ] {
            assert!(parse(&wrong).is_err(), "{wrong}");
        }
        assert!(parse("file.json").is_ok());
    }
}
