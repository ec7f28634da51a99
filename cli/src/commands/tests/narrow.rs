//! Supersets: the records that were in the failed batch, in `dlq show` and in `dlq replay --narrow`.

use hydration::error::{Fault, FaultKind};
use hydration::timestamp::Timestamp;
use insta::assert_snapshot;
use serde_json::Value;

use super::all_visible;
use crate::ports::BatchMapping;
use crate::test_support::function::{failed, returned};
use crate::test_support::messages::{TestBatch, TestPart, batch};
use crate::test_support::tool::{Tool, ToolRun};

const BUY: &str = r#"{"data":{"type":["buy"]}}"#;

/// A superset of six records: the batch had the three that pass the filter.
fn superset() -> TestBatch {
    let kinds = ["buy", "sell", "buy", "sell", "sell", "buy"];
    let records = kinds.iter().enumerate().map(|(n, kind)| format!(r#"{{"type":"{kind}","n":{n}}}"#)).collect();
    TestBatch { status: "Superset", expected: Some(3), records, ..batch("ab") }
}

/// A mapping that was not changed since the records arrived.
fn mapping(patterns: &[&str], factor: i32) -> BatchMapping {
    BatchMapping {
        uuid: "a1b2".to_owned(),
        patterns: Some(patterns.iter().map(|pattern| (*pattern).to_owned()).collect()),
        parallelization_factor: Some(factor),
        last_modified: Timestamp::parse("2026-11-20T00:00:00Z"),
        ..BatchMapping::default()
    }
}

fn tool(message: &TestBatch, mappings: Vec<BatchMapping>) -> Tool {
    let tool = Tool::default();
    tool.queue.send(message.message());
    *tool.function.mappings.borrow_mut() = Some(Ok(mappings));
    tool
}

/// The sequence numbers in each event that the function got.
fn invoked(tool: &Tool) -> Vec<Vec<String>> {
    let numbers = |event: &str| {
        let event: Value = serde_json::from_str(event).unwrap();
        let records = event["Records"].as_array().unwrap();
        records.iter().map(|record| record["kinesis"]["sequenceNumber"].as_str().unwrap().to_owned()).collect()
    };
    tool.function.invocations().iter().map(|invocation| numbers(&invocation.event)).collect()
}

fn line_of(run: &ToolRun, id: &str) -> Value {
    run.json().into_iter().find(|line| line["id"] == id).unwrap()
}

#[tokio::test]
async fn show_marks_the_records_of_a_superset() {
    let tool = tool(&superset(), vec![mapping(&[BUY], 1)]);
    assert_snapshot!(tool.run("show ab").await.text());
    let shown = &tool.run("show ab -o json --records 4").await.json()[0];
    let relations: Vec<&Value> = shown["shown"].as_array().unwrap().iter().map(|record| &record["inBatch"]).collect();
    assert_eq!(relations, ["certain", "excluded", "certain", "excluded"]);
    assert_eq!(shown["narrowing"], serde_json::json!({ "certain": 3, "possible": 0, "excluded": 3, "isExact": true }));
}

#[tokio::test]
async fn show_says_why_a_superset_is_not_narrowed_and_other_batches_are_left_alone() {
    let tool = tool(&superset(), Vec::new());
    let run = tool.run("show ab").await;
    assert!(run.answers.contains("not narrowed: the function has no event source mapping"), "{}", run.answers);
    let shown = &tool.run("show ab -o json").await.json()[0];
    assert!(shown["notNarrowed"].is_string() && shown["shown"][0].get("inBatch").is_none());
    tool.queue.send(batch("cd").message());
    let shown = &tool.run("show cd -o json").await.json()[0];
    assert!(shown.get("notNarrowed").is_none() && shown.get("narrowing").is_none());
}

#[tokio::test]
async fn a_narrowed_replay_runs_the_batch_and_deletes_the_message() {
    let tool = tool(&superset(), vec![mapping(&[BUY], 1)]);
    assert_snapshot!("narrow_dry_run", tool.run("replay ab --narrow").await.text());
    let planned = line_of(&tool.run("replay ab --narrow -o json").await, &superset().id());
    assert_eq!(
        (&planned["action"], &planned["leftOut"], &planned["isExact"]),
        (&"wouldInvoke".into(), &3.into(), &true.into())
    );
    assert!(tool.function.invocations().is_empty());
    assert_snapshot!("narrow_execute", tool.run("replay ab --narrow --execute").await.text());
    assert_eq!(invoked(&tool), [["100", "102", "105"]]);
    assert_eq!(tool.queue.counts(), all_visible(0));
}

#[tokio::test]
async fn the_ledger_knows_what_was_run_and_nothing_runs_twice() {
    let tool = tool(&superset(), vec![mapping(&[BUY], 1)]);
    tool.function.then(returned(r#"{"batchItemFailures":[{"itemIdentifier":"105"}]}"#));
    let run = tool.run("replay ab --narrow --execute -o json").await;
    let line = line_of(&run, &superset().id());
    assert_eq!((run.code, &line["action"], &line["remaining"]), (3, &"failed".into(), &1.into()), "{}", run.answers);
    // The next run has only what remains of the batch.
    let planned = tool.run("replay ab --narrow -o json").await;
    assert_eq!(planned.json()[0]["header"]["functions"][0]["records"], 1);
    let run = tool.run("replay ab --narrow --execute --keep -o json").await;
    assert_eq!((run.code, &line_of(&run, &superset().id())["action"]), (0, &"kept".into()));
    assert_eq!(invoked(&tool), [vec!["100", "102", "105"], vec!["105"]]);
    // All of it is done: only the deletion is left.
    let run = tool.run("replay ab --narrow --execute -o json").await;
    assert_eq!((run.code, &line_of(&run, &superset().id())["action"]), (0, &"deleted".into()));
    assert_eq!((invoked(&tool).len(), tool.queue.counts()), (2, all_visible(0)));
}

#[tokio::test]
async fn what_was_left_out_is_run_by_a_replay_of_the_whole_superset() {
    let tool = tool(&superset(), vec![mapping(&[BUY], 1)]);
    assert_eq!(tool.run("replay ab --narrow --execute --keep").await.code, 0);
    assert_eq!(tool.run("replay ab --include-superset --execute").await.code, 0);
    assert_eq!(invoked(&tool), [["100", "102", "105"], ["101", "103", "104"]]);
    assert_eq!(tool.queue.counts(), all_visible(0));
}

#[tokio::test]
async fn possible_records_are_run_too() {
    // Each record has its own key: one of the four between the ends was in the batch.
    let tool = tool(&superset(), vec![mapping(&[], 2)]);
    let run = tool.run("replay ab --narrow --execute -o json").await;
    let line = line_of(&run, &superset().id());
    assert_eq!((&line["leftOut"], &line["isExact"]), (&0.into(), &false.into()));
    assert_eq!(invoked(&tool), [["100", "101", "102", "103", "104", "105"]]);
}

#[tokio::test]
async fn nothing_is_narrowed_where_the_mapping_tells_nothing_certain() {
    let changed = |at| BatchMapping { last_modified: Timestamp::parse(at), ..mapping(&[BUY], 1) };
    let denied = Fault {
        kind: FaultKind::AccessDenied,
        action: "lambda:ListEventSourceMappings",
        detail: "AccessDeniedException".to_owned(),
    };
    for (mappings, reason) in [
        (Ok(vec![]), "no event source mapping"),
        (Ok(vec![changed("2026-11-21T10:00:02Z")]), "was changed at 2026-11-21T10:00:02.000Z"),
        // Less than fifteen minutes before: the pollers may not have got the change yet.
        (Ok(vec![changed("2026-11-21T09:46:00Z")]), "was changed at 2026-11-21T09:46:00.000Z"),
        (Ok(vec![changed("later")]), "does not say when"),
        (Ok(vec![mapping(&[BUY], 1), mapping(&[BUY], 2)]), "differ in their settings"),
        (Ok(vec![mapping(&[], 1)]), "6 records fit the mapping's settings, and the batch had 3"),
        (Ok(vec![mapping(&[r#"{"data":{"type":["sell"]}}"#], 1)]), "an end of the batch does not pass"),
        (Err(denied), "lambda:ListEventSourceMappings: AccessDeniedException"),
    ] {
        let tool = tool(&superset(), Vec::new());
        *tool.function.mappings.borrow_mut() = Some(mappings);
        for words in ["", "--execute"] {
            let run = tool.run(&format!("replay ab --narrow {words} -o json")).await;
            let line = line_of(&run, &superset().id());
            assert_eq!(line["reason"], "notNarrowed", "{reason}");
            assert!(line["error"].as_str().unwrap().contains(reason), "{}", line["error"]);
            let run = tool.run(&format!("replay ab --narrow {words}")).await;
            assert!(run.answers.contains(reason), "{}", run.answers);
        }
        assert!(tool.function.invocations().is_empty(), "{reason}");
        // Who wants all of it says so.
        assert_eq!(tool.run("replay ab --narrow --include-superset --execute").await.code, 0, "{reason}");
        assert_eq!(invoked(&tool)[0].len(), 6);
    }
}

#[tokio::test]
async fn mappings_that_agree_are_one_and_hidden_filters_leave_all_possible() {
    let twice = tool(&superset(), vec![mapping(&[BUY], 1), mapping(&[BUY], 1)]);
    assert_eq!(twice.run("replay ab --narrow --execute").await.code, 0);
    assert_eq!(invoked(&twice), [["100", "102", "105"]]);

    let hidden = tool(&superset(), vec![BatchMapping { patterns: None, ..mapping(&[], 1) }]);
    let shown = hidden.run("show ab").await;
    assert!(shown.answers.contains("the mapping's filters cannot be read"), "{}", shown.answers);
    assert_eq!(hidden.run("replay ab --narrow --execute").await.code, 0);
    assert_eq!(invoked(&hidden)[0].len(), 6);
}

#[tokio::test]
async fn a_part_is_narrowed_by_the_filters_alone() {
    let part = TestPart { digest: "0123456789abcdef", number: 2, is_last: true };
    let tool = tool(&TestBatch { part: Some(part), ..superset() }, vec![mapping(&[BUY], 1)]);
    let shown = tool.run("show ab").await;
    assert!(shown.answers.contains("the other parts have their own, so none is counted"), "{}", shown.answers);
    let run = tool.run("replay ab --narrow --execute -o json").await;
    assert_eq!(line_of(&run, &TestBatch { part: Some(part), ..superset() }.id())["isExact"], false);
    assert_eq!(invoked(&tool), [["100", "102", "105"]]);
}

#[tokio::test]
async fn other_batches_are_run_as_they_are_and_a_failure_keeps_the_message() {
    let tool = tool(&superset(), vec![mapping(&[BUY], 1)]);
    tool.queue.send(TestBatch { shard: 1, ..batch("cd") }.message());
    tool.function.always(|invocation| {
        if invocation.event.contains("shardId-000000000000") { failed("E", "") } else { returned("null") }
    });
    let run = tool.run("replay --all --narrow --execute -o json").await;
    assert_eq!(run.code, 3);
    assert_eq!(line_of(&run, &superset().id())["action"], "failed");
    assert_eq!(line_of(&run, &batch("cd").id())["action"], "replayed");
    assert_eq!(tool.queue.counts(), all_visible(1));
}

#[tokio::test]
async fn narrow_and_a_choice_of_records_exclude_each_other() {
    let tool = tool(&superset(), Vec::new());
    for words in ["--records 1", "--except 1"] {
        assert_eq!(tool.run(&format!("replay ab --narrow {words}")).await.code, 2);
    }
}
