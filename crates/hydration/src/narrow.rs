//! Narrowing: which records of a superset were in the failed batch.
//!
//! Lambda reports a batch by its first and last sequence number. Between them lie other records where the mapping has
//! filters, and where it has a parallelization factor: then several batches of one shard are under way at a time, each
//! in a lane. The rules here rest on what AWS documents, and docs/SEMANTICS.md has the links:
//!
//! - The first and the last record of the range were in the batch.
//! - A record that fails every filter was not. Lambda filters before it forms batches.
//! - A lane is in order and a batch has no gaps in it. Without lanes, every record that passes was in the batch.
//! - Records of one partition key, or of one item, are in one lane. So what shares a key with an end was in the batch.
//! - A batch holds whole keys of the range, and `batchSize` counts its records. If one choice of keys alone adds up to
//!   it, the batch is known.
//!
//! A record is excluded only where one of these rules says that it was not in the batch. Where the rules contradict each
//! other, the mapping or one of the rules is not what it was, and nothing is narrowed.

mod candidates;
mod subset;

use std::collections::{HashMap, HashSet};

use serde_json::value::RawValue;

use crate::filter::{Answer, Filters};
use crate::invocation_record::FailedBatch;
use crate::sequence_number::SequenceNumber;

use candidates::RangeRecord;
use subset::Subsets;

/// The relation of a record to the failed batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum InBatch {
    /// It was in the batch.
    Certain,
    Possible,
    /// It was not in the batch.
    Excluded,
}

/// The settings of an event source mapping that decide which records a batch holds.
#[derive(Debug, Clone, PartialEq)]
pub struct MappingSettings {
    pub filters: Filters,
    pub parallelization_factor: u64,
}

/// A contradiction between the records, the batch and the mapping's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    #[error("an end of the batch is not among its records")]
    NoEnd,
    #[error("an end of the batch does not pass the mapping's filters")]
    EndFails,
    #[error("{certain} records fit the mapping's settings, and the batch had {size}")]
    TooMany { certain: u64, size: u64 },
    #[error("only {candidates} records fit the mapping's settings, and the batch had {size}")]
    TooFew { candidates: u64, size: u64 },
    #[error("no choice of whole keys adds up to the batch's {size} records")]
    NoChoice { size: u64 },
}

/// The records of a superset, compared with the mapping's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Narrowed {
    /// One entry a record.
    pub records: Vec<InBatch>,
    /// The certain records are the batch, all of it and nothing else.
    pub is_exact: bool,
    /// Nothing is excluded then.
    pub contradiction: Option<Contradiction>,
}

impl Narrowed {
    pub fn count(&self, in_batch: InBatch) -> usize {
        self.records.iter().filter(|record| **record == in_batch).count()
    }
}

/// Compares the records of a superset with the settings of its mapping.
///
/// `is_whole` says that `records` are all the records of the range. With a part of them nothing can be counted, and
/// only the ends that are there are known.
pub fn narrow(batch: &FailedBatch, records: &[&RawValue], settings: &MappingSettings, is_whole: bool) -> Narrowed {
    let Some((range, candidates)) = batch.range().zip(candidates::read(batch, records, settings, is_whole)) else {
        return Narrowed { records: vec![InBatch::Possible; records.len()], is_exact: false, contradiction: None };
    };
    let question = Question {
        candidates: &candidates,
        ends: [&range.start, &range.end],
        size: batch.batch_size.filter(|_| is_whole),
        has_lanes: settings.parallelization_factor > 1,
        is_whole,
        may_be_cut: !is_whole && batch.stream.is_consumer(),
    };
    question.answer()
}

/// All that is known of a range and its batch.
struct Question<'a> {
    candidates: &'a [RangeRecord],
    ends: [&'a SequenceNumber; 2],
    /// `None` where nothing can be counted.
    size: Option<u64>,
    has_lanes: bool,
    is_whole: bool,
    /// An aggregate may have other user records that are not among the candidates.
    may_be_cut: bool,
}

