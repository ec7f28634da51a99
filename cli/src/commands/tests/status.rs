use std::time::Duration;

use insta::assert_snapshot;

use super::shop;
use crate::ports::QueueAttributes;
use crate::test_support::messages::batch;
use crate::test_support::tool::Tool;

#[tokio::test]
async fn status_is_incidents_and_next_steps() {
    assert_snapshot!(shop().run("status --stack hydrator").await.text());
}

#[tokio::test]
async fn status_is_json_lines() {
    assert_snapshot!(shop().run("status -o json").await.text());
}

#[tokio::test]
async fn status_of_an_empty_queue() {
    assert_snapshot!(Tool::default().run("status").await.text());
}

#[tokio::test]
async fn status_counts_the_retry_queue_and_the_parked_queue() {
    let mut tool =
        Tool::with_queue(QueueAttributes { retention: Some(Duration::from_secs(86_400)), ..Default::default() });
    tool.queue.send(batch("ab").message());
    tool.add_queue("retry", QueueAttributes { max_receives: Some(100), ..Default::default() }).send("{}".to_owned());
    let parked = tool.add_queue("parked", QueueAttributes::default());
    parked.send("{}".to_owned());
    tool.clock.advance(Duration::from_secs(3 * 3600));
    assert_snapshot!(tool.run("status --queue q").await.text());
    // The retry queue is in use, and a receive counts there.
    assert_eq!(tool.retry_and_parked[0].queue.receives(), 0);
    assert!(tool.retry_and_parked[1].queue.receives() > 0);
}
