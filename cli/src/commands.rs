//! The commands, a file each.

pub mod list;
pub mod replay;
pub mod show;
pub mod status;

use anyhow::Result;

use crate::args::{Cli, Command};
use crate::exit::Exit;
use crate::session::Session;

pub async fn run(cli: Cli) -> Result<Exit> {
    let session = Session::start(&cli.place).await?;
    match cli.command {
        Command::Status(arguments) => status::run(&session, arguments).await,
        Command::List(arguments) => list::run(&session, arguments).await,
        Command::Replay(arguments) => replay::run(&session, arguments).await,
        Command::Show(arguments) => show::run(&session, arguments).await,
    }
}
