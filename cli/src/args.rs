//! The command line, and the command that it means.

mod global;
mod groups;

pub use global::{ColorChoice, GlobalArgs, OutputFormat};

use anyhow::Result;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use hydration_aws::{AwsReader, SystemClock};

use crate::aws::connection::Connection;
use crate::commands;
use crate::commands::doctor::drill::{Drill, DrillPorts};
use crate::commands::hydrate::Destination;
use crate::commands::replay::Resources;
use crate::commands::replay::session::PlacedLedger;
use crate::context::Context;
use crate::exit::{self, Exit};
use crate::interrupt::Interrupt;
use crate::print::Output;
use crate::print::progress::during;

const ABOUT: &str = "From the alarm to the cause, and back to processed.";

const EXAMPLES: &str = "\
Examples:
  dlq status --stack hydrator             what failed, in a few lines
  dlq list --status Partial,Expired       the messages, one a line
  dlq list --grep ORD-04711               is that order in one of them?
  dlq show 4f1c --logs                    one batch: facts, records, log
  dlq replay --all                        what a replay would do
  dlq replay 4f1c --execute               run it again; delete it if all succeeds

Looking never loses or hides anything: messages that were only read are visible again when the command ends.";

#[derive(Debug, Parser)]
#[command(name = "dlq", version, about = ABOUT, after_help = format!("{EXAMPLES}\n\n{}", exit::HELP))]
#[command(propagate_version = true, max_term_width = 110)]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalArgs,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "one value is made, once")]
pub enum Command {
    #[command(flatten)]
    OnAws(AwsCommand),
    Completions(commands::completions::Arguments),
    Man(commands::man::Arguments),
}

/// Commands that need credentials and a region.
#[derive(Debug, Subcommand)]
pub enum AwsCommand {
    Status(commands::status::Arguments),
    List(commands::list::Arguments),
    Show(commands::show::Arguments),
    Report(commands::report::Arguments),
    Replay(commands::replay::Arguments),
    Discard(commands::discard::Arguments),
    Isolate(commands::isolate::Arguments),
    Export(commands::export::Arguments),
    Hydrate(commands::hydrate::Arguments),
    Doctor(commands::doctor::Arguments),
}

impl Cli {
    /// Reads the command line. Help, and wrong usage, end the program.
    pub fn parse_or_exit() -> Self {
        let matches = groups::with_groups(Self::command()).get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

    pub async fn run(self) -> Result<Exit> {
        match self.command {
            Command::Completions(arguments) => commands::completions::run(&arguments, Self::command()),
            Command::Man(arguments) => commands::man::run(&arguments, Self::command()),
            Command::OnAws(command) => command.run(&self.global).await,
        }
    }
}

impl AwsCommand {
    async fn run(self, typed: &GlobalArgs) -> Result<Exit> {
        let context = Context {
            output: Output::standard(typed),
            interrupt: Interrupt::listen(),
            clock: SystemClock,
            words: std::env::args().skip(1).collect(),
            location_flags: typed.location_flags(),
        };
        let global = typed.or_environment(environment);
        let look_up = async {
            let aws = Connection::open(global, &context.output).await?;
            let targets = Targets::find(&self, &aws).await?;
            Ok::<_, anyhow::Error>((aws, targets))
        };
        let (aws, targets) = context.interrupt.race(during("connecting", look_up)).await??;
        let exit = self.run_on(&context, &aws, targets).await?;
        Ok(context.output.exit(exit))
    }

