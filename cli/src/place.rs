//! What every command takes: where things are, and how to show them.

use clap::{Args, ValueEnum};

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
