//! A replay whose process dies at any call, whatever the function does: nothing is deleted before it has succeeded,
//! nothing that succeeded runs twice, and a shard keeps its order.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use hydration::error::{Fault, FaultKind};
use hydration::json::Object;
use hydration::message::parsed::Pointer;
use hydration_aws::SystemClock;
use proptest::prelude::*;

use crate::commands::replay::audit::Audit;
use crate::commands::replay::execute::ReplayExecutor;
use crate::commands::replay::options::ReplayOptions;
use crate::commands::replay::plan::plan;
use crate::interrupt::Interrupt;
use crate::ports::{Bucket, Function, GetObjectError, InvokeOutcome, Queue, QueueAttributes, Receipt, ReceivedMessage};
use crate::queue::filter::Filter;
use crate::queue::lease::with_lease;
use crate::queue::read_queue::{KeepBodies, read_queue};
use crate::rate_limiter::RateLimiter;
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
    is_hidden: Cell<bool>,
    is_deleted: Cell<bool>,
}

/// A queue, a bucket and a function in memory. At a chosen call the whole process dies: the call never returns.
struct World {
    messages: Vec<Message>,
    behaviours: RefCell<Vec<Behaviour>>,
    /// Records that have succeeded, in order: shard and sequence number.
    succeeded: RefCell<Vec<(String, u64)>>,
    calls: Cell<usize>,
    dies_at: Cell<usize>,
    death: tokio::sync::Notify,
}

