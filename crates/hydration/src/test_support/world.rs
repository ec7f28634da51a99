//! A model of a shard: the records that AWS keeps and trims, and every way in which it answers.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::arn::{Source, StreamArn};
use crate::error::{Fault, FaultKind};
use crate::hydrator::Deadline;
use crate::message::OutgoingMessage;
use crate::ports::{
    Clock, Outbox, Page, Position, PutOutcome, ReadError, Rejection, SendError, ShardIterator, ShardReader,
};
use crate::record::{AttributeValue, DynamoDbRecord, Item, KinesisRecord, StreamRecord};
use crate::sequence_number::SequenceNumber;
use crate::test_support::outbox::MemoryOutbox;
use crate::timestamp::Timestamp;
use bytes::Bytes;
use serde_json::Value;

pub const DAY: i64 = 24 * 60 * 60 * 1000;

/// The ways in which Kinesis shows that a sequence number has been trimmed; DynamoDB has one only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrimmedStart {
    /// Empty pages, a whole retention behind the tip, for as long as one cares to read.
    Silence,
    /// The oldest records that are left.
    LaterRecords,
    /// `InvalidArgumentException` for the sequence number.
    Rejected,
}

/// The reply of a call that does not simply answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InjectedFault {
    EmptyPage,
    Throttled,
    Unavailable,
    ExpiredIterator,
    AccessDenied,
}

#[derive(Debug, Clone)]
pub struct Shard {
    pub source: Source,
    pub numbers: Vec<SequenceNumber>,
    /// When each record arrived, ascending.
    pub arrivals: Vec<i64>,
    /// Records before this index are gone.
    pub trimmed: usize,
    pub trimmed_start: TrimmedStart,
    /// Resharded: no record comes after the last, and its page says so.
    pub closed: bool,
    pub exists: bool,
    /// Most records that a page holds, whatever was asked for: the service's byte cap.
    pub page_cap: usize,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Calls {
    pub iterators: u32,
    pub pages: u32,
    pub limits: Vec<u32>,
    /// Index of the record after the furthest that was handed out.
    pub furthest: usize,
    /// Milliseconds between successive reads.
    pub gaps: Vec<i64>,
    last_read: Option<i64>,
}

/// The world: a shard, a queue, a bucket, a clock.
pub struct World {
    pub shard: Shard,
    /// The faults of the next calls, in order; after the last every call succeeds.
    pub faults: RefCell<VecDeque<Option<InjectedFault>>>,
    pub calls: RefCell<Calls>,
    /// Milliseconds since the Unix epoch.
    pub now: Cell<i64>,
    /// Shared by the worlds of several tries.
    pub outbox: Rc<MemoryOutbox>,
    /// Bytes of data in each record, beside its number.
    pub padding: usize,
    started: (Instant, i64),
}

/// Milliseconds that each call takes.
const CALL: i64 = 20;

impl World {
    pub fn new(shard: Shard, now: i64, faults: Vec<Option<InjectedFault>>) -> Self {
        Self {
            shard,
            faults: RefCell::new(faults.into()),
            calls: RefCell::default(),
            now: Cell::new(now),
            outbox: Rc::default(),
            padding: 0,
            started: (Instant::now(), now),
        }
    }

    /// The bodies that reached the queue, those behind a pointer included.
    pub fn bodies(&self) -> Vec<Value> {
        self.outbox.bodies()
    }

    /// The instant that is so many milliseconds from now.
    pub fn in_millis(&self, millis: u64) -> Instant {
        (&self).instant() + Duration::from_millis(millis)
    }

    /// The deadlines of an invocation that has so many milliseconds, a quarter of them for delivery.
    pub fn deadline(&self, millis: u64) -> Deadline {
        Deadline { read: self.in_millis(millis - (millis / 4).min(15_000)), deliver: self.in_millis(millis) }
    }

    fn call(&self, action: &'static str) -> Result<Option<InjectedFault>, ReadError> {
        self.now.set(self.now.get() + CALL);
        let glitch = self.faults.borrow_mut().pop_front().flatten();
        let fault = |kind| Err(ReadError::Fault(Fault { kind, action, detail: "as the script says".to_owned() }));
        match glitch {
            Some(InjectedFault::Throttled) => fault(FaultKind::Throttled),
            Some(InjectedFault::Unavailable) => fault(FaultKind::Unavailable),
            Some(InjectedFault::AccessDenied) => fault(FaultKind::AccessDenied),
            glitch => Ok(glitch),
        }
    }

    fn outbox_call(&self, action: &'static str) -> Result<(), Fault> {
        match self.call(action) {
            Err(ReadError::Fault(fault)) => Err(fault),
            Err(ReadError::Rejected(_)) => unreachable!("a call is not a position in the shard"),
            Ok(_) => Ok(()),
        }
    }

    fn find(&self, position: &Position) -> Result<usize, Rejection> {
        let shard = &self.shard;
        let index = |number: &SequenceNumber| shard.numbers.partition_point(|other| other < number);
        let index = match position {
            Position::At(number) => index(number),
            Position::After(number) => shard.numbers.partition_point(|other| other <= number),
            Position::AtTimestamp(moment) => {
                return Ok(shard.arrivals.partition_point(|arrival| *arrival < moment.millis()).max(shard.trimmed));
            }
            Position::TrimHorizon => return Ok(shard.trimmed),
        };
        if index >= shard.trimmed {
            return Ok(index);
        }
        match (shard.source, shard.trimmed_start) {
            (Source::DynamoDb, _) => Err(Rejection::Trimmed),
            (Source::Kinesis, TrimmedStart::Rejected) => Err(Rejection::InvalidArgument),
            (Source::Kinesis, TrimmedStart::LaterRecords) => Ok(shard.trimmed),
            (Source::Kinesis, TrimmedStart::Silence) => Ok(usize::MAX),
        }
    }

