//! The order of a shard beside messages that cannot be run: held by others, delayed, or not hydrated.

use std::time::Duration;

use super::all_visible;
use crate::ports::{Queue, QueueAttributes, ReceivedMessage};
use crate::test_support::messages::{TestBatch, batch};
use crate::test_support::tool::{Tool, ToolRun};

const EXECUTE: &str = "replay --all --execute --rate 1000 -o json";

/// The earlier batch of a shard, which another client may receive, and the later one.
fn two_of_a_shard() -> (TestBatch, TestBatch) {
    (batch("aa"), TestBatch { first: 200, ..batch("bb") })
}

/// Another client receives the earlier batch, and then the later one arrives.
async fn with_one_in_flight(hidden_seconds: u64) -> (Tool, Vec<ReceivedMessage>) {
    let tool = Tool::default();
    let (earlier, later) = two_of_a_shard();
    tool.queue.send(earlier.message());
    let held = tool.queue.receive(Duration::from_secs(hidden_seconds)).await.unwrap();
    tool.queue.send(later.message());
    (tool, held)
}

/// The first characters of each id, its action, and the reason.
fn lines(run: &ToolRun) -> Vec<String> {
    let word = |line: &serde_json::Value, key: &str| line[key].as_str().unwrap_or("-").to_owned();
    let messages = run.json().into_iter().filter(|line| line["id"].is_string());
    messages
        .map(|line| format!("{} {} {}", &word(&line, "id")[..2], word(&line, "action"), word(&line, "reason")))
        .collect()
}

fn summary(run: &ToolRun, key: &str) -> u64 {
    run.json().last().unwrap()["summary"][key].as_u64().unwrap()
}

#[tokio::test]
async fn nothing_is_invoked_while_another_client_holds_a_message() {
    let (tool, _) = with_one_in_flight(3600).await;
    let dry_run = tool.run("replay --all -o json").await;
    assert_eq!((dry_run.code, lines(&dry_run)), (3, vec!["bb wouldRefuse inFlight".to_owned()]));
    let words = tool.run("replay --all").await;
    assert!(words.notes.contains("1 message is in flight: SQS does not say of which shard"), "{}", words.text());
    assert!(words.answers.contains("Nothing to run.") && words.answers.contains("--keep-going"), "{}", words.text());

    let run = tool.run(EXECUTE).await;
    assert_eq!((run.code, lines(&run)), (3, vec!["bb refused inFlight".to_owned()]));
    assert!(run.notes.contains("1 message is in flight: waiting 60 seconds at most"), "{}", run.notes);
    assert!(run.notes.contains("so nothing is invoked") && run.notes.contains("--keep-going"), "{}", run.notes);
    assert_eq!((summary(&run, "inFlight"), summary(&run, "left")), (1, 1));
    assert!(tool.function.invocations().is_empty());
    // A filter is a choice of many, too.
    assert_eq!(lines(&tool.run("replay --all --shard 0 --limit 1 -o json").await), ["bb wouldRefuse inFlight"]);
}

#[tokio::test]
async fn what_becomes_visible_during_the_wait_runs_in_its_order() {
    let (tool, _) = with_one_in_flight(30).await;
    let run = tool.run(EXECUTE).await;
    assert_eq!((run.code, lines(&run)), (0, vec!["aa replayed -".to_owned(), "bb replayed -".to_owned()]));
    assert_eq!(tool.queue.counts(), all_visible(0));
    let (earlier, later) = two_of_a_shard();
    let events: Vec<String> = tool.function.invocations().into_iter().map(|invoked| invoked.event).collect();
    assert_eq!(events, [earlier.event(), later.event()]);
}

/// Another client takes a message after the run has seen that none is held.
#[tokio::test]
async fn what_is_taken_just_before_the_read_is_waited_for_too() {
    for (hidden_seconds, code) in [(30, 0), (3600, 3)] {
        let tool = Tool::default();
        let (earlier, later) = two_of_a_shard();
        tool.queue.send(earlier.message());
        tool.queue.send(later.message());
        tool.queue.take_after_look(Duration::from_secs(hidden_seconds));
        let run = tool.run(EXECUTE).await;
        let expected: &[&str] = if code == 0 { &["aa replayed -", "bb replayed -"] } else { &["bb refused inFlight"] };
        assert_eq!((run.code, lines(&run)), (code, expected.iter().map(|line| (*line).to_owned()).collect()));
        assert_eq!(run.json().iter().filter(|line| line["header"].is_object()).count(), 1);
        assert_eq!(tool.function.invocations().len(), if code == 0 { 2 } else { 0 });
    }
}

