//! Replay of queues that are longer than SQS shows at a time, and its speed.

use std::collections::BTreeSet;

use hydration::error::{Fault, FaultKind};
use hydration::ports::Clock;

use super::all_visible;
use crate::ports::QueueAttributes;
use crate::test_support::function::{failed, returned};
use crate::test_support::messages::{TestBatch, batch};
use crate::test_support::queue::AtLimit;
use crate::test_support::tool::{Tool, ToolRun};

/// Batches on four shards, and a queue that shows 30 messages at a time.
fn long_queue(batches: u64, answer: AtLimit) -> Tool {
    let tool = Tool::default();
    for n in 0..batches {
        let id: &'static str = Box::leak(format!("{n:02x}").into_boxed_str());
        let shard = usize::try_from(n % 4).unwrap();
        tool.queue.send(TestBatch { shard, first: 10 * n, ..batch(id) }.message());
    }
    tool.queue.limit_in_flight(30, answer);
    tool
}

fn summary(run: &ToolRun) -> serde_json::Value {
    run.json().last().unwrap()["summary"].clone()
}

#[tokio::test]
async fn a_queue_longer_than_the_limit_in_flight_is_replayed_to_its_end() {
    for answer in [AtLimit::OverLimit, AtLimit::Nothing] {
        let tool = long_queue(100, answer);
        let run = tool.run("replay --all --execute --rate 1000 -o json").await;
        assert_eq!((run.code, tool.queue.counts()), (0, all_visible(0)), "{answer:?}: {}", run.text());
        assert_eq!((summary(&run)["done"].as_u64(), summary(&run)["notLookedAt"].as_u64()), (Some(100), Some(0)));
        let invocations = tool.function.invocations();
        let events: BTreeSet<&str> = invocations.iter().map(|invocation| invocation.event.as_str()).collect();
        assert_eq!((invocations.len(), events.len()), (100, 100), "each batch is run once");
    }
}

#[tokio::test]
async fn a_long_replay_stops_at_too_many_failures_and_counts_what_it_has_not_looked_at() {
    let tool = long_queue(100, AtLimit::Nothing);
    tool.function.always(|_| failed("ValueError", "no"));
    let run = tool.run("replay --all --execute --rate 1000 --concurrency 1 -o json").await;
    assert_eq!((run.code, tool.function.invocations().len()), (3, 3), "{}", run.text());
    let counted = summary(&run);
    let of = |name: &str| counted[name].as_u64().unwrap();
    assert_eq!((of("done"), of("left"), of("left") + of("notLookedAt")), (0, of("left"), 100), "{}", run.text());
    assert_eq!(tool.queue.counts(), all_visible(100));
}

#[tokio::test]
async fn batches_that_cannot_be_run_do_not_keep_a_long_replay_going_for_ever() {
    let tool = long_queue(100, AtLimit::Nothing);
    tool.function.always(|_| failed("ValueError", "no"));
    let run = tool.run("replay --all --execute --rate 1000 --max-failures 1000 -o json").await;
    let counted = summary(&run);
    assert!(run.code == 3 && counted["notLookedAt"].as_u64() > Some(0), "{}", run.text());
    assert_eq!(tool.queue.counts(), all_visible(100));
}

#[tokio::test]
async fn nothing_overtakes_a_batch_that_failed_in_an_earlier_pass() {
    let tool = long_queue(100, AtLimit::Nothing);
    tool.queue.puts_released_last.set(true);
    let poison = TestBatch { first: 0, ..batch("00") }.event();
    tool.function.always(move |invoked| if invoked.event == poison { failed("E", "no") } else { returned("null") });
    let run = tool.run("replay --all --execute --rate 1000").await;
    let invocations = tool.function.invocations();
    let on_shard = |shard: &str| invocations.iter().filter(|invoked| invoked.event.contains(shard)).count();
    assert_eq!((run.code, on_shard("shardId-000000000000:"), invocations.len()), (3, 1, 76), "{}", run.text());
    assert!(run.notes.contains("in order only among those that one pass shows"), "{}", run.notes);
}

#[tokio::test]
async fn a_limit_of_batches_holds_for_the_whole_run() {
    for limit in [5, 30, 45] {
        let tool = long_queue(100, AtLimit::Nothing);
        let run = tool.run(&format!("replay --all --limit {limit} --execute --rate 1000")).await;
        assert_eq!((run.code, tool.function.invocations().len()), (3, limit), "{limit}: {}", run.text());
    }
    let fifo = Tool::with_queue(QueueAttributes { is_fifo: true, ..Default::default() });
    for n in 0..40 {
        let id: &'static str = Box::leak(format!("{n:02x}").into_boxed_str());
        fifo.queue.send(TestBatch { first: 10 * n, ..batch(id) }.fifo_message());
    }
    let run = fifo.run("replay --all --limit 13 --execute --rate 1000").await;
    assert_eq!((run.code, fifo.function.invocations().len()), (3, 13), "{}", run.text());
    assert!(!run.notes.contains("in order only"), "a FIFO queue shows the first of a shard first: {}", run.notes);
}

