//! Options of a replay from the command line.

use clap::Args;
use hydration::timestamp::Timestamp;

use crate::commands::replay::selection::{Selection, parse_selection};
use crate::exit::UsageError;
use crate::ledger::claim::Settlement;
use crate::queue::filter::{Filter, FilterArgs, parse_id};

/// Run failed batches again on their function, and delete each message whose records have all succeeded
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  dlq replay --all                                what would be run; nothing is invoked
  dlq replay 4f1c --execute                       one batch
  dlq replay --all --function orders --execute --rate 2
  dlq replay --all --on orders:fixed --execute    on another function; the messages are kept
  dlq replay 4f1c --except 58 --execute           all records of a batch but one
  dlq replay --all --narrow                       supersets too, without what was not in the batch
  dlq replay --all --archive stack --since 20d    what is in the archive and has not run

The function is invoked with exactly the Records that Lambda delivered. A shard's batches run in its order, one after
the other. When one fails, is refused, is in doubt or breaks the contract, those behind it are held back (--keep-going
runs them). An answer with batchItemFailures is honoured: only what remains is run the next time. The ledger has a claim
before each invocation and its outcome after it, so that no machine repeats what is done, whatever ended an earlier run.
Ctrl-C lets running invocations finish and puts everything else back; a second one leaves them, in doubt.

SQS does not say which shard a message in flight or delayed is of. While there are any that are not its own, --all
invokes nothing on a standard queue: with --execute it waits for them, for 60 seconds at most, and then refuses.
--keep-going runs all the same. So does an id, which says first what is held.

With --narrow, the filters and the parallelization factor of the mapping that formed the batch tell which records of a
superset were not in it (lambda:ListEventSourceMappings). It is done, and deleted, when the others have succeeded. It is
refused where nothing can be told, as after a change of the mapping; --include-superset then runs all of it.

With --archive nothing is deleted. The ledger is the queue's, so that what ran from one is done for the other: the stack,
or the queue and its ledger, must be known. Of a shard, the batches that the filters let be read run in their order.

Exit code 3 means that something was left undone; what, and why, is listed.")]
pub struct Arguments {
    /// Ids, or the beginnings of some
    #[arg(value_name = "ID", value_parser = parse_id, required_unless_present = "all", conflicts_with = "all")]
    pub ids: Vec<String>,
    /// Every message that the filters let pass
    #[arg(long)]
    pub all: bool,
    /// Invoke; without it, only say what would be done
    #[arg(long)]
    pub execute: bool,
    #[command(flatten)]
    pub filter: FilterArgs,
    #[command(flatten)]
    pub options: ReplayOptions,
    /// The place of the ledger: s3://BUCKET/PREFIX or a folder; by default the overflow bucket of --stack or of
    /// OVERFLOW_BUCKET, else a folder in $XDG_STATE_HOME/dlq
    #[arg(long, value_name = "s3://…|DIR", help_heading = "How")]
    pub ledger: Option<String>,
}

impl Arguments {
    pub fn filter(&self, now: Timestamp) -> Result<Filter, UsageError> {
        Filter::new(&self.filter, &self.ids, now)
    }
}

/// The way in which batches are run.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct ReplayOptions {
    /// Run the batches on this function instead of the one that failed, and keep the messages: a name, name:alias, or
    /// an ARN
    #[arg(long, value_name = "FUNCTION", help_heading = "How")]
    pub on: Option<String>,
    /// Keep messages whose records have succeeded
    #[arg(long, help_heading = "How", conflicts_with = "delete")]
    pub keep: bool,
    /// Delete messages whose records have succeeded on the function that --on names
    #[arg(long, help_heading = "How", requires = "on")]
    pub delete: bool,
    /// Only these records of one batch: numbers as dlq show prints them, or sequence numbers, as in 1-57,59-.
    /// A number with leading zeros is a sequence number
    #[arg(long, value_name = "LIST", value_parser = parse_selection, help_heading = "How")]
    #[arg(conflicts_with_all = ["all", "except"])]
    pub records: Option<Selection>,
    /// All records of one batch but these
    #[arg(long, value_name = "LIST", value_parser = parse_selection, help_heading = "How", conflicts_with = "all")]
    pub except: Option<Selection>,
    /// Run supersets without the records that were certainly not in the failed batch
    #[arg(long, help_heading = "How", conflicts_with_all = ["records", "except"])]
    pub narrow: bool,
    /// Run supersets too, with the records between that may have succeeded before
    #[arg(long, help_heading = "How")]
    pub include_superset: bool,
    /// Run the batches behind one that failed, is refused, is in doubt or breaks the contract too, and do not wait for
    /// messages in flight or delayed
    #[arg(long, help_heading = "How")]
    pub keep_going: bool,
    /// Treatment of a batch whose invocation may or may not have run
    #[arg(long, value_enum, default_value = "keep", value_name = "WHAT", help_heading = "How")]
    pub in_doubt: InDoubtChoice,
    /// A run that was cut off, by its id: its lock on the queue is released. Needs --in-doubt rerun or --in-doubt done
    #[arg(long, value_name = "RUN", help_heading = "How", requires = "in_doubt")]
    pub ended_run: Option<String>,
    /// Invocations a second, at most; auto takes half of the concurrency that the function may use
    #[arg(long, value_name = "N|auto", default_value_t = Rate::PerSecond(DEFAULT_RATE), help_heading = "How")]
    #[arg(value_parser = parse_rate_or_auto)]
    pub rate: Rate,
    /// Shards side by side; with --rate auto, as many as the function's concurrency allows
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=100))]
    #[arg(help_heading = "How")]
    pub concurrency: u16,
    /// Stop when this number of batches have failed
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    #[arg(help_heading = "How")]
    pub max_failures: u32,
}

/// Treatment of a batch whose invocation may or may not have run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum InDoubtChoice {
    /// Leave it alone, and say so
    #[default]
    Keep,
    /// Run it again: the function must be able to run twice on a record
    Rerun,
    /// It ran: go on as if it had succeeded
    Done,
}

impl InDoubtChoice {
    pub fn settlement(self) -> Option<Settlement> {
        match self {
            Self::Keep => None,
            Self::Rerun => Some(Settlement::Rerun),
            Self::Done => Some(Settlement::Done),
        }
    }
}

/// Invocations a second where nothing else is asked for.
pub const DEFAULT_RATE: f64 = 5.0;

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rate {
    PerSecond(f64),
    Auto,
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::PerSecond(rate) => write!(f, "{rate}"),
            Self::Auto => f.write_str("auto"),
        }
    }
}

/// A number of invocations per second from the command line.
pub fn parse_rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.001..=1000.0).contains(rate));
    rate.ok_or_else(|| "a rate is a number from 0.001 to 1000".to_owned())
}

fn parse_rate_or_auto(text: &str) -> Result<Rate, String> {
    if text == "auto" { Ok(Rate::Auto) } else { parse_rate(text).map(Rate::PerSecond) }
}
