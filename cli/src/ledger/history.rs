//! The history of a batch in words, for `show`, `list`, `status` and the plan.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use hydration::ports::Clock;
use serde::Serialize;
use serde_with::skip_serializing_none;

use super::Ledger;
use super::error::LedgerError;
use super::record::{Attempt, AttemptOutcome, Run, Who};
use super::span::count;
use super::store::Store;
use crate::print::visible::Visible;

/// The state of a batch on a function. In JSON: `untried`, `inDoubt`, `succeeded`, `partlyDone` or `failed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    InDoubt,
    PartlyDone,
    /// Tried, and no record has succeeded.
    Failed,
    /// Every record has succeeded.
    Succeeded,
    /// Nothing was tried.
    Untried,
}

impl Run {
    pub fn state(&self) -> State {
        match count(&self.done) {
            _ if self.claim.is_some() => State::InDoubt,
            0 if self.attempts_made == 0 => State::Untried,
            0 => State::Failed,
            done if done >= self.records => State::Succeeded,
            _ => State::PartlyDone,
        }
    }

    /// The latest attempt that has an outcome.
    pub fn last_attempt(&self) -> Option<&Attempt> {
        self.attempts.last()
    }

    /// The history in one sentence.
    pub fn sentence(&self) -> String {
        if let Some(in_doubt) = InDoubt::of(self) {
            return in_doubt.summary();
        }
        let done = match self.state() {
            State::Untried | State::InDoubt => return "not tried".to_owned(),
            State::Succeeded => format!("succeeded on {}", Visible::line(&self.function)),
            State::PartlyDone => {
                let (done, all) = (count(&self.done), self.records);
                format!("{done} of {all} records succeeded on {}", Visible::line(&self.function))
            }
            State::Failed => format!("failed on {}", Visible::line(&self.function)),
        };
        let times = if self.attempts_made == 1 { "once".to_owned() } else { format!("{} times", self.attempts_made) };
        let last = self.last_attempt().map(last).unwrap_or_default();
        format!("{done}; tried {times}{last}")
    }
}

/// The history of one batch on one function, for JSON.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryJson {
    pub function: String,
    pub state: State,
    pub records: u64,
    pub done: u64,
    pub attempts: u32,
    /// The latest attempt, or the open claim.
    pub by: Option<String>,
    pub at: Option<String>,
    pub error_type: Option<String>,
    pub request_id: Option<String>,
}

impl From<&Run> for HistoryJson {
    fn from(run: &Run) -> Self {
        let (by, at, error_type, request_id) = match (&run.claim, run.last_attempt()) {
            (Some(claim), _) => {
                let unknown = claim.unknown.clone().unwrap_or_default();
                (Some(&claim.by), Some(&claim.at), unknown.error_type, unknown.request_id)
            }
            (None, Some(last)) => {
                (Some(&last.by), Some(&last.finished_at), last.error_type.clone(), last.request_id.clone())
            }
            (None, None) => (None, None, None, None),
        };
        Self {
            function: run.function.clone(),
            state: run.state(),
            records: run.records,
            done: count(&run.done),
            attempts: run.attempts_made,
            by: by.map(name),
            at: at.cloned(),
            error_type,
            request_id,
        }
    }
}

/// The history of a batch on every function that it was tried on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BatchHistory {
    /// A sentence for each function.
    pub lines: Vec<String>,
    pub json: Vec<HistoryJson>,
}

/// Histories by message id: for `show`, `list` and `status`. A batch that was never tried has none.
pub async fn histories_of<S: Store, C: Clock>(
    ledger: &Ledger<S, C>,
    ids: &BTreeSet<&str>,
) -> Result<BTreeMap<String, BatchHistory>, LedgerError> {
    let mut histories: BTreeMap<String, BatchHistory> = BTreeMap::new();
    for (key, known) in ledger.histories(ids).await? {
        let history = histories.entry(key.batch).or_default();
        history.lines.push(known.run.sentence());
        history.json.push(HistoryJson::from(&known.run));
    }
    Ok(histories)
}

fn last(attempt: &Attempt) -> String {
    let mut text = match (attempt.outcome, &attempt.settled_by) {
        (AttemptOutcome::SettledRerun, Some(who)) => format!(", settled as rerun by {}", name(who)),
        (AttemptOutcome::SettledDone, Some(who)) => format!(", settled as done by {}", name(who)),
        _ => format!(", last by {}", name(&attempt.by)),
    };
    text += &format!(" at {}", Visible::line(&attempt.finished_at));
    if let Some(error) = &attempt.error_type {
        text += &format!(", error type {}", Visible::line(error));
    }
    if let Some(request) = &attempt.request_id {
        text += &format!(", request id {}", Visible::line(request));
    }
    text
}

/// The person and the machine, in one text.
pub fn name(who: &Who) -> String {
    format!("{} on {}", Visible::line(&who.user), Visible::line(&who.host))
}

/// A claim without an outcome, as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InDoubt {
    pub by: Who,
    pub since: String,
    pub function: String,
    /// Records that may have run.
    pub records: u64,
    pub request_id: Option<String>,
}

impl InDoubt {
    pub fn of(run: &Run) -> Option<Self> {
        let claim = run.claim.as_ref()?;
        Some(Self {
            by: claim.by.clone(),
            since: claim.at.clone(),
            function: run.function.clone(),
            records: count(&claim.records),
            request_id: claim.unknown.as_ref().and_then(|unknown| unknown.request_id.clone()),
        })
    }

    /// One line, without advice.
    pub fn summary(&self) -> String {
        let request = self.request_id.as_deref().map(|id| format!(", request id {}", Visible::line(id)));
        format!(
            "in doubt since {}: {} claimed {} for {}, and no outcome is known{}",
            Visible::line(&self.since),
            name(&self.by),
            if self.records == 1 { "1 record".to_owned() } else { format!("{} records", self.records) },
            Visible::line(&self.function),
            request.unwrap_or_default()
        )
    }
}

impl fmt::Display for InDoubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let advice = "look at the function's log, then give --in-doubt rerun or --in-doubt done";
        write!(f, "{}\n  → {advice}", self.summary())
    }
}
