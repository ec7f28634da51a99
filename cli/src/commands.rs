//! The commands, a file each.

pub mod completions;
pub mod discard;
pub mod doctor;
pub mod export;
pub mod hydrate;
pub mod isolate;
pub mod list;
pub mod replay;
pub mod show;
pub mod status;

use anyhow::Result;

use crate::args::{Cli, Command};
use crate::exit::Exit;
use crate::session::Session;

pub async fn run(cli: Cli) -> Result<Exit> {
    // What needs no AWS must not ask for a region.
    if let Command::Completions(arguments) = &cli.command {
        return completions::run(arguments);
    }
    let session = Session::start(&cli.place).await?;
    match cli.command {
        Command::Status(arguments) => status::run(&session, arguments).await,
        Command::List(arguments) => list::run(&session, arguments).await,
        Command::Replay(arguments) => replay::run(&session, arguments).await,
        Command::Isolate(arguments) => isolate::run(&session, arguments).await,
        Command::Discard(arguments) => discard::run(&session, arguments).await,
        Command::Export(arguments) => export::run(&session, arguments).await,
        Command::Hydrate(arguments) => hydrate::run(&session, arguments).await,
        Command::Doctor(arguments) => doctor::run(&session, arguments).await,
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Show(arguments) => show::run(&session, arguments).await,
    }
}
