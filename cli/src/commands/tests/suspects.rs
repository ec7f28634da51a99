use crate::test_support::function::{failed, returned};
use crate::test_support::messages::{TestBatch, batch};
use crate::test_support::tool::Tool;

/// Forty orders, of which the 18th has a text for its total.
fn orders() -> Vec<String> {
    let total = |n: usize| if n == 17 { r#""12,50 € (see note)""#.to_owned() } else { format!("{}.5", n + 1) };
    (0..40)
        .map(|n| format!(r#"{{"orderId":"ORD-{:04}","lines":{},"total":{}}}"#, 4000 + n * 3, 1 + n % 4, total(n)))
        .collect()
}

/// A queue with the orders, and a function that fails on that total.
fn with_orders() -> Tool {
    let tool = Tool::default();
    let poison = orders().remove(17);
    tool.queue.send(TestBatch { records: orders(), ..batch("ab") }.message());
    let poison = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, poison);
    tool.function.always(move |invocation| {
        if invocation.event.contains(&poison) {
            failed("ValueError", "could not convert string to float")
        } else {
            returned("null")
        }
    });
    tool
}

#[tokio::test]
async fn show_names_the_suspect_with_its_reason() {
    let tool = with_orders();
    let run = tool.run("show ab --records 1").await;
    let line =
        "  record 18  type  total is a string: \"12,50 € (see note)\"; it is a number in 39 others (one has 1.5)\n";
    assert!(run.answers.contains(&format!("\nSuspects (1, nothing was invoked)\n{line}")), "{}", run.answers);
    let shown = &tool.run("show ab -o json").await.json()[0];
    let suspects = shown["suspects"].as_array().unwrap();
    assert_eq!((suspects.len(), &suspects[0]["record"], &suspects[0]["rule"]), (1, &18.into(), &"type".into()));
    assert_eq!(suspects[0]["sequenceNumber"], "117");
    assert!(tool.function.invocations().is_empty());
}

#[tokio::test]
async fn list_and_status_in_json_have_the_best_suspect() {
    let tool = with_orders();
    let overflow = TestBatch { records: orders(), first: 900, function: "stock", ..batch("cd") };
    tool.queue.send(overflow.overflow_message(&tool.bucket));
    for command in ["list -o json", "status -o json"] {
        let lines = tool.run(command).await.json();
        let of_queue = lines.iter().find(|line| line.to_string().contains("order-projector")).unwrap();
        assert_eq!(
            (of_queue["suspects"].as_array().unwrap().len(), &of_queue["suspects"][0]["record"]),
            (1, &18.into())
        );
    }
    // The list does not read the objects in the bucket, and so says nothing of their suspects.
    let lines = tool.run("list -o json").await.json();
    assert!(lines.iter().any(|line| line["overflow"].is_string() && line.get("suspects").is_none()), "{lines:?}");
}

#[tokio::test]
async fn log_lines_name_a_record_that_is_like_the_others() {
    let tool = with_orders();
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    std::fs::write(path, "[ERROR] ConstraintError: order ORD-4009 is closed\n").unwrap();
    let suspects = &tool.run(&format!("show ab --log-lines {path} -o json")).await.json()[0]["suspects"];
    assert_eq!((&suspects[0]["record"], &suspects[0]["rule"]), (&4.into(), &"loggedValue".into()), "{suspects}");
    // A cause outside the records.
    std::fs::write(path, "2026-11-21T10:59:00.000Z 8f7d2c1a Task timed out after 30.03 seconds\n").unwrap();
    let shown = tool.run(&format!("show ab --log-lines {path} -o json")).await.json().remove(0);
    assert_eq!(shown["suspects"].as_array().unwrap().len(), 0, "{shown}");
    let run = tool.run("show ab --log-lines /no/such/file").await;
    assert!(run.code == 1 && run.notes.contains("/no/such/file"), "{}", run.notes);
    std::fs::write(path, vec![b'x'; 17 * 1024 * 1024]).unwrap();
    let run = tool.run(&format!("show ab --log-lines {path}")).await;
    assert!(run.code == 1 && run.notes.contains("more than 16 MiB"), "{}", run.notes);
}

#[tokio::test]
async fn a_small_batch_is_compared_with_others_of_its_function() {
    let tool = Tool::default();
    let order = |n: usize| format!(r#"{{"orderId":"ORD-{n:04}","total":{n}.5}}"#);
    for (index, id) in ["aa", "bb", "cc"].into_iter().enumerate() {
        let records = (0..10).map(|n| order(100 * (index + 1) + n)).collect();
        tool.queue.send(TestBatch { records, first: 1000 * (index as u64 + 1), ..batch(id) }.message());
    }
    let records = vec![order(1), r#"{"orderId":"ORD-0002","total":"two"}"#.to_owned()];
    tool.queue.send(TestBatch { records, first: 9000, ..batch("dd") }.message());
    let shown = tool.run("show dd -o json").await.json().remove(0);
    assert_eq!(shown["suspects"][0]["record"], 2, "{shown}");
    // Another function's batches say nothing of it.
    let records = vec![order(1), r#"{"orderId":"ORD-0002","total":"two"}"#.to_owned()];
    tool.queue.send(TestBatch { records, first: 9900, function: "stock", ..batch("ee") }.message());
    let shown = tool.run("show ee -o json").await.json().remove(0);
    assert_eq!(shown["suspects"].as_array().unwrap().len(), 0, "{shown}");
}

#[tokio::test]
async fn isolate_tries_the_suspect_first_and_needs_two_invocations() {
    let run = with_orders().run("isolate ab --execute --rate 1000 -o json").await;
    let line = &run.json()[1];
    assert_eq!((&line["invocations"], &line["suspectedBy"]), (&2.into(), &"type".into()), "{line}");
    assert_eq!((&line["records"][0]["number"], &line["isMinimal"]), (&18.into(), &true.into()));
    let run = with_orders().run("isolate ab --execute --rate 1000").await;
    assert!(run.answers.contains("It was a suspect by the rule type: total is a string"), "{}", run.answers);
    assert!(run.answers.contains("(2 invocations of "), "{}", run.answers);
}

#[tokio::test]
async fn isolate_finds_another_record_than_the_suspect_all_the_same() {
    let tool = with_orders();
    let culprit = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, orders().remove(30));
    tool.function.always(move |invocation| {
        if invocation.event.contains(&culprit) { failed("Error", "no order ORD-4090") } else { returned("null") }
    });
    let line = tool.run("isolate ab --execute --rate 1000 -o json").await.json().remove(1);
    // The suspect by its type passes, the whole batch fails, and its error names the record.
    assert_eq!((&line["records"][0]["number"], &line["invocations"]), (&31.into(), &3.into()), "{line}");
    assert_eq!(line["suspectedBy"], "loggedValue");
}

#[tokio::test]
async fn a_function_that_fails_on_everything_blames_no_suspect() {
    let tool = with_orders();
    tool.function.always(|_| failed("Error", "broken"));
    let run = tool.run("isolate ab --execute --rate 1000 -o json").await;
    let line = run.json().remove(1);
    assert!(run.code == 3 && line["failsOnEverything"] == true && line.get("suspectedBy").is_none(), "{line}");
}
