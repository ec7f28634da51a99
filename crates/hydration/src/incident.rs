//! Incidents: batches that failed in the same way, counted together.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::timestamp::Timestamp;
use crate::verdict::Status;

/// The end of a hydration, as far as incidents tell them apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IncidentResult {
    /// The batch is on the queue.
    Hydrated(Status),
    /// The batch could not be hydrated this time, because of an error of this type. It is tried again.
    NotHydrated(String),
}

impl IncidentResult {
    /// The status of the message, or `NotHydrated`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Hydrated(status) => status.as_str(),
            Self::NotHydrated(_) => "NotHydrated",
        }
    }
}

/// Properties that the batches of an incident share.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IncidentKey {
    pub function: String,
    pub version: Option<String>,
    pub condition: String,
    pub error: String,
    pub result: IncidentResult,
}

impl IncidentKey {
    /// The function's name, with the version that ran unless it was `$LATEST`.
    pub fn function_and_version(&self) -> String {
        match self.version.as_deref().filter(|version| *version != "$LATEST") {
            Some(version) => format!("{}:{version}", self.function),
            None => self.function.clone(),
        }
    }
}

/// A failed batch, or a part of one, as far as an incident needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchFailure<'a> {
    /// The id of the message. Parts of a batch have ids of their own.
    pub id: &'a str,
    pub batch_id: &'a str,
    /// Messages that have this id.
    pub messages: u64,
    pub records: u64,
    pub missing: u64,
    pub stream: Option<&'a str>,
    pub shard: Option<&'a str>,
    pub failed_at: Option<Timestamp>,
    /// Seconds since the oldest record arrived, when it was read back.
    pub record_age_seconds: Option<i64>,
    /// One sentence for people.
    pub reason: Option<&'a str>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    pub key: IncidentKey,
    pub batches: u64,
    pub messages: u64,
    pub records: u64,
    pub missing: u64,
    pub shards: u64,
    pub first: Option<Timestamp>,
    pub last: Option<Timestamp>,
    /// The age of the oldest record when it was read back.
    pub oldest_record_seconds: Option<i64>,
    /// The id of the latest message, to look at first: it failed on the most recent code.
    pub example: String,
    /// The reason of the latest message that has one.
    pub reason: Option<String>,
}

/// A group while failures are added. It keeps digests of ids, so that its size does not grow with their length.
#[derive(Debug, Default)]
struct IncidentGroup {
    ids: BTreeSet<u64>,
    batches: BTreeSet<u64>,
    shards: BTreeSet<u64>,
    messages: u64,
    records: u64,
    missing: u64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    oldest_record_seconds: Option<i64>,
    example: String,
    reason: Option<String>,
}

/// Failures that are being counted. A failure that is added twice counts once.
#[derive(Debug)]
pub struct IncidentGroups {
    most: usize,
    groups: BTreeMap<IncidentKey, IncidentGroup>,
    beyond: u64,
}

impl IncidentGroups {
    /// Groups for at most `most` incidents. Failures of further ones are only counted.
    pub fn at_most(most: usize) -> Self {
        Self { most, groups: BTreeMap::new(), beyond: 0 }
    }

    pub fn add(&mut self, key: IncidentKey, failure: &BatchFailure<'_>) {
        if self.groups.len() >= self.most && !self.groups.contains_key(&key) {
            self.beyond += 1;
            return;
        }
        self.groups.entry(key).or_default().add(failure);
    }

    /// The number of failures that belong to none of the incidents, because there were too many of those.
    pub fn beyond(&self) -> u64 {
        self.beyond
    }

    /// The incidents, the most recent first. A batch that was hydrated in the end is not counted among those that
    /// were not.
    pub fn into_incidents(self) -> Vec<Incident> {
        let is_hydrated = |key: &IncidentKey| matches!(key.result, IncidentResult::Hydrated(_));
        let hydrated: BTreeSet<u64> = self
            .groups
            .iter()
            .filter(|(key, _)| is_hydrated(key))
            .flat_map(|(_, group)| group.batches.iter().copied())
            .collect();
        let mut incidents: Vec<Incident> = self
            .groups
            .into_iter()
            .filter_map(|(key, mut group)| {
                if !is_hydrated(&key) {
                    group.batches.retain(|batch| !hydrated.contains(batch));
                }
                (!group.batches.is_empty()).then(|| group.into_incident(key))
            })
            .collect();
        incidents.sort_by(|a, b| b.last.cmp(&a.last).then_with(|| a.key.cmp(&b.key)));
        incidents
    }
}

