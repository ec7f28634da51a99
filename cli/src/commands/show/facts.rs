//! Facts of a failure, and its verdict in words.

use anyhow::Result;
use hydration::message::parsed::ParsedMessage;
use hydration::timestamp::Timestamp;
use hydration::verdict::Status;

use crate::ledger::history::BatchHistory;
use crate::print::{Output, Paint, bytes, count, pretty_json, printable, status_paint, time};
use crate::queue::hydrated_message::HydratedMessage;

const OF_A_DRILL: &str =
    "A drill has left it: no function has failed on it. A replay never runs it; dlq discard takes it off the queue.";

/// Meaning of the verdict, and the next step.
pub fn meaning(status: Status) -> &'static str {
    match status {
        Status::Complete => "Every record of the failed batch is here. A replay runs exactly what failed.",
        Status::Superset => {
            "Every record of the failed batch is here, and others that lay between them, which may have succeeded. A \
             replay with --narrow leaves out those that were certainly not in the batch; --include-superset runs all."
        }
        Status::Partial => {
            "Some records of the failed batch had left the stream before they could be read. A replay runs those that \
             are here; the missing ones are lost unless their producer has them."
        }
        Status::Expired => {
            "None of the batch's records is left. There is nothing to replay; ask the producer, then dlq discard it."
        }
        Status::Gone => {
            "The stream or shard no longer exists. There is nothing to replay; ask the producer, then dlq discard it."
        }
        Status::NoRange => {
            "Lambda named no records, as for the last invocation of a tumbling window. There is nothing to replay."
        }
        Status::Unrecognized => {
            "This is no stream failure: something else was sent to the topic. Find out who sent it."
        }
    }
}

pub fn print(output: &Output, message: &HydratedMessage, received: &ParsedMessage, now: Timestamp) -> Result<()> {
    let status = status_paint(message.status);
    let of = match message.expected {
        Some(expected) => format!("{} of {expected} records", message.records),
        None => count(message.records, "record", "records"),
    };
    let missing = message.missing.map(|missing| format!(", {missing} missing")).unwrap_or_default();
    output.line(output.paint(Paint::Bold, &message.id))?;
    output.line(format!("{}: {of}{missing}", output.paint(status, message.status.as_str())))?;
    if let Some(reason) = &message.reason {
        output.line(format!("  {}", printable(reason)))?;
    }
    output.line(format!("  {}", if message.is_drill() { OF_A_DRILL } else { meaning(message.status) }))?;
    output.line("")?;
    for (name, value) in facts(message, received, now) {
        let name = output.paint(Paint::Dim, format!("{name:<10}"));
        output.line(format!("  {name} {}", printable(&value)))?;
    }
    if let Some(unrecognized) = &received.unrecognized {
        output.line("\n  What was sent instead:")?;
        let text = hydration::json::string_value(unrecognized).unwrap_or_else(|| pretty_json(unrecognized.get()));
        for line in text.lines() {
            output.line(format!("    {}", printable(line)))?;
        }
    }
    Ok(())
}

/// Replays of the batch, a line for each function that it was tried on.
pub fn print_history(output: &Output, history: Option<&BatchHistory>) -> Result<()> {
    let lines = history.map(|history| history.lines.as_slice()).unwrap_or_default();
    let name = output.paint(Paint::Dim, format!("{:<10}", "replays"));
    lines.iter().try_for_each(|line| output.line(format!("  {name} {}", printable(line))))
}

fn facts(message: &HydratedMessage, received: &ParsedMessage, now: Timestamp) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    let mut fact = |name, value: Option<String>| facts.extend(value.map(|value| (name, value)));
    let age = |time: Timestamp| time::age(now.millis_since(time));
    let at = |time: Timestamp| format!("{} ({} ago)", time.rfc3339(), age(time));
    let (response, batch) = (&message.response, received.head.batch.as_ref());

    let version = response.executed_version.as_ref().map(|version| format!(", version {version} ran"));
    fact("function", message.function_arn.as_ref().map(|arn| format!("{arn}{}", version.unwrap_or_default())));
    fact("failed", message.failed_at.map(at));
    let tries = response
        .invoke_count
        .filter(|_| !message.is_drill())
        .map(|tries| format!(" after {}", count(tries, "invocation", "invocations")));
    fact(
        "because",
        message
            .condition
            .as_ref()
            .map(|condition| format!("{condition}{}: {}", tries.unwrap_or_default(), message.error())),
    );
    fact("request", message.request_id.clone());
    fact("stream", message.stream.clone());
    fact("shard", message.shard.clone());
    if let Some((start, end)) = batch.and_then(|batch| Some((batch.start.as_ref()?, batch.end.as_ref()?))) {
        fact("range", Some(format!("{start} to {end}")));
    }
    if let Some((first, last)) = batch.and_then(|batch| Some((batch.first_arrival?, batch.last_arrival?))) {
        fact("arrived", Some(format!("{} to {} ({} ago)", first.rfc3339(), last.rfc3339(), age(first))));
    }
    if let Some(part) = message.part {
        let last = if part.last { ", the last" } else { ", not the last" };
        fact("part", Some(format!("{}{last}", part.number)));
    }
    let hydration = &received.head.hydration;
    let origin = hydration.origin.map(|origin| format!(", from the {}", origin.as_str())).unwrap_or_default();
    fact("hydrated", Some(format!("{}{origin}", hydration.hydrated_at)));
    fact("object", hydration.object.clone());
    let place =
        message.pointer().map(|pointer| format!(" in s3://{}/{}", pointer.bucket, pointer.key)).unwrap_or_default();
    fact("size", Some(format!("{}{place}", bytes::size(message.bytes))));
    let received = count(u64::from(message.receive_count), "time", "times");
    fact(
        "on queue",
        message.sent_at().map(|sent_at| {
            let copies = count(message.copies.len() as u64, "copy", "copies");
            format!("{copies}, since {}, received {received}", at(sent_at))
        }),
    );
    facts
}
