//! A queue and a function that two machines share, and the death of a machine at any call.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use hydration::error::{Fault, FaultKind};
use hydration::json::Object;
use hydration::message::parsed::Pointer;
use hydration::ports::Clock;
use proptest::prelude::*;

use crate::ledger::store::StoreError;
use crate::ledger::store::memory::{Hook, Memory};
use crate::ports::{
    BatchMapping, Bucket, Function, GetObjectError, InvokeOutcome, Invoked, ListPage, ListRequest, Queue,
    QueueAttributes, Receipt, ReceivedMessage,
};
use crate::test_support::clock::YieldingClock;
use crate::test_support::messages::{TestBatch, batch};

/// Behaviour of the function in one invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behaviour {
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

pub(super) struct Message {
    pub(super) received: ReceivedMessage,
    pub(super) numbers: Vec<(String, u64)>,
    /// The machine that has received it.
    pub(super) held_by: Cell<Option<usize>>,
    /// The time at which it becomes visible after its machine has died.
    pub(super) hidden_until: Cell<Option<i64>>,
    pub(super) is_deleted: Cell<bool>,
}

/// A queue, a function and the ledger's records, which both machines share.
pub(super) struct ReplayWorld {
    pub(super) clock: YieldingClock,
    pub(super) memory: Memory,
    pub(super) messages: Vec<Message>,
    pub(super) behaviours: RefCell<Vec<Behaviour>>,
    /// Records that have succeeded, in order: shard and sequence number.
    pub(super) succeeded: RefCell<Vec<(String, u64)>>,
    /// Records of which nobody knows whether they ran: a person lets them run again.
    pub(super) in_doubt: RefCell<Vec<(String, u64)>>,
    /// Shards in which an invocation is under way.
    pub(super) under_way: RefCell<Vec<String>>,
}

/// One machine. At a chosen call the whole process dies: the call never returns.
pub(super) struct ReplayMachine {
    pub(super) world: Rc<ReplayWorld>,
    pub(super) name: usize,
    pub(super) calls: Cell<usize>,
    pub(super) dies_at: usize,
    pub(super) death: tokio::sync::Notify,
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

    async fn list(&self, _: &ListRequest) -> Result<ListPage, Fault> {
        Ok(ListPage::default())
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

/// A message about records of a shard, from `start` on.
pub(super) fn message(place: usize, shard: usize, start: u64, count: u64) -> Message {
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

pub(super) fn world(messages: Vec<Message>, behaviours: Vec<Behaviour>) -> Rc<ReplayWorld> {
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

pub(super) fn behaviour() -> impl Strategy<Value = Behaviour> {
    prop_oneof![
        4 => Just(Behaviour::Succeeds),
        2 => Just(Behaviour::Throws),
        3 => (0_usize..4).prop_map(Behaviour::Partly),
        1 => Just(Behaviour::Throttled),
        1 => any::<bool>().prop_map(|ran| Behaviour::Vanishes { ran }),
    ]
}
