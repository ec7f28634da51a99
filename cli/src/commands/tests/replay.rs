use insta::assert_snapshot;

use super::{all_visible, shop};
use crate::ports::{InvokeOutcome, QueueAttributes};
use crate::test_support::function::{failed, returned};
use crate::test_support::messages::{TestBatch, TestPart, batch, expired};
use crate::test_support::tool::{Run, Tool};

/// Three batches: two on one shard, one on another.
fn two_shards() -> Tool {
    let tool = Tool::default();
    for batch in [TestBatch { first: 200, ..batch("bb") }, batch("aa"), TestBatch { shard: 1, ..batch("cc") }] {
        tool.queue.send(batch.message());
    }
    tool
}

fn actions(run: &Run) -> Vec<String> {
    run.json().iter().map(|line| format!("{} {}", &line["id"].as_str().unwrap()[..2], line["action"])).collect()
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
    let audit = std::fs::read_to_string(tool.state.path().join("audit.jsonl")).unwrap();
    assert_snapshot!("discard_audit", audit);
}