#[tokio::test]
async fn a_delayed_message_counts_as_one_that_is_held() {
    let tool = Tool::default();
    let (earlier, later) = two_of_a_shard();
    let mut delayed = earlier.message();
    delayed.delay = Duration::from_secs(600);
    tool.queue.send(delayed);
    tool.queue.send(later.message());
    let run = tool.run(EXECUTE).await;
    assert_eq!((run.code, lines(&run), summary(&run, "delayed")), (3, vec!["bb refused inFlight".to_owned()], 1));
    assert!(run.notes.contains("1 message is delayed"), "{}", run.notes);
}

#[tokio::test]
async fn keep_going_or_an_id_says_what_is_held_and_runs() {
    for words in ["--all --keep-going", "bb"] {
        let (tool, _) = with_one_in_flight(3600).await;
        let run = tool.run(&format!("replay {words} --execute --rate 1000 -o json")).await;
        assert_eq!((run.code, lines(&run)), (3, vec!["bb replayed -".to_owned()]), "{words}");
        let said = "1 message is in flight: SQS does not say of which shard";
        assert!(run.notes.contains(said) && run.notes.contains("run all the same"), "{}", run.notes);
        assert!(!run.notes.contains("waiting"), "{}", run.notes);
        assert_eq!(tool.function.invocations().len(), 1);
    }
}

#[tokio::test]
async fn what_had_succeeded_before_is_deleted_though_others_hold_messages() {
    let tool = Tool::default();
    tool.queue.send(batch("aa").message());
    assert_eq!(tool.run("replay aa --execute --keep -o json").await.code, 0);
    tool.queue.send(TestBatch { shard: 1, ..batch("cc") }.message());
    let held = tool.queue.receive(Duration::from_secs(3600)).await.unwrap();
    let (kept, other) = (&held[0], &held[1]);
    let receipt = |message: &ReceivedMessage| crate::ports::Receipt {
        message_id: message.message_id.clone(),
        handle: message.receipt_handle.clone(),
    };
    tool.queue.change_visibility(&[receipt(kept)], Duration::ZERO).await.unwrap();
    let run = tool.run(EXECUTE).await;
    assert_eq!(lines(&run), ["aa deleted -"], "{}", run.text());
    tool.queue.change_visibility(&[receipt(other)], Duration::ZERO).await.unwrap();
    assert_eq!((tool.run(EXECUTE).await.code, tool.function.invocations().len()), (0, 2));
}

#[tokio::test]
async fn on_a_fifo_queue_sqs_itself_holds_back_the_shard() {
    let tool = Tool::with_queue(QueueAttributes { is_fifo: true, ..QueueAttributes::default() });
    let (earlier, later) = two_of_a_shard();
    tool.queue.send(earlier.fifo_message());
    tool.queue.receive(Duration::from_secs(3600)).await.unwrap();
    tool.queue.send(later.fifo_message());
    tool.queue.send(TestBatch { shard: 1, ..batch("cc") }.fifo_message());
    let run = tool.run(EXECUTE).await;
    assert_eq!((run.code, lines(&run)), (3, vec!["cc replayed -".to_owned()]), "{}", run.text());
    assert_eq!(tool.function.invocations().len(), 1);
}

#[tokio::test]
async fn a_wait_for_others_stops_at_once() {
    let (tool, _) = with_one_in_flight(3600).await;
    tool.clock.is_hanging.set(true);
    let (run, needed) = tool.run_and_interrupt(EXECUTE, Duration::from_millis(100)).await;
    assert_eq!(run.code, 130, "{}", run.text());
    assert!(needed < Duration::from_secs(2), "{needed:?}");
    assert!(run.notes.contains("waiting 60 seconds at most"), "{}", run.notes);
    tool.clock.is_hanging.set(false);
    assert!(tool.ledger("ben").held_lock().await.unwrap().is_none(), "the lock was left");
}

