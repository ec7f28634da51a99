//! A message that is not hydrated: where it is from, and its text.

use anyhow::Result;
use hydration::ports::Clock;
use serde::Serialize;

use crate::commands::show::Arguments;
use crate::context::Context;
use crate::print::message_json::ForeignJson;
use crate::print::visible::Visible;
use crate::print::{Paint, bytes, count, pretty_json, printable, time};
use crate::queue::queue_message::ForeignMessage;

/// Lines of the text; the rest is cut unless --all is given.
const MAX_LINES: usize = 40;

#[derive(Serialize)]
struct ShownForeignJson<'a> {
    #[serde(flatten)]
    message: ForeignJson<'a>,
    body: &'a str,
}

pub fn show<C: Clock>(context: &Context<C>, arguments: &Arguments, message: &ForeignMessage) -> Result<()> {
    let (output, now, body) = (&context.output, context.now(), message.text()?);
    if arguments.raw {
        return output.raw_json(&body);
    }
    if output.json {
        return output.json(&ShownForeignJson { message: ForeignJson::from(message), body: &body });
    }
    output.line(output.paint(Paint::Bold, printable(&message.message_id)))?;
    output.line(format!("{}: {}", output.paint(Paint::Yellow, "Not hydrated"), printable(&message.reason)))?;
    if message.is_bare_record {
        output.line("  It is an invocation record without records; dlq hydrate --from-queue hydrates it.")?;
    }
    let received = count(u64::from(message.receive_count), "time", "times");
    let sent = time::ago(message.sent_at, now);
    output.line(format!("  {}, sent {sent}, received {received}\n", bytes::size(message.bytes)))?;
    let is_json = serde_json::from_str::<&serde_json::value::RawValue>(&body).is_ok();
    let text = if is_json { pretty_json(&body) } else { body };
    let (lines, max) = (text.lines().count(), if arguments.all { usize::MAX } else { MAX_LINES });
    for line in text.lines().take(max) {
        output.line(format!("    {}", Visible::lines(line)))?;
    }
    if lines > max {
        output.line(output.paint(Paint::Dim, format!("    … {} more lines; --all", lines - max)))?;
    }
    Ok(())
}
