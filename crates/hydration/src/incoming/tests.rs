use serde_json::{Value, json};

use super::*;

fn record(shard: &str) -> Value {
    json!({
        "requestContext": {"requestId": "r-1"},
        "KinesisBatchInfo": {"shardId": shard, "streamArn": "arn:aws:kinesis:us-east-1:123456789012:stream/orders"},
    })
}

fn pipe(shard: &str) -> Value {
    json!({
        "context": {"partnerResourceArn": "arn:aws:pipes:us-east-1:123456789012:pipe/orders"},
        "DDBStreamBatchInfo": {
            "shardId": shard,
            "streamArn": "arn:aws-cn:dynamodb:cn-north-1:123456789012:table/Orders/stream/2026-11-21T00:00:00.000",
        },
    })
}

fn sns(messages: &[String]) -> Value {
    let record =
        |message: &String| json!({"EventSource": "aws:sns", "Sns": {"Type": "Notification", "Message": message}});
    json!({"Records": messages.iter().map(record).collect::<Vec<_>>()})
}

fn notification(message: &str) -> Value {
    json!({"Type": "Notification", "TopicArn": "arn:aws:sns:us-east-1:123456789012:t", "Message": message})
}

fn failure_document(payload: &Value) -> Value {
    json!({
        "version": "1.0",
        "requestContext": {"condition": "RetriesExhausted", "approximateInvokeCount": 3},
        "requestPayload": payload,
        "responseContext": {"functionError": "Unhandled"},
        "responsePayload": {"errorType": "Throttled"},
    })
}

/// The shards that were recognized, the texts that were not, and the kinds of errors.
fn found(text: &str) -> Vec<String> {
    recognize(text)
        .into_iter()
        .map(|item| match item {
            Ok(IncomingMessage::FailedBatch(record)) => record.batch.shard_id,
            Ok(IncomingMessage::Unrecognized(message)) => format!("? {}", message.text),
            Err(error) => error.kind().to_owned(),
        })
        .collect()
}

#[test]
fn every_shape_leads_to_the_record_in_it() {
    let bare = record("s").to_string();
    for text in [
        bare.clone(),
        format!(" \n{bare}\t"),
        pipe("s").to_string(),
        sns(std::slice::from_ref(&bare)).to_string(),
        notification(&bare).to_string(),
        failure_document(&sns(std::slice::from_ref(&bare))).to_string(),
        failure_document(&record("s")).to_string(),
        notification(&failure_document(&sns(std::slice::from_ref(&bare))).to_string()).to_string(),
        // A subscription's dead-letter queue, redriven through a topic.
        failure_document(&sns(&[notification(&bare).to_string()])).to_string(),
    ] {
        assert_eq!(found(&text), ["s"], "{text}");
    }
}

#[test]
fn each_of_several_is_taken_for_what_it_is() {
    let text = sns(&[record("a").to_string(), "alarm".to_owned(), pipe("b").to_string(), "{}".to_owned()]).to_string();
    assert_eq!(found(&text), ["a", "? alarm", "b", "? {}"]);
    assert_eq!(
        found(&failure_document(&serde_json::from_str(&text).unwrap()).to_string()),
        ["a", "? alarm", "b", "? {}"]
    );
}

