use insta::assert_snapshot;

use super::shop;
use crate::ports::QueueAttributes;
use crate::test_support::messages::{TestBatch, batch, expired};
use crate::test_support::queue::AtLimit;
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

#[tokio::test]
async fn filters_are_exact_and_name_a_range_of_time() {
    let tool = Tool::default();
    for (id, shard, minutes) in [("a1", 1, 60), ("b1", 11, 120), ("c1", 21, 26 * 60), ("d1", 0, 3 * 24 * 60)] {
        tool.queue.send(TestBatch { shard, failed_minutes_ago: Some(minutes), ..batch(id) }.message());
    }
    for (flags, expected) in [
        ("--shard 1", "a1"),
        ("--shard 0", "d1"),
        ("--shard orders/11", "b1"),
        ("--shard other/11", ""),
        ("--shard shardId-000000000021", "c1"),
        ("--function order", ""),
        ("--function arn:aws:lambda:us-east-1:999999999999:function:order-projector", ""),
        ("--until 90m", "d1 c1 b1"),
        ("--since 2026-11-20 --until 2026-11-21", "c1"),
        ("--limit 2", "d1 c1"),
        ("--since 2d --limit 1", "c1"),
    ] {
        let lines = tool.run(&format!("list -o json {flags}")).await.json();
        let ids: Vec<&str> = lines.iter().filter_map(|line| line["id"].as_str()).map(|id| &id[..2]).collect();
        assert_eq!(ids.join(" "), expected, "{flags}");
        let summary = &lines.last().unwrap()["summary"];
        assert_eq!(summary["shown"].as_u64().unwrap() + summary["filtered"].as_u64().unwrap(), 4, "{flags}");
    }
    for wrong in ["--since 1h --until 2h", "--limit 0", "--until yesterday", "--shard a/b/c", "--function ''"] {
        assert_eq!(tool.run(&format!("list {wrong}")).await.code, if wrong.ends_with("''") { 0 } else { 2 }, "{wrong}");
    }
}

#[tokio::test]
async fn limit_keeps_the_parts_of_a_batch_together() {
    let lines = shop().run("list -o json --limit 4").await.json();
    assert_eq!(lines.iter().filter(|line| line.get("part").is_some()).count(), 2);
    assert_eq!(lines.last().unwrap()["summary"]["filtered"], 2);
}

#[tokio::test]
async fn a_queue_that_was_not_seen_whole_is_not_called_empty() {
    let tool = Tool::default();
    tool.queue.send(batch("ab").message());
    let held = crate::ports::Queue::receive(&tool.queue, std::time::Duration::from_secs(60)).await.unwrap();
    assert_eq!(held.len(), 1);
    for line in ["list", "status"] {
        let run = tool.run(line).await;
        assert!(run.code == 3 && !run.answers.contains("No failed batch is on the queue"), "{}", run.text());
        assert!(run.answers.contains("1 message in flight"), "{}", run.text());
    }
    let run = tool.run("show abababababab").await;
    assert!(run.code == 3 && run.notes.contains("1 message in flight"), "{}", run.text());
    tool.queue.send(batch("cd").message());
    let run = tool.run("status --shard 7").await;
    assert!(
        run.answers.contains("1 message filtered out") && !run.answers.contains("is on the queue"),
        "{}",
        run.text()
    );
}

#[tokio::test]
async fn what_is_beyond_the_limit_of_messages_in_flight_is_counted() {
    for answer in [AtLimit::OverLimit, AtLimit::Nothing] {
        let tool = Tool::default();
        (0..100).for_each(|n| drop(tool.queue.send(TestBatch { first: 10 * n, ..batch("ab") }.message())));
        tool.queue.limit_in_flight(60, answer);
        for words in ["list", "status", "replay --all"] {
            let run = tool.run(&format!("{words} -o json")).await;
            let not_looked_at = run.json().last().unwrap()["summary"]["notLookedAt"].as_u64();
            assert_eq!((run.code, not_looked_at), (3, Some(40)), "{words}, {answer:?}: {}", run.text());
            let text = tool.run(words).await;
            assert!(text.code == 3 && text.answers.contains("about 40 not looked at"), "{}", text.text());
        }
        assert_eq!(tool.queue.counts().visible, 100);
    }
}

#[tokio::test]
async fn a_full_queue_that_gives_nothing_is_never_said_to_be_empty() {
    let tool = Tool::default();
    tool.queue.send(batch("ab").message());
    tool.queue.limit_in_flight(0, AtLimit::Nothing);
    let run = tool.run("list").await;
    assert!(run.code == 3 && !run.answers.contains("No failed batch"), "{}", run.text());
    assert!(run.answers.contains("about 1 not looked at"), "{}", run.text());
}

#[tokio::test]
async fn a_queue_that_gives_the_same_messages_again_and_again_is_read_once() {
    let tool = Tool::default();
    ["a1", "b1", "c1"].into_iter().for_each(|id| drop(tool.queue.send(batch(id).message())));
    tool.queue.is_always_visible.set(true);
    let run = tool.run("list -o json").await;
    assert_eq!((run.code, run.json().len()), (0, 4), "{}", run.text());
}

#[tokio::test]
async fn messages_that_a_redrive_policy_has_moved_are_counted() {
    let tool = Tool::with_queue(QueueAttributes { max_receives: Some(3), ..Default::default() });
    (0..5).for_each(|n| drop(tool.queue.send(TestBatch { first: 10 * n, ..batch("ab") }.message())));
    for left in ["can be received 2 more times", "can be received one more time", "moves it away"] {
        let run = tool.run("list").await;
        assert!(run.code == 0 && run.notes.contains(left), "{}", run.text());
    }
    let run = tool.run("list -o json").await;
    assert_eq!(
        (run.code, run.json().last().unwrap()["summary"]["notLookedAt"].as_u64()),
        (3, Some(5)),
        "{}",
        run.text()
    );
    assert!(run.notes.contains("5 were visible and none was received"), "{}", run.notes);
}
