//! The failures of a window, counted, and everything else that a digest says.

use hydration::incident::{Incident, IncidentGroups, IncidentResult};
use hydration::timestamp::Timestamp;
use hydration::verdict::Status;

use crate::log_line::BatchLine;
use crate::state::DigestState;
use crate::window::DigestWindow;

/// The most kinds of incident that are kept apart in one window.
const MOST_INCIDENTS: usize = 500;

/// The failures of a window while its lines are read. Its size does not grow with the bytes of the lines.
#[derive(Debug)]
pub struct FailureCounts {
    groups: IncidentGroups,
    /// False if the time was too short for all lines.
    pub is_whole: bool,
}

impl Default for FailureCounts {
    fn default() -> Self {
        Self { groups: IncidentGroups::at_most(MOST_INCIDENTS), is_whole: true }
    }
}

impl FailureCounts {
    pub fn add(&mut self, line: &str, logged_at: Timestamp) {
        let Some(line) = BatchLine::parse(line) else { return };
        if let Some(key) = line.key() {
            self.groups.add(key, &line.failure(logged_at));
        }
    }
}

/// The account's things that a message names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackLinks {
    pub stack_name: String,
    pub dashboard_url: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportedIncident {
    pub incident: Incident,
    /// True for the first of its kind in an hour.
    pub is_new: bool,
}

/// The content of one digest. The worst incident comes first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestReport {
    pub window: DigestWindow,
    /// The time before the window that was not looked at.
    pub skipped: Option<DigestWindow>,
    pub incidents: Vec<ReportedIncident>,
    /// Log lines of failures that belong to none of the incidents, because there were too many kinds.
    pub beyond: u64,
    pub is_whole: bool,
}

impl DigestReport {
    pub fn of(counts: FailureCounts, window: DigestWindow, skipped: Option<DigestWindow>, state: &DigestState) -> Self {
        let (beyond, is_whole) = (counts.groups.beyond(), counts.is_whole);
        let mut incidents = counts.groups.into_incidents();
        incidents.sort_by_key(|incident| std::cmp::Reverse(badness(incident)));
        let incidents = incidents
            .into_iter()
            .map(|incident| ReportedIncident { is_new: state.is_new(&incident.key, &window), incident })
            .collect();
        Self { window, skipped, incidents, beyond, is_whole }
    }

    /// Returns true if there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.incidents.is_empty() && self.beyond == 0
    }

    pub fn batches(&self) -> u64 {
        self.sum(|incident| incident.batches)
    }

    pub fn records(&self) -> u64 {
        self.sum(|incident| incident.records)
    }

    pub fn missing(&self) -> u64 {
        self.sum(|incident| incident.missing)
    }

    fn sum(&self, number: impl Fn(&Incident) -> u64) -> u64 {
        self.incidents.iter().fold(0, |sum, reported| sum.saturating_add(number(&reported.incident)))
    }

    /// The functions of the incidents, each once, the worst first.
    pub fn functions(&self) -> Vec<&str> {
        let mut functions = Vec::new();
        for reported in &self.incidents {
            let function = reported.incident.key.function.as_str();
            if !functions.contains(&function) {
                functions.push(function);
            }
        }
        functions
    }
}

/// Returns true for a status that says that records are gone.
pub fn is_loss(result: &IncidentResult) -> bool {
    matches!(result, IncidentResult::Hydrated(Status::Partial | Status::Expired | Status::Gone))
}

/// Lost records first, then batches that nobody has read back yet, then the number of batches and records.
fn badness(incident: &Incident) -> (bool, u64, bool, u64, u64) {
    let key = &incident.key;
    let is_waiting = matches!(key.result, IncidentResult::NotHydrated(_));
    (is_loss(&key.result), incident.missing, is_waiting, incident.batches, incident.records)
}
