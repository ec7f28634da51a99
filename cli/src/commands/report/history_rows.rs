//! Replays and discards from the ledger: who did what, when, and how it ended.

use std::collections::BTreeSet;

use hydration::timestamp::Timestamp;

use super::page_text::{PageText, minute_or_dash};
use super::tables::CutTable;
use crate::ledger::discard::Discarded;
use crate::ledger::history::{State, name};
use crate::ledger::record::{Attempt, AttemptOutcome, OpenClaim, Run};
use crate::ledger::span;
use crate::print::{count, short_id, thousands};
use crate::queue::filter_args::{FilterArgs, split_qualifier};

const MAX_ROWS: usize = 200;

/// Everything that the ledger has.
#[derive(Debug, Clone, Default)]
pub struct LedgerContent {
    pub runs: Vec<Run>,
    pub discards: Vec<Discarded>,
}

/// An attempt, an open claim, or a discard.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryRow {
    at: Option<Timestamp>,
    pub time: String,
    pub by: PageText,
    pub deed: &'static str,
    pub class: &'static str,
    pub batch: PageText,
    pub is_on_queue: bool,
    pub function: PageText,
    pub records: String,
    pub detail: PageText,
}

#[derive(Debug, Clone, PartialEq)]
pub struct HistorySection {
    pub table: CutTable<HistoryRow>,
    /// Batches by how they ended, in words.
    pub counts: String,
    pub in_doubt: u64,
    pub notes: Vec<String>,
}

/// The messages that the ledger is compared with, by their ids.
pub struct QueueIds<'a> {
    /// Those that pass the filters.
    pub chosen: BTreeSet<&'a str>,
    /// Those that do not.
    pub others: BTreeSet<&'a str>,
    /// Words for all others of the ledger.
    pub elsewhere: &'static str,
}

impl HistorySection {
    pub fn of(ledger: &LedgerContent, ids: &QueueIds<'_>, filter: &FilterArgs, now: Timestamp) -> Self {
        let (mut rows, mut notes) = (Vec::new(), Vec::new());
        let runs: Vec<&Run> = ledger.runs.iter().filter(|run| takes_run(run, ids, filter)).collect();
        let mut dropped = 0;
        for run in &runs {
            let is_on_queue = ids.chosen.contains(run.batch.as_str());
            rows.extend(run.claim.iter().map(|claim| claim_row(run, claim, is_on_queue)));
            rows.extend(run.attempts.iter().map(|attempt| attempt_row(run, attempt, is_on_queue)));
            dropped += u64::from(run.attempts_made).saturating_sub(run.attempts.len() as u64);
        }
        let discards = ledger.discards.iter().filter(|discarded| !ids.others.contains(discarded.id.as_str()));
        let is_of_any_function = filter.function.is_none() && filter.shard.is_none();
        if is_of_any_function {
            rows.extend(discards.map(|discarded| discard_row(discarded, ids.chosen.contains(discarded.id.as_str()))));
        } else {
            let left_out = discards.count() as u64;
            if left_out > 0 {
                notes.push(format!(
                    "Left out: {}. The ledger does not say which function and shard they were of.",
                    count(left_out, "discarded message", "discarded messages")
                ));
            }
        }
        let (since, until) = (filter.since.map(|at| at.resolve(now)), filter.until.map(|at| at.resolve(now)));
        // What is on the queue has passed the filter by the time of its failure.
        rows.retain(|row| {
            row.is_on_queue
                || (since.is_none_or(|since| row.at.is_some_and(|at| at >= since))
                    && until.is_none_or(|until| row.at.is_some_and(|at| at < until)))
        });
        rows.sort_by(|a, b| b.at.cmp(&a.at).then_with(|| a.batch.cmp(&b.batch)));
        if dropped > 0 {
            notes
                .push(format!("The ledger keeps no more than the latest 20 attempts of a batch; {dropped} are older."));
        }
        if !filter.status.is_empty() || filter.source.is_some() || filter.limit.is_some() {
            notes.push(format!(
                "--status, --source and --limit do not apply to batches that are {}: the ledger does not know their \
                 status.",
                ids.elsewhere
            ));
        }
        Self {
            counts: counts(&runs),
            in_doubt: runs.iter().filter(|run| run.state() == State::InDoubt).count() as u64,
            table: CutTable::new(rows, MAX_ROWS, "older entry", "older entries"),
            notes,
        }
    }
}

