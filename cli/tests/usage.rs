//! Help, completions, wrong usage and their exit codes, which need no AWS. Whole commands are tested in
//! src/commands/tests.rs, and on the emulators in tests/tool.

#![allow(clippy::unwrap_used, reason = "these are tests, their helpers too")]

use std::process::{Command, Output};

const COMMANDS: [&str; 12] = [
    "status",
    "list",
    "show",
    "report",
    "replay",
    "discard",
    "isolate",
    "export",
    "hydrate",
    "doctor",
    "completions",
    "man",
];

fn dlq(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dlq"))
        .args(words)
        .env_clear()
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn every_command_explains_itself_with_examples() {
    for command in COMMANDS {
        let help = dlq(&[command, "--help"]);
        assert_eq!(help.status.code(), Some(0));
        let text = text(&help.stdout);
        assert!(text.contains("Examples:") && text.contains(&format!("  dlq {command}")), "{command}");
    }
    assert!(text(&dlq(&["--help"]).stdout).contains("Exit codes:"));
}

#[test]
fn completions_need_no_region() {
    for shell in ["bash", "zsh", "fish"] {
        let completions = dlq(&["completions", shell]);
        assert_eq!(completions.status.code(), Some(0));
        assert!(COMMANDS.iter().all(|command| text(&completions.stdout).contains(command)));
    }
}

/// The commands and flags that a help text lists: the first word of an indented line.
fn listed(help: &str, is_wanted: impl Fn(&str) -> bool) -> Vec<&str> {
    let indented = help.lines().filter(|line| line.starts_with("  "));
    let words = indented.flat_map(|line| line.split([' ', ',', '=']).filter(|word| !word.is_empty()).take(2));
    words.filter(|word| is_wanted(word)).collect()
}

#[test]
fn every_command_has_a_manual_page_with_the_flags_of_its_help() {
    let folder = std::env::temp_dir().join(format!("dlq-manual-{}", std::process::id()));
    let written = dlq(&["man", "--to", folder.to_str().unwrap()]);
    assert_eq!((written.status.code(), text(&written.stdout).as_str()), (Some(0), ""));
    let mut files: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    let mut expected: Vec<_> = COMMANDS.iter().map(|command| format!("dlq-{command}.1")).collect();
    expected.push("dlq.1".to_owned());
    expected.sort();
    assert_eq!(files, expected);
    for command in COMMANDS {
        let page = text(&std::fs::read(folder.join(format!("dlq-{command}.1"))).unwrap());
        assert_eq!(text(&dlq(&["man", command]).stdout), page);
        let plain = page.replace("\\-", "-").replace("\\fB", "").replace("\\fR", "");
        let help = text(&dlq(&[command, "--help"]).stdout);
        let flags = listed(&help, |word| word.starts_with("--"));
        assert!(flags.len() > 5 && flags.iter().all(|flag| plain.contains(flag)), "{command}: {flags:?}\n{plain}");
        assert!(plain.contains(".SH EXAMPLES") && !plain.contains(".SH EXTRA"), "{plain}");
    }
    let tool = text(&std::fs::read(folder.join("dlq.1")).unwrap());
    assert_eq!(text(&dlq(&["man"]).stdout), tool);
    assert!(tool.contains(".SH \"EXIT CODES\"") && !tool.contains("help(1)"), "{tool}");
    assert_eq!(dlq(&["man", "nosuch"]).status.code(), Some(2));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn wrong_usage_is_2_and_failure_is_1_and_each_says_what_to_do() {
    for words in [&["nosuch"][..], &["replay"], &["show"], &["list", "--status", "Lost"], &["hydrate", "a", "--delete"]]
    {
        assert_eq!(dlq(words).status.code(), Some(2), "{words:?}");
    }
    let failed = dlq(&["list"]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(text(&failed.stderr).contains("→ give --region"));
}
