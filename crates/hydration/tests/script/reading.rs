//! What a shard is asked, and what is made of each way in which AWS shows that records are there or are not.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hydration::verdict::Status;

use crate::Answer::{Fault, HeavyPage, Iterator, LastPage, Page, Refused, Taken};
use crate::*;

/// Half an hour: too young for any stream to have trimmed.
const YOUNG: i64 = 30 * MINUTE;
const OLD: i64 = 25 * HOUR;
const DAY_BEHIND: Option<u64> = Some(24 * 60 * 60 * 1000);

fn kinesis(numbers: &[u64]) -> Vec<StreamRecord> {
    numbers.iter().map(|number| record(Source::Kinesis, *number)).collect()
}

fn changes(numbers: &[u64]) -> Vec<StreamRecord> {
    numbers.iter().map(|number| record(Source::DynamoDb, *number)).collect()
}

/// The status and the sequence numbers that were delivered, or the kind of error.
type Outcome = Result<(Status, Vec<String>), String>;

/// Runs the script; what was asked before anything was delivered, and what came of it.
fn read(record: &Value, script: &[Answer]) -> (Vec<String>, Outcome) {
    let world = World::new(script.iter().cloned());
    let result = world.hydrate(record, settings()).map_err(|error| error.kind().to_owned());
    let mut log = world.log.borrow().clone();
    if result.is_ok() {
        assert_eq!(log.pop().as_deref(), Some("send"));
    }
    let result = result.map(|hydrated| {
        let body: Value = serde_json::from_str(&world.queue.borrow()[0].body).unwrap();
        let number = |record: &Value| {
            let number = record.pointer("/kinesis/sequenceNumber").or(record.pointer("/dynamodb/SequenceNumber"));
            number.unwrap().as_str().unwrap().to_owned()
        };
        (hydrated.verdict.status, body["Records"].as_array().unwrap().iter().map(number).collect())
    });
    (log, result)
}

fn found(status: Status, numbers: &[&str]) -> Outcome {
    Ok((status, numbers.iter().map(|number| (*number).to_owned()).collect()))
}

fn error(kind: &str) -> Outcome {
    Err(kind.to_owned())
}

#[test]
fn a_whole_batch_is_one_iterator_and_one_page() {
    let (log, result) = read(&failed(STREAM, YOUNG), &[Iterator, Page(kinesis(&[10, 11, 12]), Some(9)), Taken]);
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
        Taken,
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
    let script = [Iterator, HeavyPage(kinesis(&[10, 11]), 10 * 1024 * 1024), Page(kinesis(&[12]), None), Taken];
    let (log, _) = read(&failed(STREAM, YOUNG), &script);
    assert_eq!(log, ["iterator at 10", "page of 3", "wait 10000", "page of 1"]);
}

#[test]
fn once_the_batch_size_is_met_the_end_is_looked_for_with_whole_pages() {
    for (arn, numbers, cap) in [(STREAM, kinesis as fn(&[u64]) -> Vec<_>, 10_000), (TABLE, changes, 1_000)] {
        let mut record = failed(arn, YOUNG);
        let key = if arn == TABLE { "DDBStreamBatchInfo" } else { "KinesisBatchInfo" };
        record[key]["batchSize"] = json!(1);
        let script = [Iterator, Page(numbers(&[10]), None), Page(numbers(&[11, 12, 13, 14]), None), Taken];
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
        let (log, result) = read(&record, &[Iterator, Page(numbers(&[10, 11, 12]), None), Taken]);
        assert_eq!(log, ["iterator at 10", format!("page of {cap}").as_str()]);
        assert_eq!(result, found(Status::Partial, &["10", "11", "12"]));
    }
}

/// Kinesis, trimmed start, first way: empty pages a whole retention behind the tip, for as long as one reads.
#[test]
fn silence_about_a_trimmed_start_is_broken_by_asking_for_its_time() {
    let silence = [Iterator, Page(vec![], DAY_BEHIND), Page(vec![], DAY_BEHIND), Iterator];
    let asked =
        ["iterator at 10", "page of 3", "wait 500", "page of 3", "iterator from 1500 min ago", "wait 500", "page of 3"];

    let script = [&silence[..], &[Page(kinesis(&[11, 12]), Some(1)), Taken]].concat();
    let (log, result) = read(&failed(STREAM, OLD), &script);
    assert_eq!((log, result), (asked.map(str::to_owned).to_vec(), found(Status::Partial, &["11", "12"])));

    // Records from later on only: nothing of the range is left, and nothing else is delivered.
    let script = [&silence[..], &[Page(kinesis(&[13, 14]), Some(1)), Taken]].concat();
    let (log, result) = read(&failed(STREAM, OLD), &script);
    assert_eq!((log, result), (asked.map(str::to_owned).to_vec(), found(Status::Expired, &[])));

    // No records at all.
    let script = [&silence[..], &[Page(vec![], DAY_BEHIND), Page(vec![], DAY_BEHIND), Taken]].concat();
    let (log, result) = read(&failed(STREAM, OLD), &script);
    let longer = [&asked[..], &["wait 500", "page of 3"]].concat();
    assert_eq!(log, longer);
    assert_eq!(result, found(Status::Expired, &[]));
}

