//! A model of a stream that is resharded while records arrive.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::Duration;

use hydration::arn::{Source, StreamArn};
use hydration::error::{Fault, FaultKind};
use hydration::ports::{Page, Position, ReadError, Rejection, ShardIterator, ShardReader, StreamReader, StreamShard};
use hydration::record::StreamRecord;
use hydration::sequence_number::SequenceNumber;
use hydration::test_support::{ManualClock, dynamodb_record, kinesis_record};
use hydration::timestamp::Timestamp;

/// A step in the life of a stream.
#[derive(Debug, Clone)]
pub enum Step {
    /// A record for one of the open shards, milliseconds after the step before. The second number is the error of its
    /// arrival time.
    Put {
        shard: usize,
        millis: i64,
        error: i64,
    },
    Split {
        shard: usize,
    },
    Merge {
        one: usize,
        other: usize,
    },
}

#[derive(Debug, Clone)]
pub struct ModelShard {
    pub shard: StreamShard,
    /// Sequence number and arrival.
    pub records: Vec<(u64, i64)>,
    pub closed: bool,
}

/// A fault of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallFault {
    EmptyPage,
    ExpiredIterator,
    Throttled,
    /// The service refuses the sequence number, as if its record had been trimmed.
    RefusedPosition,
}

pub struct Stream {
    pub source: Source,
    pub shards: Vec<ModelShard>,
    pub clock: ManualClock,
    pub page_cap: usize,
    /// The faults of the next calls; after the last every call succeeds.
    pub faults: RefCell<VecDeque<Option<CallFault>>>,
    /// Records of every shard before this index are gone.
    pub trimmed: Cell<usize>,
    pub reads: RefCell<Vec<String>>,
}

impl Stream {
    pub fn new(source: Source, start: i64, steps: &[Step]) -> Self {
        let mut shards = vec![new_shard(0, vec![]), new_shard(1, vec![])];
        let (mut now, mut number) = (start, 1_000);
        for step in steps {
            let open: Vec<usize> = (0..shards.len()).filter(|index| !shards[*index].closed).collect();
            match *step {
                Step::Put { shard, millis, error } => {
                    now += millis;
                    number += 7;
                    shards[open[shard % open.len()]].records.push((number, now + error));
                }
                Step::Split { shard } => {
                    let parent = open[shard % open.len()];
                    shards[parent].closed = true;
                    for _ in 0..2 {
                        shards.push(new_shard(shards.len(), vec![shards[parent].shard.id.clone()]));
                    }
                }
                Step::Merge { one, other } => {
                    let (one, other) = (open[one % open.len()], open[other % open.len()]);
                    if one == other {
                        continue;
                    }
                    (shards[one].closed, shards[other].closed) = (true, true);
                    let parents = vec![shards[one].shard.id.clone(), shards[other].shard.id.clone()];
                    shards.push(new_shard(shards.len(), parents));
                }
            }
        }
        Self {
            source,
            shards,
            clock: ManualClock::starting_at(now + 1_000),
            page_cap: usize::MAX,
            faults: RefCell::default(),
            trimmed: Cell::new(0),
            reads: RefCell::default(),
        }
    }

    /// The arrival time as the service tells it: DynamoDB has whole seconds.
    pub fn arrival(&self, arrival: i64) -> i64 {
        if self.source == Source::DynamoDb { arrival.div_euclid(1000) * 1000 } else { arrival }
    }

    fn shard(&self, id: &str) -> Option<&ModelShard> {
        self.shards.iter().find(|shard| shard.shard.id == id)
    }

    fn record(&self, number: u64, arrival: i64) -> StreamRecord {
        match self.source {
            Source::Kinesis => match kinesis_record(number, format!("{{\"n\":{number}}}")) {
                StreamRecord::Kinesis(record) => {
                    let approximate_arrival = Some(Timestamp::from_millis(arrival));
                    StreamRecord::Kinesis(hydration::record::KinesisRecord { approximate_arrival, ..record })
                }
                other => other,
            },
            Source::DynamoDb => match dynamodb_record(number) {
                StreamRecord::DynamoDb(mut record) => {
                    record.approximate_creation = Some(arrival.div_euclid(1000));
                    StreamRecord::DynamoDb(record)
                }
                other => other,
            },
        }
    }

