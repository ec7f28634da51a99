//! Replays on two machines with one ledger, each of which may die at any call, whatever the function does: nothing is
//! deleted before all of it has succeeded, nothing that succeeded runs twice, and a shard keeps its order.

mod world;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use clap::Parser;
use hydration::ports::Clock;
use proptest::prelude::*;

use crate::args::{AwsCommand, Cli, Command};
use crate::commands::replay::session::{LedgerPlace, PlacedLedger};
use crate::commands::replay::{Resources, run};
use crate::context::Context;
use crate::interrupt::Interrupt;
use crate::ledger::Ledger;
use crate::ledger::record::Who;
use crate::ledger::store::memory::MemoryStore;
use crate::print::Output;
use crate::queue::identity::QueueIdentity;
use world::{ReplayMachine, ReplayWorld, behaviour, message, world};

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
