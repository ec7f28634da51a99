//! Drills that a signal or a closed pipe stops.

use super::*;

#[tokio::test]
async fn a_drill_is_stopped_before_it_has_reported() {
    let tool = deployment(14);
    tool.interrupt();
    assert_eq!(tool.run(DRILL).await.code, 130);
    let mut tool = deployment(14);
    tool.deployment.is_hanging = true;
    assert_eq!(tool.run_and_interrupt(DRILL, Duration::from_millis(20)).await.0.code, 130);
    for action in ["kinesis:ListShards", "kinesis:GetRecords"] {
        let tool = deployment(14);
        tool.way.hanging.borrow_mut().insert(action);
        let (run, took) = tool.run_and_interrupt(DRILL, Duration::from_millis(20)).await;
        assert!(run.code == 130 && took < Duration::from_secs(2), "{}", run.text());
        assert!(tool.way.published.borrow().is_empty());
    }
}

#[tokio::test]
async fn a_drill_that_is_stopped_while_it_waits_takes_its_message_off() {
    for tool in [deployment(14), to_bucket()] {
        tool.queue.send(batch("5e").message());
        tool.way.delay.set(Duration::from_secs(5));
        tool.way.stops_clock.set(true);
        let stop = async {
            while !tool.clock.is_hanging.get() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            tool.clock.advance(Duration::from_secs(5));
            tool.interrupt();
        };
        let ((run, lines), ()) = tokio::join!(drill(&tool, ""), stop);
        assert_eq!((run.code, tool.queue.counts()), (130, all_visible(1)), "{}", run.text());
        assert_eq!((problems(&lines), lines.last().unwrap()["grade"].as_str()), (vec![], Some("unchecked")));
        assert!(tool.way.objects.borrow().is_empty());
    }
}

#[tokio::test]
async fn a_second_request_to_stop_ends_at_once_and_says_what_is_left() {
    // The message never comes, and the clock stands still: only the second request ends the wait.
    let tool = deployment(14);
    tool.way.is_down.set(true);
    tool.way.stops_clock.set(true);
    let (run, lines) = stopped_twice(&tool).await;
    let [left] = problems(&lines).try_into().unwrap();
    assert!(left.ends_with(&format!("→ dlq discard {} --execute", id(&lines))), "{left}");
    assert_eq!(run.code, 130);

    let tool = deployment(14);
    tool.way.hanging.borrow_mut().insert("sns:Publish");
    let run = tokio::time::timeout(Duration::from_secs(3), stopped_twice_and_again(&tool)).await.unwrap();
    assert!(run.code == 130 && run.answers.contains("may still come"), "{}", run.text());
}

async fn stopped_twice(tool: &Tool) -> (ToolRun, Vec<Value>) {
    let stop = async {
        while tool.way.published.borrow().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        for _ in 0..2 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            tool.interrupt();
        }
    };
    tokio::join!(drill(tool, ""), stop).0
}

/// The second request ends the report that hangs, and the third the wait for what it may have sent.
async fn stopped_twice_and_again(tool: &Tool) -> ToolRun {
    tool.clock.is_hanging.set(true);
    let third = async {
        tokio::time::sleep(Duration::from_millis(800)).await;
        tool.interrupt();
    };
    tokio::join!(stopped_twice(tool), third).0.0
}

#[tokio::test]
async fn a_reader_that_closes_the_pipe_leaves_nothing_on_the_queue() {
    let mut tool = deployment(14);
    tool.max_answer_bytes = Some(0);
    let run = tool.run(&format!("{DRILL} -o json")).await;
    assert_eq!((run.code, tool.queue.counts()), (141, all_visible(0)), "{}", run.text());
}

#[tokio::test]
async fn an_object_that_was_not_deleted_before_the_end_is_named_by_its_message() {
    let tool = deployment(14);
    tool.way.max_message_bytes.set(1024);
    tool.way.hanging.borrow_mut().insert("s3:DeleteObject");
    let third = async {
        tokio::time::sleep(Duration::from_millis(800)).await;
        tool.interrupt();
    };
    let ((run, lines), ()) = tokio::join!(stopped_twice(&tool), third);
    let [left] = problems(&lines).try_into().unwrap();
    assert!(left.ends_with(&format!("→ dlq discard {} --execute", id(&lines))), "{left}");
    assert_eq!((run.code, tool.queue.counts(), tool.bucket.len()), (130, all_visible(1), 1));
}
