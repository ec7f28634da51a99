//! The ledger step by step.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use hydration::ports::Clock;
use hydration::sequence_number::SequenceNumber;
use hydration::timestamp::Timestamp;

use crate::ledger::Ledger;
use crate::ledger::claim::{Claim, Claiming, Invocation, Known, Outcome, Refused, Settlement};
use crate::ledger::error::LedgerError;
use crate::ledger::function::FunctionArn;
use crate::ledger::history::State;
use crate::ledger::key::{Key, RunKey};
use crate::ledger::lock::{HeldLock, Lock, Locking, Settled};
use crate::ledger::record::{Shard, Who};
use crate::ledger::span::{Coverage, Span, coverage, spans};
use crate::ledger::store::folder::FolderStore;
use crate::ledger::store::memory::{Memory, MemoryStore, NoHook};
use crate::ledger::store::{Store, StoreError, Stored, Version, Write};
use crate::test_support::clock::instant_after;

const FUNCTION: &str = "arn:aws:lambda:eu-west-1:123456789012:function:orders";
const HIDES_FOR: Duration = Duration::from_secs(60);

/// A clock that stands still, and moves when somebody sleeps.
#[derive(Clone, Default)]
struct StillClock(Rc<std::cell::Cell<i64>>);

impl Clock for StillClock {
    fn now(&self) -> Timestamp {
        Timestamp::parse("2026-11-21T10:00:00Z").unwrap().plus_millis(self.0.get())
    }

    fn instant(&self) -> std::time::Instant {
        instant_after(Duration::from_millis(self.0.get().unsigned_abs()))
    }

    async fn sleep(&self, duration: Duration) {
        self.0.set(self.0.get() + i64::try_from(duration.as_millis()).unwrap());
    }

    fn jitter(&self) -> f64 {
        0.0
    }
}

type TestLedger<'a> = Ledger<MemoryStore<'a, NoHook>, StillClock>;

fn ledger<'a>(memory: &'a Memory, user: &str) -> TestLedger<'a> {
    let who = Who::new(user, "laptop", &format!("run-of-{user}"));
    Ledger::new(MemoryStore { memory, hook: NoHook }, StillClock::default(), who)
}

fn key(batch: &str) -> RunKey {
    RunKey { batch: batch.to_owned(), function: FunctionArn::parse(FUNCTION).unwrap() }
}

fn numbers(count: u64) -> Vec<SequenceNumber> {
    (1..=count).map(|number| SequenceNumber::parse(&number.to_string()).unwrap()).collect()
}

fn all(count: u64) -> Vec<Span> {
    spans(&numbers(count), |_| true).unwrap()
}

fn invocation(batch_records: u64, records: Vec<Span>) -> Invocation {
    let shard = Shard::new("arn:aws:kinesis:eu-west-1:123456789012:stream/orders", "shardId-000000000000");
    Invocation { shard: Some(shard), batch_records, records }
}

async fn locked(ledger: &TestLedger<'_>) -> Lock {
    match ledger.lock(HIDES_FOR).await.unwrap() {
        Locking::Locked(lock) => lock,
        Locking::Held(held) => panic!("{held}"),
    }
}

async fn held(ledger: &TestLedger<'_>) -> HeldLock {
    match ledger.lock(HIDES_FOR).await.unwrap() {
        Locking::Locked(_) => panic!("the lock is free"),
        Locking::Held(held) => held,
    }
}

async fn known(ledger: &TestLedger<'_>, batch: &str) -> Known {
    ledger.known(&BTreeSet::from([key(batch)])).await.unwrap().remove(&key(batch)).unwrap()
}

async fn claimed(ledger: &TestLedger<'_>, lock: &Lock, known: &Known, records: Vec<Span>) -> Box<Claim> {
    match ledger.claim(lock, &key(&known.run.batch), known, invocation(4, records)).await.unwrap() {
        Claiming::Claimed(claim) => claim,
        Claiming::Refused(why) => panic!("{why}"),
    }
}

async fn refused(ledger: &TestLedger<'_>, lock: &Lock, known: &Known) -> Refused {
    match ledger.claim(lock, &key(&known.run.batch), known, invocation(4, all(4))).await.unwrap() {
        Claiming::Claimed(_) => panic!("it was claimed"),
        Claiming::Refused(why) => why,
    }
}

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

