//! Reads of a range: the calls, and the result for each reply of either service.

use hydration::verdict::Status;

use crate::Reply::{Accepted, Fault, HeavyPage, Iterator, LastPage, Page, Rejected};
use crate::*;

/// Half an hour: too young for any stream to have trimmed.
pub const YOUNG: i64 = 30 * MINUTE;
pub const OLD: i64 = 25 * HOUR;
pub const DAY_BEHIND: Option<u64> = Some(24 * 60 * 60 * 1000);

pub fn kinesis(numbers: &[u64]) -> Vec<StreamRecord> {
    numbers.iter().map(|number| record(Source::Kinesis, *number)).collect()
}

pub fn changes(numbers: &[u64]) -> Vec<StreamRecord> {
    numbers.iter().map(|number| record(Source::DynamoDb, *number)).collect()
}

/// The status and the sequence numbers that were delivered, or the kind of error.
pub type Outcome = Result<(Status, Vec<String>), String>;

/// Hydrates the record. Returns the calls before the delivery, and the result.
pub fn read(record: &Value, script: &[Reply]) -> (Vec<String>, Outcome) {
    let aws = ScriptedAws::new(script.iter().cloned());
    let result = hydrate(&aws, record, settings()).map_err(|error| error.kind().to_owned());
    let mut log = aws.log.borrow().clone();
    if result.is_ok() {
        assert_eq!(log.pop().as_deref(), Some("send"));
    }
    let result = result.map(|hydrated| {
        let body: Value = serde_json::from_str(&aws.queue.borrow()[0].body).unwrap();
        let number = |record: &Value| {
            let number = record.pointer("/kinesis/sequenceNumber").or(record.pointer("/dynamodb/SequenceNumber"));
            number.unwrap().as_str().unwrap().to_owned()
        };
        (hydrated.verdict.status, body["Records"].as_array().unwrap().iter().map(number).collect())
    });
    (log, result)
}

pub fn found(status: Status, numbers: &[&str]) -> Outcome {
    Ok((status, numbers.iter().map(|number| (*number).to_owned()).collect()))
}

pub fn error(kind: &str) -> Outcome {
    Err(kind.to_owned())
}

pub fn steps(log: &[&str]) -> Vec<String> {
    log.iter().map(|step| (*step).to_owned()).collect()
}

#[test]
fn after_the_batch_size_the_end_is_read_with_whole_pages() {
    for (arn, numbers, cap) in [(STREAM, kinesis as fn(&[u64]) -> Vec<_>, 10_000), (TABLE, changes, 1_000)] {
        let mut record = failed(arn, YOUNG);
        let key = if arn == TABLE { "DDBStreamBatchInfo" } else { "KinesisBatchInfo" };
        record[key]["batchSize"] = json!(1);
        let script = [Iterator, Page(numbers(&[10]), None), Page(numbers(&[11, 12, 13, 14]), None), Accepted];
        let (log, result) = read(&record, &script);
        assert_eq!(log, ["iterator at 10", "page of 1", "wait 500", format!("page of {cap}").as_str()]);
        assert_eq!(result, found(Status::Superset, &["10", "11", "12"]));
    }
}

#[test]
fn a_batch_size_that_lies_costs_no_larger_pages_than_there_are() {
    for (arn, numbers, cap) in [(STREAM, kinesis as fn(&[u64]) -> Vec<_>, 10_000), (TABLE, changes, 1_000)] {
        let mut record = failed(arn, YOUNG);
        let key = if arn == TABLE { "DDBStreamBatchInfo" } else { "KinesisBatchInfo" };
        record[key]["batchSize"] = json!(u64::MAX);
        let (log, result) = read(&record, &[Iterator, Page(numbers(&[10, 11, 12]), None), Accepted]);
        assert_eq!(log, ["iterator at 10", format!("page of {cap}").as_str()]);
        assert_eq!(result, found(Status::Partial, &["10", "11", "12"]));
    }
}

/// Records of any age are gone if the shard shows a later record, or ends.
#[test]
fn records_are_expired_where_the_shard_goes_on_without_them() {
    for age in [YOUNG, OLD] {
        for script in [
            vec![Iterator, LastPage(vec![]), Iterator, LastPage(vec![]), Accepted],
            vec![Iterator, Page(kinesis(&[13]), Some(0)), Accepted],
        ] {
            assert_eq!(read(&failed(STREAM, age), &script).1, found(Status::Expired, &[]), "{script:?}");
        }
        for script in [
            vec![Iterator, LastPage(vec![]), Accepted],
            vec![Rejected(Rejection::Trimmed), Iterator, Page(changes(&[13]), None), Accepted],
        ] {
            assert_eq!(read(&failed(TABLE, age), &script).1, found(Status::Expired, &[]), "{script:?}");
        }
    }
}

#[test]
fn an_expired_iterator_is_renewed_after_the_last_record_read() {
    for (arn, numbers) in [(STREAM, kinesis as fn(&[u64]) -> Vec<_>), (TABLE, changes)] {
        let script = [
            Iterator,
            Rejected(Rejection::ExpiredIterator),
            Iterator,
            Page(numbers(&[10, 11]), None),
            Rejected(Rejection::ExpiredIterator),
            Iterator,
            Page(numbers(&[12]), None),
            Accepted,
        ];
        let (log, result) = read(&failed(arn, YOUNG), &script);
        let expected = [
            "iterator at 10",
            "page of 3",
            "iterator at 10",
            "wait 500",
            "page of 3",
            "wait 500",
            "page of 1",
            "iterator after 11",
            "wait 500",
            "page of 1",
        ];
        assert_eq!(log, expected);
        assert_eq!(result, found(Status::Complete, &["10", "11", "12"]));
    }
}

