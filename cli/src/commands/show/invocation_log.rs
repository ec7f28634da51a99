//! The log lines of the failed invocation, found by its request id.

use anyhow::{Context, Result, bail};
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
    fn because(fault: &Fault) -> Self {
        Self(format!("{:#}", explain(fault)))
    }
}

pub async fn fetch<L: Logs>(
    logs: &L,
    message: &HydratedMessage,
    group: Option<&str>,
    now: Timestamp,
) -> Result<Vec<String>> {
    let Some(request_id) = message.request_id.as_deref() else {
        bail!("the batch names no request id: a pipe's failure has none");
    };
    let function = message.function_name().context("the batch names no function")?;
    // Without the function's settings, the name that Lambda gives by default is tried.
    let (group, not_looked_up) = match group {
        Some(group) => (Some(group.to_owned()), None),
        None => logs.log_group(function).await.map_or_else(|fault| (None, Some(fault)), |group| (group, None)),
    };
    let group = group.unwrap_or_else(|| format!("/aws/lambda/{function}"));
    let failed_at = message.failed_or_sent_at().unwrap_or(now);
    let by_request_id = LogSearch {
        group: group.clone(),
        stream: None,
        pattern: Some(format!("\"{request_id}\"")),
        from: failed_at.plus_millis(-MAX_INVOCATION_MILLIS - MARGIN_MILLIS),
        to: failed_at.plus_millis(MARGIN_MILLIS),
    };
    let with_id = logs.filter(&by_request_id).await.map_err(|fault| LogNotSeen::because(&fault))?;
    let times = || with_id.iter().filter_map(|event| event.timestamp);
    let (Some(first), Some(last)) = (times().min(), times().max()) else {
        if let Some(fault) = not_looked_up {
            let error = explain(&fault);
            let text = format!(
                "{group} has no line with the request id {request_id}, and whether it is the function's log group is \
                 not known: {error:#}\n  → --log-group names another"
            );
            return Err(LogNotSeen(text).into());
        }
        bail!(
            "the log group {group} has no line with the request id {request_id}\n  → its retention may have passed; \
             --log-group names another"
        );
    };
    // A stack trace has the request id in its first line only. One environment runs one invocation at a time: between
    // the first and the last line with the id, all lines of the log stream belong to the invocation.
    let stream = with_id.iter().find_map(|event| event.stream.clone());
    let between = LogSearch { group, stream, pattern: None, from: first, to: last.plus_millis(1) };
    let lines = logs.filter(&between).await.map_err(|fault| LogNotSeen::because(&fault))?;
    Ok(lines.iter().map(|event| event.message.trim_end().to_owned()).collect())
}

/// Says why there are no lines.
pub fn print_error(output: &Output, error: &anyhow::Error) {
    let text = format!("no logs: {error:#}");
    if error.is::<LogNotSeen>() { output.attention(text) } else { output.note(text) }
}

pub fn print(output: &Output, lines: &[String]) -> Result<()> {
    output.line(format!("\n{}", output.paint(Paint::Bold, "The function's log")))?;
    for line in lines.iter().flat_map(|message| message.lines()) {
        output.line(format!("  {}", Visible::lines(line)))?;
    }
    Ok(())
}
