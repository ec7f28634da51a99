//! Flags of a drill.

use std::time::Duration;

use clap::Args;
use hydration::arn::StreamArn;

use crate::print::time::parse_duration;
use crate::queue::filter_args::{ShardFilter, parse_stream};

/// The longest `--wait`. Messages of drills that are much older belong to no drill that is still at work.
pub const MAX_WAIT: Duration = Duration::from_secs(15 * 60);
const WRONG_WAIT: &str = "give a time from 1s to 15m";

#[derive(Debug, Clone, Args)]
pub struct DrillArgs {
    /// Report a batch of the newest records of --stream as Lambda would, and wait until it is on the queue
    #[arg(long, requires = "stream", help_heading = "Drill")]
    pub drill: bool,
    /// The stream, or a consumer of one, by ARN
    #[arg(long, value_name = "ARN", value_parser = parse_stream, requires = "drill", help_heading = "Drill")]
    pub stream: Option<StreamArn>,
    /// Only this shard: its whole id, or its number
    #[arg(long, value_name = "SHARD", value_parser = ShardFilter::parse, requires = "drill", help_heading = "Drill")]
    pub shard: Option<ShardFilter>,
    /// The most records in the batch
    #[arg(
        long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000), default_value = "10",
        requires = "drill", help_heading = "Drill"
    )]
    pub records: u64,
    /// The longest wait for the message, up to 15m
    #[arg(
        long, value_name = "TIME", value_parser = parse_wait, default_value = "2m", requires = "drill",
        help_heading = "Drill"
    )]
    pub wait: Duration,
}

fn parse_wait(text: &str) -> Result<Duration, &'static str> {
    let millis = parse_duration(text).and_then(|millis| u64::try_from(millis).ok()).ok_or(WRONG_WAIT)?;
    let wait = Duration::from_millis(millis);
    if wait.is_zero() || wait > MAX_WAIT { Err(WRONG_WAIT) } else { Ok(wait) }
}