fn takes_run(run: &Run, ids: &QueueIds<'_>, filter: &FilterArgs) -> bool {
    if ids.chosen.contains(run.batch.as_str()) {
        return true;
    }
    let shard = run.shard.as_ref();
    let takes_shard = filter.shard.as_ref().is_none_or(|wanted| {
        shard.is_some_and(|own| {
            let stream = own.stream_arn.split('/').nth(1).unwrap_or(&own.stream_arn);
            wanted.takes_shard(stream, &own.shard_id)
        })
    });
    let takes_function =
        filter.function.as_ref().is_none_or(|wanted| wanted.takes_function(split_qualifier(&run.function).0, None));
    !ids.others.contains(run.batch.as_str()) && takes_shard && takes_function
}

fn counts(runs: &[&Run]) -> String {
    let states = [
        (State::InDoubt, "in doubt"),
        (State::PartlyDone, "partly done"),
        (State::Failed, "failed again"),
        (State::Succeeded, "succeeded"),
    ];
    let in_state = |state| runs.iter().filter(|run| run.state() == state).count() as u64;
    let counted = states.into_iter().map(|(state, words)| (in_state(state), words));
    let words =
        counted.filter(|(number, _)| *number > 0).map(|(number, words)| format!("{} {words}", thousands(number)));
    words.collect::<Vec<_>>().join(", ")
}

fn row(run: &Run, is_on_queue: bool, at: &str) -> HistoryRow {
    let at = Timestamp::parse(at);
    HistoryRow {
        at,
        time: minute_or_dash(at),
        by: PageText::default(),
        deed: "",
        class: "",
        batch: PageText::name(&short_id(&run.batch)),
        is_on_queue,
        function: PageText::name(function_and_qualifier(&run.function)),
        records: String::new(),
        detail: PageText::default(),
    }
}

fn attempt_row(run: &Run, attempt: &Attempt, is_on_queue: bool) -> HistoryRow {
    let (deed, class) = match attempt.outcome {
        AttemptOutcome::Succeeded => ("replayed: succeeded", "good"),
        AttemptOutcome::Partly => ("replayed: partly succeeded", "warn"),
        AttemptOutcome::Failed => ("replayed: failed again", "bad"),
        AttemptOutcome::NotInvoked => ("not invoked", "warn"),
        AttemptOutcome::SettledRerun => ("was in doubt: run again", "warn"),
        AttemptOutcome::SettledDone => ("was in doubt: counted as done", "warn"),
    };
    let settled = attempt.settled_by.as_ref().map(|who| format!("settled by {}", name(who)));
    let error = attempt.error_type.as_ref().map(|error| format!("error type {error}"));
    let request = attempt.request_id.as_ref().map(|id| format!("request {id}"));
    let details: Vec<String> = [error, settled, request].into_iter().flatten().collect();
    HistoryRow {
        by: PageText::name(&name(&attempt.by)),
        deed,
        class,
        records: format!("{} of {}", thousands(attempt.succeeded), thousands(attempt.records)),
        detail: PageText::name(&details.join(", ")),
        ..row(run, is_on_queue, &attempt.finished_at)
    }
}

fn claim_row(run: &Run, claim: &OpenClaim, is_on_queue: bool) -> HistoryRow {
    HistoryRow {
        by: PageText::name(&name(&claim.by)),
        deed: "in doubt: no outcome is known",
        class: "bad",
        records: format!("? of {}", thousands(span::count(&claim.records))),
        detail: PageText::name("settle it with --in-doubt rerun or --in-doubt done"),
        ..row(run, is_on_queue, &claim.at)
    }
}

fn discard_row(discarded: &Discarded, is_on_queue: bool) -> HistoryRow {
    let at = Timestamp::parse(&discarded.at);
    HistoryRow {
        at,
        time: minute_or_dash(at),
        by: PageText::name(&name(&discarded.by)),
        deed: "discarded",
        class: "warn",
        batch: PageText::name(&short_id(&discarded.id)),
        is_on_queue,
        function: PageText::name("-"),
        records: thousands(discarded.records),
        detail: PageText::default(),
    }
}

/// The name of a function in an ARN, with its version or alias.
fn function_and_qualifier(arn: &str) -> &str {
    arn.split_once(":function:").map_or(arn, |(_, name)| name)
}
