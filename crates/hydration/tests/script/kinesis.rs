//! Reads of a Kinesis shard.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hydration::verdict::Status;

use crate::Reply::{Accepted, Iterator, Page, Rejected};
use crate::reading::*;
use crate::*;

/// Kinesis, trimmed start, first way: empty pages a whole retention behind the tip, without end.
#[test]
fn after_empty_pages_a_trimmed_start_is_looked_for_by_time() {
    let silence = [Iterator, Page(vec![], DAY_BEHIND), Page(vec![], DAY_BEHIND), Iterator];
    let asked =
        ["iterator at 10", "page of 3", "wait 500", "page of 3", "iterator from 1500 min ago", "wait 500", "page of 3"];

    let script = [&silence[..], &[Page(kinesis(&[11, 12]), Some(1)), Accepted]].concat();
    let (log, result) = read(&failed(STREAM, OLD), &script);
    assert_eq!((log, result), (asked.map(str::to_owned).to_vec(), found(Status::Partial, &["11", "12"])));

    // Records from later on only: nothing of the range is left, and nothing else is delivered.
    let script = [&silence[..], &[Page(kinesis(&[13, 14]), Some(1)), Accepted]].concat();
    let (log, result) = read(&failed(STREAM, OLD), &script);
    assert_eq!((log, result), (asked.map(str::to_owned).to_vec(), found(Status::Expired, &[])));

    // No records at all.
    let script = [&silence[..], &[Page(vec![], DAY_BEHIND), Page(vec![], DAY_BEHIND), Accepted]].concat();
    let (log, result) = read(&failed(STREAM, OLD), &script);
    let longer = [&asked[..], &["wait 500", "page of 3"]].concat();
    assert_eq!(log, longer);
    assert_eq!(result, found(Status::Expired, &[]));
}

/// Second way: the records that are left.
#[test]
fn later_records_after_a_trimmed_start_are_kept_if_they_are_in_the_range() {
    let (log, result) = read(&failed(STREAM, OLD), &[Iterator, Page(kinesis(&[12, 13, 14]), Some(1)), Accepted]);
    assert_eq!(log, ["iterator at 10", "page of 3"]);
    assert_eq!(result, found(Status::Partial, &["12"]));
    let (_, result) = read(&failed(STREAM, OLD), &[Iterator, Page(kinesis(&[13, 14]), Some(1)), Accepted]);
    assert_eq!(result, found(Status::Expired, &[]));
}

/// Third way: the sequence number is refused. It is the same answer as for a stream that was created again.
#[test]
fn a_refused_start_is_looked_for_by_time_and_judged_by_its_age() {
    let refused = [Rejected(Rejection::InvalidArgument), Iterator];
    let asked = |age: i64| vec!["iterator at 10".to_owned(), format!("iterator from {} min ago", age / MINUTE)];
    for age in [YOUNG, OLD] {
        let script = [&refused[..], &[Page(kinesis(&[11, 12]), Some(1)), Accepted]].concat();
        let (log, result) = read(&failed(STREAM, age), &script);
        assert_eq!(log[..2], asked(age));
        assert_eq!(result, found(Status::Partial, &["11", "12"]));
    }
    for (age, status) in [(YOUNG, Status::Gone), (OLD, Status::Expired)] {
        let script = [&refused[..], &[Page(vec![], Some(0)), Page(vec![], Some(0)), Accepted]].concat();
        let (log, result) = read(&failed(STREAM, age), &script);
        assert_eq!(log[..2], asked(age));
        assert_eq!(result, found(status, &[]));
        let (_, result) = read(
            &failed(STREAM, age),
            &[Rejected(Rejection::InvalidArgument), Rejected(Rejection::InvalidArgument), Accepted],
        );
        assert_eq!(result, found(status, &[]));
    }
}

