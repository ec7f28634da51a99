//! For any history of a shard, any range and any script of faults: what is delivered is what the range still holds,
//! the status is the model's, no call exceeds a cap, and it ends.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod shard;

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use hydration::arn::Source;
use hydration::error::HydrateError;
use hydration::hydrate::{Deadline, Hydrated, Hydrator, Settings};
use hydration::intake::{Intake, recognize};
use hydration::retry::Tally;
use hydration::sequence_number::SequenceNumber;
use hydration::timestamp::Timestamp;
use hydration::verdict::Status;
use hydration::walk::page_cap;
use proptest::prelude::*;
use serde_json::{Value, json};
use shard::{DAY, Glitch, Shard, TrimmedStart, World};

/// 2026-11-21T00:00:00Z.
const EPOCH: i64 = 1_795_219_200_000;

/// No future of the model ever waits.
fn now_or_never<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the model never waits"),
    }
}

#[derive(Debug, Clone)]
struct Case {
    shard: Shard,
    /// Indices of the range's ends.
    start: usize,
    end: usize,
    /// How many of the range's records the batch had; `None`: the invocation record does not say.
    batch_size: Option<u64>,
    glitches: Vec<Option<Glitch>>,
    now: i64,
}

impl Case {
    fn arn(&self) -> &'static str {
        match self.shard.source {
            Source::Kinesis => "arn:aws:kinesis:us-east-1:123456789012:stream/orders",
            Source::DynamoDb => "arn:aws:dynamodb:us-east-1:123456789012:table/Orders/stream/2026-11-20T00:00:00.000",
        }
    }

    fn record(&self) -> Value {
        let time = |index: usize| Timestamp::from_millis(self.shard.arrivals[index]).rfc3339();
        let key = if self.shard.source == Source::Kinesis { "KinesisBatchInfo" } else { "DDBStreamBatchInfo" };
        let mut info = json!({
            "shardId": "shardId-000000000000",
            "startSequenceNumber": self.shard.numbers[self.start].as_str(),
            "endSequenceNumber": self.shard.numbers[self.end].as_str(),
            "approximateArrivalOfFirstRecord": time(self.start),
            "approximateArrivalOfLastRecord": time(self.end),
            "streamArn": self.arn(),
        });
        if let Some(size) = self.batch_size {
            info["batchSize"] = json!(size);
        }
        json!({
            "requestContext": {
                "requestId": "5577e27b-0000-4000-8000-000000000000",
                "functionArn": "arn:aws:lambda:us-east-1:123456789012:function:orders:live",
                "condition": "RetryAttemptsExhausted",
            },
            "version": "1.0",
            "timestamp": Timestamp::from_millis(self.shard.arrivals[self.end] + 1000).rfc3339(),
            key: info,
        })
    }

    /// Sequence numbers of the range that the stream still holds.
    fn left(&self) -> Vec<String> {
        let first = self.start.max(self.shard.trimmed);
        if !self.shard.exists || first > self.end {
            return vec![];
        }
        self.shard.numbers[first..=self.end].iter().map(ToString::to_string).collect()
    }

    fn status(&self) -> Status {
        let left = self.left().len() as u64;
        if !self.shard.exists {
            return Status::Gone;
        }
        if left == 0 {
            // What was trimmed is a day old in this model, so that a refused sequence number means expiry.
            return Status::Expired;
        }
        if self.shard.trimmed > self.start {
            return Status::Partial;
        }
        match self.batch_size {
            Some(size) if left > size => Status::Superset,
            Some(size) if left < size => Status::Partial,
            _ => Status::Complete,
        }
    }

    fn run(&self, settings: &Settings) -> (World, Result<Hydrated, HydrateError>, Tally) {
        let world = World::new(self.shard.clone(), self.now, self.glitches.clone());
        let intake = recognize(&self.record().to_string()).pop().unwrap().unwrap();
        assert!(matches!(intake, Intake::Batch(_)));
        let end = self.now + 15 * 60 * 1000;
        let deadline = Deadline { read: Timestamp::from_millis(end - 15_000), deliver: Timestamp::from_millis(end) };
        let mut tally = Tally::default();
        let result = {
            let hydrator = Hydrator::new(&world, &world, &world, settings.clone());
            now_or_never(hydrator.hydrate(&intake, deadline, &mut tally))
        };
        (world, result, tally)
    }
}

