//! Event filtering: the patterns that an event source mapping filters records with.
//!
//! Lambda's pattern language is that of EventBridge
//! (<https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html>), and AWS has published its matcher,
//! Event Ruler (<https://github.com/aws/event-ruler>). Lambda's own matcher cannot be asked. So there are three answers,
//! and [`Answer::Unknown`] is given wherever Event Ruler and Lambda's documentation disagree, or neither says.
//! docs/SEMANTICS.md lists these places.

mod data;
mod decimal;
mod fields;
mod pattern;
mod rule;

use serde_json::value::RawValue;

use crate::arn::{Source, StreamArn};
use crate::record::StreamRecord;
use crate::record::event::EventRecord;

pub use pattern::{InvalidPattern, Pattern};

/// The answer to a question about a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    Fails,
    /// It cannot be known.
    Unknown,
    Passes,
}

impl Answer {
    fn of(is_match: bool) -> Self {
        if is_match { Self::Passes } else { Self::Fails }
    }
}

/// The filters of an event source mapping. A record passes if it passes one of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Filters {
    stream: StreamArn,
    /// `None` for a pattern that cannot be read.
    patterns: Vec<Option<Pattern>>,
    /// The mapping does not tell its patterns: they are encrypted.
    are_hidden: bool,
}

impl Filters {
    /// The filters of a mapping of that stream or consumer. Without a pattern, all records pass.
    pub fn new<'a>(stream: &StreamArn, patterns: impl IntoIterator<Item = &'a str>) -> Self {
        let source = stream.source();
        let read = |text| Pattern::parse(text).ok().map(|pattern| prepare(pattern, source));
        Self { stream: stream.clone(), patterns: patterns.into_iter().map(read).collect(), are_hidden: false }
    }

    /// The filters of a mapping that has some and does not tell which, because they are encrypted.
    pub fn hidden(stream: &StreamArn) -> Self {
        Self { stream: stream.clone(), patterns: Vec::new(), are_hidden: true }
    }

    /// Returns true if every record passes.
    pub fn are_none(&self) -> bool {
        self.patterns.is_empty() && !self.are_hidden
    }

    /// Returns true if no pattern can be read: every answer is [`Answer::Unknown`].
    pub fn are_unreadable(&self) -> bool {
        self.are_hidden || (!self.patterns.is_empty() && self.patterns.iter().all(Option::is_none))
    }

    /// The answer for an event record, as Lambda would have delivered it.
    pub fn answer(&self, raw: &RawValue) -> Answer {
        if self.are_none() {
            return Answer::Passes;
        }
        if self.are_unreadable() {
            return Answer::Unknown;
        }
        let Some(event) = EventRecord::parse(self.stream.source(), raw) else { return Answer::Unknown };
        let answer = |pattern: &Pattern| match &event.record {
            StreamRecord::Kinesis(record) => data::answer(pattern, &record.data, self.stream.is_consumer()),
            StreamRecord::DynamoDb(_) => pattern.answer(raw),
        };
        self.patterns
            .iter()
            .map(|pattern| pattern.as_ref().map_or(Answer::Unknown, answer))
            .max()
            .unwrap_or(Answer::Unknown)
    }
}

/// The root keys of a DynamoDB record that patterns are known to work on. Lambda's page names only `dynamodb`. AWS's
/// other pages and libraries filter on the other two:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-streams.html>,
/// <https://docs.aws.amazon.com/cdk/api/v2/docs/aws-cdk-lib.aws_lambda.FilterRule.html>.
const DYNAMODB_ROOTS: [&str; 3] = ["dynamodb", "eventName", "userIdentity"];
/// Values whose text may be another in the document that Lambda filters: a time, and bytes.
const DYNAMODB_UNSURE: [&str; 3] = ["ApproximateCreationDateTime", "B", "BS"];

/// Adapts a pattern to a service: fields that cannot be answered are marked, and Kinesis data becomes the root.
fn prepare(pattern: Pattern, source: Source) -> Pattern {
    match source {
        Source::Kinesis => pattern.map_paths(|path| match path {
            // A rule for the data as a whole is no JSON pattern.
            [data, inside @ ..] if data == "data" && !inside.is_empty() => Some(inside.to_vec()),
            // Lambda's page says that only `data` can be filtered on, and has an example with `partitionKey`.
            _ => None,
        }),
        Source::DynamoDb => pattern.map_paths(|path| {
            let is_known = path.first().is_some_and(|root| DYNAMODB_ROOTS.contains(&root.as_str()));
            let is_sure = path.last().is_some_and(|leaf| !DYNAMODB_UNSURE.contains(&leaf.as_str()));
            (is_known && is_sure).then(|| path.to_vec())
        }),
    }
}

#[cfg(test)]
mod tests;
