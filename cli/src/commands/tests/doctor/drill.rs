//! Drills on the in-memory shard, hydrator and queue.

mod route;
mod stopped;

use std::time::Duration;

use insta::assert_snapshot;
use serde_json::Value;

use super::{deployment, mapping, mapping_to};
use crate::commands::tests::all_visible;
use crate::ports::{Queue, QueueAttributes, StreamMapping};
use crate::test_support::messages::{TestBatch, batch};
use crate::test_support::queue::NewMessage;
use crate::test_support::tool::{Tool, ToolRun};

const STREAM: &str = "arn:aws:kinesis:us-east-1:123456789012:stream/orders";
const DRILL: &str = "doctor --drill --stream arn:aws:kinesis:us-east-1:123456789012:stream/orders";

fn to_bucket() -> Tool {
    let mut tool = deployment(14);
    tool.deployment.mappings.streams = vec![mapping_to("sound", "arn:aws:s3:::failed-batches")];
    tool
}

/// The lines of a drill in JSON, which may have no record in them.
async fn drill(tool: &Tool, flags: &str) -> (ToolRun, Vec<Value>) {
    let run = tool.run(&format!("{DRILL} -o json {flags}")).await;
    assert!(!run.text().contains("secret"), "{}", run.text());
    let lines = run.json();
    (run, lines)
}

/// The findings of a drill that are problems, as "subject: finding → change".
fn problems(lines: &[Value]) -> Vec<String> {
    let text = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    let bad = lines.iter().filter(|line| line["grade"] == "problem" && line["subject"] != "drill");
    bad.map(|line| format!("{}: {} → {}", text(line, "subject"), text(line, "finding"), text(line, "change"))).collect()
}

fn facts(lines: &[Value]) -> &Value {
    &lines.last().unwrap()["drill"]
}

/// The id of the drill's batch, whatever became of it.
fn id(lines: &[Value]) -> &str {
    facts(lines)["id"].as_str().unwrap()
}

/// The text with the ids that each drill has of its own left out.
fn without_ids(text: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for line in text.lines() {
        let masked = line.split(' ').map(|word| {
            let hex = word.bytes().filter(|byte| byte.is_ascii_hexdigit()).count();
            if hex >= 64 && word.len() <= 66 { "<id>".to_owned() } else { word.to_owned() }
        });
        words.push(masked.collect::<Vec<_>>().join(" "));
    }
    words.join("\n")
}

#[tokio::test]
async fn a_drill_that_holds_leaves_nothing() {
    let tool = deployment(14);
    let run = tool.run(DRILL).await;
    assert_snapshot!(without_ids(&run.text()));
    assert_eq!(tool.queue.counts(), all_visible(0));
    let (run, lines) = drill(&tool, "--records 3").await;
    assert_eq!((run.code, problems(&lines)), (0, vec![]));
    let facts = facts(&lines);
    assert_eq!((&facts["records"], &facts["status"]), (&3.into(), &"Complete".into()));
    assert_eq!((&facts["firstSequenceNumber"], &facts["lastSequenceNumber"]), (&"109".into(), &"111".into()));
    let published = tool.way.published.borrow();
    let records: Vec<Value> = published.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    assert_ne!(records[0]["requestContext"]["requestId"], records[1]["requestContext"]["requestId"]);
    assert_eq!(records[1]["requestContext"]["condition"], "Drill");
}

#[tokio::test]
async fn a_drill_through_a_bucket_deletes_its_object() {
    let tool = to_bucket();
    let (run, lines) = drill(&tool, "").await;
    assert_eq!(run.code, 0, "{}", run.text());
    assert!(tool.way.objects.borrow().is_empty() && tool.queue.counts() == all_visible(0));
    let written = lines[2]["finding"].as_str().unwrap();
    let key = "s3://failed-batches/aws/lambda/sound/shardId-000000000000/2026/11/21/2026-11-21T12.00.00-";
    assert!(written.starts_with(&format!("written to {key}")), "{written}");

    tool.way.refused.borrow_mut().insert("s3:DeleteObject");
    let (run, lines) = drill(&tool, "").await;
    let [problem] = problems(&lines).try_into().unwrap();
    assert!(problem.contains("is left: s3:DeleteObject: AccessDenied: no → aws s3api delete-object"), "{problem}");
    assert_eq!((run.code, tool.queue.counts()), (3, all_visible(0)));
}

