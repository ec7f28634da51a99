//! Kinesis trims records while they are read, and returns no error.

use hydration::timestamp::Timestamp;
use hydration::verdict::Status;

use crate::Reply::{Accepted, Iterator, LastPage, Page, Rejected};
use crate::reading::*;
use crate::*;

/// Records that arrived a number of milliseconds before the test.
fn aged(numbers: &[u64], age: i64) -> Vec<StreamRecord> {
    let arrived = |record| match record {
        StreamRecord::Kinesis(record) => {
            let approximate_arrival = Some(Timestamp::from_millis(START_MILLIS - age));
            StreamRecord::Kinesis(KinesisRecord { approximate_arrival, ..record })
        }
        other => other,
    };
    kinesis(numbers).into_iter().map(arrived).collect()
}

fn old(numbers: &[u64]) -> Reply {
    Page(aged(numbers, OLD), Some(1))
}

#[test]
fn a_record_that_may_be_trimmed_is_read_again_with_those_after_it() {
    let script = [Iterator, old(&[10, 11]), Iterator, old(&[11, 12]), Accepted];
    let (log, result) = read(&failed(STREAM, OLD), &script);
    assert_eq!(log, ["iterator at 10", "page of 3", "iterator at 11", "wait 500", "page of 2"]);
    assert_eq!(result, found(Status::Complete, &["10", "11", "12"]));
}

/// Without `batchSize` nothing else shows that a record is missing.
#[test]
fn records_trimmed_between_two_pages_are_missing_and_the_range_is_not_complete() {
    for batch_size in [Some(3), Some(2), None] {
        let mut record = failed(STREAM, OLD);
        match batch_size {
            Some(size) => record["KinesisBatchInfo"]["batchSize"] = json!(size),
            None => drop(record["KinesisBatchInfo"].as_object_mut().unwrap().remove("batchSize")),
        }
        for script in [
            // Kinesis goes on with the oldest record that is left, or rejects the position.
            vec![Iterator, old(&[10]), Iterator, old(&[12]), Accepted],
            vec![Iterator, old(&[10]), Rejected(Rejection::InvalidArgument), Iterator, old(&[12]), Accepted],
        ] {
            assert_eq!(read(&record, &script).1, found(Status::Partial, &["10", "12"]), "{batch_size:?} {script:?}");
        }
    }
}

#[test]
fn young_records_are_read_once() {
    for age in [YOUNG, 24 * HOUR - 2 * MINUTE] {
        let page = |numbers: &[u64]| Page(aged(numbers, age), Some(1));
        let script = [Iterator, page(&[10]), page(&[11, 12]), Accepted];
        let (log, result) = read(&failed(STREAM, age), &script);
        assert_eq!(log, ["iterator at 10", "page of 3", "wait 500", "page of 2"]);
        assert_eq!(result, found(Status::Complete, &["10", "11", "12"]));
    }
}

#[test]
fn an_iterator_of_old_records_that_expires_is_renewed_at_the_last_record() {
    let expired = Rejected(Rejection::ExpiredIterator);
    let script = [Iterator, old(&[10, 11]), Iterator, expired, Iterator, old(&[11, 12]), Accepted];
    let (log, result) = read(&failed(STREAM, OLD), &script);
    assert_eq!(log.iter().filter(|call| *call == "iterator at 11").count(), 2);
    assert_eq!(result, found(Status::Complete, &["10", "11", "12"]));
}

/// A page that holds only the record that is read again: the next one cannot be compared with it, and the walk ends with
/// a check.
#[test]
fn pages_of_one_record_are_checked_after_they_were_read() {
    let until_end = [
        Iterator,
        old(&[10]),
        Iterator,
        old(&[10]),
        old(&[11]),
        // Number 10 is still there: nothing is missing before 11.
        Iterator,
        old(&[10]),
        old(&[11]),
        old(&[12]),
        Iterator,
    ];
    let asked = [
        "iterator at 10",
        "page of 3",
        "iterator at 10",
        "wait 500",
        "page of 3",
        "wait 500",
        "page of 2",
        "iterator at 10",
        "wait 500",
        "page of 2",
        "wait 500",
        "page of 1",
        "wait 500",
        "page of 1",
        "iterator at 11",
        "wait 500",
        "page of 1",
    ];
    for (last, status) in [(old(&[11]), Status::Complete), (old(&[12]), Status::Partial)] {
        let script = [&until_end[..], &[last, Accepted]].concat();
        let (log, result) = read(&failed(STREAM, OLD), &script);
        assert_eq!((log, result), (steps(&asked), found(status, &["10", "11", "12"])));
    }
}

/// The last check cannot be made: what was read is delivered, and is not called complete.
#[test]
fn a_range_that_cannot_be_checked_is_partial() {
    let read_to_the_end = [Iterator, old(&[10]), Iterator, old(&[10]), old(&[11, 12])];
    let gone = || Rejected(Rejection::NotFound);
    let refused = || Rejected(Rejection::InvalidArgument);
    for unchecked in [vec![gone()], vec![refused(), refused()], vec![Iterator, LastPage(vec![])]] {
        let script = [&read_to_the_end[..], &unchecked, &[Accepted]].concat();
        assert_eq!(read(&failed(STREAM, OLD), &script).1, found(Status::Partial, &["10", "11", "12"]), "{script:?}");
    }
}

/// An iterator at a trimmed record returns empty pages. The rest of the range is looked for by time.
#[test]
fn silence_in_the_middle_of_a_range_is_looked_behind() {
    let silent = || Page(vec![], DAY_BEHIND);
    let script = [Iterator, old(&[10]), Iterator, silent(), silent(), Iterator, old(&[12]), Accepted];
    let (log, result) = read(&failed(STREAM, OLD), &script);
    assert_eq!(log.last().unwrap(), "page of 3");
    assert_eq!(log.iter().filter(|call| *call == "iterator from 1500 min ago").count(), 1);
    assert_eq!(result, found(Status::Partial, &["10", "12"]));
}
