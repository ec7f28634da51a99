//! A random case: the history of a shard, a range in it, and the faults of the calls.

use std::collections::HashSet;

use hydration::arn::Source;
use hydration::error::HydrateError;
use hydration::hydrator::{Hydrated, HydrationOutcome, Hydrator, Settings};
use hydration::incoming::{IncomingMessage, recognize};
use hydration::retry::CallStats;
use hydration::sequence_number::SequenceNumber;
use hydration::test_support::{
    DAY_MILLIS, DYNAMODB_STREAM_ARN, InjectedFault, InvocationRecordBuilder, KINESIS_STREAM_ARN, SimulatedAws,
    SimulatedShard, TrimmedStart, now_or_never, sequence_numbers, settings,
};
use hydration::timestamp::Timestamp;
use hydration::verdict::Status;
use proptest::prelude::*;
use serde_json::Value;

use crate::faults::{faults, is_silent, only_survived, trims};

/// 2026-11-21T00:00:00Z.
const EPOCH: i64 = 1_795_219_200_000;

#[derive(Debug, Clone)]
pub struct Case {
    pub shard: SimulatedShard,
    /// Indices of the range's ends.
    pub start: usize,
    pub end: usize,
    /// The invocation record writes the ends without leading zeros.
    pub has_plain_ends: bool,
    /// Number of records in the batch. `None` if the invocation record does not have it.
    pub batch_size: Option<u64>,
    pub faults: Vec<Option<InjectedFault>>,
    /// The records that the shard trims before each call to it.
    pub trims: Vec<usize>,
    pub now: i64,
    /// Bytes of data in a record.
    pub padding: usize,
    pub settings: Settings,
    /// The queue's own limit, in bytes.
    pub queue_limit: usize,
}

/// The result of one hydration, and what reached the queue.
pub struct Run {
    pub aws: SimulatedAws,
    pub result: Result<Hydrated, HydrateError>,
    pub stats: CallStats,
    /// The messages, without those that were sent again because a reply was lost.
    pub bodies: Vec<Value>,
    /// The sequence numbers in them.
    pub delivered: Vec<String>,
}

