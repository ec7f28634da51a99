//! Commands in groups, for `dlq --help`. clap has one heading for all of them.

use clap::Command;

/// The commands by what they do. One that stands in no group is listed under [`OTHER`].
const GROUPS: [(&str, &[&str]); 4] = [
    ("Look", &["status", "list", "show", "export", "report"]),
    ("Act", &["isolate", "replay", "discard", "hydrate"]),
    ("Check", &["doctor"]),
    ("Set up", &["completions", "man"]),
];
const OTHER: &str = "More";

/// The command with its subcommands in groups on its help page.
pub fn with_groups(tool: Command) -> Command {
    let mut template = String::from("{about-with-newline}\n{usage-heading} {usage}\n\n");
    for (title, names) in grouped(&tool) {
        let header = tool.get_styles().get_header();
        let list = rendered(&tool, "{subcommands}", |name| names.contains(&name));
        template.push_str(&format!("{header}{title}:{header:#}\n{list}\n\n"));
    }
    template.push_str(&rendered(&tool, "{all-args}", |_| false));
    template.push_str("{after-help}");
    tool.help_template(template)
}

/// The names of the visible commands of each group, in its order.
fn grouped(tool: &Command) -> Vec<(&'static str, Vec<&str>)> {
    let all = || tool.get_subcommands().filter(|command| !command.is_hide_set()).map(Command::get_name);
    let groups = GROUPS.iter().map(|(title, names)| (*title, all().filter(|name| names.contains(name)).collect()));
    let is_grouped = |name: &&str| GROUPS.iter().any(|(_, names)| names.contains(name));
    let others = (OTHER, all().filter(|name| !is_grouped(name)).collect());
    groups.chain([others]).filter(|(_, names): &(_, Vec<&str>)| !names.is_empty()).collect()
}

/// A piece of the help page with only some of the commands, as clap lays it out.
fn rendered(tool: &Command, template: &'static str, is_listed: impl Fn(&str) -> bool) -> String {
    let mut piece = tool.clone().disable_help_subcommand(true).help_template(template);
    for name in tool.get_subcommands().map(Command::get_name).filter(|name| !is_listed(name)) {
        piece = piece.mut_subcommand(name, |command| command.hide(true));
    }
    piece.render_help().ansi().to_string().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::args::Cli;

    #[test]
    fn every_command_is_in_one_group() {
        let tool = Cli::command();
        let grouped = grouped(&tool);
        assert!(grouped.iter().all(|(title, _)| *title != OTHER), "{grouped:?}");
        let mut listed: Vec<&str> = grouped.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        listed.sort_unstable();
        let mut all: Vec<&str> = tool.get_subcommands().map(Command::get_name).collect();
        all.sort_unstable();
        assert_eq!(listed, all);
    }

    #[test]
    fn a_command_without_a_group_is_listed_all_the_same() {
        let tool = Cli::command().subcommand(Command::new("new-one").about("Do something new"));
        let help = with_groups(tool).render_help().to_string();
        assert!(help.contains("More:\n  new-one  Do something new\n"), "{help}");
        assert!(!help.contains("Commands:"), "{help}");
    }

    #[test]
    fn the_help_page_has_groups_options_and_exit_codes() {
        insta::assert_snapshot!(with_groups(Cli::command().term_width(100)).render_help().to_string());
    }
}
