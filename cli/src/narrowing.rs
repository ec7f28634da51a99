//! Narrowing of supersets, with the settings of the event source mapping that formed the failed batch.

use std::cell::RefCell;
use std::collections::HashMap;

use hydration::arn::StreamArn;
use hydration::filter::Filters;
use hydration::invocation_record::FailedBatch;
use hydration::message::parsed::ParsedMessage;
use hydration::narrow::{Contradiction, InBatch, MappingSettings, narrow};
use hydration::timestamp::Timestamp;
use hydration::verdict::Status;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::ports::{BatchMapping, Function};
use crate::print::count;

/// The time that a change of a mapping may take to reach the pollers. They get it minutes later
/// (<https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-create.html>). For Kinesis no bound is documented; for
/// filters of other sources it is this one
/// (<https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html>).
const SETTLING_MINUTES: i64 = 15;

/// The records of a superset: which were in the failed batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Narrowing {
    /// One entry a record.
    pub in_batch: Vec<InBatch>,
    /// The certain records are the batch, all of it and nothing else.
    pub is_exact: bool,
    /// The message is one part of several, so that nothing could be counted.
    is_part: bool,
    /// The mapping's filters could not be read.
    are_filters_unknown: bool,
}

/// The records of a superset, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NarrowingCounts {
    pub certain: usize,
    pub possible: usize,
    pub excluded: usize,
    pub is_exact: bool,
}

impl Narrowing {
    #[cfg(test)]
    pub fn of(in_batch: Vec<InBatch>) -> Self {
        Self { in_batch, is_exact: false, is_part: false, are_filters_unknown: false }
    }

    pub fn counts(&self) -> NarrowingCounts {
        let count = |wanted| self.in_batch.iter().filter(|in_batch| **in_batch == wanted).count();
        NarrowingCounts {
            certain: count(InBatch::Certain),
            possible: count(InBatch::Possible),
            excluded: count(InBatch::Excluded),
            is_exact: self.is_exact,
        }
    }

    /// The result in a sentence.
    pub fn sentence(&self) -> String {
        let NarrowingCounts { certain, possible, excluded, .. } = self.counts();
        let records = |number: usize| count(number as u64, "record", "records");
        if self.is_exact {
            return format!("{} the failed batch, and {} not in it", is_or_are(certain), was_or_were(excluded));
        }
        let parts = if self.is_part { "; the other parts have their own, so none is counted" } else { "" };
        let filters = if self.are_filters_unknown { "; the mapping's filters cannot be read" } else { "" };
        format!(
            "{} certainly in the failed batch, {} may have been, {} not{parts}{filters}",
            was_or_were(certain),
            records(possible),
            was_or_were(excluded)
        )
    }
}

fn was_or_were(records: usize) -> String {
    format!("{} {}", count(records as u64, "record", "records"), if records == 1 { "was" } else { "were" })
}

fn is_or_are(records: usize) -> String {
    format!("{} {}", count(records as u64, "record", "records"), if records == 1 { "is" } else { "are" })
}

/// Reasons why nothing is known of a superset's records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotNarrowed {
    #[error("no Lambda function failed on it, so that there is no event source mapping to ask")]
    NoFunction,
    #[error("the event source mapping cannot be read: {0}")]
    Denied(String),
    #[error("the function has no event source mapping for the stream any more")]
    NoMapping,
    #[error("the invocation record does not say when the records arrived, so that a later change cannot be told")]
    NoArrival,
    #[error(
        "the event source mapping {uuid} was changed at {}, and a change takes up to {} minutes to work: it may have \
         formed the batch with other settings", at.rfc3339(), SETTLING_MINUTES
    )]
    Changed { uuid: String, at: Timestamp },
    #[error("the event source mapping {0} does not say when it was changed")]
    NoChangeTime(String),
    #[error("several event source mappings of the function and the stream differ in their settings")]
    Differ,
    #[error("{0}: the mapping has changed since, or a record of the batch has")]
    Contradiction(Contradiction),
}

