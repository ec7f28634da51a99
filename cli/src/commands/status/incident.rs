//! Incidents: batches that failed in the same way, counted together.

use std::collections::{BTreeMap, BTreeSet};

use hydration::timestamp::Timestamp;
use hydration::verdict::Status;

use crate::queue::hydrated_message::HydratedMessage;

/// Properties that the batches of an incident share.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct IncidentKey {
    pub function: String,
    pub version: Option<String>,
    pub condition: String,
    pub error: String,
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    pub key: IncidentKey,
    pub status: Status,
    pub batches: u64,
    pub messages: u64,
    pub records: u64,
    pub missing: u64,
    pub shards: u64,
    pub first: Option<Timestamp>,
    pub last: Option<Timestamp>,
    /// The id of the latest message, to look at first: it failed on the most recent code.
    pub example: String,
}

/// Groups messages into incidents, the most recent first.
pub fn incidents(messages: &[HydratedMessage]) -> Vec<Incident> {
    let mut groups: BTreeMap<IncidentKey, Vec<&HydratedMessage>> = BTreeMap::new();
    for message in messages {
        let key = IncidentKey {
            function: message.function_name().or(message.function_arn.as_deref()).unwrap_or("-").to_owned(),
            version: message.response.executed_version.clone(),
            condition: message.condition.clone().unwrap_or_else(|| "-".to_owned()),
            error: message.error().to_owned(),
            status: message.status.as_str(),
        };
        groups.entry(key).or_default().push(message);
    }
    let mut incidents: Vec<Incident> = groups.into_iter().filter_map(|(key, group)| incident(key, &group)).collect();
    incidents.sort_by(|a, b| b.last.cmp(&a.last).then_with(|| a.key.cmp(&b.key)));
    incidents
}

fn incident(key: IncidentKey, group: &[&HydratedMessage]) -> Option<Incident> {
    let latest = group.iter().max_by_key(|message| message.failed_or_sent_at())?;
    let batches: BTreeSet<&str> = group.iter().map(|message| message.batch_id()).collect();
    let shards: BTreeSet<_> = group.iter().map(|message| (&message.stream, &message.shard)).collect();
    Some(Incident {
        key,
        status: latest.status,
        batches: batches.len() as u64,
        messages: group.iter().map(|message| message.copies.len() as u64).sum(),
        records: group.iter().map(|message| message.records).sum(),
        missing: group.iter().filter_map(|message| message.missing).sum(),
        shards: shards.len() as u64,
        first: group.iter().filter_map(|message| message.failed_or_sent_at()).min(),
        last: latest.failed_or_sent_at(),
        example: latest.id.clone(),
    })
}
