//! For any stream that is resharded while records arrive, any time range, and any points at which the rescue is killed:
//! every record of the range is in one batch, in order, and no other record is.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod faults;
mod model;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use faults::faults;
use hydration::arn::{Source, StreamArn};
use hydration::filter::Filters;
use hydration::ports::{StreamReader, StreamShard};
use hydration::rescue::{Lineage, RescuePlan, RescuedBatch, ResumePoint, ShardEnd, ShardRescue, TimeRange};
use hydration::test_support::{
    DYNAMODB_STREAM_ARN, KINESIS_STREAM_ARN, START_MILLIS, SimulatedAws, count_history, histories_to_run,
    kinesis_record, now_or_never, sequence_numbers, settings,
};
use hydration::timestamp::Timestamp;
use model::{CallFault, Step, Stream};
use proptest::prelude::*;
use proptest::sample::Index;

const FUNCTION: &str = "arn:aws:lambda:us-east-1:123456789012:function:orders";

fn config(histories: u32) -> ProptestConfig {
    let cases = histories_to_run(histories);
    ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 10_000, ..ProptestConfig::default() }
}

fn plan(source: Source, since: i64, until: i64, batch_size: u64) -> RescuePlan {
    let arn = if source == Source::Kinesis { KINESIS_STREAM_ARN } else { DYNAMODB_STREAM_ARN };
    let stream = StreamArn::parse(arn).unwrap();
    RescuePlan {
        filters: Filters::new(&stream, []),
        stream,
        function_arn: FUNCTION.to_owned(),
        range: TimeRange { since: Timestamp::from_millis(since), until: Timestamp::from_millis(until) },
        batch_size,
        retention: Duration::from_secs(24 * 60 * 60),
    }
}

/// State that is kept between two runs.
#[derive(Default)]
struct Kept {
    ends: HashMap<String, ShardEnd>,
    points: HashMap<String, ResumePoint>,
    /// Every batch that was delivered, in order.
    delivered: Vec<RescuedBatch>,
    may_have_gap: bool,
}

/// A point at which a run is killed: before a delivery, or after it and before it is written down.
#[derive(Debug, Clone, Copy)]
enum Kill {
    Before(usize),
    After(usize),
}

/// Runs until the end, or until it is killed; `true` at the end.
fn run(stream: &Stream, plan: &RescuePlan, kept: &mut Kept, kill: Option<Kill>) -> bool {
    let shards = now_or_never(stream.shards(&plan.stream, plan.range.since)).unwrap();
    let (mut lineage, mut batches) = (Lineage::new(shards), 0);
    while let Some(StreamShard { id, .. }) = lineage.next_shard() {
        if let Some(end) = kept.ends.get(&id) {
            lineage.ended(&id, *end);
            continue;
        }
        let mut rescue = ShardRescue::new(plan, &id, kept.points.get(&id).cloned());
        while let Some(batch) = now_or_never(rescue.next_batch(&stream, &stream.clock)).unwrap() {
            if matches!(kill, Some(Kill::Before(at)) if at == batches) {
                return false;
            }
            kept.delivered.push(batch.clone());
            if matches!(kill, Some(Kill::After(at)) if at == batches) {
                return false;
            }
            kept.points.insert(id.clone(), ResumePoint { end: batch.end, arrival: batch.last_arrival });
            batches += 1;
        }
        kept.may_have_gap |= rescue.may_have_gap();
        let end = rescue.end().unwrap();
        kept.ends.insert(id.clone(), end);
        lineage.ended(&id, end);
    }
    true
}

impl Kept {
    /// The batches by their ids, in the order of their first delivery. A batch that was delivered twice is the same.
    fn batches(&self) -> Vec<&RescuedBatch> {
        let mut known: HashMap<String, &RescuedBatch> = HashMap::new();
        let mut batches = Vec::new();
        for batch in &self.delivered {
            match known.insert(batch.record.batch.id(), batch) {
                None => batches.push(batch),
                Some(earlier) => assert_eq!(earlier.record.payload, batch.record.payload),
            }
        }
        batches
    }

