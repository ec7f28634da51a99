//! The lock on a queue.

use std::time::Duration;

use hydration::ports::Clock;

use crate::ledger::error::LedgerError;
use crate::ledger::lock::{Locking, Settled};
use crate::ledger::store::memory::Memory;
use crate::ledger::tests::kit::*;

#[tokio::test]
async fn a_held_lock_names_its_holder_and_what_to_type() {
    let memory = Memory::default();
    let (ana, ben) = (ledger(&memory, "ana"), ledger(&memory, "ben"));
    let lock = locked(&ana).await;
    let text = held(&ben).await.to_string();
    for part in ["ana on laptop", "2026-11-21T10:00:00.000Z", "run-of-ana", "--in-doubt rerun"] {
        assert!(text.contains(part), "{text}");
    }
    drop(locked(&ana).await);
    assert_eq!(ben.held_lock().await.unwrap().unwrap().holder.by.user, "ana");
    ana.unlock(&lock, None).await.unwrap();
    assert_eq!(ben.held_lock().await.unwrap(), None);
    assert_eq!(locked(&ben).await.hidden_until(), None);
}

#[tokio::test]
async fn messages_of_a_dead_run_are_waited_for() {
    let memory = Memory::default();
    let (ana, ben) = (ledger(&memory, "ana"), ledger(&memory, "ben"));
    let _dead = locked(&ana).await;
    assert_eq!(ben.settle_lock(&held(&ben).await).await.unwrap(), Settled::Done(()));
    let lock = locked(&ben).await;
    let minute_later = ben.clock.now().plus_millis(60_000);
    assert_eq!(lock.hidden_until(), Some(minute_later));
    ben.wait_until_visible(&lock).await;
    assert_eq!(ben.clock.now(), minute_later);
    ben.unlock(&lock, Some(Duration::from_secs(5))).await.unwrap();
    assert_eq!(locked(&ben).await.hidden_until(), Some(minute_later.plus_millis(5000)));
}

/// A clock that is ten years ahead on another machine keeps nobody waiting for longer than SQS hides a message.
#[tokio::test]
async fn a_time_that_sqs_does_not_allow_is_cut_to_twelve_hours() {
    let memory = Memory::default();
    let (ana, ben) = (ledger(&memory, "ana"), ledger(&memory, "ben"));
    let ten_years = Duration::from_secs(10 * 365 * 86_400);
    let unlock_in_ten_years = async || {
        let lock = locked(&ana).await;
        ana.unlock(&lock, Some(ten_years)).await.unwrap();
    };
    unlock_in_ten_years().await;
    let (lock, locked_at) = (locked(&ben).await, ben.clock.now());
    let latest = locked_at.plus_millis(12 * 3_600_000);
    assert_eq!(lock.hidden_until(), Some(latest));
    assert_eq!(lock.impossible_time().unwrap().millis_since(locked_at), 10 * 365 * 86_400_000);
    ben.wait_until_visible(&lock).await;
    assert_eq!(ben.clock.now(), latest);
    ben.unlock(&lock, None).await.unwrap();
    assert_eq!(locked(&ben).await.hidden_until(), None, "the next run waits no more");

    // The same where the lock of a dead run is settled.
    let memory = Memory::default();
    let [ana, ben, eve] = ["ana", "ben", "eve"].map(|user| ledger(&memory, user));
    let lock = locked(&ana).await;
    ana.unlock(&lock, Some(ten_years)).await.unwrap();
    let Locking::Locked(_dead) = ben.lock(ten_years).await.unwrap() else { panic!("nobody holds it") };
    eve.settle_lock(&held(&eve).await).await.unwrap();
    let lock = locked(&eve).await;
    assert_eq!(lock.hidden_until(), Some(eve.clock.now().plus_millis(12 * 3_600_000)));
    assert_eq!(lock.impossible_time(), None);
}

#[tokio::test]
async fn a_lock_is_settled_once() {
    let memory = Memory::default();
    let [ana, ben, eve] = ["ana", "ben", "eve"].map(|user| ledger(&memory, user));
    let lock = locked(&ana).await;
    let seen = held(&ben).await;
    assert_eq!(eve.settle_lock(&held(&eve).await).await.unwrap(), Settled::Done(()));
    drop(locked(&eve).await);
    assert_eq!(ben.settle_lock(&seen).await.unwrap(), Settled::Changed);
    let Err(LedgerError::LockLost { by: Some(by) }) = ana.unlock(&lock, None).await else { panic!("it was released") };
    assert_eq!(by.user, "eve");
}
