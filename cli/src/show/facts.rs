//! The failure's facts, and the verdict in words.

use anyhow::Result;
use hydration::message::received::Received;
use hydration::ports::Clock;
use hydration::timestamp::Timestamp;
use hydration::verdict::Status;
use hydration_aws::SystemClock;

use crate::commands::list::paint;
use crate::entry::Entry;
use crate::print::{Output, Paint, bytes, count, printable, when};
use crate::show::pretty;

/// What the verdict means for the person who reads it.
fn meaning(status: Status) -> &'static str {
    match status {
        Status::Complete => "Every record of the failed batch is here. A replay runs exactly what failed.",
        Status::Superset => {
            "Every record of the failed batch is here, and others that lay between them, which may have succeeded. A \
             replay runs those again: it needs --include-superset."
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

pub fn print(output: &Output, entry: &Entry, received: &Received) -> Result<()> {
    let now = SystemClock.now();
    let status = paint(entry.status).unwrap_or(Paint::Bold);
    let of = match entry.expected {
        Some(expected) => format!("{} of {expected} records", entry.records),
        None => count(entry.records, "record", "records"),
    };
    let missing = entry.missing.map(|missing| format!(", {missing} missing")).unwrap_or_default();
    output.line(output.paint(Paint::Bold, &entry.id))?;
    output.line(format!("{}: {of}{missing}", output.paint(status, entry.status.as_str())))?;
    if let Some(reason) = &entry.reason {
        output.line(format!("  {}", printable(reason)))?;
    }
    output.line(format!("  {}", meaning(entry.status)))?;
    output.line("")?;
    for (name, value) in facts(entry, received, now) {
        let name = output.paint(Paint::Dim, format!("{name:<10}"));
        output.line(format!("  {name} {}", printable(&value)))?;
    }
    if let Some(unrecognized) = &received.unrecognized {
        output.line("\n  What was sent instead:")?;
        let text = hydration::json::string_value(unrecognized).unwrap_or_else(|| pretty::json(unrecognized.get()));
        for line in text.lines() {
            output.line(format!("    {}", printable(line)))?;
        }
    }
    Ok(())
}

fn facts(entry: &Entry, received: &Received, now: Timestamp) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    let mut fact = |name, value: Option<String>| facts.extend(value.map(|value| (name, value)));
    let at = |moment: Timestamp| format!("{} ({} ago)", moment.rfc3339(), when::age(now.millis_since(moment)));
    let (response, batch) = (&entry.response, received.head.batch.as_ref());

    let version = response.executed_version.as_ref().map(|version| format!(", version {version} ran"));
    fact("function", entry.function_arn.as_ref().map(|arn| format!("{arn}{}", version.unwrap_or_default())));
    fact("failed", entry.failed_at.map(at));
    let tries = response.invoke_count.map(|tries| format!(" after {}", count(tries, "invocation", "invocations")));
    fact(
        "because",
        entry
            .condition
            .as_ref()
            .map(|condition| format!("{condition}{}: {}", tries.unwrap_or_default(), entry.error())),
    );
    fact("request", entry.request_id.clone());
    fact("stream", entry.stream.clone());
    fact("shard", entry.shard.clone());
    if let Some((start, end)) = batch.and_then(|batch| Some((batch.start.as_ref()?, batch.end.as_ref()?))) {
        fact("range", Some(format!("{start} to {end}")));
    }
    if let Some((first, last)) = batch.and_then(|batch| Some((batch.first_arrival?, batch.last_arrival?))) {
        fact(
            "arrived",
            Some(format!("{} to {} ({} ago)", first.rfc3339(), last.rfc3339(), when::age(now.millis_since(first)))),
        );
    }
    if let Some(part) = entry.part {
        let last = if part.last { ", the last" } else { ", not the last" };
        fact("part", Some(format!("{}{last}", part.number)));
    }
    let hydration = &received.head.hydration;
    let origin = hydration.origin.map(|origin| format!(", from the {}", origin.as_str())).unwrap_or_default();
    fact("hydrated", Some(format!("{}{origin}", hydration.hydrated_at)));
    let pointer = entry.copies.iter().find_map(|copy| copy.pointer.as_ref());
    let place = pointer.map(|pointer| format!(" in s3://{}/{}", pointer.bucket, pointer.key)).unwrap_or_default();
    fact("size", Some(format!("{}{place}", bytes::size(entry.bytes))));
    let received = count(u64::from(entry.receives), "time", "times");
    fact(
        "on queue",
        entry.sent().map(|sent| {
            let copies = count(entry.copies.len() as u64, "copy", "copies");
            format!(
                "{copies}, since {} ({} ago), received {received}",
                sent.rfc3339(),
                when::age(now.millis_since(sent))
            )
        }),
    );
    facts
}
