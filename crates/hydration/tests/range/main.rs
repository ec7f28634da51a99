//! For any history of a shard, any range and any script of faults: what is delivered is what the range still holds,
//! the status is the model's, no call exceeds a cap, and it ends.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod case;
mod retries;

use case::{Case, cases, faults};
use hydration::test_support::{InjectedFault, SimulatedAws, sequence_numbers, settings};
use hydration::verdict::Status;
use hydration::walk::max_page_records;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_records_that_the_range_still_holds_are_delivered(case in cases()) {
        let (aws, result, stats) = case.run(&settings());
        let hydrated = result.map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
        let bodies = aws.bodies();
        let delivered: Vec<String> = bodies.iter().flat_map(sequence_numbers).collect();
        prop_assert_eq!(&delivered, &case.left());
        prop_assert_eq!(hydrated.verdict.status, case.status());
        prop_assert_eq!(hydrated.recovered_records, delivered.len() as u64);
        let last = bodies.last().unwrap();
        prop_assert_eq!(last["hydration"]["status"].as_str(), Some(case.status().as_str()));
        prop_assert_eq!(last["hydration"].get("reason").is_none(), case.status() == Status::Complete);

        let calls = aws.calls.borrow();
        let cap = max_page_records(case.shard.source);
        prop_assert!(calls.limits.iter().all(|limit| (1..=cap).contains(limit)), "{:?}", calls.limits);
        prop_assert_eq!((calls.iterators, calls.pages), (stats.iterators, stats.read_calls));
        prop_assert!(calls.pages < 500, "{} pages", calls.pages);
        prop_assert!(calls.gaps.iter().all(|gap| *gap >= 125), "reads too close: {:?}", calls.gaps);
        prop_assert!(aws.clock.now_millis() - case.now <= 15 * 60 * 1000, "past the deadline");
    }

    #[test]
    fn an_exact_batch_is_read_with_the_fewest_calls_and_not_one_record_too_many(case in cases()) {
        let size = (case.end - case.start + 1) as u64;
        let mut case = Case { batch_size: Some(size), faults: vec![], ..case };
        case.shard.trimmed = 0;
        case.shard.exists = true;
        let (aws, result, _) = case.run(&settings());
        prop_assert_eq!(result.unwrap().verdict.status, Status::Complete);
        let calls = aws.calls.borrow();
        prop_assert_eq!(calls.furthest, case.end + 1);
        prop_assert_eq!(calls.iterators, 1);
        prop_assert_eq!(u64::from(calls.pages), size.div_ceil(case.shard.page_cap as u64));
        prop_assert!(calls.gaps.iter().all(|gap| *gap >= 500), "reads too close: {:?}", calls.gaps);
    }

    #[test]
    fn every_hydration_ends_and_its_verdict_is_true(
        case in cases(),
        faults in prop::collection::vec(prop_oneof![
            faults(), Just(Some(InjectedFault::AccessDenied)), Just(Some(InjectedFault::Throttled))
        ], 0..200),
    ) {
        let case = Case { faults, ..case };
        let (aws, result, _) = case.run(&settings());
        let delivered: Vec<String> = aws.bodies().iter().flat_map(sequence_numbers).collect();
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
        prop_assert!(aws.clock.now_millis() - case.now <= 15 * 60 * 1000, "past the deadline");
    }

    #[test]
    fn the_same_failure_twice_is_the_same_message(case in cases()) {
        let (first, second) = (case.run(&settings()).0, case.run(&settings()).0);
        let messages = |aws: &SimulatedAws| -> Vec<(Vec<hydration::message::MessageAttribute>, usize)> {
            aws.outbox.queue.borrow().iter().map(|message| (message.attributes.clone(), message.body.len())).collect()
        };
        prop_assert_eq!(messages(&first), messages(&second));
        let names = |aws: &SimulatedAws| aws.outbox.queue.borrow()[0].attributes[0].clone();
        prop_assert_eq!(names(&first), names(&second));
    }
}
