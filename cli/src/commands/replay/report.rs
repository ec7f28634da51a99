//! Output of `dlq replay`: the dry run, each outcome, the messages that are not run, and the summary.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use hydration::verdict::Status;
use serde::Serialize;

use crate::commands::replay::execute::ReplayOutcome;
use crate::commands::replay::plan::{Plan, RefusalReason, RefusedMessage, ReplayItem};
use crate::context::Context;
use crate::print::table::Columns;
use crate::print::{Output, Paint, count, printable, short_id, thousands};
use crate::queue::hydrated_message::HydratedMessage;

/// A line of the JSON output.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReplayJson<'a> {
    id: &'a str,
    action: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<&'a str>,
    status: &'static str,
    records: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

impl<'a> ReplayJson<'a> {
    fn new(message: &'a HydratedMessage, action: &'a str, function: Option<&'a str>) -> Self {
        Self {
            id: &message.id,
            action,
            function,
            status: message.status.as_str(),
            records: message.records,
            remaining: None,
            reason: None,
            error: None,
        }
    }
}

/// The plan as JSON.
pub fn dry_run_json(output: &Output, plan: &Plan) -> Result<()> {
    for item in plan.items() {
        let action = if item.is_in_doubt { "wouldRefuse" } else { "wouldInvoke" };
        let reason = item.is_in_doubt.then_some(RefusalReason::InDoubt.as_str());
        output.json(&ReplayJson { reason, ..ReplayJson::new(&item.message, action, Some(&item.function)) })?;
    }
    refused_json(output, plan, "wouldRefuse")
}

/// The messages that are not run, as JSON.
pub fn refused_json(output: &Output, plan: &Plan, action: &str) -> Result<()> {
    plan.refused.iter().try_for_each(|refused| {
        let reason = Some(refused.reason.as_str());
        output.json(&ReplayJson { reason, ..ReplayJson::new(&refused.message, action, None) })
    })
}

/// The plan as text.
pub fn dry_run<C>(context: &Context<C>, plan: &Plan, rate: f64, audit_path: &Path) -> Result<()> {
    let output = &context.output;
    let invocations = plan.items().filter(|item| !item.is_in_doubt).count();
    if invocations == 0 {
        output.line("Nothing to run.")?;
    } else {
        print_plan(output, plan, rate, invocations)?;
        output.line(format!("Audit: {}", audit_path.display()))?;
    }
    let in_doubt = plan.items().filter(|item| item.is_in_doubt);
    let in_doubt =
        in_doubt.map(|item| RefusedMessage { message: item.message.clone(), reason: RefusalReason::InDoubt });
    let not_run: Vec<RefusedMessage> = plan.refused.iter().cloned().chain(in_doubt).collect();
    refused(output, &not_run)?;
    if invocations > 0 {
        let command = format!("dlq {} --execute", context.words.join(" "));
        output.line(format!("\n{}", output.paint(Paint::Cyan, command)))?;
    }
    Ok(())
}

/// Numbers of the plan for one function.
#[derive(Default)]
struct FunctionTotals {
    invocations: u64,
    records: u64,
    shards: u64,
}

fn print_plan(output: &Output, plan: &Plan, rate: f64, invocations: usize) -> Result<()> {
    output.line(output.paint(Paint::Bold, "Dry run: nothing was invoked, nothing deleted. With --execute:"))?;
    output.line("")?;
    let mut functions: BTreeMap<&str, FunctionTotals> = BTreeMap::new();
    for items in &plan.shard_queues {
        if let Some(first) = items.first() {
            functions.entry(&first.function).or_default().shards += 1;
        }
        for item in items.iter().filter(|item| !item.is_in_doubt) {
            let totals = functions.entry(&item.function).or_default();
            totals.invocations += 1;
            totals.records += item.message.records;
        }
    }
    let mut table = Columns::new(output, &["FUNCTION", "INVOCATIONS", "RECORDS", "SHARDS"]);
    table.right(&[1, 2, 3]);
    for (function, totals) in functions {
        let numbers = [totals.invocations, totals.records, totals.shards].map(|number| (thousands(number), None));
        table.row(std::iter::once((function.to_owned(), None)).chain(numbers));
    }
    output.table(&table)?;
    output.line("")?;
    let seconds = (invocations as f64 / rate).ceil();
    if seconds > 1.0 {
        output.line(format!("It takes {seconds} s or more, at {rate} invocations a second at most."))?;
    }
    let is_superset = |item: &&ReplayItem| item.message.status == Status::Superset && !item.is_in_doubt;
    let supersets = plan.items().filter(is_superset).count();
    if supersets > 0 {
        output.line(format!("{supersets} of them are supersets and run records that had succeeded."))?;
    }
    if plan.already_done > 0 {
        let done = plan.already_done;
        output.line(format!("{done} of them succeeded in an earlier run and would only be deleted."))?;
    }
    Ok(())
}

