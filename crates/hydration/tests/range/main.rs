//! For any history of a shard, any range and any script of faults: what is delivered is what the range still holds,
//! the status is the model's, no call exceeds a cap, and it ends.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod case;
mod faults;
mod retries;

use case::{Case, Run, cases};
use faults::{faults, is_survived, trims};
use hydration::arn::Source;
use hydration::message::MessageAttribute;
use hydration::test_support::{DAY_MILLIS, InjectedFault, SimulatedAws, count_history, histories_to_run, settings};
use hydration::verdict::Status;
use hydration::walk::max_page_records;
use proptest::prelude::*;

fn config(histories: u32) -> ProptestConfig {
    let cases = histories_to_run(histories);
    ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 10_000, ..ProptestConfig::default() }
}

/// A case without faults and trims, read as one message.
fn undisturbed(case: Case) -> Case {
    let mut case = Case { faults: vec![], trims: vec![], settings: settings(), queue_limit: 1_048_576, ..case };
    case.batch_size = Some((case.end - case.start + 1) as u64);
    case.shard.trimmed = 0;
    case.shard.exists = true;
    case.shard.page_bytes = usize::MAX;
    case
}

proptest! {
    #![proptest_config(config(1000))]

    #[test]
    fn the_records_that_the_range_still_holds_are_delivered(case in cases()) {
        prop_assert!(is_survived(&case.shard, &case.faults, &case.trims));
        let run = case.run();
        let Run { aws, result, stats, bodies, .. } = &run;
        let hydrated = result.as_ref().map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
        case.check(&run, hydrated)?;
        let (last, status) = (bodies.last().unwrap(), hydrated.verdict.status);
        prop_assert_eq!(last["hydration"]["status"].as_str(), Some(status.as_str()));
        prop_assert_eq!(last["hydration"].get("reason").is_none(), status == Status::Complete);

        let calls = aws.calls.borrow();
        let cap = max_page_records(case.shard.source);
        prop_assert!(calls.limits.iter().all(|limit| (1..=cap).contains(limit)), "{:?}", calls.limits);
        prop_assert_eq!((calls.iterators, calls.pages), (stats.iterators, stats.read_calls));
        prop_assert!(calls.pages < 500, "{} pages", calls.pages);
        prop_assert!(calls.gaps.iter().all(|gap| *gap >= 125), "reads too close: {:?}", calls.gaps);
        prop_assert!(aws.clock.now_millis() - case.now <= 15 * 60 * 1000, "past the deadline");
        count_history();
    }

    #[test]
    fn an_exact_batch_is_read_with_the_fewest_calls_and_not_one_record_too_many(case in cases()) {
        let mut case = undisturbed(case);
        case.now = case.now.min(case.shard.arrivals[case.end] + 1_000_000);
        let Run { aws, result, .. } = case.run();
        prop_assert_eq!(result.unwrap().verdict.status, Status::Complete);
        let calls = aws.calls.borrow();
        prop_assert_eq!(calls.furthest, case.end + 1);
        prop_assert_eq!(calls.iterators, 1);
        let size = (case.end - case.start + 1) as u64;
        prop_assert_eq!(u64::from(calls.pages), size.div_ceil(case.shard.page_cap as u64));
        prop_assert!(calls.gaps.iter().all(|gap| *gap >= 500), "reads too close: {:?}", calls.gaps);
        count_history();
    }

    #[test]
    fn an_exact_batch_that_may_be_trimmed_costs_one_record_more_a_page(case in cases()) {
        let mut case = undisturbed(case);
        case.now += DAY_MILLIS;
        case.shard.page_cap = case.shard.page_cap.max(2);
        let Run { aws, result, .. } = case.run();
        prop_assert_eq!(result.unwrap().verdict.status, Status::Complete);
        let calls = aws.calls.borrow();
        prop_assert_eq!(calls.furthest, case.end + 1);
        let (size, cap) = (case.end - case.start + 1, case.shard.page_cap);
        // The first page has no record before it, and each other page starts with the last of the one before.
        let pages = match case.shard.source {
            Source::Kinesis => 1 + (size.saturating_sub(cap)).div_ceil(cap - 1),
            Source::DynamoDb => size.div_ceil(cap),
        };
        prop_assert_eq!(calls.pages as usize, pages);
        prop_assert!(calls.iterators <= calls.pages);
        count_history();
    }

    #[test]
    fn every_hydration_ends_and_its_verdict_is_true(
        case in cases(),
        faults in prop::collection::vec(prop_oneof![
            6 => faults(), 1 => Just(Some(InjectedFault::AccessDenied)), 1 => Just(Some(InjectedFault::Throttled))
        ], 0..200),
        trims in trims(),
    ) {
        let case = Case { faults, trims, ..case };
        let run = case.run();
        match &run.result {
            // Nothing but what is left, and the verdict on that.
            Ok(hydrated) => case.check(&run, hydrated)?,
            // A fault that did not pass is an error, and nothing was delivered, or nothing but parts.
            Err(error) => {
                if case.settings.archive {
                    case.check_archive(&run)?;
                }
                prop_assert!(!is_survived(&case.shard, &case.faults, &case.trims), "{error:?}");
                let has_parts = case.settings.max_part_bytes != settings().max_part_bytes;
                let has_lost_reply = case.faults.contains(&Some(InjectedFault::LostReply));
                prop_assert!(run.delivered.is_empty() || has_parts || has_lost_reply);
                prop_assert!(run.delivered.iter().all(|number| case.left().contains(number)));
                let kinds = ["AccessDenied", "Throttled", "ServiceUnavailable", "RangeNotReached"];
                prop_assert!(kinds.contains(&error.kind()), "{error:?}");
            }
        }
        prop_assert!(run.aws.clock.now_millis() - case.now <= 15 * 60 * 1000, "past the deadline");
        count_history();
    }

    #[test]
    fn the_same_failure_twice_is_the_same_message(case in cases()) {
        let (first, second) = (case.run().aws, case.run().aws);
        let messages = |aws: &SimulatedAws| -> Vec<(Vec<MessageAttribute>, usize)> {
            aws.outbox.queue.borrow().iter().map(|message| (message.attributes.clone(), message.body.len())).collect()
        };
        prop_assert_eq!(messages(&first), messages(&second));
        let names =
            |aws: &SimulatedAws| aws.outbox.queue.borrow()[0].attributes[0].clone();
        prop_assert_eq!(names(&first), names(&second));
        count_history();
    }
}
