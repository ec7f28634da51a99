//! Every call that a hydration makes, in order, where the answers are known: what AWS shows in each case is written
//! down here, and so is what it is asked.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod delivery;
mod reading;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hydration::arn::{Source, StreamArn};
use hydration::error::{Fault, FaultKind, HydrateError};
use hydration::hydrator::{Deadline, Hydrated, HydrationOutcome, Hydrator, Settings};
use hydration::incoming::{IncomingMessage, recognize};
use hydration::message::OutgoingMessage;
use hydration::ports::{
    Clock, Outbox, Page, Position, PutOutcome, ReadError, Rejection, SendError, ShardIterator, ShardReader,
};
use hydration::record::{DynamoDbRecord, KinesisRecord, StreamRecord};
use hydration::retry::CallStats;
use hydration::sequence_number::SequenceNumber;
use hydration::test_support::{now_or_never, settings};
use hydration::timestamp::Timestamp;
use serde_json::{Value, json};

/// 2026-11-21T00:00:00Z, the moment of every hydration.
const NOW: i64 = 1_795_219_200_000;
const MINUTE: i64 = 60 * 1000;
const HOUR: i64 = 60 * MINUTE;
const STREAM: &str = "arn:aws:kinesis:us-east-1:123456789012:stream/orders";
const TABLE: &str = "arn:aws:dynamodb:us-east-1:123456789012:table/Orders/stream/2026-11-20T00:00:00.000";

/// What the world does at one call.
#[derive(Debug, Clone)]
enum Answer {
    Iterator,
    /// Records, and how many milliseconds the page is behind the tip.
    Page(Vec<StreamRecord>, Option<u64>),
    /// The same, and the shard ends.
    LastPage(Vec<StreamRecord>),
    /// A page of so many bytes.
    HeavyPage(Vec<StreamRecord>, u64),
    Refused(Rejection),
    Fault(FaultKind),
    /// The queue, or the bucket, takes it.
    Taken,
    /// The bucket has an object of that key.
    AlreadyExists,
    TooLarge,
}

/// Answers as the script says, and writes down what it was asked.
struct World {
    script: RefCell<VecDeque<Answer>>,
    log: RefCell<Vec<String>>,
    now: Cell<i64>,
    started: Instant,
    queue: RefCell<Vec<OutgoingMessage>>,
    objects: RefCell<Vec<Bytes>>,
}

fn fault(kind: FaultKind) -> Fault {
    Fault { kind, action: "test:Call", detail: "as the script says".to_owned() }
}

impl World {
    fn new(script: impl IntoIterator<Item = Answer>) -> Self {
        Self {
            script: RefCell::new(script.into_iter().collect()),
            log: RefCell::default(),
            now: Cell::new(NOW),
            started: Instant::now(),
            queue: RefCell::default(),
            objects: RefCell::default(),
        }
    }

    fn answer(&self, call: String) -> Answer {
        self.log.borrow_mut().push(call);
        let answer = self.script.borrow_mut().pop_front();
        answer.unwrap_or_else(|| panic!("the script ends before {:?}", self.log.borrow()))
    }

    fn unfit(&self, answer: &Answer) -> ! {
        panic!("{answer:?} answers no {:?}", self.log.borrow().last())
    }

    fn hydrate(&self, record: &Value, settings: Settings) -> Result<Hydrated, HydrateError> {
        let incoming = recognize(&record.to_string()).pop().unwrap().unwrap();
        assert!(matches!(incoming, IncomingMessage::FailedBatch(_)), "{record}");
        let hydrator = Hydrator::new(self, self, self, settings);
        let minutes = |count: u64| self.started + Duration::from_secs(60 * count);
        let deadline = Deadline { read: minutes(5), deliver: minutes(6) };
        let result = now_or_never(hydrator.hydrate(&incoming, deadline, &mut CallStats::default()));
        let result = result.map(|outcome| match outcome {
            HydrationOutcome::Hydrated(hydrated) => hydrated,
            HydrationOutcome::Continued(_) => panic!("there is no retry queue"),
        });
        assert!(self.script.borrow().is_empty(), "not asked for: {:?}", self.script.borrow());
        result
    }
}

impl ShardReader for &World {
    async fn iterator(&self, _: &StreamArn, _: &str, position: &Position) -> Result<ShardIterator, ReadError> {
        let position = match position {
            Position::At(number) => format!("at {number}"),
            Position::After(number) => format!("after {number}"),
            Position::AtTimestamp(moment) => format!("from {} min ago", (NOW - moment.millis()) / MINUTE),
            Position::TrimHorizon => "at the horizon".to_owned(),
        };
        match self.answer(format!("iterator {position}")) {
            Answer::Iterator => Ok(ShardIterator(self.log.borrow().len().to_string())),
            Answer::Refused(rejection) => Err(ReadError::Rejected(rejection)),
            Answer::Fault(kind) => Err(ReadError::Fault(fault(kind))),
            answer => self.unfit(&answer),
        }
    }

