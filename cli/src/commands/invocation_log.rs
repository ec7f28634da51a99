//! The log lines of the failed invocation, found by its request id.

use anyhow::{Context, Result, anyhow};
use hydration::error::Fault;
use hydration::timestamp::Timestamp;

use crate::exit::explain;
use crate::ports::{LogSearch, Logs};
use crate::print::visible::Visible;
use crate::print::{Output, Paint};
use crate::queue::hydrated_message::HydratedMessage;

/// The longest time that an invocation runs before Lambda gives the batch up
/// (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>).
const MAX_INVOCATION_MILLIS: i64 = 15 * 60 * 1000;
/// Time for the last lines to arrive, and for clocks that differ.
const MARGIN_MILLIS: i64 = 2 * 60 * 1000;

/// A log that may have lines of the invocation and was not looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LogNotSeen(String);

impl LogNotSeen {
    pub fn for_reason(reason: String) -> Self {
        Self(reason)
    }

    fn because(group: &str, fault: &Fault) -> Self {
        Self(format!("{group}: {:#}", explain(fault)))
    }
}

/// The log lines of one invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvocationLines {
    pub lines: Vec<String>,
    /// The reason why later lines may be missing.
    pub not_seen: Option<LogNotSeen>,
}

/// The log group of a function.
#[derive(Debug)]
pub struct FunctionLog {
    group: String,
    /// The reason why it is only the name that Lambda gives by default.
    not_looked_up: Option<Fault>,
}

impl FunctionLog {
    /// Finds the group of the message's function, unless it was typed.
    pub async fn find<L: Logs>(logs: &L, message: &HydratedMessage, typed: Option<&str>) -> Result<Self> {
        request_id(message)?;
        let function = message.function_name().context("the batch names no function")?;
        let (group, not_looked_up) = match typed {
            Some(group) => (Some(group.to_owned()), None),
            None => logs.log_group(function).await.map_or_else(|fault| (None, Some(fault)), |group| (group, None)),
        };
        Ok(Self { group: group.unwrap_or_else(|| format!("/aws/lambda/{function}")), not_looked_up })
    }

    /// The lines of the failed invocation.
    pub async fn lines<L: Logs>(&self, logs: &L, message: &HydratedMessage, now: Timestamp) -> Result<InvocationLines> {
        let (group, request_id) = (&self.group, request_id(message)?);
        let failed_at = message.failed_or_sent_at().unwrap_or(now);
        let by_request_id = LogSearch {
            group: group.clone(),
            stream: None,
            pattern: Some(format!("\"{request_id}\"")),
            from: failed_at.plus_millis(-MAX_INVOCATION_MILLIS - MARGIN_MILLIS),
            to: failed_at.plus_millis(MARGIN_MILLIS),
        };
        let found = logs.filter(&by_request_id).await.map_err(|fault| LogNotSeen::because(group, &fault))?;
        let (with_id, cut) = (found.events, found.cut);
        // A log group that several functions share may have the id in other streams, too: where the function has passed
        // it on. The invocation begins before they do.
        let stream = with_id.iter().min_by_key(|event| event.timestamp).and_then(|event| event.stream.clone());
        let times = || with_id.iter().filter(|event| event.stream == stream).filter_map(|event| event.timestamp);
        let (Some(first), Some(last)) = (times().min(), times().max()) else {
            return Err(self.without_lines(request_id));
        };
        // A stack trace has the request id in its first line only. One environment runs one invocation at a time:
        // between the first and the last line with the id, all lines of the log stream belong to the invocation.
        let between = LogSearch { group: group.clone(), stream, pattern: None, from: first, to: last.plus_millis(1) };
        let found = logs.filter(&between).await.map_err(|fault| LogNotSeen::because(group, &fault))?;
        let lines = found.events.iter().map(|event| event.message.trim_end().to_owned()).collect();
        let not_seen = cut.or(found.cut).map(|fault| LogNotSeen::because(group, &fault));
        Ok(InvocationLines { lines, not_seen })
    }

    fn without_lines(&self, request_id: &str) -> anyhow::Error {
        let group = &self.group;
        if let Some(fault) = &self.not_looked_up {
            let error = explain(fault);
            let text = format!(
                "{group} has no line with the request id {request_id}, and whether it is the function's log group is \
                 not known: {error:#}\n  → --log-group names another"
            );
            return LogNotSeen(text).into();
        }
        anyhow!(
            "the log group {group} has no line with the request id {request_id}\n  → its retention may have passed; \
             --log-group names another"
        )
    }
}

fn request_id(message: &HydratedMessage) -> Result<&str> {
    message.request_id.as_deref().context("the batch names no request id: a pipe's failure has none")
}

/// The log lines of the invocation that failed the message's batch.
pub async fn fetch<L: Logs>(
    logs: &L,
    message: &HydratedMessage,
    group: Option<&str>,
    now: Timestamp,
) -> Result<InvocationLines> {
    FunctionLog::find(logs, message, group).await?.lines(logs, message, now).await
}

/// Says why there are no lines.
pub fn print_error(output: &Output, error: &anyhow::Error) {
    let text = format!("no logs: {error:#}");
    if error.is::<LogNotSeen>() { output.attention(text) } else { output.note(text) }
}

pub fn print(output: &Output, log: &InvocationLines) -> Result<()> {
    output.line(format!("\n{}", output.paint(Paint::Bold, "The function's log")))?;
    for line in log.lines.iter().flat_map(|message| message.lines()) {
        output.line(format!("  {}", Visible::lines(line)))?;
    }
    print_not_seen(output, log);
    Ok(())
}

/// Says that later lines may be missing.
pub fn print_not_seen(output: &Output, log: &InvocationLines) {
    log.not_seen.iter().for_each(|reason| output.attention(format!("not all of the log: {reason}")));
}
