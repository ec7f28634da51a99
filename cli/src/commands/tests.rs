//! Whole commands on the in-memory queue, bucket and function.

mod archive;
mod discard;
mod doctor;
mod export;
mod grep;
mod history;
mod hostile;
mod isolate;
mod list;
mod long_queue;
mod narrow;
mod order;
mod replay;
mod report;
mod show;
mod status;
mod status_logs;
mod stop;
mod suspects;
mod width;

use crate::test_support::messages::{TestBatch, TestPart, batch, expired};
use crate::test_support::queue::Counts;
use crate::test_support::tool::Tool;

/// A queue with a message of every kind.
fn shop() -> Tool {
    let tool = Tool::default();
    let large = TestBatch {
        first: 500,
        records: (0..300).map(|n| format!(r#"{{"n":{n},"text":"{}"}}"#, "x".repeat(40))).collect(),
        failed_minutes_ago: Some(240),
        ..batch("1a")
    };
    let part = |digest, number, is_last| TestBatch {
        part: Some(TestPart { digest, number, is_last }),
        status: "Superset",
        expected: Some(1),
        first: 200 + 10 * u64::from(number),
        version: "7",
        failed_minutes_ago: Some(120),
        ..batch("3c")
    };
    let partial =
        TestBatch { status: "Partial", expected: Some(5), shard: 1, failed_minutes_ago: Some(180), ..batch("2b") };
    let other_function = TestBatch { function: "stock-mirror", shard: 2, failed_minutes_ago: Some(90), ..batch("4d") };
    let order = batch("5e");
    for message in [
        order.message(),
        order.message(),
        // The digests are in another order than the parts.
        part("fedcba9876543210", 1, false).message(),
        part("0123456789abcdef", 2, true).message(),
        partial.message(),
        other_function.message(),
        TestBatch { failed_minutes_ago: Some(2 * 24 * 60), first: 50, ..expired("6f") }.message(),
        large.overflow_message(&tool.bucket),
    ] {
        tool.queue.send(message);
    }
    tool.queue.send("hello".to_owned());
    // Of a shard without another batch: on theirs it would hold them back.
    let body = TestBatch { shard: 3, ..batch("77") }.body();
    let (bare_record, _) = body.split_once(r#","hydration""#).unwrap();
    tool.queue.send(format!("{bare_record}}}"));
    tool
}

fn all_visible(visible: u64) -> Counts {
    Counts { visible, in_flight: 0, delayed: 0 }
}

#[tokio::test]
async fn reading_leaves_every_message_visible() {
    let tool = shop();
    let folder = tool.state.path().join("out").display().to_string();
    // Two messages on the queue are not hydrated: the exit code of a command that looks for all is 3.
    for (line, code) in [
        ("list".to_owned(), 3),
        ("status".to_owned(), 3),
        ("show 5e".to_owned(), 0),
        ("show 5e --raw".to_owned(), 0),
        ("replay --all".to_owned(), 3),
        ("discard --all".to_owned(), 3),
        ("isolate 5e".to_owned(), 0),
        (format!("export --all --to {folder}"), 3),
        (format!("report --to {folder}/incident.html"), 3),
    ] {
        let run = tool.run(&line).await;
        assert_eq!((run.code, tool.queue.counts()), (code, all_visible(10)), "{line}: {}", run.notes);
    }
}

#[tokio::test]
async fn an_error_leaves_every_message_visible() {
    let tool = shop();
    tool.queue.fail("sqs:DeleteMessage");
    assert_eq!(tool.run("discard 5e --execute").await.code, 1);
    assert_eq!(tool.run("show ffffff").await.code, 1);
    assert_eq!(tool.queue.counts(), all_visible(10));
}

#[tokio::test]
async fn an_id_that_is_malformed_is_wrong_usage() {
    let tool = shop();
    for line in
        ["show xyz", "replay xyz", "discard 4f1c/..", "export xyz --to .", "isolate --execute xyz", "show 5e xyz"]
    {
        let run = tool.run(line).await;
        assert_eq!(run.code, 2, "{line}");
        assert!(run.notes.contains("dlq list shows the ids"), "{line}: {}", run.notes);
    }
}

#[tokio::test]
async fn an_interrupt_ends_a_command_before_it_starts_to_read() {
    let tool = shop();
    tool.interrupt();
    for line in ["list", "replay --all --execute", "discard --all --execute"] {
        assert_eq!(tool.run(line).await.code, 130, "{line}");
    }
    assert_eq!(tool.queue.counts(), all_visible(10));
    assert!(tool.function.invocations().is_empty());
}