/// Only a refused sequence number tells of a stream that was created again: what a refused time leaves unseen may
/// still be there.
#[test]
fn a_refused_time_does_not_mean_another_stream() {
    let tip = || Page(vec![], Some(0));
    let script = [Iterator, tip(), tip(), Rejected(Rejection::InvalidArgument)];
    assert_eq!(read(&failed(STREAM, YOUNG), &script).1, error("RangeNotReached"));
    let script = [&script[..], &[Accepted]].concat();
    assert_eq!(read(&failed(STREAM, OLD), &script).1, found(Status::Expired, &[]));
}

#[test]
fn without_an_arrival_time_the_range_is_looked_for_from_the_horizon() {
    let mut record = failed(STREAM, OLD);
    record["KinesisBatchInfo"].as_object_mut().unwrap().remove("approximateArrivalOfFirstRecord");
    let script = [Rejected(Rejection::InvalidArgument), Iterator, Page(kinesis(&[9, 12]), Some(1)), Accepted];
    let (log, result) = read(&record, &script);
    assert_eq!(log[1], "iterator at the horizon");
    assert_eq!(result, found(Status::Partial, &["12"]));
}

#[test]
fn empty_pages_that_advance_are_followed_to_the_records() {
    let behind = (1..40).map(|page| Page(vec![], Some((30 * MINUTE) as u64 - page)));
    let script: Vec<Reply> =
        [Iterator].into_iter().chain(behind).chain([Page(kinesis(&[10, 11, 12]), Some(0)), Accepted]).collect();
    let (log, result) = read(&failed(STREAM, YOUNG), &script);
    assert_eq!(log.iter().filter(|call| call.starts_with("iterator")).count(), 1);
    assert_eq!(result, found(Status::Complete, &["10", "11", "12"]));
}

#[test]
fn an_iterator_that_does_not_advance_is_replaced_once() {
    let stuck = || vec![Page(vec![], Some((30 * MINUTE) as u64)); 6];
    let script = [&[Iterator][..], &stuck(), &[Iterator, Page(kinesis(&[10, 11, 12]), Some(0)), Accepted]].concat();
    let (log, result) = read(&failed(STREAM, YOUNG), &script);
    assert_eq!(
        log.iter().filter(|call| call.starts_with("iterator")).collect::<Vec<_>>(),
        ["iterator at 10", "iterator from 30 min ago"]
    );
    assert_eq!(result, found(Status::Complete, &["10", "11", "12"]));

    let script = [&[Iterator][..], &stuck(), &[Iterator], &stuck()].concat();
    assert_eq!(read(&failed(STREAM, YOUNG), &script).1, error("RangeNotReached"));

    // One that advances now and then is not stuck.
    let slow = (0..4).flat_map(|step| vec![Page(vec![], Some((30 * MINUTE) as u64 - step)); 5]);
    let script: Vec<Reply> =
        [Iterator].into_iter().chain(slow).chain([Page(kinesis(&[10, 11, 12]), Some(0)), Accepted]).collect();
    let (log, _) = read(&failed(STREAM, YOUNG), &script);
    assert_eq!(log.iter().filter(|call| call.starts_with("iterator")).count(), 1);
}

/// No stream trims a record within a day: empty pages alone do not prove that young records are gone.
#[test]
fn young_records_are_not_called_expired_for_empty_pages() {
    let tip = || Page(vec![], Some(0));
    let script = [Iterator, tip(), tip(), Iterator, tip(), tip()];
    assert_eq!(read(&failed(STREAM, YOUNG), &script).1, error("RangeNotReached"));
    let script = [&script[..], &[Accepted]].concat();
    assert_eq!(read(&failed(STREAM, OLD), &script).1, found(Status::Expired, &[]));
}

