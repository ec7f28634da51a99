//! The message for programs: JSON, with the names of `dlq status -o json`.

use hydration::incident::IncidentResult;
use hydration::timestamp::Timestamp;
use serde::Serialize;

use super::{Excerpt, words};
use crate::report::ReportedIncident;
use crate::window::DigestWindow;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProgramDigest<'a> {
    version: u32,
    source: &'static str,
    stack: &'a str,
    window: &'a DigestWindow,
    /// The time before the window that was not looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_looked_at: Option<&'a DigestWindow>,
    /// False if the time was too short for all lines.
    is_whole: bool,
    batches: u64,
    records: u64,
    missing_records: u64,
    incidents: Vec<ProgramIncident>,
    /// Incidents that are not in the list.
    further_incidents: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    dashboard: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProgramIncident {
    function: String,
    version: Option<String>,
    condition: String,
    error: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_type: Option<String>,
    is_new: bool,
    batches: u64,
    records: u64,
    missing_records: u64,
    shards: u64,
    first_seen: Option<String>,
    last_seen: Option<String>,
    oldest_record_age_seconds: Option<i64>,
    reason: Option<String>,
    example: String,
}

pub fn json(excerpt: &Excerpt<'_>) -> String {
    let report = excerpt.report;
    let digest = ProgramDigest {
        version: 1,
        source: "failed-batch-hydrator",
        stack: &excerpt.links.stack_name,
        window: &report.window,
        not_looked_at: report.skipped.as_ref(),
        is_whole: report.is_whole && report.beyond == 0,
        batches: report.batches(),
        records: report.records(),
        missing_records: report.missing(),
        incidents: report.incidents.iter().take(excerpt.listed).map(incident).collect(),
        further_incidents: report.incidents.len() - excerpt.listed,
        dashboard: excerpt.links.dashboard_url.as_deref(),
    };
    // A structure of numbers and strings cannot fail to become JSON.
    serde_json::to_string(&digest).unwrap_or_default()
}

fn incident(reported: &ReportedIncident) -> ProgramIncident {
    let (incident, key) = (&reported.incident, &reported.incident.key);
    ProgramIncident {
        function: words::text(&key.function),
        version: key.version.as_deref().map(words::text),
        condition: words::text(&key.condition),
        error: words::text(&key.error),
        status: key.result.as_str(),
        error_type: match &key.result {
            IncidentResult::NotHydrated(error_type) => Some(words::text(error_type)),
            IncidentResult::Hydrated(_) => None,
        },
        is_new: reported.is_new,
        batches: incident.batches,
        records: incident.records,
        missing_records: incident.missing,
        shards: incident.shards,
        first_seen: incident.first.map(Timestamp::rfc3339),
        last_seen: incident.last.map(Timestamp::rfc3339),
        oldest_record_age_seconds: incident.oldest_record_seconds,
        reason: incident.reason.as_deref().map(words::text),
        example: words::text(&incident.example),
    }
}
