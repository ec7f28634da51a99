//! What a replay would do: which messages can be run, in which order, and why the others cannot.

use std::collections::{BTreeMap, HashMap};

use hydration::message::part::MAX_EVENT_BYTES;
use hydration::verdict::Status;

use crate::entry::Entry;
use crate::replay::audit::{Progress, key};

/// What was typed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wishes {
    /// In place of the function that failed.
    pub function: Option<String>,
    pub include_superset: bool,
    pub in_doubt: InDoubt,
}

/// What to do with a batch whose invocation may or may not have run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum InDoubt {
    /// Leave it alone, and say so
    #[default]
    Keep,
    /// Run it again: the function must bear running twice
    Rerun,
    /// It ran: go on as if it had succeeded
    Done,
}

/// Why a message is not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    Superset,
    /// Bytes of its event.
    TooLarge,
    InDoubt,
    NothingToRun,
    /// A pipe failed, or nobody knows what.
    NoFunction,
    /// Its text cannot be had.
    Unreadable,
    /// An earlier run knew fewer records of it than there are.
    CopiesDiffer,
}

impl Refusal {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Superset => "superset",
            Self::TooLarge => "tooLarge",
            Self::InDoubt => "inDoubt",
            Self::NothingToRun => "nothingToRun",
            Self::NoFunction => "noFunction",
            Self::Unreadable => "unreadable",
            Self::CopiesDiffer => "copiesDiffer",
        }
    }

    /// What it means, and what to do.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Superset => "a superset: it would run records that had succeeded; --include-superset runs it",
            Self::TooLarge => "larger than the 6 MB that an invocation takes; dlq export writes it to a file",
            Self::InDoubt => {
                "in doubt: an earlier run was cut off while it was invoked; look at the function's log, then give \
                 --in-doubt rerun or --in-doubt done"
            }
            Self::NothingToRun => {
                "nothing is left to run; dlq discard takes it off the queue when it has been dealt with"
            }
            Self::NoFunction => "no Lambda function failed on it; --function names one to run it on",
            Self::Unreadable => "not readable; dlq show says why",
            Self::CopiesDiffer => "it holds records that an earlier, partial run did not know of; run it by hand",
        }
    }
}

/// One message, or several copies of it, to be run.
#[derive(Debug, Clone)]
pub struct Unit {
    pub entry: Entry,
    pub function: String,
    /// It keeps its place in the shard's order, and is not run: what is behind it must not overtake it.
    pub is_in_doubt: bool,
}

/// The messages of one function and shard, in the shard's order.
pub type Lane = Vec<Unit>;

#[derive(Debug, Clone, Default)]
pub struct Plan {
    pub lanes: Vec<Lane>,
    pub refused: Vec<(Entry, Refusal)>,
    /// Ran in an earlier run, and only wait for their deletion; they are in the lanes too.
    pub done: u64,
}

impl Plan {
    pub fn units(&self) -> impl Iterator<Item = &Unit> {
        self.lanes.iter().flatten()
    }
}

/// `event_bytes` says the exact size of those events for which it matters.
pub fn plan(
    entries: Vec<Entry>,
    wishes: &Wishes,
    known: &HashMap<(String, String), Progress>,
    event_bytes: &HashMap<String, usize>,
) -> Plan {
    let mut plan = Plan::default();
    let mut lanes: BTreeMap<(String, Option<String>, Option<String>), Lane> = BTreeMap::new();
    for entry in entries {
        let function = wishes.function.clone().or_else(|| invocable(&entry));
        let progress = function.as_ref().and_then(|function| known.get(&key(&entry.id, function)));
        match (refusal(&entry, wishes, event_bytes), function) {
            (Some(refusal), _) => plan.refused.push((entry, refusal)),
            (None, None) => plan.refused.push((entry, Refusal::NoFunction)),
            (None, Some(function)) => {
                plan.done += u64::from(progress.is_some_and(|progress| is_done(&entry, progress)));
                let is_in_doubt =
                    wishes.in_doubt == InDoubt::Keep && progress.is_some_and(|progress| progress.in_doubt.is_some());
                let lane = (key("", &function).1, entry.stream.clone(), entry.shard.clone());
                lanes.entry(lane).or_default().push(Unit { entry, function, is_in_doubt });
            }
        }
    }
    plan.lanes = lanes.into_values().collect();
    for lane in &mut plan.lanes {
        // Parts of one batch follow each other by their sequence numbers too.
        lane.sort_by(|a, b| {
            (&a.entry.first, &a.entry.last, &a.entry.id).cmp(&(&b.entry.first, &b.entry.last, &b.entry.id))
        });
    }
    plan
}

/// The function that failed, as the mapping names it.
fn invocable(entry: &Entry) -> Option<String> {
    entry.function_arn.clone().filter(|arn| arn.contains(":lambda:"))
}

fn refusal(entry: &Entry, wishes: &Wishes, event_bytes: &HashMap<String, usize>) -> Option<Refusal> {
    if entry.trouble.is_some() {
        return Some(Refusal::Unreadable);
    }
    if entry.records == 0 {
        return Some(Refusal::NothingToRun);
    }
    if entry.status == Status::Superset && !wishes.include_superset {
        return Some(Refusal::Superset);
    }
    let is_too_large = event_bytes.get(&entry.id).is_some_and(|bytes| *bytes > MAX_EVENT_BYTES);
    is_too_large.then_some(Refusal::TooLarge)
}

/// As far as can be told without its records.
fn is_done(entry: &Entry, progress: &Progress) -> bool {
    let Some((first, last)) = entry.first.as_ref().zip(entry.last.as_ref()) else { return false };
    progress.done.iter().any(|done| done.first <= *first && *last <= done.last && done.records >= entry.records)
}
