//! Output of `dlq replay`: the first lines, the dry run, each outcome, and the summary.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Result;
use hydration::verdict::Status;
use serde::Serialize;
use serde_with::skip_serializing_none;

use crate::commands::replay::PassPlan;
use crate::commands::replay::narrowed;
use crate::commands::replay::outcome::ReplayOutcome;
use crate::commands::replay::pace::{Pace, RateOrigin};
use crate::commands::replay::plan::{Action, Behind, Plan, ReplayItem};
use crate::commands::replay::refusal::RefusalReason;
use crate::commands::replay::session::LedgerPlace;
use crate::context::Context;
use crate::print::table::Columns;
use crate::print::{Output, Paint, count, printable, short_id, thousands, time};
use crate::queue::hydrated_message::HydratedMessage;
use crate::queue::read_summary::ReadSummary;

/// A line of the JSON output.
#[skip_serializing_none]
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReplayJson<'a> {
    id: &'a str,
    action: &'a str,
    function: Option<&'a str>,
    status: &'static str,
    records: u64,
    /// Records of a superset that are not run, because they were not in the failed batch.
    left_out: Option<u64>,
    /// The records that are run are the failed batch, all of it and nothing else.
    is_exact: Option<bool>,
    remaining: Option<usize>,
    reason: Option<&'a str>,
    /// The batch that has to be run first.
    behind: Option<&'a str>,
    error: Option<&'a str>,
}

impl<'a> ReplayJson<'a> {
    fn new(item: &'a ReplayItem, action: &'a str) -> Self {
        let left_out = item.narrowed();
        Self {
            id: &item.message.id,
            action,
            function: item.function(),
            status: item.message.status.as_str(),
            records: item.message.records,
            left_out: left_out.map(|left_out| left_out.records),
            is_exact: left_out.map(|left_out| left_out.is_exact),
            remaining: None,
            reason: None,
            behind: None,
            error: None,
        }
    }
}

/// The reason of a batch that waits for an earlier one.
const HELD_BACK: &str = "heldBack";
/// The end of its reason.
const KEEP_GOING: &str = "; --keep-going runs it";

/// The plan for each failed function on its target.
fn functions(plan: &Plan) -> Vec<FunctionJson<'_>> {
    let mut items: BTreeMap<(&str, &str), Vec<&ReplayItem>> = BTreeMap::new();
    for item in plan.invocations() {
        let failed = item.message.function_arn.as_deref().unwrap_or("-");
        items.entry((failed, item.function().unwrap_or("-"))).or_default().push(item);
    }
    let shard = |item: &&ReplayItem| (item.message.stream.clone(), item.message.shard.clone());
    let mut lines = Vec::new();
    for ((failed_function, target), items) in items {
        let records = items.iter().map(|item| item.remaining_records()).sum();
        let shards = items.iter().map(shard).collect::<BTreeSet<_>>().len();
        lines.push(FunctionJson { failed_function, target, batches: items.len() as u64, records, shards });
    }
    lines
}

pub struct Report<'a, C> {
    pub context: &'a Context<C>,
    pub place: &'a LedgerPlace,
    pub pace: &'a Pace,
}

