//! Numbers of a read: the messages that were shown, and those that were not, with the reason.

use anyhow::Result;
use serde::Serialize;

use crate::exit::Exit;
use crate::print::{Output, Paint, count, thousands};

/// Numbers of messages, at the end of the output of every command that reads the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadSummary {
    /// Hydrated messages that pass the filters; copies count as one.
    pub shown: u64,
    /// Hydrated messages that do not.
    pub filtered: u64,
    /// Messages that somebody else holds.
    pub in_flight: u64,
    pub delayed: u64,
    /// Messages that are not hydrated.
    pub foreign: u64,
    /// Messages that SQS did not show: behind others of a FIFO queue, or beyond its limit of messages in
    /// flight.
    pub not_looked_at: u64,
    /// Messages whose objects in the bucket could not be read now. An object that is gone was looked at.
    #[serde(skip_serializing_if = "is_zero")]
    pub not_read: u64,
    /// Messages whose records could not be searched.
    #[serde(skip_serializing_if = "is_zero")]
    pub not_searched: u64,
    /// Records without a match that have binary data, which is not searched.
    #[serde(skip_serializing_if = "is_zero")]
    pub binary_records: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl ReadSummary {
    /// Nothing is on the queue that the command does not show or filter.
    pub fn is_complete(&self) -> bool {
        self.in_flight + self.delayed + self.foreign + self.not_looked_at + self.not_read + self.not_searched == 0
    }

    /// The queue was seen to be empty.
    pub fn is_empty(&self) -> bool {
        self.is_complete() && self.shown + self.filtered == 0
    }

    pub fn exit(&self) -> Exit {
        if self.is_complete() { Exit::Done } else { Exit::Attention }
    }

    /// Prints the last lines of the output.
    pub fn print(&self, output: &Output) -> Result<()> {
        if output.json {
            return output.json(&serde_json::json!({ "summary": self }));
        }
        self.lines().iter().try_for_each(|line| output.line(output.paint(Paint::Yellow, line)))
    }

    /// A line for each number above zero that is not shown.
    pub fn lines(&self) -> Vec<String> {
        let messages = |number| count(number, "message", "messages");
        let lines = [
            (self.filtered, format!("{} filtered out", messages(self.filtered))),
            (self.in_flight, format!("{} in flight: somebody else holds them for now", messages(self.in_flight))),
            (self.delayed, format!("{} delayed: SQS does not show them yet", messages(self.delayed))),
            (self.foreign, format!("{} not hydrated", messages(self.foreign))),
            (
                self.not_looked_at,
                format!(
                    "about {} not looked at: SQS shows no more before others are deleted (of each shard, a FIFO queue \
                     shows ten at most), or its count is a minute old",
                    thousands(self.not_looked_at)
                ),
            ),
            (self.not_read, format!("{} not readable in the bucket for now", messages(self.not_read))),
            (self.not_searched, format!("{} not searched: the records could not be read", messages(self.not_searched))),
            (
                self.binary_records,
                format!(
                    "{} searched only in part or not at all: binary data, or too large to unpack",
                    count(self.binary_records, "record", "records")
                ),
            ),
        ];
        lines.into_iter().filter(|(number, _)| *number > 0).map(|(_, line)| line).collect()
    }
}
