//! Invocation records in objects, as Lambda's own S3 destination writes them.

use hydration::object_notification::ObjectLocation;

use crate::Reply::{Accepted, Fault, Iterator, Object, Page};
use crate::*;

const KEY: &str = "aws/lambda/6f0/a b+%2Bä";
const PLACE: &str = "s3://failed-batches/aws/lambda/6f0/a b+%2Bä";

fn event(number: u64) -> Value {
    event_of(STREAM, number)
}

fn event_of(stream: &str, number: u64) -> Value {
    json!({
        "kinesis": {"partitionKey": "k", "sequenceNumber": number.to_string(), "data": "e30="},
        "eventSource": "aws:kinesis",
        "eventSourceARN": stream,
    })
}

/// The object of a failed batch of three, 10 to 12, with these event records.
fn object(events: &[Value]) -> Reply {
    let mut record = failed(STREAM, HOUR);
    record["payload"] = json!(json!({ "Records": events }).to_string());
    Object(record.to_string().into_bytes())
}

fn open_and_hydrate(aws: &ScriptedAws) -> Result<Hydrated, HydrateError> {
    let location = ObjectLocation { bucket: "failed-batches".to_owned(), key: KEY.to_owned(), version_id: None };
    hydrate_message(aws, &IncomingMessage::Object(location), settings())
}

fn body(aws: &ScriptedAws) -> Value {
    serde_json::from_str(&aws.queue.borrow()[0].body).unwrap()
}

