//! Claims and their outcomes, step by step.

use std::collections::BTreeSet;

use crate::ledger::claim::{Outcome, Refused, Settlement};
use crate::ledger::error::LedgerError;
use crate::ledger::function::FunctionArn;
use crate::ledger::history::State;
use crate::ledger::key::RunKey;
use crate::ledger::lock::Settled;
use crate::ledger::span::{Coverage, coverage, spans};
use crate::ledger::store::memory::Memory;
use crate::ledger::tests::kit::*;

#[tokio::test]
async fn a_run_without_its_lock_claims_nothing() {
    let memory = Memory::default();
    let (ana, ben) = (ledger(&memory, "ana"), ledger(&memory, "ben"));
    let lock = locked(&ana).await;
    ben.settle_lock(&held(&ben).await).await.unwrap();
    let none = known(&ana, "ab").await;
    let error = ana.claim(&lock, &key("ab"), &none, invocation(4, all(4))).await.unwrap_err().to_string();
    assert!(error.contains("ben on laptop settled it"), "{error}");
    assert_eq!(known(&ben, "ab").await.run.state(), State::Failed, "nothing was invoked, and nothing is in doubt");
}

#[tokio::test]
async fn a_claim_without_an_outcome_is_in_doubt_for_everybody() {
    let memory = Memory::default();
    let (ana, ben) = (ledger(&memory, "ana"), ledger(&memory, "ben"));
    let lock = locked(&ana).await;
    let _claim = claimed(&ana, &lock, &known(&ana, "ab").await, all(4)).await;
    let seen = known(&ben, "ab").await;
    let text = refused(&ben, &lock, &seen).await.to_string();
    for part in ["in doubt since 2026-11-21T10:00:00.000Z", "ana on laptop", "4 records", FUNCTION, "--in-doubt done"] {
        assert!(text.contains(part), "{text}");
    }
    let Settled::Done(settled) = ben.settle(&key("ab"), &seen, Settlement::Done).await.unwrap() else { panic!() };
    assert_eq!(settled.run.state(), State::Succeeded);
    assert_eq!(ana.settle(&key("ab"), &seen, Settlement::Rerun).await.unwrap(), Settled::Changed);
    assert!(settled.run.sentence().contains("settled as done by ben on laptop"), "{}", settled.run.sentence());
}

#[tokio::test]
async fn of_two_claims_on_the_same_attempt_one_wins() {
    let memory = Memory::default();
    let (ana, ben) = (ledger(&memory, "ana"), ledger(&memory, "ben"));
    let lock = locked(&ana).await;
    let (for_ana, for_ben) = (known(&ana, "ab").await, known(&ben, "ab").await);
    let claim = claimed(&ana, &lock, &for_ana, all(4)).await;
    assert!(matches!(refused(&ben, &lock, &for_ben).await, Refused::InDoubt(_)));
    let failed = Outcome::Failed { error_type: "KeyError".to_owned(), request_id: Some("r-1".to_owned()) };
    let after = ana.outcome(&claim, failed).await.unwrap();
    assert!(matches!(refused(&ben, &lock, &for_ben).await, Refused::Changed(_)));
    let second = claimed(&ana, &lock, &after, all(4)).await;
    let after = ana.outcome(&second, Outcome::Succeeded { request_id: None }).await.unwrap();
    assert_eq!((after.run.attempts_made, after.run.state()), (2, State::Succeeded));
    assert_eq!(refused(&ana, &lock, &after).await, Refused::NothingToRun);
}

#[tokio::test]
async fn records_are_done_one_by_one() {
    let memory = Memory::default();
    let ana = ledger(&memory, "ana");
    let (lock, numbers) = (locked(&ana).await, numbers(4));
    let but_third = spans(&numbers, |index| index != 2).unwrap();
    let claim = claimed(&ana, &lock, &known(&ana, "ab").await, but_third.clone()).await;
    let succeeded = spans(&numbers, |index| index < 2).unwrap();
    let partly = Outcome::Partly { succeeded, error_type: "batchItemFailures".to_owned(), request_id: None };
    let after = ana.outcome(&claim, partly).await.unwrap();
    assert_eq!(after.run.state(), State::PartlyDone);
    assert_eq!(coverage(&after.run.done, &numbers), Coverage::Known(vec![true, true, false, false]));
    assert!(after.run.sentence().starts_with("2 of 4 records succeeded on arn:"), "{}", after.run.sentence());
    assert_eq!(refused(&ana, &lock, &after).await, Refused::NothingToRun);
    let last = spans(&numbers, |index| index == 3).unwrap();
    let claim = claimed(&ana, &lock, &after, last).await;
    let not_claimed = Outcome::Partly { succeeded: but_third, error_type: String::new(), request_id: None };
    assert!(matches!(ana.outcome(&claim, not_claimed).await, Err(LedgerError::NotClaimed { .. })));
}

