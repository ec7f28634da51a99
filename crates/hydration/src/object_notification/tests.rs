use serde_json::{Value, json};

use super::*;

fn s3_record(event_name: &str, key: &str) -> Value {
    json!({
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventName": event_name,
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": {"name": "failed-batches", "arn": "arn:aws:s3:::failed-batches"},
            "object": {"key": key, "size": 1024, "eTag": "d41d8cd98f00b204e9800998ecf8427e", "sequencer": "0A1B"},
        },
    })
}

fn eventbridge(detail_type: &str, key: &str) -> Value {
    json!({
        "version": "0",
        "source": "aws.s3",
        "detail-type": detail_type,
        "detail": {"version": "0", "bucket": {"name": "failed-batches"}, "object": {"key": key, "size": 5}},
    })
}

fn found(event: &Value) -> Option<Vec<Result<ObjectLocation, InvalidNotification>>> {
    new_objects(&Object::from_str(&event.to_string()).unwrap())
}

/// The keys of the new objects.
fn keys(event: &Value) -> Vec<String> {
    found(event).unwrap().into_iter().map(|object| object.unwrap().key).collect()
}

#[test]
fn a_key_is_decoded_in_s3_s_own_event_and_taken_as_it_is_from_eventbridge() {
    for (encoded, key) in [
        ("aws/lambda/2026-11-21T03.00.00-a", "aws/lambda/2026-11-21T03.00.00-a"),
        ("a+b", "a b"),
        ("a%2Bb", "a+b"),
        ("a%20b%2520", "a b%20"),
        ("%C3%A4%E2%82%AC%F0%9F%98%80", "ä€😀"),
        ("ä€", "ä€"),
        // No escape of S3's: what follows is kept.
        ("100%", "100%"),
        ("%zz", "%zz"),
    ] {
        let event = json!({"Records": [s3_record("ObjectCreated:Put", encoded)]});
        assert_eq!(keys(&event), [key], "{encoded}");
        assert_eq!(keys(&eventbridge("Object Created", encoded)), [encoded]);
    }
}

#[test]
fn the_place_is_shown_with_the_key_as_it_is() {
    let event = json!({"Records": [s3_record("ObjectCreated:Put", "a+b%2B%C3%A4")]});
    let object = found(&event).unwrap().remove(0).unwrap();
    assert_eq!(object.to_string(), "s3://failed-batches/a b+ä");
}

#[test]
fn a_version_is_kept_and_an_empty_one_is_none() {
    for (version, expected) in [(json!("v 1"), Some("v 1")), (json!(""), None), (json!(null), None)] {
        let mut record = s3_record("ObjectCreated:Put", "k");
        record["s3"]["object"]["versionId"] = version.clone();
        let object = found(&json!({"Records": [record]})).unwrap().remove(0).unwrap();
        assert_eq!(object.version_id.as_deref(), expected);
        let mut event = eventbridge("Object Created", "k");
        event["detail"]["object"]["version-id"] = version;
        assert_eq!(found(&event).unwrap().remove(0).unwrap().version_id.as_deref(), expected);
    }
}

#[test]
fn every_way_to_create_an_object_counts_and_nothing_else() {
    let event = json!({"Records": [
        s3_record("ObjectCreated:Put", "a"),
        s3_record("ObjectRemoved:Delete", "b"),
        s3_record("ObjectCreated:CompleteMultipartUpload", "c"),
        s3_record("LifecycleExpiration:Delete", "d"),
        s3_record("s3:ObjectCreated:Copy", "e"),
        s3_record("ObjectRestore:Completed", "f"),
        s3_record("ObjectTagging:Put", "g"),
    ]});
    assert_eq!(keys(&event), ["a", "c", "e"]);
    let removed = json!({"Records": [s3_record("ObjectRemoved:DeleteMarkerCreated", "a")]});
    for nothing in [removed, eventbridge("Object Deleted", "a"), eventbridge("Object Tags Added", "a")] {
        assert_eq!(found(&nothing), Some(vec![]), "{nothing}");
    }
}

#[test]
fn the_test_event_announces_nothing() {
    let event = json!({
        "Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2026-11-21T03:00:00.000Z",
        "Bucket": "failed-batches", "RequestId": "5582815E1AEA5ADF", "HostId": "8cLeGAmw098X5cv4Zkwcmo8vvZa3eH3e",
    });
    assert_eq!(found(&event), Some(vec![]));
}

#[test]
fn what_is_no_notification_is_left_alone() {
    for event in [
        json!({}),
        json!({"Records": []}),
        json!({"Records": "aws:s3"}),
        json!({"Records": [{"eventSource": "aws:sqs", "body": "{}"}]}),
        json!({"Records": [s3_record("ObjectCreated:Put", "k"), {"eventSource": "aws:sqs"}]}),
        json!({"Service": "Amazon S3", "Event": "s3:Other"}),
        json!({"source": "aws.s3"}),
        json!({"source": "aws.ec2", "detail-type": "Object Created", "detail": {}}),
    ] {
        assert_eq!(found(&event), None, "{event}");
    }
}

#[test]
fn a_notification_that_names_no_object_is_invalid_and_does_not_stop_its_neighbours() {
    let with = |pointer: &str, value: Value| {
        let mut record = s3_record("ObjectCreated:Put", "k");
        *record.pointer_mut(pointer).unwrap() = value;
        record
    };
    let invalid = [
        with("/s3/object/key", json!("")),
        with("/s3/object/key", json!(7)),
        with("/s3/object/key", json!("%FF")),
        with("/s3/object/key", json!("k".repeat(1025))),
        with("/s3/bucket", json!(null)),
        with("/s3/bucket/name", json!("")),
        with("/s3/bucket/name", json!("arn:aws:s3:us-east-1:123456789012:accesspoint/a")),
        with("/s3/bucket/name", json!("evil.example/#")),
        with("/s3/bucket/name", json!("..")),
        with("/s3", json!("text")),
    ];
    for record in invalid {
        let event = json!({"Records": [record, s3_record("ObjectCreated:Put", "good")]});
        let objects = found(&event).unwrap();
        assert_eq!(objects[0], Err(InvalidNotification), "{record}");
        assert_eq!(objects[1].as_ref().unwrap().key, "good");
    }
    let mut event = eventbridge("Object Created", "k");
    event["detail"] = json!("text");
    assert_eq!(found(&event), Some(vec![Err(InvalidNotification)]));
}
