//! Replays on two machines with one ledger, each of which may die at any call, whatever the function does: nothing is
//! deleted before all of it has succeeded, nothing that succeeded runs twice, and a shard keeps its order.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use clap::Parser;
use hydration::error::{Fault, FaultKind};
use hydration::json::Object;
use hydration::message::parsed::Pointer;
use hydration::ports::Clock;
use proptest::prelude::*;

use crate::args::{AwsCommand, Cli, Command};
use crate::commands::replay::session::{LedgerPlace, PlacedLedger};
use crate::commands::replay::{Resources, run};
use crate::context::Context;
use crate::interrupt::Interrupt;
use crate::ledger::Ledger;
use crate::ledger::record::Who;
use crate::ledger::store::StoreError;
use crate::ledger::store::memory::{Hook, Memory, MemoryStore};
use crate::ports::{
    BatchMapping, Bucket, Function, GetObjectError, InvokeOutcome, Invoked, Queue, QueueAttributes, Receipt,
    ReceivedMessage,
};
use crate::print::Output;
use crate::queue::identity::QueueIdentity;
use crate::test_support::clock::YieldingClock;
use crate::test_support::messages::{TestBatch, batch};

/// Behaviour of the function in one invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behaviour {
    Succeeds,
    Throws,
    /// Succeeds up to the record at this place, and says so.
    Partly(usize),
    Throttled,
    /// The connection breaks, after it has run or before.
    Vanishes {
        ran: bool,
    },
}

struct Message {
    received: ReceivedMessage,
    numbers: Vec<(String, u64)>,
    /// The machine that has received it.
    held_by: Cell<Option<usize>>,
    /// The time at which it becomes visible after its machine has died.
    hidden_until: Cell<Option<i64>>,
    is_deleted: Cell<bool>,
}

/// A queue, a function and the ledger's records, which both machines share.
struct ReplayWorld {
    clock: YieldingClock,
    memory: Memory,
    messages: Vec<Message>,
    behaviours: RefCell<Vec<Behaviour>>,
    /// Records that have succeeded, in order: shard and sequence number.
    succeeded: RefCell<Vec<(String, u64)>>,
    /// Records of which nobody knows whether they ran: a person lets them run again.
    in_doubt: RefCell<Vec<(String, u64)>>,
    /// Shards in which an invocation is under way.
    under_way: RefCell<Vec<String>>,
}

/// One machine. At a chosen call the whole process dies: the call never returns.
struct ReplayMachine {
    world: Rc<ReplayWorld>,
    name: usize,
    calls: Cell<usize>,
    dies_at: usize,
    death: tokio::sync::Notify,
}

impl ReplayMachine {
    async fn step(&self) {
        // The other machine gets its turn.
        tokio::task::yield_now().await;
        self.calls.set(self.calls.get() + 1);
        if self.calls.get() == self.dies_at {
            self.death.notify_one();
            std::future::pending::<()>().await;
        }
    }

    fn is_visible(&self, message: &Message) -> bool {
        let now = self.world.clock.now().millis();
        let is_hidden = message.hidden_until.get().is_some_and(|until| until > now);
        message.held_by.get().is_none() && !is_hidden && !message.is_deleted.get()
    }
}

impl Hook for &ReplayMachine {
    async fn before(&self) -> Result<(), StoreError> {
        self.step().await;
        Ok(())
    }

    async fn after(&self) -> Result<(), StoreError> {
        self.step().await;
        Ok(())
    }
}

impl Queue for ReplayMachine {
    async fn attributes(&self) -> Result<QueueAttributes, Fault> {
        Ok(QueueAttributes::default())
    }

    async fn receive(&self, visibility_timeout: Duration) -> Result<Vec<ReceivedMessage>, Fault> {
        assert!(visibility_timeout <= Duration::from_secs(60));
        self.step().await;
        let taken: Vec<&Message> =
            self.world.messages.iter().filter(|message| self.is_visible(message)).take(2).collect();
        taken.iter().for_each(|message| message.held_by.set(Some(self.name)));
        Ok(taken.into_iter().map(|message| message.received.clone()).collect())
    }

