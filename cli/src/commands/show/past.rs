//! A message that is no longer on the queue: what the ledger knows of it.

use anyhow::Result;
use hydration::ports::Clock;
use serde::Serialize;
use serde_with::skip_serializing_none;

use crate::commands::histories::{OpenedLedger, say_folder};
use crate::context::Context;
use crate::exit::{NotFound, NotSeen};
use crate::ledger::history::HistoryJson;
use crate::ledger::past::{Past, PastDiscard};
use crate::ledger::store::Store;
use crate::print::{Output, Paint, printable};
use crate::queue::filter::is_id_named;

#[skip_serializing_none]
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PastJson<'a> {
    id: &'a str,
    on_queue: bool,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    history: &'a [HistoryJson],
    discarded: Option<&'a PastDiscard>,
}

/// Prints what became of a message that was not found, if the ledger knows it, and returns the error of the command.
pub async fn show<S: Store, C: Clock>(
    context: &Context<C>,
    opened: &OpenedLedger<S, C>,
    error: anyhow::Error,
) -> Result<anyhow::Error> {
    let not_seen = error.downcast_ref::<NotSeen>().map(|error| &error.id);
    let Some(id) = error.downcast_ref::<NotFound>().map(|error| &error.id).or(not_seen) else { return Ok(error) };
    let (ledger, place) = match opened {
        Ok(opened) => opened,
        Err(reason) => {
            context.output.attention(format!("the ledger was not asked about {id}: {reason:#}"));
            return Ok(error);
        }
    };
    let past = match context.interrupt.race(ledger.past(|own| is_id_named(own, id))).await? {
        Ok(past) => past,
        Err(reason) => {
            context.output.attention(format!("the ledger was not asked about {id}: {reason}"));
            return Ok(error);
        }
    };
    if !place.is_shared {
        say_folder(context, place);
    }
    past.iter().try_for_each(|(id, past)| print(&context.output, id, past))?;
    if past.is_empty() || not_seen.is_some() {
        return Ok(error);
    }
    let sentence = error.to_string().lines().next().unwrap_or_default().to_owned();
    let text = format!("{sentence} any more: the ledger says above what became of it");
    Ok(NotFound { id: id.clone(), text }.into())
}

fn print(output: &Output, id: &str, past: &Past) -> Result<()> {
    if output.json {
        let (history, discarded) = (past.history.json.as_slice(), past.discarded.as_ref());
        return output.json(&PastJson { id, on_queue: false, history, discarded });
    }
    output.line(output.paint(Paint::Bold, printable(id)))?;
    let discarded = past.discarded_line.iter().map(|line| ("discarded", line));
    for (name, line) in past.history.lines.iter().map(|line| ("replays", line)).chain(discarded) {
        output.line(format!("  {} {}", output.paint(Paint::Dim, format!("{name:<10}")), printable(line)))?;
    }
    Ok(())
}
