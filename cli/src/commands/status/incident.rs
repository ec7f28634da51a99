//! Incidents of the messages on a queue.

use hydration::incident::{BatchFailure, Incident, IncidentGroups, IncidentKey, IncidentResult};

use crate::commands::status::errors::BatchError;
use crate::queue::hydrated_message::HydratedMessage;

/// An incident, with what the log says of its latest batch.
pub struct LoggedIncident {
    pub incident: Incident,
    /// `None` where no log was asked for.
    pub error: Option<BatchError>,
}

/// Groups messages into incidents, the most recent first.
pub fn incidents<'a>(messages: impl Iterator<Item = &'a HydratedMessage>) -> Vec<Incident> {
    let mut groups = IncidentGroups::at_most(usize::MAX);
    messages.for_each(|message| groups.add(key_of(message), &failure(message)));
    groups.into_incidents()
}

/// The properties of a message that its incident shares.
pub fn key_of(message: &HydratedMessage) -> IncidentKey {
    IncidentKey {
        function: message.function_name().or(message.function_arn.as_deref()).unwrap_or("-").to_owned(),
        version: message.response.executed_version.clone(),
        condition: message.condition.clone().unwrap_or_else(|| "-".to_owned()),
        error: message.error().to_owned(),
        result: IncidentResult::Hydrated(message.status),
    }
}

fn failure(message: &HydratedMessage) -> BatchFailure<'_> {
    BatchFailure {
        id: &message.id,
        batch_id: message.batch_id(),
        messages: message.copies.len() as u64,
        records: message.records,
        missing: message.missing.unwrap_or(0),
        stream: message.stream.as_deref(),
        shard: message.shard.as_deref(),
        failed_at: message.failed_or_sent_at(),
        record_age_seconds: None,
        reason: message.reason.as_deref(),
    }
}
