//! `status` on a queue: when its messages are lost, and what the archive has of them.

use super::*;

#[tokio::test]
async fn status_says_when_the_first_is_lost_and_what_the_archive_has() {
    let retention = Some(Duration::from_secs(14 * 24 * 3600));
    let mut tool = Tool::with_queue(QueueAttributes { retention, ..QueueAttributes::default() });
    let part = TestBatch {
        part: Some(TestPart { digest: "0123456789abcdef", number: 1, is_last: true }),
        status: "Superset",
        ..batch("3c")
    };
    let other_day = TestBatch { failed_minutes_ago: Some(3 * 24 * 60), ..batch("4d") };
    for message in [&batch("1a"), &batch("2b"), &part, &other_day] {
        tool.queue.send(message.message());
    }
    for message in [&batch("1a"), &part, &TestBatch { status: "Partial", expected: Some(4), ..other_day.clone() }] {
        message.archive(&tool.bucket);
    }
    let steps = async |tool: &Tool| tool.run("status").await.answers;
    let answers = steps(&tool).await;
    assert!(answers.contains("in 14d") && !answers.contains("archive"), "{answers}");
    tool.knows_bucket = true;
    let answers = steps(&tool).await;
    assert!(answers.contains("in 14d; the archive has 2 messages, and 2 are not in it"), "{answers}");
    let json = tool.run("status -o json").await.json();
    let retention = json.iter().find_map(|line| line.get("retention")).unwrap();
    let expected = serde_json::json!({
        "firstLostAt": "2026-12-05T12:00:00.000Z", "archived": 2, "notArchived": 2, "notChecked": 0
    });
    assert_eq!(*retention, expected);
    // The folders of two days, and a batch alone in its folder.
    assert_eq!(tool.bucket.lists.get(), 4);
    tool.bucket.denies_lists.set(true);
    let answers = steps(&tool).await;
    assert!(answers.contains("4 messages were not looked up in the archive: s3:ListBucket: AccessDenied"), "{answers}");
}

#[tokio::test]
async fn status_finds_the_object_of_a_pointer_that_may_not_be_read() {
    let retention = Some(Duration::from_secs(14 * 24 * 3600));
    let mut tool = Tool::with_queue(QueueAttributes { retention, ..QueueAttributes::default() });
    tool.knows_bucket = true;
    let (there, gone) = (batch("1a"), batch("2b"));
    for message in [&there, &gone] {
        tool.queue.send(message.archived_message(&tool.bucket));
    }
    tool.bucket.denies_reads.set(true);
    let answers = tool.run("status").await.answers;
    assert!(answers.contains("the archive has all 2 messages"), "{answers}");
    tool.bucket.denies_reads.set(false);
    tool.bucket.delete(&gone.archive_key());
    let answers = tool.run("status").await.answers;
    assert!(answers.contains("the archive has 1 message, and 1 are not in it"), "{answers}");
}
