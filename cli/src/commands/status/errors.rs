//! Errors of the incidents' batches, from the functions' logs: `dlq status --logs`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use clap::Args;
use hydration::ports::Clock;
use hydration::suspects::LoggedError;
use serde::Serialize;

use crate::commands::invocation_log::{FunctionLog, InvocationLines, LogNotSeen};
use crate::commands::status::incident::{LoggedIncident, incidents, key_of};
use crate::context::Context;
use crate::ports::Logs;
use crate::print::progress::Progress;
use crate::print::thousands;
use crate::queue::hydrated_message::HydratedMessage;
use crate::rate_limiter::RateLimiter;

/// Batches that may begin in a second. Each takes two searches or more, and AWS allows five calls in a second
/// (<https://repost.aws/knowledge-center/cloudwatch-logs-throttling>).
const BATCHES_PER_SECOND: f64 = 2.0;

#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Find each incident's error in the log of its function, and tell apart batches whose errors differ
    #[arg(long)]
    logs: bool,
    /// With --logs, read the log of this many batches, of each incident the latest first
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=500))]
    #[arg(requires = "logs")]
    max_logs: u32,
}

/// What the log says of a batch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum BatchError {
    /// The error of the failed invocation, in one line.
    Found(String),
    /// The invocation's lines are there, and none is an error.
    NoErrorLine,
    /// The reason why there are no lines.
    NoLines(String),
    /// The reason why the log could not be read.
    NotRead(String),
    /// Enough other batches were read.
    BeyondMaximum,
}

impl BatchError {
    /// A line for a person.
    pub fn line(&self) -> String {
        match self {
            Self::Found(line) => line.clone(),
            Self::NoErrorLine => "(no error in the log)".to_owned(),
            Self::NoLines(_) => "(no log lines)".to_owned(),
            Self::NotRead(_) => "(log not readable)".to_owned(),
            Self::BeyondMaximum => "(log not read)".to_owned(),
        }
    }
}

/// The same as JSON: the error, or the reason why there is none.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum LogJson<'a> {
    Error(&'a str),
    Reason(&'a str),
}

impl<'a> From<&'a BatchError> for LogJson<'a> {
    fn from(error: &'a BatchError) -> Self {
        match error {
            BatchError::Found(line) => Self::Error(line),
            BatchError::NoErrorLine => Self::Reason("no line of the invocation is an error"),
            BatchError::NoLines(reason) | BatchError::NotRead(reason) => Self::Reason(reason),
            BatchError::BeyondMaximum => Self::Reason("not read: --max-logs"),
        }
    }
}

/// Groups the messages into incidents; with `--logs` by their errors, too.
pub async fn group<L: Logs, C: Clock>(
    context: &Context<C>,
    logs: &L,
    arguments: &LogsArgs,
    messages: &[HydratedMessage],
) -> Result<Vec<LoggedIncident>> {
    if !arguments.logs {
        let without_error = |incident| LoggedIncident { incident, error: None };
        return Ok(incidents(messages.iter()).into_iter().map(without_error).collect());
    }
    let errors = read(context, logs, arguments, messages).await?;
    // What tells the batches apart is the cause; where the error is not known, the reason.
    let mut by_cause: BTreeMap<String, Vec<&HydratedMessage>> = BTreeMap::new();
    let found = |message: &HydratedMessage| errors.get(message.batch_id());
    for message in messages {
        let cause = found(message).map_or_else(|| BatchError::BeyondMaximum.line(), |found| found.cause.clone());
        by_cause.entry(cause).or_default().push(message);
    }
    let mut grouped = Vec::new();
    for same_cause in by_cause.values() {
        for incident in incidents(same_cause.iter().copied()) {
            let example = same_cause.iter().find(|message| message.id == incident.example);
            let error = example.and_then(|example| found(example)).map(|found| found.error.clone());
            grouped.push(LoggedIncident { incident, error: Some(error.unwrap_or(BatchError::BeyondMaximum)) });
        }
    }
    grouped.sort_by(|a, b| {
        let by_key = || a.incident.key.cmp(&b.incident.key).then_with(|| a.error.cmp(&b.error));
        b.incident.last.cmp(&a.incident.last).then_with(by_key)
    });
    Ok(grouped)
}