/// Second way: the records that are left.
#[test]
fn later_records_in_the_place_of_a_trimmed_start_are_taken_if_they_are_in_the_range() {
    let (log, result) = read(&failed(STREAM, OLD), &[Iterator, Page(kinesis(&[12, 13, 14]), Some(1)), Taken]);
    assert_eq!(log, ["iterator at 10", "page of 3"]);
    assert_eq!(result, found(Status::Partial, &["12"]));
    let (_, result) = read(&failed(STREAM, OLD), &[Iterator, Page(kinesis(&[13, 14]), Some(1)), Taken]);
    assert_eq!(result, found(Status::Expired, &[]));
}

/// Third way: the sequence number is refused. It is the same answer as for a stream that was created anew.
#[test]
fn a_refused_start_is_looked_for_by_time_and_judged_by_its_age() {
    let refused = [Refused(Rejection::InvalidArgument), Iterator];
    let asked = |age: i64| vec!["iterator at 10".to_owned(), format!("iterator from {} min ago", age / MINUTE)];
    for age in [YOUNG, OLD] {
        let script = [&refused[..], &[Page(kinesis(&[11, 12]), Some(1)), Taken]].concat();
        let (log, result) = read(&failed(STREAM, age), &script);
        assert_eq!(log[..2], asked(age));
        assert_eq!(result, found(Status::Partial, &["11", "12"]));
    }
    for (age, status) in [(YOUNG, Status::Gone), (OLD, Status::Expired)] {
        let script = [&refused[..], &[Page(vec![], Some(0)), Page(vec![], Some(0)), Taken]].concat();
        let (log, result) = read(&failed(STREAM, age), &script);
        assert_eq!(log[..2], asked(age));
        assert_eq!(result, found(status, &[]));
        let (_, result) = read(
            &failed(STREAM, age),
            &[Refused(Rejection::InvalidArgument), Refused(Rejection::InvalidArgument), Taken],
        );
        assert_eq!(result, found(status, &[]));
    }
}

/// Only a refused sequence number tells of a stream that was created anew: what a refused moment leaves unseen may
/// still be there.
#[test]
fn a_refused_moment_does_not_make_the_stream_another() {
    let tip = || Page(vec![], Some(0));
    let script = [Iterator, tip(), tip(), Refused(Rejection::InvalidArgument)];
    assert_eq!(read(&failed(STREAM, YOUNG), &script).1, error("RangeNotReached"));
    let script = [&script[..], &[Taken]].concat();
    assert_eq!(read(&failed(STREAM, OLD), &script).1, found(Status::Expired, &[]));
}

#[test]
fn without_an_arrival_time_the_range_is_looked_for_from_the_horizon() {
    let mut record = failed(STREAM, OLD);
    record["KinesisBatchInfo"].as_object_mut().unwrap().remove("approximateArrivalOfFirstRecord");
    let script = [Refused(Rejection::InvalidArgument), Iterator, Page(kinesis(&[9, 12]), Some(1)), Taken];
    let (log, result) = read(&record, &script);
    assert_eq!(log[1], "iterator at the horizon");
    assert_eq!(result, found(Status::Partial, &["12"]));
}

/// DynamoDB raises an error for what is trimmed, at either call.
#[test]
fn a_trimmed_change_is_followed_from_the_horizon() {
    let script = [Refused(Rejection::Trimmed), Iterator, Page(changes(&[11, 12]), None), Taken];
    let (log, result) = read(&failed(TABLE, OLD), &script);
    assert_eq!(log, ["iterator at 10", "iterator at the horizon", "page of 3"]);
    assert_eq!(result, found(Status::Partial, &["11", "12"]));

    let script = [
        Iterator,
        Page(changes(&[10]), None),
        Refused(Rejection::Trimmed),
        Iterator,
        Page(changes(&[10, 12]), None),
        Taken,
    ];
    let (log, result) = read(&failed(TABLE, OLD), &script);
    assert_eq!(log[4..], ["iterator at the horizon", "wait 500", "page of 2"]);
    assert_eq!(result, found(Status::Partial, &["10", "12"]));

    let script = [Refused(Rejection::Trimmed), Iterator, Page(changes(&[13]), None), Taken];
    assert_eq!(read(&failed(TABLE, OLD), &script).1, found(Status::Expired, &[]));
}

