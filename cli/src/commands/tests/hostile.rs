//! Messages that somebody else made up: their texts reach neither the terminal nor the file system unchecked.

use super::all_visible;
use crate::ports::LogEvent;
use crate::test_support::messages::{TestBatch, batch};
use crate::test_support::tool::Tool;

const EVIL: &str = "\u{1b}[2J\u{9b}31m\u{202e}";

/// A message whose strings hold terminal escapes and bidirectional controls.
fn evil() -> Tool {
    let tool = Tool::default();
    let message = TestBatch { records: vec![format!("text {EVIL}")], ..batch("ab") }.message();
    let mut body = message.body.clone();
    for field in ["RetryAttemptsExhausted", "order-projector", "request-ab", "Unhandled"] {
        body = body.replace(field, &format!("{field}\\u001b[2J\\u009b31m\\u202e"));
    }
    tool.queue.send(crate::test_support::queue::NewMessage { body, ..message });
    tool.queue.send(format!("foreign {EVIL}"));
    tool.logs.events.borrow_mut().push(LogEvent {
        timestamp: hydration::timestamp::Timestamp::parse("2026-11-21T10:59:00Z"),
        stream: Some("one".to_owned()),
        message: format!("START RequestId: request-ab{EVIL}"),
    });
    tool
}

#[tokio::test]
async fn no_control_character_reaches_a_terminal_in_any_command() {
    let tool = evil();
    let folder = tool.state.path().join("out").display().to_string();
    for line in [
        "list".to_owned(),
        "list -o json".to_owned(),
        "status".to_owned(),
        "status -o json".to_owned(),
        "show ab".to_owned(),
        "show ab --logs".to_owned(),
        "show ab -o json".to_owned(),
        "discard --all".to_owned(),
        "discard --all -o json".to_owned(),
        "replay --all".to_owned(),
        format!("export --all --to {folder}"),
        "report --to - --with-records".to_owned(),
    ] {
        let run = tool.run(&line).await;
        let text = format!("{}{}", run.answers, run.notes);
        let is_unsafe = |c: char| (c.is_control() && c != '\n' && c != '\t') || c == '\u{202e}';
        assert!(!text.contains(is_unsafe), "{line}: {text:?}");
        assert!(!run.answers.is_empty(), "{line}: {}", run.notes);
    }
    let run = tool.run("show ab").await;
    assert!(run.answers.contains(r"RetryAttemptsExhausted\u{1b}[2J\u{9b}31m\u{202e}"), "{}", run.text());
}

#[tokio::test]
async fn an_id_that_is_a_path_is_a_foreign_message() {
    let tool = Tool::default();
    let message = batch("ab").message();
    for id in ["../../escaped", "/etc/passwd", "AB", "a b", ""] {
        tool.queue.send(message.body.replace(&batch("ab").id(), id));
    }
    let folder = tool.state.path().join("a/b");
    for format in ["event", "ndjson", "message"] {
        let run = tool.run(&format!("export --all --format {format} --to {}", folder.display())).await;
        assert_eq!((run.code, tool.queue.counts()), (3, all_visible(5)), "{}", run.notes);
    }
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    assert!(!tool.state.path().join("escaped.json").exists());
    let lines = tool.run("list -o json").await.json();
    assert_eq!(lines.iter().filter(|line| line.get("notHydrated").is_some()).count(), 5);
    assert_eq!(tool.run("replay --all --execute").await.code, 3);
    assert!(tool.function.invocations().is_empty());
}
