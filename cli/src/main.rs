//! `dlq`: from the alarm to the cause, and back to processed. This file only wires.

mod archive;
mod args;
mod aws;
mod batch_item_failures;
mod commands;
mod context;
mod exit;
mod interrupt;
mod ledger;
mod message_file;
mod narrowing;
mod ports;
mod print;
mod queue;
mod rate_limiter;
mod spool;
mod suspects;
#[cfg(test)]
mod test_support;

use std::process::ExitCode;

use crate::args::Cli;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse_or_exit();
    exit::code(cli.run().await)
}