/// The reason does not name the retention if it cannot have passed.
#[test]
fn the_reason_names_the_retention_only_where_it_has_passed() {
    for (age, has_passed) in [(YOUNG, false), (OLD, true)] {
        let aws = ScriptedAws::new([Iterator, Page(kinesis(&[13]), Some(0)), Accepted]);
        let verdict = hydrate(&aws, &failed(STREAM, age), settings()).unwrap().verdict;
        assert_eq!(verdict.status, Status::Expired);
        assert_eq!(verdict.reason.unwrap().contains("after the stream's retention had passed"), has_passed);
    }
}

#[test]
fn iterators_that_expire_before_every_page_are_an_error() {
    let script = vec![[Iterator, Rejected(Rejection::ExpiredIterator)]; 6].concat();
    assert_eq!(read(&failed(STREAM, YOUNG), &script).1, error("RangeNotReached"));
}

#[test]
fn a_stream_that_is_not_there_is_gone_and_one_deleted_under_the_walk_is_partial() {
    let gone = || Rejected(Rejection::NotFound);
    let (log, result) = read(&failed(STREAM, OLD), &[gone(), Accepted]);
    assert_eq!((log.len(), result), (1, found(Status::Gone, &[])));
    let script = [Iterator, Page(kinesis(&[10, 11]), Some(1)), gone(), gone(), Accepted];
    assert_eq!(read(&failed(STREAM, YOUNG), &script).1, found(Status::Partial, &["10", "11"]));
}

#[test]
fn the_stream_of_a_young_batch_is_gone_only_after_two_answers() {
    let gone = || Rejected(Rejection::NotFound);
    let (log, result) = read(&failed(STREAM, YOUNG), &[gone(), gone(), Accepted]);
    assert_eq!((log, result), (steps(&["iterator at 10", "wait 500", "iterator at 10"]), found(Status::Gone, &[])));
    let script = [gone(), Iterator, Page(kinesis(&[10, 11]), Some(1)), gone(), Iterator, Page(kinesis(&[12]), None)];
    let (log, result) = read(&failed(STREAM, YOUNG), &[&script[..], &[Accepted]].concat());
    let expected = [
        "iterator at 10",
        "wait 500",
        "iterator at 10",
        "page of 3",
        "wait 500",
        "page of 1",
        "wait 500",
        "iterator after 11",
        "page of 1",
    ];
    assert_eq!((log, result), (steps(&expected), found(Status::Complete, &["10", "11", "12"])));
}

#[test]
fn behind_a_consumer_an_aggregate_counts_as_the_records_in_it() {
    // Three user records, written by AWS's own aggregator.
    let data = STANDARD
        .decode(concat!(
            "84mawgoKY3VzdG9tZXItMQoKY3VzdG9tZXItMhInMTcwMTQxMTgzNDYwNDY5MjMxNzMxNjg3MzAzNzE1ODg0MTA1NzI4Gh0IABoZeyJv",
            "cmRlciI6MSwidG90YWwiOjEyLjUwfRoLCAEaB2dyw7xlemkaCAgAEAAaAgD/QOYx+NDzc3n6UCic5v/r4Q=="
        ))
        .unwrap();
    let aggregate = || match record(Source::Kinesis, 10) {
        StreamRecord::Kinesis(record) => StreamRecord::Kinesis(KinesisRecord { data: data.clone(), ..record }),
        other => other,
    };
    for (arn, limit, numbers, status) in [
        (format!("{STREAM}/consumer/fast:1789779975"), 1, &["10", "10", "10", "12"][..], Status::Complete),
        (STREAM.to_owned(), 3, &["10", "12"], Status::Partial),
    ] {
        let mut record = failed(&arn, YOUNG);
        record["KinesisBatchInfo"]["batchSize"] = json!(4);
        let script = [Iterator, Page(vec![aggregate()], Some(1)), Page(kinesis(&[12]), Some(0)), Accepted];
        let (log, result) = read(&record, &script);
        assert_eq!(log.last().unwrap(), &format!("page of {limit}"));
        assert_eq!(result, found(status, numbers));
    }
}
