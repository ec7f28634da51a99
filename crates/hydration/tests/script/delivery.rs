//! The messages and objects that the queue and the bucket receive, in order.

use hydration::message::MessageAttributeValue;

use crate::Reply::{Accepted, AlreadyExists, Fault, Iterator, Page, TooLarge};
use crate::*;

/// Delivers the batch of three. Returns the calls and the result.
fn deliver(record: &Value, settings: Settings, outbox: &[Reply]) -> (ScriptedAws, Result<Hydrated, HydrateError>) {
    let source = if record.get("DDBStreamBatchInfo").is_some() { Source::DynamoDb } else { Source::Kinesis };
    let records = (10..=12).map(|number| crate::record(source, number)).collect();
    let aws = ScriptedAws::new([&[Iterator, Page(records, None)], outbox].concat());
    let result = hydrate(&aws, record, settings);
    (aws, result)
}

/// The calls after the range was read.
fn calls(aws: &ScriptedAws) -> Vec<String> {
    aws.log.borrow()[2..].to_vec()
}

fn message(aws: &ScriptedAws) -> OutgoingMessage {
    aws.queue.borrow().last().unwrap().clone()
}

fn attribute(message: &OutgoingMessage, name: &str) -> Option<MessageAttributeValue> {
    message.attributes.iter().find(|attribute| attribute.name == name).map(|attribute| attribute.value.clone())
}

fn limited(bytes: usize) -> Settings {
    Settings { max_message_bytes: bytes, ..settings() }
}

fn without_bucket(bytes: usize) -> Settings {
    Settings { overflow_bucket: None, ..limited(bytes) }
}

/// The whole message, and the message without its view.
fn whole_and_bare() -> (OutgoingMessage, OutgoingMessage) {
    let whole = message(&deliver(&failed(STREAM, HOUR), settings(), &[Accepted]).0);
    let bare = message(&deliver(&failed(STREAM, HOUR), limited(whole.size() - 1), &[Accepted]).0);
    (whole, bare)
}

const KEY: &str = "hydrated/orders/2026/11/20/";

