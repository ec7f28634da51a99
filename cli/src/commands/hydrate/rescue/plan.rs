//! The plan of a rescue: what is read, how it is cut, and what that costs the stream's other readers.

use std::time::Duration;

use anyhow::{Result, bail};
use hydration::arn::{Source, StreamArn};
use hydration::filter::Filters;
use hydration::ports::{Clock, StreamReader, StreamShard};
use hydration::rescue::{RescuePlan, TimeRange};
use hydration::timestamp::Timestamp;
use hydration::walk::{MIN_READ_PAUSE, MIN_RETENTION};
use serde::Serialize;
use serde_with::skip_serializing_none;

use super::args::{RescueArgs, WantedRecords, length};
use crate::context::Context;
use crate::exit::{UsageError, explain};
use crate::ports::{BatchMapping, Function};
use crate::print::progress::during;
use crate::print::time::{age, duration};
use crate::print::{Output, Paint, count, thousands};
use crate::queue::filter_args::split_qualifier;

/// The batch size of a Kinesis or DynamoDB mapping that names none
/// (<https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html>).
const DEFAULT_BATCH_SIZE: u64 = 100;
const HOUR: Duration = Duration::from_secs(60 * 60);

/// A plan, and the shards that it is for.
pub struct PlannedRescue {
    pub plan: RescuePlan,
    pub shards: Vec<StreamShard>,
    /// The patterns of the mapping whose filters are applied.
    pub patterns: Option<Vec<String>>,
    batch_size_from: String,
    filters: Option<String>,
    /// The last change of that mapping, if it was after the beginning of the range.
    changed: Option<Timestamp>,
    /// False where the retention could not be read. The stream may then keep its records for longer.
    is_retention_known: bool,
}

impl PlannedRescue {
    /// Asks for the function, the mapping and the shards. No record is read.
    pub async fn make<R: StreamReader, F: Function, C: Clock>(
        context: &Context<C>,
        reader: &R,
        function: &F,
        arguments: &RescueArgs,
        wanted: WantedRecords,
    ) -> Result<Self> {
        let WantedRecords { stream, function: name, range } = wanted;
        let interrupt = &context.interrupt;
        let resolved = interrupt.race(during("looking for the function", function.resolve(&name))).await?;
        let function_arn = resolved.map_err(|fault| explain(&fault))?;
        let settings = find_settings(context, function, arguments, &stream, &function_arn);
        let settings = interrupt.race(during("looking for the mapping", settings)).await??;
        let retention = interrupt.race(during("looking at the stream", reader.retention(&stream))).await?;
        let is_retention_known = retention.is_ok();
        let retention = retention.unwrap_or_else(|fault| {
            let assumed = duration(MIN_RETENTION);
            context.output.note(format!(
                "{}: {}; how long the stream keeps its records is not known, and {assumed} is the least",
                fault.action, fault.detail
            ));
            MIN_RETENTION
        });
        let CutSettings { batch_size, batch_size_from, filters, patterns, filters_of, last_modified } = settings;
        let changed = last_modified.filter(|at| *at > range.since);
        let plan = RescuePlan { stream, function_arn, range, batch_size, filters, retention };
        let listing = reader.shards(&plan.stream, plan.shards_since());
        let shards = interrupt.race(during("listing the shards", listing)).await?;
        let mut shards = shards.map_err(|fault| explain(&fault))?;
        if let Some(filter) = &arguments.shard {
            shards.retain(|shard| filter.takes_shard(plan.stream.name(), &shard.id));
            if shards.is_empty() {
                bail!("no shard with records of that time has this id or number\n  → aws kinesis list-shards");
            }
        }
        Ok(Self { plan, shards, patterns, batch_size_from, filters: filters_of, changed, is_retention_known })
    }

    /// The time from which records are read. DynamoDB Streams has no start by time.
    fn read_from(&self, now: Timestamp) -> Timestamp {
        let oldest = self.expired_before(now);
        match self.plan.stream.source() {
            Source::Kinesis if !self.is_retention_known => self.plan.range.since,
            Source::Kinesis => self.plan.range.since.max(oldest),
            Source::DynamoDb => oldest,
        }
    }

    /// The time before which records have expired.
    fn expired_before(&self, now: Timestamp) -> Timestamp {
        now.plus_millis(-i64::try_from(self.plan.retention.as_millis()).unwrap_or(i64::MAX))
    }

