//! The result of a hydration: the status of the message, and the sentence that explains it.

use crate::invocation_record::FailedBatch;
use crate::timestamp::Timestamp;
use crate::walk::{RangeCoverage, StopReason, is_past_retention};

/// The seven statuses of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Status {
    /// Both ends of the range were read, and as many records as `batchSize`.
    Complete,
    /// Both ends of the range were read, and more records than `batchSize`.
    Superset,
    /// An end is missing, or there are fewer records than `batchSize`.
    Partial,
    /// Nothing in the range is left.
    Expired,
    /// The stream or shard no longer exists, or was created again.
    Gone,
    /// The invocation record names no range.
    NoRange,
    /// The message is not about a failed batch.
    Unrecognized,
}

impl Status {
    pub const ALL: [Self; 7] =
        [Self::Complete, Self::Superset, Self::Partial, Self::Expired, Self::Gone, Self::NoRange, Self::Unrecognized];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "Complete",
            Self::Superset => "Superset",
            Self::Partial => "Partial",
            Self::Expired => "Expired",
            Self::Gone => "Gone",
            Self::NoRange => "NoRange",
            Self::Unrecognized => "Unrecognized",
        }
    }
}

/// The status of a hydrated message, with its explanation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub status: Status,
    /// One sentence for people. Present unless the status is `Complete`.
    pub reason: Option<String>,
    /// Records of `batchSize` that were not recovered. `None` when none is missing, or when the number is unknown.
    pub missing: Option<u64>,
}

/// Judges a finished walk over the whole range, with `recovered` event records.
///
/// The error is the one result that is no verdict: the records were not reached, and nothing proves that they are gone.
pub fn judge(
    batch: &FailedBatch,
    stopped: StopReason,
    coverage: &RangeCoverage,
    recovered: u64,
    now: Timestamp,
) -> Result<Verdict, &'static str> {
    if coverage.is_whole() {
        return Ok(judge_whole_range(batch, recovered));
    }
    let age = Age::of(batch, now);
    match stopped {
        StopReason::Undecided(why) => return Err(why),
        // The oldest records are trimmed first: a missing end of an open shard was not reached yet.
        StopReason::Exhausted if !coverage.end && age == Age::Young => {
            return Err(if coverage.any_record {
                "the shard shows only the first of them"
            } else {
                "the shard shows none of them"
            });
        }
        _ => {}
    }
    let missing = batch.batch_size.map(|expected| expected.saturating_sub(recovered)).filter(|missing| *missing > 0);
    let (status, reason) = if coverage.any_record {
        (Status::Partial, format!("Recovered {}; {}.", records(recovered), missing_part(stopped, coverage)))
    } else {
        judge_empty_range(stopped, age)
    };
    Ok(Verdict { status, reason: Some(reason), missing })
}

/// The age of a batch's newest record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Age {
    /// Younger than any stream's retention: the record cannot have been trimmed.
    Young,
    Old,
    Unknown,
}

impl Age {
    fn of(batch: &FailedBatch, now: Timestamp) -> Self {
        match batch.latest_possible_arrival() {
            None => Self::Unknown,
            Some(arrival) if is_past_retention(arrival, now) => Self::Old,
            Some(_) => Self::Young,
        }
    }
}

/// Every record of the range was read. Only their number may differ from that of the batch.
fn judge_whole_range(batch: &FailedBatch, recovered: u64) -> Verdict {
    let (status, reason, missing) = match batch.batch_size {
        Some(expected) if recovered > expected => {
            let reason = format!(
                "The range holds {}, the failed batch had {expected}: parallelization, a filter or bisecting left \
                 others in between, and which they are is not recorded.",
                records(recovered)
            );
            (Status::Superset, Some(reason), None)
        }
        Some(expected) if recovered < expected => {
            let reason =
                format!("Both ends of the range were read, but of {expected} there is only {}.", records(recovered));
            (Status::Partial, Some(reason), Some(expected - recovered))
        }
        _ => (Status::Complete, None, None),
    };
    Verdict { status, reason, missing }
}

/// The part of the range that is missing, as the end of a sentence.
fn missing_part(stopped: StopReason, coverage: &RangeCoverage) -> &'static str {
    match (coverage.start, coverage.end) {
        (_, true) if coverage.gap => {
            "the stream trimmed records while they were read, and some between them may be missing"
        }
        (false, true) => "the first records of the range were trimmed from the stream before they could be read",
        (false, false) => "records at both ends of the range are no longer in the stream",
        _ if stopped == StopReason::NotFound => "the stream or shard was deleted while it was read",
        _ => "the rest of the range is no longer in the stream",
    }
}

/// No record of the range was read.
fn judge_empty_range(stopped: StopReason, age: Age) -> (Status, String) {
    let (status, reason) = match (stopped, age) {
        (StopReason::NotFound, _) => {
            (Status::Gone, "The stream or shard no longer exists; its records cannot be read from it any more.")
        }
        (StopReason::NotOfThisStream, Age::Young | Age::Unknown) => (
            Status::Gone,
            "The stream does not know the range's sequence numbers: it was deleted and created again since.",
        ),
        // No stream trims a record that is younger than a day. Empty pages do not prove that it is gone. A later
        // record, or the end of a closed shard, does.
        (_, Age::Young) => (
            Status::Expired,
            "Nothing of the range is left in the stream, though no stream's retention has passed since: it may have \
             been deleted and created again.",
        ),
        (_, Age::Old | Age::Unknown) => (
            Status::Expired,
            "Nothing of the range is left in the stream: it was read after the stream's retention had passed.",
        ),
    };
    (status, reason.to_owned())
}

fn records(count: u64) -> String {
    format!("{count} record{}", if count == 1 { "" } else { "s" })
}

impl Verdict {
    /// The verdict on an invocation record that names no range.
    pub fn no_range(batch: &FailedBatch) -> Self {
        let reason = match (&batch.start, &batch.end) {
            (Some(_), _) => {
                "The invocation record names the first record of the range and not the last: which records failed \
                 cannot be known."
            }
            (None, Some(_)) => {
                "The invocation record names the last record of the range and not the first: which records failed \
                 cannot be known."
            }
            (None, None) => {
                "The invocation record names no range of records, as for the final invocation of a tumbling window: \
                 there is nothing to read back."
            }
        };
        Self { status: Status::NoRange, reason: Some(reason.to_owned()), missing: None }
    }

    /// The verdict on a message that is not about a failed batch. `object` is the place of the object that holds it.
    pub fn unrecognized(object: Option<&str>, why: &str) -> Self {
        let what = object.map_or_else(|| "This".to_owned(), |object| format!("The object {object}"));
        let reason = format!("{what} is not an invocation record of a failed stream batch: {why}.");
        Self { status: Status::Unrecognized, reason: Some(reason), missing: None }
    }

    /// The verdict on a part before the last.
    pub fn part() -> Self {
        let reason = "One part of a range too large for one invocation; the last part carries the verdict.";
        Self { status: Status::Superset, reason: Some(reason.to_owned()), missing: None }
    }
}
