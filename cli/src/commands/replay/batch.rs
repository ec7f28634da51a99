//! The records of a batch, numbered as its shard numbers them, and the choice of those to run.

use std::collections::BTreeSet;

use hydration::message::parsed::ParsedMessage;
use hydration::record::event::EventRecord;
use hydration::sequence_number::SequenceNumber;
use serde_json::value::RawValue;

use crate::ledger::claim::Known;
use crate::ledger::span::{Coverage, Span, coverage, spans};

/// A record of a batch: its sequence number, and its text as Lambda delivered it.
#[derive(Debug, Clone)]
pub struct NumberedRecord<'a> {
    pub number: SequenceNumber,
    pub raw: &'a RawValue,
}

/// The records of a batch, and which of them are to be run.
pub struct Batch<'a> {
    pub records: Vec<NumberedRecord<'a>>,
    pub numbers: Vec<SequenceNumber>,
    pub is_to_run: Vec<bool>,
    /// Records that are not to be run at all, because they were not in the failed batch.
    pub is_left_out: Vec<bool>,
}

impl<'a> Batch<'a> {
    pub fn to_run(&self) -> Vec<&NumberedRecord<'a>> {
        self.records
            .iter()
            .zip(&self.is_to_run)
            .filter(|(_, is_to_run)| **is_to_run)
            .map(|(record, _)| record)
            .collect()
    }

    /// Ranges of the first records among those to run.
    pub fn spans_of_first(&self, number: usize) -> Vec<Span> {
        let mut places = (0..self.records.len()).filter(|place| self.is_to_run.get(*place) == Some(&true)).take(number);
        let chosen: BTreeSet<usize> = places.by_ref().collect();
        // Records that share a sequence number are run together and fail together.
        spans(&self.numbers, |place| chosen.contains(&place)).unwrap_or_default()
    }

    pub fn not_covered_by(&self, known: &Known) -> usize {
        match coverage(&known.run.done, &self.numbers) {
            Coverage::Known(covered) => {
                let all = covered.iter().zip(&self.is_left_out);
                all.filter(|(covered, is_left_out)| !**covered && !**is_left_out).count()
            }
            Coverage::MoreThanWereRun => self.records.len(),
        }
    }
}

/// All records of a message; `None` where one of them has no sequence number.
pub fn numbered_records(received: &ParsedMessage) -> Option<Vec<NumberedRecord<'_>>> {
    let source = received.head.batch.as_ref()?.stream.source();
    let number = |raw: &RawValue| EventRecord::parse(source, raw).map(|event| event.sequence_number().clone());
    received.records.iter().map(|raw| Some(NumberedRecord { number: number(raw)?, raw })).collect()
}
