//! What `dlq replay` prints: before, meanwhile and of what is left.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use hydration::verdict::Status;
use serde::Serialize;

use crate::entry::Entry;
use crate::print::table::Columns;
use crate::print::{Output, Paint, count, printable, short_id, thousands};
use crate::replay::plan::{Plan, Refusal, Unit};
use crate::replay::run::Outcome;

/// A line of the JSON output.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line<'a> {
    pub id: &'a str,
    pub action: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<&'a str>,
    pub status: &'static str,
    pub records: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remaining: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'a str>,
}

/// What would be done.
pub fn dry_run(output: &Output, plan: &Plan, rate: f64, audit: &Path) -> Result<()> {
    let units = plan.units().filter(|unit| !unit.is_in_doubt).count();
    if units == 0 {
        output.line("Nothing to run.")?;
    } else {
        output.line(output.paint(Paint::Bold, "Dry run: nothing was invoked, nothing deleted. With --execute:"))?;
        output.line("")?;
        let mut table = Columns::new(output, &["FUNCTION", "INVOCATIONS", "RECORDS", "SHARDS"]);
        table.right(&[1, 2, 3]);
        let mut functions: BTreeMap<&str, (u64, u64, u64)> = BTreeMap::new();
        for lane in &plan.lanes {
            if let Some(first) = lane.first() {
                functions.entry(&first.function).or_default().2 += 1;
            }
            for unit in lane.iter().filter(|unit| !unit.is_in_doubt) {
                let sums = functions.entry(&unit.function).or_default();
                *sums = (sums.0 + 1, sums.1 + unit.entry.records, sums.2);
            }
        }
        for (function, (invocations, records, shards)) in functions {
            let numbers = [invocations, records, shards].map(|number| (thousands(number), None));
            table.row(std::iter::once((function.to_owned(), None)).chain(numbers));
        }
        output.line(table.text())?;
        output.line("")?;
        let seconds = (units as f64 / rate).ceil();
        if seconds > 1.0 {
            output.line(format!("It takes {seconds} s or more, at {rate} invocations a second at most."))?;
        }
        let supersets = plan.units().filter(|unit| unit.entry.status == Status::Superset && !unit.is_in_doubt).count();
        if supersets > 0 {
            output.line(format!("{supersets} of them are supersets and run records that had succeeded."))?;
        }
        if plan.done > 0 {
            output.line(format!("{} of them succeeded in an earlier run and would only be deleted.", plan.done))?;
        }
        output.line(format!("Audit: {}", audit.display()))?;
    }
    let in_doubt = plan.units().filter(|unit| unit.is_in_doubt).map(|unit| (unit.entry.clone(), Refusal::InDoubt));
    let refused: Vec<_> = plan.refused.iter().cloned().chain(in_doubt).collect();
    self::refused(output, &refused)?;
    if units > 0 {
        let words: Vec<String> = std::env::args().skip(1).collect();
        output.line(format!("\n{}", output.paint(Paint::Cyan, format!("dlq {} --execute", words.join(" ")))))?;
    }
    Ok(())
}

/// What is not run, and why.
pub fn refused(output: &Output, refused: &[(Entry, Refusal)]) -> Result<()> {
    let mut groups: BTreeMap<Refusal, Vec<&Entry>> = BTreeMap::new();
    for (entry, refusal) in refused {
        groups.entry(*refusal).or_default().push(entry);
    }
    if !groups.is_empty() {
        output.line(format!("\n{}", output.paint(Paint::Bold, "Not run")))?;
    }
    for (refusal, entries) in groups {
        let mut ids: Vec<String> = entries.iter().take(3).map(|entry| short_id(&entry.id)).collect();
        if entries.len() > ids.len() {
            ids.push("…".to_owned());
        }
        output.line(format!("  {} {}", output.paint(Paint::Yellow, entries.len().to_string()), refusal.advice()))?;
        output.line(output.paint(Paint::Dim, format!("    {}", ids.join(" "))))?;
    }
    Ok(())
}

pub fn line<'a>(entry: &'a Entry, action: &'a str, function: Option<&'a str>) -> Line<'a> {
    Line {
        id: &entry.id,
        action,
        function,
        status: entry.status.as_str(),
        records: entry.records,
        remaining: None,
        reason: None,
        error: None,
    }
}

/// What became of one message.
pub fn tell(output: &Output, unit: &Unit, outcome: &Outcome) -> Result<()> {
    let entry = &unit.entry;
    let base = |action| line(entry, action, Some(&unit.function));
    if output.json {
        return output.json(&match outcome {
            Outcome::Done { invoked: true } => base("replayed"),
            Outcome::Done { invoked: false } => base("deleted"),
            Outcome::NotDeleted(why) => Line { error: Some(why), ..base("notDeleted") },
            Outcome::Failed { remaining, kind, message } => {
                Line { remaining: Some(*remaining), reason: Some(kind), error: Some(message), ..base("failed") }
            }
            Outcome::Refused(refusal, why) => {
                Line { reason: Some(refusal.as_str()), error: Some(why), ..base("refused") }
            }
            Outcome::Unknown(why) => Line { error: Some(why), ..base("inDoubt") },
            Outcome::HeldBack { behind } => Line { reason: Some(behind), ..base("heldBack") },
            Outcome::Stopped => base("stopped"),
        });
    }
    let records = count(entry.records, "record", "records");
    let (paint, word, rest) = match outcome {
        Outcome::Done { invoked: true } => (Paint::Green, "done", format!("{records}, deleted")),
        Outcome::Done { invoked: false } => (Paint::Green, "deleted", "it had succeeded in an earlier run".to_owned()),
        Outcome::NotDeleted(why) => (Paint::Yellow, "kept", format!("{records} have succeeded, but: {why}")),
        Outcome::Failed { remaining, kind, message } => {
            (Paint::Red, "failed", format!("{remaining} of {records} remain: {kind}: {}", printable(message)))
        }
        Outcome::Refused(_, why) => (Paint::Yellow, "refused", why.clone()),
        Outcome::Unknown(why) => {
            (Paint::Red, "in doubt", format!("nobody knows whether it ran ({why}): {}", Refusal::InDoubt.advice()))
        }
        Outcome::HeldBack { behind } => {
            (Paint::Yellow, "held", format!("behind {} of the same shard", short_id(behind)))
        }
        Outcome::Stopped => (Paint::Yellow, "stopped", "not begun".to_owned()),
    };
    output.line(format!("{} {:<8} {rest}", short_id(&entry.id), output.paint(paint, word)))
}
