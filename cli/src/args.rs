//! What can be typed.

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands;
use crate::exit;

const ABOUT: &str = "From the alarm to the cause, and back to processed.";

const EXAMPLES: &str = "\
Examples:
  dlq status --stack hydrator             what failed, in a few lines
  dlq list --status Partial,Expired       the messages, one a line
  dlq show 4f1c --logs                    one batch: facts, records, the function's own log
  dlq replay --all                        what a replay would do
  dlq replay 4f1c --execute               run the batch again, delete it when all of it has succeeded

Looking never loses or hides anything: messages that were only read are visible again when the command ends.";

#[derive(Debug, Parser)]
#[command(name = "dlq", version, about = ABOUT, after_help = format!("{EXAMPLES}\n\n{}", exit::HELP))]
#[command(propagate_version = true, max_term_width = 110)]
pub struct Cli {
    #[command(flatten)]
    pub place: Place,
    #[command(subcommand)]
    pub command: Command,
}

/// Where things are, and how to show them.
#[derive(Debug, Clone, Args)]
pub struct Place {
    /// The hydrator's CloudFormation stack; its outputs name the queues and the bucket [env: DLQ_STACK]
    #[arg(long, global = true, value_name = "NAME", help_heading = "Where")]
    pub stack: Option<String>,
    /// The queue of hydrated messages, instead of the stack's own [env: DLQ_QUEUE, QUEUE_URL]
    #[arg(long, global = true, value_name = "URL|NAME", help_heading = "Where")]
    pub queue: Option<String>,
    /// A profile of the AWS configuration
    #[arg(long, global = true, value_name = "NAME", help_heading = "Where")]
    pub profile: Option<String>,
    /// The AWS region
    #[arg(long, global = true, value_name = "REGION", help_heading = "Where")]
    pub region: Option<String>,
    /// Send every call there instead of to AWS, as to an emulator
    #[arg(long, global = true, value_name = "URL", help_heading = "Where")]
    pub endpoint_url: Option<String>,
    /// How to print; by default a table on a terminal and JSON lines elsewhere
    #[arg(long, short, global = true, value_enum, value_name = "FORMAT", help_heading = "Output")]
    pub output: Option<Format>,
    /// Colours, by default on a terminal where NO_COLOR is not set
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value = "auto", help_heading = "Output")]
    pub color: When,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For eyes
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Status(commands::status::Arguments),
    List(commands::list::Arguments),
    Show(commands::show::Arguments),
    Replay(commands::replay::Arguments),
    Discard(commands::discard::Arguments),
    Isolate(commands::isolate::Arguments),
    Export(commands::export::Arguments),
    Hydrate(commands::hydrate::Arguments),
    Doctor(commands::doctor::Arguments),
    Completions(commands::completions::Arguments),
}