#[tokio::test]
async fn a_message_in_the_overflow_bucket_is_read_and_goes_with_its_object() {
    let tool = deployment(14);
    tool.way.max_message_bytes.set(1024);
    let (run, lines) = drill(&tool, "").await;
    assert_eq!((run.code, problems(&lines)), (0, vec![]), "{}", run.text());
    assert_eq!((tool.bucket.len(), tool.queue.counts()), (0, all_visible(0)));

    tool.way.refused.borrow_mut().insert("s3:DeleteObject");
    let [problem] = problems(&drill(&tool, "").await.1).try_into().unwrap();
    assert!(problem.contains("its object s3://overflow/hydrated/sound/"), "{problem}");
    assert_eq!(tool.bucket.len(), 1);
}

#[tokio::test]
async fn a_shard_without_records_is_a_problem_and_nothing_is_reported() {
    let tool = deployment(14);
    tool.way.records.borrow_mut().clear();
    let (run, lines) = drill(&tool, "").await;
    assert_eq!(
        problems(&lines),
        ["drill: read: no record is in the 1 shard that were read → put a record on the stream"]
    );
    assert_eq!((run.code, tool.way.published.borrow().len()), (3, 0));
    let run = tool.run(&format!("{DRILL} --shard 7")).await;
    assert!(run.code == 1 && run.notes.contains("has no such shard"), "{}", run.text());
}

#[tokio::test]
async fn a_call_that_is_denied_is_named() {
    for action in ["kinesis:ListShards", "kinesis:GetShardIterator", "kinesis:GetRecords"] {
        let tool = deployment(14);
        tool.way.refused.borrow_mut().insert(action);
        let (run, _) = drill(&tool, "").await;
        assert!(run.code == 1 && run.notes.contains(&format!("{action}: AccessDenied")), "{}", run.text());
        assert!(tool.way.published.borrow().is_empty());
    }
    for (tool, action) in [(deployment(14), "sns:Publish"), (to_bucket(), "s3:PutObject")] {
        tool.way.refused.borrow_mut().insert(action);
        let (run, lines) = drill(&tool, "").await;
        let [problem] = problems(&lines).try_into().unwrap();
        assert!(problem.starts_with(&format!("drill: report: {action}: AccessDenied")), "{problem}");
        assert!(problem.contains(&format!("→ allow {action} to your credentials")), "{problem}");
        assert_eq!((run.code, tool.queue.receives()), (3, 0));
    }
    let mut tool = deployment(14);
    tool.deployment.refused.insert("lambda:ListEventSourceMappings");
    assert_eq!(drill(&tool, "").await.0.code, 1);
}

#[tokio::test]
async fn a_report_whose_answer_is_lost_is_waited_for() {
    let tool = deployment(14);
    tool.way.unanswered.borrow_mut().insert("sns:Publish");
    let (run, lines) = drill(&tool, "").await;
    assert_eq!((run.code, problems(&lines), tool.queue.counts()), (0, vec![], all_visible(0)), "{}", run.text());
    assert_eq!(lines[2]["grade"], "warning");
}

#[tokio::test]
async fn a_message_that_does_not_come_is_a_problem_with_the_command_that_removes_it() {
    let tool = deployment(14);
    tool.way.is_down.set(true);
    let (run, lines) = drill(&tool, "--wait 40s").await;
    let id = id(&lines);
    assert_eq!(
        problems(&lines),
        [
            format!(
                "drill: arrive: no hydrated message with the id {id} came within 40s → dlq doctor, and the log of the \
                 hydrate function, say why"
            ),
            format!(
                "drill: clean up: the message may still come, and then lies on the queue until it is discarded → dlq \
                 discard {id} --execute"
            ),
        ]
    );
    assert_eq!(run.code, 3);

    let tool = to_bucket();
    tool.way.is_down.set(true);
    let (_, lines) = drill(&tool, "--wait 40s").await;
    let [_, _, object] = problems(&lines).try_into().unwrap();
    assert!(object.contains("is left, since the function may still read it → aws s3api delete-object"), "{object}");
}

#[tokio::test]
async fn a_message_that_comes_late_is_waited_for() {
    let tool = deployment(14);
    tool.way.delay.set(Duration::from_secs(100));
    assert_eq!(drill(&tool, "").await.0.code, 0);
    tool.way.delay.set(Duration::from_secs(130));
    assert_eq!(drill(&tool, "").await.0.code, 3);
    // The next drill leaves alone what may belong to a drill that is still at work.
    tool.way.delay.set(Duration::ZERO);
    tool.clock.advance(Duration::from_secs(600));
    assert_eq!((drill(&tool, "").await.0.code, tool.queue.counts()), (0, all_visible(1)));
    tool.clock.advance(Duration::from_secs(1800));
    let (run, _) = drill(&tool, "").await;
    assert!(run.notes.contains("1 message of earlier drills taken off"), "{}", run.notes);
    assert_eq!((run.code, tool.queue.counts()), (0, all_visible(0)));
}

