//! A model of AWS: a shard that keeps and trims records, a queue, a bucket, a clock.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::arn::{Source, StreamArn};
use crate::error::{Fault, FaultKind};
use crate::hydrator::Deadline;
use crate::message::OutgoingMessage;
use crate::object_notification::ObjectLocation;
use crate::ports::{
    Clock, ObjectReader, Outbox, Page, Position, PutOutcome, ReadError, ReadObjectError, Rejection, SendError,
    ShardIterator, ShardReader,
};
use crate::record::{AttributeValue, DynamoDbRecord, Item, KinesisRecord, StreamRecord};
use crate::sequence_number::SequenceNumber;
use crate::test_support::{ManualClock, MemoryOutbox, START_MILLIS, now_or_never};
use crate::timestamp::Timestamp;
use bytes::Bytes;
use serde_json::Value;

pub const DAY_MILLIS: i64 = 24 * 60 * 60 * 1000;

/// The replies of Kinesis for a sequence number that was trimmed. DynamoDB has only one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrimmedStart {
    /// Empty pages, a whole retention behind the tip, without end.
    Silence,
    /// The oldest records that are left.
    LaterRecords,
    /// `InvalidArgumentException` for the sequence number.
    Rejected,
}

/// A fault of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InjectedFault {
    EmptyPage,
    Throttled,
    Unavailable,
    ExpiredIterator,
    AccessDenied,
    /// The service does what it is asked, and its reply is lost.
    LostReply,
}

#[derive(Debug, Clone)]
pub struct SimulatedShard {
    pub source: Source,
    pub numbers: Vec<SequenceNumber>,
    /// The arrival of each record in milliseconds since the Unix epoch, ascending. A record is not there before.
    pub arrivals: Vec<i64>,
    /// Records before this index are gone when the simulation starts.
    pub trimmed: usize,
    pub trimmed_start: TrimmedStart,
    /// The shard was split or merged: no record comes after the last.
    pub closed: bool,
    pub exists: bool,
    /// The most records in a page, for any `Limit`.
    pub page_cap: usize,
    /// The most bytes in a page, but for its first record.
    pub page_bytes: usize,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct CallLog {
    pub iterators: u32,
    pub pages: u32,
    pub limits: Vec<u32>,
    /// Index after the last record that was returned.
    pub furthest: usize,
    /// Milliseconds between successive reads.
    pub gaps: Vec<i64>,
    last_read: Option<i64>,
}

/// AWS with one shard, a queue, a bucket and a clock. Calls fail as the list of faults says.
pub struct SimulatedAws {
    pub shard: SimulatedShard,
    /// The faults of the next calls, in order; after the last every call succeeds.
    pub faults: RefCell<VecDeque<Option<InjectedFault>>>,
    /// The numbers of records that the shard trims before the next calls to it. It trims none that is younger than a
    /// day.
    pub trims: RefCell<VecDeque<usize>>,
    /// Records before this index are gone now.
    pub trimmed: Cell<usize>,
    pub calls: RefCell<CallLog>,
    pub clock: ManualClock,
    /// Shared by several simulations.
    pub outbox: Rc<MemoryOutbox>,
    /// Bytes of data in each Kinesis record, beside its number.
    pub padding: usize,
    /// The records of the shard, if a test gives them. Otherwise they are made from the sequence numbers.
    records: Vec<StreamRecord>,
}

/// The duration of each call.
const CALL_MILLIS: u64 = 20;
/// The position of an iterator that returns empty pages without end.
const SILENT: usize = usize::MAX;

fn lost(action: &'static str) -> Fault {
    Fault { kind: FaultKind::Unavailable, action, detail: "the reply was lost".to_owned() }
}

/// The bytes of a record as the service counts them, roughly.
fn record_bytes(record: &StreamRecord) -> usize {
    match record {
        StreamRecord::Kinesis(record) => record.data.len(),
        StreamRecord::DynamoDb(record) => usize::try_from(record.size_bytes.unwrap_or(0)).unwrap_or(0),
    }
}

impl SimulatedAws {
    pub fn new(shard: SimulatedShard, now: i64, faults: Vec<Option<InjectedFault>>) -> Self {
        Self {
            trims: RefCell::default(),
            trimmed: Cell::new(shard.trimmed),
            shard,
            faults: RefCell::new(faults.into()),
            calls: RefCell::default(),
            clock: ManualClock::starting_at(now),
            outbox: Rc::default(),
            padding: 0,
            records: Vec::new(),
        }
    }

    /// AWS without records.
    pub fn empty(source: Source) -> Self {
        let shard = SimulatedShard {
            source,
            numbers: Vec::new(),
            arrivals: Vec::new(),
            trimmed: 0,
            trimmed_start: TrimmedStart::LaterRecords,
            closed: false,
            exists: true,
            page_cap: usize::MAX,
            page_bytes: usize::MAX,
        };
        Self::new(shard, START_MILLIS, Vec::new())
    }