/// An error, and what it has in common with others of the same cause.
struct FoundError {
    error: BatchError,
    cause: String,
}

impl FoundError {
    fn of_log(log: Result<InvocationLines>) -> Self {
        let error = match log {
            Ok(InvocationLines { lines, not_seen }) => match (LoggedError::find(&lines), not_seen) {
                (Some(LoggedError { line, cause }), _) => return Self { error: BatchError::Found(line), cause },
                (None, None) => BatchError::NoErrorLine,
                (None, Some(reason)) => BatchError::NotRead(reason.to_string()),
            },
            Err(error) if error.is::<LogNotSeen>() => BatchError::NotRead(format!("{error:#}")),
            Err(error) => BatchError::NoLines(format!("{error:#}")),
        };
        Self { cause: error.line(), error }
    }
}

/// Reads the logs of the latest batches of each incident, in turns, by batch. A log that may not be read is tried once.
async fn read<L: Logs, C: Clock>(
    context: &Context<C>,
    logs: &L,
    arguments: &LogsArgs,
    messages: &[HydratedMessage],
) -> Result<BTreeMap<String, FoundError>> {
    let order = in_turns(messages);
    let most = usize::try_from(arguments.max_logs).unwrap_or(usize::MAX);
    let progress = Progress::new("reading logs");
    progress.expect(order.len().min(most) as u64);
    let limiter = RateLimiter::per_second(BATCHES_PER_SECOND);
    let mut functions: BTreeMap<&str, FunctionLog> = BTreeMap::new();
    let mut not_read: BTreeMap<&str, String> = BTreeMap::new();
    let mut found = BTreeMap::new();
    for message in order.iter().take(most) {
        progress.add(1);
        let function = message.function_name().unwrap_or_default();
        let error = if let Some(reason) = not_read.get(function) {
            FoundError::of_log(Err(LogNotSeen::for_reason(reason.clone()).into()))
        } else {
            let lines = async {
                limiter.wait(&context.clock).await;
                let log = match functions.get(function) {
                    Some(log) => log,
                    None => functions.entry(function).or_insert(FunctionLog::find(logs, message, None).await?),
                };
                log.lines(logs, message, context.now()).await
            };
            FoundError::of_log(context.interrupt.race(lines).await?)
        };
        if let BatchError::NotRead(reason) = &error.error
            && not_read.insert(function, reason.clone()).is_none()
        {
            context.output.attention(format!("no logs of {function}: {reason}"));
        }
        found.insert(message.batch_id().to_owned(), error);
    }
    progress.finish();
    if order.len() > most {
        let (most, all) = (thousands(most as u64), thousands(order.len() as u64));
        context.output.note(format!("the logs of {most} of {all} batches were read\n  → --max-logs reads more"));
    }
    Ok(found)
}

/// One message of each batch: the latest of each incident, then the second of each, and so on.
fn in_turns(messages: &[HydratedMessage]) -> Vec<&HydratedMessage> {
    let mut by_incident: BTreeMap<_, Vec<&HydratedMessage>> = BTreeMap::new();
    for message in messages.iter().rev() {
        let batches = by_incident.entry(key_of(message)).or_default();
        if batches.last().is_none_or(|last| last.batch_id() != message.batch_id()) {
            batches.push(message);
        }
    }
    let longest = by_incident.values().map(Vec::len).max().unwrap_or_default();
    let in_turns =
        (0..longest).flat_map(|turn| by_incident.values().filter_map(move |batches| batches.get(turn).copied()));
    // Parts of one batch may have different statuses, and are then in several incidents.
    let mut seen = BTreeSet::new();
    in_turns.filter(|message| seen.insert(message.batch_id())).collect()
}