#[test]
fn twenty_empty_pages_of_a_table_are_expired_only_if_they_can_be() {
    for (age, expected, taken) in
        [(OLD, found(Status::Expired, &[]), &[Taken][..]), (YOUNG, error("RangeNotReached"), &[])]
    {
        let script = [&[Iterator][..], &vec![Page(vec![], None); 20], taken].concat();
        let (log, result) = read(&failed(TABLE, age), &script);
        assert_eq!(log.iter().filter(|call| *call == "page of 3").count(), 20);
        assert_eq!(result, expected);
    }
    let script =
        [&[Iterator][..], &vec![Page(vec![], None); 19], &[Page(changes(&[10, 11, 12]), None), Taken]].concat();
    assert_eq!(read(&failed(TABLE, YOUNG), &script).1, found(Status::Complete, &["10", "11", "12"]));
}

#[test]
fn empty_pages_that_advance_are_followed_to_the_records() {
    let behind = (1..40).map(|page| Page(vec![], Some((30 * MINUTE) as u64 - page)));
    let script: Vec<Answer> =
        [Iterator].into_iter().chain(behind).chain([Page(kinesis(&[10, 11, 12]), Some(0)), Taken]).collect();
    let (log, result) = read(&failed(STREAM, YOUNG), &script);
    assert_eq!(log.iter().filter(|call| call.starts_with("iterator")).count(), 1);
    assert_eq!(result, found(Status::Complete, &["10", "11", "12"]));
}

#[test]
fn an_iterator_that_does_not_advance_is_replaced_once() {
    let stuck = || vec![Page(vec![], Some((30 * MINUTE) as u64)); 6];
    let script = [&[Iterator][..], &stuck(), &[Iterator, Page(kinesis(&[10, 11, 12]), Some(0)), Taken]].concat();
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
    let script: Vec<Answer> =
        [Iterator].into_iter().chain(slow).chain([Page(kinesis(&[10, 11, 12]), Some(0)), Taken]).collect();
    let (log, _) = read(&failed(STREAM, YOUNG), &script);
    assert_eq!(log.iter().filter(|call| call.starts_with("iterator")).count(), 1);
}

/// No stream trims a record within a day: empty pages alone do not prove that young records are gone.
#[test]
fn young_records_are_not_called_expired_for_empty_pages() {
    let tip = || Page(vec![], Some(0));
    let script = [Iterator, tip(), tip(), Iterator, tip(), tip()];
    assert_eq!(read(&failed(STREAM, YOUNG), &script).1, error("RangeNotReached"));
    let script = [&script[..], &[Taken]].concat();
    assert_eq!(read(&failed(STREAM, OLD), &script).1, found(Status::Expired, &[]));
}

/// Whatever their age, they are gone where the shard shows what comes after them, or that nothing does.
#[test]
fn records_are_expired_where_the_shard_goes_on_without_them() {
    for age in [YOUNG, OLD] {
        for script in [
            vec![Iterator, LastPage(vec![]), Iterator, LastPage(vec![]), Taken],
            vec![Iterator, Page(kinesis(&[13]), Some(0)), Taken],
        ] {
            assert_eq!(read(&failed(STREAM, age), &script).1, found(Status::Expired, &[]), "{script:?}");
        }
        for script in [
            vec![Iterator, LastPage(vec![]), Taken],
            vec![Refused(Rejection::Trimmed), Iterator, Page(changes(&[13]), None), Taken],
        ] {
            assert_eq!(read(&failed(TABLE, age), &script).1, found(Status::Expired, &[]), "{script:?}");
        }
    }
}

/// The sentence for a person does not blame the retention for what it cannot have done yet.
#[test]
fn the_reason_names_the_retention_only_where_it_has_passed() {
    for (age, has_passed) in [(YOUNG, false), (OLD, true)] {
        let world = World::new([Iterator, Page(kinesis(&[13]), Some(0)), Taken]);
        let verdict = world.hydrate(&failed(STREAM, age), settings()).unwrap().verdict;
        assert_eq!(verdict.status, Status::Expired);
        assert_eq!(verdict.reason.unwrap().contains("after the stream's retention had passed"), has_passed);
    }
}

