//! A machine that replays the queue, call by call as the head of the ledger's module says.

use std::cell::Cell;
use std::collections::BTreeMap;

use futures_util::future::join_all;

use super::world::{FunctionAnswer, HIDES_FOR, World};
use crate::ledger::Ledger;
use crate::ledger::claim::{Claiming, Invocation, Known, Outcome, Settlement};
use crate::ledger::error::LedgerError;
use crate::ledger::lock::{Lock, Locking, Settled};
use crate::ledger::record::Who;
use crate::ledger::span::{Coverage, coverage, spans};
use crate::ledger::store::memory::MemoryStore;

type WorldLedger<'a> = Ledger<MemoryStore<'a, &'a World>, &'a World>;

pub struct Machine<'a> {
    world: &'a World,
    run: usize,
    ledger: WorldLedger<'a>,
    in_doubt: Option<Settlement>,
    is_stopped: Cell<bool>,
}

impl<'a> Machine<'a> {
    pub fn new(world: &'a World, run: usize, in_doubt: Option<Settlement>) -> Self {
        let who = Who::new("ana", &format!("machine-{run}"), &format!("run-{run}"));
        let ledger = Ledger::new(MemoryStore { memory: &world.memory, hook: world }, world, who);
        Self { world, run, ledger, in_doubt, is_stopped: Cell::new(false) }
    }

    /// One run from lock to unlock.
    pub async fn replay(self) {
        if let Ok(Some(lock)) = self.lock().await {
            let all_visible = self.work(&lock).await;
            // A failed release leaves the lock, in doubt.
            drop(self.ledger.unlock(&lock, (!all_visible).then_some(HIDES_FOR)).await);
        }
        self.world.ends(self.run);
    }

    async fn lock(&self) -> Result<Option<Lock>, LedgerError> {
        let held = match self.ledger.lock(HIDES_FOR).await? {
            Locking::Locked(lock) => return Ok(Some(lock)),
            Locking::Held(held) => held,
        };
        // A person settles what the refusal named, and only when that run is known to be dead.
        let is_alive = self.world.alive.borrow().iter().any(|run| held.holder.by.run == format!("run-{run}"));
        if self.in_doubt.is_none() || (is_alive && !self.world.is_careless) {
            return Ok(None);
        }
        if self.ledger.settle_lock(&held).await? == Settled::Changed {
            return Ok(None);
        }
        match self.ledger.lock(HIDES_FOR).await? {
            Locking::Locked(lock) => Ok(Some(lock)),
            Locking::Held(_) => Ok(None),
        }
    }

    /// Says whether all messages that were received and not deleted are visible again.
    async fn work(&self, lock: &Lock) -> bool {
        self.ledger.wait_until_visible(lock).await;
        let received = self.world.receive(self.run).await;
        let keys = received.iter().map(|batch| self.world.key(*batch)).collect();
        if let Ok(known) = self.ledger.known(&keys).await {
            let mut shards: BTreeMap<usize, Vec<(usize, Known)>> = BTreeMap::new();
            for batch in &received {
                let known = known[&self.world.key(*batch)].clone();
                shards.entry(self.world.batches[*batch].shard).or_default().push((*batch, known));
            }
            join_all(shards.into_values().map(|shard| self.shard(lock, shard))).await;
        }
        let mut all_visible = true;
        for batch in received {
            all_visible &= self.world.release(batch, self.run).await;
        }
        all_visible
    }

    async fn shard(&self, lock: &Lock, batches: Vec<(usize, Known)>) {
        for (batch, known) in batches {
            match self.batch(lock, batch, known).await {
                Ok(true) if !self.is_stopped.get() => {}
                Ok(_) => return,
                Err(_) => return self.is_stopped.set(true),
            }
        }
    }

    /// `true`: the batch is done, and the next one of the shard may run.
    async fn batch(&self, lock: &Lock, batch: usize, mut known: Known) -> Result<bool, LedgerError> {
        let (world, key) = (self.world, self.world.key(batch));
        if let Some(claim) = &known.run.claim {
            let Some(how) = self.in_doubt else { return Ok(false) };
            match how {
                Settlement::Rerun => world.said_rerun(batch, &claim.records),
                Settlement::Done => world.said_done(batch, &claim.records),
            }
            match self.ledger.settle(&key, &known, how).await? {
                Settled::Done(settled) => known = settled,
                Settled::Changed => return Ok(false),
            }
        }
        let numbers = world.numbers(batch);
        let Coverage::Known(covered) = coverage(&known.run.done, &numbers) else { panic!("copies are all the same") };
        let records = spans(&numbers, |index| !covered[index]).unwrap();
        if records.is_empty() {
            world.delete(batch).await;
            return Ok(true);
        }
        let invocation = Invocation { shard: None, batch_records: numbers.len() as u64, records: records.clone() };
        let Claiming::Claimed(claim) = self.ledger.claim(lock, &key, &known, invocation).await? else {
            return Ok(false);
        };
        let error_type = "Error".to_owned();
        let request_id = Some("3f8a".to_owned());
        let outcome = match world.invoke(batch, &records).await {
            FunctionAnswer::Succeeded => Outcome::Succeeded { request_id },
            FunctionAnswer::Partly(count) => {
                let first = (0..numbers.len()).filter(|index| !covered[*index]).take(count).collect::<Vec<_>>();
                let succeeded = spans(&numbers, |index| first.contains(&index)).unwrap();
                Outcome::Partly { succeeded, error_type, request_id }
            }
            FunctionAnswer::Failed => Outcome::Failed { error_type, request_id },
            FunctionAnswer::NotInvoked => Outcome::NotInvoked { error_type },
            FunctionAnswer::Unknown => Outcome::Unknown { error_type, request_id: None },
        };
        let is_done = matches!(outcome, Outcome::Succeeded { .. });
        match self.ledger.outcome(&claim, outcome.clone()).await {
            // One more attempt: the first one may or may not have been carried out.
            Err(LedgerError::Store(_)) => drop(self.ledger.outcome(&claim, outcome).await?),
            written => drop(written?),
        }
        if is_done {
            world.delete(batch).await;
        }
        Ok(is_done)
    }
}