#[test]
fn a_message_is_sent_with_its_view_down_to_the_last_byte_that_fits() {
    let (whole, bare) = whole_and_bare();
    assert!(whole.body.contains(r#""decodedView":"included"},"KinesisBatch":[{"n":10},"#));
    assert!(bare.body.contains(r#""decodedView":"omitted"},"Records":[{"#));
    for (limit, expected) in [(whole.size(), &whole), (whole.size() - 1, &bare), (bare.size(), &bare)] {
        let (aws, result) = deliver(&failed(STREAM, HOUR), limited(limit), &[Accepted]);
        assert_eq!(calls(&aws), ["send"]);
        assert_eq!(&message(&aws), expected);
        let sent = result.unwrap().sent;
        assert_eq!((sent[0].overflow.as_ref(), sent[0].bytes), (None, expected.body.len()));
    }
}

#[test]
fn a_message_that_does_not_fit_is_written_to_the_bucket_before_its_pointer_is_sent() {
    let (whole, bare) = whole_and_bare();
    let (aws, result) = deliver(&failed(STREAM, HOUR), limited(bare.size() - 1), &[Accepted, Accepted]);
    let sent = result.unwrap().sent.pop().unwrap();
    let place = sent.overflow.unwrap();
    let (_, records) = whole.body.split_once(r#""Records":["#).unwrap();
    let digest = &hydration::invocation_record::sha256_hex(records.strip_suffix("]}").unwrap())[..16];
    assert_eq!(place, format!("s3://overflow/{KEY}{}-{digest}-Complete.json", sent.id));
    assert_eq!(calls(&aws), [format!("put {place}"), "send".to_owned()]);
    assert_eq!(aws.objects.borrow()[0], whole.body);

    let pointer = message(&aws);
    let key = place.strip_prefix("s3://overflow/").unwrap();
    let expected =
        json!(["software.amazon.payloadoffloading.PayloadS3Pointer", {"s3BucketName": "overflow", "s3Key": key}]);
    assert_eq!(serde_json::from_str::<Value>(&pointer.body).unwrap(), expected);
    // What the extended clients look for, beside what can be filtered on without them.
    let size = MessageAttributeValue::Number(whole.body.len() as u64);
    assert_eq!(attribute(&pointer, "ExtendedPayloadSize"), Some(size));
    assert_eq!(pointer.attributes[..pointer.attributes.len() - 1], whole.attributes);
    assert!(pointer.attributes.len() <= 10);
}

fn archived(bytes: usize) -> Settings {
    Settings { archive: true, ..limited(bytes) }
}

#[test]
fn the_archive_has_every_message_before_the_queue_does() {
    let (whole, bare) = whole_and_bare();
    for (limit, sent_body) in [(1_048_576, &whole), (whole.size() - 1, &bare)] {
        let (aws, result) = deliver(&failed(STREAM, HOUR), archived(limit), &[Accepted, Accepted]);
        let sent = result.unwrap().sent.pop().unwrap();
        let (calls, expected) = (calls(&aws), format!("put s3://overflow/{KEY}{}-", sent.id));
        assert_eq!((calls.len(), calls[1].as_str()), (2, "send"));
        assert!(calls[0].starts_with(&expected) && calls[0].ends_with("-Complete.json"), "{calls:?}");
        // The message is the same as without the archive, and the object has the view.
        assert_eq!((&message(&aws), sent.overflow), (sent_body, None));
        assert_eq!(aws.objects.borrow()[0], whole.body);
    }
}

#[test]
fn the_object_of_a_message_that_does_not_fit_is_written_once() {
    let (whole, bare) = whole_and_bare();
    let (aws, result) = deliver(&failed(STREAM, HOUR), archived(bare.size() - 1), &[Accepted, Accepted]);
    let place = result.unwrap().sent[0].overflow.clone().unwrap();
    assert_eq!(calls(&aws), [format!("put {place}"), "send".to_owned()]);
    let size = MessageAttributeValue::Number(whole.body.len() as u64);
    assert_eq!(attribute(&message(&aws), "ExtendedPayloadSize"), Some(size));
    // Nor when it is the queue that refuses it.
    let (aws, result) = deliver(&failed(STREAM, HOUR), archived(1_048_576), &[Accepted, TooLarge, Accepted]);
    let place = result.unwrap().sent[0].overflow.clone().unwrap();
    assert_eq!(calls(&aws), [format!("put {place}"), "send".to_owned(), "send".to_owned()]);
}

#[test]
fn a_message_that_the_archive_does_not_take_is_not_sent() {
    let (aws, result) = deliver(&failed(STREAM, HOUR), archived(1_048_576), &[Fault(FaultKind::AccessDenied)]);
    assert_eq!(result.unwrap_err().kind(), "AccessDenied");
    assert_eq!(calls(&aws).len(), 1);
    let script = [Fault(FaultKind::Throttled), AlreadyExists, Accepted];
    let (aws, result) = deliver(&failed(STREAM, HOUR), archived(1_048_576), &script);
    assert!(result.is_ok());
    let calls = calls(&aws);
    assert_eq!((calls[1].as_str(), calls[3].as_str(), &calls[0]), ("wait 187", "send", &calls[2]));
}

#[test]
fn a_drill_is_not_archived() {
    let mut record = failed(STREAM, HOUR);
    record["requestContext"]["condition"] = json!("Drill");
    let (aws, result) = deliver(&record, archived(1_048_576), &[Accepted]);
    assert_eq!((calls(&aws), result.unwrap().sent[0].overflow.as_deref()), (vec!["send".to_owned()], None));
}

/// The objects and the message of a record that is written with line breaks.
fn deliver_lines(archive: bool, bytes: usize) -> (String, OutgoingMessage) {
    let mut record = failed(STREAM, HOUR);
    record["note"] = json!("two\r\nlines");
    let text = serde_json::to_string_pretty(&record).unwrap().replace('\n', "\r\n");
    let read = recognize(&text).pop().unwrap().unwrap();
    let records = (10..=12).map(|number| crate::record(Source::Kinesis, number)).collect();
    let aws = ScriptedAws::new([Iterator, Page(records, None), Accepted, Accepted]);
    hydrate_message(&aws, &read, Settings { archive, ..limited(bytes) }).unwrap();
    let object = String::from_utf8(aws.objects.borrow()[0].to_vec()).unwrap();
    (object, message(&aws))
}

#[test]
fn an_archived_message_is_one_line_and_only_the_white_space_differs() {
    let (object, message) = deliver_lines(true, 1_048_576);
    assert!(message.body.contains("\r\n"), "the queue gets the record verbatim");
    assert!(!object.contains(['\r', '\n']));
    assert_eq!(object, message.body.replace(['\r', '\n'], " "));
    assert_eq!(serde_json::from_str::<Value>(&object).unwrap()["note"], "two\r\nlines");
    // Without the archive the object is the message, byte for byte.
    let (overflow, _) = deliver_lines(false, 1_024);
    assert_eq!(overflow, message.body);
}

#[test]
fn a_message_that_is_not_recognized_is_archived_too() {
    let text = "{\n  \"build\": \"failed\"\n}";
    let read = recognize(text).pop().unwrap().unwrap();
    let aws = ScriptedAws::new([Accepted, Accepted]);
    let sent = hydrate_message(&aws, &read, archived(1_048_576)).unwrap().sent.pop().unwrap();
    let log = aws.log.borrow();
    assert!(log[0].starts_with(&format!("put s3://overflow/hydrated/unrecognized/1970/01/01/{}-", sent.id)), "{log:?}");
    assert_eq!((log.len(), log[1].as_str()), (2, "send"));
    let object = String::from_utf8(aws.objects.borrow()[0].to_vec()).unwrap();
    assert!(object.contains(r#""unrecognized":{   "build": "failed" }"#), "{object}");
}

#[test]
fn a_view_that_is_off_is_not_in_the_bucket() {
    let settings = Settings { decoded_view: false, ..limited(1024) };
    let (aws, _) = deliver(&failed(STREAM, HOUR), settings, &[Accepted, Accepted]);
    let body: Value = serde_json::from_slice(&aws.objects.borrow()[0]).unwrap();
    assert_eq!((&body["hydration"]["decodedView"], body.get("KinesisBatch")), (&json!("off"), None));
}

#[test]
fn without_a_bucket_a_message_that_does_not_fit_is_an_error() {
    let (_, bare) = whole_and_bare();
    let (aws, result) = deliver(&failed(STREAM, HOUR), without_bucket(bare.size()), &[Accepted]);
    assert!(result.is_ok());
    assert_eq!(message(&aws), bare);
    let (aws, result) = deliver(&failed(STREAM, HOUR), without_bucket(bare.size() - 1), &[]);
    assert_eq!(result.unwrap_err().kind(), "MessageTooLarge");
    assert_eq!(calls(&aws), [""; 0]);
}

#[test]
fn a_queue_with_a_lower_limit_of_its_own_gets_the_pointer() {
    let (aws, result) = deliver(&failed(STREAM, HOUR), settings(), &[TooLarge, Accepted, Accepted]);
    let place = result.unwrap().sent[0].overflow.clone().unwrap();
    assert_eq!(calls(&aws), ["send".to_owned(), format!("put {place}"), "send".to_owned()]);
}

#[test]
fn without_a_bucket_a_queue_with_a_lower_limit_may_take_the_message_without_its_view() {
    let (_, bare) = whole_and_bare();
    let (aws, result) = deliver(&failed(STREAM, HOUR), without_bucket(1_048_576), &[TooLarge, Accepted]);
    assert!(result.is_ok());
    assert_eq!((calls(&aws).len(), message(&aws)), (2, bare));
    let (_, result) = deliver(&failed(STREAM, HOUR), without_bucket(1_048_576), &[TooLarge, TooLarge]);
    assert_eq!(result.unwrap_err().kind(), "MessageTooLarge");
}

#[test]
fn short_faults_of_the_bucket_and_the_queue_are_retried() {
    let throttled = || Fault(FaultKind::Throttled);
    let script = [throttled(), Accepted, Fault(FaultKind::Unavailable), throttled(), Accepted];
    let (aws, result) = deliver(&failed(STREAM, HOUR), limited(1024), &script);
    let place = format!("put {}", result.unwrap().sent[0].overflow.clone().unwrap());
    assert_eq!(
        calls(&aws),
        [place.as_str(), "wait 187", place.as_str(), "send", "wait 187", "send", "wait 375", "send"]
    );
}

#[test]
fn no_pointer_is_sent_to_an_object_that_was_refused() {
    let (aws, result) = deliver(&failed(STREAM, HOUR), limited(1024), &[Fault(FaultKind::AccessDenied)]);
    assert_eq!(result.unwrap_err().kind(), "AccessDenied");
    assert_eq!(calls(&aws).len(), 1);
}

/// The folder of the object's key for a changed record.
fn key(change: impl FnOnce(&mut Value)) -> String {
    let mut record = failed(STREAM, HOUR);
    change(&mut record);
    let (_, result) = deliver(&record, limited(700), &[Accepted, Accepted]);
    let sent = result.unwrap().sent.pop().unwrap();
    let key = sent.overflow.unwrap().strip_prefix("s3://overflow/").unwrap().to_owned();
    let (folder, name) = key.rsplit_once('/').unwrap();
    assert!(name.starts_with(&format!("{}-", sent.id)) && name.ends_with("-Complete.json"), "{name}");
    folder.to_owned()
}

#[test]
fn an_object_lies_under_the_function_s_name_and_the_day_of_the_failure() {
    let function = |arn: &'static str| key(|record| record["requestContext"]["functionArn"] = json!(arn));
    assert_eq!(function("arn:aws:lambda:us-east-1:123456789012:function:orders:7"), "hydrated/orders/2026/11/20");
    assert_eq!(function("arn:aws:lambda:us-east-1:123456789012:function:../a b/ü?"), "hydrated/.._a_b___/2026/11/20");
    assert_eq!(function("nonsense"), "hydrated/unknown/2026/11/20");
    let pipe = key(|record| {
        record.as_object_mut().unwrap().remove("requestContext");
        record["context"] = json!({"partnerResourceArn": "arn:aws:pipes:us-east-1:123456789012:pipe/to-orders"});
    });
    assert_eq!(pipe, "hydrated/to-orders/2026/11/20");

    assert_eq!(key(|record| record["timestamp"] = json!("2026-02-03T23:59:59.999Z")), "hydrated/orders/2026/02/03");
    let untimed = |record: &mut Value| drop(record.as_object_mut().unwrap().remove("timestamp"));
    assert_eq!(key(untimed), "hydrated/orders/2026/11/20");
    let timeless = |record: &mut Value| {
        untimed(record);
        record["KinesisBatchInfo"]["approximateArrivalOfLastRecord"] = json!("soon");
    };
    // The same, whenever it is tried again.
    assert_eq!(key(timeless), "hydrated/orders/1970/01/01");
}

#[test]
fn on_a_fifo_queue_a_shard_is_a_group_and_the_id_deduplicates() {
    let fifo = || Settings { fifo: true, ..settings() };
    for (arn, group) in [(STREAM, "orders/shardId-000000000000"), (TABLE, "Orders/shardId-000000000000")] {
        let (aws, result) = deliver(&failed(arn, HOUR), fifo(), &[Accepted]);
        let fifo = message(&aws).fifo.unwrap();
        assert_eq!((fifo.group.as_str(), fifo.deduplication_id), (group, result.unwrap().id));
    }
    // SQS takes 128 characters.
    let mut record = failed(STREAM, HOUR);
    record["KinesisBatchInfo"]["shardId"] = json!("s".repeat(122));
    let group = message(&deliver(&record, fifo(), &[Accepted]).0).fifo.unwrap().group;
    assert_eq!(group, hydration::invocation_record::sha256_hex(&format!("orders/{}", "s".repeat(122))));
    let (aws, _) = deliver(&failed(STREAM, HOUR), Settings { fifo: true, ..limited(1024) }, &[Accepted, Accepted]);
    assert!(message(&aws).fifo.is_some(), "a pointer too");
    assert_eq!(message(&deliver(&failed(STREAM, HOUR), settings(), &[Accepted]).0).fifo, None);
}

#[test]
fn the_attributes_hold_the_fields_to_filter_on() {
    let (aws, result) = deliver(&failed(STREAM, HOUR), settings(), &[Accepted]);
    let text = |text: &str| MessageAttributeValue::String(text.to_owned());
    let expected = [
        ("hydrationId", text(&result.unwrap().id)),
        ("hydrationStatus", text("Complete")),
        ("source", text("kinesis")),
        ("functionArn", text("arn:aws:lambda:us-east-1:123456789012:function:orders:live")),
        ("condition", text("RetryAttemptsExhausted")),
        ("streamArn", text(STREAM)),
        ("shardId", text("shardId-000000000000")),
        ("recordCount", MessageAttributeValue::Number(3)),
    ];
    let message = message(&aws);
    let attributes: Vec<_> =
        message.attributes.iter().map(|attribute| (attribute.name, attribute.value.clone())).collect();
    assert_eq!(attributes, expected);
}

#[test]
fn an_attribute_that_sqs_would_refuse_is_left_out_or_cleaned() {
    let mut record = failed(STREAM, HOUR);
    record["requestContext"]["functionArn"] = json!("");
    record["requestContext"]["condition"] = json!("a\u{0}\u{FFFE}b");
    let (aws, _) = deliver(&record, settings(), &[Accepted]);
    assert_eq!(attribute(&message(&aws), "functionArn"), None);
    assert_eq!(attribute(&message(&aws), "condition"), Some(MessageAttributeValue::String("ab".to_owned())));
    record["requestContext"]["condition"] = json!("ü".repeat(10_000));
    let (aws, _) = deliver(&record, settings(), &[Accepted]);
    let condition = attribute(&message(&aws), "condition").unwrap().text();
    assert!(condition.len() <= 512 && condition.chars().all(|c| c == 'ü'));
}

#[test]
fn a_payload_is_delivered_without_a_call_to_the_stream() {
    let event = |number: u64| json!({"eventSource": "aws:kinesis", "kinesis": {"partitionKey": "k", "sequenceNumber": number.to_string(), "data": "e30="}});
    let mut record = failed(STREAM, HOUR);
    record["payload"] = json!(json!({"Records": [event(10), event(11), event(12)]}).to_string());
    let aws = ScriptedAws::new([Accepted]);
    let hydrated = hydrate(&aws, &record, settings()).unwrap();
    assert_eq!(*aws.log.borrow(), ["send"]);
    let body: Value = serde_json::from_str(&message(&aws).body).unwrap();
    assert_eq!(body["Records"], json!([event(10), event(11), event(12)]));
    assert_eq!((&body["hydration"]["origin"], body.get("payload")), (&json!("payload"), None));
    assert_eq!(hydrated.verdict.status.as_str(), "Complete");
}

#[test]
fn an_incomplete_payload_is_held_against_the_stream_and_the_better_is_delivered() {
    let event = |number: u64| json!({"eventSource": "aws:kinesis", "kinesis": {"partitionKey": "k", "sequenceNumber": number.to_string(), "data": "e30="}});
    // It may hold more than the range, and still not all of it.
    let mut record = failed(STREAM, 25 * HOUR);
    record["payload"] = json!({"Records": [event(9), event(10), event(11)]});
    let stored = |numbers: &[u64]| numbers.iter().map(|number| crate::record(Source::Kinesis, *number)).collect();
    let behind = Some(10 * MINUTE as u64);

    // The stream has the whole batch.
    let aws = ScriptedAws::new([Iterator, Page(stored(&[10, 11, 12]), None), Accepted]);
    let hydrated = hydrate(&aws, &record, settings()).unwrap();
    let body: Value = serde_json::from_str(&message(&aws).body).unwrap();
    assert_eq!((hydrated.verdict.status.as_str(), body["hydration"]["origin"].as_str()), ("Complete", Some("stream")));

    // The stream has one record of it, the payload two.
    let aws = ScriptedAws::new([Iterator, Page(stored(&[12]), behind), Accepted]);
    let hydrated = hydrate(&aws, &record, settings()).unwrap();
    let body: Value = serde_json::from_str(&message(&aws).body).unwrap();
    assert_eq!((hydrated.verdict.status.as_str(), body["hydration"]["origin"].as_str()), ("Partial", Some("payload")));
    assert_eq!(body["Records"], json!([event(10), event(11)]));
    assert_eq!((hydrated.recovered_records, hydrated.verdict.missing), (2, Some(1)));

    // A stream that cannot be read says nothing about its records: the retry will ask again.
    let aws = ScriptedAws::new([Fault(FaultKind::AccessDenied)]);
    assert_eq!(hydrate(&aws, &record, settings()).unwrap_err().kind(), "AccessDenied");
}

#[test]
fn an_object_that_exists_is_not_written_again() {
    let (_, bare) = whole_and_bare();
    let (aws, result) = deliver(&failed(STREAM, HOUR), limited(bare.size() - 1), &[AlreadyExists, Accepted]);
    let place = result.unwrap().sent[0].overflow.clone().unwrap();
    assert_eq!(calls(&aws), [format!("put {place}"), "send".to_owned()]);
    assert!(aws.objects.borrow().is_empty());
}

#[test]
fn a_payload_that_is_no_event_of_the_stream_is_passed_over_and_the_stream_read() {
    for payload in [
        json!("text"),
        json!({"Records": []}),
        json!({"Records": [{"eventSource": "aws:sqs"}]}),
        json!({"Records": [{"eventSource": "aws:kinesis", "kinesis": {"partitionKey": "k", "sequenceNumber": "10", "data": "?"}}]}),
        json!({"Records": [{"eventSource": "aws:kinesis", "kinesis": {"partitionKey": "k", "sequenceNumber": "13", "data": "e30="}}]}),
    ] {
        let mut record = failed(STREAM, HOUR);
        record["payload"] = payload;
        let (aws, result) = deliver(&record, settings(), &[Accepted]);
        assert_eq!(aws.log.borrow()[0], "iterator at 10");
        assert_eq!(result.unwrap().recovered_records, 3);
    }
}
