//! The first screen: what failed, since when, how many records, how many are lost, and what to do before when.

use hydration::incident::Incident;
use hydration::timestamp::Timestamp;
use hydration::verdict::Status;

use super::page_text::{PageText, minute};
use super::retention::first_deletion;
use super::totals::{FailedFunction, RecordTotals};
use super::{ReportFacts, history_rows::HistorySection};
use crate::print::{count, short_id, thousands, time};
use crate::queue::hydrated_message::HydratedMessage;

/// Below this time to the deletion of the oldest message, it is marked.
const URGENT_MILLIS: i64 = 2 * 24 * 60 * 60 * 1000;
/// Functions that are named in the first sentence.
const MAX_NAMED: usize = 3;

/// A number with its meaning.
#[derive(Debug, Clone, PartialEq)]
pub struct Tile {
    pub label: &'static str,
    pub value: String,
    pub words: String,
    pub class: &'static str,
}

/// One thing to do, with its command.
#[derive(Debug, Clone, PartialEq)]
pub struct NextStep {
    pub words: String,
    pub command: Option<PageText>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Overview {
    pub sentences: Vec<PageText>,
    pub tiles: Vec<Tile>,
    pub steps: Vec<NextStep>,
}

impl Overview {
    pub fn of(
        facts: &ReportFacts<'_>,
        functions: &[FailedFunction<'_>],
        incidents: &[Incident],
        history: Option<&HistorySection>,
    ) -> Self {
        let totals = RecordTotals::of(facts.messages);
        let deletion = first_deletion(functions, facts.retention);
        Self {
            sentences: sentences(facts, functions, &totals, deletion),
            tiles: if functions.is_empty() { Vec::new() } else { tiles(facts, functions, &totals, deletion) },
            steps: steps(facts, incidents, &totals, history),
        }
    }
}

fn sentences(
    facts: &ReportFacts<'_>,
    functions: &[FailedFunction<'_>],
    totals: &RecordTotals<'_>,
    deletion: Option<Timestamp>,
) -> Vec<PageText> {
    let Some((first, last)) = totals.first.zip(totals.last) else {
        let is_all = !facts.source.is_archive || facts.filters.is_empty();
        let text = if is_all && facts.summary.is_complete() && facts.messages.is_empty() && facts.summary.filtered == 0
        {
            format!("No failed batch is {}.", facts.source.here)
        } else {
            "No failed batch was found that the filters let pass.".to_owned()
        };
        return vec![PageText::sentence(&text)];
    };
    let mut names: Vec<String> = functions.iter().take(MAX_NAMED).map(|each| short_name(&each.name)).collect();
    let others = functions.len().saturating_sub(names.len()) as u64;
    names.extend((others > 0).then(|| count(others, "other function", "other functions")));
    let failed = format!(
        "{} failed: {} since {}, the latest {} ago.",
        listed(&names),
        count(totals.batches(), "batch", "batches"),
        minute(first),
        time::age(facts.now.millis_since(last))
    );
    let came_back = match (totals.records, totals.lost) {
        (0, 0) => "No record came back.".to_owned(),
        (records, 0) => format!("All {} came back from the stream; none is known to be lost.", of_records(records)),
        (0, lost) => {
            format!("None of the {} came back: they are lost, unless the producer has them.", of_records(lost))
        }
        (records, lost) => format!(
            "{} came back from the stream and {} {}; {} lost, unless the producer has them.",
            count(records, "record", "records"),
            if facts.source.is_archive { "are" } else { "wait" },
            facts.source.here,
            count(lost, "is", "are")
        ),
    };
    let mut sentences = vec![PageText::sentence(&failed), PageText::sentence(&came_back)];
    if let Some(at) = deletion.filter(|_| totals.records > 0) {
        let left = at.millis_since(facts.now);
        let text =
            format!("Replay before {}, in {}: then SQS begins to delete the messages.", minute(at), time::age(left));
        sentences.push(PageText::sentence(&text));
    }
    sentences
}

/// A name that leaves room for the rest of the sentence.
fn short_name(name: &str) -> String {
    match name.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", name.get(..end).unwrap_or_default()),
        None => name.to_owned(),
    }
}

fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

fn of_records(number: u64) -> String {
    count(number, "record", "records")
}

fn tiles(
    facts: &ReportFacts<'_>,
    functions: &[FailedFunction<'_>],
    totals: &RecordTotals<'_>,
    deletion: Option<Timestamp>,
) -> Vec<Tile> {
    let mut tiles = vec![
        Tile {
            label: "Failed batches",
            value: thousands(totals.batches()),
            words: format!("of {}", count(functions.len() as u64, "function", "functions")),
            class: "",
        },
        Tile {
            label: "Records came back",
            value: thousands(totals.records),
            words: facts.source.here.to_owned(),
            class: "",
        },
        Tile {
            label: "Records lost",
            value: thousands(totals.lost),
            words: if totals.lost == 0 { "none is missing" } else { "no longer in the stream" }.to_owned(),
            class: if totals.lost == 0 { "good" } else { "bad" },
        },
    ];
    tiles.extend(deletion.map(|at| {
        let left = at.millis_since(facts.now);
        Tile {
            label: "SQS deletes the first",
            value: format!("in {}", time::age(left)),
            words: minute(at),
            class: if left < URGENT_MILLIS { "bad" } else { "" },
        }
    }));
    tiles
}

/// The next steps, the most urgent first.
fn steps(
    facts: &ReportFacts<'_>,
    incidents: &[Incident],
    totals: &RecordTotals<'_>,
    history: Option<&HistorySection>,
) -> Vec<NextStep> {
    let command = |text: &str| Some(PageText::sentence(&format!("dlq {text}{}", facts.location_flags)));
    let mut steps = Vec::new();
    let mut step = |words: &str, command| steps.push(NextStep { words: words.to_owned(), command });
    let in_doubt = history.map_or(0, |history| history.in_doubt);
    if in_doubt > 0 {
        let replays = count(in_doubt, "replay is", "replays are");
        let words = format!("{replays} in doubt. Look at the function's log, then say if the records have run.");
        step(&words, command(&format!("replay --all{} --in-doubt …", facts.filters)));
    }
    if let Some(incident) = incidents.iter().find(|incident| incident.records > 0).or(incidents.first()) {
        let show = command(&format!("show {} --logs", short_id(&incident.example)));
        step("Find the cause in the latest batch: its facts, its suspects, the function's log.", show);
    }
    if totals.records > 0 {
        let replay = command(&format!("replay --all{}", facts.filters));
        step("Correct the cause, then see what a replay would do. Nothing is invoked without --execute.", replay);
    }
    if totals.lost > 0 {
        let lost = count(totals.lost, "lost record", "lost records");
        step(&format!("Ask the producers for the {lost}."), None);
    }
    let is_spent = |message: &HydratedMessage| matches!(message.status, Status::Expired | Status::Gone);
    if !facts.source.is_archive && facts.messages.iter().any(is_spent) {
        let statuses = if facts.filters.contains("--status") { "" } else { " --status Expired,Gone" };
        let discard = format!("discard --all{statuses}{}", facts.filters);
        step("Take batches without a record off the queue when they were dealt with.", command(&discard));
    }
    if facts.summary.foreign > 0 {
        step("Look at the messages that are not hydrated.", command("list"));
    }
    steps
}
