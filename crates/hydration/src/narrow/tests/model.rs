//! A model of how Lambda forms batches: it filters, gives each key to a lane, and cuts each lane into batches. What is
//! said of a record is compared with the batch that was cut.

use std::collections::HashSet;
use std::ops::Range;

use proptest::prelude::*;

use super::super::candidates::RangeRecord;
use super::super::{InBatch, Narrowed, Question};
use crate::filter::Answer;
use crate::sequence_number::SequenceNumber;

/// A record of the shard.
#[derive(Debug, Clone)]
struct Record {
    number: u64,
    key: usize,
    passes: bool,
    /// The answer of the filters is known to the tool.
    is_known: bool,
}

impl Record {
    fn candidate(&self, are_keys_known: bool) -> RangeRecord {
        let answer = match (self.is_known, self.passes) {
            (false, _) => Answer::Unknown,
            (true, true) => Answer::Passes,
            (true, false) => Answer::Fails,
        };
        let key = are_keys_known.then(|| format!("key-{}", self.key));
        RangeRecord { number: SequenceNumber::parse(&self.number.to_string()).unwrap(), key, answer }
    }
}

/// A shard, how Lambda read it, and the batch that failed.
#[derive(Debug, Clone)]
struct History {
    records: Vec<Record>,
    has_lanes: bool,
    /// The places of the records that the failed batch held.
    batch: Vec<usize>,
    /// Number of records of the batch's lane from its first to its last, with those that the filters stopped.
    unfiltered_size: u64,
    /// Some records share a sequence number, as the user records of an aggregate do.
    is_aggregated: bool,
}

impl History {
    fn range(&self) -> [SequenceNumber; 2] {
        [self.batch[0], self.batch[self.batch.len() - 1]]
            .map(|place| SequenceNumber::parse(&self.records[place].number.to_string()).unwrap())
    }

    /// The places of the records between the ends, as a walk reads them.
    fn superset(&self) -> Range<usize> {
        let number = |place: usize| self.records[place].number;
        let (first, last) = (number(self.batch[0]), number(self.batch[self.batch.len() - 1]));
        let places: Vec<usize> =
            (0..self.records.len()).filter(|place| (first..=last).contains(&number(*place))).collect();
        places[0]..places[places.len() - 1] + 1
    }

    fn narrow(&self, places: Range<usize>, size: Option<u64>) -> Narrowed {
        let is_whole = places == self.superset();
        let are_keys_known = !self.is_aggregated;
        let candidates: Vec<RangeRecord> =
            self.records[places].iter().map(|record| record.candidate(are_keys_known)).collect();
        let [start, end] = self.range();
        let question = Question {
            candidates: &candidates,
            ends: [&start, &end],
            size: size.filter(|_| is_whole),
            has_lanes: self.has_lanes,
            is_whole,
            may_be_cut: !is_whole && self.is_aggregated,
        };
        question.answer()
    }
}