/// A message of the shard that breaks the contract, between two batches of it.
fn with_a_broken_one(change: impl Fn(String) -> String) -> Tool {
    let tool = Tool::default();
    for (id, first) in [("aa", 100), ("cc", 300)] {
        tool.queue.send(TestBatch { first, ..batch(id) }.message());
    }
    let mut broken = TestBatch { first: 200, ..batch("bb") }.message();
    broken.body = change(broken.body);
    tool.queue.send_with_id("0b0b0b0b-1111", broken);
    tool
}

#[tokio::test]
async fn nothing_overtakes_a_message_that_breaks_the_contract() {
    for (what, in_place) in [("version", true), ("status", true), ("text", false)] {
        let tool = with_a_broken_one(|body| match what {
            "version" => body.replace(r#""hydration":{"version":1"#, r#""hydration":{"version":2"#),
            "status" => body.replace(r#""status":"Complete""#, r#""status":"Odd""#),
            // Nothing but the attributes says which shard it is of, and not where in the shard it is.
            _ => "hello".to_owned(),
        });
        let run = tool.run(EXECUTE).await;
        let first = if in_place { "aa replayed -" } else { "aa heldBack heldBack" };
        assert_eq!((run.code, lines(&run)), (3, vec![first.to_owned(), "cc heldBack heldBack".to_owned()]), "{what}");
        let held = run.json().into_iter().find(|line| line["action"] == "heldBack").unwrap();
        assert_eq!(held["behind"], "0b0b0b0b-1111");
        let error = held["error"].as_str().unwrap();
        for way_out in ["dlq show 0b0b0b0b-1111", "dlq discard 0b0b0b0b-1111", "--keep-going"] {
            assert!(error.contains(way_out), "{error}");
        }
        let dry_run = tool.run("replay --all").await;
        assert!(dry_run.answers.contains("behind message 0b0b0b0b-1111 of the same shard"), "{}", dry_run.text());

        assert_eq!(tool.run("discard 0b0b0b0b-1111 --execute").await.code, 0);
        assert_eq!((tool.run(EXECUTE).await.code, tool.queue.counts()), (0, all_visible(0)), "{what}");
    }
}

#[tokio::test]
async fn keep_going_overtakes_a_message_that_breaks_the_contract() {
    let tool = with_a_broken_one(|_| "hello".to_owned());
    let run = tool.run(&format!("{EXECUTE} --keep-going")).await;
    assert_eq!((run.code, lines(&run)), (3, vec!["aa replayed -".to_owned(), "cc replayed -".to_owned()]));
}

#[tokio::test]
async fn a_message_of_no_shard_or_of_another_function_holds_back_nothing() {
    let tool = Tool::default();
    tool.queue.send(batch("aa").message());
    tool.queue.send("hello".to_owned());
    let mut other = TestBatch { function: "stock-mirror", first: 50, ..batch("bb") }.message();
    other.body = other.body.replace(r#""hydration":{"version":1"#, r#""hydration":{"version":2"#);
    tool.queue.send(other);
    assert_eq!(lines(&tool.run(EXECUTE).await), ["aa replayed -"]);
}

#[tokio::test]
async fn a_limit_counts_the_batches_of_all_passes() {
    let tool = Tool::default();
    let ids = ["a0", "a1", "a2", "a3", "a4", "a5"];
    for (shard, id) in ids.into_iter().enumerate() {
        tool.queue.send(TestBatch { shard, ..batch(id) }.message());
    }
    // SQS shows ten messages at most for one receive, and no more while some are in flight.
    tool.queue.limit_in_flight(1, crate::test_support::queue::AtLimit::OverLimit);
    tool.queue.limit_received(2);
    let run = tool.run(&format!("{EXECUTE} --limit 3")).await;
    assert_eq!(lines(&run).len(), 3, "{}", run.text());
    assert_eq!((tool.function.invocations().len(), tool.queue.counts()), (3, all_visible(3)));
    let run = tool.run(EXECUTE).await;
    assert_eq!((run.code, tool.queue.counts()), (0, all_visible(0)), "{}", run.text());
}