impl Question<'_> {
    fn answer(&self) -> Narrowed {
        match self.narrowed() {
            Ok(records) => {
                let is_exact = self.is_whole && !records.contains(&InBatch::Possible) && {
                    let certain = records.iter().filter(|record| **record == InBatch::Certain).count();
                    self.size == Some(certain as u64)
                };
                Narrowed { records, is_exact, contradiction: None }
            }
            Err(contradiction) => {
                let in_batch =
                    |index| if self.is_only_end(index, |_| true) { InBatch::Certain } else { InBatch::Possible };
                let records = (0..self.candidates.len()).map(in_batch).collect();
                Narrowed { records, is_exact: false, contradiction: Some(contradiction) }
            }
        }
    }

    fn narrowed(&self) -> Result<Vec<InBatch>, Contradiction> {
        self.check_ends()?;
        let certain_keys = self.certain_keys();
        let in_batch = |(index, candidate): (usize, &RangeRecord)| {
            let is_certain = candidate.answer == Answer::Passes
                && !self.is_end(candidate)
                && (!self.has_lanes || candidate.key.as_deref().is_some_and(|key| certain_keys.contains(key)));
            match candidate.answer {
                Answer::Fails => InBatch::Excluded,
                _ if is_certain || self.is_only_end(index, RangeRecord::may_pass) => InBatch::Certain,
                _ => InBatch::Possible,
            }
        };
        let mut records: Vec<InBatch> = self.candidates.iter().enumerate().map(in_batch).collect();
        if let Some(size) = self.size {
            self.count(&mut records, size, &certain_keys)?;
        }
        Ok(records)
    }

    /// Uses the size of the batch.
    fn count(&self, records: &mut [InBatch], size: u64, certain_keys: &HashSet<&str>) -> Result<(), Contradiction> {
        let count = |wanted| records.iter().filter(|record| **record == wanted).count() as u64;
        let (certain, open, shared) = (count(InBatch::Certain), count(InBatch::Possible), self.shared_ends());
        if certain + shared > size {
            return Err(Contradiction::TooMany { certain: certain + shared, size });
        }
        if certain + open < size {
            return Err(Contradiction::TooFew { candidates: certain + open, size });
        }
        if certain + open == size {
            fill(records, |_| InBatch::Certain);
        } else if shared > 0 {
            // An aggregate may be cut in two by the batch's end: then no count is of whole records.
        } else if !self.has_lanes {
            if certain == size {
                fill(records, |_| InBatch::Excluded);
            }
        } else if let Some(chosen) = self.only_choice(records, size - certain, certain_keys)? {
            let is_chosen = |index: usize| {
                let candidate = self.candidates.get(index);
                candidate.and_then(|candidate| candidate.key.as_deref()).is_some_and(|key| chosen.contains(key))
            };
            fill(records, |index| if is_chosen(index) { InBatch::Certain } else { InBatch::Excluded });
        }
        Ok(())
    }

    /// The keys that the rest of the batch must be of. `None` where several choices add up, or nothing can be said.
    fn only_choice(
        &self,
        records: &[InBatch],
        rest: u64,
        certain_keys: &HashSet<&str>,
    ) -> Result<Option<HashSet<&str>>, Contradiction> {
        let open = || {
            let is_open = |(_, in_batch): &(&RangeRecord, &InBatch)| **in_batch == InBatch::Possible;
            self.candidates.iter().zip(records).filter(is_open).map(|(candidate, _)| candidate)
        };
        let chosen = if rest == 0 {
            HashSet::new()
        } else if open().any(|candidate| candidate.answer != Answer::Passes) {
            return Ok(None);
        } else {
            match choices(open(), rest) {
                Some(Choices::None) => return Err(Contradiction::NoChoice { size: self.size.unwrap_or_default() }),
                Some(Choices::One(chosen)) => chosen,
                Some(Choices::Several) | None => return Ok(None),
            }
        };
        Ok(self.holds_if_filtered_records_count(&chosen, certain_keys).then_some(chosen))
    }

    /// Returns true if the choice is the only one even if `batchSize` counts the records that the filters stopped.
    /// AWS says nowhere that it does not.
    fn holds_if_filtered_records_count(&self, chosen: &HashSet<&str>, certain_keys: &HashSet<&str>) -> bool {
        if self.candidates.iter().all(|candidate| candidate.answer == Answer::Passes) {
            return true;
        }
        let is_certain =
            |candidate: &&RangeRecord| candidate.key.as_deref().is_some_and(|key| certain_keys.contains(key));
        let counted = self.candidates.iter().filter(is_certain).count() as u64;
        let Some(rest) = self.size.and_then(|size| size.checked_sub(counted)) else { return true };
        match choices(self.candidates.iter().filter(|candidate| !is_certain(candidate)), rest) {
            Some(Choices::None) => true,
            Some(Choices::One(others)) => others == *chosen,
            Some(Choices::Several) | None => false,
        }
    }

    /// The keys of the ends.
    fn certain_keys(&self) -> HashSet<&str> {
        let is_only_end = |(index, _): &(usize, &RangeRecord)| self.is_only_end(*index, RangeRecord::may_pass);
        self.candidates
            .iter()
            .enumerate()
            .filter(is_only_end)
            .filter_map(|(_, candidate)| candidate.key.as_deref())
            .collect()
    }

    fn is_end(&self, candidate: &RangeRecord) -> bool {
        self.ends.contains(&&candidate.number)
    }

    /// Returns true if the record is an end, and no other counted record has its sequence number. The user records of an
    /// aggregate share one.
    fn is_only_end(&self, index: usize, counts: impl Fn(&RangeRecord) -> bool) -> bool {
        self.candidates.get(index).is_some_and(|candidate| {
            !self.may_be_cut
                && self.is_end(candidate)
                && counts(candidate)
                && self.with_number(&candidate.number, counts) == 1
        })
    }

    fn with_number(&self, number: &SequenceNumber, counts: impl Fn(&RangeRecord) -> bool) -> usize {
        let first = self.candidates.partition_point(|candidate| candidate.number < *number);
        let with_number = self.candidates.iter().skip(first).take_while(|candidate| candidate.number == *number);
        with_number.filter(|candidate| counts(candidate)).count()
    }

    /// Number of ends that several records share.
    fn shared_ends(&self) -> u64 {
        let ends: HashSet<&SequenceNumber> = self.ends.into_iter().collect();
        ends.into_iter().filter(|end| self.with_number(end, RangeRecord::may_pass) > 1).count() as u64
    }

    fn check_ends(&self) -> Result<(), Contradiction> {
        for end in self.ends {
            let is_there = self.with_number(end, |_| true) > 0;
            if !is_there && self.is_whole {
                return Err(Contradiction::NoEnd);
            }
            if is_there && !self.may_be_cut && self.with_number(end, RangeRecord::may_pass) == 0 {
                return Err(Contradiction::EndFails);
            }
        }
        Ok(())
    }
}

/// Replaces what is still open.
fn fill(records: &mut [InBatch], with: impl Fn(usize) -> InBatch) {
    for (index, record) in records.iter_mut().enumerate() {
        if *record == InBatch::Possible {
            *record = with(index);
        }
    }
}

/// The choices of keys whose records add up to a number.
enum Choices<'a> {
    None,
    One(HashSet<&'a str>),
    Several,
}

/// `None` if a record has no known key, or the work would be too much.
fn choices<'a>(candidates: impl Iterator<Item = &'a RangeRecord>, rest: u64) -> Option<Choices<'a>> {
    let mut records_of_key: HashMap<&str, usize> = HashMap::new();
    for candidate in candidates {
        *records_of_key.entry(candidate.key.as_deref()?).or_default() += 1;
    }
    let (keys, weights): (Vec<&str>, Vec<usize>) = records_of_key.into_iter().unzip();
    Some(match subset::subsets(&weights, usize::try_from(rest).ok()?)? {
        Subsets::None => Choices::None,
        Subsets::Several => Choices::Several,
        Subsets::One(places) => Choices::One(places.into_iter().filter_map(|place| keys.get(place).copied()).collect()),
    })
}

#[cfg(test)]
mod tests;
