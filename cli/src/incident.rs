//! Incidents rather than messages: what failed alike, together.

use std::collections::{BTreeMap, BTreeSet};

use hydration::timestamp::Timestamp;
use hydration::verdict::Status;

use crate::entry::Entry;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    pub function: String,
    pub version: Option<String>,
    pub condition: String,
    pub error: String,
    pub status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    pub kind: Kind,
    pub status: Status,
    pub batches: u64,
    pub messages: u64,
    pub records: u64,
    pub missing: u64,
    pub shards: u64,
    pub first: Option<Timestamp>,
    pub last: Option<Timestamp>,
    /// The latest batch, to look at first: its function is the one that runs now.
    pub example: String,
}

/// Groups entries; what was last seen last comes first.
pub fn incidents(entries: &[Entry]) -> Vec<Incident> {
    let mut groups: BTreeMap<Kind, Vec<&Entry>> = BTreeMap::new();
    for entry in entries {
        let kind = Kind {
            function: entry.function_name().or(entry.function_arn.as_deref()).unwrap_or("-").to_owned(),
            version: entry.response.executed_version.clone(),
            condition: entry.condition.clone().unwrap_or_else(|| "-".to_owned()),
            error: entry.error().to_owned(),
            status: entry.status.as_str(),
        };
        groups.entry(kind).or_default().push(entry);
    }
    let mut incidents: Vec<Incident> = groups.into_iter().filter_map(|(kind, group)| incident(kind, &group)).collect();
    incidents.sort_by(|a, b| b.last.cmp(&a.last).then_with(|| a.kind.cmp(&b.kind)));
    incidents
}

fn incident(kind: Kind, group: &[&Entry]) -> Option<Incident> {
    let latest = group.iter().max_by_key(|entry| entry.moment())?;
    let distinct = |key: &dyn Fn(&Entry) -> String| group.iter().map(|entry| key(entry)).collect::<BTreeSet<_>>().len();
    Some(Incident {
        kind,
        status: latest.status,
        batches: distinct(&|entry| entry.batch_id.clone()) as u64,
        messages: group.iter().map(|entry| entry.copies.len() as u64).sum(),
        records: group.iter().map(|entry| entry.records).sum(),
        missing: group.iter().filter_map(|entry| entry.missing).sum(),
        shards: distinct(&|entry| format!("{:?} {:?}", entry.stream, entry.shard)) as u64,
        first: group.iter().filter_map(|entry| entry.moment()).min(),
        last: latest.moment(),
        example: latest.id.clone(),
    })
}
