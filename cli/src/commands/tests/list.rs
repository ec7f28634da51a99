use insta::assert_snapshot;

use super::shop;
use crate::ports::QueueAttributes;
use crate::test_support::messages::{TestBatch, batch, expired};
use crate::test_support::tool::Tool;

#[tokio::test]
async fn list_is_a_table() {
    assert_snapshot!(shop().run("list").await.text());
}

#[tokio::test]
async fn list_is_json_lines() {
    assert_snapshot!(shop().run("list -o json").await.text());
}

#[tokio::test]
async fn list_of_an_empty_queue() {
    assert_snapshot!(Tool::default().run("list").await.text());
}

#[tokio::test]
async fn filters_narrow_the_list() {
    let tool = shop();
    for (flags, expected) in [
        ("", 7),
        ("--status Partial,expired", 2),
        ("--source kinesis", 7),
        ("--source dynamodb", 0),
        ("--function stock-mirror", 1),
        ("--function arn:aws:lambda:us-east-1:123456789012:function:stock-mirror", 1),
        ("--shard 1", 1),
        ("--since 91m", 2),
        ("--since 2026-11-21T10:59:59Z", 1),
    ] {
        let lines = tool.run(&format!("list -o json {flags}")).await.json();
        let hydrated = lines.iter().filter(|line| line.get("id").is_some()).count();
        assert_eq!(hydrated, expected, "{flags}");
    }
}

#[tokio::test]
async fn parts_are_in_the_order_of_their_numbers() {
    let lines = shop().run("list -o json --status Superset").await.json();
    let ids: Vec<&str> = lines.iter().filter_map(|line| line["id"].as_str()).map(|id| &id[64..]).collect();
    assert_eq!(ids, ["-fedcba9876543210", "-0123456789abcdef"]);
}

#[tokio::test]
async fn warnings_say_which_messages_are_not_shown() {
    let tool = Tool::with_queue(QueueAttributes { max_receives: Some(5), is_fifo: true, ..Default::default() });
    for first in [100, 200, 300, 400, 500, 600, 700, 800, 900, 1000, 1100, 1200] {
        tool.queue.send(TestBatch { first, ..batch("ab") }.fifo_message());
    }
    // Of another shard: on a FIFO queue a delayed message would hold back its group.
    let mut delayed = TestBatch { shard: 1, ..expired("cd") }.fifo_message();
    delayed.delay = std::time::Duration::from_secs(60);
    tool.queue.send(delayed);
    assert_snapshot!(tool.run("list").await.text());
}

#[tokio::test]
async fn an_object_that_is_gone_is_listed_with_the_reason() {
    let tool = Tool::default();
    let lost = batch("ab");
    tool.queue.send(lost.overflow_message(&tool.bucket));
    tool.bucket.delete(&lost.overflow_key());
    let lines = tool.run("list -o json").await.json();
    assert_eq!(lines[0]["id"], lost.id());
    assert!(lines[0]["trouble"].as_str().unwrap().contains("is gone"));
    assert_snapshot!(tool.run("show ab").await.text());
}