    fn call(&self) -> Result<Option<CallFault>, ReadError> {
        self.clock.advance_millis(20);
        match self.faults.borrow_mut().pop_front().flatten() {
            Some(CallFault::Throttled) => {
                let detail = "an injected fault".to_owned();
                Err(ReadError::Fault(Fault { kind: FaultKind::Throttled, action: "kinesis:GetRecords", detail }))
            }
            fault => Ok(fault),
        }
    }
}

fn new_shard(index: usize, parents: Vec<String>) -> ModelShard {
    let id = format!("shardId-{index:012}");
    ModelShard { shard: StreamShard { id, parents }, records: vec![], closed: false }
}

fn value(number: &SequenceNumber) -> u64 {
    number.as_str().parse().unwrap()
}

impl ShardReader for &Stream {
    async fn iterator(&self, _: &StreamArn, id: &str, position: &Position) -> Result<ShardIterator, ReadError> {
        let fault = self.call()?;
        let is_by_number = matches!(position, Position::At(_) | Position::After(_));
        if fault == Some(CallFault::RefusedPosition) && is_by_number {
            let is_kinesis = self.source == Source::Kinesis;
            let rejection = if is_kinesis { Rejection::InvalidArgument } else { Rejection::Trimmed };
            return Err(ReadError::Rejected(rejection));
        }
        let Some(shard) = self.shard(id) else { return Err(ReadError::Rejected(Rejection::NotFound)) };
        let index = match position {
            Position::At(number) => shard.records.partition_point(|(other, _)| *other < value(number)),
            Position::After(number) => shard.records.partition_point(|(other, _)| *other <= value(number)),
            Position::AtTimestamp(time) => {
                let found = shard.records.iter().position(|(_, arrival)| *arrival >= time.millis());
                found.unwrap_or(shard.records.len())
            }
            Position::TrimHorizon => 0,
        };
        let index = index.max(self.trimmed.get().min(shard.records.len()));
        Ok(ShardIterator(format!("{id}|{index}")))
    }

    async fn page(&self, _: &StreamArn, iterator: &ShardIterator, limit: u32) -> Result<Page, ReadError> {
        let fault = self.call()?;
        if fault == Some(CallFault::ExpiredIterator) {
            return Err(ReadError::Rejected(Rejection::ExpiredIterator));
        }
        let (id, index) = iterator.0.split_once('|').unwrap();
        self.reads.borrow_mut().push(id.to_owned());
        let shard = self.shard(id).unwrap();
        let index: usize = index.parse().unwrap();
        let index = index.max(self.trimmed.get().min(shard.records.len()));
        let wanted = if fault == Some(CallFault::EmptyPage) { 0 } else { self.page_cap.min(limit as usize) };
        let end = shard.records.len().min(index.saturating_add(wanted));
        let records: Vec<_> = shard.records[index..end].iter().map(|(number, at)| self.record(*number, *at)).collect();
        let is_end = end == shard.records.len();
        let behind = shard.records.get(end).map_or(0, |(_, at)| (self.clock.now_millis() - at).max(1) as u64);
        Ok(Page {
            records,
            next: (!(shard.closed && is_end)).then(|| ShardIterator(format!("{id}|{end}"))),
            millis_behind_latest: (self.source == Source::Kinesis).then_some(behind),
            bytes: 100,
        })
    }
}

impl StreamReader for &Stream {
    async fn shards(&self, _: &StreamArn, _: Timestamp) -> Result<Vec<StreamShard>, Fault> {
        // The newest first: the caller must find the order.
        Ok(self.shards.iter().rev().map(|shard| shard.shard.clone()).collect())
    }

    async fn retention(&self, _: &StreamArn) -> Result<Duration, Fault> {
        Ok(Duration::from_secs(24 * 60 * 60))
    }
}