fn settings() -> Settings {
    Settings {
        max_message_bytes: 1_048_576,
        decoded_view: true,
        overflow_bucket: Some("overflow".to_owned()),
        fifo: false,
    }
}

/// The bodies that reached the queue, those behind a pointer included.
fn bodies(world: &World) -> Vec<Value> {
    let bucket = world.bucket.borrow();
    let body = |message: &hydration::message::Message| {
        let body: Value = serde_json::from_str(&message.body).expect("a body is JSON");
        match body.get(1).and_then(|pointer| pointer.get("s3Key")).and_then(Value::as_str) {
            Some(key) => {
                let (_, object) = bucket.iter().rfind(|(name, _)| name == key).expect("the object before the pointer");
                serde_json::from_slice(object).expect("an object is JSON")
            }
            None => body,
        }
    };
    world.queue.borrow().iter().map(body).collect()
}

fn sequence_numbers(body: &Value) -> Vec<String> {
    let number = |record: &Value| {
        let number = record.pointer("/kinesis/sequenceNumber").or(record.pointer("/dynamodb/SequenceNumber"));
        number.and_then(Value::as_str).expect("every record has its number").to_owned()
    };
    body["Records"].as_array().expect("Records is an array").iter().map(number).collect()
}

prop_compose! {
    /// A shard's history: numbers of differing length, arrivals in order.
    fn histories()(
        is_kinesis in any::<bool>(),
        steps in prop::collection::vec((1_u64..1_000_000_000, 0_i64..5_000), 1..60),
        first in prop_oneof![Just(0_u128), Just(9_999_999_990_u128), Just(u128::MAX / 2)],
        trimmed_start in prop_oneof![
            Just(TrimmedStart::Silence), Just(TrimmedStart::LaterRecords), Just(TrimmedStart::Refusal)
        ],
        closed in any::<bool>(),
        exists in prop::bool::weighted(0.95),
        page_cap in 1_usize..30,
        trimmed in prop_oneof![3 => Just(0.0), 1 => 0.0..1.2_f64],
    ) -> Shard {
        let (mut number, mut arrival) = (first, EPOCH);
        let (mut numbers, mut arrivals) = (vec![], vec![]);
        for (step, pause) in &steps {
            number += u128::from(*step);
            arrival += pause;
            // Past what a u128 holds, as real ones are, and across a change of length.
            let text = if first > 1 << 100 { format!("4964{number}00") } else { number.to_string() };
            numbers.push(SequenceNumber::parse(&text).unwrap());
            arrivals.push(arrival);
        }
        let source = if is_kinesis { Source::Kinesis } else { Source::DynamoDb };
        let trimmed = ((steps.len() as f64 * trimmed) as usize).min(steps.len());
        Shard { source, numbers, arrivals, trimmed, trimmed_start, closed, exists, page_cap }
    }
}

prop_compose! {
    fn cases()(shard in histories())(
        start in 0..shard.numbers.len(),
        length in 1..=shard.numbers.len(),
        batch_size in prop_oneof![
            3 => Just(None), 2 => (1_u64..80).prop_map(Some), 1 => Just(Some(u64::MAX)), 1 => Just(Some(0))
        ],
        exact in any::<bool>(),
        age in 0_i64..1_000_000,
        glitches in prop::collection::vec(glitches(), 0..40),
        shard in Just(shard),
    ) -> Case {
        let end = (start + length - 1).min(shard.numbers.len() - 1);
        let batch_size = if exact { Some((end - start + 1) as u64) } else { batch_size };
        // Nothing is trimmed before it is a day old.
        let newest_trimmed = shard.trimmed.checked_sub(1).map(|index| shard.arrivals[index] + DAY);
        let now = newest_trimmed.unwrap_or(EPOCH).max(*shard.arrivals.last().unwrap()) + age;
        Case { shard, start, end, batch_size, glitches: few_in_a_row(glitches), now }
    }
}

fn glitches() -> impl Strategy<Value = Option<Glitch>> {
    prop_oneof![
        6 => Just(None),
        2 => Just(Some(Glitch::EmptyPage)),
        1 => Just(Some(Glitch::Throttled)),
        1 => Just(Some(Glitch::Unavailable)),
        1 => Just(Some(Glitch::ExpiredIterator)),
    ]
}