    /// AWS with these records, which arrived at `now`.
    pub fn with_records(records: Vec<StreamRecord>, now: i64) -> Self {
        let source = match records.first() {
            Some(StreamRecord::DynamoDb(_)) => Source::DynamoDb,
            _ => Source::Kinesis,
        };
        let numbers = records.iter().map(|record| record.sequence_number().clone()).collect();
        let arrivals = vec![now; records.len()];
        let shard = SimulatedShard { numbers, arrivals, ..Self::empty(source).shard };
        Self { records, ..Self::new(shard, now, Vec::new()) }
    }

    /// The bodies that reached the queue, those behind a pointer included.
    pub fn bodies(&self) -> Vec<Value> {
        self.outbox.bodies()
    }

    /// The instant after some milliseconds from now.
    pub fn in_millis(&self, millis: u64) -> Instant {
        self.clock.instant_after(Duration::from_millis(millis))
    }

    /// The deadlines of an invocation of some milliseconds. A quarter of them, at most 15 seconds, is for delivery.
    pub fn deadline(&self, millis: u64) -> Deadline {
        Deadline { read: self.in_millis(millis - (millis / 4).min(15_000)), deliver: self.in_millis(millis) }
    }

    fn call(&self, action: &'static str) -> Result<Option<InjectedFault>, ReadError> {
        self.clock.advance_millis(CALL_MILLIS);
        let glitch = self.faults.borrow_mut().pop_front().flatten();
        let fault = |kind| Err(ReadError::Fault(Fault { kind, action, detail: "an injected fault".to_owned() }));
        match glitch {
            Some(InjectedFault::Throttled) => fault(FaultKind::Throttled),
            Some(InjectedFault::Unavailable) => fault(FaultKind::Unavailable),
            Some(InjectedFault::AccessDenied) => fault(FaultKind::AccessDenied),
            glitch => Ok(glitch),
        }
    }

    /// A call to the shard. The shard may trim records before it.
    fn shard_call(&self, action: &'static str) -> Result<Option<InjectedFault>, ReadError> {
        let trims = self.trims.borrow_mut().pop_front().unwrap_or(0);
        let a_day_ago = self.clock.now_millis() - DAY_MILLIS;
        let old = self.shard.arrivals.partition_point(|arrival| *arrival <= a_day_ago);
        self.trimmed.set(self.trimmed.get().max((self.trimmed.get() + trims).min(old)));
        match self.call(action)? {
            Some(InjectedFault::LostReply) => Err(ReadError::Fault(lost(action))),
            fault => Ok(fault),
        }
    }

    /// The result of a call to a queue or to the bucket.
    fn outbox_call<T>(&self, action: &'static str, effect: impl FnOnce() -> T) -> Result<T, Fault> {
        match self.call(action) {
            Err(ReadError::Fault(fault)) => Err(fault),
            Err(ReadError::Rejected(_)) => unreachable!("a call is not a position in the shard"),
            Ok(Some(InjectedFault::LostReply)) => {
                effect();
                Err(lost(action))
            }
            Ok(_) => Ok(effect()),
        }
    }

    /// Number of records that have arrived.
    fn arrived(&self) -> usize {
        let now = self.clock.now_millis();
        self.shard.arrivals.partition_point(|arrival| *arrival <= now)
    }

    /// An empty page of an iterator that stays where it is, a whole retention behind the tip.
    fn silence(&self) -> Page {
        let next = Some(ShardIterator(SILENT.to_string()));
        Page { records: vec![], next, millis_behind_latest: Some(DAY_MILLIS as u64), bytes: 0 }
    }

    fn find(&self, position: &Position) -> Result<usize, Rejection> {
        let (shard, trimmed) = (&self.shard, self.trimmed.get());
        let index = |number: &SequenceNumber| shard.numbers.partition_point(|other| other < number);
        let index = match position {
            Position::At(number) => index(number),
            Position::After(number) => shard.numbers.partition_point(|other| other <= number),
            Position::AtTimestamp(moment) => {
                return Ok(shard.arrivals.partition_point(|arrival| *arrival < moment.millis()).max(trimmed));
            }
            Position::TrimHorizon => return Ok(trimmed),
        };
        if index >= trimmed {
            return Ok(index);
        }
        match (shard.source, shard.trimmed_start) {
            (Source::DynamoDb, _) => Err(Rejection::Trimmed),
            (Source::Kinesis, TrimmedStart::Rejected) => Err(Rejection::InvalidArgument),
            (Source::Kinesis, TrimmedStart::LaterRecords) => Ok(trimmed),
            (Source::Kinesis, TrimmedStart::Silence) => Ok(SILENT),
        }
    }

