//! A random case: the history of a shard, a range in it, and the faults of the calls.

use hydration::arn::Source;
use hydration::error::HydrateError;
use hydration::hydrator::{Hydrated, HydrationOutcome, Hydrator, Settings};
use hydration::incoming::{IncomingMessage, recognize};
use hydration::retry::CallStats;
use hydration::sequence_number::SequenceNumber;
use hydration::test_support::{
    DAY_MILLIS, DYNAMODB_STREAM_ARN, InjectedFault, InvocationRecordBuilder, KINESIS_STREAM_ARN, SimulatedAws,
    SimulatedShard, TrimmedStart, now_or_never,
};
use hydration::timestamp::Timestamp;
use hydration::verdict::Status;
use proptest::prelude::*;
use serde_json::Value;

/// 2026-11-21T00:00:00Z.
const EPOCH: i64 = 1_795_219_200_000;

#[derive(Debug, Clone)]
pub struct Case {
    pub shard: SimulatedShard,
    /// Indices of the range's ends.
    pub start: usize,
    pub end: usize,
    /// Number of records in the batch. `None` if the invocation record does not have it.
    pub batch_size: Option<u64>,
    pub faults: Vec<Option<InjectedFault>>,
    pub now: i64,
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
        let (start, end) = (&self.shard.numbers[self.start], &self.shard.numbers[self.end]);
        let mut record = InvocationRecordBuilder::new(self.arn(), start, end, time(self.start));
        record.last_arrival = Some(time(self.end));
        record.failed_at = Some(time(self.end).plus_millis(1000));
        record.batch_size = self.batch_size;
        record.executed_version = None;
        record.to_json()
    }

    /// Sequence numbers of the range that the stream still holds.
    pub fn left(&self) -> Vec<String> {
        let first = self.start.max(self.shard.trimmed);
        if !self.shard.exists || first > self.end {
            return vec![];
        }
        self.shard.numbers[first..=self.end].iter().map(ToString::to_string).collect()
    }

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

    pub fn run(&self, settings: &Settings) -> (SimulatedAws, Result<Hydrated, HydrateError>, CallStats) {
        let aws = SimulatedAws::new(self.shard.clone(), self.now, self.faults.clone());
        let incoming = recognize(&self.record().to_string()).pop().unwrap().unwrap();
        assert!(matches!(incoming, IncomingMessage::FailedBatch(_)));
        let deadline = aws.deadline(15 * 60 * 1000);
        let mut stats = CallStats::default();
        let result = {
            let hydrator = Hydrator::new(&aws, &aws, &aws, settings.clone());
            now_or_never(hydrator.hydrate(&incoming, deadline, &mut stats)).map(|outcome| match outcome {
                HydrationOutcome::Hydrated(hydrated) => hydrated,
                HydrationOutcome::Continued(_) => panic!("there is no retry queue"),
            })
        };
        (aws, result, stats)
    }
}

prop_compose! {
    /// A shard's history: numbers of differing length, arrivals in order.
    pub fn histories()(
        is_kinesis in any::<bool>(),
        steps in prop::collection::vec((1_u64..1_000_000_000, 0_i64..5_000), 1..60),
        first in prop_oneof![Just(0_u128), Just(9_999_999_990_u128), Just(u128::MAX / 2)],
        trimmed_start in prop_oneof![
            Just(TrimmedStart::Silence), Just(TrimmedStart::LaterRecords), Just(TrimmedStart::Rejected)
        ],
        closed in any::<bool>(),
        exists in prop::bool::weighted(0.95),
        page_cap in 1_usize..30,
        trimmed in prop_oneof![3 => Just(0.0), 1 => 0.0..1.2_f64],
    ) -> SimulatedShard {
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
        SimulatedShard { source, numbers, arrivals, trimmed, trimmed_start, closed, exists, page_cap }
    }
}

prop_compose! {
    pub fn cases()(shard in histories())(
        start in 0..shard.numbers.len(),
        length in 1..=shard.numbers.len(),
        batch_size in prop_oneof![
            3 => Just(None), 2 => (1_u64..80).prop_map(Some), 1 => Just(Some(u64::MAX)), 1 => Just(Some(0))
        ],
        exact in any::<bool>(),
        age in 0_i64..1_000_000,
        faults in prop::collection::vec(faults(), 0..40),
        shard in Just(shard),
    ) -> Case {
        let end = (start + length - 1).min(shard.numbers.len() - 1);
        let batch_size = if exact { Some((end - start + 1) as u64) } else { batch_size };
        // Nothing is trimmed before it is a day old.
        let newest_trimmed = shard.trimmed.checked_sub(1).map(|index| shard.arrivals[index] + DAY_MILLIS);
        let now = newest_trimmed.unwrap_or(EPOCH).max(*shard.arrivals.last().unwrap()) + age;
        Case { shard, start, end, batch_size, faults: few_in_a_row(faults), now }
    }
}

pub fn faults() -> impl Strategy<Value = Option<InjectedFault>> {
    prop_oneof![
        6 => Just(None),
        2 => Just(Some(InjectedFault::EmptyPage)),
        1 => Just(Some(InjectedFault::Throttled)),
        1 => Just(Some(InjectedFault::Unavailable)),
        1 => Just(Some(InjectedFault::ExpiredIterator)),
    ]
}

/// Faults pass: at most three calls in a row do anything but answer, and at most five iterators are lost.
fn few_in_a_row(faults: Vec<Option<InjectedFault>>) -> Vec<Option<InjectedFault>> {
    let (mut in_a_row, mut lost) = (0, 0);
    let thin = |fault: Option<InjectedFault>| {
        lost += usize::from(fault == Some(InjectedFault::ExpiredIterator));
        let fault = fault.filter(|fault| *fault != InjectedFault::ExpiredIterator || lost <= 5);
        in_a_row = if fault.is_some() { in_a_row + 1 } else { 0 };
        if in_a_row > 3 {
            in_a_row = 0;
            return None;
        }
        fault
    };
    faults.into_iter().map(thin).collect()
}
