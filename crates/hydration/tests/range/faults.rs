//! The faults of a case, and the bound up to which a hydration survives them.

use hydration::arn::Source;
use hydration::test_support::{InjectedFault, SimulatedShard, TrimmedStart};
use proptest::prelude::*;

/// Calls in a row that fail or return nothing. Each call is tried six times, and a position is given up after five
/// empty pages.
const MAX_FAULTS_IN_A_ROW: usize = 3;
/// Iterators that are lost. The walk accepts five rejections in a row. A trimmed start and records that are trimmed
/// while the walk is under way are rejections, too.
const MAX_LOST_ITERATORS: usize = 3;
const MAX_TRIMS: usize = 1;

/// Returns true if a hydration survives these faults and trims, whatever calls they meet. This is the one place that
/// says so: the generator stays within it, and the properties demand success within it.
pub fn is_survived(shard: &SimulatedShard, faults: &[Option<InjectedFault>], trims: &[usize]) -> bool {
    let lost = |fault: &&Option<InjectedFault>| **fault == Some(InjectedFault::ExpiredIterator);
    let has_fatal = faults.contains(&Some(InjectedFault::AccessDenied));
    let in_a_row = faults.split(Option::is_none).map(<[_]>::len).max().unwrap_or(0);
    let trims = trims.iter().filter(|trim| **trim > 0).count();
    !has_fatal
        && in_a_row <= MAX_FAULTS_IN_A_ROW
        && faults.iter().filter(lost).count() <= MAX_LOST_ITERATORS
        && trims <= MAX_TRIMS
        && (trims == 0 || !is_silent(shard))
}

/// Kinesis returns only empty pages for a trimmed position. If it trims again where the walk looks next, the walk gives
/// up: it cannot tell this from a shard without records.
pub fn is_silent(shard: &SimulatedShard) -> bool {
    shard.source == Source::Kinesis && shard.trimmed_start == TrimmedStart::Silence
}

pub fn faults() -> impl Strategy<Value = Option<InjectedFault>> {
    prop_oneof![
        6 => Just(None),
        2 => Just(Some(InjectedFault::EmptyPage)),
        1 => Just(Some(InjectedFault::Throttled)),
        1 => Just(Some(InjectedFault::Unavailable)),
        1 => Just(Some(InjectedFault::ExpiredIterator)),
        1 => Just(Some(InjectedFault::LostReply)),
    ]
}

/// The records to trim before each call.
pub fn trims() -> impl Strategy<Value = Vec<usize>> {
    let one = prop_oneof![6 => Just(0_usize), 1 => 1..20_usize];
    prop_oneof![2 => Just(vec![]), 1 => prop::collection::vec(one, 0..20)]
}

/// The faults and trims, without those that a hydration does not survive.
pub fn only_survived(
    shard: &SimulatedShard,
    faults: &[Option<InjectedFault>],
    trims: &[usize],
) -> (Vec<Option<InjectedFault>>, Vec<usize>) {
    let (mut kept_faults, mut kept_trims) = (vec![], vec![]);
    for fault in faults {
        kept_faults.push(*fault);
        if !is_survived(shard, &kept_faults, &[]) {
            kept_faults.pop();
            kept_faults.push(None);
        }
    }
    for trim in trims {
        kept_trims.push(*trim);
        if !is_survived(shard, &kept_faults, &kept_trims) {
            kept_trims.pop();
            kept_trims.push(0);
        }
    }
    (kept_faults, kept_trims)
}