    fn record(&self, index: usize) -> StreamRecord {
        let sequence_number = self.shard.numbers[index].clone();
        let arrival = self.shard.arrivals[index];
        match self.shard.source {
            Source::Kinesis => StreamRecord::Kinesis(KinesisRecord {
                data: format!("{{\"order\":{sequence_number},\"pad\":\"{}\"}}", "x".repeat(self.padding)).into_bytes(),
                partition_key: format!("key-{index}"),
                sequence_number,
                approximate_arrival: Some(Timestamp::from_millis(arrival)),
            }),
            Source::DynamoDb => StreamRecord::DynamoDb(Box::new(DynamoDbRecord {
                keys: Some(Item::from([("id".to_owned(), AttributeValue::N(sequence_number.to_string()))])),
                sequence_number,
                event_id: Some(format!("event-{index}")),
                event_name: Some("MODIFY".to_owned()),
                event_version: Some("1.1".to_owned()),
                event_source: Some("aws:dynamodb".to_owned()),
                aws_region: Some("us-east-1".to_owned()),
                approximate_creation: Some(arrival / 1000),
                new_image: None,
                old_image: None,
                size_bytes: Some(40),
                stream_view_type: Some("KEYS_ONLY".to_owned()),
                user_identity: None,
            })),
        }
    }
}

impl ShardReader for &World {
    async fn iterator(&self, _: &StreamArn, _: &str, position: &Position) -> Result<ShardIterator, ReadError> {
        self.calls.borrow_mut().iterators += 1;
        let glitch = self.call("kinesis:GetShardIterator")?;
        if !self.shard.exists {
            return Err(ReadError::Rejected(Rejection::NotFound));
        }
        if glitch == Some(InjectedFault::ExpiredIterator) && self.shard.source == Source::DynamoDb {
            // Trimmed between two calls: what DynamoDB says in the place of an expiry here.
            return Err(ReadError::Rejected(Rejection::Trimmed));
        }
        self.find(position).map(|index| ShardIterator(index.to_string())).map_err(ReadError::Rejected)
    }

    async fn page(&self, _: &StreamArn, iterator: &ShardIterator, limit: u32) -> Result<Page, ReadError> {
        {
            let mut calls = self.calls.borrow_mut();
            calls.pages += 1;
            calls.limits.push(limit);
            let now = self.now.get();
            if let Some(last) = calls.last_read {
                calls.gaps.push(now - last);
            }
            calls.last_read = Some(now);
        }
        let glitch = self.call("kinesis:GetRecords")?;
        let shard = &self.shard;
        if glitch == Some(InjectedFault::ExpiredIterator) {
            return Err(ReadError::Rejected(Rejection::ExpiredIterator));
        }
        let start: usize = iterator.0.parse().expect("an iterator of ours");
        if start == usize::MAX {
            let page = Page {
                records: vec![],
                next: Some(iterator.clone()),
                millis_behind_latest: Some(DAY as u64),
                bytes: 0,
            };
            return Ok(page);
        }
        let wanted = if glitch == Some(InjectedFault::EmptyPage) { 0 } else { (limit as usize).min(shard.page_cap) };
        let end = (start + wanted).min(shard.numbers.len()).max(start);
        let records: Vec<_> = (start..end).map(|index| self.record(index)).collect();
        let is_end = end == shard.numbers.len();
        let mut calls = self.calls.borrow_mut();
        calls.furthest = calls.furthest.max(end);
        // The position of an empty page lies between the record before and the one after.
        let behind = shard.arrivals.get(end).map_or(0, |next| (self.now.get() - next).max(1) as u64);
        Ok(Page {
            next: (!(shard.closed && is_end)).then(|| ShardIterator(end.to_string())),
            millis_behind_latest: (shard.source == Source::Kinesis).then_some(behind),
            bytes: 50 * records.len() as u64,
            records,
        })
    }
}

impl Outbox for &World {
    async fn send(&self, message: &OutgoingMessage) -> Result<String, SendError> {
        self.outbox_call("sqs:SendMessage").map_err(SendError::Fault)?;
        (&*self.outbox).send(message).await
    }

    async fn put(&self, bucket: &str, key: &str, body: &Bytes) -> Result<PutOutcome, Fault> {
        self.outbox_call("s3:PutObject")?;
        (&*self.outbox).put(bucket, key, body).await
    }

    async fn send_to_retry_queue(&self, queue_url: &str, body: &str, delay: Duration) -> Result<(), Fault> {
        self.outbox_call("sqs:SendMessage")?;
        (&*self.outbox).send_to_retry_queue(queue_url, body, delay).await
    }
}

impl Clock for &World {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.get())
    }

    fn instant(&self) -> Instant {
        let (started, at) = self.started;
        started + Duration::from_millis(u64::try_from(self.now.get() - at).expect("the clock never steps back"))
    }

    async fn sleep(&self, duration: Duration) {
        self.now.set(self.now.get() + duration.as_millis() as i64);
    }

    fn jitter(&self) -> f64 {
        0.5
    }
}
