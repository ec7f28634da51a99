//! Tables of the page: records by status, by function and by shard.

use std::collections::BTreeMap;

use hydration::verdict::Status;

use super::page_text::{PageText, minute_or_dash};
use super::totals::{FailedFunction, RecordTotals, TotalCells};
use crate::commands::show::facts::meaning;
use crate::print::{Paint, count, status_paint};
use crate::queue::hydrated_message::HydratedMessage;

const MAX_FUNCTIONS: usize = 50;
const MAX_SHARDS: usize = 100;

/// The class that colours a status.
pub fn status_class(status: Status) -> &'static str {
    match status_paint(status) {
        Paint::Green => "good",
        Paint::Red => "bad",
        _ => "warn",
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct StatusRow {
    pub status: &'static str,
    pub class: &'static str,
    pub meaning: &'static str,
    pub cells: TotalCells,
}

/// A row for each status that a message has.
pub fn by_status(messages: &[HydratedMessage]) -> Vec<StatusRow> {
    let row = |status: Status| {
        let totals = RecordTotals::of(messages.iter().filter(|message| message.status == status));
        let (class, meaning) = (status_class(status), meaning(status));
        (totals.batches() > 0).then(|| StatusRow { status: status.as_str(), class, meaning, cells: totals.cells() })
    };
    Status::ALL.into_iter().filter_map(row).collect()
}

/// A table of which some rows may be left out.
#[derive(Debug, Clone, PartialEq)]
pub struct CutTable<R> {
    pub rows: Vec<R>,
    /// The number of rows that are left out, in words.
    pub left_out: Option<String>,
}

impl<R> CutTable<R> {
    pub fn new(mut rows: Vec<R>, max_rows: usize, one: &str, many: &str) -> Self {
        let left_out = rows.len().saturating_sub(max_rows);
        rows.truncate(max_rows);
        let words = || format!("Left out: {}.", count(left_out as u64, one, many));
        Self { rows, left_out: (left_out > 0).then(words) }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct FunctionRow {
    pub function: PageText,
    pub cells: TotalCells,
    pub first: String,
    pub last: String,
}

pub fn function_rows(functions: &[FailedFunction<'_>]) -> CutTable<FunctionRow> {
    let row = |function: &FailedFunction<'_>| FunctionRow {
        function: PageText::name(&function.name),
        cells: function.totals.cells(),
        first: minute_or_dash(function.totals.first),
        last: minute_or_dash(function.totals.last),
    };
    let rows = functions.iter().map(row).collect();
    CutTable::new(rows, MAX_FUNCTIONS, "function with fewer records", "functions with fewer records")
}

#[derive(Debug, Clone, PartialEq)]
pub struct ShardRow {
    pub stream: PageText,
    pub shard: PageText,
    pub cells: TotalCells,
    pub first: String,
    pub last: String,
}

/// A row for each shard, those with the most records first.
pub fn by_shard(messages: &[HydratedMessage]) -> CutTable<ShardRow> {
    let mut shards: BTreeMap<(&str, &str), RecordTotals<'_>> = BTreeMap::new();
    for message in messages {
        let shard = (message.stream_name(), message.shard.as_deref().unwrap_or("-"));
        shards.entry(shard).or_default().add(message);
    }
    let mut shards: Vec<_> = shards.into_iter().collect();
    shards.sort_by_key(|(_, totals)| std::cmp::Reverse((totals.all(), totals.batches())));
    let row = |((stream, shard), totals): ((&str, &str), RecordTotals<'_>)| ShardRow {
        stream: PageText::name(stream),
        shard: PageText::name(shard),
        cells: totals.cells(),
        first: minute_or_dash(totals.first),
        last: minute_or_dash(totals.last),
    };
    let rows = shards.into_iter().map(row).collect();
    CutTable::new(rows, MAX_SHARDS, "shard with fewer records", "shards with fewer records")
}
