//! Whatever fails or crashes, and when: nothing is deleted before it has succeeded, nothing that succeeded runs twice,
//! and a shard keeps its order.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use hydration::error::{Fault, FaultKind};
use hydration::json::Object;
use hydration::message::received::Pointer;
use hydration_aws::SystemClock;
use proptest::prelude::*;

use crate::gather::gather;
use crate::hold::holding;
use crate::interrupt::Interrupt;
use crate::ports::{Bucket, Delivery, Function, Held, Invoked, NotFetched, Queue, QueueFacts};
use crate::replay::audit::Audit;
use crate::replay::pace::Pace;
use crate::replay::plan::{InDoubt, Wishes, plan};
use crate::replay::run::{Limits, Runner};

/// What the function does when it is invoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
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
    delivery: Delivery,
    numbers: Vec<(String, u64)>,
    hidden: Cell<bool>,
    deleted: Cell<bool>,
}

/// A queue, a bucket and a function in memory. At a chosen call the whole process dies: the call never returns.
struct World {
    messages: Vec<Message>,
    deeds: RefCell<Vec<Deed>>,
    /// What has succeeded, in order: shard, batch and number.
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
    async fn describe(&self) -> Result<QueueFacts, Fault> {
        Ok(QueueFacts::default())
    }

    async fn receive(&self, hide: Duration) -> Result<Vec<Delivery>, Fault> {
        assert!(hide <= Duration::from_secs(60));
        self.step().await;
        let visible = self.messages.iter().filter(|message| !message.hidden.get() && !message.deleted.get());
        let taken: Vec<&Message> = visible.take(2).collect();
        taken.iter().for_each(|message| message.hidden.set(true));
        Ok(taken.into_iter().map(|message| message.delivery.clone()).collect())
    }

    async fn hide(&self, held: &[Held], hide: Duration) -> Result<(), Fault> {
        self.step().await;
        for message in self.messages.iter().filter(|m| held.iter().any(|held| held.message_id == m.delivery.message_id))
        {
            message.hidden.set(!hide.is_zero());
        }
        Ok(())
    }

    async fn delete(&self, held: &Held) -> Result<(), Fault> {
        self.step().await;
        for message in self.messages.iter().filter(|message| message.delivery.message_id == held.message_id) {
            let succeeded = self.succeeded.borrow();
            assert!(message.numbers.iter().all(|number| succeeded.contains(number)), "deleted before it had succeeded");
            message.deleted.set(true);
        }
        self.step().await;
        Ok(())
    }
}

impl Bucket for World {
    async fn get(&self, _: &Pointer, _: Option<usize>) -> Result<Vec<u8>, NotFetched> {
        Err(NotFetched::Missing)
    }
}

impl Function for World {
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
        let deed = self.deeds.borrow_mut().pop().unwrap_or(Deed::Succeeds);
        let ran = match deed {
            Deed::Succeeds | Deed::Vanishes { ran: true } => numbers.len(),
            Deed::Partly(place) => place.min(numbers.len() - 1),
            _ => 0,
        };
        self.succeeded.borrow_mut().extend_from_slice(&numbers[..ran]);
        self.step().await;
        match deed {
            Deed::Succeeds => Invoked::Answered(b"null".to_vec()),
            Deed::Partly(_) => {
                let answer = format!(r#"{{"batchItemFailures":[{{"itemIdentifier":"{}"}}]}}"#, numbers[ran].1);
                Invoked::Answered(answer.into_bytes())
            }
            Deed::Throws => Invoked::Failed { kind: "E".to_owned(), message: String::new() },
            Deed::Throttled => {
                let fault = Fault { kind: FaultKind::Refused, action: "lambda:InvokeFunction", detail: String::new() };
                Invoked::NotRun(fault)
            }
            Deed::Vanishes { .. } => Invoked::Unknown("gone".to_owned()),
        }
    }
}