impl<C> Report<'_, C> {
    /// The first lines: where it runs, on which functions, and for how long.
    pub fn header(&self, plan: &Plan) -> Result<()> {
        let (output, place) = (&self.context.output, self.place);
        let functions = functions(plan);
        if let Some(RateOrigin::Default { reason }) = &self.pace.origin {
            output.note(format!("--rate auto is the default rate: {reason}"));
        }
        let least_time = self.pace.least_time(plan);
        if output.json {
            let (per_second, seconds) = (self.pace.per_second, least_time.as_secs());
            let pace = PaceJson { invocations_per_second: per_second, least_seconds: seconds };
            let header = HeaderJson { place, functions, pace };
            return output.json(&serde_json::json!({ "header": header }));
        }
        place.print_lines(output)?;
        if functions.is_empty() {
            return Ok(());
        }
        output.line("")?;
        let mut table = Columns::new(output, &["FUNCTION THAT FAILED", "RUNS ON", "BATCHES", "RECORDS", "SHARDS"]);
        table.right(&[2, 3, 4]);
        for line in &functions {
            let target = if line.target == line.failed_function { "itself" } else { line.target };
            let numbers = [line.batches, line.records, line.shards as u64].map(thousands);
            let cells = [line.failed_function, target].map(str::to_owned);
            table.row(cells.into_iter().chain(numbers).map(|text| (text, None)));
        }
        output.table(&table)?;
        if let Some(RateOrigin::Concurrency { function, allowed }) = &self.pace.origin {
            let shards = self.pace.concurrency;
            output.line(format!(
                "--rate auto: {shards} at the same time, for the concurrency of {function}, which is {allowed}."
            ))?;
        }
        if least_time > Duration::from_secs(1) {
            let (time, rate) = (time::duration(least_time), self.pace.per_second);
            output.line(format!("It takes {time} or more, at {rate} invocations a second at most (--rate)."))?;
        }
        output.line("")
    }

    /// Says that others hold messages, before anything is invoked.
    pub fn held_by_others(&self, planned: &PassPlan) {
        let held = planned.held_by_others;
        let is_worth_saying = planned.is_refused || planned.plan.invocations().next().is_some();
        if held.is_none() || !is_worth_saying {
            return;
        }
        let may_be = "SQS does not say of which shard, and one may be an earlier batch of a shard that is to run";
        let then = if planned.is_refused {
            ", so nothing is invoked\n  → run it again when they are visible: a message in flight is when its visibility \
             timeout ends; or give --keep-going"
        } else {
            "; what is visible is run all the same"
        };
        self.context.output.note(format!("{}: {may_be}{then}", held.sentence()));
    }

    pub fn dry_run(&self, plan: &Plan, read: ReadSummary) -> Result<()> {
        let output = &self.context.output;
        if output.json {
            plan.items().try_for_each(|item| planned_json(output, item))?;
            let done = plan.items().filter(|item| is_run(item)).count() as u64;
            return summary(output, done, plan.items().count() as u64 - done, read);
        }
        let runs = plan.items().filter(|item| is_run(item)).count();
        if runs == 0 {
            output.line("Nothing to run.")?;
        } else {
            self.dry_run_text(plan)?;
        }
        not_run(output, plan)?;
        read.print(output)?;
        if runs > 0 {
            let command = format!("dlq {} --execute", self.context.words.join(" "));
            output.line(format!("\n{}", output.paint(Paint::Cyan, command)))?;
        }
        Ok(())
    }

    fn dry_run_text(&self, plan: &Plan) -> Result<()> {
        let output = &self.context.output;
        output.line(output.paint(Paint::Bold, "Dry run: nothing was invoked, nothing deleted. With --execute:"))?;
        let invocations = plan.invocations().count() as u64;
        let deleted =
            plan.invocations().filter(|item| item.target.as_ref().is_some_and(|target| target.deletes)).count() as u64;
        let after = match deleted {
            0 => "the messages are kept".to_owned(),
            _ if deleted == invocations => "each message is deleted when all of it has succeeded".to_owned(),
            some => format!("{some} of the messages are deleted when all of them has succeeded, the others are kept"),
        };
        if invocations > 0 {
            output.line(format!("  {}; {after}", count(invocations, "invocation", "invocations")))?;
        }
        if let Some(sentence) = narrowed::sentence(plan.invocations().filter_map(ReplayItem::narrowed)) {
            output.line(format!("  {sentence}"))?;
        }
        let is_whole = |item: &&ReplayItem| item.message.status == Status::Superset && item.narrowed().is_none();
        let supersets = plan.invocations().filter(is_whole).count() as u64;
        if supersets > 0 {
            output.line(format!("  {supersets} of them are supersets and run records that had succeeded"))?;
        }
        for (action, text) in [
            (Action::Delete, "had succeeded in an earlier run, and only the deletion is left"),
            (Action::Keep, "had succeeded in an earlier run, and nothing is left to do"),
        ] {
            let number = plan.items().filter(|item| item.action == action).count() as u64;
            if number > 0 {
                output.line(format!("  {} {text}", count(number, "batch", "batches")))?;
            }
        }
        Ok(())
    }
}

