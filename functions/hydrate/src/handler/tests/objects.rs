//! Events that name objects.

use super::*;

fn s3(keys: &[&str]) -> Value {
    let record = |key: &&str| {
        json!({
            "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": "failed-batches"}, "object": {"key": key}},
        })
    };
    json!({"Records": keys.iter().map(record).collect::<Vec<_>>()})
}

#[tokio::test(start_paused = true)]
async fn every_object_of_a_notification_is_tried_and_one_that_fails_fails_the_event() {
    let aws = NamedShards::new();
    let event = s3(&["record/good-1", "denied/x", "record/good-2", "text/x"]);
    assert_eq!(error_type(aws.invoke(&event).await), "AccessDenied");
    assert_eq!(aws.attributes("hydrationStatus"), ["Complete", "Complete", "Unrecognized"]);
    for (key, expected) in [
        ("missing/x", "RequestRefused"),
        ("large/x", "ObjectTooLarge"),
        ("hydrated/x", "AlreadyHydrated"),
        ("hanging/x", "DeadlineReached"),
        ("record/throttled-1", "Throttled"),
    ] {
        let aws = NamedShards::new();
        assert_eq!(error_type(aws.invoke(&s3(&[key])).await), expected, "{key}");
        assert!(aws.outbox.queue.borrow().is_empty(), "{key}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_sqs_response_names_the_messages_whose_objects_failed() {
    let aws = NamedShards::new();
    let (good, large) = (s3(&["record/good-1"]).to_string(), s3(&["record/good-2", "large/x"]).to_string());
    let hanging = s3(&["hanging/x"]).to_string();
    assert_eq!(failures(aws.invoke(&sqs(&[&hanging, &good, &large])).await), ["0", "2"]);
    assert_eq!(aws.shards(), ["good-1", "good-2"]);
}

#[tokio::test(start_paused = true)]
async fn a_notification_without_an_object_is_answered_without_batches() {
    let removed = json!({"Records": [{
        "eventSource": "aws:s3", "eventName": "ObjectRemoved:Delete",
        "s3": {"bucket": {"name": "failed-batches"}, "object": {"key": "record/good-1"}},
    }]});
    let test_event = json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "failed-batches"});
    for event in [removed, test_event] {
        let aws = NamedShards::new();
        assert_eq!(aws.invoke(&event).await.unwrap(), json!({"batches": []}));
        assert_eq!(aws.invoke(&sns(&[&event.to_string()])).await.unwrap(), json!({"batches": []}));
        assert_eq!(failures(aws.invoke(&sqs(&[&event.to_string()])).await), [""; 0]);
        assert!(aws.outbox.queue.borrow().is_empty());
    }
}
