//! Rules for records that a mapping does not read: why, how long they have to live, and the rescue for them.
//!
//! Lambda tells nobody how far a mapping has come. What is known is the age of the records that its function got last
//! (the metric IteratorAge) and the last change of the mapping. The metric is of the last record of a batch
//! (<https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html>), the greatest of all shards, and of
//! all mappings of the function. A rescue therefore begins some time before it.

use std::time::Duration;

use hydration::timestamp::Timestamp;
use serde::Serialize;
use serde_with::skip_serializing_none;

use crate::commands::doctor::rules::{Finding, Grade};
use crate::ports::{MetricPoint, StreamMapping};
use crate::print::time::{age, duration};
use crate::queue::filter_args::shell_quoted;

const MINUTE: i64 = 60 * 1000;
/// The time that may lie between the first and the last record of a batch: the longest that a function runs.
const BATCH_SPAN: i64 = 15 * MINUTE;
/// The time for which the age must have grown with the clock: three periods of the metric.
const STUCK_FOR: i64 = 15 * MINUTE;
/// The share of the passing time by which the age grows where nothing behind a record is read. The rest is for the
/// edges of the metric's periods.
const STUCK_GROWTH: f64 = 0.8;
/// The time without an invocation after which a mapping that has records is silent: tumbling windows take 15 minutes.
const SILENT_FOR: i64 = 30 * MINUTE;
/// The time that is looked back for the present age, and for records that arrived.
pub const RECENT: i64 = 60 * MINUTE;

/// The steps in their order, and what becomes of the records when the mapping works again.
const ORDER: &str = "Rescue first: the batches then wait on the queue, whatever becomes of the stream. Without --send \
                     the command only prints its plan. Then enable or correct the mapping: it goes on where it stopped \
                     and runs the same records, so discard the rescued batches that it has run, or both run them.";
/// The greatest age is of one shard, and the rescue of all.
const OTHER_SHARDS: &str = " Records of shards that are not late are rescued too: --shard takes one shard alone.";

/// A mapping with what is known of its reading.
#[derive(Debug, Clone, Copy)]
pub struct WatchedMapping<'a> {
    pub mapping: &'a StreamMapping,
    /// `None` where it could not be read.
    pub retention: Option<Duration>,
    /// The ages of the records that its function got, in milliseconds, oldest first; `None` where they could not be
    /// read.
    pub ages: Option<&'a [MetricPoint]>,
    /// The records that arrived in its stream; empty where that is not known.
    pub arrivals: &'a [MetricPoint],
    /// The function has another stream mapping, so that the ages may be of that one.
    pub is_shared: bool,
    pub now: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Trouble {
    Disabled,
    /// A batch blocks a shard.
    Stuck,
    /// The function works on records of which half the life is over.
    Behind,
    /// Lambda does not invoke the function, though there is something to read.
    Silent,
}

/// The fact from which the age of the oldest unread record is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum KnownFrom {
    IteratorAge,
    LastModified,
    Nothing,
}

/// Records that a mapping has not read, and the command that saves them.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnreadRecords {
    mapping: String,
    function: String,
    stream: String,
    trouble: Trouble,
    known_from: KnownFrom,
    /// The time at which the oldest of them arrived, as far as it is known.
    oldest_arrival: Option<String>,
    retention_seconds: Option<u64>,
    /// The time that the oldest has to live if it arrived then; zero where it has expired.
    seconds_left: Option<u64>,
    since: String,
    until: String,
    filter_mapping: Option<String>,
    rescue: String,
    pub order: String,
}

/// The finding about the records that a mapping does not read; `None` where nothing shows that there are any.
pub fn unread(watched: &WatchedMapping<'_>, location_flags: &str) -> Option<Finding> {
    let trouble = watched.trouble()?;
    let (known_from, oldest) = watched.oldest(trouble);
    let left = watched.millis_left(oldest);
    let mapping = watched.mapping;
    let text = format!("{}; {}", watched.reason(trouble), watched.life(trouble, known_from, oldest, left));
    let records = watched.records(trouble, known_from, oldest, left, location_flags);
    let is_half_over = left.zip(watched.retention).is_none_or(|(left, retention)| left < millis(retention) / 2);
    let is_endless = trouble == Trouble::Stuck && mapping.retries_for_ever();
    let grade = if is_half_over || is_endless { Grade::Problem } else { Grade::Warning };
    let subject = format!("mapping {} of {}", mapping.uuid, mapping.function);
    let rescue = records.rescue.clone();
    Some(Finding { unread: Some(Box::new(records)), ..Finding::new(grade, subject, text, &rescue) })
}

