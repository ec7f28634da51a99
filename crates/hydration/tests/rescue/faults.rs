//! The faults of a stream's calls, and the bound up to which a rescue survives them.

use proptest::prelude::*;

use crate::model::CallFault;

/// Calls in a row that fail or return nothing. Each call is tried six times, and a position is given up after five
/// empty pages.
const MAX_FAULTS_IN_A_ROW: usize = 4;
/// Iterators that are lost between two pages. The rescue accepts five rejections in a row, and a trimmed start is one,
/// too.
const MAX_LOST_ITERATORS: usize = 4;

/// Faults that every rescue survives, whatever calls they meet.
pub fn faults() -> impl Strategy<Value = Vec<Option<CallFault>>> {
    let fault = prop_oneof![
        6 => Just(None),
        1 => Just(Some(CallFault::EmptyPage)),
        1 => Just(Some(CallFault::ExpiredIterator)),
        1 => Just(Some(CallFault::Throttled)),
        1 => Just(Some(CallFault::RefusedPosition)),
    ];
    prop::collection::vec(fault, 0..40).prop_map(only_survived)
}

fn only_survived(mut faults: Vec<Option<CallFault>>) -> Vec<Option<CallFault>> {
    let (mut in_a_row, mut lost) = (0, 0);
    for index in 0..faults.len() {
        let is_lost = matches!(faults[index], Some(CallFault::ExpiredIterator | CallFault::RefusedPosition));
        if in_a_row == MAX_FAULTS_IN_A_ROW || (is_lost && lost == MAX_LOST_ITERATORS) {
            faults[index] = None;
        }
        match faults[index] {
            // Of two calls in a row that succeed, one returns a page.
            None if index > 0 && faults[index - 1].is_none() => lost = 0,
            Some(_) if is_lost => lost += 1,
            _ => {}
        }
        in_a_row = if faults[index].is_some() { in_a_row + 1 } else { 0 };
    }
    faults
}
