//! The replays of a batch in the ledger, as `show`, `list` and `status` print them.

use super::all_visible;
use crate::test_support::function::{failed, returned};
use crate::test_support::messages::{TestBatch, batch};
use crate::test_support::tool::Tool;

/// Four batches on the queue, each in its own shard: `aa` failed again, `bb` is partly done, `cc` is in doubt, and `dd`
/// was never tried.
async fn replayed() -> Tool {
    let tool = Tool::default();
    for (shard, id) in ["aa", "bb", "cc", "dd"].into_iter().enumerate() {
        tool.queue.send(TestBatch { shard, ..batch(id) }.message());
    }
    tool.function.then(failed("ValueError: secret", "no total"));
    assert_eq!(tool.run("replay aa --execute --rate 1000").await.code, 3);
    assert_eq!(tool.run("replay bb --except 2 --execute --rate 1000").await.code, 3);
    tool.function.then(crate::ports::InvokeOutcome::Unknown("the connection broke".to_owned()));
    assert_eq!(tool.run("replay cc --execute --rate 1000").await.code, 3);
    tool
}

#[tokio::test]
async fn show_says_what_was_replayed() {
    let tool = replayed().await;
    for (id, state, words) in [
        (
            "aa",
            "failed",
            "failed on arn:aws:lambda:us-east-1:123456789012:function:order-projector; tried once, last by \
                          ana on laptop at 2026-11-21T12:00:00.000Z, error type ValueError, request id request-1",
        ),
        ("bb", "partlyDone", "1 of 2 records succeeded on arn:aws:lambda:"),
        (
            "cc",
            "inDoubt",
            "in doubt since 2026-11-21T12:00:00.000Z: ana on laptop claimed 2 records for arn:aws:lambda:",
        ),
    ] {
        let text = tool.run(&format!("show {id}")).await;
        let line = text.answers.lines().find(|line| line.trim_start().starts_with("replays")).unwrap();
        assert!(line.contains(words) && !text.answers.contains("secret"), "{line}");
        let json = tool.run(&format!("show {id} -o json")).await.json();
        assert_eq!(
            (&json[0]["history"][0]["state"], &json[0]["history"][0]["by"]),
            (&state.into(), &"ana on laptop".into())
        );
    }
    let untried = tool.run("show dd").await;
    assert!(!untried.answers.contains("replays"), "{}", untried.answers);
    assert_eq!(tool.queue.counts(), all_visible(4));
}

#[tokio::test]
async fn list_has_a_line_for_each_batch_that_was_replayed() {
    let tool = replayed().await;
    let text = tool.run("list").await.answers;
    let (_, replays) = text.split_once("REPLAYS\n").unwrap();
    let ids: Vec<&str> = replays.lines().filter_map(|line| line.get(..12)).filter(|id| !id.starts_with(' ')).collect();
    assert_eq!(ids, ["aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc"], "{text}");
    let lines = tool.run("list -o json").await.json();
    let states: Vec<_> = lines.iter().filter_map(|line| line["history"][0]["state"].as_str()).collect();
    assert_eq!(states, ["failed", "partlyDone", "inDoubt"]);
    assert_eq!(lines[0]["history"][0]["requestId"], "request-1");
}

#[tokio::test]
async fn status_counts_the_replays_and_names_those_in_doubt_first() {
    let tool = replayed().await;
    let text = tool.run("status").await.answers;
    let (_, replays) = text.split_once("\nReplays: ").unwrap();
    assert!(
        replays.starts_with("1 in doubt, 1 partly done, 1 failed again\n  cccccccccccc  in doubt since "),
        "{text}"
    );
    let lines = tool.run("status -o json").await.json();
    let replays = &lines.iter().find(|line| line["replays"].is_object()).unwrap()["replays"];
    assert_eq!((&replays["inDoubt"], &replays["succeeded"]), (&1.into(), &0.into()));
    assert_eq!((&replays["example"], &replays["history"]["state"]), (&"cc".repeat(32).into(), &"inDoubt".into()));
}

#[tokio::test]
async fn a_long_ledger_is_listed_once_and_says_the_same() {
    let tool = replayed().await;
    for number in 0..100 {
        let id: &str = format!("{number:02x}").leak();
        tool.queue.send(TestBatch { shard: number, first: 1000, ..batch(id) }.message());
    }
    let lines = tool.run("list -o json").await.json();
    assert_eq!(lines.iter().filter(|line| line["history"].is_array()).count(), 3);
}

#[tokio::test]
async fn a_ledger_that_cannot_be_read_is_one_note_and_the_exit_code_3() {
    for (line, words) in [("list", "aaaaaaaaaaaa"), ("status", "4 batches"), ("show aa bb cc", "aaaaaaaaaaaa")] {
        let tool = replayed().await;
        tool.ledger_calls_left.set(Some(0));
        let run = tool.run(line).await;
        assert_eq!((run.code, run.notes.matches("what was replayed before is not shown").count()), (3, 1), "{line}");
        assert!(run.answers.contains(words), "{}", run.answers);
    }
}

