//! Deletions, one by one: each is printed and on record before the next.

use std::time::Duration;

use super::all_visible;
use crate::test_support::messages::{TestBatch, batch};
use crate::test_support::tool::Tool;

/// The message id of one that is not hydrated.
const FOREIGN_ID: &str = "0a1b2c3d-1111-4222-8333-444455556666";

fn five() -> Tool {
    let tool = Tool::default();
    for (shard, id) in ["a0", "a1", "a2", "a3", "a4"].into_iter().enumerate() {
        tool.queue.send(TestBatch { shard, ..batch(id) }.message());
    }
    tool
}

/// Messages that the ledger has as discarded.
fn recorded(tool: &Tool) -> usize {
    ["a0", "a1", "a2", "a3", "a4"].into_iter().filter(|id| tool.discarded(&id.repeat(32)).is_some()).count()
}

#[tokio::test]
async fn what_was_deleted_before_a_refusal_is_printed_recorded_and_counted() {
    let tool = five();
    tool.queue.refuse_after(3);
    let run = tool.run("discard --all --execute -o json").await;
    let deleted = run.json().iter().filter(|line| line["action"] == "deleted").count();
    assert_eq!((run.code, deleted, recorded(&tool), tool.queue.counts()), (1, 3, 4, all_visible(2)));
    assert!(run.notes.contains("3 messages deleted, with 6 records, before it stopped"), "{}", run.notes);
}

#[tokio::test]
async fn an_interrupt_stops_before_the_next_deletion() {
    let tool = five();
    tool.queue.hang("sqs:DeleteMessage");
    let (run, stopped) = tool.run_and_interrupt("discard --all --execute", Duration::from_millis(50)).await;
    assert!(run.code == 130 && stopped < Duration::from_secs(2), "{} after {stopped:?}", run.code);
    assert!(run.notes.contains("0 messages deleted"), "{}", run.notes);
    assert_eq!(tool.queue.counts(), all_visible(5));
}

#[tokio::test]
async fn a_closed_pipe_stops_before_the_next_deletion() {
    let mut tool = five();
    // The first lines, with account, region, queue and ledger, are taken; and the line of the first message.
    tool.max_answer_bytes = Some(130);
    let run = tool.run("discard --all --execute").await;
    assert_eq!((run.code, recorded(&tool), tool.queue.counts()), (141, 2, all_visible(3)), "{}", run.text());
}

#[tokio::test]
async fn a_backup_is_written_before_each_deletion() {
    let tool = five();
    let folder = tool.state.path().join("backup");
    let line = format!("discard a0 a1 --execute --backup {}", folder.display());
    assert_eq!(tool.run(&line).await.code, 0);
    let written = std::fs::read_to_string(folder.join(format!("{}.message.json", batch("a0").id()))).unwrap();
    assert_eq!(written, batch("a0").body());
    assert_eq!((std::fs::read_dir(&folder).unwrap().count(), tool.queue.counts()), (2, all_visible(3)));
}

#[tokio::test]
async fn a_backup_that_cannot_be_written_stops_before_the_deletion() {
    let tool = five();
    let folder = tool.state.path().join("backup");
    std::fs::create_dir_all(folder.join(format!("{}.message.json", batch("a2").id()))).unwrap();
    let run = tool.run(&format!("discard --all --execute --backup {}", folder.display())).await;
    assert_eq!((run.code, recorded(&tool), tool.queue.counts()), (1, 2, all_visible(3)), "{}", run.text());
}

#[tokio::test]
async fn the_oldest_batches_can_be_discarded_alone() {
    let tool = five();
    let run = tool.run("discard --all --limit 2 --execute -o json").await;
    assert_eq!((run.code, tool.queue.counts()), (0, all_visible(3)));
    assert_eq!(run.json().last().unwrap()["summary"]["filtered"], 3);
}

#[tokio::test]
async fn a_foreign_message_is_shown_and_discarded_by_its_message_id() {
    let tool = five();
    tool.queue.send_with_id(FOREIGN_ID, "hello\u{202e} you".to_owned());
    let shown = tool.run(&format!("show {FOREIGN_ID}")).await;
    assert!(shown.code == 0 && shown.answers.contains(r"hello\u{202e} you"), "{}", shown.text());
    let shown = tool.run(&format!("show {FOREIGN_ID} -o json")).await.json();
    assert_eq!(shown[0]["body"], "hello\u{202e} you");
    // Without its id, it stays.
    assert_eq!(tool.run("discard --all --execute").await.code, 3);
    assert_eq!(tool.queue.counts(), all_visible(1));
    let folder = tool.state.path().join("backup");
    let run = tool.run(&format!("discard {FOREIGN_ID} --execute --backup {}", folder.display())).await;
    assert_eq!((run.code, tool.queue.counts()), (0, all_visible(0)), "{}", run.text());
    assert!(folder.join(format!("{FOREIGN_ID}.message.json")).exists());
}