    fn records(&self) -> Vec<(String, u64)> {
        let numbers = |batch: &&RescuedBatch| {
            let payload: serde_json::Value = serde_json::from_str(batch.record.payload.as_ref().unwrap()).unwrap();
            let shard = batch.record.batch.shard_id.clone();
            let numbers = sequence_numbers(&payload);
            numbers.into_iter().map(move |number| (shard.clone(), number.parse().unwrap())).collect::<Vec<_>>()
        };
        self.batches().iter().flat_map(numbers).collect()
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => (any::<usize>(), 0_i64..40_000, -20_000_i64..20_000).prop_map(|(shard, millis, error)| {
            Step::Put { shard, millis, error }
        }),
        1 => any::<usize>().prop_map(|shard| Step::Split { shard }),
        1 => (any::<usize>(), any::<usize>()).prop_map(|(one, other)| Step::Merge { one, other }),
    ];
    prop::collection::vec(step, 0..120)
}

proptest! {
    #![proptest_config(config(1000))]

    #[test]
    fn every_record_of_the_time_range_is_rescued_once_and_in_order(
        source in prop_oneof![Just(Source::Kinesis), Just(Source::DynamoDb)],
        steps in steps(),
        ends in (any::<Index>(), any::<Index>()),
        (batch_size, page_cap) in (1_u64..12, 1_usize..20),
        faults in faults(),
        kills in prop::collection::vec((any::<bool>(), 0_usize..6), 0..4),
    ) {
        let stream = Stream { page_cap, ..Stream::new(source, START_MILLIS, &steps) };
        let is_refused = faults.contains(&Some(CallFault::RefusedPosition));
        *stream.faults.borrow_mut() = faults.into();
        let length = usize::try_from(stream.clock.now_millis() - START_MILLIS).unwrap();
        let (one, other) = (ends.0.index(length) as i64, ends.1.index(length) as i64);
        let (since, until) = (START_MILLIS + one.min(other), START_MILLIS + one.max(other) + 1);
        let plan = plan(source, since, until, batch_size);

        let mut kept = Kept::default();
        for (before, at) in kills {
            run(&stream, &plan, &mut kept, Some(if before { Kill::Before(at) } else { Kill::After(at) }));
        }
        prop_assert!(run(&stream, &plan, &mut kept, None));

        let mut rescued: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for (shard, number) in kept.records() {
            rescued.entry(shard).or_default().push(number);
        }
        let mut expected: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for shard in &stream.shards {
            for (number, arrival) in &shard.records {
                if (since..until).contains(&stream.arrival(*arrival)) {
                    expected.entry(shard.shard.id.clone()).or_default().push(*number);
                }
            }
        }
        prop_assert_eq!(&rescued, &expected);
        prop_assert!(is_refused || !kept.may_have_gap);

        // A parent's batches come before its children's, and no batch is too long.
        let order: Vec<&str> = kept.batches().iter().map(|batch| batch.record.batch.shard_id.as_str()).collect();
        for shard in &stream.shards {
            let first = order.iter().position(|id| *id == shard.shard.id).unwrap_or(usize::MAX);
            for parent in &shard.shard.parents {
                let last = order.iter().rposition(|id| id == parent);
                prop_assert!(last.is_none_or(|last| last < first), "{} after {}", parent, shard.shard.id);
            }
        }
        prop_assert!(kept.delivered.iter().all(|batch| (1..=batch_size).contains(&batch.records)));

        // The same rescue without an interruption has the same batches.
        let mut undisturbed = Kept::default();
        stream.faults.borrow_mut().clear();
        prop_assert!(run(&stream, &plan, &mut undisturbed, None));
        let ids = |kept: &Kept| kept.batches().iter().map(|batch| batch.record.batch.id()).collect::<Vec<_>>();
        prop_assert_eq!(ids(&kept), ids(&undisturbed));
        count_history();
    }
}

