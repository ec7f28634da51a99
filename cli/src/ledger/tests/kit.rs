//! A ledger in memory, and its steps, for the tests.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use hydration::ports::Clock;
use hydration::sequence_number::SequenceNumber;
use hydration::timestamp::Timestamp;

use crate::ledger::Ledger;
use crate::ledger::claim::{Claim, Claiming, Invocation, Known, Refused};
use crate::ledger::function::FunctionArn;
use crate::ledger::key::RunKey;
use crate::ledger::lock::{HeldLock, Lock, Locking};
use crate::ledger::record::{Shard, Who};
use crate::ledger::span::{Span, spans};
use crate::ledger::store::memory::{Memory, MemoryStore, NoHook};
use crate::test_support::clock::instant_after;

pub const FUNCTION: &str = "arn:aws:lambda:eu-west-1:123456789012:function:orders";
pub const HIDES_FOR: Duration = Duration::from_secs(60);

/// A clock that stands still, and moves when somebody sleeps.
#[derive(Clone, Default)]
pub struct StillClock(Rc<std::cell::Cell<i64>>);

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

pub type TestLedger<'a> = Ledger<MemoryStore<'a, NoHook>, StillClock>;

pub fn ledger<'a>(memory: &'a Memory, user: &str) -> TestLedger<'a> {
    let who = Who::new(user, "laptop", &format!("run-of-{user}"));
    Ledger::new(MemoryStore { memory, hook: NoHook }, StillClock::default(), who)
}

pub fn key(batch: &str) -> RunKey {
    RunKey { batch: batch.to_owned(), function: FunctionArn::parse(FUNCTION).unwrap() }
}

pub fn numbers(count: u64) -> Vec<SequenceNumber> {
    (1..=count).map(|number| SequenceNumber::parse(&number.to_string()).unwrap()).collect()
}

pub fn all(count: u64) -> Vec<Span> {
    spans(&numbers(count), |_| true).unwrap()
}

pub fn invocation(batch_records: u64, records: Vec<Span>) -> Invocation {
    let shard = Shard::new("arn:aws:kinesis:eu-west-1:123456789012:stream/orders", "shardId-000000000000");
    Invocation { shard: Some(shard), batch_records, records }
}

pub async fn locked(ledger: &TestLedger<'_>) -> Lock {
    match ledger.lock(HIDES_FOR).await.unwrap() {
        Locking::Locked(lock) => lock,
        Locking::Held(held) => panic!("{held}"),
    }
}

pub async fn held(ledger: &TestLedger<'_>) -> HeldLock {
    match ledger.lock(HIDES_FOR).await.unwrap() {
        Locking::Locked(_) => panic!("the lock is free"),
        Locking::Held(held) => held,
    }
}

pub async fn known(ledger: &TestLedger<'_>, batch: &str) -> Known {
    ledger.known(&BTreeSet::from([key(batch)])).await.unwrap().remove(&key(batch)).unwrap()
}

pub async fn claimed(ledger: &TestLedger<'_>, lock: &Lock, known: &Known, records: Vec<Span>) -> Box<Claim> {
    match ledger.claim(lock, &key(&known.run.batch), known, invocation(4, records)).await.unwrap() {
        Claiming::Claimed(claim) => claim,
        Claiming::Refused(why) => panic!("{why}"),
    }
}

pub async fn refused(ledger: &TestLedger<'_>, lock: &Lock, known: &Known) -> Refused {
    match ledger.claim(lock, &key(&known.run.batch), known, invocation(4, all(4))).await.unwrap() {
        Claiming::Claimed(_) => panic!("it was claimed"),
        Claiming::Refused(why) => why,
    }
}