    /// Some records may be left out.
    fn filters_leave_out(&self) -> bool {
        !self.plan.filters.are_none() && !self.plan.filters.are_unreadable()
    }

    /// Records of the range have expired already, or may have, where the retention is not known.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.plan.range.since < self.expired_before(now)
    }

    pub fn summary(&self, now: Timestamp) -> PlanSummary {
        let millis = self.plan.range.until.millis_since(self.read_from(now)).max(0);
        let hours = Duration::from_millis(millis.unsigned_abs()).as_secs_f64() / HOUR.as_secs_f64();
        let shards = self.shards.len() as u64;
        let shard_hours = hours * shards as f64;
        let reads_an_hour = HOUR.as_secs_f64() / MIN_READ_PAUSE.as_secs_f64();
        PlanSummary {
            stream: self.plan.stream.as_str().to_owned(),
            function_arn: self.plan.function_arn.clone(),
            since: self.plan.range.since.rfc3339(),
            until: self.plan.range.until.rfc3339(),
            shards,
            shard_hours: (shard_hours * 100.0).round() / 100.0,
            // An iterator and a page for each shard.
            min_calls: 2 * shards,
            max_calls: 2 * shards + (shard_hours * reads_an_hour).ceil() as u64,
            batch_size: self.plan.batch_size,
            filter_mapping: self.filters.clone(),
            filter_mapping_changed: self.changed.filter(|_| self.filters_leave_out()).map(Timestamp::rfc3339),
            expired_before: (self.is_retention_known && self.is_expired(now))
                .then(|| self.expired_before(now).rfc3339()),
        }
    }

    /// Prints the plan: as text for a person, as one object for a program.
    pub fn print(&self, output: &Output, now: Timestamp) -> Result<()> {
        if output.json {
            return output.json(&self.summary(now));
        }
        self.lines(now).iter().enumerate().try_for_each(|(index, line)| match index {
            0 => output.line(output.paint(Paint::Bold, line)),
            _ => output.line(line),
        })
    }

    pub fn lines(&self, now: Timestamp) -> Vec<String> {
        let RescuePlan { stream, function_arn, range, retention, .. } = &self.plan;
        let PlanSummary { shards, shard_hours, min_calls, max_calls, batch_size, expired_before, .. } =
            self.summary(now);
        let most = Duration::from_secs_f64(shard_hours * HOUR.as_secs_f64());
        let mut lines = vec![
            format!("Stream {}", stream.as_str()),
            format!("Function {function_arn}"),
            format!("Records that arrived in {}: {}", length(*range), interval(*range)),
            format!(
                "{}, at most {shard_hours} hours of one shard; the stream keeps its records for {}{}",
                count(shards, "shard", "shards"),
                duration(*retention),
                if self.is_retention_known { "" } else { " or longer" }
            ),
            format!(
                "At least {} and at most about {} calls, one shard after another: two reads a second at most, and 1 MiB a \
                 second, of the 5 reads and 2 MiB that a shard has for all its readers. A shard that was always written \
                 to at its limit would take as long to read: {} in all",
                thousands(min_calls),
                thousands(max_calls),
                duration(most)
            ),
            format!("Batches of up to {batch_size} records ({}) and 6 MB", self.batch_size_from),
        ];
        match (&self.filters, self.plan.filters.are_none()) {
            (None, _) => lines.push("No filters: give --filter-mapping UUID if the mapping has some".to_owned()),
            (Some(uuid), true) => lines.push(format!("The mapping {uuid} has no filters")),
            (Some(uuid), false) if self.plan.filters.are_unreadable() => {
                lines.push(format!("The filters of the mapping {uuid} cannot be read: every record is kept"));
            }
            (Some(uuid), false) => lines.push(format!(
                "Records that certainly fail the filters of the mapping {uuid} are left out; those that may pass are kept"
            )),
        }
        if let Some(changed) = self.changed.filter(|_| self.filters_leave_out()) {
            lines.push(format!(
                "That mapping was changed at {}, after the beginning of the range: if its filters were others before, \
                 records that those took are left out; without --filter-mapping, every record is kept",
                changed.rfc3339()
            ));
        }
        if !self.is_retention_known && self.is_expired(now) {
            lines.push(format!("Records that arrived before {} may have expired", self.expired_before(now).rfc3339()));
        }
        if let Some(before) = expired_before {
            let late = age(self.expired_before(now).millis_since(range.since));
            lines.push(format!("Records that arrived before {before} have expired: {late} of the range"));
        }
        if stream.source() == Source::DynamoDb {
            lines
                .push("DynamoDB Streams has no start by time: each shard is read from its oldest record on".to_owned());
        }
        lines
    }
}

