//! `--grep`: the batches with a record that matches, and which.

use insta::assert_snapshot;
use serde_json::{Value, json};

use super::shop;
use crate::test_support::messages::{TestBatch, TestPart, batch, expired};
use crate::test_support::tool::{Tool, ToolRun};

fn records(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// Three batches: an order is in the first two.
fn orders() -> Tool {
    let tool = Tool::default();
    let first = records(&[r#"{"order":"ORD-4711","name":"M\u00fcller"}"#, r#"{"order":"ORD-1"}"#]);
    let second =
        records(&[r#"{"order":"ORD-2"}"#, r#"{ "order" : "ORD-4711" , "total" : 12.50 }"#, "ORD-4711, by hand"]);
    let batches = [
        TestBatch { records: first, failed_minutes_ago: Some(90), ..batch("a1") },
        TestBatch { records: second, failed_minutes_ago: Some(80), ..batch("b2") },
        TestBatch { records: records(&[r#"{"order":"ORD-47110"}"#]), shard: 1, ..batch("c3") },
        TestBatch { failed_minutes_ago: Some(70), shard: 2, ..expired("d4") },
    ];
    batches.iter().for_each(|batch| drop(tool.queue.send(batch.message())));
    tool
}

/// The first characters of the ids in the output, each with the places of its matches.
fn matches(run: &ToolRun) -> Vec<(String, Value)> {
    let lines = run.json();
    let of = |line: &Value| {
        let places = line["matches"].as_array()?.iter().map(|found| found["record"].clone()).collect();
        Some((line["id"].as_str()?[..2].to_owned(), places))
    };
    lines.iter().map(|line| line.get("matching").unwrap_or(line)).filter_map(of).collect()
}

fn summary(run: &ToolRun) -> Value {
    run.json().last().unwrap()["summary"].clone()
}

fn expected(of: &[(&str, Value)]) -> Vec<(String, Value)> {
    of.iter().map(|(id, places)| ((*id).to_owned(), places.clone())).collect()
}

#[tokio::test]
async fn every_command_that_looks_finds_the_same_records() {
    let tool = orders();
    let folder = tool.state.path().join("out").display().to_string();
    for line in ["list".to_owned(), "status".to_owned(), "show".to_owned(), format!("export --all --to {folder}")] {
        let run = tool.run(&format!(r"{line} -o json --grep ORD-4711\b")).await;
        assert_eq!(matches(&run), expected(&[("a1", json!([1])), ("b2", json!([2, 3]))]), "{line}: {}", run.text());
        let summary = summary(&run);
        assert_eq!((run.code, &summary["shown"], &summary["filtered"]), (0, &json!(2), &json!(2)), "{}", run.text());
    }
    assert_eq!(std::fs::read_dir(tool.state.path().join("out")).unwrap().count(), 2);
}

#[tokio::test]
async fn what_is_searched_is_what_the_producer_meant() {
    let tool = orders();
    for (pattern, ids) in [
        ("Müller", "a1"),
        ("(?i)mÜLLER", "a1"),
        (r#""order":"ORD-4711","total":12.50"#, "b2"),
        ("^ORD-4711,", "b2"),
        ("key-101", "a1 b2"),
        (r"\bORD-4711\b", "a1 b2"),
        ("ORD-4711", "a1 b2 c3"),
        // The number of a record, the range's ends and the function are no content of a record.
        ("shardId|order-projector|sequenceNumber", ""),
        // Of two records.
        ("(?s)ORD-4711.*ORD-1", ""),
        ("nowhere", ""),
    ] {
        // The words of a test are split at white space.
        let run = tool.run(&format!("list -o json --grep {pattern}")).await;
        let found: Vec<String> = matches(&run).into_iter().map(|(id, _)| id).collect();
        assert_eq!(found.join(" "), ids, "{pattern}: {}", run.text());
    }
}

#[tokio::test]
async fn the_output_says_which_records() {
    let tool = orders();
    assert_snapshot!("grep_list", tool.run("list --grep ORD-4711,?").await.text());
    assert_snapshot!("grep_show", tool.run(r"show b2 --grep ORD-4711\b").await.text());
    assert_snapshot!("grep_status", tool.run(r"status --stack s --grep ORD-4711\b").await.text());
    assert_snapshot!(
        "grep_export",
        tool.run(&format!(r"export --all --to {} --grep ORD-4711\b", tool.state.path().join("out").display()))
            .await
            .text()
    );
    assert_snapshot!("grep_show_nothing", tool.run("show --grep nowhere").await.text());
}

#[tokio::test]
async fn other_filters_and_the_limit_count_what_matches() {
    let tool = orders();
    for (flags, ids) in [
        ("--grep ORD-4711 --limit 1", "a1"),
        (r"--grep by\shand --limit 1", "b2"),
        ("--grep ORD-4711 --shard 1", "c3"),
        ("--grep ORD-4711 --status Expired", ""),
        ("--grep ORD --since 85m --limit 2", "b2 c3"),
    ] {
        let run = tool.run(&format!("list -o json {flags}")).await;
        let found: Vec<String> = matches(&run).into_iter().map(|(id, _)| id).collect();
        let summary = summary(&run);
        assert_eq!(found.join(" "), ids, "{flags}: {}", run.text());
        assert_eq!(summary["shown"].as_u64().unwrap() + summary["filtered"].as_u64().unwrap(), 4, "{flags}");
    }
}

#[tokio::test]
async fn an_object_of_the_overflow_is_searched_and_parts_are_found_by_themselves() {
    let tool = shop();
    let run = tool.run(r#"list -o json --grep "n":299\b"#).await;
    assert_eq!(matches(&run), expected(&[("1a", json!([300]))]), "{}", run.text());
    let run = tool.run("list -o json --grep x{40}").await;
    let line = &run.json()[0];
    assert_eq!((&line["matchCount"], line["matches"].as_array().unwrap().len()), (&json!(300), 20));
    let run = tool.run("show 1a -o json --records 2 --grep x{40}").await;
    let line = &run.json()[0];
    let lengths = |key: &str| line[key].as_array().unwrap().len();
    assert_eq!((lengths("matches"), lengths("shown")), (300, 2));
    let tool = Tool::default();
    for (digest, number, text) in [("fedcba9876543210", 1, "one"), ("0123456789abcdef", 2, "two")] {
        let part = Some(TestPart { digest, number, is_last: number == 2 });
        tool.queue.send(TestBatch { part, status: "Superset", records: records(&[text]), ..batch("ab") }.message());
    }
    let run = tool.run("list -o json --grep two").await;
    assert_eq!((matches(&run).len(), &run.json()[0]["part"]["number"]), (1, &json!(2)), "{}", run.text());
}

#[tokio::test]
async fn what_could_not_be_searched_is_counted() {
    let tool = orders();
    let lost = TestBatch { failed_minutes_ago: Some(30), ..batch("e5") };
    tool.queue.send(lost.overflow_message(&tool.bucket));
    tool.bucket.delete(&lost.overflow_key());
    let broken = batch("f6").body().replace(r#""recoveredRecords":2"#, r#""recoveredRecords":3"#);
    tool.queue.send(broken);
    for line in ["list", "status", "show"] {
        let run = tool.run(&format!("{line} -o json --grep ORD-4711")).await;
        let summary = summary(&run);
        assert_eq!(
            (run.code, &summary["notSearched"], &summary["filtered"]),
            (3, &json!(2), &json!(1)),
            "{}",
            run.text()
        );
        assert!(run.notes.contains("was not searched: "), "{}", run.notes);
        let text = tool.run(&format!("{line} --grep ORD-4711")).await;
        assert!(text.answers.contains("2 messages not searched"), "{}", text.text());
    }
}

#[tokio::test]
async fn binary_records_are_counted_and_never_match() {
    let tool = Tool::default();
    let message = batch("ab").message();
    // Data that is no text.
    let body = message.body.replace("eyJuIjoxfQ==", "/wBh");
    assert_ne!(body, message.body);
    tool.queue.send(body);
    let run = tool.run("list -o json --grep binary|a").await;
    assert_eq!(
        run.json()[0]["summary"],
        json!({"shown": 0, "filtered": 1, "inFlight": 0, "delayed": 0, "foreign": 0, "notLookedAt": 0, "binaryRecords": 1}),
        "{}",
        run.text()
    );
    assert_eq!(run.code, 0);
}

#[tokio::test]
async fn a_message_that_is_not_hydrated_is_counted_and_not_shown() {
    let tool = shop();
    let run = tool.run(r#"show -o json --grep "n":299\b"#).await;
    let lines = run.json();
    assert_eq!((run.code, lines.len(), &lines[1]["summary"]["foreign"]), (3, 2, &json!(2)), "{}", run.text());
}

#[tokio::test]
async fn a_record_that_is_no_event_record_is_searched_as_it_is() {
    let tool = Tool::default();
    let body = batch("ab").body().replace("aws:kinesis\"", "other\"").replace("orders", "M\\u00fcller");
    tool.queue.send(body);
    let run = tool.run("list -o json --grep Müller").await;
    assert_eq!(run.json()[0]["matches"], json!([{"record": 1}, {"record": 2}]), "{}", run.text());
}

#[tokio::test]
async fn a_wrong_pattern_is_wrong_usage_and_shows_where() {
    let tool = orders();
    for (pattern, said) in [
        ("(", "unclosed group"),
        (r"\p{Nosuch}", "Unicode"),
        ("a{1000}{1000}{1000}", "size limit"),
        ("", "an empty pattern matches every record"),
    ] {
        let run = tool.run(&format!("list --grep={pattern}")).await;
        assert_eq!(run.code, 2, "{pattern}");
        assert!(run.notes.contains(said), "{pattern}: {}", run.notes);
    }
    let run = tool.run("list --grep ab(c").await;
    assert!(run.notes.contains("ab(c\n      ^"), "{}", run.notes);
}

#[tokio::test]
async fn commands_that_change_something_take_no_pattern() {
    let tool = orders();
    for line in ["replay --all", "discard --all", "isolate a1"] {
        let run = tool.run(&format!("{line} --grep ORD-4711")).await;
        assert!(run.code == 2 && run.notes.contains("--grep"), "{line}: {}", run.text());
    }
}

#[tokio::test]
async fn an_interrupt_ends_the_search() {
    let tool = Tool::default();
    let many = (0..5000).map(|n| format!(r#"{{"n":{n}}}"#)).collect();
    tool.queue.send(TestBatch { records: many, ..batch("ab") }.message());
    let (run, needed) = tool.run_and_interrupt("list --grep x", std::time::Duration::from_millis(5)).await;
    assert!(run.code == 130 && needed.as_secs() < 2, "{} {needed:?}", run.text());
}