/// One run of the tool, which may die on the way.
async fn run(world: &World, path: &Path, keep_going: bool) {
    let (_sender, interrupt) = Interrupt::by_hand();
    let work = holding(world, &interrupt, async |hold| {
        let audit = RefCell::new(Audit::open(path)?);
        let gathered = gather(hold, world, |_| true).await?;
        let plan = plan(gathered.entries, &Wishes::default(), audit.borrow().known(), &Default::default());
        let limits = Limits { concurrency: 2, max_failures: 2, keep_going, in_doubt: InDoubt::Keep };
        let runner = Runner {
            hold,
            bucket: world,
            function: world,
            clock: &SystemClock,
            audit: &audit,
            pace: Pace::new(100_000.0),
            limits,
            failures: Cell::new(0),
        };
        runner.run(plan.lanes, |_, _| Ok(())).await
    });
    tokio::select! {
        outcome = work => {
            outcome.unwrap();
            let held = world.messages.iter().filter(|message| message.hidden.get() && !message.deleted.get()).count();
            assert_eq!(held, 0, "everything that is left is visible again");
        }
        () = world.death.notified() => {}
    }
    // What was hidden when the process died comes back by itself.
    world.messages.iter().for_each(|message| message.hidden.set(false));
}

fn message(place: usize, shard: usize, start: u64, count: u64) -> Message {
    let shard_id = format!("shardId-{shard:012}");
    let stream = "arn:aws:kinesis:us-east-1:123456789012:stream/s";
    let numbers: Vec<u64> = (start..start + count).collect();
    let records: Vec<String> = numbers
        .iter()
        .map(|n| {
            format!(
                r#"{{"kinesis":{{"partitionKey":"k","sequenceNumber":"{n}","data":"aGk="}},"eventSource":"aws:kinesis","eventID":"{shard_id}:{n}"}}"#
            )
        })
        .collect();
    let (first, last) = (start, start + count - 1);
    let body = format!(
        r#"{{"requestContext":{{"requestId":"r{start}","functionArn":"arn:aws:lambda:us-east-1:123456789012:function:f","condition":"RetryAttemptsExhausted"}},"KinesisBatchInfo":{{"shardId":"{shard_id}","startSequenceNumber":"{first}","endSequenceNumber":"{last}","batchSize":{count},"streamArn":"{stream}"}},"hydration":{{"version":1,"id":"{shard}{start:06x}","status":"Complete","recoveredRecords":{count},"firstSequenceNumber":"{first}","lastSequenceNumber":"{last}","source":"kinesis","hydratedAt":"2026-11-21T00:00:00.000Z","decodedView":"off"}},"Records":[{}]}}"#,
        records.join(",")
    );
    let delivery =
        Delivery { message_id: format!("m{place}"), receipt: format!("r{place}"), body, ..Delivery::default() };
    Message {
        delivery,
        numbers: numbers.into_iter().map(|number| (shard_id.clone(), number)).collect(),
        hidden: Cell::new(false),
        deleted: Cell::new(false),
    }
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => Just(Deed::Succeeds),
        2 => Just(Deed::Throws),
        3 => (0_usize..4).prop_map(Deed::Partly),
        1 => Just(Deed::Throttled),
        1 => any::<bool>().prop_map(|ran| Deed::Vanishes { ran }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn a_replay_is_safe(
        sizes in prop::collection::vec((0_usize..2, 1_u64..5, 1_usize..3), 1..7),
        deeds in prop::collection::vec(deed(), 0..12),
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
            deeds: RefCell::new(deeds),
            succeeded: RefCell::default(),
            calls: Cell::new(0),
            dies_at: Cell::new(0),
            death: tokio::sync::Notify::new(),
        };
        let folder = std::env::temp_dir().join(format!("dlq-replay-{}-{:?}", std::process::id(), std::thread::current().id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("audit.jsonl");
        let _ = std::fs::remove_file(&path);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            for death in deaths {
                world.calls.set(0);
                world.dies_at.set(death);
                run(&world, &path, keep_going).await;
            }
            world.dies_at.set(0);
            // Every run but the first of each failure finds the function mended.
            for _ in 0..20 {
                run(&world, &path, keep_going).await;
            }
        });
        std::fs::remove_dir_all(&folder).unwrap();

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
async fn without_trouble_the_queue_is_empty_afterwards() {
    let world = World {
        messages: (0..6).map(|place| message(place, place % 2, 100 + 10 * (place as u64 / 2), 3)).collect(),
        deeds: RefCell::default(),
        succeeded: RefCell::default(),
        calls: Cell::new(0),
        dies_at: Cell::new(0),
        death: tokio::sync::Notify::new(),
    };
    let path = std::env::temp_dir().join(format!("dlq-replay-clean-{}.jsonl", std::process::id()));
    run(&world, &path, false).await;
    std::fs::remove_file(&path).unwrap();
    assert!(world.messages.iter().all(|message| message.deleted.get()));
    assert_eq!(world.succeeded.borrow().len(), 18);
}