impl Case {
    fn arn(&self) -> &'static str {
        match self.shard.source {
            Source::Kinesis => KINESIS_STREAM_ARN,
            Source::DynamoDb => DYNAMODB_STREAM_ARN,
        }
    }

    pub fn record(&self) -> Value {
        let time = |index: usize| Timestamp::from_millis(self.shard.arrivals[index]);
        let (start, end) = (self.end_text(self.start), self.end_text(self.end));
        let mut record = InvocationRecordBuilder::new(self.arn(), start, end, time(self.start));
        record.last_arrival = Some(time(self.end));
        record.failed_at = Some(time(self.end).plus_millis(1000));
        record.batch_size = self.batch_size;
        record.executed_version = None;
        record.to_json()
    }

    fn end_text(&self, index: usize) -> String {
        let text = self.shard.numbers[index].to_string();
        let plain = text.trim_start_matches('0');
        if self.has_plain_ends && !plain.is_empty() { plain.to_owned() } else { text }
    }

    /// Sequence numbers of the range that the stream holds before the hydration.
    pub fn left(&self) -> Vec<String> {
        self.left_after(self.shard.trimmed)
    }

    /// Sequence numbers of the range that the stream holds when records before an index are trimmed.
    pub fn left_after(&self, trimmed: usize) -> Vec<String> {
        let first = self.start.max(trimmed);
        if !self.shard.exists || first > self.end {
            return vec![];
        }
        self.shard.numbers[first..=self.end].iter().map(ToString::to_string).collect()
    }

    /// The status if nothing is trimmed during the hydration.
    pub fn status(&self) -> Status {
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

    pub fn run(&self) -> Run {
        let mut aws = SimulatedAws::new(self.shard.clone(), self.now, self.faults.clone());
        aws.padding = self.padding;
        aws.trims.borrow_mut().extend(&self.trims);
        aws.outbox.queue_limit.set(self.queue_limit);
        let incoming = recognize(&self.record().to_string()).pop().unwrap().unwrap();
        assert!(matches!(incoming, IncomingMessage::FailedBatch(_)));
        let deadline = aws.deadline(15 * 60 * 1000);
        let mut stats = CallStats::default();
        let result = {
            let hydrator = Hydrator::new(&aws, &aws, &aws, self.settings.clone());
            now_or_never(hydrator.hydrate(&incoming, deadline, &mut stats)).map(|outcome| match outcome {
                HydrationOutcome::Hydrated(hydrated) => hydrated,
                HydrationOutcome::Continued(_) => panic!("there is no retry queue"),
            })
        };
        let mut ids = HashSet::new();
        let is_first = |body: &Value| ids.insert(body["hydration"]["id"].clone());
        let bodies: Vec<Value> = aws.bodies().into_iter().filter(is_first).collect();
        let delivered = bodies.iter().flat_map(sequence_numbers).collect();
        Run { aws, result, stats, bodies, delivered }
    }

    /// Checks the bucket: with the archive, each message that was sent is there, as one line. Without it, only those are
    /// that a pointer needs.
    pub fn check_archive(&self, run: &Run) -> Result<(), TestCaseError> {
        let (queue, bucket) = (run.aws.outbox.queue.borrow(), run.aws.outbox.bucket.borrow());
        if !self.settings.archive {
            let pointers = queue.iter().filter(|message| message.body.starts_with('[')).count();
            prop_assert!(bucket.len() <= pointers, "{} objects for {pointers} pointers", bucket.len());
            return Ok(());
        }
        prop_assert!(bucket.values().all(|object| !object.contains(&b'\n')));
        let parse = |object: &bytes::Bytes| serde_json::from_slice(object).expect("an object is JSON");
        let objects: Vec<Value> = bucket.values().map(parse).collect();
        let view = if self.settings.decoded_view { "included" } else { "off" };
        prop_assert!(objects.iter().all(|object| object["hydration"]["decodedView"] == view));
        let archived: Vec<Value> = objects.iter().map(without_view).collect();
        for body in &run.bodies {
            prop_assert!(archived.contains(&without_view(body)), "not archived: {}", body["hydration"]);
        }
        Ok(())
    }

    /// Checks what was delivered, and the status, against the records that the shard had.
    ///
    /// Records that are trimmed while the walk is under way may be read before or be missing. No other may be, and a
    /// range with a missing record is never called whole.
    pub fn check(&self, run: &Run, hydrated: &Hydrated) -> Result<(), TestCaseError> {
        self.check_archive(run)?;
        let (before, after) = (self.left(), self.left_after(run.aws.trimmed.get()));
        let status = hydrated.verdict.status;
        prop_assert_eq!(hydrated.recovered_records, run.delivered.len() as u64);
        if before == after {
            prop_assert_eq!(&run.delivered, &after);
            prop_assert_eq!(status, self.status());
            return Ok(());
        }
        let read: Vec<String> = before.iter().filter(|number| run.delivered.contains(number)).cloned().collect();
        prop_assert_eq!(&run.delivered, &read, "records of another range, twice, or in another order");
        let is_missing = |number: &&String| !run.delivered.contains(number);
        if !is_silent(&self.shard) {
            prop_assert_eq!(after.iter().find(is_missing), None, "the stream still holds it");
        }
        if run.delivered.len() == self.end - self.start + 1 {
            // The walk cannot always tell.
            prop_assert!(status == self.status() || status == Status::Partial, "{status:?}");
        } else {
            let expected = if read.is_empty() { Status::Expired } else { Status::Partial };
            prop_assert_eq!(status, expected);
        }
        Ok(())
    }
}

/// A message's fields, except for those that depend on its view.
fn without_view(body: &Value) -> Value {
    let mut body = body.clone();
    body["hydration"]["decodedView"] = Value::Null;
    body.as_object_mut()
        .expect("a body is an object")
        .retain(|key, _| key != "KinesisBatch" && key != "DDBStreamBatch");
    body
}

