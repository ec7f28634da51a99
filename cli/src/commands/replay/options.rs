//! Options of a replay from the command line.

use std::path::{Path, PathBuf};

use clap::Args;
use hydration::timestamp::Timestamp;

use crate::exit::UsageError;
use crate::queue::filter::{Filter, FilterArgs, parse_id};

/// Run failed batches again on their function, and delete each message whose records have all succeeded
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  dlq replay --all                                what would be run; nothing is invoked
  dlq replay 4f1c --execute                       one batch
  dlq replay --all --function orders --execute --rate 2
  dlq replay --all --execute --on orders:fixed

The function is invoked with exactly the Records that Lambda delivered. A shard's batches run in its order, one after
the other; when one fails, those behind it are held back (--keep-going runs them). An answer with batchItemFailures is
honoured: only what remains is run the next time. Each step is on record in the audit file before the next is taken, so
that a second run never repeats what is done, whatever ended the first. Ctrl-C lets running invocations finish and puts
everything else back; a second one leaves them, in doubt.

Exit code 3 means that something was left undone; what, and why, is listed.")]
pub struct Arguments {
    /// Ids, or the beginnings of some
    #[arg(value_name = "ID", value_parser = parse_id, required_unless_present = "all", conflicts_with = "all")]
    ids: Vec<String>,
    /// Every message that the filters let pass
    #[arg(long)]
    pub all: bool,
    /// Invoke; without it, only say what would be done
    #[arg(long)]
    pub execute: bool,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    pub options: ReplayOptions,
    /// The audit file; by default one for the queue in $XDG_STATE_HOME/dlq
    #[arg(long, value_name = "FILE", help_heading = "How")]
    audit: Option<PathBuf>,
}

impl Arguments {
    pub fn audit_file(&self) -> Option<&Path> {
        self.audit.as_deref()
    }

    pub fn filter(&self, now: Timestamp) -> Result<Filter, UsageError> {
        Filter::new(&self.filter, &self.ids, now)
    }
}

/// The way in which batches are run.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct ReplayOptions {
    /// Invoke this function instead of the one that failed: a name, name:alias, or an ARN
    #[arg(long = "on", id = "on", value_name = "NAME", help_heading = "How")]
    pub function: Option<String>,
    /// Run supersets too, with the records between that may have succeeded before
    #[arg(long, help_heading = "How")]
    pub include_superset: bool,
    /// Run the batches behind a failed one of the same shard too
    #[arg(long, help_heading = "How")]
    pub keep_going: bool,
    /// Treatment of a batch whose invocation may or may not have run
    #[arg(long, value_enum, default_value = "keep", value_name = "WHAT", help_heading = "How")]
    pub in_doubt: InDoubt,
    /// Invocations a second, at most
    #[arg(long, value_name = "N", default_value_t = 5.0, value_parser = parse_rate, help_heading = "How")]
    pub rate: f64,
    /// Shards side by side
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
pub enum InDoubt {
    /// Leave it alone, and say so
    #[default]
    Keep,
    /// Run it again: the function must be able to run twice on a record
    Rerun,
    /// It ran: go on as if it had succeeded
    Done,
}

/// A number of invocations per second from the command line.
pub fn parse_rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.001..=1000.0).contains(rate));
    rate.ok_or_else(|| "a rate is a number from 0.001 to 1000".to_owned())
}

#[cfg(test)]
impl Default for ReplayOptions {
    fn default() -> Self {
        Self {
            function: None,
            include_superset: false,
            keep_going: false,
            in_doubt: InDoubt::Keep,
            rate: 1000.0,
            concurrency: 4,
            max_failures: 3,
        }
    }
}