    async fn page(&self, _: &StreamArn, iterator: &ShardIterator, limit: u32) -> Result<Page, ReadError> {
        let page = |records, millis_behind_latest, bytes| {
            let next = Some(ShardIterator(format!("{}+", iterator.0)));
            Ok(Page { records, next, millis_behind_latest, bytes })
        };
        match self.answer(format!("page of {limit}")) {
            Answer::Page(records, behind) => page(records, behind, 10),
            Answer::HeavyPage(records, bytes) => page(records, Some(0), bytes),
            Answer::LastPage(records) => page(records, Some(0), 10).map(|page| Page { next: None, ..page }),
            Answer::Refused(rejection) => Err(ReadError::Rejected(rejection)),
            Answer::Fault(kind) => Err(ReadError::Fault(fault(kind))),
            answer => self.unfit(&answer),
        }
    }
}

impl Outbox for &World {
    async fn send(&self, message: &OutgoingMessage) -> Result<String, SendError> {
        match self.answer("send".to_owned()) {
            Answer::Taken => {
                self.queue.borrow_mut().push(message.clone());
                Ok(format!("message-{}", self.queue.borrow().len()))
            }
            Answer::TooLarge => Err(SendError::TooLarge(fault(FaultKind::Refused))),
            Answer::Fault(kind) => Err(SendError::Fault(fault(kind))),
            answer => self.unfit(&answer),
        }
    }

    async fn put(&self, bucket: &str, key: &str, body: &Bytes) -> Result<PutOutcome, Fault> {
        match self.answer(format!("put s3://{bucket}/{key}")) {
            Answer::Taken => {
                self.objects.borrow_mut().push(body.clone());
                Ok(PutOutcome::Created)
            }
            Answer::AlreadyExists => Ok(PutOutcome::AlreadyExists),
            Answer::Fault(kind) => Err(fault(kind)),
            answer => self.unfit(&answer),
        }
    }

    async fn send_to_retry_queue(&self, _: &str, _: &str, _: Duration) -> Result<(), Fault> {
        panic!("there is no retry queue")
    }
}

impl Clock for &World {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.get())
    }

    fn instant(&self) -> Instant {
        self.started + Duration::from_millis(u64::try_from(self.now.get() - NOW).unwrap())
    }

    async fn sleep(&self, duration: Duration) {
        if !duration.is_zero() {
            self.log.borrow_mut().push(format!("wait {}", duration.as_millis()));
            self.now.set(self.now.get() + duration.as_millis() as i64);
        }
    }

    fn jitter(&self) -> f64 {
        0.5
    }
}

fn record(source: Source, number: u64) -> StreamRecord {
    let sequence_number = SequenceNumber::parse(&number.to_string()).unwrap();
    match source {
        Source::Kinesis => StreamRecord::Kinesis(KinesisRecord {
            sequence_number,
            partition_key: "key".to_owned(),
            data: format!(r#"{{"n":{number}}}"#).into_bytes(),
            approximate_arrival: Some(Timestamp::from_millis(NOW)),
        }),
        Source::DynamoDb => StreamRecord::DynamoDb(Box::new(DynamoDbRecord {
            sequence_number,
            event_id: None,
            event_name: None,
            event_version: None,
            event_source: None,
            aws_region: None,
            approximate_creation: None,
            keys: None,
            new_image: None,
            old_image: None,
            size_bytes: None,
            stream_view_type: None,
            user_identity: None,
        })),
    }
}

/// The failure of a batch of three, 10 to 12, that arrived so long ago.
fn failed(arn: &str, age: i64) -> Value {
    let key = if arn == TABLE { "DDBStreamBatchInfo" } else { "KinesisBatchInfo" };
    let arrival = Timestamp::from_millis(NOW - age).rfc3339();
    json!({
        "requestContext": {
            "requestId": "5577e27b-0000-4000-8000-000000000000",
            "functionArn": "arn:aws:lambda:us-east-1:123456789012:function:orders:live",
            "condition": "RetryAttemptsExhausted",
        },
        "version": "1.0",
        "timestamp": arrival,
        key: {
            "shardId": "shardId-000000000000",
            "startSequenceNumber": "10",
            "endSequenceNumber": "12",
            "approximateArrivalOfFirstRecord": arrival,
            "approximateArrivalOfLastRecord": arrival,
            "batchSize": 3,
            "streamArn": arn,
        },
    })
}
