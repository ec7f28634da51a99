//! The archive in the place of the queue.

mod status;

use std::time::Duration;

use hydration::timestamp::Timestamp;
use insta::assert_snapshot;

use super::{TestBatch, TestPart, batch, expired};
use crate::ports::QueueAttributes;
use crate::test_support::bucket::WriteIf;
use crate::test_support::clock::START;
use crate::test_support::function::{failed, returned};
use crate::test_support::tool::Tool;

const ARCHIVE: &str = "--archive s3://overflow/hydrated/";

/// An archive with a message of every kind, and an empty queue.
fn archive() -> Tool {
    let tool = Tool::default();
    tool.bucket.now.set(Timestamp::parse(START));
    let part = |digest, number, is_last| TestBatch {
        part: Some(TestPart { digest, number, is_last }),
        status: "Superset",
        first: 200 + 10 * u64::from(number),
        failed_minutes_ago: Some(120),
        ..batch("3c")
    };
    let order = batch("5e");
    for message in [
        TestBatch { status: "Partial", records: order.records[..1].to_vec(), expected: Some(2), ..order.clone() },
        order,
        part("fedcba9876543210", 1, false),
        part("0123456789abcdef", 2, true),
        TestBatch { function: "stock-mirror", shard: 2, failed_minutes_ago: Some(3 * 24 * 60), ..batch("4d") },
        TestBatch { first: 50, failed_minutes_ago: Some(400 * 24 * 60), ..expired("6f") },
        TestBatch { shard: 1, failed_minutes_ago: None, ..batch("7a") },
    ] {
        message.archive(&tool.bucket);
    }
    tool.bucket.put("hydrated/order-projector/notes.txt", "hello", WriteIf::Absent);
    tool
}

fn ids(run: &crate::test_support::tool::ToolRun) -> Vec<String> {
    let ids = run.json().into_iter().filter_map(|line| Some(line.get("id")?.as_str()?.to_owned()));
    ids.collect()
}

#[tokio::test]
async fn the_list_of_an_archive_is_that_of_a_queue() {
    let tool = archive();
    assert_snapshot!(tool.run(&format!("list {ARCHIVE}")).await.text());
}

#[tokio::test]
async fn a_command_that_looks_reads_the_archive_and_changes_nothing() {
    let tool = archive();
    let objects = tool.bucket.len();
    let folder = tool.state.path().join("out").display().to_string();
    for (line, code, found) in [
        ("status".to_owned(), 3, "incidents"),
        ("show 5e".to_owned(), 0, "RetryAttemptsExhausted"),
        ("show 5e --raw".to_owned(), 0, "\"Complete\""),
        ("isolate 5e".to_owned(), 0, "archive s3://overflow/hydrated/ of the queue hydrated"),
        ("replay --all".to_owned(), 3, "archive s3://overflow/hydrated/ of the queue hydrated"),
        (format!("export --all --to {folder}"), 3, ".json"),
        (format!("report --to {folder}/incident.html"), 3, "incident.html"),
    ] {
        let run = tool.run(&format!("{line} {ARCHIVE}")).await;
        assert_eq!(run.code, code, "{line}: {}", run.text());
        assert!(run.answers.contains(found), "{line}: {}", run.text());
    }
    assert_eq!(tool.bucket.len(), objects);
    assert!(tool.function.invocations().is_empty());
}

#[tokio::test]
async fn an_id_costs_the_reads_of_its_own_objects() {
    let tool = archive();
    let run = tool.run("list --archive stack -o json").await;
    assert_eq!(ids(&run).len(), 6);
    let before = tool.bucket.reads.get();
    let run = tool.run("show --archive stack 4d --raw").await;
    assert!(run.answers.contains("stock-mirror"), "{}", run.text());
    // The object, the one whose name says nothing, and the whole of the first.
    assert_eq!(tool.bucket.reads.get() - before, 3);
    let run = tool.run(&format!("show {ARCHIVE} ffff")).await;
    assert_eq!(run.code, 1);
    assert!(run.notes.contains("no message ffff is in the archive s3://overflow/hydrated/"), "{}", run.notes);
}

