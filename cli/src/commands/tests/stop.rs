//! Ctrl-C while a call does not answer: every command ends within two seconds, and every message is visible.

use std::time::Duration;

use super::{all_visible, shop};
use crate::ports::StreamMapping;

const AFTER: Duration = Duration::from_millis(50);
const MAX_STOP: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_receive_that_hangs_is_left() {
    for line in ["list", "status", "show 5e", "export --all --to /tmp/never", "discard --all", "replay --all"] {
        let tool = shop();
        tool.queue.hang("sqs:ReceiveMessage");
        let (run, stopped) = tool.run_and_interrupt(line, AFTER).await;
        assert!(run.code == 130 && stopped < MAX_STOP, "{line}: {} after {stopped:?}", run.code);
    }
}

#[tokio::test]
async fn a_look_at_the_queue_that_hangs_is_left() {
    for line in ["list", "status", "discard --all", "doctor"] {
        let tool = shop();
        tool.queue.hang("sqs:GetQueueAttributes");
        let (run, stopped) = tool.run_and_interrupt(line, AFTER).await;
        assert!(run.code == 130 && stopped < MAX_STOP, "{line}: {} after {stopped:?}", run.code);
    }
}

#[tokio::test]
async fn a_fetch_from_the_bucket_that_hangs_is_left() {
    for line in ["list", "show 1a", "export 1a --to /tmp/never", "replay --all"] {
        let tool = shop();
        tool.bucket.is_hanging.set(true);
        let (run, stopped) = tool.run_and_interrupt(line, AFTER).await;
        assert!(run.code == 130 && stopped < MAX_STOP, "{line}: {} after {stopped:?}", run.code);
        assert_eq!(tool.queue.counts(), all_visible(10), "{line}");
    }
}

#[tokio::test]
async fn a_search_in_the_log_that_hangs_is_left() {
    let tool = shop();
    tool.logs.is_hanging.set(true);
    let (run, stopped) = tool.run_and_interrupt("show 5e --logs", AFTER).await;
    assert!(run.code == 130 && stopped < MAX_STOP, "{} after {stopped:?}", run.code);
}

#[tokio::test]
async fn messages_that_cannot_be_released_are_counted() {
    let tool = shop();
    tool.bucket.is_hanging.set(true);
    tool.queue.hang("sqs:ChangeMessageVisibility");
    let (run, stopped) = tool.run_and_interrupt("list", AFTER).await;
    assert!(run.code == 130 && stopped < MAX_STOP, "{} after {stopped:?}", run.code);
    assert!(run.notes.contains("10 of the messages become visible within a minute"), "{}", run.notes);
}

#[tokio::test]
async fn a_check_of_the_doctor_that_hangs_is_left() {
    let mut tool = shop();
    tool.deployment.mappings.streams.push(StreamMapping::default());
    tool.deployment.is_hanging = true;
    let (run, stopped) = tool.run_and_interrupt("doctor", AFTER).await;
    assert!(run.code == 130 && stopped < MAX_STOP, "{} after {stopped:?}", run.code);
}

#[tokio::test]
async fn a_closed_pipe_stops_a_command() {
    for line in ["list -o json", "status", "show 5e", "discard --all"] {
        let mut tool = shop();
        tool.max_answer_bytes = Some(0);
        assert_eq!(tool.run(line).await.code, 141, "{line}");
        assert_eq!(tool.queue.counts(), all_visible(10), "{line}");
    }
}