fn is_run(item: &ReplayItem) -> bool {
    matches!(item.action, Action::Invoke | Action::Delete | Action::Keep)
}

fn planned_json(output: &Output, item: &ReplayItem) -> Result<()> {
    let line = |action| ReplayJson::new(item, action);
    output.json(&match &item.action {
        Action::Invoke => line("wouldInvoke"),
        Action::Delete => line("wouldDelete"),
        Action::Keep => line("alreadyDone"),
        Action::Refuse(reason) => ReplayJson {
            reason: Some(reason.as_str()),
            error: item.not_narrowed().or(item.read_error()),
            ..line("wouldRefuse")
        },
        Action::HoldBack { behind } => return held_back_json(output, behind, line("wouldHoldBack")),
    })
}

fn held_back_json(output: &Output, behind: &Behind, line: ReplayJson<'_>) -> Result<()> {
    let sentence = format!("{}{KEEP_GOING}", behind.sentence());
    // What to do about a batch stands on the batch's own line. A message that is not hydrated has none.
    let error = matches!(behind, Behind::NotHydrated(_)).then_some(sentence.as_str());
    output.json(&ReplayJson { reason: Some(HELD_BACK), behind: Some(behind.id()), error, ..line })
}

/// The messages of the plan that are not run, grouped by reason.
fn not_run(output: &Output, plan: &Plan) -> Result<()> {
    let mut refused: BTreeMap<RefusalReason, Vec<&HydratedMessage>> = BTreeMap::new();
    let mut held: BTreeMap<&Behind, Vec<&HydratedMessage>> = BTreeMap::new();
    for item in plan.items() {
        match &item.action {
            Action::Refuse(reason) => refused.entry(*reason).or_default().push(&item.message),
            Action::HoldBack { behind } => held.entry(behind).or_default().push(&item.message),
            _ => {}
        }
    }
    if refused.is_empty() && held.is_empty() {
        return Ok(());
    }
    output.line(format!("\n{}", output.paint(Paint::Bold, "Not run")))?;
    for (reason, messages) in refused {
        group(output, &messages, reason.advice())?;
    }
    let reasons: BTreeSet<&str> = plan.items().filter_map(ReplayItem::not_narrowed).collect();
    for reason in reasons {
        output.line(output.paint(Paint::Dim, format!("    not narrowed: {}", printable(reason))))?;
    }
    for (behind, messages) in held {
        group(output, &messages, &format!("{}{KEEP_GOING}", behind.sentence()))?;
    }
    Ok(())
}

fn group(output: &Output, messages: &[&HydratedMessage], reason: &str) -> Result<()> {
    let mut ids: Vec<String> = messages.iter().take(3).map(|message| short_id(&message.id)).collect();
    if messages.len() > ids.len() {
        ids.push("…".to_owned());
    }
    output.line(format!("  {} {reason}", output.paint(Paint::Yellow, messages.len().to_string())))?;
    output.line(output.paint(Paint::Dim, format!("    {}", ids.join(" "))))
}

/// The outcome of one item.
pub fn outcome(output: &Output, item: &ReplayItem, outcome: &ReplayOutcome) -> Result<()> {
    if output.json { outcome_json(output, item, outcome) } else { outcome_text(output, item, outcome) }
}

fn outcome_json(output: &Output, item: &ReplayItem, outcome: &ReplayOutcome) -> Result<()> {
    let line = |action| ReplayJson::new(item, action);
    output.json(&match outcome {
        ReplayOutcome::Replayed => line("replayed"),
        ReplayOutcome::Kept => line("kept"),
        ReplayOutcome::Deleted => line("deleted"),
        ReplayOutcome::AlreadyDone => line("alreadyDone"),
        ReplayOutcome::PartlyDone { remaining } => {
            ReplayJson { remaining: Some(*remaining), reason: Some("partlyDone"), ..line("partlyDone") }
        }
        ReplayOutcome::NotDeleted { reason } => {
            ReplayJson { reason: Some("notDeleted"), error: Some(reason), ..line("notDeleted") }
        }
        ReplayOutcome::Failed { remaining, error_type, message } => {
            ReplayJson { remaining: Some(*remaining), reason: Some(error_type), error: Some(message), ..line("failed") }
        }
        ReplayOutcome::Refused { reason, detail } => {
            let error = item.not_narrowed().unwrap_or(detail);
            ReplayJson { reason: Some(reason.as_str()), error: Some(error), ..line("refused") }
        }
        ReplayOutcome::Unknown { reason } => {
            ReplayJson { reason: Some("inDoubt"), error: Some(reason), ..line("inDoubt") }
        }
        ReplayOutcome::HeldBack { behind } => return held_back_json(output, behind, line("heldBack")),
        ReplayOutcome::Stopped => ReplayJson { reason: Some("stopped"), ..line("stopped") },
    })
}