/// Faults pass: at most three calls in a row do anything but answer, and at most five iterators are lost.
fn few_in_a_row(glitches: Vec<Option<Glitch>>) -> Vec<Option<Glitch>> {
    let (mut in_a_row, mut lost) = (0, 0);
    let thin = |glitch: Option<Glitch>| {
        lost += usize::from(glitch == Some(Glitch::ExpiredIterator));
        let glitch = glitch.filter(|glitch| *glitch != Glitch::ExpiredIterator || lost <= 5);
        in_a_row = if glitch.is_some() { in_a_row + 1 } else { 0 };
        if in_a_row > 3 {
            in_a_row = 0;
            return None;
        }
        glitch
    };
    glitches.into_iter().map(thin).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_delivered_is_what_the_range_still_holds(case in cases()) {
        let (world, result, tally) = case.run(&settings());
        let hydrated = result.map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
        let bodies = bodies(&world);
        let delivered: Vec<String> = bodies.iter().flat_map(sequence_numbers).collect();
        prop_assert_eq!(&delivered, &case.left());
        prop_assert_eq!(hydrated.verdict.status, case.status());
        prop_assert_eq!(hydrated.recovered_records, delivered.len() as u64);
        let last = bodies.last().unwrap();
        prop_assert_eq!(last["hydration"]["status"].as_str(), Some(case.status().as_str()));
        prop_assert_eq!(last["hydration"].get("reason").is_none(), case.status() == Status::Complete);

        let calls = world.calls.borrow();
        let cap = page_cap(case.shard.source);
        prop_assert!(calls.limits.iter().all(|limit| (1..=cap).contains(limit)), "{:?}", calls.limits);
        prop_assert_eq!((calls.iterators, calls.pages), (tally.iterators, tally.read_calls));
        prop_assert!(calls.pages < 500, "{} pages", calls.pages);
        prop_assert!(calls.gaps.iter().all(|gap| *gap >= 125), "reads too close: {:?}", calls.gaps);
        prop_assert!(world.now.get() - case.now <= 15 * 60 * 1000, "past the deadline");
    }

    #[test]
    fn an_exact_batch_is_read_with_the_fewest_calls_and_not_one_record_too_many(case in cases()) {
        let size = (case.end - case.start + 1) as u64;
        let mut case = Case { batch_size: Some(size), glitches: vec![], ..case };
        case.shard.trimmed = 0;
        case.shard.exists = true;
        let (world, result, _) = case.run(&settings());
        prop_assert_eq!(result.unwrap().verdict.status, Status::Complete);
        let calls = world.calls.borrow();
        prop_assert_eq!(calls.furthest, case.end + 1);
        prop_assert_eq!(calls.iterators, 1);
        prop_assert_eq!(u64::from(calls.pages), size.div_ceil(case.shard.page_cap as u64));
        prop_assert!(calls.gaps.iter().all(|gap| *gap >= 500), "reads too close: {:?}", calls.gaps);
    }

    #[test]
    fn whatever_happens_it_ends_and_says_nothing_untrue(
        case in cases(),
        glitches in prop::collection::vec(prop_oneof![
            glitches(), Just(Some(Glitch::AccessDenied)), Just(Some(Glitch::Throttled))
        ], 0..200),
    ) {
        let case = Case { glitches, ..case };
        let (world, result, _) = case.run(&settings());
        let delivered: Vec<String> = bodies(&world).iter().flat_map(sequence_numbers).collect();
        match result {
            // Nothing but what is left, and the verdict on that.
            Ok(hydrated) => {
                prop_assert_eq!(delivered, case.left());
                prop_assert_eq!(hydrated.verdict.status, case.status());
            }
            // A fault that did not pass is an error, and nothing was delivered.
            Err(error) => {
                prop_assert!(delivered.is_empty());
                let kinds = ["AccessDenied", "Throttled", "ServiceUnavailable", "RangeNotReached"];
                prop_assert!(kinds.contains(&error.kind()), "{error:?}");
            }
        }
        prop_assert!(world.now.get() - case.now <= 15 * 60 * 1000, "past the deadline");
    }

    #[test]
    fn the_same_failure_twice_is_the_same_message(case in cases()) {
        let (first, second) = (case.run(&settings()).0, case.run(&settings()).0);
        let messages = |world: &World| -> Vec<(Vec<hydration::message::Attribute>, usize)> {
            world.queue.borrow().iter().map(|message| (message.attributes.clone(), message.body.len())).collect()
        };
        prop_assert_eq!(messages(&first), messages(&second));
        let names = |world: &World| world.queue.borrow()[0].attributes[0].clone();
        prop_assert_eq!(names(&first), names(&second));
    }
}
