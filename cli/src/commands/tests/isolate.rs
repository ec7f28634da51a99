use hydration::error::{Fault, FaultKind};
use insta::assert_snapshot;

use super::shop;
use crate::ledger::lock::Locking;
use crate::ports::InvokeOutcome;
use crate::test_support::function::{failed, returned};
use crate::test_support::messages::{TestBatch, batch};
use crate::test_support::tool::Tool;

fn with_poison(records: usize, poison: &'static [&'static str]) -> Tool {
    let tool = Tool::default();
    let records = (0..records).map(|n| format!("record {n}")).collect();
    tool.queue.send(TestBatch { records, ..batch("ab") }.message());
    let encode = |text: &&str| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text);
    let encoded: Vec<String> = poison.iter().map(encode).collect();
    tool.function.always(move |invocation| {
        let has_all = encoded.iter().all(|data| invocation.event.contains(&format!("\"{data}\"")));
        if has_all { failed("KeyError", "total") } else { returned("null") }
    });
    tool
}

#[tokio::test]
async fn isolate_finds_one_record_or_several() {
    let words = "isolate ab --execute --rate 1000";
    assert_snapshot!("isolate_one", with_poison(40, &["record 17"]).run(words).await.text());
    let together = with_poison(12, &["record 3", "record 10"]);
    assert_snapshot!("isolate_several", together.run(&format!("{words} -o json")).await.text());
}

#[tokio::test]
async fn isolate_invokes_nothing_without_execute() {
    let tool = with_poison(40, &["record 17"]);
    assert_snapshot!(tool.run("isolate ab").await.text());
    assert!(tool.function.invocations().is_empty());
}

#[tokio::test]
async fn isolate_says_when_the_batch_passes_or_the_search_is_cut() {
    let words = "--execute --rate 1000";
    assert_snapshot!("isolate_passes", with_poison(4, &["other"]).run(&format!("isolate ab {words}")).await.text());
    let cut = with_poison(40, &["record 17"]).run(&format!("isolate ab {words} --max-invocations 3")).await;
    assert!(cut.answers.contains("Not finished: "), "{}", cut.answers);
}

#[tokio::test]
async fn isolate_needs_one_part() {
    let run = shop().run("isolate 3c").await;
    assert_eq!(run.code, 1);
    assert!(run.notes.contains("name one: 3c3c3c3c3c3c-fedcba, 3c3c3c3c3c3c-012345"), "{}", run.notes);
    assert_eq!(shop().run("isolate 3c3c3c3c3c3c-fedcba").await.code, 0);
}

#[tokio::test]
async fn a_function_that_always_fails_blames_no_record() {
    let tool = with_poison(40, &[]);
    let run = tool.run("isolate ab --execute --rate 1000").await;
    assert_eq!(run.code, 3);
    assert!(run.answers.contains("fails on everything") && !run.answers.contains("record 0"), "{}", run.answers);
    let run = tool.run("isolate ab --execute --rate 1000 -o json").await;
    let line = run.json().remove(0);
    assert_eq!((&line["failsOnEverything"], line["records"].as_array().unwrap().len()), (&true.into(), 0));
}

#[tokio::test]
async fn the_first_record_is_blamed_where_the_others_pass() {
    let run = with_poison(40, &["record 0"]).run("isolate ab --execute --rate 1000").await;
    assert!(run.code == 0 && run.answers.contains("One record fails by itself"), "{}", run.answers);
}

#[tokio::test]
async fn one_throttle_does_not_lose_the_search() {
    let tool = with_poison(40, &["record 17"]);
    let throttled = || {
        let detail = "TooManyRequestsException".to_owned();
        InvokeOutcome::NotRun(Fault { kind: FaultKind::Throttled, action: "lambda:InvokeFunction", detail })
    };
    tool.function.then(throttled()).then(failed("KeyError", "total")).then(throttled());
    let run = tool.run("isolate ab --execute --rate 1000").await;
    assert!(run.code == 0 && run.answers.contains("One record fails by itself"), "{}", run.answers);
    // A fault that does not end leaves what was found.
    let tool = with_poison(40, &["record 17"]);
    tool.function.then(failed("KeyError", "total"));
    tool.function.always(move |_| throttled());
    let run = tool.run("isolate ab --execute --rate 1000").await;
    assert!(run.code == 3 && run.answers.contains("Not finished: 40 of 40"), "{}", run.answers);
    assert!(run.notes.contains("lambda:InvokeFunction"), "{}", run.notes);
}

#[tokio::test]
async fn an_interrupt_ends_the_wait_for_the_messages_of_a_run_that_was_cut_off() {
    let tool = Tool::default();
    tool.queue.send(batch("ab").message());
    let ben = tool.ledger("ben");
    let minute = std::time::Duration::from_secs(60);
    let Ok(Locking::Locked(lock)) = ben.lock(minute).await else { panic!("nobody else holds it") };
    ben.unlock(&lock, Some(minute)).await.unwrap();
    tool.clock.is_hanging.set(true);
    let after = std::time::Duration::from_millis(50);
    let (run, stopped) = tool.run_and_interrupt("isolate ab --execute", after).await;
    assert!(run.code == 130 && stopped < std::time::Duration::from_secs(2), "{} after {stopped:?}", run.code);
    assert!(tool.function.invocations().is_empty());
    // The lock is free, and the time is still known.
    let Ok(Locking::Locked(lock)) = ben.lock(minute).await else { panic!("the lock was released") };
    assert!(lock.hidden_until().is_some());
}