/// Trimming takes the oldest records first: an end that was not reached is not yet there, or not yet shown.
#[test]
fn the_end_of_a_young_range_is_never_trimmed_before_its_beginning() {
    let tip = || Page(vec![], Some(0));
    let script = [Iterator, Page(kinesis(&[10, 11]), Some(0)), tip(), tip()];
    assert_eq!(read(&failed(STREAM, YOUNG), &script).1, error("RangeNotReached"));
    let delivered = [&script[..], &[Accepted]].concat();
    assert_eq!(read(&failed(STREAM, OLD), &delivered).1, found(Status::Partial, &["10", "11"]));
    // A closed shard has no more to show.
    let closed = [Iterator, LastPage(kinesis(&[10, 11])), Accepted];
    assert_eq!(read(&failed(STREAM, YOUNG), &closed).1, found(Status::Partial, &["10", "11"]));

    let blind = || Page(vec![], None);
    let script = [vec![Iterator, Page(changes(&[10, 11]), None)], vec![blind(); 20]].concat();
    assert_eq!(read(&failed(TABLE, YOUNG), &script).1, error("RangeNotReached"));
    let script = [script, vec![Accepted]].concat();
    assert_eq!(read(&failed(TABLE, OLD), &script).1, found(Status::Partial, &["10", "11"]));
}

#[test]
fn a_whole_batch_is_one_iterator_and_one_page() {
    let (log, result) = read(&failed(STREAM, YOUNG), &[Iterator, Page(kinesis(&[10, 11, 12]), Some(9)), Accepted]);
    assert_eq!(log, ["iterator at 10", "page of 3"]);
    assert_eq!(result, found(Status::Complete, &["10", "11", "12"]));
}

#[test]
fn each_page_asks_for_what_is_still_missing_and_leaves_the_shard_to_others_in_between() {
    let script = [
        Iterator,
        Page(kinesis(&[10]), Some(9)),
        Page(vec![], Some(8)),
        Page(kinesis(&[11]), Some(7)),
        Page(kinesis(&[12]), Some(6)),
        Accepted,
    ];
    let (log, result) = read(&failed(STREAM, YOUNG), &script);
    assert_eq!(
        log,
        ["iterator at 10", "page of 3", "wait 500", "page of 2", "wait 500", "page of 2", "wait 500", "page of 1"]
    );
    assert_eq!(result, found(Status::Complete, &["10", "11", "12"]));
}

#[test]
fn a_large_page_is_followed_by_a_long_pause() {
    let script = [Iterator, HeavyPage(kinesis(&[10, 11]), 10 * 1024 * 1024), Page(kinesis(&[12]), None), Accepted];
    let (log, _) = read(&failed(STREAM, YOUNG), &script);
    assert_eq!(log, ["iterator at 10", "page of 3", "wait 10000", "page of 1"]);
}

#[test]
fn a_transient_fault_is_retried_with_longer_pauses_and_another_is_not() {
    let script = [
        Fault(FaultKind::Throttled),
        Fault(FaultKind::Unavailable),
        Fault(FaultKind::Unreadable),
        Iterator,
        Fault(FaultKind::Throttled),
        Page(kinesis(&[10, 11, 12]), None),
        Accepted,
    ];
    let (log, result) = read(&failed(STREAM, YOUNG), &script);
    assert_eq!(
        log,
        [
            "iterator at 10",
            "wait 187",
            "iterator at 10",
            "wait 375",
            "iterator at 10",
            "wait 750",
            "iterator at 10",
            "page of 3",
            "wait 187",
            "page of 3"
        ]
    );
    assert_eq!(result, found(Status::Complete, &["10", "11", "12"]));

    for (kind, times, expected) in [
        (FaultKind::Throttled, 6, "Throttled"),
        (FaultKind::Unavailable, 6, "ServiceUnavailable"),
        (FaultKind::Unreadable, 6, "UnreadableAnswer"),
        (FaultKind::AccessDenied, 1, "AccessDenied"),
        (FaultKind::KeyUnavailable, 1, "KeyUnavailable"),
        (FaultKind::Refused, 1, "RequestRefused"),
    ] {
        let faults = vec![Fault(kind); times];
        assert_eq!(read(&failed(STREAM, OLD), &faults).1, error(expected));
        let script = [&[Iterator, Page(kinesis(&[10, 11]), Some(1))][..], &faults].concat();
        assert_eq!(read(&failed(STREAM, OLD), &script).1, error(expected), "nothing is delivered of half a range");
    }
}

#[test]
fn reading_ends_at_its_deadline() {
    // Far behind, and hardly nearer with every page.
    let pages = (0..).map(|page| Page(vec![], Some((20 * HOUR) as u64 - page)));
    let script: Vec<Reply> = [Iterator].into_iter().chain(pages.take(600)).collect();
    // Five minutes, a page every half a second; the script has one for every one of them.
    let (log, result) = read(&failed(STREAM, YOUNG), &script);
    assert_eq!(result, error("DeadlineReached"));
    assert_eq!(log.iter().filter(|call| call.starts_with("page")).count(), 600);
}