#[tokio::test]
async fn functions_that_only_a_later_pass_meets_have_their_own_rate() {
    let tool = Tool::default();
    for n in 0..60 {
        let id: &'static str = Box::leak(format!("{n:02x}").into_boxed_str());
        let function = if n < 30 { "order-projector" } else { "stock-mirror" };
        let shard = usize::try_from(n).unwrap();
        tool.queue.send(TestBatch { function, shard, ..batch(id) }.message());
    }
    tool.queue.limit_in_flight(30, AtLimit::Nothing);
    *tool.function.concurrency.borrow_mut() = vec![("order-projector", Ok(200)), ("stock-mirror", Ok(2))];
    let started = tool.clock.now();
    let run = tool.run("replay --all --execute --rate auto").await;
    assert_eq!((run.code, tool.function.invocations().len()), (0, 60), "{}", run.text());
    let millis = tool.clock.now().millis_since(started);
    assert!((2900..3200).contains(&millis), "thirty at ten a second: {millis} ms");
}

#[tokio::test]
async fn large_messages_are_run_by_fewer_at_a_time() {
    for (bytes, most) in [("1000", 10), ("4000000", 5), ("9000000", 2), ("90000000", 1)] {
        let tool = Tool::default();
        for (shard, id) in ["a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9"].into_iter().enumerate() {
            let mut message = TestBatch { shard, ..batch(id) }.overflow_message(&tool.bucket);
            message.attributes.insert(hydration::message::POINTER_ATTRIBUTE.to_owned(), bytes.to_owned());
            tool.queue.send(message);
        }
        tool.function.turns.set(20);
        let run = tool.run("replay --all --execute --rate 1000 --concurrency 100").await;
        assert_eq!((run.code, tool.function.most_running()), (0, most), "{bytes}: {}", run.text());
    }
}

#[tokio::test]
async fn the_time_that_a_long_replay_takes_is_said_before_it_starts() {
    let tool = long_queue(20, AtLimit::Nothing);
    for words in ["replay --all", "replay --all --execute"] {
        let run = tool.run(&format!("{words} --rate 0.05")).await;
        let said = run.answers.find("It takes 6m or more, at 0.05 invocations a second at most (--rate).");
        let first_done = run.answers.find(" done ").unwrap_or(usize::MAX);
        assert!(said.is_some_and(|said| said < first_done), "{}", run.text());
    }
    let quick = long_queue(2, AtLimit::Nothing).run("replay --all").await;
    assert!(!quick.answers.contains("It takes"), "{}", quick.text());
    let json = long_queue(20, AtLimit::Nothing).run("replay --all --rate 0.05 -o json").await;
    let header = &json.json()[0]["header"];
    assert_eq!((header["invocationsPerSecond"].as_f64(), header["leastSeconds"].as_u64()), (Some(0.05), Some(400)));
}

/// The rate that `--rate auto` takes, and the text of the dry run.
async fn auto(concurrency: &[(&'static str, Result<u32, Fault>)]) -> (Option<f64>, ToolRun) {
    let tool = long_queue(6, AtLimit::Nothing);
    tool.queue.send(TestBatch { function: "stock-mirror", shard: 9, ..batch("f9") }.message());
    *tool.function.concurrency.borrow_mut() = concurrency.to_vec();
    let json = tool.run("replay --all --rate auto -o json").await;
    let rate = json.json().first().and_then(|line| line["header"]["invocationsPerSecond"].as_f64());
    (rate, tool.run("replay --all --rate auto").await)
}

#[tokio::test]
async fn the_rate_is_for_half_of_the_least_concurrency() {
    for (orders, stock, rate) in
        [(Ok(40), Ok(100), 200.0), (Ok(100), Ok(7), 30.0), (Ok(1), Ok(100), 10.0), (Ok(1000), Ok(1000), 1000.0)]
    {
        let (taken, run) = auto(&[("order-projector", orders), ("stock-mirror", stock)]).await;
        assert_eq!((taken, run.code), (Some(rate), 0), "{}", run.text());
    }
    let (_, run) = auto(&[("order-projector", Ok(100)), ("stock-mirror", Ok(7))]).await;
    let line = "--rate auto: 3 at the same time, for the concurrency of \
                arn:aws:lambda:us-east-1:123456789012:function:stock-mirror, which is 7.";
    assert!(run.answers.contains(line), "{}", run.text());
}

#[tokio::test]
async fn without_the_permission_to_read_it_the_rate_is_the_default_one() {
    let fault = |kind| Fault { kind, action: "lambda:GetFunctionConcurrency", detail: "AccessDenied: no".to_owned() };
    let (rate, run) = auto(&[("stock-mirror", Err(fault(FaultKind::AccessDenied)))]).await;
    assert_eq!((rate, run.code), (Some(5.0), 0), "{}", run.text());
    assert!(
        run.notes.contains("--rate auto is the default rate") && run.notes.contains("stock-mirror"),
        "{}",
        run.notes
    );
    assert!(run.notes.contains("lambda:GetFunctionConcurrency") && run.notes.contains("→ allow the action"));
    assert!(run.answers.contains("at 5 invocations a second"), "{}", run.answers);
    // Without a connection nothing could be invoked.
    let (rate, run) = auto(&[("stock-mirror", Err(fault(FaultKind::Unavailable)))]).await;
    assert_eq!((rate, run.code), (None, 1), "{}", run.text());
}

#[tokio::test]
async fn a_function_without_concurrency_is_an_error() {
    let (rate, run) = auto(&[("stock-mirror", Ok(0))]).await;
    assert_eq!((rate, run.code), (None, 1), "{}", run.text());
    assert!(run.notes.contains("stock-mirror has a concurrency of 0"), "{}", run.notes);
}
