//! The way of a drill in memory: a shard, a topic and a bucket, and the hydrator that sends to the queue.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use hydration::arn::StreamArn;
use hydration::error::{Fault, FaultKind};
use hydration::hydrator::{Deadline, Hydrator, Settings};
use hydration::incoming;
use hydration::message::OutgoingMessage;
use hydration::object_notification::ObjectLocation;
use hydration::ports::{
    ObjectReader, Outbox, Page, Position, PutOutcome, ReadError, ReadObjectError, SendError, ShardIterator,
    ShardReader, StreamReader, StreamShard,
};
use hydration::record::{KinesisRecord, StreamRecord};
use hydration::sequence_number::SequenceNumber;
use hydration::test_support::settings;
use hydration::timestamp::Timestamp;

use crate::ports::FailureDestination;
use crate::test_support::bucket::{InMemoryBucket, WriteIf};
use crate::test_support::clock::{START, YieldingClock};
use crate::test_support::queue::{InMemoryQueue, NewMessage};

/// The way of a drill. Its stream has one shard, with the newest record at the start of the test.
#[derive(Debug)]
pub struct DrillWay {
    pub records: RefCell<Vec<StreamRecord>>,
    /// Calls that are refused, by the action's name, and calls that get no answer in time.
    pub refused: RefCell<BTreeSet<&'static str>>,
    pub unanswered: RefCell<BTreeSet<&'static str>>,
    /// Calls that never end.
    pub hanging: RefCell<BTreeSet<&'static str>>,
    /// The function is down: what is reported goes nowhere.
    pub is_down: Cell<bool>,
    /// The clock stops when a batch is reported, so that a search waits for the next request to stop.
    pub stops_clock: Cell<bool>,
    /// The hydrator finds this many records less.
    pub lost: Cell<usize>,
    /// A text in the message, and the one that comes instead.
    pub changed: Cell<(&'static str, &'static str)>,
    /// The time for which the message stays away.
    pub delay: Cell<Duration>,
    pub max_message_bytes: Cell<usize>,
    /// Invocation records that were published.
    pub published: RefCell<Vec<String>>,
    /// Objects in the buckets of mappings.
    pub objects: RefCell<BTreeMap<String, String>>,
}

impl Default for DrillWay {
    fn default() -> Self {
        let start = Timestamp::parse(START).unwrap();
        let record = |number: i64| {
            StreamRecord::Kinesis(KinesisRecord {
                sequence_number: SequenceNumber::parse(&number.to_string()).unwrap(),
                partition_key: format!("secret-{number}"),
                data: format!(r#"{{"secret":{number}}}"#).into_bytes(),
                approximate_arrival: Some(start.plus_millis(1000 * (number - 112))),
            })
        };
        Self {
            records: RefCell::new((100..112).map(record).collect()),
            refused: RefCell::default(),
            unanswered: RefCell::default(),
            hanging: RefCell::default(),
            is_down: Cell::default(),
            stops_clock: Cell::default(),
            lost: Cell::default(),
            changed: Cell::default(),
            delay: Cell::default(),
            max_message_bytes: Cell::new(1_048_576),
            published: RefCell::default(),
            objects: RefCell::default(),
        }
    }
}

impl DrillWay {
    async fn call(&self, action: &'static str) -> Result<(), Fault> {
        if self.hanging.borrow().contains(action) {
            std::future::pending::<()>().await;
        }
        let fault = |kind, detail: &str| Err(Fault { kind, action, detail: detail.to_owned() });
        if self.refused.borrow().contains(action) {
            return fault(FaultKind::AccessDenied, "AccessDenied: no");
        }
        if self.unanswered.borrow().contains(action) {
            return fault(FaultKind::Unavailable, "the connection broke");
        }
        Ok(())
    }

    async fn read(&self, action: &'static str) -> Result<(), ReadError> {
        self.call(action).await.map_err(ReadError::Fault)
    }
}

impl StreamReader for &DrillWay {
    async fn shards(&self, _: &StreamArn, _: Timestamp) -> Result<Vec<StreamShard>, Fault> {
        self.call("kinesis:ListShards").await?;
        Ok(vec![StreamShard { id: "shardId-000000000000".to_owned(), parents: Vec::new() }])
    }