#[tokio::test]
async fn an_unknown_outcome_keeps_the_request_id_and_the_doubt() {
    let memory = Memory::default();
    let ana = ledger(&memory, "ana");
    let lock = locked(&ana).await;
    let claim = claimed(&ana, &lock, &known(&ana, "ab").await, all(4)).await;
    let unknown = Outcome::Unknown { error_type: "Timeout".to_owned(), request_id: Some("3f8a-77".to_owned()) };
    let after = ana.outcome(&claim, unknown.clone()).await.unwrap();
    assert_eq!(after.run.state(), State::InDoubt);
    assert!(after.run.sentence().contains("request id 3f8a-77"), "{}", after.run.sentence());
    assert_eq!(ana.outcome(&claim, unknown).await.unwrap(), after, "writing it again changes nothing");
    let Settled::Done(settled) = ana.settle(&key("ab"), &after, Settlement::Rerun).await.unwrap() else { panic!() };
    let attempt = settled.run.last_attempt().unwrap();
    assert_eq!(attempt.request_id.as_deref(), Some("3f8a-77"));
    assert_eq!(settled.run.state(), State::Failed);
}

#[tokio::test]
async fn a_write_that_the_client_sends_twice_counts_once() {
    let memory = Memory::default();
    memory.sends_twice.set(true);
    let ana = ledger(&memory, "ana");
    for attempt in 1..3 {
        let lock = locked(&ana).await;
        let claim = claimed(&ana, &lock, &known(&ana, "ab").await, all(4)).await;
        let failed = Outcome::Failed { error_type: "KeyError".to_owned(), request_id: None };
        assert_eq!(ana.outcome(&claim, failed).await.unwrap().run.attempts_made, attempt);
        ana.unlock(&lock, None).await.unwrap();
    }
    assert_eq!(ana.held_lock().await.unwrap(), None);
}

#[tokio::test]
async fn an_outcome_after_a_person_s_word_is_an_error() {
    let memory = Memory::default();
    let (ana, ben) = (ledger(&memory, "ana"), ledger(&memory, "ben"));
    let lock = locked(&ana).await;
    let claim = claimed(&ana, &lock, &known(&ana, "ab").await, all(4)).await;
    ben.settle(&key("ab"), &known(&ben, "ab").await, Settlement::Rerun).await.unwrap();
    let error = ana.outcome(&claim, Outcome::Succeeded { request_id: None }).await.unwrap_err();
    assert!(matches!(&error, LedgerError::ClaimChanged { by: Some(by), .. } if by.user == "ben"), "{error}");
}

#[tokio::test]
async fn a_run_on_another_account_s_function_is_another_run() {
    let memory = Memory::default();
    let ana = ledger(&memory, "ana");
    let lock = locked(&ana).await;
    let claim = claimed(&ana, &lock, &known(&ana, "ab").await, all(4)).await;
    ana.outcome(&claim, Outcome::Succeeded { request_id: None }).await.unwrap();
    let function = FunctionArn::parse("arn:aws:lambda:eu-west-1:999999999999:function:orders").unwrap();
    let other = RunKey { function, ..key("ab") };
    let known = ana.known(&BTreeSet::from([other.clone(), key("ab")])).await.unwrap();
    assert_eq!((known[&other].run.state(), known[&key("ab")].run.state()), (State::Untried, State::Succeeded));
    assert_eq!(ana.histories(&["ab"].into()).await.unwrap().len(), 1);
    assert_eq!(ana.all().await.unwrap().len(), 1);
    assert_eq!(ana.histories(&["a"].into()).await.unwrap(), []);
}