impl World {
    async fn step(&self) {
        self.calls.set(self.calls.get() + 1);
        if self.calls.get() == self.dies_at.get() {
            self.death.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

impl Queue for World {
    async fn attributes(&self) -> Result<QueueAttributes, Fault> {
        Ok(QueueAttributes::default())
    }

    async fn receive(&self, visibility_timeout: Duration) -> Result<Vec<ReceivedMessage>, Fault> {
        assert!(visibility_timeout <= Duration::from_secs(60));
        self.step().await;
        let visible = self.messages.iter().filter(|message| !message.is_hidden.get() && !message.is_deleted.get());
        let taken: Vec<&Message> = visible.take(2).collect();
        taken.iter().for_each(|message| message.is_hidden.set(true));
        Ok(taken.into_iter().map(|message| message.received.clone()).collect())
    }

    async fn change_visibility(&self, receipts: &[Receipt], visibility_timeout: Duration) -> Result<(), Fault> {
        self.step().await;
        let is_meant = |m: &&Message| receipts.iter().any(|receipt| receipt.message_id == m.received.message_id);
        for message in self.messages.iter().filter(is_meant) {
            message.is_hidden.set(!visibility_timeout.is_zero());
        }
        Ok(())
    }

    async fn delete(&self, receipt: &Receipt) -> Result<(), Fault> {
        self.step().await;
        for message in self.messages.iter().filter(|message| message.received.message_id == receipt.message_id) {
            let succeeded = self.succeeded.borrow();
            assert!(message.numbers.iter().all(|number| succeeded.contains(number)), "deleted before it had succeeded");
            message.is_deleted.set(true);
        }
        self.step().await;
        Ok(())
    }
}

impl Bucket for World {
    async fn get(&self, _: &Pointer, _: Option<usize>) -> Result<Vec<u8>, GetObjectError> {
        Err(GetObjectError::Missing)
    }
}

impl Function for World {
    async fn invoke(&self, _: &str, event: String) -> InvokeOutcome {
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
        let behaviour = self.behaviours.borrow_mut().pop().unwrap_or(Behaviour::Succeeds);
        let ran = match behaviour {
            Behaviour::Succeeds | Behaviour::Vanishes { ran: true } => numbers.len(),
            Behaviour::Partly(place) => place.min(numbers.len() - 1),
            _ => 0,
        };
        self.succeeded.borrow_mut().extend_from_slice(&numbers[..ran]);
        self.step().await;
        match behaviour {
            Behaviour::Succeeds => InvokeOutcome::Returned(b"null".to_vec()),
            Behaviour::Partly(_) => {
                let answer = format!(r#"{{"batchItemFailures":[{{"itemIdentifier":"{}"}}]}}"#, numbers[ran].1);
                InvokeOutcome::Returned(answer.into_bytes())
            }
            Behaviour::Throws => InvokeOutcome::Failed { error_type: "E".to_owned(), message: String::new() },
            Behaviour::Throttled => {
                let fault = Fault { kind: FaultKind::Refused, action: "lambda:InvokeFunction", detail: String::new() };
                InvokeOutcome::NotRun(fault)
            }
            Behaviour::Vanishes { .. } => InvokeOutcome::Unknown("gone".to_owned()),
        }
    }
}

/// One run of the tool, which may die on the way.
async fn run_once(world: &World, path: &Path, keep_going: bool) {
    let (_sender, interrupt) = Interrupt::manual();
    let options = ReplayOptions { keep_going, concurrency: 2, max_failures: 2, rate: 100_000.0, ..Default::default() };
    let failures = Cell::new(0);
    let work = with_lease(world, &interrupt, async |lease| {
        let audit = RefCell::new(Audit::open(path)?);
        let contents = read_queue(lease, world, KeepBodies::Of(&Filter::default())).await?;
        let plan = plan(contents.messages, &options, audit.borrow().history(), &Default::default());
        let executor = ReplayExecutor {
            lease,
            bucket: world,
            function: world,
            clock: &SystemClock,
            audit: &audit,
            options: &options,
            rate_limiter: RateLimiter::per_second(options.rate),
            failures: &failures,
        };
        executor.run(plan.shard_queues, |_, _| Ok(())).await
    });
    tokio::select! {
        outcome = work => {
            outcome.unwrap();
            let is_left_hidden = |message: &&Message| message.is_hidden.get() && !message.is_deleted.get();
            assert_eq!(world.messages.iter().filter(is_left_hidden).count(), 0, "a message was not released");
        }
        () = world.death.notified() => {}
    }
    // Messages that were hidden when the process died become visible by themselves.
    world.messages.iter().for_each(|message| message.is_hidden.set(false));
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
        is_hidden: Cell::new(false),
        is_deleted: Cell::new(false),
    }
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
    fn a_replay_is_safe(
        sizes in prop::collection::vec((0_usize..2, 1_u64..5, 1_usize..3), 1..7),
        behaviours in prop::collection::vec(behaviour(), 0..12),
        deaths in prop::collection::vec(1_usize..60, 0..4),
        keep_going: bool,
    ) {
        let mut messages = Vec::new();
        for (place, (shard, count, copies)) in sizes.iter().enumerate().rev() {
            for _ in 0..*copies {
                messages.push(message(messages.len(), *shard, 100 + 10 * place as u64, *count));
            }
        }
        let world = World {
            messages,
            behaviours: RefCell::new(behaviours),
            succeeded: RefCell::default(),
            calls: Cell::new(0),
            dies_at: Cell::new(0),
            death: tokio::sync::Notify::new(),
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            for death in deaths {
                world.calls.set(0);
                world.dies_at.set(death);
                run_once(&world, &path, keep_going).await;
            }
            world.dies_at.set(0);
            // Every run but the first of each failure finds the function repaired.
            for _ in 0..20 {
                run_once(&world, &path, keep_going).await;
            }
        });

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
    let world = World {
        messages: (0..6).map(|place| message(place, place % 2, 100 + 10 * (place as u64 / 2), 3)).collect(),
        behaviours: RefCell::default(),
        succeeded: RefCell::default(),
        calls: Cell::new(0),
        dies_at: Cell::new(0),
        death: tokio::sync::Notify::new(),
    };
    let folder = tempfile::tempdir().unwrap();
    run_once(&world, &folder.path().join("audit.jsonl"), false).await;
    assert!(world.messages.iter().all(|message| message.is_deleted.get()));
    assert_eq!(world.succeeded.borrow().len(), 18);
}
