//! The report: what its page says, what it never says, and how it is written.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::PathBuf;

use super::shop;
use crate::test_support::function::{failed, returned};
use crate::test_support::messages::{TestBatch, batch};
use crate::test_support::queue::NewMessage;
use crate::test_support::tool::{Tool, ToolRun};

fn file(tool: &Tool) -> PathBuf {
    tool.state.path().join("incident.html")
}

/// Runs the command, and reads the page that it wrote.
async fn report(tool: &Tool, flags: &str) -> (ToolRun, String) {
    let run = tool.run(&format!("report --force --to {} {flags}", file(tool).display())).await;
    let page = std::fs::read_to_string(file(tool)).unwrap_or_else(|error| panic!("{error}: {}", run.notes));
    (run, page)
}

/// The text of a page, without markup, and with single spaces.
fn text(page: &str) -> String {
    let (_, body) = page.split_once("<body>").unwrap();
    let texts = body.split('<').map(|piece| piece.split_once('>').map_or(piece, |(_, text)| text));
    let text = texts.collect::<Vec<_>>().join(" ").replace("&#39;", "'").replace("&#34;", "\"");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Asserts that the text has each of these, in this order.
fn assert_has(text: &str, expected: &[&str]) {
    let mut rest = text;
    for wanted in expected {
        let Some((_, after)) = rest.split_once(wanted) else { panic!("{wanted:?} is not in {rest}") };
        rest = after;
    }
}

/// Twenty orders with one whose total is a text.
fn orders() -> TestBatch {
    let total = |n: usize| if n == 17 { r#""12,50 €""#.to_owned() } else { format!("{n}.5") };
    let records = (0..40).map(|n| format!(r#"{{"orderId":"ORD-{:04}","total":{}}}"#, 4000 + n, total(n))).collect();
    TestBatch { records, ..batch("ab") }
}

#[tokio::test]
async fn the_page_says_what_failed_how_much_is_lost_and_what_to_do() {
    let (run, page) = report(&shop(), "--stack hydrator").await;
    assert_eq!(run.code, 3, "{}", run.notes);
    assert!(run.answers.contains("incident.html  ") && run.answers.contains("2 messages not hydrated"), "{run:?}");
    let text = text(&page);
    assert_has(
        &text,
        &[
            "Failed batches of hydrated",
            "Account 123456789012 , region us-east-1",
            "Filters: none: every batch on the queue",
            "order-projector and stock-mirror failed: 6 batches since 2026-11-19 12:00 UTC, the latest 60m ago.",
            "310 records came back from the stream and wait on the queue; 5 are lost, unless the producer has them.",
            "Failed batches 6 of 2 functions",
            "Not in this report",
            "2 messages not hydrated",
            "What to do",
            "dlq show 5e5e5e5e5e5e --logs --stack hydrator",
            "dlq replay --all --stack hydrator",
            "Ask the producers for the 5 lost records.",
            "dlq discard --all --status Expired,Gone --stack hydrator",
            "What failed when",
            "order-projector : 5 batches, 308 records came back, 5 are lost",
            "Partial",
            "Expired",
            "Incidents",
            "RetryAttemptsExhausted",
            "Suspects no record stands out from the others",
            "The oldest record arrived 2h ago, and the stream keeps it for 24h at least. Until then",
            "Shards",
            "shardId-000000000001",
            "Nothing was replayed or discarded.",
            "It holds no record data",
        ],
    );
}

#[tokio::test]
async fn an_empty_queue_has_a_page_too() {
    let (run, page) = report(&Tool::default(), "").await;
    assert_eq!(run.code, 0, "{}", run.notes);
    assert_has(&text(&page), &["No failed batch is on the queue.", "What was done, and by whom"]);
    assert!(!page.contains("<svg") && !page.contains("class=\"tiles\""));
}

#[tokio::test]
async fn record_data_is_on_the_page_only_where_it_was_asked_for() {
    let tool = Tool::default();
    tool.queue.send(orders().message());
    let (_, page) = report(&tool, "").await;
    for data in ["ORD-4", "12,50", "key-1", "orderId", "a number in 39"] {
        assert!(!page.contains(data), "{data}");
    }
    assert_has(&text(&page), &["Record 18 (type): a value has another type than in the others Sequence number 117"]);
    assert!(!page.contains("class=\"data-mark\""));
    let (run, page) = report(&tool, "--with-records").await;
    assert!(run.answers.contains(", with record data"), "{}", run.answers);
    let said = [
        "This report holds record data. Pass it on only to people who may see it.",
        "This page holds record data.",
        "Record 18 (type): total is a string: \"12,50 €\"; it is a number in 39 others",
        "Record 18 of 40",
        "\"partitionKey\": \"key-117\"",
        "\"orderId\": \"ORD-4017\"",
    ];
    assert_has(&text(&page), &said);
    assert!(!page.contains("ORD-4001"), "only the suspect is a sample");
    assert!(page.contains("(with record data)</title>"));
}

#[tokio::test]
async fn markup_and_hidden_characters_of_others_are_inert() {
    let tool = Tool::default();
    let evil = "</script><script>alert(1)</script><svg onload=alert(2)>\u{202e}";
    let key = "k".repeat(1_000_000);
    let records = vec![format!(r#"{{"{key}":1}}"#), format!("<!-- {evil}"), format!(r#"{{"a":"{evil}"}}"#)];
    let message = TestBatch { records, ..batch("ab") }.message();
    let escaped = evil.replace('\u{202e}', "\\u202e");
    let mut body = message.body.clone();
    for field in ["RetryAttemptsExhausted", "order-projector", "Unhandled", "request-ab"] {
        body = body.replace(field, &format!("{field}{escaped}"));
    }
    tool.queue.send(NewMessage { body, ..message });
    for flags in ["", "--with-records"] {
        let (run, page) = report(&tool, flags).await;
        assert_eq!(run.code, 0, "{}", run.notes);
        for markup in ["<script", "</script", "<svg onload", "<!-- ", "\u{202e}"] {
            assert!(!page.contains(markup), "{markup} {flags}");
        }
        assert!(page.contains(r"order-projector&#60;/script&#62;") && page.contains(r"\u{202e}"), "{flags}");
        assert!(page.len() < 200_000, "{} {flags}", page.len());
    }
    let (_, page) = report(&tool, "--with-records").await;
    assert_has(&text(&page), &["kkkk… (", "more characters)"]);
}

#[tokio::test]
async fn the_page_stays_under_two_megabytes() {
    let tool = Tool::default();
    let ids: Vec<String> = (0..80).map(|n| format!("{n:02x}")).collect();
    for (index, id) in ids.iter().enumerate() {
        // Quotation marks are the longest when they are escaped.
        let records = vec!["\"".repeat(20_000), "&".repeat(20_000)];
        let status = "Partial";
        let message = TestBatch { id: id.clone().leak(), status, shard: index, records, ..batch("00") }.message();
        let mut body = message.body.clone();
        let fields = ["RetryAttemptsExhausted", "order-projector", "Unhandled", "request-", "It is"];
        for field in fields {
            body = body.replace(field, &format!("{field}{index}{}", "&<".repeat(500)));
        }
        tool.queue.send(NewMessage { body, ..message });
    }
    let (run, page) = report(&tool, "--with-records").await;
    assert_eq!(run.code, 0, "{}", run.notes);
    assert!(page.len() < 2_000_000, "{}", page.len());
    let said = [
        "Not drawn: 68 functions with fewer records",
        "Left out: 30 functions with fewer records.",
        "Left out: 30 older incidents.",
        "of record data, so that the page stays small.",
        "Left out: 68 functions with fewer records.",
    ];
    assert_has(&text(&page), &said);
}

#[tokio::test]
async fn what_a_drill_has_left_is_no_failure() {
    let tool = Tool::default();
    let drill = batch("6f");
    let message = drill.message();
    let body = message.body.replace("RetryAttemptsExhausted", "Drill");
    tool.queue.send(NewMessage { body, ..message });
    for flags in ["--stack hydrator", "--since 1d"] {
        let (_, page) = report(&tool, flags).await;
        let said = text(&page);
        assert!(!said.contains("order-projector") && !said.contains("dlq replay"), "{said}");
        assert_has(&said, &["No failed batch is on the queue.", "1 message that a drill has left", "dlq discard 6f6f"]);
    }
    tool.queue.send(batch("5e").message());
    let (_, page) = report(&tool, "").await;
    assert_has(&text(&page), &["order-projector failed: 1 batch since", "1 message that a drill has left"]);
}

#[tokio::test]
async fn a_file_that_is_there_is_refused_before_the_queue_is_read() {
    let tool = shop();
    std::fs::write(file(&tool), "mine").unwrap();
    let line = format!("report --to {}", file(&tool).display());
    let run = tool.run(&line).await;
    assert!(run.code == 1 && run.notes.contains("is there already") && run.notes.contains("--force"), "{run:?}");
    assert_eq!((tool.queue.receives(), std::fs::read_to_string(file(&tool)).unwrap().as_str()), (0, "mine"));
    let run = tool.run(&format!("report --to {}/incident.html", file(&tool).display())).await;
    assert!(run.code == 1 && run.notes.contains("the folder <state>/incident.html"), "{run:?}");
    assert_eq!(tool.queue.receives(), 0);
    let run = tool.run(&format!("report --to {}", tool.state.path().display())).await;
    assert!(run.code == 1 && run.notes.contains("is a folder"), "{run:?}");
    let socket = tool.state.path().join("socket");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let run = tool.run(&format!("report --force --to {}", socket.display())).await;
    assert!(run.code == 1 && run.notes.contains("is not a file"), "{run:?}");
    assert!(std::fs::metadata(&socket).unwrap().file_type().is_socket(), "a device is not replaced either");
    drop(listener);
    std::fs::remove_file(&socket).unwrap();
    assert_eq!(tool.run(&format!("{line} --force")).await.code, 3);
    assert_eq!(std::fs::metadata(file(&tool)).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(tool.state.path()).unwrap().count(), 1, "no temporary file is left");
}

#[tokio::test]
async fn the_page_can_go_to_standard_output() {
    let run = shop().run("report --to - -o json").await;
    assert!(run.answers.starts_with("<!doctype html>") && run.answers.ends_with("</html>\n"), "{}", run.answers);
    assert!(run.code == 3 && run.notes.contains("2 messages not hydrated"), "{}", run.notes);
    let tool = shop();
    let run = tool.run("report --to incident-that-is-not-there/").await;
    assert_eq!((run.code, tool.queue.receives()), (1, 0), "{run:?}");
}

#[tokio::test]
async fn an_interrupt_leaves_no_file() {
    let tool = shop();
    tool.interrupt();
    assert_eq!(tool.run(&format!("report --to {}", file(&tool).display())).await.code, 130);
    assert!(!file(&tool).exists());
}

/// A queue after a replay that failed, one that succeeded, and a discard.
async fn with_history() -> Tool {
    let tool = shop();
    tool.function.always(|_| failed("ValueError", "secret 4711"));
    assert_eq!(tool.run("replay 5e --execute").await.code, 3);
    tool.function.always(|_| returned("null"));
    assert_eq!(tool.run("replay 4d --execute").await.code, 0);
    assert_eq!(tool.run("discard 6f --execute").await.code, 0);
    tool
}

#[tokio::test]
async fn the_history_says_who_did_what_also_of_batches_that_are_gone() {
    let tool = with_history().await;
    let (_, page) = report(&tool, "").await;
    let text = text(&page);
    assert_has(
        &text,
        &["What was done, and by whom", "s3://overflow/ledger", "Replayed batches: 1 failed again, 1 succeeded."],
    );
    for row in [
        "replayed: failed again 5e5e5e5e5e5e on the queue order-projector 0 of 2 ana on laptop error type ValueError",
        "replayed: succeeded 4d4d4d4d4d4d no longer on the queue stock-mirror 2 of 2 ana on laptop",
        "discarded 6f6f6f6f6f6f no longer on the queue - 0 ana on laptop",
    ] {
        assert!(text.contains(row), "{row}: {text}");
    }
    assert!(!page.contains("4711"));
}

#[tokio::test]
async fn filters_apply_to_the_history_as_far_as_the_ledger_knows() {
    let tool = with_history().await;
    let (_, page) = report(&tool, "--function stock-mirror --status Complete").await;
    let said = text(&page);
    assert!(!said.contains("replayed: failed again") && said.contains("replayed: succeeded"), "{said}");
    assert_has(
        &said,
        &[
            "Filters: --function stock-mirror --status Complete",
            "No failed batch was found that the filters let pass.",
            "Left out: 1 discarded message. The ledger does not say which function and shard they were of.",
            "--status, --source and --limit do not apply to batches that are no longer on the queue",
        ],
    );
    let (_, page) = report(&tool, "--shard 0 --until 30m").await;
    let said = text(&page);
    assert!(said.contains("replayed: failed again") && !said.contains("replayed: succeeded"), "{said}");
    let (_, page) = report(&tool, "--until 30m").await;
    assert!(!text(&page).contains("replayed: succeeded"), "it was replayed after that time");
}

#[tokio::test]
async fn a_ledger_that_cannot_be_read_is_said_on_the_page() {
    let tool = Tool::default();
    tool.queue.send(batch("ab").message());
    tool.ledger_calls_left.set(Some(0));
    let (run, page) = report(&tool, "").await;
    assert!(run.code == 3 && run.notes.contains("what was replayed before is not shown"), "{run:?}");
    assert_has(&text(&page), &["The ledger was not read:", "ledger"]);
}

#[tokio::test]
async fn an_object_that_is_gone_has_its_reason_in_the_place_of_suspects() {
    let tool = Tool::default();
    let large = orders();
    tool.queue.send(large.overflow_message(&tool.bucket));
    let (_, page) = report(&tool, "").await;
    assert_has(&text(&page), &["Record 18 (type)"]);
    tool.bucket.delete(&large.overflow_key());
    let (run, page) = report(&tool, "").await;
    assert_eq!(run.code, 0, "{}", run.notes);
    assert_has(&text(&page), &["Suspects not looked for: s3://overflow/", "is gone"]);
}