#[tokio::test]
async fn a_filter_shows_of_an_archive_what_it_shows_of_a_queue() {
    let tool = Tool::default();
    tool.bucket.now.set(Timestamp::parse(START));
    let functions = ["order-projector", "stock-mirror", "order"];
    let statuses = ["Complete", "Partial", "Superset"];
    let names = ["1a", "2b", "3c", "4d", "5e", "6f", "7a", "8b", "9c", "ad"];
    let mut random = fastrand::Rng::with_seed(13);
    for id in names {
        let function = functions[random.usize(..3)];
        let minutes = [None, Some(random.i64(0..60 * 24 * 40)), Some(60 * 12 - 1), Some(60 * 12)][random.usize(..4)];
        // One batch may have several objects; it then lies on the queue several times.
        for copy in 0..random.u64(1..3) {
            let records = vec!["{}".to_owned(); usize::try_from(copy).unwrap() + 1];
            let shard = random.usize(..2);
            let status = statuses[random.usize(..3)];
            let message = TestBatch {
                function,
                failed_minutes_ago: minutes,
                records,
                status,
                shard,
                expected: Some(4),
                ..batch(id)
            };
            message.archive(&tool.bucket);
            tool.queue.send(message.message());
        }
    }
    let mut shown = 0;
    for _ in 0..300 {
        let mut line = "list -o json".to_owned();
        if random.bool() {
            line += &format!(" --function {}", functions[random.usize(..3)]);
        }
        if random.bool() {
            line += &format!(" --status {}", statuses[random.usize(..3)]);
        }
        let since = random.i64(60..60 * 24 * 40);
        line +=
            [String::new(), format!(" --since {since}m"), " --since 2026-11-21".to_owned()][random.usize(..3)].as_str();
        line += [String::new(), format!(" --until {}m", since / 2), " --until 2026-11-21".to_owned()]
            [random.usize(..3)]
        .as_str();
        if random.u8(..4) == 0 {
            line += &format!(" --limit {}", random.u8(1..4));
        }
        let (queue, archive) = (tool.run(&line).await, tool.run(&format!("{line} {ARCHIVE}")).await);
        assert_eq!(ids(&archive), ids(&queue), "{line}");
        assert_eq!(archive.code, queue.code, "{line}: {}", archive.notes);
        shown += ids(&queue).len();
    }
    assert!(shown > 300, "{shown}");
}

#[tokio::test]
async fn what_ran_from_the_archive_is_done_for_the_queue() {
    let tool = Tool::default();
    for id in ["1a", "2b"] {
        let message = TestBatch { shard: usize::from(id == "2b"), ..batch(id) };
        message.archive(&tool.bucket);
        tool.queue.send(message.message());
    }
    tool.function.always(|_| returned("{}"));
    let run = tool.run(&format!("replay --all --execute {ARCHIVE}")).await;
    assert_eq!(run.code, 0, "{}", run.text());
    assert_eq!(tool.function.invocations().len(), 2);
    assert!(run.answers.contains("the message is kept"), "{}", run.answers);
    assert_eq!((tool.bucket.len(), tool.queue.counts().visible), (2, 2));
    let run = tool.run("replay --all --execute").await;
    assert_eq!((run.code, tool.queue.counts().visible), (0, 0), "{}", run.text());
    assert_eq!(tool.function.invocations().len(), 2);
}

#[tokio::test]
async fn what_ran_from_the_queue_is_done_for_the_archive() {
    let tool = Tool::default();
    let message = batch("1a");
    message.archive(&tool.bucket);
    tool.queue.send(message.message());
    tool.function.always(|_| returned("{}"));
    assert_eq!(tool.run("replay --all --execute").await.code, 0);
    for _ in 0..2 {
        let run = tool.run(&format!("replay --all --execute {ARCHIVE}")).await;
        assert!(run.code == 0 && run.answers.contains("nothing is left to do"), "{}", run.text());
    }
    assert_eq!((tool.function.invocations().len(), tool.bucket.len()), (1, 1));
}

#[tokio::test]
async fn what_was_discarded_from_the_queue_runs_by_its_id_alone_and_holds_nothing_back() {
    let tool = Tool::default();
    let later = TestBatch { first: 200, ..batch("2b") };
    for message in [&batch("1a"), &later] {
        message.archive(&tool.bucket);
    }
    tool.queue.send(batch("1a").message());
    assert_eq!(tool.run("discard 1a --execute").await.code, 0);
    tool.function.always(|_| returned("{}"));
    let run = tool.run(&format!("replay --all --execute {ARCHIVE}")).await;
    assert!(run.code == 3 && run.answers.contains("discarded from the queue"), "{}", run.text());
    let events: Vec<String> = tool.function.invocations().into_iter().map(|invoked| invoked.event).collect();
    assert_eq!(events, [later.event()]);
    assert_eq!(tool.run(&format!("replay 1a --execute {ARCHIVE}")).await.code, 0);
    assert_eq!(tool.function.invocations().len(), 2);
}

