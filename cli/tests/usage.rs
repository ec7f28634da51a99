//! Help, completions, wrong usage and their exit codes, which need no AWS. Whole commands are tested in
//! src/commands/tests.rs, and on the emulators in tests/tool.

#![allow(clippy::unwrap_used, reason = "these are tests, their helpers too")]

use std::process::{Command, Output};

const COMMANDS: [&str; 10] =
    ["status", "list", "show", "replay", "discard", "isolate", "export", "hydrate", "doctor", "completions"];

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