fn put(millis: i64) -> Step {
    Step::Put { shard: 0, millis, error: 0 }
}

#[test]
fn a_rescued_batch_is_hydrated_from_its_payload_and_reads_nothing() {
    let stream = Stream::new(Source::Kinesis, START_MILLIS, &[put(1_500), put(1_000), put(1_000)]);
    let mut kept = Kept::default();
    run(&stream, &plan(Source::Kinesis, START_MILLIS, START_MILLIS + 3_000, 100), &mut kept, None);
    let [batch] = kept.delivered.as_slice() else { panic!("{} batches", kept.delivered.len()) };
    let fields: serde_json::Value =
        serde_json::to_value(batch.record.fields.iter().collect::<HashMap<_, _>>()).unwrap();
    assert_eq!(
        fields,
        serde_json::json!({
            "requestContext": {"functionArn": FUNCTION, "condition": "Rescued"},
            "version": "1.0",
            "timestamp": batch.record.batch.timestamp.unwrap().rfc3339(),
            "KinesisBatchInfo": {
                "shardId": "shardId-000000000000",
                "startSequenceNumber": "1007",
                "endSequenceNumber": "1014",
                "approximateArrivalOfFirstRecord": "2026-11-21T00:00:01.500Z",
                "approximateArrivalOfLastRecord": "2026-11-21T00:00:02.500Z",
                "batchSize": 2,
                "streamArn": KINESIS_STREAM_ARN
            }
        })
    );

    let aws = SimulatedAws::empty(Source::Kinesis);
    let hydrator = hydration::hydrator::Hydrator::new(&aws, &aws, aws.clock.clone(), settings());
    let message = hydration::incoming::IncomingMessage::FailedBatch(Box::new(batch.record.clone()));
    now_or_never(hydrator.hydrate(&message, aws.deadline(60_000), &mut Default::default())).unwrap();
    let bodies = aws.bodies();
    assert_eq!(sequence_numbers(&bodies[0]), ["1007", "1014"]);
    assert_eq!(bodies[0]["hydration"]["status"], "Complete");
    assert_eq!(bodies[0]["hydration"]["origin"], "payload");
    assert!(bodies[0]["hydration"].get("object").is_none());
    assert_eq!(aws.calls.borrow().pages, 0);
}

#[test]
fn a_batch_is_no_larger_than_an_event() {
    let records: Vec<_> = (1..=5).map(|number| kinesis_record(number, vec![b'x'; 2_000_000])).collect();
    let aws = SimulatedAws::with_records(records, START_MILLIS);
    let plan = plan(Source::Kinesis, START_MILLIS, START_MILLIS + 1, 100);
    let mut rescue = ShardRescue::new(&plan, "shardId-0", None);
    let mut sizes = Vec::new();
    while let Some(batch) = now_or_never(rescue.next_batch(&&aws, &aws.clock)).unwrap() {
        assert!(batch.record.payload.unwrap().len() <= 6_000_000);
        sizes.push(batch.records);
    }
    assert_eq!(sizes, [2, 2, 1]);
}