/// The messages that are not run, grouped by reason.
pub fn refused(output: &Output, refused: &[RefusedMessage]) -> Result<()> {
    let mut groups: BTreeMap<RefusalReason, Vec<&HydratedMessage>> = BTreeMap::new();
    for RefusedMessage { message, reason } in refused {
        groups.entry(*reason).or_default().push(message);
    }
    if !groups.is_empty() {
        output.line(format!("\n{}", output.paint(Paint::Bold, "Not run")))?;
    }
    for (reason, messages) in groups {
        let mut ids: Vec<String> = messages.iter().take(3).map(|message| short_id(&message.id)).collect();
        if messages.len() > ids.len() {
            ids.push("…".to_owned());
        }
        output.line(format!("  {} {}", output.paint(Paint::Yellow, messages.len().to_string()), reason.advice()))?;
        output.line(output.paint(Paint::Dim, format!("    {}", ids.join(" "))))?;
    }
    Ok(())
}

/// The outcome of one item.
pub fn outcome(output: &Output, item: &ReplayItem, outcome: &ReplayOutcome) -> Result<()> {
    if output.json { outcome_json(output, item, outcome) } else { outcome_text(output, item, outcome) }
}

fn outcome_json(output: &Output, item: &ReplayItem, outcome: &ReplayOutcome) -> Result<()> {
    let line = |action| ReplayJson::new(&item.message, action, Some(&item.function));
    output.json(&match outcome {
        ReplayOutcome::Replayed => line("replayed"),
        ReplayOutcome::Deleted => line("deleted"),
        ReplayOutcome::NotDeleted { reason } => ReplayJson { error: Some(reason), ..line("notDeleted") },
        ReplayOutcome::Failed { remaining, error_type, message } => {
            ReplayJson { remaining: Some(*remaining), reason: Some(error_type), error: Some(message), ..line("failed") }
        }
        ReplayOutcome::Refused { reason, detail } => {
            ReplayJson { reason: Some(reason.as_str()), error: Some(detail), ..line("refused") }
        }
        ReplayOutcome::Unknown { reason } => ReplayJson { error: Some(reason), ..line("inDoubt") },
        ReplayOutcome::HeldBack { behind } => ReplayJson { reason: Some(behind), ..line("heldBack") },
        ReplayOutcome::Stopped => line("stopped"),
    })
}

fn outcome_text(output: &Output, item: &ReplayItem, outcome: &ReplayOutcome) -> Result<()> {
    let records = count(item.message.records, "record", "records");
    let (paint, word, rest) = match outcome {
        ReplayOutcome::Replayed => (Paint::Green, "done", format!("{records}, deleted")),
        ReplayOutcome::Deleted => (Paint::Green, "deleted", "it had succeeded in an earlier run".to_owned()),
        ReplayOutcome::NotDeleted { reason } => {
            (Paint::Yellow, "kept", format!("{records} have succeeded, but: {reason}"))
        }
        ReplayOutcome::Failed { remaining, error_type, message } => {
            (Paint::Red, "failed", format!("{remaining} of {records} remain: {error_type}: {}", printable(message)))
        }
        ReplayOutcome::Refused { detail, .. } => (Paint::Yellow, "refused", detail.clone()),
        ReplayOutcome::Unknown { reason } => {
            let advice = RefusalReason::InDoubt.advice();
            (Paint::Red, "in doubt", format!("nobody knows whether it ran ({reason}): {advice}"))
        }
        ReplayOutcome::HeldBack { behind } => {
            (Paint::Yellow, "held", format!("behind {} of the same shard", short_id(behind)))
        }
        ReplayOutcome::Stopped => (Paint::Yellow, "stopped", "not begun".to_owned()),
    };
    output.line(format!("{} {:<8} {rest}", short_id(&item.message.id), output.paint(paint, word)))
}

/// The last lines of a run.
pub fn summary(output: &Output, done: u64, left: u64, audit_path: &Path) -> Result<()> {
    let done = count(done, "message is done and deleted", "messages are done and deleted");
    let left = if left == 0 { String::new() } else { format!(", {} left", thousands(left)) };
    output.line(output.paint(Paint::Bold, format!("\n{done}{left}")))?;
    output.line(output.paint(Paint::Dim, format!("Audit: {}", audit_path.display())))
}
