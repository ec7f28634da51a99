//! The failed invocation's own log lines, found by its request id.

use anyhow::{Context, Result, bail};
use hydration::ports::Clock;
use hydration_aws::SystemClock;

use crate::aws::logs::{Search, filter};
use crate::entry::Entry;
use crate::exit::explain;
use crate::print::{Output, Paint, printable};
use crate::session::Session;

/// The longest that a Lambda invocation runs, before Lambda gave the batch up.
const LONGEST_RUN: i64 = 15 * 60 * 1000;
/// Until the last lines are there, and clocks agree.
const AFTER: i64 = 2 * 60 * 1000;

pub async fn fetch(session: &Session, entry: &Entry, group: Option<&str>) -> Result<Vec<String>> {
    let Some(request_id) = entry.request_id.as_deref() else {
        bail!("the batch names no request id: a pipe's failure has none");
    };
    let function = entry.function_name().context("the batch names no function")?;
    let group = match group {
        Some(group) => group.to_owned(),
        None => crate::aws::lambda::log_group(&session.config, function).await,
    };
    let moment = entry.moment().unwrap_or_else(|| SystemClock.now());
    let (from, to) = (moment.plus_millis(-LONGEST_RUN - AFTER), moment.plus_millis(AFTER));
    let pattern = format!("\"{request_id}\"");
    let search = Search { group: &group, stream: None, pattern: Some(&pattern), from, to };
    let named = filter(&session.config, &search).await.map_err(|fault| explain(&fault))?;
    let times = || named.iter().filter_map(|event| event.timestamp);
    let (Some(first), Some(last)) = (times().min(), times().max()) else {
        bail!(
            "the log group {group} has no line with the request id {request_id}\n  → its retention may have passed; \
             --log-group names another"
        );
    };
    // A stack trace names the request only in its first line. One environment runs one invocation at a time: between
    // the first and the last line that name it, the log stream is its own.
    let stream = named.iter().find_map(|event| event.log_stream_name.as_deref());
    let (from, to) = (
        hydration::timestamp::Timestamp::from_millis(first),
        hydration::timestamp::Timestamp::from_millis(last.saturating_add(1)),
    );
    let search = Search { group: &group, stream, pattern: None, from, to };
    let all = filter(&session.config, &search).await.map_err(|fault| explain(&fault))?;
    Ok(all.into_iter().filter_map(|event| Some(event.message?.trim_end().to_owned())).collect())
}

pub fn print(output: &Output, lines: &[String]) -> Result<()> {
    output.line(format!("\n{}", output.paint(Paint::Bold, "The function's log")))?;
    for line in lines.iter().flat_map(|message| message.lines()) {
        output.line(format!("  {}", printable(line)))?;
    }
    Ok(())
}