fn store_bytes(memory: &Memory, key: Key, bytes: &[u8]) {
    let version = Version("by hand".to_owned());
    memory.records.borrow_mut().insert(key, Stored { bytes: bytes.to_vec(), version });
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_never_taken_for_none() {
    let memory = Memory::default();
    let ana = ledger(&memory, "ana");
    let keys = BTreeSet::from([key("ab")]);
    for (bytes, expected) in [
        (&b""[..], "cannot be read (line 1"),
        (b"{\"version\":1,\"secret-4f1c", "cannot be read (line 1"),
        (b"{\"version\":2}", "upgrade dlq"),
    ] {
        store_bytes(&memory, Key::run(&key("ab")), bytes);
        store_bytes(&memory, Key::lock(), bytes);
        for error in [ana.known(&keys).await.unwrap_err(), ana.lock(HIDES_FOR).await.unwrap_err()] {
            let text = error.to_string();
            assert!(text.contains(expected) && text.contains("memory:") && !text.contains("secret"), "{text}");
        }
    }
    let other = serde_json::to_vec(&Known::absent(&key("cd")).run).unwrap();
    store_bytes(&memory, Key::run(&key("ab")), &other);
    assert!(matches!(ana.known(&keys).await, Err(LedgerError::Mismatched { .. })));
    assert!(matches!(ana.all().await, Err(LedgerError::Mismatched { .. })));
}

#[tokio::test]
async fn a_claim_that_was_deleted_is_an_error() {
    let memory = Memory::default();
    let ana = ledger(&memory, "ana");
    let lock = locked(&ana).await;
    let claim = claimed(&ana, &lock, &known(&ana, "ab").await, all(4)).await;
    memory.records.borrow_mut().remove(&Key::run(&key("ab")));
    let written = ana.outcome(&claim, Outcome::Succeeded { request_id: None }).await;
    assert!(matches!(written, Err(LedgerError::Deleted { .. })), "{written:?}");
}

#[tokio::test]
async fn a_corrupt_file_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::new(FolderStore::new(folder.path().into()), StillClock::default(), Who::new("ana", "l", "r"));
    drop(ledger.lock(HIDES_FOR).await.unwrap());
    let path = folder.path().join("lock.json");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let text = ledger.lock(HIDES_FOR).await.unwrap_err().to_string();
    assert!(text.contains(path.to_str().unwrap()) && text.contains("cannot be read"), "{text}");
}

/// Counts the calls that reach the store.
struct Counting<'a> {
    store: MemoryStore<'a, NoHook>,
    gets: std::cell::Cell<u64>,
    lists: std::cell::Cell<u64>,
}

impl Store for Counting<'_> {
    async fn get(&self, key: &Key) -> Result<Option<Stored>, StoreError> {
        self.gets.set(self.gets.get() + 1);
        self.store.get(key).await
    }

    async fn create(&self, key: &Key, bytes: &[u8]) -> Result<Write, StoreError> {
        self.store.create(key, bytes).await
    }

    async fn replace(&self, key: &Key, bytes: &[u8], version: &Version) -> Result<Write, StoreError> {
        self.store.replace(key, bytes, version).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Key>, StoreError> {
        self.lists.set(self.lists.get() + 1);
        self.store.list(prefix).await
    }

    fn name_of(&self, key: &Key) -> String {
        self.store.name_of(key)
    }
}

#[tokio::test]
async fn a_plan_of_5_000_new_batches_is_one_listing() {
    let memory = Memory::default();
    let ana = ledger(&memory, "ana");
    let lock = locked(&ana).await;
    for batch in ["ab-1", "ab-2", "elsewhere"] {
        let _claim = claimed(&ana, &lock, &known(&ana, batch).await, all(4)).await;
    }
    let store = MemoryStore { memory: &memory, hook: NoHook };
    let store = Counting { store, gets: Default::default(), lists: Default::default() };
    let ledger = Ledger::new(store, StillClock::default(), Who::new("ben", "desk", "run-of-ben"));
    let keys: BTreeSet<RunKey> = (0..5000).map(|number| key(&format!("ab-{number}"))).collect();
    let start = std::time::Instant::now();
    let known = ledger.known(&keys).await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert_eq!((ledger.store.lists.get(), ledger.store.gets.get()), (1, 2));
    assert_eq!(known.len(), 5000);
    assert_eq!(known.values().filter(|known| known.run.state() == State::InDoubt).count(), 2);
}

#[tokio::test]
async fn a_record_holds_what_it_should_and_no_more() {
    let memory = Memory::default();
    let ana = ledger(&memory, "ana");
    let lock = locked(&ana).await;
    let claim = claimed(&ana, &lock, &known(&ana, "ab").await, all(4)).await;
    let failed = Outcome::Failed { error_type: "KeyError: 'card 4111'".to_owned(), request_id: Some("r-1".to_owned()) };
    ana.outcome(&claim, failed).await.unwrap();
    let records = memory.records.borrow();
    let written: serde_json::Value = serde_json::from_slice(&records[&Key::run(&key("ab"))].bytes).unwrap();
    let expected = serde_json::json!({
        "version": 1, "revision": 2, "batch": "ab", "function": FUNCTION, "records": 4, "done": [], "attemptsMade": 1,
        "shard": {
            "streamArn": "arn:aws:kinesis:eu-west-1:123456789012:stream/orders", "shardId": "shardId-000000000000"
        },
        "attempts": [{
            "attempt": 1, "by": {"user": "ana", "host": "laptop", "run": "run-of-ana"},
            "claimedAt": "2026-11-21T10:00:00.000Z", "finishedAt": "2026-11-21T10:00:00.000Z",
            "outcome": "failed", "records": 4, "succeeded": 0, "errorType": "KeyError", "requestId": "r-1"
        }]
    });
    assert_eq!(written, expected);
}

#[test]
fn a_name_from_another_machine_cannot_write_to_the_terminal() {
    let mut run = Known::absent(&key("ab")).run;
    let by = Who::new("ana\u{1b}[2J", "lap\u{202e}top", "r");
    let at = "2026\n".to_owned();
    run.claim = Some(crate::ledger::record::OpenClaim { attempt: 1, by, at, records: all(1), unknown: None });
    let text = run.sentence();
    assert!(text.contains(r"ana\u{1b}[2J on lap\u{202e}top") && !text.contains('\n'), "{text}");
}