#[tokio::test]
async fn of_two_objects_of_a_batch_each_record_runs_once() {
    let tool = Tool::default();
    let whole = batch("5e");
    let partial =
        TestBatch { status: "Partial", records: whole.records[..1].to_vec(), expected: Some(2), ..whole.clone() };
    partial.archive(&tool.bucket);
    tool.function.always(|_| returned("{}"));
    let replay = format!("replay --all --execute {ARCHIVE}");
    assert_eq!(tool.run(&replay).await.code, 0);
    whole.archive(&tool.bucket);
    assert_eq!(tool.run(&replay).await.code, 0);
    assert_eq!(tool.run(&replay).await.code, 0);
    let events: Vec<String> = tool.function.invocations().into_iter().map(|invoked| invoked.event).collect();
    assert_eq!(events.len(), 2);
    assert!(events[0].contains("\"100\"") && !events[0].contains("\"101\""), "{events:?}");
    assert!(!events[1].contains("\"100\"") && events[1].contains("\"101\""), "{events:?}");
}

#[tokio::test]
async fn a_shard_keeps_its_order() {
    let tool = Tool::default();
    for (id, first) in [("2b", 200), ("1a", 100)] {
        TestBatch { first, ..batch(id) }.archive(&tool.bucket);
    }
    tool.function.always(|_| failed("KeyError", "card"));
    let run = tool.run(&format!("replay --all --execute {ARCHIVE}")).await;
    assert_eq!((run.code, tool.function.invocations().len()), (3, 1), "{}", run.text());
    assert!(run.answers.contains("behind 1a1a1a1a1a1a"), "{}", run.answers);
    // A filter by status leaves the first one unread by nobody.
    let run = tool.run(&format!("replay --all --status Complete --until 30m {ARCHIVE}")).await;
    assert!(run.notes.contains("the order is kept among the batches that are read"), "{}", run.notes);
}

#[tokio::test]
async fn a_batch_of_another_status_holds_back_those_behind_it() {
    let tool = Tool::default();
    TestBatch { first: 100, status: "Partial", expected: Some(3), ..batch("1a") }.archive(&tool.bucket);
    TestBatch { first: 200, ..batch("2b") }.archive(&tool.bucket);
    let run = tool.run(&format!("replay --all --status Complete --execute {ARCHIVE}")).await;
    assert!(run.answers.contains("behind 1a1a1a1a1a1a"), "{}", run.text());
    assert!(tool.function.invocations().is_empty());
}

#[tokio::test]
async fn a_command_that_has_no_use_for_an_archive_says_why() {
    let tool = archive();
    for (line, reason) in [
        ("discard --all", "nothing is deleted from an archive"),
        ("hydrate --from-queue q", "its messages are hydrated already"),
        ("doctor", "doctor checks the stack"),
        ("replay --all --keep", "--keep and --delete are for a queue"),
        ("replay --all --on f --delete", "--keep and --delete are for a queue"),
    ] {
        let run = tool.run(&format!("{line} {ARCHIVE}")).await;
        assert_eq!(run.code, 2, "{line}");
        assert!(run.notes.contains(reason), "{line}: {}", run.notes);
    }
    let run = tool.run("show --archive 4f1c").await;
    assert_eq!(run.code, 2);
    assert!(run.notes.contains("an id comes after it"), "{}", run.notes);
}

#[tokio::test]
async fn without_a_queue_a_look_goes_on_and_a_replay_does_not() {
    let mut tool = archive();
    tool.is_queue_unknown = true;
    let run = tool.run(&format!("list {ARCHIVE} --function stock-mirror")).await;
    assert_eq!(run.code, 3);
    assert!(run.answers.contains("4d4d4d4d4d4d"), "{}", run.answers);
    assert!(run.notes.contains("what was replayed before is not shown"), "{}", run.notes);
    let run = tool.run(&format!("replay --all --execute {ARCHIVE}")).await;
    assert!(run.code == 1 && run.notes.contains("the queue is not known"), "{}", run.text());
    assert!(tool.function.invocations().is_empty());
}