#[test]
fn a_record_keeps_every_field_in_its_order_and_to_the_digit() {
    let text = r#"{"z": 1.10, "KinesisBatchInfo":{"streamArn":"arn:aws:kinesis:us-east-1:123456789012:stream/s","shardId":"s","new":[1E5]},"z":{"a" :1}}"#;
    let Some(Ok(IncomingMessage::FailedBatch(record))) = recognize(text).pop() else { panic!("not recognised") };
    let entries: Vec<(&str, &str)> = record.fields.iter().map(|(key, value)| (key, value.get())).collect();
    assert_eq!(entries[0], ("z", "1.10"));
    assert_eq!(entries[2], ("z", r#"{"a" :1}"#));
    assert!(entries[1].1.ends_with(r#""new":[1E5]}"#));
}

#[test]
fn characters_that_sqs_refuses_are_escaped_in_kept_fields() {
    let text = record("s").to_string().replacen("r-1", "r-\u{FFFF}", 1);
    let Some(Ok(IncomingMessage::FailedBatch(record))) = recognize(&text).pop() else { panic!("not recognised") };
    assert_eq!(record.fields.get("requestContext").unwrap().get(), r#"{"requestId":"r-\uffff"}"#);
}

#[test]
fn a_message_that_is_something_else_is_kept_whole() {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    for text in [
        "",
        "Your subscription was confirmed.",
        "null",
        "[]",
        "{}",
        "\u{FEFF}{}",
        r#"{"AlarmName":"x"}"#,
        r#"{"KafkaBatchInfo":{"topic":"t"}}"#,
        r#"{"KinesisBatchInfo":null}"#,
        r#"{"KinesisBatchInfo":{"shardId":"s"}}"#,
        r#"{"KinesisBatchInfo":"\ud800"}"#,
        r#"{"Type":"Notification"}"#,
        r#"{"Type":"Notification","Message":7}"#,
        r#"{"Records":[]}"#,
        r#"{"Records":[{"Sns":{}},{"s3":{}}]}"#,
        r#"{"requestPayload":{"order":1}}"#,
        &deep,
    ] {
        assert_eq!(found(text), [format!("? {text}")]);
    }
}

#[test]
fn the_reason_says_what_is_wrong_and_quotes_nothing() {
    for (text, why) in [
        ("secret", "not well-formed JSON"),
        ("\"secret\"", "not a JSON object"),
        (r#"{"secret":1}"#, "neither KinesisBatchInfo nor DDBStreamBatchInfo"),
        (r#"{"KinesisBatchInfo":"secret"}"#, "KinesisBatchInfo is not a JSON object"),
        (r#"{"KinesisBatchInfo":{"streamArn":"secret"}}"#, "streamArn"),
    ] {
        let Some(Ok(IncomingMessage::Unrecognized(message))) = recognize(text).pop() else {
            panic!("recognised: {text}")
        };
        assert!(message.why.contains(why) && !message.why.contains("secret"), "{}", message.why);
    }
}

#[test]
fn a_hydrated_message_is_refused_in_every_envelope() {
    let mut hydrated = record("s");
    hydrated["hydration"] = json!({"version": 1, "id": "ab"});
    let pointer = crate::message::pointer("bucket", "hydrated/f/ab.json");
    for text in [hydrated.to_string(), pointer] {
        for text in [
            text.clone(),
            notification(&text).to_string(),
            sns(std::slice::from_ref(&text)).to_string(),
            failure_document(&sns(std::slice::from_ref(&text))).to_string(),
        ] {
            assert_eq!(found(&text), ["AlreadyHydrated"], "{text}");
        }
    }
    // Another's `hydration` is no sign of ours.
    let mut watered = record("s");
    watered["hydration"] = json!("often");
    assert_eq!(found(&watered.to_string()), ["s"]);
}

#[test]
fn envelopes_without_end_are_not_followed() {
    let mut text = record("s").to_string();
    for _ in 0..4 {
        text = notification(&text).to_string();
    }
    assert_eq!(found(&text), ["s"]);
    for _ in 0..3 {
        text = notification(&text).to_string();
    }
    let items = found(&text);
    assert!(items[0].starts_with(r#"? {"#) && items.len() == 1, "{items:?}");
}

#[test]
fn invalid_fields_that_are_not_needed_do_not_stop_a_batch() {
    let nested = format!("{}{}", "[".repeat(500), "]".repeat(500));
    for (name, text) in [
        ("a byte order mark", format!("\u{FEFF}{}", record("s"))),
        ("a lone surrogate", record("s").to_string().replace("r-1", r"\ud800")),
        ("deep nesting", record("s").to_string().replacen('{', &format!(r#"{{"unknown":{nested},"#), 1)),
        ("the other service's key", record("s").to_string().replacen('{', r#"{"DDBStreamBatchInfo":null,"#, 1)),
    ] {
        assert_eq!(found(&text), ["s"], "{name}");
        assert_eq!(found(&sns(&[text]).to_string()), ["s"], "{name}");
    }
}