/// A reader of event source mappings that asks once for each function and stream.
pub struct Narrower<'a, F> {
    function: &'a F,
    mappings: RefCell<HashMap<MappingKey, Result<Vec<BatchMapping>, NotNarrowed>>>,
}

/// A function and a stream, by their ARNs.
type MappingKey = (String, String);

impl<'a, F: Function> Narrower<'a, F> {
    pub fn new(function: &'a F) -> Self {
        Self { function, mappings: RefCell::default() }
    }

    /// Compares the records of a superset with the settings of its mapping. `None` if the message is no superset.
    pub async fn narrow(&self, received: &ParsedMessage) -> Option<Result<Narrowing, NotNarrowed>> {
        match &received.head.batch {
            Some(batch) if received.head.hydration.status == Status::Superset => {
                Some(self.narrow_batch(batch, received).await)
            }
            _ => None,
        }
    }

    async fn narrow_batch(&self, batch: &FailedBatch, received: &ParsedMessage) -> Result<Narrowing, NotNarrowed> {
        let settings = self.settings(batch).await?;
        let records: Vec<&RawValue> = received.records.iter().map(AsRef::as_ref).collect();
        let is_part = received.head.hydration.part.is_some();
        let narrowed = narrow(batch, &records, &settings, !is_part);
        match narrowed.contradiction {
            Some(contradiction) => Err(NotNarrowed::Contradiction(contradiction)),
            None => Ok(Narrowing {
                in_batch: narrowed.records,
                is_exact: narrowed.is_exact,
                is_part,
                are_filters_unknown: settings.filters.are_unreadable(),
            }),
        }
    }

    /// The settings with which the batch was formed.
    async fn settings(&self, batch: &FailedBatch) -> Result<MappingSettings, NotNarrowed> {
        let function = batch.function_arn.as_deref().filter(|arn| arn.contains(":lambda:"));
        let function = function.ok_or(NotNarrowed::NoFunction)?;
        let mappings = self.mappings(function, batch.stream.as_str()).await?;
        // A batch is formed when its last record has arrived, or later. Changes that work only after that time may have
        // been before it or not.
        let formed_after = batch.last_arrival.ok_or(NotNarrowed::NoArrival)?;
        let mut found: Option<MappingSettings> = None;
        for mapping in mappings {
            match mapping.last_modified {
                None => return Err(NotNarrowed::NoChangeTime(mapping.uuid)),
                Some(at) if at.plus_millis(SETTLING_MINUTES * 60 * 1000) > formed_after => {
                    return Err(NotNarrowed::Changed { uuid: mapping.uuid, at });
                }
                Some(_) => {}
            }
            let settings = settings(&batch.stream, &mapping);
            if found.as_ref().is_some_and(|found| *found != settings) {
                return Err(NotNarrowed::Differ);
            }
            found = Some(settings);
        }
        found.ok_or(NotNarrowed::NoMapping)
    }

    async fn mappings(&self, function: &str, stream: &str) -> Result<Vec<BatchMapping>, NotNarrowed> {
        let key = (function.to_owned(), stream.to_owned());
        if let Some(known) = self.mappings.borrow().get(&key) {
            return known.clone();
        }
        let found = self.function.mappings(function, stream).await;
        let found = found.map_err(|fault| NotNarrowed::Denied(format!("{}: {}", fault.action, fault.detail)));
        self.mappings.borrow_mut().insert(key, found.clone());
        found
    }
}

fn settings(stream: &StreamArn, mapping: &BatchMapping) -> MappingSettings {
    let filters = match &mapping.patterns {
        Some(patterns) => Filters::new(stream, patterns.iter().map(String::as_str)),
        None => Filters::hidden(stream),
    };
    let factor = mapping.parallelization_factor.and_then(|factor| u64::try_from(factor).ok());
    MappingSettings { filters, parallelization_factor: factor.unwrap_or(1) }
}