#[tokio::test]
async fn discard_takes_a_partly_done_batch_off_and_the_ledger_keeps_what_it_knows() {
    let tool = replayed().await;
    let id = "bb".repeat(32);
    assert_eq!(tool.run("discard bb --execute").await.code, 0);
    assert_eq!(tool.queue.counts(), all_visible(3));
    let record = tool.discarded(&id).unwrap();
    assert_eq!((&record["records"], &record["by"]["user"], &record["revision"]), (&2.into(), &"ana".into(), &1.into()));
    // A copy that arrives later still has one record done, and only the other is run.
    tool.queue.send(TestBatch { shard: 1, ..batch("bb") }.message());
    tool.function.then(returned("null"));
    assert_eq!(tool.run("replay bb --execute --rate 1000 -o json").await.code, 0);
    let event = tool.function.invocations().last().unwrap().event.clone();
    assert_eq!(event.matches("\"sequenceNumber\"").count(), 1, "{event}");
    tool.queue.send(TestBatch { shard: 1, ..batch("bb") }.message());
    assert_eq!(tool.run("discard bb --execute").await.code, 0);
    assert_eq!(tool.discarded(&id).unwrap()["revision"], 2);
}

#[tokio::test]
async fn a_discard_that_cannot_be_recorded_deletes_nothing() {
    let tool = replayed().await;
    tool.ledger_calls_left.set(Some(0));
    let run = tool.run("discard --all --execute").await;
    assert!(run.code == 1 && run.notes.contains("free some space on the disk"), "{}", run.text());
    assert_eq!(tool.queue.counts(), all_visible(4));
}

#[tokio::test]
async fn a_full_disk_stops_a_replay_before_the_next_action() {
    // The ledger's calls for two batches in one shard, each of which may find the disk full.
    let run_with = async |calls| {
        let tool = Tool::default();
        ["aa", "bb"].into_iter().enumerate().for_each(|(place, id)| {
            tool.queue.send(TestBatch { first: 100 + 10 * place as u64, ..batch(id) }.message());
        });
        tool.ledger_calls_left.set(calls);
        let run = tool.run("replay --all --execute --rate 1000").await;
        (run, tool)
    };
    let mut failures = 0;
    for calls in 0.. {
        let (run, tool) = run_with(Some(calls)).await;
        let (invoked, left) = (tool.function.invocations().len(), tool.queue.counts().visible);
        // A batch is deleted only after its outcome is on disk; one more may have been invoked.
        assert!(left == 2 - invoked as u64 || left == 3 - invoked as u64, "{calls}: {invoked} invoked, {left} left");
        assert_eq!(tool.queue.counts(), all_visible(left), "{calls}");
        if run.code == 0 {
            assert_eq!((invoked, left), (2, 0));
            break;
        }
        failures += 1;
        assert!(run.code == 1 && run.notes.contains("free some space on the disk"), "{calls}: {}", run.text());
    }
    assert!(failures >= 8, "{failures}");
}

#[tokio::test]
async fn show_says_what_became_of_a_message_that_is_no_longer_on_the_queue() {
    let tool = replayed().await;
    assert_eq!(tool.run("discard aa bb --execute").await.code, 0);
    assert_eq!(tool.run("replay dd --execute --rate 1000").await.code, 0);
    let at = "ana on laptop at 2026-11-21T12:00:00.000Z";
    for (id, words) in [
        (
            "aa",
            vec!["failed on arn:aws:lambda:", "error type ValueError", &format!("discarded  by {at}, with 2 records")],
        ),
        ("bbbbbb", vec!["1 of 2 records succeeded on", &format!("discarded  by {at}, with 2 records")]),
        ("dd", vec!["succeeded on arn:aws:lambda:", "tried once, last by ana on laptop at "]),
    ] {
        let run = tool.run(&format!("show {id}")).await;
        assert_eq!(run.code, 1);
        assert!(run.answers.starts_with(&id[..2].repeat(32)), "{}", run.text());
        assert!(words.iter().all(|words| run.answers.contains(words)), "{}", run.text());
        assert!(run.notes.contains("is on the queue any more") && !run.answers.contains("secret"), "{}", run.notes);
    }
    let json = tool.run("show bb -o json").await.json();
    assert_eq!((&json[0]["onQueue"], &json[0]["discarded"]["by"]), (&false.into(), &"ana on laptop".into()));
    assert_eq!(json[0]["history"][0]["state"], "partlyDone");
    // An id that nobody has seen.
    let never = tool.run("show ee").await;
    assert_eq!((never.code, never.answers.as_str()), (1, ""));
    assert!(never.notes.contains("no message ee is on the queue\n"), "{}", never.notes);
}

#[tokio::test]
async fn a_message_that_may_be_hidden_is_not_said_to_be_gone() {
    let tool = replayed().await;
    assert_eq!(tool.run("discard aa --execute").await.code, 0);
    crate::ports::Queue::receive(&tool.queue, std::time::Duration::from_secs(600)).await.unwrap();
    let run = tool.run("show aa").await;
    assert_eq!(run.code, 3);
    assert!(run.answers.contains("discarded  by ana on laptop") && run.notes.contains("in flight"), "{}", run.text());
}

#[tokio::test]
async fn a_message_that_was_not_hydrated_has_a_past_too() {
    let tool = Tool::default();
    tool.queue.send_with_id("0b0b0b0b-1111", "hello".to_owned());
    assert_eq!(tool.run("discard 0b0b0b0b-1111 --execute").await.code, 0);
    let run = tool.run("show 0b0b0b0b-1111").await;
    assert!(run.code == 1 && run.answers.contains("discarded  by ana on laptop"), "{}", run.text());
}