#[tokio::test]
async fn a_message_that_differs_is_a_problem_and_goes_all_the_same() {
    let tool = deployment(14);
    tool.way.changed.set((r#""eventVersion":"1.0""#, r#""eventVersion":"1.1""#));
    let (run, lines) = drill(&tool, "").await;
    assert_eq!(problems(&lines), ["drill: compare: record 1 of 10 is not as it was read → "]);
    assert_eq!((run.code, tool.queue.counts()), (3, all_visible(0)));
    tool.way.changed.set((r#""decodedView""#, r#""other""#));
    let [problem] = problems(&drill(&tool, "").await.1).try_into().unwrap();
    assert!(problem.contains("breaks the contract: hydration.decodedView is missing"), "{problem}");
    assert_eq!(tool.queue.counts(), all_visible(0));
}

#[tokio::test]
async fn a_batch_that_comes_back_without_a_record_is_a_problem() {
    let tool = deployment(14);
    // Older than a day, or the hydrator would look for it again.
    tool.clock.advance(Duration::from_secs(25 * 3600));
    tool.way.lost.set(1);
    let (run, lines) = drill(&tool, "").await;
    let [problem] = problems(&lines).try_into().unwrap();
    assert!(problem.contains("its status is Partial, and not Complete"), "{problem}");
    assert!(problem.contains("it has 9 records, and 10 were read"), "{problem}");
    assert_eq!((run.code, tool.queue.counts()), (3, all_visible(0)));
}

#[tokio::test]
async fn a_message_that_may_not_be_deleted_is_visible_again_and_named() {
    let tool = deployment(14);
    tool.queue.fail("sqs:DeleteMessage");
    let (run, lines) = drill(&tool, "").await;
    let id = id(&lines);
    let problem = format!(
        "drill: clean up: message m0 is left: sqs:DeleteMessage: AccessDenied: no → dlq discard {id} --execute"
    );
    assert_eq!((run.code, problems(&lines), tool.queue.counts()), (3, vec![problem], all_visible(1)));
}

#[tokio::test]
async fn a_drill_beside_an_incident_takes_its_own_message_alone() {
    let tool = deployment(14);
    for number in 0..1_000 {
        tool.queue.send(TestBatch { first: 1000 + 10 * number, ..batch("5e") }.message());
    }
    tool.queue.send("hello".to_owned());
    // A message of another with this drill's stream and condition, and no drill behind it.
    tool.queue
        .send(NewMessage { body: batch("6f").body().replace("RetryAttemptsExhausted", "Drill"), ..Default::default() });
    tool.way.delay.set(Duration::from_secs(5));
    let (run, _) = drill(&tool, "").await;
    assert_eq!((run.code, tool.queue.counts()), (0, all_visible(1_001)), "{}", run.text());
    assert!(run.notes.contains("1 message of earlier drills"), "it was an hour old: {}", run.notes);
}

#[tokio::test]
async fn a_message_that_was_not_looked_at_is_not_reported_as_absent() {
    let tool = deployment(14);
    tool.way.is_down.set(true);
    tool.queue.send(batch("5e").message());
    tool.queue.receive(Duration::from_secs(600)).await.unwrap();
    tool.queue.send(NewMessage { delay: Duration::from_secs(600), ..batch("6f").message() });
    let (run, lines) = drill(&tool, "").await;
    let said = format!(
        "drill: arrive: no hydrated message with the id {} was found, and not every message was looked at: 1 held by \
         others, 1 delayed → drill when nothing else works with the queue, or when it is empty",
        id(&lines)
    );
    assert_eq!((run.code, problems(&lines)[0].as_str()), (3, said.as_str()));

    // A FIFO queue gives ten messages of a group, and no more while those are held.
    let mut tool = Tool::with_queue(QueueAttributes { is_fifo: true, ..Default::default() });
    tool.deployment = deployment(14).deployment;
    tool.way.is_down.set(true);
    for number in 0..12 {
        tool.queue.send(TestBatch { first: 1000 + 10 * number, ..batch("5e") }.fifo_message());
    }
    let (_, lines) = drill(&tool, "").await;
    assert!(problems(&lines)[0].contains("looked at: 2 behind others of their group →"), "{:?}", problems(&lines));
    assert_eq!(tool.queue.counts(), all_visible(12));
}

#[tokio::test]
async fn a_message_that_only_calls_itself_a_drill_s_leaves_the_object_of_a_failed_batch() {
    let tool = deployment(14);
    let real = batch("5e").overflow_message(&tool.bucket);
    let mut forged = real.clone();
    forged.attributes.insert("condition".to_owned(), "Drill".to_owned());
    tool.queue.send(real);
    tool.queue.send(forged);
    tool.clock.advance(Duration::from_secs(1860));
    let (run, _) = drill(&tool, "").await;
    assert_eq!((run.code, tool.queue.counts(), tool.bucket.len()), (0, all_visible(2), 1), "{}", run.text());
}

#[tokio::test]
async fn what_an_earlier_drill_has_left_goes_with_its_object() {
    let tool = deployment(14);
    tool.way.max_message_bytes.set(1024);
    tool.way.delay.set(Duration::from_secs(130));
    assert_eq!(drill(&tool, "").await.0.code, 3);
    tool.way.delay.set(Duration::ZERO);
    tool.clock.advance(Duration::from_secs(2400));
    let (run, _) = drill(&tool, "").await;
    assert!(run.notes.contains("1 message of earlier drills taken off"), "{}", run.notes);
    assert_eq!((run.code, tool.queue.counts(), tool.bucket.len()), (0, all_visible(0), 0));
}

#[tokio::test]
async fn two_drills_at_the_same_time_do_not_take_each_other_s_message() {
    let tool = deployment(14);
    let ((one, _), (other, _)) = tokio::join!(drill(&tool, ""), drill(&tool, ""));
    assert_eq!((one.code, other.code, tool.queue.counts()), (0, 0, all_visible(0)), "{}{}", one.text(), other.text());
}

#[tokio::test]
async fn a_queue_that_moves_messages_away_is_drilled_while_it_is_empty() {
    let mut tool = Tool::with_queue(QueueAttributes { max_receives: Some(3), ..Default::default() });
    tool.deployment = deployment(14).deployment;
    assert_eq!(drill(&tool, "").await.0.code, 0);
    tool.queue.send(batch("5e").message());
    let (run, lines) = drill(&tool, "").await;
    let [problem] = problems(&lines).try_into().unwrap();
    assert!(problem.contains("the queue has 1 message and a redrive policy"), "{problem}");
    assert_eq!((run.code, tool.queue.receives(), tool.way.published.borrow().len()), (3, 0, 1));
}

#[tokio::test]
async fn a_message_of_others_that_comes_meanwhile_is_not_received_until_it_is_moved_away() {
    let mut tool = Tool::with_queue(QueueAttributes { max_receives: Some(3), ..Default::default() });
    tool.deployment = deployment(14).deployment;
    tool.way.is_down.set(true);
    let incident = NewMessage { delay: Duration::from_secs(10), ..batch("5e").message() };
    tool.queue.send(incident);
    let (run, lines) = drill(&tool, "").await;
    assert!(problems(&lines)[0].contains("redrive policy would move away a message"), "{:?}", problems(&lines));
    assert_eq!((run.code, tool.queue.counts(), tool.queue.receives()), (3, all_visible(1), 3));
}

#[tokio::test]
async fn flags_of_a_drill_belong_together() {
    let tool = deployment(14);
    for line in [
        "doctor --drill".to_owned(),
        format!("doctor --stream {STREAM}"),
        "doctor --records 5".to_owned(),
        format!("{DRILL} --wait 0s"),
        format!("{DRILL} --wait 1h"),
        format!("{DRILL} --records 0"),
    ] {
        assert_eq!(tool.run(&line).await.code, 2, "{line}");
    }
}

#[tokio::test]
async fn what_a_drill_has_left_is_named_as_a_drill_and_never_run() {
    let tool = deployment(14);
    tool.queue.fail("sqs:DeleteMessage");
    let (_, lines) = drill(&tool, "").await;
    let id = id(&lines);
    let list = tool.run("list").await;
    assert!(list.answers.contains("a drill"), "{}", list.text());
    let show = tool.run(&format!("show {id}")).await;
    assert!(show.answers.contains("no function has failed on it") && show.answers.contains("Drill: not invoked"));
    assert!(!show.answers.contains("A replay runs"), "{}", show.text());
    let status = tool.run("status").await;
    assert!(status.answers.contains("Drill") && status.answers.contains("a drill has left it"), "{}", status.text());
    assert!(!status.answers.contains("dlq replay"), "{}", status.text());
    let replay = tool.run(&format!("replay {id} --execute --on other -o json")).await;
    let refused = replay.json().into_iter().find(|line| line["id"] == id).unwrap();
    assert_eq!((replay.code, &refused["reason"]), (3, &"drill".into()), "{}", replay.text());
    let isolate = tool.run(&format!("isolate {id} --execute")).await;
    assert!(isolate.code == 1 && isolate.notes.contains("a drill has left it"), "{}", isolate.text());
    assert!(tool.function.invocations().is_empty());
}
