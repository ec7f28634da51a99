//! `status --logs`: the error of each incident, and incidents told apart by it.

use hydration::timestamp::Timestamp;
use insta::assert_snapshot;

use super::shop;
use crate::ports::LogEvent;
use crate::test_support::messages::{TestBatch, TestPart, batch};
use crate::test_support::tool::Tool;

/// Gives the failed invocation of a batch a log.
fn log(tool: &Tool, batch: &TestBatch, lines: &[&str]) {
    let failed_at = Timestamp::parse(crate::test_support::clock::START).unwrap();
    let at = failed_at.plus_millis(-60_000 * batch.failed_minutes_ago.unwrap());
    let request = format!("request-{}", batch.id);
    let start = format!("START RequestId: {request} Version: $LATEST");
    let end = format!("END RequestId: {request}");
    let texts = std::iter::once(start.as_str()).chain(lines.iter().copied()).chain([end.as_str()]);
    let event =
        |text: &str| LogEvent { timestamp: Some(at), stream: Some(batch.id.to_owned()), message: text.to_owned() };
    tool.logs.events.borrow_mut().extend(texts.map(event));
}

/// Five failures of one function with two causes, one without a log, and another function.
fn two_causes() -> Tool {
    let tool = Tool::default();
    for (id, minutes, error) in [
        ("a1", 90, "[ERROR] KeyError: 'total'\nTraceback (most recent call last):"),
        ("b2", 80, "[ERROR] ValueError: order 4711 has no price\nTraceback (most recent call last):"),
        ("c3", 70, "[ERROR] KeyError: 'name'\nTraceback (most recent call last):"),
        ("d4", 60, "[ERROR] ValueError: order 12 has no price"),
        ("e5", 50, ""),
        ("f6", 40, "all is well"),
    ] {
        let failed = TestBatch { failed_minutes_ago: Some(minutes), ..batch(id) };
        tool.queue.send(failed.message());
        if !error.is_empty() {
            log(&tool, &failed, &[error]);
        }
    }
    let other = TestBatch { function: "stock-mirror", failed_minutes_ago: Some(30), ..batch("07") };
    tool.queue.send(other.message());
    log(&tool, &other, &["[ERROR] KeyError: 'total'"]);
    tool
}

#[tokio::test]
async fn two_causes_of_one_function_are_two_incidents() {
    let tool = two_causes();
    assert_snapshot!("status_logs", tool.run("status --logs").await.text());
    let lines = tool.run("status --logs -o json").await.json();
    let seen: Vec<_> = lines.iter().filter_map(|line| Some((line["log"].clone(), line["batches"].as_u64()?))).collect();
    assert_eq!(seen.len(), 5, "{lines:?}");
    assert_eq!(seen[0].0, serde_json::json!({"error": "KeyError: 'total'"}));
    assert_eq!(seen[3], (serde_json::json!({"error": "ValueError: order 12 has no price"}), 2));
    assert!(seen[2].0["reason"].as_str().unwrap().contains("has no line with the request id"), "{seen:?}");
    assert_eq!(tool.run("status -o json").await.json().iter().filter(|line| line.get("log").is_some()).count(), 0);
}

#[tokio::test]
async fn a_log_that_may_not_be_read_is_noted_once_and_the_others_are_read() {
    let tool = two_causes();
    tool.logs.denied_groups.borrow_mut().push("/aws/lambda/order-projector".to_owned());
    let run = tool.run("status --logs").await;
    assert_eq!((run.code, run.notes.matches("no logs of order-projector").count()), (3, 1), "{}", run.text());
    assert!(run.notes.contains("/aws/lambda/order-projector: logs:FilterLogEvents"), "{}", run.text());
    assert!(run.notes.contains("allow the action") && run.answers.contains("(log not readable)"), "{}", run.text());
    assert!(run.answers.contains("KeyError: 'total'"), "{}", run.text());
    // One for the function that is denied, two for the other.
    assert_eq!(tool.logs.searches.get(), 3);
}