    fn record(&self, index: usize) -> StreamRecord {
        if let Some(record) = self.records.get(index) {
            return record.clone();
        }
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

impl ShardReader for &SimulatedAws {
    async fn iterator(&self, _: &StreamArn, _: &str, position: &Position) -> Result<ShardIterator, ReadError> {
        self.calls.borrow_mut().iterators += 1;
        let glitch = self.shard_call("kinesis:GetShardIterator")?;
        if !self.shard.exists {
            return Err(ReadError::Rejected(Rejection::NotFound));
        }
        if glitch == Some(InjectedFault::ExpiredIterator) && self.shard.source == Source::DynamoDb {
            // The records were trimmed between two calls.
            return Err(ReadError::Rejected(Rejection::Trimmed));
        }
        self.find(position).map(|index| ShardIterator(index.to_string())).map_err(ReadError::Rejected)
    }

    async fn page(&self, _: &StreamArn, iterator: &ShardIterator, limit: u32) -> Result<Page, ReadError> {
        {
            let mut calls = self.calls.borrow_mut();
            calls.pages += 1;
            calls.limits.push(limit);
            let now = self.clock.now_millis();
            if let Some(last) = calls.last_read {
                calls.gaps.push(now - last);
            }
            calls.last_read = Some(now);
        }
        let glitch = self.shard_call("kinesis:GetRecords")?;
        let shard = &self.shard;
        if glitch == Some(InjectedFault::ExpiredIterator) {
            return Err(ReadError::Rejected(Rejection::ExpiredIterator));
        }
        let mut start: usize = iterator.0.parse().expect("an iterator of ours");
        if start < self.trimmed.get() {
            match (shard.source, shard.trimmed_start) {
                (Source::DynamoDb, _) => return Err(ReadError::Rejected(Rejection::Trimmed)),
                (Source::Kinesis, TrimmedStart::Silence) => return Ok(self.silence()),
                (Source::Kinesis, _) => start = self.trimmed.get(),
            }
        }
        if start == SILENT {
            return Ok(self.silence());
        }
        let wanted = if glitch == Some(InjectedFault::EmptyPage) { 0 } else { (limit as usize).min(shard.page_cap) };
        let most = start.saturating_add(wanted).min(self.arrived()).max(start);
        let mut records: Vec<StreamRecord> = Vec::new();
        let mut bytes = 0;
        for index in start..most {
            let record = self.record(index);
            bytes += record_bytes(&record);
            if bytes > shard.page_bytes && !records.is_empty() {
                break;
            }
            records.push(record);
        }
        let end = start + records.len();
        let is_end = end == shard.numbers.len();
        let mut calls = self.calls.borrow_mut();
        calls.furthest = calls.furthest.max(end);
        // The position of an empty page lies between the record before and the one after.
        let next_arrival = shard.arrivals.get(end).filter(|_| end < self.arrived());
        let behind = next_arrival.map_or(0, |next| (self.clock.now_millis() - next).max(1) as u64);
        Ok(Page {
            next: (!(shard.closed && is_end)).then(|| ShardIterator(end.to_string())),
            millis_behind_latest: (shard.source == Source::Kinesis).then_some(behind),
            bytes: 50 * records.len() as u64,
            records,
        })
    }
}

impl ObjectReader for &SimulatedAws {
    async fn read_object(&self, object: &ObjectLocation, max_bytes: usize) -> Result<Vec<u8>, ReadObjectError> {
        let read = || now_or_never((&*self.outbox).read_object(object, max_bytes));
        self.outbox_call("s3:GetObject", read).unwrap_or_else(|fault| Err(ReadObjectError::Fault(fault)))
    }
}

impl Outbox for &SimulatedAws {
    async fn send(&self, message: &OutgoingMessage) -> Result<String, SendError> {
        let send = || now_or_never((&*self.outbox).send(message));
        self.outbox_call("sqs:SendMessage", send).unwrap_or_else(|fault| Err(SendError::Fault(fault)))
    }

    async fn put(&self, bucket: &str, key: &str, body: &Bytes) -> Result<PutOutcome, Fault> {
        self.outbox_call("s3:PutObject", || now_or_never((&*self.outbox).put(bucket, key, body)))?
    }

    async fn send_to_retry_queue(&self, queue_url: &str, body: &str, delay: Duration) -> Result<(), Fault> {
        let send = || now_or_never((&*self.outbox).send_to_retry_queue(queue_url, body, delay));
        self.outbox_call("sqs:SendMessage", send)?
    }
}

impl Clock for &SimulatedAws {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn instant(&self) -> Instant {
        self.clock.instant()
    }

    async fn sleep(&self, duration: Duration) {
        self.clock.advance(duration);
    }

    fn jitter(&self) -> f64 {
        self.clock.jitter()
    }
}
