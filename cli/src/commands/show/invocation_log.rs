//! The log lines of the failed invocation, found by its request id.

use anyhow::{Context, Result, bail};
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
    let group = match group {
        Some(group) => group.to_owned(),
        None => logs.log_group(function).await,
    };
    let failed_at = message.failed_or_sent_at().unwrap_or(now);
    let by_request_id = LogSearch {
        group: group.clone(),
        stream: None,
        pattern: Some(format!("\"{request_id}\"")),
        from: failed_at.plus_millis(-MAX_INVOCATION_MILLIS - MARGIN_MILLIS),
        to: failed_at.plus_millis(MARGIN_MILLIS),
    };
    let with_id = logs.filter(&by_request_id).await.map_err(|fault| explain(&fault))?;
    let times = || with_id.iter().filter_map(|event| event.timestamp);
    let (Some(first), Some(last)) = (times().min(), times().max()) else {
        bail!(
            "the log group {group} has no line with the request id {request_id}\n  → its retention may have passed; \
             --log-group names another"
        );
    };
    // A stack trace has the request id in its first line only. One environment runs one invocation at a time: between
    // the first and the last line with the id, all lines of the log stream belong to the invocation.
    let stream = with_id.iter().find_map(|event| event.stream.clone());
    let between = LogSearch { group, stream, pattern: None, from: first, to: last.plus_millis(1) };
    let lines = logs.filter(&between).await.map_err(|fault| explain(&fault))?;
    Ok(lines.iter().map(|event| event.message.trim_end().to_owned()).collect())
}

pub fn print(output: &Output, lines: &[String]) -> Result<()> {
    output.line(format!("\n{}", output.paint(Paint::Bold, "The function's log")))?;
    for line in lines.iter().flat_map(|message| message.lines()) {
        output.line(format!("  {}", Visible::lines(line)))?;
    }
    Ok(())
}
