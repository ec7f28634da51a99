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
            Ok(IncomingMessage::Object(object)) => object.to_string(),
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

fn s3_event(keys: &[&str]) -> Value {
    let record = |key: &&str| {
        json!({
            "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": "failed-batches"}, "object": {"key": key}},
        })
    };
    json!({"Records": keys.iter().map(record).collect::<Vec<_>>()})
}

fn eventbridge(key: &str) -> Value {
    json!({
        "source": "aws.s3", "detail-type": "Object Created",
        "detail": {"bucket": {"name": "failed-batches"}, "object": {"key": key}},
    })
}

#[test]
fn an_object_notification_may_stand_wherever_a_record_may() {
    for bare in [s3_event(&["k"]), eventbridge("k")] {
        let text = bare.to_string();
        for text in [
            text.clone(),
            format!("\u{FEFF} {text}"),
            sns(std::slice::from_ref(&text)).to_string(),
            notification(&text).to_string(),
            failure_document(&bare).to_string(),
            failure_document(&sns(std::slice::from_ref(&text))).to_string(),
            notification(&failure_document(&sns(std::slice::from_ref(&text))).to_string()).to_string(),
            failure_document(&sns(&[notification(&text).to_string()])).to_string(),
        ] {
            assert_eq!(found(&text), ["s3://failed-batches/k"], "{text}");
        }
    }
}

#[test]
fn each_object_of_a_notification_is_a_message_and_an_invalid_one_keeps_the_whole_text() {
    let text = s3_event(&["a", "", "c"]).to_string();
    let kept = format!("? {text}");
    assert_eq!(found(&text), ["s3://failed-batches/a", &kept, "s3://failed-batches/c"]);
    let several = sns(&[s3_event(&["a", "b"]).to_string(), record("s").to_string()]).to_string();
    assert_eq!(found(&several), ["s3://failed-batches/a", "s3://failed-batches/b", "s"]);
}

#[test]
fn a_notification_without_a_new_object_holds_no_message() {
    let test_event = json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "failed-batches"});
    for text in [test_event.to_string(), notification(&test_event.to_string()).to_string()] {
        assert!(found(&text).is_empty(), "{text}");
    }
}

/// The shard of the record in an object, or the reason why there is none.
fn opened(content: &[u8]) -> Result<String, String> {
    let location = ObjectLocation { bucket: "failed-batches".to_owned(), key: "a b+ä".to_owned(), version_id: None };
    let message = recognize_object(&location, content).map_err(|error| error.kind().to_owned())?;
    assert_eq!(message.object().as_deref(), Some("s3://failed-batches/a b+ä"));
    match message {
        IncomingMessage::FailedBatch(record) => Ok(record.batch.shard_id),
        IncomingMessage::Object(object) => panic!("opened to another object: {object}"),
        IncomingMessage::Unrecognized(message) => {
            assert_eq!(message.text, r#"{"object":"s3://failed-batches/a b+ä"}"#);
            Err(message.why)
        }
    }
}

#[test]
fn an_object_is_an_invocation_record_or_is_named_by_its_place() {
    assert_eq!(opened(record("s").to_string().as_bytes()), Ok("s".to_owned()));
    assert_eq!(opened(format!("\u{FEFF}{}\n", pipe("p")).as_bytes()), Ok("p".to_owned()));
    let no_batch = "it has neither KinesisBatchInfo nor DDBStreamBatchInfo";
    for (content, why) in [
        (String::new(), "it is not well-formed JSON"),
        ("secret".to_owned(), "it is not well-formed JSON"),
        (r#"["secret"]"#.to_owned(), "it is not a JSON object"),
        (r#"{"secret":1}"#.to_owned(), no_batch),
        // No envelope is opened inside an object, and no other object is read for it.
        (s3_event(&["other"]).to_string(), no_batch),
        (eventbridge("other").to_string(), no_batch),
        (notification(&record("s").to_string()).to_string(), no_batch),
        (r#"{"KinesisBatchInfo":{"streamArn":"secret"}}"#.to_owned(), "KinesisBatchInfo.streamArn: it is not the ARN"),
    ] {
        let error = opened(content.as_bytes()).unwrap_err();
        assert!(error.starts_with(why) && !error.contains("secret"), "{content}: {error}");
    }
    assert_eq!(opened(b"\xff\xfe"), Err("it is not UTF-8 text".to_owned()));
}

#[test]
fn an_object_of_the_overflow_bucket_is_refused() {
    let mut hydrated = record("s");
    hydrated["hydration"] = json!({"version": 1, "id": "ab"});
    for text in [hydrated.to_string(), crate::message::pointer("bucket", "hydrated/f/ab.json")] {
        assert_eq!(opened(text.as_bytes()), Err("AlreadyHydrated".to_owned()));
    }
}

#[test]
fn the_payload_of_a_record_is_kept_beside_its_fields() {
    let mut with_payload = record("s");
    with_payload["payload"] = json!(r#"{"Records":[{"a": 1.10}]}"#);
    let Some(Ok(IncomingMessage::FailedBatch(record))) = recognize(&with_payload.to_string()).pop() else {
        panic!("not recognised")
    };
    assert_eq!(record.payload.as_deref(), Some(r#"{"Records":[{"a": 1.10}]}"#));
    assert!(record.fields.get("payload").is_none());
}
