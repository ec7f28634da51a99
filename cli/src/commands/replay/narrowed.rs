//! The part of a replay that `--narrow` leaves out: records of a superset that were certainly not in the failed batch.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;
use hydration::message::parsed::ParsedMessage;
use hydration::narrow::InBatch;
use hydration::sequence_number::SequenceNumber;
use hydration::verdict::Status;

use crate::commands::replay::batch::numbered_records;
use crate::commands::replay::options::{InDoubtChoice, ReplayOptions};
use crate::commands::replay::plan::run_key;
use crate::ledger::claim::Known;
use crate::ledger::function::FunctionArn;
use crate::ledger::key::RunKey;
use crate::ledger::span::{Coverage, coverage};
use crate::narrowing::{Narrower, Narrowing};
use crate::ports::{Bucket, Function};
use crate::print::{count, thousands};
use crate::queue::hydrated_message::HydratedMessage;
use crate::queue::read_queue::body_of;

/// Records that are left out of a superset, counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Records that are not run, because they were not in the batch.
    pub records: u64,
    /// The rest is the batch, all of it and nothing else.
    pub is_exact: bool,
    /// Records of the rest that have not succeeded yet.
    pub remaining: u64,
}

impl LeftOut {
    pub fn sentence(&self) -> String {
        let records = count(self.records, "record left out", "records left out");
        let rest = if self.is_exact { "these are the failed batch" } else { "these may be more than the failed batch" };
        format!("{records}; {rest}")
    }
}

/// Records that are left out of each superset, by message id, or the reason why it cannot be narrowed.
pub type LeftOutByMessage = HashMap<String, Result<LeftOut, String>>;

/// Compares the supersets among the messages with their mappings. No record is kept.
pub async fn left_out<B: Bucket, F: Function>(
    narrower: &Narrower<'_, F>,
    bucket: &B,
    messages: &[HydratedMessage],
    known: &BTreeMap<RunKey, Known>,
    on: Option<&FunctionArn>,
    options: &ReplayOptions,
) -> Result<LeftOutByMessage> {
    let mut left_out = HashMap::new();
    let is_readable_superset =
        |message: &&HydratedMessage| message.status == Status::Superset && message.read_error.is_none();
    for message in messages.iter().filter(is_readable_superset) {
        // What cannot be read is refused by the plan or by the run, which say why.
        let Ok(received) = ParsedMessage::parse(&body_of(message, bucket).await?) else { continue };
        let Some(narrowing) = narrower.narrow(&received).await else { continue };
        let known = run_key(message, on).and_then(|key| known.get(&key));
        let found = match (narrowing, numbers(&received)) {
            (Ok(narrowing), Some(numbers)) => Ok(counted(&narrowing, &numbers, known, options)),
            (Err(reason), _) => Err(reason.to_string()),
            (_, None) => continue,
        };
        left_out.insert(message.id.clone(), found);
    }
    Ok(left_out)
}

fn numbers(received: &ParsedMessage) -> Option<Vec<SequenceNumber>> {
    Some(numbered_records(received)?.into_iter().map(|record| record.number).collect())
}

fn counted(
    narrowing: &Narrowing,
    numbers: &[SequenceNumber],
    known: Option<&Known>,
    options: &ReplayOptions,
) -> LeftOut {
    let is_left_out = places_left_out(narrowing, numbers);
    let mut done = known.map(|known| known.run.done.clone()).unwrap_or_default();
    if let (Some(claim), InDoubtChoice::Done) = (known.and_then(|known| known.run.claim.as_ref()), options.in_doubt) {
        done.extend(claim.records.iter().cloned());
    }
    let covered = match coverage(&done, numbers) {
        Coverage::Known(covered) => covered,
        Coverage::MoreThanWereRun => vec![false; numbers.len()],
    };
    let remaining = is_left_out.iter().zip(&covered).filter(|(is_left_out, covered)| !**is_left_out && !**covered);
    let records = is_left_out.iter().filter(|is_left_out| **is_left_out).count() as u64;
    // Records that share a number with one of the batch are run, although they were not in it.
    let is_exact = narrowing.is_exact && records == narrowing.counts().excluded as u64;
    LeftOut { records, is_exact, remaining: remaining.count() as u64 }
}

/// One answer a record: whether it is left out. The user records of an aggregate share a sequence number, and the ledger
/// knows them only together: they are left out together or not at all.
pub fn places_left_out(narrowing: &Narrowing, numbers: &[SequenceNumber]) -> Vec<bool> {
    let is_excluded = |place: usize| narrowing.in_batch.get(place) == Some(&InBatch::Excluded);
    let mut left_out: Vec<bool> = Vec::with_capacity(numbers.len());
    for same in numbers.chunk_by(|one, next| one == next) {
        let first = left_out.len();
        let all = (first..first + same.len()).all(is_excluded);
        left_out.extend(std::iter::repeat_n(all, same.len()));
    }
    left_out
}

/// The line of a dry run about the supersets that are narrowed.
pub fn sentence<'a>(left_out: impl Iterator<Item = &'a LeftOut>) -> Option<String> {
    let all: Vec<&LeftOut> = left_out.collect();
    if all.is_empty() {
        return None;
    }
    let records = all.iter().map(|left_out| left_out.records).sum();
    let exact = all.iter().filter(|left_out| left_out.is_exact).count() as u64;
    let (records, supersets) = (count(records, "record", "records"), count(all.len() as u64, "superset", "supersets"));
    Some(format!(
        "{records} of {supersets} are left out, because they were not in the failed batch; {} of {} then hold exactly \
         their batch",
        thousands(exact),
        thousands(all.len() as u64)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_out_of(numbers: &[u64], in_batch: &str) -> String {
        let numbers: Vec<SequenceNumber> =
            numbers.iter().map(|number| SequenceNumber::parse(&number.to_string()).unwrap()).collect();
        let relation = |letter| match letter {
            '=' => InBatch::Certain,
            '?' => InBatch::Possible,
            _ => InBatch::Excluded,
        };
        let narrowing = Narrowing::of(in_batch.chars().map(relation).collect());
        let places = places_left_out(&narrowing, &numbers);
        places.into_iter().map(|is_left_out| if is_left_out { '-' } else { 'x' }).collect()
    }

    #[test]
    fn records_that_share_a_number_are_left_out_together() {
        assert_eq!(left_out_of(&[1, 2, 3], "=-?"), "x-x");
        assert_eq!(left_out_of(&[1, 2, 2, 3, 3], "=-?--"), "xxx--");
        assert_eq!(left_out_of(&[], ""), "");
    }
}
