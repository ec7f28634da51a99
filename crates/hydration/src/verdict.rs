//! What the walk found: the status of a hydrated message, and the sentence that explains it.

use crate::invocation_record::FailedBatch;
use crate::timestamp::Timestamp;
use crate::walk::{Ending, Seen, is_past_retention};

/// The seven statuses of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Status {
    /// Both ends of the range read, as many records as `batchSize`.
    Complete,
    /// Both ends read, more records than `batchSize`.
    Superset,
    /// An end is missing, or there are fewer records than `batchSize`.
    Partial,
    /// Nothing in the range is left.
    Expired,
    /// The stream or shard no longer exists, or was recreated.
    Gone,
    /// The invocation record names no range.
    NoRange,
    /// Not a stream failure at all.
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

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub status: Status,
    /// One sentence for a person, whenever the status is not `Complete`.
    pub reason: Option<String>,
    /// How many of `batchSize` are not there; `None` when none is, or when nobody can know.
    pub missing: Option<u64>,
}

/// Judges a finished walk over the whole range, `recovered` event records in all.
///
/// `Err` is the one ending that is no verdict: nothing came, and nothing says that nothing is left.
pub fn judge(
    batch: &FailedBatch,
    ending: Ending,
    seen: &Seen,
    recovered: u64,
    now: Timestamp,
) -> Result<Verdict, &'static str> {
    let expected = batch.batch_size;
    let missing = expected.map(|expected| expected.saturating_sub(recovered)).filter(|missing| *missing > 0);
    let arrival = batch.latest_possible_arrival();
    let is_old = arrival.is_some_and(|arrival| is_past_retention(arrival, now));
    let verdict = |status, reason: String| Ok(Verdict { status, reason: Some(reason), missing });

    if seen.start && seen.end && !seen.gap {
        return match expected {
            Some(expected) if recovered > expected => verdict(
                Status::Superset,
                format!(
                    "The range holds {}, the failed batch had {expected}: parallelization, a filter or bisecting left \
                     others in between, and which they are is not recorded.",
                    records(recovered)
                ),
            ),
            Some(expected) if recovered < expected => verdict(
                Status::Partial,
                format!("Both ends of the range were read, but of {expected} there is only {}.", records(recovered)),
            ),
            _ => Ok(Verdict { status: Status::Complete, reason: None, missing: None }),
        };
    }
    if let Ending::Undecided(why) = ending {
        return Err(why);
    }
    // Trimming takes the oldest records first: what is missing at the end of an open shard has not been seen yet.
    let is_young = arrival.is_some() && !is_old;
    if ending == Ending::Exhausted && !seen.end && is_young {
        return Err(if seen.anything {
            "the shard shows only the first of them"
        } else {
            "the shard shows none of them"
        });
    }
    if seen.anything {
        let end_missing = match ending {
            Ending::NotFound => "the stream or shard was deleted while it was read",
            _ => "the rest of the range is no longer in the stream",
        };
        let what = match (seen.start, seen.end) {
            (_, true) if seen.gap => "records between them were trimmed from the stream before they could be read",
            (false, true) => "the first records of the range were trimmed from the stream before they could be read",
            (false, false) => "records at both ends of the range are no longer in the stream",
            _ => end_missing,
        };
        return verdict(Status::Partial, format!("Recovered {}; {what}.", records(recovered)));
    }
    match ending {
        Ending::NotFound => verdict(
            Status::Gone,
            "The stream or shard no longer exists; its records cannot be read from it any more.".to_owned(),
        ),
        Ending::NotOfThisStream if !is_old => verdict(
            Status::Gone,
            "The stream does not know the range's sequence numbers: it was deleted and created again since.".to_owned(),
        ),
        // No stream trims a record before it is a day old. Empty pages are not proof enough of it; a later record, or
        // the end of a closed shard, is.
        _ if is_young => verdict(
            Status::Expired,
            "Nothing of the range is left in the stream, though no stream's retention has passed since: it may have \
             been deleted and created again."
                .to_owned(),
        ),
        _ => verdict(
            Status::Expired,
            "Nothing of the range is left in the stream: it was read after the stream's retention had passed."
                .to_owned(),
        ),
    }
}

fn records(count: u64) -> String {
    format!("{count} record{}", if count == 1 { "" } else { "s" })
}

impl Verdict {
    pub fn no_range(batch: &FailedBatch) -> Self {
        let reason = match (&batch.start, &batch.end) {
            (Some(_), _) => {
                "The invocation record names the first record of the range and not the last: which records \
                             failed cannot be known."
            }
            (None, Some(_)) => {
                "The invocation record names the last record of the range and not the first: which \
                                records failed cannot be known."
            }
            (None, None) => {
                "The invocation record names no range of records, as for the final invocation of a \
                             tumbling window: there is nothing to read back."
            }
        };
        Self { status: Status::NoRange, reason: Some(reason.to_owned()), missing: None }
    }

    pub fn unrecognized(why: &str) -> Self {
        let reason = format!("This is not an invocation record of a failed stream batch: {why}.");
        Self { status: Status::Unrecognized, reason: Some(reason), missing: None }
    }

    /// A part of a superset before the last.
    pub fn part() -> Self {
        let reason = "One part of a range too large for one invocation; the last part carries the verdict.";
        Self { status: Status::Superset, reason: Some(reason.to_owned()), missing: None }
    }
}