fn interval(range: TimeRange) -> String {
    format!("{} up to {}", range.since.rfc3339(), range.until.rfc3339())
}

#[skip_serializing_none]
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanSummary {
    stream: String,
    function_arn: String,
    since: String,
    until: String,
    shards: u64,
    shard_hours: f64,
    min_calls: u64,
    max_calls: u64,
    batch_size: u64,
    filter_mapping: Option<String>,
    filter_mapping_changed: Option<String>,
    expired_before: Option<String>,
}

/// The settings that decide how the records are cut into batches.
struct CutSettings {
    batch_size: u64,
    batch_size_from: String,
    filters: Filters,
    patterns: Option<Vec<String>>,
    /// The mapping of the filters.
    filters_of: Option<String>,
    last_modified: Option<Timestamp>,
}

async fn find_settings<F: Function, C: Clock>(
    context: &Context<C>,
    function: &F,
    arguments: &RescueArgs,
    stream: &StreamArn,
    function_arn: &str,
) -> Result<CutSettings> {
    let mapping = match &arguments.filter_mapping {
        None => None,
        Some(uuid) => {
            let found = function.mapping(function_arn, uuid).await.map_err(|fault| explain(&fault))?;
            check_source(&found, stream)?;
            check_function(&found, function_arn)?;
            Some(found)
        }
    };
    let mappings = match (&mapping, arguments.batch_size) {
        (Some(found), _) => vec![found.clone()],
        (None, Some(_)) => Vec::new(),
        (None, None) => function.mappings(function_arn, stream.as_str()).await.unwrap_or_else(|fault| {
            context.output.note(format!("{}: {}; the batch size is not known", fault.action, fault.detail));
            Vec::new()
        }),
    };
    // The smallest batch is one that every mapping's function takes.
    let smallest = mappings
        .iter()
        .filter_map(|mapping| Some((u64::try_from(mapping.batch_size?).ok()?, mapping)))
        .min_by_key(|(size, _)| *size);
    let (batch_size, batch_size_from) = match (arguments.batch_size, smallest) {
        (Some(typed), _) => (typed, "--batch-size".to_owned()),
        (None, Some((size, mapping))) => (size.max(1), format!("the batch size of the mapping {}", mapping.uuid)),
        (None, None) => (DEFAULT_BATCH_SIZE, "Lambda's default; the mapping's own is not known".to_owned()),
    };
    let (filters, patterns) = match &mapping {
        None => (Filters::new(stream, []), None),
        Some(BatchMapping { patterns: None, .. }) => (Filters::hidden(stream), Some(Vec::new())),
        Some(BatchMapping { patterns: Some(patterns), .. }) => {
            (Filters::new(stream, patterns.iter().map(String::as_str)), Some(patterns.clone()))
        }
    };
    let last_modified = mapping.as_ref().and_then(|mapping| mapping.last_modified);
    let filters_of = mapping.map(|mapping| mapping.uuid);
    Ok(CutSettings { batch_size, batch_size_from, filters, patterns, filters_of, last_modified })
}

/// The mapping must be one of the function: the filters of another would leave out records that this one was to get.
fn check_function(mapping: &BatchMapping, function_arn: &str) -> Result<()> {
    let unqualified = |arn| split_qualifier(arn).0;
    match mapping.function_arn.as_deref().filter(|arn| unqualified(arn) != unqualified(function_arn)) {
        Some(other) => {
            Err(UsageError(format!("the mapping {} invokes {other}, and not --function", mapping.uuid)).into())
        }
        None => Ok(()),
    }
}

/// The mapping must be one of the stream, or of a consumer of it.
fn check_source(mapping: &BatchMapping, stream: &StreamArn) -> Result<()> {
    let source = mapping.source_arn.as_deref().and_then(|arn| StreamArn::parse(arn).ok());
    match source {
        Some(source) if source == *stream => Ok(()),
        Some(source) if source.stream() == stream.stream() => {
            let message = format!(
                "the mapping {} reads {}, which gives its function other records\n  → give that as --stream",
                mapping.uuid,
                source.as_str()
            );
            Err(UsageError(message).into())
        }
        _ => Err(UsageError(format!("the mapping {} is not one of that stream", mapping.uuid)).into()),
    }
}
