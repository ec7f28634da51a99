//! Words that the mail and the chat share.

use hydration::incident::{Incident, IncidentResult};
use hydration::text::{age, count, printable, short_id, thousands};
use hydration::timestamp::Timestamp;
use hydration::verdict::Status;

use super::Excerpt;
use crate::report::{DigestReport, ReportedIncident, is_loss};
use crate::window::DigestWindow;

/// The limit of SNS: a subject is under 100 characters
/// (<https://docs.aws.amazon.com/sns/latest/api/API_Publish.html>).
const MAX_SUBJECT_CHARS: usize = 99;
/// The most characters of a text that somebody outside chooses.
const MAX_TEXT_CHARS: usize = 300;

/// The sentence for a phone's lock screen: what is new first, then who, how much, and what is lost.
pub fn subject(report: &DigestReport) -> String {
    let functions = report.functions();
    let (who, others) = match functions.as_slice() {
        [] => ("Failed batches".to_owned(), String::new()),
        [one] => ((*one).to_owned(), String::new()),
        several => (format!("{} functions", several.len()), format!(": {}", several.join(", "))),
    };
    let prefix = if report.incidents.iter().any(|reported| reported.is_new) { "New: " } else { "Again: " };
    let batches = count(report.batches(), "batch", "batches");
    let text = format!("{prefix}{who}: {batches} failed, {}{others}", summary(report));
    let ascii: String = text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect();
    match ascii.char_indices().nth(MAX_SUBJECT_CHARS) {
        None => ascii,
        Some(_) => format!("{}...", ascii.chars().take(MAX_SUBJECT_CHARS - 3).collect::<String>()),
    }
}

fn summary(report: &DigestReport) -> String {
    let is_any =
        |test: fn(&IncidentResult) -> bool| report.incidents.iter().any(|each| test(&each.incident.key.result));
    if is_any(is_loss) {
        match report.missing() {
            0 => "records lost".to_owned(),
            missing => format!("{} lost", count(missing, "record", "records")),
        }
    } else if is_any(|result| matches!(result, IncidentResult::NotHydrated(_))) {
        "not all read back yet".to_owned()
    } else {
        format!("{} read back", count(report.records(), "record", "records"))
    }
}

/// `2 batches (Partial): 302 records are on the queue, 3 are lost`.
pub fn counts(incident: &Incident) -> String {
    let batches = count(incident.batches, "batch", "batches");
    match &incident.key.result {
        IncidentResult::NotHydrated(error_type) => {
            format!("{batches} not read back yet ({})", text(error_type))
        }
        IncidentResult::Hydrated(status) => {
            let on_queue = match incident.records {
                0 => "no record is on the queue".to_owned(),
                1 => "1 record is on the queue".to_owned(),
                records => format!("{} records are on the queue", thousands(records)),
            };
            let lost = match incident.missing {
                0 if is_loss(&incident.key.result) => ", an unknown number is lost".to_owned(),
                0 => String::new(),
                1 => ", 1 is lost".to_owned(),
                missing => format!(", {} are lost", thousands(missing)),
            };
            format!("{batches} ({}): {on_queue}{lost}", status.as_str())
        }
    }
}

/// The sentence that explains an incident.
pub fn reason(incident: &Incident) -> String {
    let given = incident.reason.as_deref().map(text);
    match (&incident.key.result, given) {
        (IncidentResult::NotHydrated(_), Some(error)) => format!("{error}. It is tried again."),
        (IncidentResult::NotHydrated(_), None) => "It is tried again.".to_owned(),
        (IncidentResult::Hydrated(Status::Complete), None) => "Every record of the batch came back.".to_owned(),
        (IncidentResult::Hydrated(_), given) => given.unwrap_or_default(),
    }
}

/// The cause as Lambda names it, and how old the batches are.
pub fn cause_and_age(incident: &Incident) -> String {
    let key = &incident.key;
    let mut words = format!("{}, {}", text(&key.condition), text(&key.error));
    if let Some((first, last)) = incident.first.zip(incident.last) {
        let (first, last) = (hour(first), hour(last));
        let times = if first == last { format!("at {first}") } else { format!("from {first} to {last}") };
        words.push_str(&format!("; given up {times} UTC"));
    }
    if let Some(seconds) = incident.oldest_record_seconds {
        words.push_str(&format!("; the oldest record was {} old", age(seconds.saturating_mul(1000))));
    }
    words
}

/// The command for one incident.
pub fn command(incident: &Incident, stack: &str) -> String {
    match incident.key.result {
        IncidentResult::NotHydrated(_) => format!("dlq doctor --stack {stack}"),
        IncidentResult::Hydrated(_) => {
            format!("dlq show {} --logs --stack {stack}", text(&short_id(&incident.example)))
        }
    }
}

/// The commands for all of them, each with what it does.
pub fn next_steps(excerpt: &Excerpt<'_>) -> Vec<(String, &'static str)> {
    let stack = &excerpt.links.stack_name;
    let mut steps = vec![(format!("dlq status --stack {stack}"), "everything that waits on the queue")];
    if excerpt.report.records() > 0 {
        let replay = format!("dlq replay --all --stack {stack}");
        steps.push((replay, "what a replay would do; nothing is invoked yet"));
    }
    steps
}

/// Sentences about what the message leaves out.
pub fn left_out(excerpt: &Excerpt<'_>) -> Vec<String> {
    let report = excerpt.report;
    let mut sentences = Vec::new();
    let rest = report.incidents.get(excerpt.listed..).unwrap_or_default();
    if !rest.is_empty() {
        let batches = rest.iter().map(|reported| reported.incident.batches).sum();
        let (more, of) =
            (count(rest.len() as u64, "more incident", "more incidents"), count(batches, "batch", "batches"));
        sentences.push(format!("And {more} of {of}: see dlq status."));
    }
    if report.beyond > 0 {
        let lines = count(report.beyond, "more failure", "more failures");
        sentences.push(format!("And {lines} of too many different kinds to list: see dlq status."));
    }
    if !report.is_whole {
        sentences.push("There was no time to read every log line: the true numbers are higher.".to_owned());
    }
    if let Some(skipped) = &report.skipped {
        let (from, to) = (minute(skipped.from), minute(skipped.to));
        sentences.push(format!("The digest was off: failures from {from} to {to} UTC were not looked at."));
    }
    sentences
}

/// `2026-11-21, 10:00 to 10:05 UTC`.
pub fn window(window: &DigestWindow) -> String {
    let (from, to) = (minute(window.from), minute(window.to));
    match (from.split_once(' '), to.split_once(' ')) {
        (Some((day, from)), Some((same_day, to))) if day == same_day => format!("{day}, {from} to {to} UTC"),
        _ => format!("{from} to {to} UTC"),
    }
}

/// The function of an incident, and `new` for the first of its kind.
pub fn title(reported: &ReportedIncident) -> String {
    let function = text(&reported.incident.key.function_and_version());
    if reported.is_new { format!("{function} (new)") } else { function }
}

/// Text from outside: one line, of bounded length, with nothing that hides or reorders.
pub fn text(outside: &str) -> String {
    match outside.char_indices().nth(MAX_TEXT_CHARS) {
        None => printable(outside),
        Some((end, _)) => format!("{}…", printable(outside.get(..end).unwrap_or_default())),
    }
}

fn minute(time: Timestamp) -> String {
    let text = time.rfc3339();
    format!("{} {}", text.get(..10).unwrap_or_default(), hour(time))
}

fn hour(time: Timestamp) -> String {
    time.rfc3339().get(11..16).unwrap_or_default().to_owned()
}
