//! A queue, a function and the ledger's records, shared by all machines of a test. It checks every invocation and
//! deletion against the ledger's promises.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::task::{Context, Poll};
use std::time::Duration;

use hydration::ports::Clock;
use hydration::sequence_number::SequenceNumber;
use hydration::timestamp::Timestamp;

use crate::ledger::function::FunctionArn;
use crate::ledger::key::RunKey;
use crate::ledger::span::Span;
use crate::ledger::store::StoreError;
use crate::ledger::store::memory::{Hook, Memory};
use crate::test_support::clock::instant_after;

pub const HIDES_FOR: Duration = Duration::from_secs(60);
pub const RECORDS: usize = 2;

/// Lets another machine act.
pub async fn pause() {
    let mut has_paused = false;
    let poll = |context: &mut Context<'_>| {
        if std::mem::replace(&mut has_paused, true) {
            return Poll::Ready(());
        }
        // A stream of several calls goes on with those that asked for it.
        context.waker().wake_by_ref();
        Poll::Pending
    };
    std::future::poll_fn(poll).await;
}

/// The function's behaviour with one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    Succeeds,
    /// The first record succeeds, and the function names the second.
    Partly,
    Throws,
    Throttled,
    /// The connection breaks.
    Vanishes {
        ran: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FunctionAnswer {
    Succeeded,
    /// This many have succeeded.
    Partly(usize),
    Failed,
    NotInvoked,
    Unknown,
}

#[derive(Debug)]
pub struct ModelBatch {
    pub shard: usize,
    /// The run that has received the message.
    received_by: Cell<Option<usize>>,
    /// Milliseconds until which the message stays hidden after the run's end.
    hidden_until: Cell<i64>,
    pub is_deleted: Cell<bool>,
    /// Records that have succeeded, or of which a person has said so.
    is_done: [Cell<bool>; RECORDS],
    /// Records that may be in an event: they never were, are known to have failed, or a person has said so.
    may_run: [Cell<bool>; RECORDS],
}

#[derive(Debug, Default)]
pub struct World {
    pub memory: Memory,
    /// In each shard's order.
    pub batches: Vec<ModelBatch>,
    now: Cell<i64>,
    runs: Cell<usize>,
    /// The runs that have not ended.
    pub alive: RefCell<Vec<usize>>,
    deeds: RefCell<Vec<Deed>>,
    /// Calls of the store that fail: before they are carried out, or after.
    faults: RefCell<BTreeMap<usize, bool>>,
    calls: Cell<usize>,
    /// A person may settle the lock of a living run. A shard's order is then in that person's hands.
    pub is_careless: bool,
}

impl World {
    pub fn new(shards: &[usize], deeds: Vec<Deed>, faults: BTreeMap<usize, bool>, is_careless: bool) -> Self {
        let batch = |shard| ModelBatch {
            shard,
            received_by: Cell::new(None),
            hidden_until: Cell::new(0),
            is_deleted: Cell::new(false),
            is_done: Default::default(),
            may_run: [Cell::new(true), Cell::new(true)],
        };
        let batches = shards.iter().enumerate().flat_map(|(shard, count)| (0..*count).map(move |_| batch(shard)));
        let (deeds, faults) = (RefCell::new(deeds), RefCell::new(faults));
        Self { batches: batches.collect(), deeds, faults, is_careless, ..Self::default() }
    }

    pub fn key(&self, batch: usize) -> RunKey {
        let function = FunctionArn::parse("arn:aws:lambda:eu-west-1:123456789012:function:orders").unwrap();
        RunKey { batch: format!("{batch:064x}"), function }
    }

    pub fn numbers(&self, batch: usize) -> Vec<SequenceNumber> {
        let number = |record| SequenceNumber::parse(&format!("49{:06}", batch * 10 + record)).unwrap();
        (0..RECORDS).map(number).collect()
    }

    fn records_of(&self, batch: usize, spans: &[Span]) -> Vec<usize> {
        let numbers = self.numbers(batch);
        let is_in =
            |record: &usize| spans.iter().any(|span| span.first <= numbers[*record] && numbers[*record] <= span.last);
        (0..RECORDS).filter(is_in).collect()
    }

    /// Faults are over, and the function works.
    pub fn recovers(&self) {
        self.faults.borrow_mut().clear();
        self.deeds.borrow_mut().clear();
    }

    pub fn pass(&self, millis: i64) {
        self.now.set(self.now.get() + millis);
    }

    /// A new run, with a number that no other has.
    pub fn begins(&self) -> usize {
        self.runs.set(self.runs.get() + 1);
        self.alive.borrow_mut().push(self.runs.get());
        self.runs.get()
    }

    /// The run is over: what it has received comes back when the visibility timeout ends.
    pub fn ends(&self, run: usize) {
        self.alive.borrow_mut().retain(|alive| *alive != run);
        for batch in self.batches.iter().filter(|batch| batch.received_by.get() == Some(run)) {
            batch.hidden_until.set(self.now.get() + i64::try_from(HIDES_FOR.as_millis()).unwrap());
            batch.received_by.set(None);
        }
    }

    pub async fn receive(&self, run: usize) -> Vec<usize> {
        let mut received = Vec::new();
        for (index, batch) in self.batches.iter().enumerate() {
            let is_hidden = batch.received_by.get().is_some() || batch.hidden_until.get() > self.now.get();
            if !is_hidden && !batch.is_deleted.get() {
                batch.received_by.set(Some(run));
                received.push(index);
            }
            pause().await;
        }
        received
    }

    /// Makes a message visible again; `false`: the call failed.
    pub async fn release(&self, batch: usize, run: usize) -> bool {
        pause().await;
        let batch = &self.batches[batch];
        if batch.received_by.get() == Some(run) && !batch.is_deleted.get() {
            batch.received_by.set(None);
            if self.fails(false) {
                // Nobody extends it any more: it comes back when the visibility timeout ends, whatever the run does next.
                batch.hidden_until.set(self.now.get() + i64::try_from(HIDES_FOR.as_millis()).unwrap());
                return false;
            }
        }
        true
    }

    pub async fn delete(&self, batch: usize) {
        pause().await;
        let batch = &self.batches[batch];
        assert!(batch.is_done.iter().all(Cell::get), "a message was deleted before all of its records were done");
        batch.is_deleted.set(true);
        pause().await;
    }

    pub async fn invoke(&self, batch: usize, spans: &[Span]) -> FunctionAnswer {
        pause().await;
        let records = self.records_of(batch, spans);
        let it = &self.batches[batch];
        for record in &records {
            assert!(it.may_run[*record].replace(false), "record {record} of batch {batch} ran a second time");
        }
        let before = self.batches[..batch].iter().filter(|earlier| earlier.shard == it.shard);
        let overtaken = before.flat_map(|earlier| &earlier.is_done).any(|is_done| !is_done.get());
        assert!(!overtaken || self.is_careless, "batch {batch} has overtaken an earlier one of its shard");
        let deed = self.deeds.borrow_mut().pop().unwrap_or(Deed::Succeeds);
        let ran = match deed {
            Deed::Succeeds | Deed::Vanishes { ran: true } => records.len(),
            Deed::Partly => records.len() - 1,
            _ => 0,
        };
        records[..ran].iter().for_each(|record| it.is_done[*record].set(true));
        pause().await;
        if !matches!(deed, Deed::Vanishes { .. }) {
            records[ran..].iter().for_each(|record| it.may_run[*record].set(true));
        }
        match deed {
            Deed::Succeeds => FunctionAnswer::Succeeded,
            Deed::Partly if ran > 0 => FunctionAnswer::Partly(ran),
            Deed::Partly | Deed::Throws => FunctionAnswer::Failed,
            Deed::Throttled => FunctionAnswer::NotInvoked,
            Deed::Vanishes { .. } => FunctionAnswer::Unknown,
        }
    }

    /// A person says that records in doubt may run again.
    pub fn said_rerun(&self, batch: usize, spans: &[Span]) {
        let it = &self.batches[batch];
        self.records_of(batch, spans).into_iter().for_each(|record| it.may_run[record].set(true));
    }

    /// A person says that records in doubt have run.
    pub fn said_done(&self, batch: usize, spans: &[Span]) {
        let it = &self.batches[batch];
        self.records_of(batch, spans).into_iter().for_each(|record| it.is_done[record].set(true));
    }

    fn fails(&self, after: bool) -> bool {
        if !after {
            self.calls.set(self.calls.get() + 1);
        }
        self.faults.borrow().get(&self.calls.get()) == Some(&after)
    }
}

impl Hook for &World {
    async fn before(&self) -> Result<(), StoreError> {
        pause().await;
        if self.fails(false) { Err(StoreError::Test) } else { Ok(()) }
    }

    async fn after(&self) -> Result<(), StoreError> {
        let fails = self.fails(true);
        pause().await;
        if fails { Err(StoreError::Test) } else { Ok(()) }
    }
}

impl Clock for &World {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + self.now.get())
    }

    fn instant(&self) -> std::time::Instant {
        instant_after(Duration::from_millis(self.now.get().unsigned_abs()))
    }

    async fn sleep(&self, duration: Duration) {
        let until = self.now.get() + i64::try_from(duration.as_millis()).unwrap();
        pause().await;
        self.now.set(self.now.get().max(until));
    }

    fn jitter(&self) -> f64 {
        0.0
    }
}