fn outcome_text(output: &Output, item: &ReplayItem, outcome: &ReplayOutcome) -> Result<()> {
    let left_out = item.narrowed();
    let run = item.message.records - left_out.map_or(0, |left_out| left_out.records);
    let records = count(run, "record", "records");
    let narrowed = left_out.map(|left_out| format!(" ({})", left_out.sentence())).unwrap_or_default();
    let (paint, word, rest) = match outcome {
        ReplayOutcome::Replayed => (Paint::Green, "done", format!("{records}, deleted{narrowed}")),
        ReplayOutcome::Kept => (Paint::Green, "done", format!("{records}, and the message is kept{narrowed}")),
        ReplayOutcome::Deleted => (Paint::Green, "deleted", "it had succeeded in an earlier run".to_owned()),
        ReplayOutcome::AlreadyDone => {
            (Paint::Green, "kept", "it had succeeded in an earlier run, and nothing is left to do".to_owned())
        }
        ReplayOutcome::PartlyDone { remaining } => {
            (Paint::Yellow, "partly", format!("{remaining} of {records} remain, and the message stays"))
        }
        ReplayOutcome::NotDeleted { reason } => {
            (Paint::Yellow, "kept", format!("{records} have succeeded, but: {reason}"))
        }
        ReplayOutcome::Failed { remaining, error_type, message } => {
            (Paint::Red, "failed", format!("{remaining} of {records} remain: {error_type}: {message}"))
        }
        ReplayOutcome::Refused { detail, .. } => {
            let reason = item.not_narrowed().map(|reason| format!(": {}", printable(reason))).unwrap_or_default();
            (Paint::Yellow, "refused", format!("{detail}{reason}"))
        }
        ReplayOutcome::Unknown { reason } => {
            let advice = RefusalReason::InDoubt.advice();
            (Paint::Red, "in doubt", format!("nobody knows whether it ran ({reason}): {advice}"))
        }
        ReplayOutcome::HeldBack { behind } => (Paint::Yellow, "held", format!("{}{KEEP_GOING}", behind.sentence())),
        ReplayOutcome::Stopped => (Paint::Yellow, "stopped", "not begun".to_owned()),
    };
    let word = output.paint(paint, format!("{word:<8}"));
    output.line(format!("{} {word} {rest}", short_id(&item.message.id)))
}

/// The last lines of a run.
pub fn summary(output: &Output, done: u64, left: u64, read: ReadSummary) -> Result<()> {
    if output.json {
        return output.json(&serde_json::json!({ "summary": SummaryJson { done, left, read } }));
    }
    let done = count(done, "message is done", "messages are done");
    let left = if left == 0 { String::new() } else { format!(", {} left", thousands(left)) };
    output.line(output.paint(Paint::Bold, format!("\n{done}{left}")))?;
    read.print(output)
}

#[derive(Serialize)]
struct SummaryJson {
    done: u64,
    left: u64,
    #[serde(flatten)]
    read: ReadSummary,
}

#[derive(Serialize)]
struct HeaderJson<'a> {
    #[serde(flatten)]
    place: &'a LedgerPlace,
    functions: Vec<FunctionJson<'a>>,
    #[serde(flatten)]
    pace: PaceJson,
}

/// The speed, and the time that the run takes at least.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PaceJson {
    invocations_per_second: f64,
    least_seconds: u64,
}

/// A failed function, and what will run on its target.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FunctionJson<'a> {
    failed_function: &'a str,
    target: &'a str,
    batches: u64,
    records: u64,
    shards: usize,
}
