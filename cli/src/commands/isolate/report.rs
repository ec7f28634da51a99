//! Output of `dlq isolate`.

use anyhow::Result;
use hydration::message::parsed::ParsedMessage;
use hydration::suspects::{Suspect, SuspectRule};
use serde::Serialize;

use crate::commands::isolate::ddmin::Smallest;
use crate::commands::isolate::trials::FunctionError;
use crate::print::records::{self, RecordJson};
use crate::print::{Output, Paint, count, printable};

/// The batch and the function of a search.
pub struct Subject<'a> {
    pub id: &'a str,
    pub function: &'a str,
    pub received: &'a ParsedMessage,
    /// Records that have succeeded on the function before.
    pub left_out: usize,
}

impl Subject<'_> {
    fn candidates(&self) -> usize {
        self.received.records.len() - self.left_out
    }
}

pub struct SearchResult<'a> {
    /// `None` where the function does not fail on the records.
    pub found: Option<&'a Smallest>,
    /// Records that were searched in.
    pub candidates: usize,
    /// The function passes on something, so that what was found is to blame.
    pub is_selective: bool,
    pub invocations: u32,
    pub error: &'a FunctionError,
    /// The suspect that failed by itself.
    pub suspect: Option<&'a Suspect>,
}

/// A dry run, as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlannedJson<'a> {
    id: &'a str,
    action: &'static str,
    function: &'a str,
    records: usize,
    left_out: usize,
    max_invocations: u32,
}

/// The smallest failing set, as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IsolatedJson<'a> {
    id: &'a str,
    function: &'a str,
    invocations: u32,
    /// Records that have succeeded on the function before, and were not tried.
    left_out: usize,
    /// The function did not fail on the records that are left, all together.
    does_not_fail: bool,
    is_minimal: bool,
    /// The function failed on every part of the batch that was tried, so that no record is to blame.
    fails_on_everything: bool,
    error_type: &'a str,
    error_message: &'a str,
    /// The rule that had named the record before it was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    suspected_by: Option<SuspectRule>,
    records: Vec<RecordJson>,
}

/// Says which records are not tried.
pub fn left_out(output: &Output, subject: &Subject<'_>) {
    if subject.left_out > 0 {
        let records = count(subject.left_out as u64, "record has", "records have");
        output.note(format!("{records} succeeded on {} in a replay: not tried again", subject.function));
    }
}

pub fn dry_run(output: &Output, subject: &Subject<'_>, max_invocations: u32) -> Result<()> {
    let (function, records) = (subject.function, subject.candidates());
    left_out(output, subject);
    if output.json {
        let (id, left_out) = (subject.id, subject.left_out);
        return output.json(&PlannedJson { id, action: "wouldInvoke", function, records, left_out, max_invocations });
    }
    let expected = (records as f64).log2().ceil() * 2.0 + 1.0;
    output.line(format!(
        "Dry run: nothing was invoked. With --execute, {function} is invoked with parts of {records} records, about \
         {expected} times for one poison record and {max_invocations} at most."
    ))
}

/// Every record has succeeded in a replay.
pub fn nothing_left(output: &Output, subject: &Subject<'_>) -> Result<()> {
    if output.json {
        let result = SearchResult {
            found: None,
            candidates: 0,
            is_selective: true,
            invocations: 0,
            error: &FunctionError::default(),
            suspect: None,
        };
        return json(output, subject, &result);
    }
    output.line(format!("Every record has succeeded on {}: there is nothing to search in.", subject.function))?;
    output.line("  → dlq replay deletes the message")
}

pub fn result(output: &Output, subject: &Subject<'_>, result: &SearchResult<'_>) -> Result<()> {
    match (output.json, result.found, result.is_selective) {
        (true, ..) => json(output, subject, result),
        (false, None, _) => does_not_fail(output, subject),
        (false, Some(_), false) => fails_on_everything(output, subject, result),
        (false, Some(found), true) if found.places.is_empty() => {
            output.line(output.paint(Paint::Bold, "Not finished: it is not known yet whether the batch still fails"))
        }
        (false, Some(found), true) => smallest_text(output, subject, result, found),
    }
}

fn json(output: &Output, subject: &Subject<'_>, result: &SearchResult<'_>) -> Result<()> {
    let SearchResult { found, is_selective, invocations, error, suspect, .. } = *result;
    let places: &[usize] = found.filter(|_| is_selective).map(|found| found.places.as_slice()).unwrap_or_default();
    output.json(&IsolatedJson {
        id: subject.id,
        function: subject.function,
        invocations,
        left_out: subject.left_out,
        does_not_fail: found.is_none(),
        is_minimal: found.is_some_and(|found| found.is_minimal) && is_selective,
        fails_on_everything: !is_selective,
        error_type: &error.error_type,
        error_message: &error.message,
        suspected_by: suspect.filter(|_| is_selective).map(|suspect| suspect.rule),
        records: records::as_json(subject.received, places),
    })
}

fn does_not_fail(output: &Output, subject: &Subject<'_>) -> Result<()> {
    let function = subject.function;
    if subject.left_out > 0 {
        let left = count(subject.candidates() as u64, "record that is", "records that are");
        output.line(format!("{function} does not fail on the {left} left. They were just run together."))?;
    } else {
        output.line(format!("{function} does not fail on the batch any more. It was just run as a whole."))?;
    }
    output.line("  → dlq replay runs it again and deletes it; isolate does not count as a replay")
}

fn fails_on_everything(output: &Output, subject: &Subject<'_>, result: &SearchResult<'_>) -> Result<()> {
    let title = format!(
        "{} fails on everything that it is given ({} invocations): no record is to blame",
        subject.function, result.invocations
    );
    output.line(output.paint(Paint::Bold, title))?;
    last_error(output, result.error)
}

fn smallest_text(output: &Output, subject: &Subject<'_>, result: &SearchResult<'_>, found: &Smallest) -> Result<()> {
    let sentence = match (found.is_minimal, found.places.len()) {
        (false, left) => format!("Not finished: {left} of {} records still fail together", result.candidates),
        (true, 1) => "One record fails by itself".to_owned(),
        (true, several) => format!("{several} records fail together, and not without any one of them"),
    };
    let title = format!("{sentence} ({} invocations of {})", result.invocations, subject.function);
    output.line(output.paint(Paint::Bold, title))?;
    last_error(output, result.error)?;
    if let Some(suspect) = result.suspect {
        let rule = output.paint(Paint::Cyan, suspect.rule.as_str());
        output.line(format!("It was a suspect by the rule {rule}: {}", printable(&suspect.reason)))?;
    }
    records::print_places(output, subject.received, &found.places, false)
}

fn last_error(output: &Output, error: &FunctionError) -> Result<()> {
    output.line(output.paint(Paint::Red, format!("{}: {}", error.error_type, printable(&error.message))))
}
