//! Replays of the batches on the queue, counted by how they ended, from the ledger.

use anyhow::Result;
use serde::Serialize;

use crate::commands::histories::Histories;
use crate::ledger::history::{HistoryJson, State};
use crate::print::{Output, Paint, count, printable, short_id, thousands};
use crate::queue::hydrated_message::HydratedMessage;

/// Batches of which a line is printed, those in doubt first.
const MAX_LINES: usize = 5;

/// A batch on one function.
struct Tried<'a> {
    id: &'a str,
    line: &'a str,
    json: &'a HistoryJson,
}

pub struct Replays<'a>(Vec<Tried<'a>>);

impl<'a> Replays<'a> {
    /// The replays, those first that need a person most; `None` where there are none.
    pub fn of(messages: &'a [HydratedMessage], histories: &'a Histories) -> Option<Self> {
        let tried = messages.iter().filter_map(|message| Some((message, histories.of(message)?)));
        let mut tried: Vec<Tried<'a>> = tried
            .flat_map(|(message, history)| {
                let functions = history.lines.iter().zip(&history.json);
                functions.map(|(line, json)| Tried { id: &message.id, line, json })
            })
            .collect();
        tried.sort_by_key(|tried| tried.json.state);
        (!tried.is_empty()).then_some(Self(tried))
    }

    fn in_state(&self, state: State) -> u64 {
        self.0.iter().filter(|tried| tried.json.state == state).count() as u64
    }

    pub fn print(&self, output: &Output) -> Result<()> {
        let states = [
            (State::InDoubt, "in doubt"),
            (State::PartlyDone, "partly done"),
            (State::Failed, "failed again"),
            (State::Succeeded, "succeeded"),
        ];
        let counted = states.into_iter().map(|(state, words)| (self.in_state(state), words));
        let counts: Vec<String> = counted
            .filter(|(number, _)| *number > 0)
            .map(|(number, words)| format!("{} {words}", thousands(number)))
            .collect();
        output.line(format!("\n{}: {}", output.paint(Paint::Bold, "Replays"), counts.join(", ")))?;
        for tried in self.0.iter().take(MAX_LINES) {
            let id = output.paint(Paint::Cyan, printable(&short_id(tried.id)));
            output.line(format!("  {id}  {}", printable(tried.line)))?;
        }
        match self.0.len().saturating_sub(MAX_LINES) {
            0 => Ok(()),
            more => output.line(format!("  and {}: see dlq list", count(more as u64, "other", "others"))),
        }
    }
}

/// The counts, and the replay to look at first, as JSON: `{"replays": {…}}`.
impl Serialize for Replays<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct ReplayCounts<'a> {
            in_doubt: u64,
            partly_done: u64,
            failed: u64,
            succeeded: u64,
            /// The id of the batch to look at first, and its history.
            example: Option<&'a str>,
            history: Option<&'a HistoryJson>,
        }
        #[derive(Serialize)]
        struct Line<'a> {
            replays: ReplayCounts<'a>,
        }
        let first = self.0.first();
        let replays = ReplayCounts {
            in_doubt: self.in_state(State::InDoubt),
            partly_done: self.in_state(State::PartlyDone),
            failed: self.in_state(State::Failed),
            succeeded: self.in_state(State::Succeeded),
            example: first.map(|tried| tried.id),
            history: first.map(|tried| tried.json),
        };
        Line { replays }.serialize(serializer)
    }
}
