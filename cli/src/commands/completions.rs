//! `dlq completions`: a script that completes commands and flags in a shell.

use std::io::Write;

use anyhow::Result;
use clap::{Args, Command};
use clap_complete::Shell;

use crate::exit::Exit;

/// Print the completions for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  dlq completions bash > ~/.local/share/bash-completion/completions/dlq
  dlq completions zsh > ~/.zfunc/_dlq
  dlq completions fish > ~/.config/fish/completions/dlq.fish")]
pub struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub fn run(arguments: &Arguments, mut command: Command) -> Result<Exit> {
    // clap panics where its writer fails, so it writes to memory.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "dlq", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(Exit::Done)
}
