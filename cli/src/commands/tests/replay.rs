use insta::assert_snapshot;

use super::{all_visible, shop};
use crate::ports::{InvokeOutcome, QueueAttributes};
use crate::test_support::function::{failed, returned};
use crate::test_support::messages::{TestBatch, TestPart, batch, expired};
use crate::test_support::tool::{Tool, ToolRun};

/// Three batches: two on one shard, one on another.
fn two_shards() -> Tool {
    let tool = Tool::default();
    for batch in [TestBatch { first: 200, ..batch("bb") }, batch("aa"), TestBatch { shard: 1, ..batch("cc") }] {
        tool.queue.send(batch.message());
    }
    tool
}

fn actions(run: &ToolRun) -> Vec<String> {
    let lines = run.json().into_iter().filter(|line| line["id"].is_string());
    lines.map(|line| format!("{} {}", &line["id"].as_str().unwrap()[..2], line["action"])).collect()
}

#[tokio::test]
async fn a_dry_run_prints_the_plan() {
    let tool = shop();
    assert_snapshot!(tool.run("replay --all --function order-projector").await.text());
    assert_snapshot!("dry_run_json", tool.run("replay --all -o json").await.text());
    assert!(tool.function.invocations().is_empty());
}

#[tokio::test]
async fn a_dry_run_with_nothing_to_run_says_so() {
    let tool = Tool::default();
    tool.queue.send(expired("ab").message());
    assert_snapshot!(tool.run("replay --all").await.text());
}

#[tokio::test]
async fn a_replay_invokes_in_order_and_deletes() {
    let tool = two_shards();
    assert_snapshot!(tool.run("replay --all --execute --concurrency 1 --rate 1000").await.text());
    assert_eq!(tool.queue.counts(), all_visible(0));
    let invocations = tool.function.invocations();
    assert_eq!(invocations[0].event, batch("aa").event());
    assert_eq!(invocations[0].function, batch("aa").function_arn());
    assert_eq!(invocations[1].event, TestBatch { first: 200, ..batch("bb") }.event());
}