#[tokio::test]
async fn no_more_logs_are_read_than_asked_for() {
    let tool = two_causes();
    let run = tool.run("status --logs --max-logs 3").await;
    assert!(run.code == 0 && run.notes.contains("the logs of 3 of 7 batches were read"), "{}", run.text());
    assert!(run.answers.contains("(log not read)"), "{}", run.text());
    // The latest of both functions were among them, and the searches are spread.
    assert!(
        run.answers.contains("KeyError: 'total'") && run.answers.contains("(no error in the log)"),
        "{}",
        run.text()
    );
    assert!(tool.logs.searches.get() <= 6, "{}", tool.logs.searches.get());
    for wrong in ["--max-logs 3", "--logs --max-logs 0", "--logs --max-logs 501"] {
        assert_eq!(tool.run(&format!("status {wrong}")).await.code, 2, "{wrong}");
    }
}

#[tokio::test]
async fn the_parts_of_a_batch_have_one_log() {
    let tool = shop();
    let run = tool.run("status --logs --status Superset").await;
    assert_eq!(tool.logs.searches.get(), 1, "{}", run.text());
}

#[tokio::test]
async fn the_parts_of_a_batch_have_one_log_whatever_their_statuses() {
    let tool = Tool::default();
    for (number, status) in [(1, "Superset"), (2, "Partial")] {
        let part = TestPart {
            digest: ["0123456789abcdef", "fedcba9876543210"][number as usize - 1],
            number,
            is_last: number == 2,
        };
        tool.queue.send(TestBatch { part: Some(part), status, expected: Some(5), ..batch("3c") }.message());
    }
    let run = tool.run("status --logs").await;
    assert_eq!(tool.logs.searches.get(), 1, "{}", run.text());
    let run = tool.run("status --logs --max-logs 1").await;
    assert!(!run.notes.contains("batches were read"), "{}", run.text());
}

#[tokio::test]
async fn an_interrupt_ends_the_reading_of_logs() {
    let tool = two_causes();
    tool.logs.is_hanging.set(true);
    let (run, needed) = tool.run_and_interrupt("status --logs", std::time::Duration::from_millis(20)).await;
    assert!(run.code == 130 && needed.as_secs() < 2, "{} {needed:?}", run.text());
}

#[tokio::test]
async fn lines_of_other_streams_with_the_request_id_do_not_widen_the_invocation() {
    let tool = Tool::default();
    let failed = TestBatch { failed_minutes_ago: Some(60), ..batch("a1") };
    tool.queue.send(failed.message());
    log(&tool, &failed, &["[ERROR] KeyError: 'total'"]);
    let at = tool.logs.events.borrow()[0].timestamp.unwrap();
    let event = |millis, stream: &str, message: &str| LogEvent {
        timestamp: Some(at.plus_millis(millis)),
        stream: Some(stream.to_owned()),
        message: message.to_owned(),
    };
    // The next invocation in the function's stream, and another function that was given the request id.
    tool.logs.events.borrow_mut().extend([
        event(5_000, "a1", "[ERROR] ValueError: of the next invocation"),
        event(9_000, "other", "called by request-a1"),
    ]);
    let run = tool.run("status --logs").await;
    assert!(run.answers.contains("KeyError: 'total'"), "{}", run.text());
    assert!(!run.answers.contains("of the next invocation"), "{}", run.text());
}

#[tokio::test]
async fn a_log_that_was_not_read_to_its_end_is_said_to_be() {
    let tool = Tool::default();
    let failed = TestBatch { failed_minutes_ago: Some(90), ..batch("a1") };
    tool.queue.send(failed.message());
    log(&tool, &failed, &["[INFO] begins", "[ERROR] KeyError: 'total'"]);
    tool.logs.max_events.set(Some(2));
    let run = tool.run("status --logs -o json").await;
    let reasons: Vec<_> =
        run.json().iter().filter_map(|line| line["log"]["reason"].as_str().map(str::to_owned)).collect();
    assert!(run.code == 3 && reasons.len() == 1 && reasons[0].contains("given up"), "{run:?}");
    let run = tool.run("show a1 --logs").await;
    assert!(run.text().contains("begins") && !run.text().contains("KeyError"), "{run:?}");
    assert!(
        run.code == 3 && run.notes.contains("not all of the log") && run.notes.contains("Logs Insights"),
        "{run:?}"
    );
}
