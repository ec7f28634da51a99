//! `dlq`: from the alarm to the cause, and back to processed. This file only wires.

mod args;
mod aws;
mod commands;
mod ddmin;
mod doctor;
mod entry;
mod exit;
mod filter;
mod gather;
mod hold;
mod incident;
mod interrupt;
mod ledger;
mod look;
mod place;
mod ports;
mod print;
mod replay;
mod session;
mod show;
#[allow(dead_code)] // The commands do not use it yet.
mod spool;

use std::process::ExitCode;

use clap::Parser;

use crate::args::Cli;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    exit::code(cli.run().await)
}
