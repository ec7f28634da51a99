//! `dlq man`: manual pages, made from the same text as `--help`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Args, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::exit::{Exit, UsageError};

/// Print the manual page of a command, or write all of them
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  dlq man replay | man -l -
  dlq man --to ~/.local/share/man/man1         then: man dlq, man dlq-replay")]
pub struct Arguments {
    /// The command; without it the page of dlq itself
    #[arg(conflicts_with = "to")]
    command: Option<String>,
    /// The folder to write all pages to; made if it is not there. Older pages there are replaced
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

pub fn run(arguments: &Arguments, tool: Command) -> Result<Exit> {
    let mut tool = tool.disable_help_subcommand(true);
    tool.build();
    let pages = pages(&tool)?;
    let Some(folder) = &arguments.to else {
        let wanted = arguments.command.as_ref().map_or("dlq.1".to_owned(), |command| format!("dlq-{command}.1"));
        let page = pages.iter().find(|page| page.file == wanted);
        let page = page.ok_or_else(|| UsageError("dlq has no such command; dlq --help lists them".to_owned()))?;
        std::io::stdout().write_all(&page.text)?;
        return Ok(Exit::Done);
    };
    std::fs::create_dir_all(folder).with_context(|| format!("the folder {} cannot be made", folder.display()))?;
    for page in pages {
        let file = folder.join(&page.file);
        std::fs::write(&file, &page.text).with_context(|| format!("{} cannot be written", file.display()))?;
    }
    Ok(Exit::Done)
}

/// A page as `man` reads it.
struct ManualPage {
    file: String,
    text: Vec<u8>,
}

/// The page of the tool, and one for each command.
fn pages(tool: &Command) -> Result<Vec<ManualPage>> {
    let commands = std::iter::once(tool).chain(tool.get_subcommands().filter(|command| !command.is_hide_set()));
    commands.map(page).collect()
}

fn page(command: &Command) -> Result<ManualPage> {
    let version = command.get_version().unwrap_or_default();
    let man = Man::new(command.clone()).source(format!("dlq {version}"));
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    if let Some(help) = command.get_after_long_help().or_else(|| command.get_after_help()) {
        render_after_help(&help.to_string(), &mut text)?;
    }
    Ok(ManualPage { file: man.get_filename(), text })
}

/// The text below the options, with a section for each of its headings (`Examples:`), and its examples and tables line
/// by line. clap_mangen would put all of it into one paragraph, EXTRA.
fn render_after_help(help: &str, to: &mut Vec<u8>) -> Result<()> {
    let mut roff = Roff::default();
    if help.lines().next().is_none_or(|line| heading(line).is_none()) {
        roff.control("SH", ["NOTES"]);
    }
    let mut is_verbatim = false;
    for line in help.lines() {
        let is_indented = line.starts_with(' ');
        if is_indented != is_verbatim {
            roff.control(if is_indented { "nf" } else { "fi" }, []);
            is_verbatim = is_indented;
        }
        match heading(line) {
            Some(heading) => roff.control("SH", [heading.as_str()]),
            None if line.is_empty() => roff.control("PP", []),
            None => roff.text([roman(line)]),
        };
    }
    roff.to_writer(to)?;
    Ok(())
}

/// The heading that a line is, as `Examples:`.
fn heading(line: &str) -> Option<String> {
    let words = line.strip_suffix(':')?;
    (!line.starts_with(' ') && words.split(' ').count() < 3).then(|| words.to_uppercase())
}