#[test]
fn records_that_certainly_fail_the_filters_are_left_out() {
    let records = vec![
        kinesis_record(1, r#"{"kind":"order"}"#),
        kinesis_record(2, r#"{"kind":"test"}"#),
        kinesis_record(3, r#"{"kind":"order"}"#),
    ];
    let aws = SimulatedAws::with_records(records, START_MILLIS);
    let plain = plan(Source::Kinesis, START_MILLIS, START_MILLIS + 1, 2);
    let numbers = |filters: Filters| {
        let plan = RescuePlan { filters, ..plain.clone() };
        let mut rescue = ShardRescue::new(&plan, "shardId-0", None);
        let mut numbers = Vec::new();
        while let Some(batch) = now_or_never(rescue.next_batch(&&aws, &aws.clock)).unwrap() {
            let payload = serde_json::from_str(&batch.record.payload.unwrap()).unwrap();
            numbers.push(sequence_numbers(&payload));
        }
        (numbers, rescue.filtered())
    };
    let filters = Filters::new(&plain.stream, [r#"{"data":{"kind":["order"]}}"#]);
    assert_eq!(numbers(filters), (vec![vec!["1".to_owned(), "3".to_owned()]], 1));
    let (all, filtered) = numbers(Filters::hidden(&plain.stream));
    assert_eq!((all.concat().len(), filtered), (3, 0));
}

#[test]
fn records_that_are_trimmed_while_the_shard_is_read_are_noticed() {
    let steps: Vec<Step> = (0..10).map(|_| put(1_000)).collect();
    let stream = Stream { page_cap: 3, ..Stream::new(Source::Kinesis, START_MILLIS, &steps) };
    let plan = plan(Source::Kinesis, START_MILLIS, START_MILLIS + 20_000, 3);
    let mut rescue = ShardRescue::new(&plan, "shardId-000000000000", None);
    let batch = now_or_never(rescue.next_batch(&&stream, &stream.clock)).unwrap().unwrap();
    assert!(!rescue.may_have_gap());
    stream.clock.advance(Duration::from_secs(24 * 60 * 60));
    stream.trimmed.set(6);
    now_or_never(rescue.next_batch(&&stream, &stream.clock)).unwrap().unwrap();
    assert!(rescue.may_have_gap());

    let resume = ResumePoint { end: batch.end, arrival: batch.last_arrival };
    let mut resumed = ShardRescue::new(&plan, "shardId-000000000000", Some(resume));
    now_or_never(resumed.next_batch(&&stream, &stream.clock)).unwrap().unwrap();
    assert!(resumed.may_have_gap());
}

#[test]
fn records_that_are_trimmed_before_the_shard_s_turn_are_noticed() {
    let steps: Vec<Step> = (0..10).map(|_| put(1_000)).collect();
    let plan = plan(Source::Kinesis, START_MILLIS, START_MILLIS + 20_000, 3);
    for (is_late, trimmed) in [(false, 0), (true, 6), (true, 10)] {
        let stream = Stream::new(Source::Kinesis, START_MILLIS, &steps);
        if is_late {
            stream.clock.advance(Duration::from_secs(24 * 60 * 60));
            stream.trimmed.set(trimmed);
        }
        let mut rescue = ShardRescue::new(&plan, "shardId-000000000000", None);
        while now_or_never(rescue.next_batch(&&stream, &stream.clock)).unwrap().is_some() {}
        assert_eq!(rescue.may_have_gap(), is_late);
    }
}

#[test]
fn a_shard_that_is_gone_ends_the_rescue_of_it() {
    let stream = Stream::new(Source::Kinesis, START_MILLIS, &[]);
    let plan = plan(Source::Kinesis, START_MILLIS, START_MILLIS + 1, 3);
    let mut rescue = ShardRescue::new(&plan, "shardId-000000000009", None);
    assert!(now_or_never(rescue.next_batch(&&stream, &stream.clock)).unwrap().is_none());
    assert_eq!(rescue.end(), Some(ShardEnd::Gone));
}

#[test]
fn shards_after_the_range_are_not_read() {
    let steps = [put(1_000), put(200_000), Step::Split { shard: 0 }, put(1_000), put(1_000)];
    let stream = Stream::new(Source::Kinesis, START_MILLIS, &steps);
    let mut kept = Kept::default();
    run(&stream, &plan(Source::Kinesis, START_MILLIS, START_MILLIS + 2_000, 3), &mut kept, None);
    assert_eq!(kept.records().len(), 1);
    let reads = stream.reads.borrow();
    assert!(
        reads.iter().all(|id| ["shardId-000000000000", "shardId-000000000001"].contains(&id.as_str())),
        "{reads:?}"
    );
}