    async fn change_visibility(&self, receipts: &[Receipt], visibility_timeout: Duration) -> Result<(), Fault> {
        self.step().await;
        let is_meant = |m: &&Message| receipts.iter().any(|receipt| receipt.message_id == m.received.message_id);
        for message in self.world.messages.iter().filter(is_meant) {
            assert!(visibility_timeout.is_zero() && message.held_by.get() == Some(self.name));
            message.held_by.set(None);
        }
        Ok(())
    }

    async fn delete(&self, receipt: &Receipt) -> Result<(), Fault> {
        self.step().await;
        let is_meant = |message: &&Message| message.received.message_id == receipt.message_id;
        for message in self.world.messages.iter().filter(is_meant) {
            let succeeded = self.world.succeeded.borrow();
            assert!(message.numbers.iter().all(|number| succeeded.contains(number)), "deleted before it had succeeded");
            message.is_deleted.set(true);
        }
        self.step().await;
        Ok(())
    }
}

impl Bucket for ReplayMachine {
    async fn get(&self, _: &Pointer, _: Option<usize>) -> Result<Vec<u8>, GetObjectError> {
        Err(GetObjectError::Missing)
    }
}

impl Function for ReplayMachine {
    async fn invoke(&self, _: &str, event: String) -> Invoked {
        self.step().await;
        let records: Vec<Object> =
            serde_json::from_str(Object::from_str(&event).unwrap().get("Records").unwrap().get()).unwrap();
        let numbers: Vec<(String, u64)> = records
            .iter()
            .map(|record| {
                let place = record.string("eventID").unwrap();
                let (shard, number) = place.split_once(':').unwrap();
                (shard.to_owned(), number.parse().unwrap())
            })
            .collect();
        let world = &self.world;
        let shard = numbers[0].0.clone();
        assert!(!world.under_way.borrow().contains(&shard), "two invocations of one shard at the same time");
        world.under_way.borrow_mut().push(shard.clone());
        let behaviour = world.behaviours.borrow_mut().pop().unwrap_or(Behaviour::Succeeds);
        let ran = match behaviour {
            Behaviour::Succeeds | Behaviour::Vanishes { ran: true } => numbers.len(),
            Behaviour::Partly(place) => place.min(numbers.len() - 1),
            _ => 0,
        };
        world.succeeded.borrow_mut().extend_from_slice(&numbers[..ran]);
        world.in_doubt.borrow_mut().extend_from_slice(&numbers);
        self.step().await;
        if !matches!(behaviour, Behaviour::Vanishes { .. }) {
            world.in_doubt.borrow_mut().retain(|number| !numbers.contains(number));
        }
        world.under_way.borrow_mut().retain(|other| *other != shard);
        let outcome = match behaviour {
            Behaviour::Succeeds => InvokeOutcome::Returned(b"null".to_vec()),
            Behaviour::Partly(_) => {
                let answer = format!(r#"{{"batchItemFailures":[{{"itemIdentifier":"{}"}}]}}"#, numbers[ran].1);
                InvokeOutcome::Returned(answer.into_bytes())
            }
            Behaviour::Throws => InvokeOutcome::Failed { error_type: "E".to_owned(), message: String::new() },
            Behaviour::Throttled => {
                let fault =
                    Fault { kind: FaultKind::Throttled, action: "lambda:InvokeFunction", detail: String::new() };
                InvokeOutcome::NotRun(fault)
            }
            Behaviour::Vanishes { .. } => InvokeOutcome::Unknown("gone".to_owned()),
        };
        Invoked { outcome, request_id: None }
    }

    async fn resolve(&self, name: &str) -> Result<String, Fault> {
        Ok(name.to_owned())
    }

    async fn concurrency(&self, _: &str) -> Result<u32, Fault> {
        Ok(10)
    }

    async fn mappings(&self, _: &str, _: &str) -> Result<Vec<BatchMapping>, Fault> {
        Ok(Vec::new())
    }

    async fn mapping(&self, _: &str, _: &str) -> Result<BatchMapping, Fault> {
        Ok(BatchMapping::default())
    }
}

/// One run of the whole command, which may die on the way. `true`: it has come to its end.
async fn replay(world: &Rc<ReplayWorld>, name: usize, dies_at: usize, words: &str) -> bool {
    let machine = ReplayMachine {
        world: Rc::clone(world),
        name,
        calls: Cell::new(0),
        dies_at,
        death: tokio::sync::Notify::new(),
    };
    let line = format!("dlq replay --all --execute --concurrency 2 --max-failures 2 --rate 1000 {words}");
    let Command::OnAws(AwsCommand::Replay(arguments)) = Cli::parse_from(line.split_whitespace()).command else {
        panic!("it is a replay")
    };
    let (_sender, interrupt) = Interrupt::manual();
    let context = Context {
        output: Output::to(true, Box::new(std::io::sink()), Box::new(std::io::sink())),
        interrupt,
        clock: world.clock.clone(),
        words: Vec::new(),
        location_flags: String::new(),
    };
    let who = Who::new("ana", "host", &format!("run-{name}"));
    let ledger = Ledger::new(MemoryStore { memory: &world.memory, hook: &machine }, world.clock.clone(), who);
    let queue = QueueIdentity::parse("arn:aws:sqs:us-east-1:123456789012:hydrated").unwrap();
    let place = LedgerPlace { queue, ledger: "memory".to_owned(), is_shared: true };
    let ledger = PlacedLedger { ledger: &ledger, place: &place };
    let resources = Resources { queue: &machine, bucket: &machine, function: &machine, ledger };
    let is_alive = tokio::select! {
        // It may be refused, or stop at a fault: what counts is what it did.
        _ = run(&context, resources, arguments) => true,
        () = machine.death.notified() => false,
    };
    let held = world.messages.iter().filter(|message| message.held_by.get() == Some(name) && !message.is_deleted.get());
    if is_alive {
        assert_eq!(held.count(), 0, "a message was not released");
        return true;
    }
    // Its messages become visible by themselves, and what it had begun at the function has ended.
    let until = world.clock.now().plus_millis(60_000).millis();
    held.for_each(|message| {
        message.held_by.set(None);
        message.hidden_until.set(Some(until));
    });
    world.under_way.borrow_mut().clear();
    false
}

/// The id of the run that holds the lock.
async fn holder(world: &ReplayWorld) -> Option<String> {
    let store = MemoryStore { memory: &world.memory, hook: crate::ledger::store::memory::NoHook };
    let ledger = Ledger::new(store, world.clock.clone(), Who::new("ben", "desk", "looks"));
    ledger.held_lock().await.unwrap().map(|held| held.holder.by.run)
}

/// A person looks at the function's log and settles each claim that is in doubt by what it says.
async fn settle(world: &ReplayWorld) {
    let store = MemoryStore { memory: &world.memory, hook: crate::ledger::store::memory::NoHook };
    let ledger = Ledger::new(store, world.clock.clone(), Who::new("ben", "desk", "settles"));
    for (key, known) in ledger.all().await.unwrap() {
        let Some(claim) = &known.run.claim else { continue };
        let is_in = |number: &u64| {
            let number = hydration::sequence_number::SequenceNumber::parse(&number.to_string()).unwrap();
            claim.records.iter().any(|span| span.first <= number && number <= span.last)
        };
        let shard = &known.run.shard.as_ref().unwrap().shard_id;
        let is_claimed = |(own_shard, number): &&(String, u64)| own_shard == shard && is_in(number);
        let ran = world.succeeded.borrow().iter().filter(is_claimed).count() as u64;
        let claimed: u64 = claim.records.iter().map(|span| span.records).sum();
        // A part that ran is what neither word says. It counts as done, and so the test's record says too.
        let how = if ran == 0 {
            crate::ledger::claim::Settlement::Rerun
        } else {
            if ran < claimed {
                let of_shard = world.messages.iter().flat_map(|message| &message.numbers).filter(is_claimed);
                let missing: Vec<_> =
                    of_shard.filter(|number| !world.succeeded.borrow().contains(number)).cloned().collect();
                for number in missing {
                    if !world.succeeded.borrow().contains(&number) {
                        world.succeeded.borrow_mut().push(number);
                    }
                }
            }
            crate::ledger::claim::Settlement::Done
        };
        ledger.settle(&key, &known, how).await.unwrap();
    }
    world.in_doubt.borrow_mut().clear();
}

/// A message about records of a shard, from `start` on.
fn message(place: usize, shard: usize, start: u64, count: u64) -> Message {
    let records = (0..count).map(|_| "hi".to_owned()).collect();
    let batch = TestBatch { shard, first: start, records, ..batch("ab") };
    // The place in the shard is the id.
    let body = batch.body().replace(&batch.id(), &format!("{shard}{start:063x}"));
    let shard_id = format!("shardId-{shard:012}");
    Message {
        received: ReceivedMessage {
            message_id: format!("m{place}"),
            receipt_handle: format!("r{place}"),
            body,
            ..ReceivedMessage::default()
        },
        numbers: batch.numbers().into_iter().map(|number| (shard_id.clone(), number)).collect(),
        held_by: Cell::new(None),
        hidden_until: Cell::new(None),
        is_deleted: Cell::new(false),
    }
}

fn world(messages: Vec<Message>, behaviours: Vec<Behaviour>) -> Rc<ReplayWorld> {
    Rc::new(ReplayWorld {
        clock: YieldingClock::default(),
        memory: Memory::default(),
        messages,
        behaviours: RefCell::new(behaviours),
        succeeded: RefCell::default(),
        in_doubt: RefCell::default(),
        under_way: RefCell::default(),
    })
}

fn behaviour() -> impl Strategy<Value = Behaviour> {
    prop_oneof![
        4 => Just(Behaviour::Succeeds),
        2 => Just(Behaviour::Throws),
        3 => (0_usize..4).prop_map(Behaviour::Partly),
        1 => Just(Behaviour::Throttled),
        1 => any::<bool>().prop_map(|ran| Behaviour::Vanishes { ran }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn two_machines_replay_safely(
        sizes in prop::collection::vec((0_usize..2, 1_u64..5, 1_usize..3), 1..7),
        behaviours in prop::collection::vec(behaviour(), 0..12),
        deaths in prop::collection::vec((1_usize..90, 1_usize..90), 0..4),
        keep_going: bool,
    ) {
        let mut messages = Vec::new();
        for (place, (shard, count, copies)) in sizes.iter().enumerate().rev() {
            for _ in 0..*copies {
                messages.push(message(messages.len(), *shard, 100 + 10 * place as u64, *count));
            }
        }
        let world = world(messages, behaviours);
        let words = if keep_going { "--keep-going" } else { "" };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut name = 0;
            for (one, other) in deaths {
                name += 2;
                // Two runs at the same time, each of which may die.
                let both = tokio::join!(replay(&world, name - 1, one, words), replay(&world, name, other, words));
                if both != (true, true) {
                    settle(&world).await;
                }
            }
            // Runs that come to their end. A lock that a dead run has left is released by its name.
            for _ in 0..20 {
                name += 1;
                let ended = holder(&world).await;
                let ended = ended.map_or(String::new(), |run| format!("--in-doubt rerun --ended-run {run}"));
                settle(&world).await;
                assert!(replay(&world, name, 0, &format!("{words} {ended}")).await);
            }
        });

        prop_assert!(world.messages.iter().all(|message| message.is_deleted.get()), "a message was left");
        let succeeded = world.succeeded.borrow();
        let mut shards: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for (shard, number) in succeeded.iter() {
            shards.entry(shard).or_default().push(*number);
        }
        for numbers in shards.values() {
            let mut once = numbers.clone();
            once.sort_unstable();
            once.dedup();
            prop_assert_eq!(once.len(), numbers.len(), "a record succeeded twice: {:?}", numbers);
            prop_assert!(keep_going || numbers.is_sorted(), "out of order: {:?}", numbers);
        }
    }
}

#[tokio::test]
async fn after_a_run_without_failures_the_queue_is_empty() {
    let messages = (0..6).map(|place| message(place, place % 2, 100 + 10 * (place as u64 / 2), 3)).collect();
    let world = world(messages, Vec::new());
    assert!(replay(&world, 1, 0, "").await);
    assert!(world.messages.iter().all(|message| message.is_deleted.get()));
    assert_eq!(world.succeeded.borrow().len(), 18);
}
