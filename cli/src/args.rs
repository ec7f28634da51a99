//! The command line, and the command that it means.

mod global;
mod groups;

pub use global::{ColorChoice, GlobalArgs, OutputFormat};

use anyhow::Result;
use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use hydration::timestamp::Timestamp;
use hydration_aws::{AwsReader, SystemClock};

use crate::archive::{ArchivePlace, ArchiveQueue, KeyFilter, MessageSource};
use crate::aws::connection::Connection;
use crate::commands;
use crate::commands::doctor::drill::{Drill, DrillPorts};
use crate::commands::hydrate::Destination;
use crate::commands::replay::Resources;
use crate::commands::replay::session::PlacedLedger;
use crate::commands::status::BesideQueue;
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
        Self::from_arg_matches(&matches).and_then(Self::checked).unwrap_or_else(|error| error.exit())
    }

    /// Refuses `--archive` where it means nothing, and says why.
    pub fn checked(self) -> Result<Self, clap::Error> {
        let refusal = match &self.command {
            Command::OnAws(command) if self.global.archive.is_some() => command.refusal_of_archive(),
            _ => None,
        };
        match refusal {
            None => Ok(self),
            Some(reason) => {
                let text = format!("the argument '--archive' cannot be used here: {reason}");
                Err(Self::command().error(ErrorKind::ArgumentConflict, text))
            }
        }
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
    /// The reason why the command has no use for an archive.
    fn refusal_of_archive(&self) -> Option<&'static str> {
        match self {
            Self::Discard(_) => Some("nothing is deleted from an archive; docs/ARCHIVE.md says how to erase objects"),
            Self::Hydrate(_) => Some("an archive has no records to fetch: its messages are hydrated already"),
            Self::Doctor(_) => Some("doctor checks the stack and its queues; give --stack"),
            Self::Replay(arguments) if arguments.options.keep || arguments.options.delete => {
                Some("--keep and --delete are for a queue; nothing is deleted from an archive")
            }
            _ => None,
        }
    }

    /// The filters of the command, as far as the keys of an archive can answer them.
    pub fn key_filter(&self, now: Timestamp) -> KeyFilter {
        match self {
            Self::Status(arguments) => KeyFilter::new(&arguments.filter, &[], now),
            Self::List(arguments) => KeyFilter::new(&arguments.filter, &[], now),
            Self::Report(arguments) => KeyFilter::new(&arguments.filter, &[], now),
            Self::Export(arguments) => KeyFilter::new(&arguments.filter, &arguments.ids, now),
            // A batch of another status may come before those that are run.
            Self::Replay(arguments) => KeyFilter::new(&arguments.filter, &arguments.ids, now).of_any_status(),
            Self::Show(arguments) => KeyFilter::by_ids(&arguments.ids),
            Self::Isolate(arguments) => KeyFilter::by_ids(std::slice::from_ref(&arguments.id)),
            Self::Discard(_) | Self::Hydrate(_) | Self::Doctor(_) => KeyFilter::default(),
        }
    }

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
        let messages = match targets.archive.clone() {
            None => MessageSource::Queue(aws.queue_at(targets.queue_url.clone())),
            Some(place) => MessageSource::Archive(ArchiveQueue::new(&bucket, place, self.key_filter(context.now()))),
        };
        let queue = || aws.queue_at(targets.queue_url.clone());
        // The retry queue and the parked queue are beside a queue, not beside an archive.
        let others = || if targets.archive.is_none() { aws.retry_and_parked_queues() } else { Vec::new() };
        match self {
            Self::Status(arguments) => {
                let ledger = aws.ledger(&targets, context, arguments.ledger.as_deref()).await;
                let beside = BesideQueue { retry_and_parked: &others(), archive: aws.own_archive() };
                commands::status::run(context, &messages, &bucket, &aws.logs(), &ledger, beside, arguments).await
            }
            Self::List(arguments) => {
                let ledger = aws.ledger(&targets, context, arguments.ledger.as_deref()).await;
                commands::list::run(context, &messages, &bucket, &ledger, arguments).await
            }
            Self::Report(arguments) => {
                let ledger = aws.ledger(&targets, context, arguments.ledger.as_deref()).await;
                commands::report::run(context, &messages, &bucket, &ledger, &others(), arguments).await
            }
            Self::Show(arguments) => {
                let ledger = aws.ledger(&targets, context, arguments.ledger.as_deref()).await;
                let resources = Resources { queue: &messages, bucket: &bucket, function: &function, ledger: &ledger };
                commands::show::run(context, resources, &aws.logs(), arguments).await
            }
            Self::Replay(arguments) => {
                let (ledger, place) = aws.ledger(&targets, context, arguments.ledger.as_deref()).await?;
                let ledger = PlacedLedger { ledger: &ledger, place: &place };
                let resources = Resources { queue: &messages, bucket: &bucket, function: &function, ledger };
                commands::replay::run(context, resources, arguments).await
            }
            Self::Discard(arguments) => {
                let (ledger, place) = aws.ledger(&targets, context, arguments.ledger.as_deref()).await?;
                commands::discard::run(context, &queue(), &bucket, &ledger, &place, arguments).await
            }
            Self::Isolate(arguments) => {
                let (ledger, place) = aws.ledger(&targets, context, arguments.ledger.as_deref()).await?;
                let ledger = PlacedLedger { ledger: &ledger, place: &place };
                let resources = Resources { queue: &messages, bucket: &bucket, function: &function, ledger };
                commands::isolate::run(context, resources, arguments).await
            }
            Self::Export(arguments) => commands::export::run(context, &messages, &bucket, arguments).await,
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
    /// The archive that is read in place of the queue. The ledger is the queue's all the same.
    pub archive: Option<ArchivePlace>,
}

impl Targets {
    async fn find(command: &AwsCommand, aws: &Connection) -> Result<Self> {
        let archive = aws.archive()?;
        let AwsCommand::Hydrate(arguments) = command else {
            let is_needed = archive.is_none() || aws.names_queue();
            let queue_url = if is_needed { aws.queue_url().await? } else { String::new() };
            return Ok(Self { queue_url, from_queue_url: None, archive });
        };
        let from_queue_url = match arguments.source_queue() {
            Some(name) => Some(aws.find_queue(name).await?),
            None => None,
        };
        let queue_url = if arguments.sends() { aws.queue_url().await? } else { String::new() };
        Ok(Self { queue_url, from_queue_url, archive: None })
    }
}

/// A variable of the environment, unless it is empty.
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
