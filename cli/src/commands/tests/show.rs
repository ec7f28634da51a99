use insta::assert_snapshot;

use super::shop;
use crate::ports::LogEvent;
use crate::test_support::messages::{TestBatch, batch};
use crate::test_support::tool::Tool;
use hydration::timestamp::Timestamp;

#[tokio::test]
async fn show_has_the_facts_and_the_records() {
    let tool = Tool::default();
    let records = [r#"{"orderId":"ORD-1","total":12.50}"#, "text\u{1b}[2J", "[1,{\"a\":[]}]"].map(str::to_owned);
    let message = TestBatch { records: records.into(), ..batch("ab") }.message();
    tool.queue.send(message.clone());
    tool.queue.send(message);
    assert_snapshot!(tool.run("show ab").await.text());
    assert_snapshot!("show_json", tool.run("show ab --records 1 -o json").await.text());
}

#[tokio::test]
async fn show_reads_the_overflow() {
    let run = shop().run("show 1a --records 1").await;
    assert_snapshot!(run.text());
}

#[tokio::test]
async fn show_names_the_object_that_a_batch_was_read_from() {
    let tool = Tool::default();
    let object = "s3://failed-batches/aws/lambda/0b1d/shardId-000000000000/2026/11/21/one";
    let mut message = batch("ab").message();
    let origin = r#""origin":"stream""#;
    assert!(message.body.contains(origin), "{}", message.body);
    message.body = message.body.replace(origin, &format!(r#""origin":"payload","object":"{object}""#));
    tool.queue.send(message);
    let run = tool.run("show ab").await;
    assert!(run.answers.contains(&format!("\n  object     {object}\n")), "{}", run.text());
    assert_eq!(tool.run("show ab -o json").await.json()[0]["object"], object);
    assert!(!shop().run("show 5e").await.answers.contains("object"), "it was read from its stream");
}

#[tokio::test]
async fn show_raw_is_the_body_as_it_is() {
    let run = shop().run("show 5e --raw").await;
    assert_eq!(run.answers, batch("5e").body() + "\n");
}

#[tokio::test]
async fn an_id_names_all_parts_of_a_batch_or_one() {
    let tool = shop();
    assert_eq!(tool.run("show 3c -o json").await.json().len(), 2);
    let one = tool.run("show 3c3c-0123 -o json").await.json();
    assert_eq!(one.len(), 1);
    assert_eq!(one[0]["part"]["number"], 2);
}

#[tokio::test]
async fn an_id_that_names_no_batch_or_several_is_an_error() {
    let tool = shop();
    tool.queue.send(TestBatch { first: 900, ..batch("5f") }.message());
    assert_snapshot!("no_such_id", tool.run("show ffffff").await.text());
    assert_snapshot!("ambiguous_id", tool.run("show 5").await.text());
}

#[tokio::test]
async fn the_log_has_the_lines_of_the_failed_invocation() {
    let tool = shop();
    let at = |second: i64| Timestamp::parse("2026-11-21T10:59:00Z").map(|time| time.plus_millis(1000 * second));
    let event = |second, message: &str| LogEvent {
        timestamp: at(second),
        stream: Some("one".to_owned()),
        message: message.to_owned(),
    };
    *tool.logs.events.borrow_mut() = vec![
        event(0, "END RequestId: request-before"),
        event(1, "START RequestId: request-5e"),
        event(2, "a line that names no request\n"),
        LogEvent { stream: Some("two".to_owned()), ..event(2, "another environment") },
        event(3, "END RequestId: request-5e"),
        event(4, "START RequestId: request-after"),
    ];
    let run = tool.run("show 5e --logs").await;
    let (_, log) = run.answers.split_once("The function's log\n").unwrap();
    assert_eq!(log, "  START RequestId: request-5e\n  a line that names no request\n  END RequestId: request-5e\n");
    tool.logs.events.borrow_mut().clear();
    let run = tool.run("show 5e --logs").await;
    assert!(run.code == 0 && run.notes.contains("no line with the request id request-5e"), "{}", run.notes);
}

#[tokio::test]
async fn show_stops_reading_once_the_id_and_its_parts_are_found() {
    let tool = Tool::default();
    tool.queue.send(batch("ab").message());
    (0..500).for_each(|n| drop(tool.queue.send(TestBatch { first: 1000 + 10 * n, ..batch("cd") }.message())));
    let run = tool.run("show abababababab").await;
    assert_eq!(run.code, 0, "{}", run.notes);
    assert!(tool.queue.receives() <= 90, "{}", tool.queue.receives());
    assert_eq!(tool.queue.counts().visible, 501);
    // A part is missing, so that all is read.
    let part = crate::test_support::messages::TestPart { digest: "0123456789abcdef", number: 2, is_last: true };
    tool.queue.send(TestBatch { part: Some(part), ..batch("ef") }.message());
    let before = tool.queue.receives();
    assert_eq!(tool.run("show efefefefefef").await.code, 0);
    assert_eq!(tool.queue.receives() - before, 502);
}