#[tokio::test]
async fn an_object_that_cannot_be_read_is_counted_and_stops_a_replay() {
    let tool = archive();
    tool.bucket.denies_reads.set(true);
    let run = tool.run(&format!("list {ARCHIVE} --function stock-mirror")).await;
    assert_eq!(run.code, 3);
    assert!(run.answers.contains("1 message not readable in the bucket"), "{}", run.text());
    let run = tool.run(&format!("replay --all --execute {ARCHIVE}")).await;
    assert_eq!(run.code, 1);
    assert!(run.notes.contains("one may be an earlier batch of a shard"), "{}", run.notes);
    tool.bucket.denies_lists.set(true);
    let run = tool.run(&format!("list {ARCHIVE}")).await;
    assert!(run.code == 1 && run.notes.contains("s3:ListBucket"), "{}", run.notes);
}

#[tokio::test]
async fn an_empty_archive_is_not_called_an_empty_queue() {
    let tool = Tool::default();
    for line in ["list", "status"] {
        let run = tool.run(&format!("{line} {ARCHIVE}")).await;
        assert_eq!(run.code, 0);
        assert!(run.answers.contains("is in the archive s3://overflow/hydrated/"), "{}", run.answers);
    }
}

#[tokio::test]
async fn a_listing_that_hangs_is_stopped_within_two_seconds() {
    let tool = archive();
    tool.bucket.is_hanging.set(true);
    for line in ["list", "replay --all --execute"] {
        let (run, _) = tool.run_and_interrupt(&format!("{line} {ARCHIVE}"), Duration::from_millis(100)).await;
        assert_eq!(run.code, 130, "{line}: {}", run.text());
        // No message of an archive is ever held.
        assert!(line != "list" || run.notes.contains("nothing in the archive was changed"), "{}", run.notes);
    }
}

#[tokio::test]
async fn an_id_is_not_called_absent_from_folders_that_were_not_looked_at() {
    let tool = archive();
    let folder = tool.state.path().join("out").display().to_string();
    for line in [
        "replay 4d --function order-projector".to_owned(),
        "replay 4d --since 2h".to_owned(),
        format!("export 4d --until 2026-11-01 --to {folder}"),
    ] {
        let run = tool.run(&format!("{line} {ARCHIVE}")).await;
        assert_eq!(run.code, 3, "{line}: {}", run.text());
        assert!(run.notes.contains("that --function, --since and --until choose"), "{line}: {}", run.notes);
    }
    tool.bucket.denies_reads.set(true);
    let run = tool.run(&format!("show ffff {ARCHIVE}")).await;
    assert_eq!(run.code, 3, "{}", run.text());
    assert!(run.notes.contains("but 1 object of it is not readable for now"), "{}", run.notes);
}

#[tokio::test]
async fn a_dry_run_says_that_an_unreadable_object_stops_the_run() {
    let tool = archive();
    tool.bucket.denies_reads.set(true);
    let run = tool.run(&format!("replay --all {ARCHIVE}")).await;
    assert_eq!(run.code, 3, "{}", run.text());
    assert!(run.notes.contains("--execute would run nothing: 8 objects"), "{}", run.notes);
    let run = tool.run(&format!("replay --all --keep-going {ARCHIVE}")).await;
    assert!(!run.notes.contains("would run nothing"), "{}", run.notes);
}

#[tokio::test]
async fn a_broken_object_is_not_called_filtered_and_may_be_an_earlier_batch() {
    let tool = Tool::default();
    let (first, second) = (batch("1a"), TestBatch { first: 200, ..batch("2b") });
    tool.bucket.put(&first.archive_key(), &first.body().as_bytes()[..300], WriteIf::Absent);
    second.archive(&tool.bucket);
    tool.function.always(|_| returned("{}"));
    let run = tool.run(&format!("list {ARCHIVE} --function order-projector")).await;
    assert_eq!(run.code, 3, "{}", run.text());
    assert!(run.notes.contains(&first.archive_key()), "{}", run.notes);
    let run = tool.run(&format!("replay --all --execute {ARCHIVE}")).await;
    assert_eq!((run.code, tool.function.invocations().len()), (1, 0), "{}", run.text());
    let run = tool.run(&format!("replay --all --execute --keep-going {ARCHIVE}")).await;
    assert_eq!((run.code, tool.function.invocations().len()), (3, 1), "{}", run.text());
}