impl IncidentGroup {
    fn add(&mut self, failure: &BatchFailure<'_>) {
        self.batches.insert(digest(failure.batch_id));
        self.shards.insert(digest((failure.stream, failure.shard)));
        self.messages += failure.messages;
        if self.ids.insert(digest(failure.id)) {
            self.records = self.records.saturating_add(failure.records);
            // What is missing is a share of the batch size, and the record's sender chooses that.
            self.missing = self.missing.saturating_add(failure.missing);
        }
        self.oldest_record_seconds = self.oldest_record_seconds.max(failure.record_age_seconds);
        self.first = self.first.into_iter().chain(failure.failed_at).min();
        let is_latest = failure.failed_at >= self.last;
        self.last = self.last.max(failure.failed_at);
        if is_latest || self.example.is_empty() {
            self.example = failure.id.to_owned();
        }
        if let Some(reason) = failure.reason
            && (is_latest || self.reason.is_none())
        {
            self.reason = Some(reason.to_owned());
        }
    }

    fn into_incident(self, key: IncidentKey) -> Incident {
        Incident {
            key,
            batches: self.batches.len() as u64,
            messages: self.messages,
            records: self.records,
            missing: self.missing,
            shards: self.shards.len() as u64,
            first: self.first,
            last: self.last,
            oldest_record_seconds: self.oldest_record_seconds,
            example: self.example,
            reason: self.reason,
        }
    }
}

fn digest(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(function: &str, result: IncidentResult) -> IncidentKey {
        IncidentKey {
            function: function.to_owned(),
            version: None,
            condition: "RetryAttemptsExhausted".to_owned(),
            error: "Unhandled".to_owned(),
            result,
        }
    }

    fn failure(id: &str, seconds: i64) -> BatchFailure<'_> {
        BatchFailure {
            id,
            batch_id: id.split('-').next().unwrap(),
            messages: 1,
            records: 10,
            missing: 1,
            stream: Some("stream"),
            shard: Some("shard"),
            failed_at: Some(Timestamp::from_millis(seconds * 1000)),
            record_age_seconds: Some(seconds),
            reason: None,
        }
    }

    fn complete() -> IncidentResult {
        IncidentResult::Hydrated(Status::Complete)
    }

    fn not_hydrated() -> IncidentResult {
        IncidentResult::NotHydrated("AccessDenied".to_owned())
    }

    fn group(failures: &[(IncidentKey, BatchFailure<'_>)]) -> Vec<Incident> {
        let mut groups = IncidentGroups::at_most(usize::MAX);
        failures.iter().for_each(|(key, failure)| groups.add(key.clone(), failure));
        groups.into_incidents()
    }

    #[test]
    fn failures_of_one_kind_are_one_incident_and_the_latest_is_the_example() {
        let a = key("a", complete());
        let other_shard = BatchFailure { shard: Some("other"), ..failure("2", 9) };
        let incidents =
            group(&[(a.clone(), failure("1", 5)), (a, other_shard), (key("b", complete()), failure("3", 7))]);
        let seen: Vec<_> =
            incidents.iter().map(|each| (each.key.function.as_str(), each.batches, each.shards)).collect();
        assert_eq!(seen, [("a", 2, 2), ("b", 1, 1)]);
        let first = &incidents[0];
        assert_eq!((first.records, first.missing, first.example.as_str()), (20, 2, "2"));
        assert_eq!(first.first.zip(first.last).map(|(first, last)| last.millis_since(first)), Some(4000));
        assert_eq!(first.oldest_record_seconds, Some(9));
    }

    #[test]
    fn parts_are_one_batch_and_the_same_failure_twice_counts_once() {
        let a = key("a", complete());
        let incidents =
            group(&[(a.clone(), failure("1-x", 5)), (a.clone(), failure("1-y", 5)), (a, failure("1-y", 5))]);
        let seen: Vec<_> = incidents.iter().map(|each| (each.batches, each.messages, each.records)).collect();
        assert_eq!(seen, [(1, 3, 20)]);
    }

    #[test]
    fn a_batch_that_was_hydrated_in_the_end_is_no_failed_hydration() {
        let (failed, done) = (key("a", not_hydrated()), key("a", complete()));
        let both = group(&[(failed.clone(), failure("1", 5)), (done.clone(), failure("1", 5))]);
        assert_eq!(both.iter().map(|each| &each.key).collect::<Vec<_>>(), [&done]);
        let one_left = group(&[(failed.clone(), failure("1", 5)), (failed, failure("2", 6)), (done, failure("1", 5))]);
        assert_eq!(one_left.iter().map(|each| each.batches).collect::<Vec<_>>(), [1, 1]);
    }

    #[test]
    fn batches_that_claim_to_miss_more_than_can_be_counted_are_added_up() {
        let all = || BatchFailure { missing: u64::MAX, ..failure("1", 5) };
        let incidents =
            group(&[(key("a", complete()), all()), (key("a", complete()), BatchFailure { id: "2", ..all() })]);
        assert_eq!(incidents[0].missing, u64::MAX);
    }

    #[test]
    fn too_many_kinds_are_only_counted() {
        let mut groups = IncidentGroups::at_most(1);
        for function in ["a", "b", "c", "a"] {
            groups.add(key(function, complete()), &failure(function, 5));
        }
        assert_eq!((groups.beyond(), groups.into_incidents().len()), (2, 1));
    }
}