impl WatchedMapping<'_> {
    fn trouble(&self) -> Option<Trouble> {
        if self.mapping.is_disabled() {
            return Some(Trouble::Disabled);
        }
        if self.is_stuck() {
            return Some(Trouble::Stuck);
        }
        let is_old =
            |point: MetricPoint| self.retention.is_some_and(|retention| point.value > millis(retention) as f64 / 2.0);
        if self.recent_age().is_some_and(is_old) {
            return Some(Trouble::Behind);
        }
        self.is_silent().then_some(Trouble::Silent)
    }

    /// The last age of the last hour.
    fn recent_age(&self) -> Option<MetricPoint> {
        let last = *self.ages?.last()?;
        (self.now.millis_since(last.at) <= RECENT).then_some(last)
    }

    /// The age grows with the clock: the function gets the same record again and again.
    fn is_stuck(&self) -> bool {
        let (Some(last), Some(ages)) = (self.recent_age(), self.ages) else { return false };
        let earlier = ages.iter().rev().find(|point| last.at.millis_since(point.at) >= STUCK_FOR);
        earlier.is_some_and(|earlier| {
            let passed = last.at.millis_since(earlier.at);
            passed <= RECENT && last.value - earlier.value >= STUCK_GROWTH * passed as f64
        })
    }

    /// No invocation, though Lambda names a problem or records have arrived. Records that the filters leave out invoke
    /// nothing, and a function that was called and failed is not silent.
    fn is_silent(&self) -> bool {
        let Some(ages) = self.ages else { return false };
        let silence_began = self.now.plus_millis(-SILENT_FOR);
        if self.mapping.state != "Enabled" || ages.last().is_some_and(|point| point.at >= silence_began) {
            return false;
        }
        let is_problem = |result: &String| result.starts_with("PROBLEM") && !result.contains("Function call failed");
        let arrived = self.arrivals.iter().any(|point| point.value > 0.0 && point.at < silence_began);
        self.mapping.last_result.as_ref().is_some_and(is_problem) || (arrived && !self.mapping.has_filters)
    }

    /// The time at which the oldest unread record arrived, as far as it is known.
    fn oldest(&self, trouble: Trouble) -> (KnownFrom, Option<Timestamp>) {
        // The ages of a mapping that works hide those of one that does not.
        let is_hidden = self.is_shared && matches!(trouble, Trouble::Disabled | Trouble::Silent);
        let last = self.ages.and_then(<[_]>::last).filter(|_| !is_hidden);
        if let Some(last) = last {
            return (KnownFrom::IteratorAge, Some(last.at.plus_millis(-(last.value as i64))));
        }
        match self.mapping.last_modified {
            Some(modified) if modified <= self.now => (KnownFrom::LastModified, Some(modified)),
            _ => (KnownFrom::Nothing, None),
        }
    }

    /// The time that the oldest unread record has to live if it arrived then, in milliseconds.
    fn millis_left(&self, oldest: Option<Timestamp>) -> Option<i64> {
        let (oldest, retention) = oldest.zip(self.retention)?;
        Some((millis(retention) - self.now.millis_since(oldest)).max(0))
    }

    fn reason(&self, trouble: Trouble) -> String {
        let mapping = self.mapping;
        match trouble {
            Trouble::Disabled => {
                let reason = mapping.state_reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
                format!("{}{reason}: it reads nothing", mapping.state.to_lowercase())
            }
            Trouble::Stuck => {
                let retried = if mapping.retries_for_ever() { ", and Lambda retries it without end" } else { "" };
                let shared = if self.is_shared { " (the ages are of all mappings of the function)" } else { "" };
                format!(
                    "a batch blocks a shard{retried}: the age of what its function gets grows with the clock{shared}"
                )
            }
            Trouble::Behind => {
                let shared = if self.is_shared { ", by this mapping or another one" } else { "" };
                let old = self.recent_age().map(|point| age(point.value as i64)).unwrap_or_default();
                format!("its function gets records that are {old} old{shared}")
            }
            Trouble::Silent => {
                let last = self.ages.and_then(<[_]>::last).map(|point| self.now.millis_since(point.at));
                let silence =
                    last.map_or_else(|| "no time that is known".to_owned(), |last| format!("{} ago", age(last)));
                format!("it has records to read, and Lambda does not invoke its function: the last time was {silence}")
            }
        }
    }

    fn life(&self, trouble: Trouble, known_from: KnownFrom, oldest: Option<Timestamp>, left: Option<i64>) -> String {
        let is_stopped = matches!(trouble, Trouble::Disabled | Trouble::Silent);
        let known = oldest.map(|oldest| format!("{} ({} ago)", oldest.rfc3339(), age(self.now.millis_since(oldest))));
        let known = match (known_from, known) {
            (KnownFrom::IteratorAge, Some(known)) => {
                // The last record that was tried. Where the mapping has stopped, that one may have succeeded.
                let side = if is_stopped { "or later" } else { "or a little before" };
                format!("the metric IteratorAge says that its oldest unread record arrived at {known} {side}")
            }
            (KnownFrom::LastModified, Some(known)) => format!(
                "no metric says how old its oldest unread record is; the mapping was changed last at {known}, and it \
                 stopped then or before (give an earlier --since if you know one)"
            ),
            _ => "nothing says how old its oldest unread record is".to_owned(),
        };
        let Some(retention) = self.retention else {
            return format!("{known}; how long the stream keeps records is not known");
        };
        let kept = format!("the stream keeps records for {}", duration(retention));
        match left {
            Some(0) if is_stopped && known_from == KnownFrom::IteratorAge => {
                format!("{known}; {kept}: the oldest may be lost already, and more may be with every minute")
            }
            Some(0) => format!("{known}; {kept}: the oldest are lost, and more are with every minute"),
            Some(left) => {
                let bound = match known_from {
                    KnownFrom::IteratorAge if is_stopped => "or more",
                    _ => "at most",
                };
                format!("{known}; {kept}: it has {} to live {bound}", age(left))
            }
            None => format!("{known}; {kept}"),
        }
    }

    fn records(
        &self,
        trouble: Trouble,
        known_from: KnownFrom,
        oldest: Option<Timestamp>,
        left: Option<i64>,
        location_flags: &str,
    ) -> UnreadRecords {
        let StreamMapping { uuid, function, source, has_filters, .. } = self.mapping;
        // Nothing older is left.
        let kept_since = self.retention.map(|retention| self.now.plus_millis(-millis(retention)));
        let known_since = oldest.map(|oldest| oldest.plus_millis(-BATCH_SPAN));
        let day = Duration::from_secs(24 * 60 * 60);
        let since = known_since.max(kept_since).unwrap_or_else(|| self.now.plus_millis(-millis(day)));
        let (since, until) = (since.rfc3339(), self.now.rfc3339());
        let filters = has_filters.then(|| format!(" --filter-mapping {}", shell_quoted(uuid))).unwrap_or_default();
        // The name, with the version or alias that the mapping names.
        let name = function.split_once(":function:").map_or(function.as_str(), |(_, name)| name);
        UnreadRecords {
            mapping: uuid.clone(),
            function: function.clone(),
            stream: source.clone(),
            trouble,
            known_from,
            oldest_arrival: oldest.map(Timestamp::rfc3339),
            retention_seconds: self.retention.map(|retention| retention.as_secs()),
            seconds_left: left.map(|left| left.unsigned_abs() / 1000),
            filter_mapping: has_filters.then(|| uuid.clone()),
            rescue: format!(
                "dlq hydrate --stream {} --since {since} --until {until} --function {}{filters}{location_flags} --send",
                shell_quoted(source),
                shell_quoted(name)
            ),
            since,
            until,
            order: match trouble {
                Trouble::Stuck | Trouble::Behind => format!("{ORDER}{OTHER_SHARDS}"),
                Trouble::Disabled | Trouble::Silent => ORDER.to_owned(),
            },
        }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
