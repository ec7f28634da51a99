//! Reads of a DynamoDB shard.

use hydration::verdict::Status;

use crate::Reply::{Accepted, Iterator, Page, Rejected};
use crate::reading::*;
use crate::*;

/// DynamoDB returns an error for a trimmed position, from either call.
#[test]
fn a_trimmed_change_is_followed_from_the_horizon() {
    let script = [Rejected(Rejection::Trimmed), Iterator, Page(changes(&[11, 12]), None), Accepted];
    let (log, result) = read(&failed(TABLE, OLD), &script);
    assert_eq!(log, ["iterator at 10", "iterator at the horizon", "page of 3"]);
    assert_eq!(result, found(Status::Partial, &["11", "12"]));

    let script = [
        Iterator,
        Page(changes(&[10]), None),
        Rejected(Rejection::Trimmed),
        Iterator,
        Page(changes(&[10, 12]), None),
        Accepted,
    ];
    let (log, result) = read(&failed(TABLE, OLD), &script);
    assert_eq!(log[4..], ["iterator at the horizon", "wait 500", "page of 2"]);
    assert_eq!(result, found(Status::Partial, &["10", "12"]));

    let script = [Rejected(Rejection::Trimmed), Iterator, Page(changes(&[13]), None), Accepted];
    assert_eq!(read(&failed(TABLE, OLD), &script).1, found(Status::Expired, &[]));
}

#[test]
fn twenty_empty_pages_of_a_table_mean_expired_only_for_old_records() {
    for (age, expected, taken) in
        [(OLD, found(Status::Expired, &[]), &[Accepted][..]), (YOUNG, error("RangeNotReached"), &[])]
    {
        let script = [&[Iterator][..], &vec![Page(vec![], None); 20], taken].concat();
        let (log, result) = read(&failed(TABLE, age), &script);
        assert_eq!(log.iter().filter(|call| *call == "page of 3").count(), 20);
        assert_eq!(result, expected);
    }
    let script =
        [&[Iterator][..], &vec![Page(vec![], None); 19], &[Page(changes(&[10, 11, 12]), None), Accepted]].concat();
    assert_eq!(read(&failed(TABLE, YOUNG), &script).1, found(Status::Complete, &["10", "11", "12"]));
}
