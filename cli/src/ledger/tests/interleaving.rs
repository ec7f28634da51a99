//! Two machines, any order of their steps, each killed at any point.
//!
//! The machines are futures that pause before and after every call of the store, the queue and the function. A drawn
//! list says which of them goes on, which is killed and which is started again; the world checks each invocation.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Waker};

use proptest::prelude::*;

use super::machine::Machine;
use super::world::{Deed, World};
use crate::ledger::claim::Settlement;
use crate::ledger::key::Key;
use crate::ledger::record::{QueueLock, decode};

#[derive(Debug, Clone)]
enum MachineAction {
    /// A machine goes on for some steps.
    Step(usize, usize),
    Kill(usize),
    /// A machine that is not running starts a run.
    Start(usize, Option<Settlement>),
    /// Seconds pass.
    Pass(i64),
}

type Task<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// The machines, each with the run that it is at.
struct Machines<'a> {
    world: &'a World,
    running: [Option<(usize, Task<'a>)>; 2],
}

impl<'a> Machines<'a> {
    fn act(&mut self, action: MachineAction) {
        match action {
            MachineAction::Step(machine, steps) => {
                for _ in 0..steps {
                    self.step(machine);
                }
            }
            MachineAction::Kill(machine) => {
                if let Some((run, task)) = self.running[machine].take() {
                    drop(task);
                    self.world.ends(run);
                }
            }
            MachineAction::Start(machine, in_doubt) => self.start(machine, in_doubt),
            MachineAction::Pass(seconds) => self.world.pass(seconds * 1000),
        }
    }

    fn start(&mut self, machine: usize, in_doubt: Option<Settlement>) {
        if self.running[machine].is_none() {
            let run = self.world.begins();
            let task = Box::pin(Machine::new(self.world, run, in_doubt).replay());
            self.running[machine] = Some((run, task));
        }
    }

    /// `false`: the machine is not running.
    fn step(&mut self, machine: usize) -> bool {
        let Some((_, task)) = &mut self.running[machine] else { return false };
        if task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            self.running[machine] = None;
        }
        true
    }

    fn finish(&mut self) {
        for step in 0.. {
            assert!(step < 100_000, "a machine never ends");
            let (first, second) = (self.step(0), self.step(1));
            if !first && !second {
                return;
            }
        }
    }
}

/// Plays the actions, then settles everything, and checks that all batches get done.
fn play(world: &World, actions: Vec<MachineAction>, last: Settlement) {
    let mut machines = Machines { world, running: [None, None] };
    machines.start(0, None);
    machines.start(1, None);
    actions.into_iter().for_each(|action| machines.act(action));
    machines.finish();
    world.recovers();
    for _ in 0..4 {
        world.pass(60_000);
        machines.start(0, Some(last));
        machines.finish();
    }
    assert!(world.batches.iter().all(|batch| batch.is_deleted.get()), "something can never be completed");
}

fn settlement() -> impl Strategy<Value = Settlement> {
    prop_oneof![Just(Settlement::Rerun), Just(Settlement::Done)]
}

fn actions() -> impl Strategy<Value = Vec<MachineAction>> {
    let action = prop_oneof![
        20 => (0..2usize, 1..12usize).prop_map(|(machine, steps)| MachineAction::Step(machine, steps)),
        2 => (0..2usize).prop_map(MachineAction::Kill),
        4 => (0..2usize, prop::option::of(settlement())).prop_map(|(machine, how)| MachineAction::Start(machine, how)),
        1 => (1..90i64).prop_map(MachineAction::Pass),
    ];
    prop::collection::vec(action, 0..80)
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        6 => Just(Deed::Succeeds),
        1 => Just(Deed::Partly),
        1 => Just(Deed::Throws),
        1 => Just(Deed::Throttled),
        1 => any::<bool>().prop_map(|ran| Deed::Vanishes { ran }),
    ];
    prop::collection::vec(deed, 0..12)
}

fn faults() -> impl Strategy<Value = BTreeMap<usize, bool>> {
    prop_oneof![2 => Just(BTreeMap::new()), 1 => prop::collection::btree_map(1..120usize, any::<bool>(), 1..4)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Nothing runs twice and nothing overtakes, as long as a person settles only the lock of a run that is dead.
    #[test]
    fn two_machines_never_run_a_batch_twice_nor_overtake(
        shards in prop::collection::vec(1..4usize, 1..3),
        actions in actions(),
        deeds in deeds(),
        faults in faults(),
        last in settlement(),
    ) {
        play(&World::new(&shards, deeds, faults, false), actions, last);
    }

    /// Nothing runs twice even when a person settles the lock of a run that is alive.
    #[test]
    fn a_lock_settled_by_mistake_runs_no_batch_twice(
        shards in prop::collection::vec(1..4usize, 1..3),
        actions in actions(),
        deeds in deeds(),
        faults in faults(),
        last in settlement(),
    ) {
        play(&World::new(&shards, deeds, faults, true), actions, last);
    }
}

/// A run that is killed at each of its steps, then one that settles what is in doubt and is killed at each of its own,
/// and runs that finish the work.
#[test]
fn kills_at_every_step_of_two_runs_are_recovered_from() {
    let mut plays = 0;
    for how in [Settlement::Rerun, Settlement::Done] {
        for first_kill in 0.. {
            let mut has_first_ended = false;
            for second_kill in 0.. {
                let world = World::new(&[2, 1], Vec::new(), BTreeMap::new(), false);
                let mut machines = Machines { world: &world, running: [None, None] };
                machines.start(0, None);
                machines.act(MachineAction::Step(0, first_kill));
                has_first_ended = machines.running[0].is_none();
                machines.act(MachineAction::Kill(0));
                machines.start(1, Some(how));
                machines.act(MachineAction::Step(1, second_kill));
                let has_second_ended = machines.running[1].is_none();
                machines.act(MachineAction::Kill(1));
                play(&world, Vec::new(), how);
                plays += 1;
                if has_second_ended {
                    break;
                }
            }
            if has_first_ended {
                break;
            }
        }
    }
    assert!(plays > 2_000, "{plays} plays only: the runs are shorter than they should be");
}

/// A second machine that is started while the first one holds the lock writes nothing, at whatever step of the first.
#[test]
fn a_second_machine_waits_whatever_the_first_one_is_at() {
    let mut refusals = 0;
    for steps in 0.. {
        let world = World::new(&[2], Vec::new(), BTreeMap::new(), false);
        let mut machines = Machines { world: &world, running: [None, None] };
        machines.start(0, None);
        machines.act(MachineAction::Step(0, steps));
        if machines.running[0].is_none() {
            break;
        }
        let before = world.memory.records.borrow().clone();
        let lock = before.get(&Key::lock()).map(|lock| decode::<QueueLock>(&lock.bytes).unwrap());
        if lock.is_some_and(|lock| lock.holder.is_some()) {
            machines.start(1, None);
            while machines.step(1) {}
            assert!(*world.memory.records.borrow() == before, "it wrote after {steps} steps of the first");
            refusals += 1;
        }
    }
    assert!(refusals > 20, "the first machine had the lock for {refusals} steps only");
}
