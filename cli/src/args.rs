//! What can be typed, and which command it means.

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};

use crate::commands;
use crate::exit::{self, Exit};
use crate::place::Place;
use crate::session::Session;

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

impl Cli {
    pub async fn run(self) -> Result<Exit> {
        // What needs no AWS must not ask for a region.
        if let Command::Completions(arguments) = &self.command {
            return commands::completions::run(arguments, Self::command());
        }
        let session = Session::start(&self.place).await?;
        match self.command {
            Command::Status(arguments) => commands::status::run(&session, arguments).await,
            Command::List(arguments) => commands::list::run(&session, arguments).await,
            Command::Replay(arguments) => commands::replay::run(&session, arguments).await,
            Command::Isolate(arguments) => commands::isolate::run(&session, arguments).await,
            Command::Discard(arguments) => commands::discard::run(&session, arguments).await,
            Command::Export(arguments) => commands::export::run(&session, arguments).await,
            Command::Hydrate(arguments) => commands::hydrate::run(&session, arguments).await,
            Command::Doctor(arguments) => commands::doctor::run(&session, arguments).await,
            Command::Completions(arguments) => commands::completions::run(&arguments, Self::command()),
            Command::Show(arguments) => commands::show::run(&session, arguments).await,
        }
    }
}