    async fn run_on(self, context: &Context<SystemClock>, aws: &Connection, targets: Targets) -> Result<Exit> {
        let (bucket, function) = (aws.bucket(), aws.function());
        let queue = || aws.queue_at(targets.queue_url.clone());
        match self {
            Self::Status(arguments) => {
                let ledger = aws.ledger(&queue(), context, arguments.ledger.as_deref()).await;
                let others = aws.retry_and_parked_queues();
                commands::status::run(context, &queue(), &bucket, &aws.logs(), &ledger, &others, arguments).await
            }
            Self::List(arguments) => {
                let ledger = aws.ledger(&queue(), context, arguments.ledger.as_deref()).await;
                commands::list::run(context, &queue(), &bucket, &ledger, arguments).await
            }
            Self::Report(arguments) => {
                let ledger = aws.ledger(&queue(), context, arguments.ledger.as_deref()).await;
                let others = aws.retry_and_parked_queues();
                commands::report::run(context, &queue(), &bucket, &ledger, &others, arguments).await
            }
            Self::Show(arguments) => {
                let ledger = aws.ledger(&queue(), context, arguments.ledger.as_deref()).await;
                let resources = Resources { queue: &queue(), bucket: &bucket, function: &function, ledger: &ledger };
                commands::show::run(context, resources, &aws.logs(), arguments).await
            }
            Self::Replay(arguments) => {
                let (ledger, place) = aws.ledger(&queue(), context, arguments.ledger.as_deref()).await?;
                let ledger = PlacedLedger { ledger: &ledger, place: &place };
                let resources = Resources { queue: &queue(), bucket: &bucket, function: &function, ledger };
                commands::replay::run(context, resources, arguments).await
            }
            Self::Discard(arguments) => {
                let (ledger, place) = aws.ledger(&queue(), context, arguments.ledger.as_deref()).await?;
                commands::discard::run(context, &queue(), &bucket, &ledger, &place, arguments).await
            }
            Self::Isolate(arguments) => {
                let (ledger, place) = aws.ledger(&queue(), context, arguments.ledger.as_deref()).await?;
                let ledger = PlacedLedger { ledger: &ledger, place: &place };
                let resources = Resources { queue: &queue(), bucket: &bucket, function: &function, ledger };
                commands::isolate::run(context, resources, arguments).await
            }
            Self::Export(arguments) => commands::export::run(context, &queue(), &bucket, arguments).await,
            Self::Hydrate(arguments) => {
                let destination = Destination::open(aws, &arguments, &targets, environment("OVERFLOW_BUCKET"));
                let from_queue = targets.from_queue_url.map(|url| aws.queue_at(url));
                let reader = AwsReader::new(&aws.config);
                let from_queue = from_queue.as_ref();
                commands::hydrate::run(context, reader, &function, from_queue, destination?, arguments).await
            }
            Self::Doctor(arguments) if arguments.is_drill() => {
                let reader = AwsReader::new(&aws.config);
                let deployment = aws.deployment();
                let destination = aws.failure_destination();
                let ports = DrillPorts {
                    queue: &queue(),
                    bucket: &bucket,
                    deployment: &deployment,
                    reader: &reader,
                    destination: &destination,
                };
                Drill::run(context, ports, aws.stack(), &arguments).await
            }
            Self::Doctor(arguments) => {
                let queues = aws.all_queues(targets.queue_url);
                commands::doctor::run(context, &queues, &aws.deployment(), aws.stack(), arguments).await
            }
        }
    }
}

/// The queues that a command works with, by their URLs.
#[derive(Debug, Default)]
pub struct Targets {
    /// The queue of hydrated messages; empty where the command needs none.
    pub queue_url: String,
    pub from_queue_url: Option<String>,
}

impl Targets {
    async fn find(command: &AwsCommand, aws: &Connection) -> Result<Self> {
        let AwsCommand::Hydrate(arguments) = command else {
            return Ok(Self { queue_url: aws.queue_url().await?, from_queue_url: None });
        };
        let from_queue_url = match arguments.source_queue() {
            Some(name) => Some(aws.find_queue(name).await?),
            None => None,
        };
        let queue_url = if arguments.sends() { aws.queue_url().await? } else { String::new() };
        Ok(Self { queue_url, from_queue_url })
    }
}

/// A variable of the environment, unless it is empty.
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