#[test]
fn the_event_in_an_object_is_delivered_without_a_call_to_the_stream() {
    let aws = ScriptedAws::new([object(&[event(10), event(11), event(12)]), Accepted]);
    open_and_hydrate(&aws).unwrap();
    assert_eq!(*aws.log.borrow(), [format!("object {PLACE}"), "send".to_owned()]);
    let body = body(&aws);
    assert_eq!(body["Records"], json!([event(10), event(11), event(12)]));
    let hydration = &body["hydration"];
    assert_eq!(
        (&hydration["status"], &hydration["origin"], &hydration["object"], body.get("payload")),
        (&json!("Complete"), &json!("payload"), &json!(PLACE), None)
    );
    let text = &aws.queue.borrow()[0].body;
    assert!(text.contains(&format!(r#""origin":"payload","object":"{PLACE}","hydratedAt":"#)), "{text}");
}

#[test]
fn a_record_without_a_usable_payload_goes_the_way_of_the_stream() {
    let without = Object(failed(STREAM, HOUR).to_string().into_bytes());
    let other_stream = "arn:aws:kinesis:us-east-1:123456789012:stream/others";
    let of_another_stream: Vec<Value> = (10..=12).map(|number| event_of(other_stream, number)).collect();
    let one_of_another = [event(10), event_of(other_stream, 11), event(12)];
    for reply in [without, object(&[]), object(&[json!("text")]), object(&of_another_stream), object(&one_of_another)] {
        let stored = (10..=12).map(|number| record(Source::Kinesis, number)).collect();
        let aws = ScriptedAws::new([reply, Iterator, Page(stored, None), Accepted]);
        open_and_hydrate(&aws).unwrap();
        let body = body(&aws);
        let hydration = &body["hydration"];
        assert_eq!((&hydration["origin"], &hydration["object"]), (&json!("stream"), &json!(PLACE)));
    }
}

#[test]
fn a_consumer_and_its_stream_are_one_stream() {
    let consumer = format!("{STREAM}/consumer/fast:1789779975");
    let events: Vec<Value> = (10..=12).map(|number| event_of(&consumer, number)).collect();
    let aws = ScriptedAws::new([object(&events), Accepted]);
    open_and_hydrate(&aws).unwrap();
    assert_eq!(body(&aws)["hydration"]["origin"], "payload");
}

#[test]
fn an_object_that_is_no_invocation_record_is_named_and_not_quoted() {
    for content in ["", "secret", r#"{"secret":1}"#, r#"{"KinesisBatchInfo":{"streamArn":"secret"}}"#] {
        let aws = ScriptedAws::new([Object(content.as_bytes().to_vec()), Accepted]);
        let hydrated = open_and_hydrate(&aws).unwrap();
        let body = body(&aws);
        assert_eq!(body["unrecognized"], json!({ "object": PLACE }), "{content}");
        assert_eq!((&body["hydration"]["object"], &body["Records"]), (&json!(PLACE), &json!([])));
        let reason = hydrated.verdict.reason.unwrap();
        let start = format!("The object {PLACE} is not an invocation record of a failed stream batch: ");
        assert!(reason.starts_with(&start), "{reason}");
        assert!(!aws.queue.borrow()[0].body.contains("secret"), "{content}");
    }
}

#[test]
fn a_fault_that_passes_is_retried_and_another_is_an_error() {
    let whole = object(&[event(10), event(11), event(12)]);
    let aws = ScriptedAws::new([Fault(FaultKind::Throttled), Fault(FaultKind::Unavailable), whole, Accepted]);
    open_and_hydrate(&aws).unwrap();
    assert_eq!(aws.log.borrow().iter().filter(|call| call.starts_with("object ")).count(), 3);
    for (kind, expected) in [
        (FaultKind::AccessDenied, "AccessDenied"),
        (FaultKind::KeyUnavailable, "KeyUnavailable"),
        (FaultKind::Refused, "RequestRefused"),
    ] {
        let aws = ScriptedAws::new([Fault(kind)]);
        assert_eq!(open_and_hydrate(&aws).unwrap_err().kind(), expected);
    }
}

#[test]
fn an_object_of_more_than_32_mib_is_an_error_and_one_of_30_mb_is_read() {
    let aws = ScriptedAws::new([Object(vec![b' '; 33 * 1024 * 1024])]);
    let error = open_and_hydrate(&aws).unwrap_err();
    assert_eq!(error.kind(), "ObjectTooLarge");
    assert!(error.to_string().starts_with(&format!("{PLACE} has more than 33554432 bytes")), "{error}");
    let aws = ScriptedAws::new([Object(vec![b' '; 30_000_000]), Accepted]);
    assert_eq!(open_and_hydrate(&aws).unwrap().verdict.status.as_str(), "Unrecognized");
}

#[test]
fn the_rest_of_a_range_keeps_the_object_of_its_first_part() {
    let mut rest = failed(STREAM, HOUR);
    rest["hydrationContinuation"] = json!({
        "version": 1, "after": "11", "parts": 1, "recoveredRecords": 2, "fromStart": true, "object": PLACE,
    });
    let stored = [11, 12].map(|number| record(Source::Kinesis, number)).to_vec();
    let aws = ScriptedAws::new([Iterator, Page(stored, None), Accepted]);
    hydrate(&aws, &rest, settings()).unwrap();
    let body = body(&aws);
    assert_eq!((&body["hydration"]["object"], &body["hydration"]["part"]["number"]), (&json!(PLACE), &json!(2)));
    assert!(body.get("hydrationContinuation").is_none());
}

#[test]
fn a_record_that_is_twice_in_a_payload_does_not_count_for_a_missing_one() {
    let events = [event(10), event(10), event(12)];
    let stored: Vec<_> = (10..=12).map(|number| record(Source::Kinesis, number)).collect();
    let aws = ScriptedAws::new([object(&events), Iterator, Page(stored, None), Accepted]);
    assert_eq!(open_and_hydrate(&aws).unwrap().verdict.status.as_str(), "Complete");
    assert_eq!(body(&aws)["hydration"]["origin"], "stream");
    // Where the stream has nothing left, each record is delivered once.
    let gone = [object(&events), Reply::Rejected(Rejection::NotFound), Reply::Rejected(Rejection::NotFound), Accepted];
    let aws = ScriptedAws::new(gone);
    let hydrated = open_and_hydrate(&aws).unwrap();
    assert_eq!((hydrated.verdict.status.as_str(), hydrated.verdict.missing), ("Partial", Some(1)));
    assert_eq!(body(&aws)["Records"], json!([event(10), event(12)]));
}

#[test]
fn a_payload_is_delivered_in_the_shard_s_order() {
    let aws = ScriptedAws::new([object(&[event(12), event(10), event(11)]), Accepted]);
    open_and_hydrate(&aws).unwrap();
    let body = body(&aws);
    assert_eq!(body["Records"], json!([event(10), event(11), event(12)]));
    let hydration = &body["hydration"];
    assert_eq!(
        (&hydration["status"], &hydration["firstSequenceNumber"], &hydration["lastSequenceNumber"]),
        (&json!("Complete"), &json!("10"), &json!("12"))
    );
}

#[test]
fn the_user_records_of_an_aggregate_share_a_number_and_are_all_delivered() {
    let consumer = format!("{STREAM}/consumer/fast:1789779975");
    let events: Vec<Value> = [10, 11, 11, 12].into_iter().map(|number| event_of(&consumer, number)).collect();
    let mut record = failed(&consumer, HOUR);
    record["KinesisBatchInfo"]["batchSize"] = json!(4);
    record["payload"] = json!(json!({ "Records": events }).to_string());
    let aws = ScriptedAws::new([Object(record.to_string().into_bytes()), Accepted]);
    assert_eq!(open_and_hydrate(&aws).unwrap().verdict.status.as_str(), "Complete");
    assert_eq!(body(&aws)["Records"], json!(events));
}

#[test]
fn a_whole_payload_is_one_message_even_behind_a_continuation() {
    let mut record = failed(STREAM, HOUR);
    record["payload"] = json!(json!({ "Records": [event(10), event(11), event(12)] }).to_string());
    record["hydrationContinuation"] =
        json!({"version": 1, "after": "10", "parts": 1, "recoveredRecords": 1, "fromStart": true});
    let aws = ScriptedAws::new([Object(record.to_string().into_bytes()), Accepted]);
    let hydrated = open_and_hydrate(&aws).unwrap();
    let body = body(&aws);
    assert_eq!((&body["hydration"]["id"], body["hydration"].get("part")), (&json!(hydrated.id), None));
    assert_eq!((body["Records"].as_array().unwrap().len(), hydrated.recovered_records), (3, 3));
}