#[tokio::test]
async fn a_failure_holds_back_its_shard() {
    let tool = two_shards();
    tool.function.then(failed("ValueError", "no total"));
    assert_snapshot!(tool.run("replay --all --execute --concurrency 1 --rate 1000").await.text());
    assert_eq!(tool.queue.counts(), all_visible(2));
    let again = tool.run("replay --all --execute --rate 1000 -o json").await;
    assert_eq!((again.code, actions(&again)), (0, vec![r#"aa "replayed""#.to_owned(), r#"bb "replayed""#.to_owned()]));
}

#[tokio::test]
async fn every_outcome_has_its_line() {
    let tool = Tool::default();
    let ids = ["a0", "a1", "a2", "a3", "a4", "a5"];
    for (shard, id) in ids.into_iter().enumerate() {
        tool.queue.send(TestBatch { shard, ..batch(id) }.message());
    }
    tool.queue.send(expired("a6").message());
    tool.function
        .then(failed("KeyError", "total"))
        .then(returned(r#"{"batchItemFailures":[{"itemIdentifier":"101"}]}"#))
        .then(InvokeOutcome::Unknown("the connection broke".to_owned()))
        .then(returned("null"));
    let words = "--execute --concurrency 1 --rate 1000 --max-failures 4";
    assert_snapshot!("outcomes", tool.run(&format!("replay --all {words}")).await.text());
    // The fourth and later batches have succeeded. Of the others, one is in doubt and one has a record left.
    assert_snapshot!("outcomes_of_a_second_run", tool.run(&format!("replay --all {words} -o json")).await.text());
    assert_snapshot!("in_doubt_done", tool.run(&format!("replay --all {words} --in-doubt done -o json")).await.text());
    assert_eq!(tool.queue.counts(), all_visible(1));
}

#[tokio::test]
async fn a_run_stops_when_too_many_batches_fail() {
    let tool = Tool::default();
    for shard in 0..9 {
        let id = ["a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8"][shard];
        tool.queue.send(TestBatch { shard, ..batch(id) }.message());
    }
    tool.function.always(|_| failed("E", ""));
    let run = tool.run("replay --all --execute --max-failures 2 --concurrency 1 --rate 1000 -o json").await;
    assert_eq!(run.code, 3);
    assert_eq!(actions(&run).iter().filter(|action| action.ends_with(r#""stopped""#)).count(), 7);
    assert_eq!((tool.function.invocations().len(), tool.queue.counts()), (2, all_visible(9)));
}

#[tokio::test]
async fn sets_of_parts_from_two_tries_are_all_run() {
    let tool = Tool::default();
    let part = |digest, number, is_last, first| TestBatch {
        part: Some(TestPart { digest, number, is_last }),
        status: "Superset",
        first,
        ..batch("ab")
    };
    // An earlier try was cut short after its first part. Its second try cut the range elsewhere.
    for part in [
        part("00000000000000bb", 1, false, 100),
        part("00000000000000aa", 1, false, 110),
        part("00000000000000cc", 2, true, 120),
    ] {
        tool.queue.send(part.message());
    }
    let run = tool.run("replay ab --include-superset --execute --rate 1000 -o json").await;
    assert_eq!(run.code, 0, "{}", run.notes);
    assert_eq!((tool.function.invocations().len(), tool.queue.counts()), (3, all_visible(0)));
}

#[tokio::test]
async fn a_copy_without_a_time_does_not_take_the_body_away() {
    let tool = Tool::default();
    let fuller = TestBatch { failed_minutes_ago: None, ..batch("ab") };
    let with_time =
        TestBatch { records: vec!["x".to_owned()], expected: Some(2), failed_minutes_ago: Some(30), ..batch("ab") };
    // The message is sent long before it is read, so that its time of sending does not pass the filter either.
    tool.queue.send(fuller.message());
    tool.clock.advance(std::time::Duration::from_secs(2 * 3600));
    tool.queue.send(with_time.message());
    let run = tool.run("replay --all --since 3h --execute --rate 1000 -o json").await;
    assert_eq!((run.code, actions(&run)), (0, vec![r#"ab "replayed""#.to_owned()]), "{}", run.notes);
    assert_eq!(tool.function.invocations()[0].event, fuller.event());
}

#[tokio::test]
async fn a_fifo_queue_is_replayed_ten_by_ten() {
    let tool = Tool::with_queue(QueueAttributes { is_fifo: true, ..Default::default() });
    let ids = ["a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9", "aa", "ab"];
    for (place, id) in ids.into_iter().enumerate() {
        tool.queue.send(TestBatch { first: 100 + 10 * place as u64, ..batch(id) }.fifo_message());
    }
    let run = tool.run("replay --all --execute --rate 1000").await;
    assert_eq!(run.code, 0, "{}", run.notes);
    assert_eq!((tool.function.invocations().len(), tool.queue.counts()), (12, all_visible(0)));
}

#[tokio::test]
async fn discard_deletes_every_copy_and_records_it() {
    let tool = shop();
    assert_snapshot!("discard_dry_run", tool.run("discard --all --status Complete").await.text());
    assert_eq!(tool.queue.counts(), all_visible(10));
    assert_snapshot!("discard", tool.run("discard 5e 6f --execute").await.text());
    assert_eq!(tool.queue.counts(), all_visible(7));
    let (dead, order) = ("6f".repeat(32), "5e".repeat(32));
    let message_ids = |id: &str| tool.discarded(id).unwrap()["messageIds"].clone();
    assert_eq!((message_ids(&dead), message_ids(&order)), (["m6"].as_slice().into(), ["m0", "m1"].as_slice().into()));
    let record = tool.discarded(&order).unwrap();
    assert_eq!((&record["by"]["user"], &record["at"]), (&"ana".into(), &"2026-11-21T12:00:00.000Z".into()));
}

fn reasons(run: &ToolRun) -> Vec<String> {
    let lines = run.json().into_iter().filter(|line| line["reason"].is_string());
    lines.map(|line| format!("{} {}", &line["id"].as_str().unwrap()[..2], line["reason"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn a_run_on_another_function_never_counts_for_the_one_that_failed() {
    let tool = two_shards();
    let other = "arn:aws:lambda:us-east-1:999999999999:function:order-projector";
    let run = tool.run(&format!("replay --all --execute --rate 1000 --concurrency 1 --on {other} -o json")).await;
    let kept = [r#"aa "kept""#, r#"bb "kept""#, r#"cc "kept""#].map(str::to_owned);
    assert_eq!((run.code, actions(&run)), (0, kept.to_vec()), "{}", run.notes);
    assert_eq!(tool.queue.counts(), all_visible(3));
    assert!(tool.function.invocations().iter().all(|invocation| invocation.function == other));
    // The function that failed has run nothing yet.
    let run = tool.run("replay --all --execute --rate 1000 -o json").await;
    assert_eq!((run.code, tool.function.invocations().len(), tool.queue.counts()), (0, 6, all_visible(0)));
}

#[tokio::test]
async fn a_bare_name_is_looked_up_before_anything_is_planned() {
    let tool = two_shards();
    let run = tool.run("replay --all --execute --on nosuch").await;
    assert_eq!((run.code, tool.queue.receives()), (1, 0));
    assert!(run.notes.contains("lambda:GetFunctionConfiguration") && run.notes.contains("nosuch"), "{}", run.notes);
    tool.run("replay aa --execute --rate 1000 --on orders:fixed --delete").await;
    let expected = "arn:aws:lambda:us-east-1:123456789012:function:orders:fixed";
    assert_eq!(tool.function.invocations()[0].function, expected);
    assert_eq!(tool.queue.counts(), all_visible(2));
}

#[tokio::test]
async fn keep_runs_once_and_deletes_nothing() {
    let tool = two_shards();
    let run = tool.run("replay --all --execute --rate 1000 --keep -o json").await;
    assert_eq!((run.code, tool.queue.counts()), (0, all_visible(3)));
    let run = tool.run("replay --all --execute --rate 1000 --keep -o json").await;
    assert!(actions(&run).iter().all(|action| action.ends_with(r#""alreadyDone""#)), "{}", run.answers);
    let run = tool.run("replay --all --execute --rate 1000 -o json").await;
    assert!(actions(&run).iter().all(|action| action.ends_with(r#""deleted""#)), "{}", run.answers);
    assert_eq!((tool.function.invocations().len(), tool.queue.counts()), (3, all_visible(0)));
}

#[tokio::test]
async fn nothing_overtakes_what_is_refused_or_not_chosen() {
    let tool = Tool::default();
    for batch in [
        TestBatch { status: "Superset", expected: Some(1), ..batch("aa") },
        TestBatch { first: 200, ..batch("bb") },
        TestBatch { first: 300, ..batch("cc") },
    ] {
        tool.queue.send(batch.message());
    }
    let expected = ["aa superset", "bb heldBack", "cc heldBack"].map(str::to_owned);
    for (words, code) in [("replay --all -o json", 0), ("replay --all --execute --rate 1000 -o json", 3)] {
        let run = tool.run(words).await;
        assert_eq!((run.code, reasons(&run)), (code, expected.to_vec()), "{}", run.notes);
    }
    // A later batch by its id, while earlier ones wait.
    let run = tool.run("replay cc --execute --rate 1000 -o json").await;
    assert_eq!((run.code, reasons(&run)), (3, vec!["cc heldBack".to_owned()]));
    assert!(tool.function.invocations().is_empty());
    let run = tool.run("replay cc --execute --rate 1000 --keep-going -o json").await;
    assert_eq!((run.code, tool.function.invocations().len(), tool.queue.counts()), (0, 1, all_visible(2)));
}

#[tokio::test]
async fn the_first_deletion_that_fails_stops_the_run() {
    let tool = Tool::default();
    for (place, id) in ["a0", "a1", "a2", "a3", "a4", "a5"].into_iter().enumerate() {
        tool.queue.send(TestBatch { shard: place, ..batch(id) }.message());
    }
    tool.queue.fail("sqs:DeleteMessage");
    let run = tool.run("replay --all --execute --rate 1000 --concurrency 1 -o json").await;
    assert_eq!((run.code, tool.function.invocations().len()), (1, 1), "{}", run.answers);
    assert!(run.notes.contains("could not be deleted") && run.notes.contains("sqs:DeleteMessage"), "{}", run.notes);
    assert_eq!((actions(&run)[0].as_str(), tool.queue.counts()), (r#"a0 "notDeleted""#, all_visible(6)));
}

#[tokio::test]
async fn on_a_fifo_queue_a_failing_batch_is_tried_once() {
    let tool = Tool::with_queue(QueueAttributes { is_fifo: true, ..Default::default() });
    tool.queue.send(TestBatch { shard: 7, ..batch("ff") }.fifo_message());
    for place in 0..15 {
        let id = ["a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9", "b0", "b1", "b2", "b3", "b4"][place];
        tool.queue.send(TestBatch { first: 100 + 10 * place as u64, ..batch(id) }.fifo_message());
    }
    tool.function.always(|invocation| {
        if invocation.event.contains("shardId-000000000007") { failed("E", "") } else { returned("null") }
    });
    let run = tool.run("replay --all --execute --rate 1000 -o json").await;
    let tries = tool.function.invocations().iter().filter(|one| one.event.contains("shardId-000000000007")).count();
    assert_eq!((run.code, tries, tool.queue.counts()), (3, 1, all_visible(1)), "{}", run.answers);
    assert_eq!(actions(&run).iter().filter(|action| action.starts_with("ff")).count(), 1);
    let summary = run.json().pop().unwrap()["summary"].clone();
    assert_eq!((&summary["done"], &summary["left"]), (&15.into(), &1.into()));
}

#[tokio::test]
async fn all_records_but_the_poison_are_run() {
    let tool = Tool::default();
    let records: Vec<String> = (0..100).map(|number| format!("record {number}")).collect();
    tool.queue.send(TestBatch { records, ..batch("ab") }.message());
    let run = tool.run("replay ab --except 58 --execute --rate 1000 -o json").await;
    assert_eq!((run.code, actions(&run)), (3, vec![r#"ab "partlyDone""#.to_owned()]), "{}", run.notes);
    let records = |index: usize| {
        let event: serde_json::Value = serde_json::from_str(&tool.function.invocations()[index].event).unwrap();
        event["Records"].as_array().unwrap().len()
    };
    assert_eq!((records(0), tool.queue.counts()), (99, all_visible(1)));
    // What was run does not run again: only the record that was left out does, and then the message goes.
    let run = tool.run("replay ab --execute --rate 1000 -o json").await;
    assert_eq!((run.code, records(1), tool.queue.counts()), (0, 1, all_visible(0)), "{}", run.notes);
}

#[tokio::test]
async fn a_choice_of_records_needs_one_batch_and_records_that_it_has() {
    let tool = two_shards();
    assert_eq!(tool.run("replay --all --records 1").await.code, 2);
    assert_eq!(tool.run("replay aa bb --records 1").await.code, 2);
    let run = tool.run("replay aa --records 7 --execute --rate 1000 -o json").await;
    assert_eq!((run.code, reasons(&run)), (3, vec!["aa selection".to_owned()]));
    assert!(run.answers.contains("its records are 1 to 2") && tool.function.invocations().is_empty());
}

#[tokio::test]
async fn a_lock_is_released_only_by_the_name_of_its_run() {
    let tool = two_shards();
    let dead = tool.ledger("ben");
    let lock = dead.lock(std::time::Duration::from_secs(60)).await.unwrap();
    assert!(matches!(lock, crate::ledger::lock::Locking::Locked(_)));
    for words in
        ["replay --all --execute", "replay --all --execute --in-doubt rerun --ended-run run-9", "isolate aa --execute"]
    {
        let run = tool.run(words).await;
        assert_eq!((run.code, tool.queue.receives()), (1, 0), "{words}");
        assert!(run.notes.contains("--ended-run run-1 with --in-doubt rerun"), "{}", run.notes);
    }
    assert_eq!(tool.run("replay --all").await.code, 3, "a dry run says that the queue is held");
    let run = tool.run("replay --all --execute --rate 1000 --in-doubt rerun --ended-run run-1").await;
    assert_eq!((run.code, tool.queue.counts()), (0, all_visible(0)), "{}", run.notes);
}

#[tokio::test]
async fn a_ledger_that_cannot_be_read_is_an_error_and_never_empty() {
    let tool = two_shards();
    tool.run("replay aa --execute --rate 1000 --keep").await;
    for stored in tool.records.records.borrow_mut().values_mut() {
        stored.bytes = b"{".to_vec();
    }
    for words in ["replay --all", "replay --all --execute"] {
        let run = tool.run(words).await;
        assert_eq!(run.code, 1, "{words}");
        assert!(run.notes.contains("cannot be read"), "{}", run.notes);
    }
    assert_eq!((tool.function.invocations().len(), tool.queue.counts()), (1, all_visible(3)));
}

#[tokio::test]
async fn the_history_of_a_batch_says_what_was_tried_and_by_whom() {
    let tool = two_shards();
    tool.function.then(failed("ValueError: secret", "no total"));
    tool.run("replay aa --execute --rate 1000").await;
    let (ben, id) = (tool.ledger("ben"), "aa".repeat(32));
    let histories = crate::ledger::history::histories_of(&ben, &[id.as_str()].into()).await.unwrap();
    let history = &histories[&id];
    let line = &history.lines[0];
    assert!(line.starts_with("failed on arn:aws:lambda:") && line.contains("ana on laptop"), "{line}");
    assert!(line.contains("error type ValueError, request id request-1") && !line.contains("secret"), "{line}");
    let json = serde_json::to_value(&history.json).unwrap();
    assert_eq!((&json[0]["state"], &json[0]["attempts"], &json[0]["done"]), (&"failed".into(), &1.into(), &0.into()));
}

#[tokio::test]
async fn the_first_line_names_the_ledger_and_says_whether_others_share_it() {
    for has_folder in [false, true] {
        let mut tool = two_shards();
        tool.has_folder = has_folder;
        for words in ["replay --all", "replay aa --execute", "isolate bb", "discard bb", "discard bb --execute"] {
            let run = tool.run(&format!("{words} -o json")).await;
            let header = &run.json()[0]["header"];
            assert_eq!(header["ledgerIsShared"], !has_folder, "{words}: {header}");
            assert!(header["ledger"].is_string(), "{words}: {header}");
        }
        let text = tool.run("replay --all").await.answers;
        assert_eq!(text.contains("Ledger: /srv/ledger (a folder: "), has_folder, "{text}");
    }
}