#[test]
fn an_expired_iterator_is_renewed_after_the_last_record_read() {
    for (arn, numbers) in [(STREAM, kinesis as fn(&[u64]) -> Vec<_>), (TABLE, changes)] {
        let script = [
            Iterator,
            Refused(Rejection::ExpiredIterator),
            Iterator,
            Page(numbers(&[10, 11]), None),
            Refused(Rejection::ExpiredIterator),
            Iterator,
            Page(numbers(&[12]), None),
            Taken,
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

#[test]
fn iterators_that_never_live_to_see_a_page_are_given_up() {
    let script = vec![[Iterator, Refused(Rejection::ExpiredIterator)]; 6].concat();
    assert_eq!(read(&failed(STREAM, YOUNG), &script).1, error("RangeNotReached"));
}

#[test]
fn a_stream_that_is_not_there_is_gone_and_one_deleted_under_the_walk_is_partial() {
    let gone = || Refused(Rejection::NotFound);
    let (log, result) = read(&failed(STREAM, OLD), &[gone(), Taken]);
    assert_eq!((log.len(), result), (1, found(Status::Gone, &[])));
    let script = [Iterator, Page(kinesis(&[10, 11]), Some(1)), gone(), gone(), Taken];
    assert_eq!(read(&failed(STREAM, YOUNG), &script).1, found(Status::Partial, &["10", "11"]));
}

#[test]
fn one_answer_is_no_proof_that_the_stream_of_a_young_batch_is_gone() {
    let gone = || Refused(Rejection::NotFound);
    let (log, result) = read(&failed(STREAM, YOUNG), &[gone(), gone(), Taken]);
    assert_eq!((log, result), (steps(&["iterator at 10", "wait 500", "iterator at 10"]), found(Status::Gone, &[])));
    let script = [gone(), Iterator, Page(kinesis(&[10, 11]), Some(1)), gone(), Iterator, Page(kinesis(&[12]), None)];
    let (log, result) = read(&failed(STREAM, YOUNG), &[&script[..], &[Taken]].concat());
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

/// Trimming takes the oldest records first: an end that was not reached is not yet there, or not yet shown.
#[test]
fn the_end_of_a_young_range_is_never_trimmed_before_its_beginning() {
    let tip = || Page(vec![], Some(0));
    let script = [Iterator, Page(kinesis(&[10, 11]), Some(0)), tip(), tip()];
    assert_eq!(read(&failed(STREAM, YOUNG), &script).1, error("RangeNotReached"));
    let delivered = [&script[..], &[Taken]].concat();
    assert_eq!(read(&failed(STREAM, OLD), &delivered).1, found(Status::Partial, &["10", "11"]));
    // A closed shard has no more to show.
    let closed = [Iterator, LastPage(kinesis(&[10, 11])), Taken];
    assert_eq!(read(&failed(STREAM, YOUNG), &closed).1, found(Status::Partial, &["10", "11"]));

    let blind = || Page(vec![], None);
    let script = [vec![Iterator, Page(changes(&[10, 11]), None)], vec![blind(); 20]].concat();
    assert_eq!(read(&failed(TABLE, YOUNG), &script).1, error("RangeNotReached"));
    let script = [script, vec![Taken]].concat();
    assert_eq!(read(&failed(TABLE, OLD), &script).1, found(Status::Partial, &["10", "11"]));
}

fn steps(log: &[&str]) -> Vec<String> {
    log.iter().map(|step| (*step).to_owned()).collect()
}

#[test]
fn a_short_fault_is_waited_out_ever_longer_and_a_long_one_is_not() {
    let script = [
        Fault(FaultKind::Throttled),
        Fault(FaultKind::Unavailable),
        Fault(FaultKind::Unreadable),
        Iterator,
        Fault(FaultKind::Throttled),
        Page(kinesis(&[10, 11, 12]), None),
        Taken,
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
    let script: Vec<Answer> = [Iterator].into_iter().chain(pages.take(600)).collect();
    // Five minutes, a page every half a second; the script has one for every one of them.
    let (log, result) = read(&failed(STREAM, YOUNG), &script);
    assert_eq!(result, error("DeadlineReached"));
    assert_eq!(log.iter().filter(|call| call.starts_with("page")).count(), 600);
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
        let script = [Iterator, Page(vec![aggregate()], Some(1)), Page(kinesis(&[12]), Some(0)), Taken];
        let (log, result) = read(&record, &script);
        assert_eq!(log.last().unwrap(), &format!("page of {limit}"));
        assert_eq!(result, found(status, numbers));
    }
}
