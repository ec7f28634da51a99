//! Sums over messages: batches, records that came back, and records that are lost.

use std::collections::{BTreeMap, BTreeSet};

use hydration::timestamp::Timestamp;

use crate::print::thousands;
use crate::queue::hydrated_message::HydratedMessage;

/// Sums over some messages. Parts of a batch count as one batch.
#[derive(Debug, Clone, Default)]
pub struct RecordTotals<'a> {
    batches: BTreeSet<&'a str>,
    pub records: u64,
    pub lost: u64,
    pub first: Option<Timestamp>,
    pub last: Option<Timestamp>,
}

impl<'a> RecordTotals<'a> {
    pub fn of(messages: impl IntoIterator<Item = &'a HydratedMessage>) -> Self {
        let mut totals = Self::default();
        messages.into_iter().for_each(|message| totals.add(message));
        totals
    }

    pub fn add(&mut self, message: &'a HydratedMessage) {
        self.batches.insert(message.batch_id());
        self.records = self.records.saturating_add(message.records);
        // The sender of the invocation record chooses the batch size, and with it what is missing.
        self.lost = self.lost.saturating_add(message.missing.unwrap_or(0));
        let time = message.failed_or_sent_at();
        self.first = self.first.into_iter().chain(time).min();
        self.last = self.last.max(time);
    }

    pub fn batches(&self) -> u64 {
        self.batches.len() as u64
    }

    pub fn all(&self) -> u64 {
        self.records.saturating_add(self.lost)
    }

    /// The three numbers as the cells of a table have them.
    pub fn cells(&self) -> TotalCells {
        TotalCells { batches: thousands(self.batches()), records: thousands(self.records), lost: thousands(self.lost) }
    }
}

/// Sums in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TotalCells {
    pub batches: String,
    pub records: String,
    pub lost: String,
}

/// The messages of one function.
pub struct FailedFunction<'a> {
    pub name: String,
    pub messages: Vec<&'a HydratedMessage>,
    pub totals: RecordTotals<'a>,
}

/// The messages by the function that failed, those with the most records first.
pub fn by_function(messages: &[HydratedMessage]) -> Vec<FailedFunction<'_>> {
    let mut groups: BTreeMap<&str, Vec<&HydratedMessage>> = BTreeMap::new();
    for message in messages {
        let name = message.function_name().or(message.function_arn.as_deref()).unwrap_or("-");
        groups.entry(name).or_default().push(message);
    }
    let mut functions: Vec<FailedFunction<'_>> = groups
        .into_iter()
        .map(|(name, messages)| FailedFunction {
            name: name.to_owned(),
            totals: RecordTotals::of(messages.iter().copied()),
            messages,
        })
        .collect();
    functions.sort_by_key(|function| std::cmp::Reverse((function.totals.all(), function.totals.batches())));
    functions
}