prop_compose! {
    fn history(lanes: f64, aggregates: f64, unknown: f64)(
        has_lanes in prop::bool::weighted(lanes),
        has_filters in any::<bool>(),
        is_aggregated in prop::bool::weighted(aggregates),
        lane_of_key in prop::collection::vec(0_usize..2, 6),
        drawn in prop::collection::vec((0_usize..6, prop::bool::weighted(0.7), prop::bool::weighted(1.0 - unknown), 0_u64..3), 1..30),
        size in 1_usize..12,
        pick in any::<prop::sample::Index>(),
        cut in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
    ) -> History {
        let mut number = 100;
        // The first record passes, so that there is a batch.
        let records: Vec<Record> = drawn.into_iter().enumerate().map(|(place, (key, passes, is_known, step))| {
            number += if is_aggregated { step } else { step + 1 };
            Record { number, key, passes: passes || !has_filters || place == 0, is_known: is_known || !has_filters }
        }).collect();
        let lane = |record: &Record| if has_lanes { lane_of_key[record.key] } else { 0 };
        let batches: Vec<Vec<usize>> = (0..4).flat_map(|of| {
            let places: Vec<usize> =
                (0..records.len()).filter(|place| records[*place].passes && lane(&records[*place]) == of).collect();
            places.chunks(size).map(<[usize]>::to_vec).collect::<Vec<_>>()
        }).collect();
        // What is reported may be less than what was invoked: bisecting and partial answers leave a stretch of it.
        let mut batch = batches[pick.index(batches.len())].clone();
        let (left, right) = (cut.0.index(batch.len()), cut.1.index(batch.len()));
        batch = batch[left.min(right)..=left.max(right)].to_vec();
        let of = lane(&records[batch[0]]);
        let between = &records[batch[0]..=batch[batch.len() - 1]];
        let unfiltered_size = between.iter().filter(|record| lane(record) == of).count() as u64;
        History { records, has_lanes, batch, unfiltered_size, is_aggregated }
    }
}

/// The promises that hold whatever is known.
fn check(history: &History, places: Range<usize>, size: Option<u64>) -> Result<Narrowed, TestCaseError> {
    let narrowed = history.narrow(places.clone(), size);
    let batch: HashSet<usize> = history.batch.iter().copied().collect();
    prop_assert_eq!(narrowed.records.len(), places.len());
    for (place, in_batch) in places.zip(&narrowed.records) {
        match in_batch {
            InBatch::Certain => prop_assert!(batch.contains(&place), "{} was not in the batch", place),
            InBatch::Excluded => prop_assert!(!batch.contains(&place), "{} was in the batch", place),
            InBatch::Possible => {}
        }
    }
    prop_assert_eq!(narrowed.contradiction, None);
    Ok(narrowed)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_certain_was_in_the_batch_and_what_is_excluded_was_not(history in history(0.6, 0.2, 0.1)) {
        let narrowed = check(&history, history.superset(), Some(history.batch.len() as u64))?;
        if narrowed.is_exact {
            prop_assert_eq!(narrowed.count(InBatch::Certain), history.batch.len());
        }
        if !history.has_lanes && !history.is_aggregated && history.records.iter().all(|record| record.is_known) {
            prop_assert!(narrowed.is_exact, "filters that are all known leave nothing open");
        }
    }

    #[test]
    fn the_same_holds_without_a_size_and_for_a_part(history in history(0.6, 0.2, 0.1), cut in any::<prop::sample::Index>()) {
        let superset = history.superset();
        let whole = check(&history, superset.clone(), None)?;
        prop_assert!(!whole.is_exact);
        let middle = superset.start + cut.index(superset.len());
        for part in [superset.start..middle, middle..superset.end] {
            let narrowed = check(&history, part.clone(), Some(history.batch.len() as u64))?;
            prop_assert!(part == superset || !narrowed.is_exact);
        }
    }

    #[test]
    fn nothing_of_the_batch_is_excluded_if_the_size_counts_what_the_filters_stopped(history in history(1.0, 0.0, 0.0)) {
        let narrowed = history.narrow(history.superset(), Some(history.unfiltered_size));
        for (place, in_batch) in history.superset().zip(&narrowed.records) {
            prop_assert!(*in_batch != InBatch::Excluded || !history.batch.contains(&place), "{}", place);
        }
    }

    #[test]
    fn filters_that_stop_a_record_of_the_batch_are_noticed(
        history in history(0.0, 0.0, 0.0), wrong in any::<prop::sample::Index>(),
    ) {
        let mut changed = history.clone();
        let place = history.batch[wrong.index(history.batch.len())];
        changed.records[place].passes = false;
        let narrowed = changed.narrow(changed.superset(), Some(history.batch.len() as u64));
        prop_assert!(narrowed.contradiction.is_some());
        prop_assert_eq!(narrowed.count(InBatch::Excluded), 0);
    }
}