    async fn retention(&self, _: &StreamArn) -> Result<Duration, Fault> {
        Ok(Duration::from_secs(86_400))
    }
}

impl ShardReader for &DrillWay {
    async fn iterator(&self, _: &StreamArn, _: &str, position: &Position) -> Result<ShardIterator, ReadError> {
        self.read("kinesis:GetShardIterator").await?;
        let is_before = |record: &StreamRecord| match position {
            Position::At(number) => record.sequence_number() < number,
            Position::After(number) => record.sequence_number() <= number,
            Position::AtTimestamp(time) => record.arrival().unwrap() < *time,
            Position::TrimHorizon => false,
        };
        Ok(ShardIterator(self.records.borrow().partition_point(is_before).to_string()))
    }

    async fn page(&self, _: &StreamArn, iterator: &ShardIterator, limit: u32) -> Result<Page, ReadError> {
        self.read("kinesis:GetRecords").await?;
        let records = self.records.borrow();
        let start: usize = iterator.0.parse().unwrap();
        let records: Vec<_> = records.iter().skip(start).take(limit as usize).cloned().collect();
        let next = Some(ShardIterator((start + records.len()).to_string()));
        Ok(Page { records, next, millis_behind_latest: Some(0), bytes: 0 })
    }
}

impl ObjectReader for &DrillWay {
    async fn read_object(&self, _: &ObjectLocation, _: usize) -> Result<Vec<u8>, ReadObjectError> {
        panic!("the objects are handed over with their text")
    }
}

/// The hydrate function behind the topic and the bucket.
pub struct InMemoryHydrator<'a> {
    pub way: &'a DrillWay,
    pub queue: &'a InMemoryQueue,
    pub bucket: &'a InMemoryBucket,
    pub clock: YieldingClock,
}

impl InMemoryHydrator<'_> {
    async fn hydrate(&self, text: &str) {
        if !self.way.is_down.get() {
            let settings = Settings { max_message_bytes: self.way.max_message_bytes.get(), ..settings() };
            let read: Vec<_> =
                self.way.records.borrow().iter().rev().take(self.way.lost.get()).rev().cloned().collect();
            let kept = self.way.records.borrow().len() - read.len();
            self.way.records.borrow_mut().truncate(kept);
            let hydrator = Hydrator::new(self.way, self, self.clock.clone(), settings);
            let end = hydration::ports::Clock::instant(&self.clock) + Duration::from_secs(60);
            let message = incoming::recognize(text).pop().unwrap().unwrap();
            let deadline = Deadline { read: end, deliver: end };
            hydrator.hydrate(&message, deadline, &mut Default::default()).await.unwrap();
            self.way.records.borrow_mut().extend(read);
        }
        self.clock.is_hanging.set(self.way.stops_clock.get());
    }
}

impl Outbox for &InMemoryHydrator<'_> {
    async fn send(&self, message: &OutgoingMessage) -> Result<String, SendError> {
        let (from, to) = self.way.changed.get();
        assert!(message.body.contains(from), "{from}");
        let attributes = message.attributes.iter();
        Ok(self.queue.send(NewMessage {
            body: message.body.replacen(from, to, 1),
            attributes: attributes.map(|attribute| (attribute.name.to_owned(), attribute.value.text())).collect(),
            group: None,
            delay: self.way.delay.get(),
        }))
    }

    async fn put(&self, _: &str, key: &str, body: &Bytes) -> Result<PutOutcome, Fault> {
        self.bucket.put(key, body.to_vec(), WriteIf::Absent);
        Ok(PutOutcome::Created)
    }

    async fn send_to_retry_queue(&self, _: &str, _: &str, _: Duration) -> Result<(), Fault> {
        panic!("there is no retry queue")
    }
}

impl FailureDestination for InMemoryHydrator<'_> {
    async fn publish(&self, _: &str, message: &str) -> Result<String, Fault> {
        self.way.published.borrow_mut().push(message.to_owned());
        let answer = self.way.call("sns:Publish").await;
        if !self.way.refused.borrow().contains("sns:Publish") {
            self.hydrate(message).await;
        }
        answer.map(|()| "published-1".to_owned())
    }

    async fn put(&self, _: &str, key: &str, content: String) -> Result<Option<String>, Fault> {
        self.way.call("s3:PutObject").await?;
        self.way.objects.borrow_mut().insert(key.to_owned(), content.clone());
        self.hydrate(&content).await;
        Ok(None)
    }

    async fn delete(&self, bucket: &str, key: &str, _: Option<&str>) -> Result<(), Fault> {
        self.way.call("s3:DeleteObject").await?;
        if bucket == "overflow" {
            self.bucket.delete(key);
        } else {
            self.way.objects.borrow_mut().remove(key);
        }
        Ok(())
    }
}
