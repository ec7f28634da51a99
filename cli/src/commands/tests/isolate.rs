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
    let line = run.json().remove(1);
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

#[tokio::test]
async fn every_line_of_isolate_in_json_is_json_with_the_header_first_and_the_summary_last() {
    let poison = || with_poison(4, &["record 3"]);
    let passes = || with_poison(4, &["other"]);
    for (tool, words, key, value) in [
        (poison(), "", "action", "wouldInvoke".into()),
        (poison(), "--execute", "isMinimal", true.into()),
        (passes(), "--execute", "doesNotFail", true.into()),
    ] {
        tool.queue.send(TestBatch { shard: 1, ..batch("cd") }.message());
        let lines = tool.run(&format!("isolate ab {words} --rate 1000 -o json")).await.json();
        let [header, line, summary] = lines.as_slice() else { panic!("{lines:?}") };
        let header = &header["header"];
        assert_eq!((&header["queue"], &header["ledgerIsShared"]), (&"hydrated".into(), &true.into()));
        assert_eq!((&line["id"], &line[key]), (&"ab".repeat(32).into(), &value), "{line}");
        assert_eq!(summary["summary"]["filtered"], 1);
    }
}

#[tokio::test]
async fn what_was_not_seen_is_an_exit_code_of_isolate_too() {
    let tool = with_poison(4, &["record 3"]);
    let mut delayed = batch("cd").message();
    delayed.delay = std::time::Duration::from_secs(600);
    tool.queue.send(delayed);
    let run = tool.run("isolate ab --execute --rate 1000").await;
    assert!(run.code == 3 && run.answers.contains("1 message delayed"), "{}", run.text());
    assert!(run.answers.contains("One record fails by itself"), "{}", run.text());
}

#[tokio::test]
async fn records_that_have_succeeded_in_a_replay_are_not_tried_again() {
    let tool = with_poison(10, &["record 7"]);
    assert_eq!(tool.run("replay ab --records 1-6 --execute --rate 1000").await.code, 3);
    let before = tool.function.invocations().len();
    let dry_run = tool.run("isolate ab").await;
    assert!(dry_run.notes.contains("6 records have succeeded on arn:aws:lambda"), "{}", dry_run.notes);
    assert!(dry_run.answers.contains("parts of 4 records"), "{}", dry_run.answers);
    let run = tool.run("isolate ab --execute --rate 1000 -o json").await;
    assert_eq!((run.code, &run.json()[1]["leftOut"]), (0, &6.into()), "{}", run.text());
    assert_eq!(run.json()[1]["records"][0]["number"], 8);
    let trials = tool.function.invocations().split_off(before);
    assert!(trials.iter().all(|trial| !trial.event.contains(r#""sequenceNumber":"100""#)));
    // What succeeded on one function has not succeeded on another.
    let on_another = tool.run("isolate ab --on orders:debug").await;
    assert!(on_another.answers.contains("parts of 10 records"), "{}", on_another.answers);
}

#[tokio::test]
async fn a_search_in_a_batch_that_has_succeeded_invokes_nothing() {
    let tool = with_poison(4, &["other"]);
    assert_eq!(tool.run("replay ab --execute --keep --rate 1000").await.code, 0);
    let run = tool.run("isolate ab --execute --rate 1000").await;
    assert!(run.code == 3 && run.answers.contains("there is nothing to search in"), "{}", run.text());
    assert_eq!(tool.function.invocations().len(), 1);
}

#[tokio::test]
async fn a_search_that_ends_before_its_first_answer_claims_nothing() {
    let tool = with_poison(4, &["record 3"]);
    let detail = "AccessDenied: no".to_owned();
    let fault = Fault { kind: FaultKind::AccessDenied, action: "lambda:InvokeFunction", detail };
    tool.function.then(InvokeOutcome::NotRun(fault));
    let run = tool.run("isolate ab --execute --rate 1000").await;
    assert!(run.code == 3 && run.answers.contains("Not finished: it is not known yet"), "{}", run.text());
    assert!(!run.answers.contains("still fail together"), "{}", run.text());
}