prop_compose! {
    /// A shard's history, and the numbers of records that are still to come: numbers of differing length, arrivals in
    /// order.
    pub fn histories()(
        is_kinesis in any::<bool>(),
        steps in prop::collection::vec((1_u64..1_000_000_000, 0_i64..5_000), 1..60),
        later in prop_oneof![Just(0_usize), 0..5_usize],
        zeros in prop_oneof![3 => Just(0_usize), 1 => 1..20_usize],
        first in prop_oneof![Just(0_u128), Just(9_999_999_990_u128), Just(u128::MAX / 2)],
        trimmed_start in prop_oneof![
            Just(TrimmedStart::Silence), Just(TrimmedStart::LaterRecords), Just(TrimmedStart::Rejected)
        ],
        closed in any::<bool>(),
        exists in prop::bool::weighted(0.95),
        page_cap in 1_usize..30,
        page_bytes in prop_oneof![2 => Just(usize::MAX), 1 => 1..2_000_usize],
        trimmed in prop_oneof![3 => Just(0.0), 1 => 0.0..1.2_f64],
    ) -> (SimulatedShard, Vec<SequenceNumber>) {
        let (mut number, mut arrival) = (first, EPOCH);
        let (mut numbers, mut arrivals) = (vec![], vec![]);
        let text = |number: u128| {
            // Past what a u128 holds, as real ones are, and across a change of length.
            let text = if first > 1 << 100 { format!("4964{number}00") } else { number.to_string() };
            SequenceNumber::parse(&format!("{}{text}", "0".repeat(zeros))).unwrap()
        };
        for (step, pause) in &steps {
            number += u128::from(*step);
            arrival += pause;
            numbers.push(text(number));
            arrivals.push(arrival);
        }
        let source = if is_kinesis { Source::Kinesis } else { Source::DynamoDb };
        let trimmed = ((steps.len() as f64 * trimmed) as usize).min(steps.len());
        let to_come = (1..=later as u128).map(|step| text(number + step)).collect();
        let shard =
            SimulatedShard { source, numbers, arrivals, trimmed, trimmed_start, closed, exists, page_cap, page_bytes };
        (shard, to_come)
    }
}

/// The age of the shard's records when the hydration starts.
#[derive(Debug, Clone, Copy)]
enum Age {
    /// Milliseconds since the last record.
    Young(i64),
    /// A record of the shard, as a share of them, becomes a day old while the walk is under way.
    ADay(f64, i64),
    /// Every record is older than a day.
    Old(i64),
}

fn ages() -> impl Strategy<Value = Age> {
    prop_oneof![
        2 => (0_i64..1_000_000).prop_map(Age::Young),
        1 => (0.0..1.0_f64, -10_000_i64..10_000).prop_map(|(share, millis)| Age::ADay(share, millis)),
        1 => (0_i64..1_000_000).prop_map(Age::Old),
    ]
}

/// Settings under which messages have parts, go to the bucket, or do not.
fn any_settings() -> impl Strategy<Value = (Settings, usize)> {
    let max_part_bytes = prop_oneof![2 => Just(settings().max_part_bytes), 1 => 500_usize..4_000];
    let limit = || prop_oneof![2 => Just(1_048_576_usize), 1 => Just(1_200)];
    (max_part_bytes, limit(), limit(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(max_part_bytes, max_message_bytes, queue_limit, fifo, decoded_view, archive)| {
            (Settings { max_part_bytes, max_message_bytes, fifo, decoded_view, archive, ..settings() }, queue_limit)
        },
    )
}

prop_compose! {
    /// A case that a hydration survives.
    pub fn cases()((shard, to_come) in histories())(
        start in 0..shard.numbers.len(),
        length in 1..=shard.numbers.len(),
        has_plain_ends in any::<bool>(),
        batch_size in prop_oneof![
            3 => Just(None), 2 => (1_u64..80).prop_map(Some), 1 => Just(Some(u64::MAX)), 1 => Just(Some(0))
        ],
        exact in any::<bool>(),
        age in ages(),
        faults in prop::collection::vec(faults(), 0..40),
        trims in trims(),
        arrives_in in 1_i64..2_000,
        padding in 0_usize..300,
        (settings, queue_limit) in any_settings(),
        shard in Just(shard),
        to_come in Just(to_come),
    ) -> Case {
        let end = (start + length - 1).min(shard.numbers.len() - 1);
        let batch_size = if exact { Some((end - start + 1) as u64) } else { batch_size };
        // Nothing is trimmed before it is a day old.
        let newest_trimmed = shard.trimmed.checked_sub(1).map(|index| shard.arrivals[index] + DAY_MILLIS);
        let earliest = newest_trimmed.unwrap_or(EPOCH).max(*shard.arrivals.last().unwrap());
        let now = match age {
            Age::Young(millis) => earliest + millis,
            Age::ADay(share, millis) => {
                let index = (shard.arrivals.len() as f64 * share) as usize;
                earliest.max(shard.arrivals[index] + DAY_MILLIS + millis)
            }
            Age::Old(millis) => earliest.max(shard.arrivals.last().unwrap() + DAY_MILLIS) + millis,
        };
        let (faults, trims) = only_survived(&shard, &faults, &trims);
        let mut shard = shard;
        shard.arrivals.extend((1..=to_come.len() as i64).map(|record| now + record * arrives_in));
        shard.numbers.extend(to_come);
        Case {
            shard, start, end, has_plain_ends, batch_size, faults, trims, now, padding, settings, queue_limit,
        }
    }
}
