//! The steps of a drill, as findings of the doctor.

use std::time::Instant;

use anyhow::Result;
use hydration::drill::{DrillBatch, DrillPlan};
use hydration::ports::Clock;
use hydration::verdict::Status;
use serde::Serialize;
use serde_with::skip_serializing_none;

use crate::commands::doctor::drill::search::Arrived;
use crate::commands::doctor::print_text;
use crate::commands::doctor::rules::{Finding, Grade};
use crate::print::{Output, time};

/// The names that a drill had. None of them is record data, so that they may be shown to anybody.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DrillFacts {
    /// The version of the tool.
    pub version: &'static str,
    pub stream: String,
    pub shard: Option<String>,
    pub function: Option<String>,
    pub mapping: Option<String>,
    pub destination: Option<String>,
    pub request_id: Option<String>,
    pub id: Option<String>,
    pub records: Option<usize>,
    pub first_sequence_number: Option<String>,
    pub last_sequence_number: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub message_ids: Vec<String>,
    pub status: Option<Status>,
}

impl DrillFacts {
    pub fn read(&mut self, plan: &DrillPlan, batch: &DrillBatch) {
        self.shard = Some(plan.shard_id.clone());
        self.request_id = Some(plan.request_id.clone());
        self.id = Some(batch.id.clone());
        self.records = Some(batch.events.len());
        self.first_sequence_number = Some(batch.first.clone());
        self.last_sequence_number = Some(batch.last.clone());
    }

    pub fn arrived(&mut self, arrived: &Arrived) {
        self.message_ids.clone_from(&arrived.message_ids);
        self.status = arrived.status;
    }
}

pub struct DrillReport<'a, C> {
    clock: &'a C,
    step: &'static str,
    /// The start of the step.
    began: Instant,
    findings: Vec<Finding>,
    pub facts: DrillFacts,
    /// The report was sent then.
    sent_at: Option<Instant>,
    arrived_at: Option<Instant>,
}

impl<'a, C: Clock> DrillReport<'a, C> {
    pub fn new(clock: &'a C) -> Self {
        let facts = DrillFacts {
            version: env!("CARGO_PKG_VERSION"),
            stream: String::new(),
            shard: None,
            function: None,
            mapping: None,
            destination: None,
            request_id: None,
            id: None,
            records: None,
            first_sequence_number: None,
            last_sequence_number: None,
            message_ids: Vec::new(),
            status: None,
        };
        let (findings, sent_at, arrived_at) = (Vec::new(), None, None);
        Self { clock, step: "", began: clock.instant(), findings, facts, sent_at, arrived_at }
    }

    /// Begins a step. It ends with the next.
    pub fn begin(&mut self, step: &'static str) {
        if step == "report" {
            self.sent_at = Some(self.clock.instant());
        }
        (self.step, self.began) = (step, self.clock.instant());
    }

    pub fn fine(&mut self, finding: String) {
        self.fine_at(finding, self.clock.instant());
    }

    /// The same for a step that ended then.
    pub fn fine_at(&mut self, finding: String, ended: Instant) {
        if self.step == "arrive" {
            self.arrived_at = Some(ended);
        }
        self.add(Grade::Fine, finding, "", ended);
    }

    pub fn warning(&mut self, finding: String) {
        self.add(Grade::Warning, finding, "", self.clock.instant());
    }

    pub fn problem(&mut self, finding: String, change: &str) {
        self.add(Grade::Problem, finding, change, self.clock.instant());
    }

    fn add(&mut self, grade: Grade, finding: String, change: &str, ended: Instant) {
        let took = ended.saturating_duration_since(self.began);
        let finding = Finding::new(grade, format!("drill: {}", self.step), finding, change);
        let milliseconds = u64::try_from(took.as_millis()).ok();
        self.findings.push(Finding { milliseconds, ..finding });
    }

    /// Adds the result. A drill that did not come to its end has none.
    pub fn finish(mut self, has_ended: bool) -> FinishedReport {
        let is_bad = |finding: &Finding| finding.grade == Grade::Problem;
        let has_problem = self.findings.iter().any(is_bad);
        let way = self.sent_at.zip(self.arrived_at).map(|(sent, arrived)| arrived.saturating_duration_since(sent));
        let (grade, text) = match (has_ended, has_problem, way) {
            (false, _, _) => (Grade::Unchecked, "it was stopped before its end".to_owned()),
            (true, false, Some(way)) => {
                (Grade::Fine, format!("the net holds: on the queue {} after the report", time::seconds(way)))
            }
            (true, _, _) => {
                (Grade::Problem, "it does not hold, or something is left: see the problems above".to_owned())
            }
        };
        let result = Finding::new(grade, "drill", format!("dlq {}: {text}", self.facts.version), "");
        self.findings.push(Finding { drill: Some(Box::new(self.facts)), ..result });
        FinishedReport { findings: self.findings, holds: grade == Grade::Fine }
    }
}

pub struct FinishedReport {
    findings: Vec<Finding>,
    holds: bool,
}

impl FinishedReport {
    /// Prints the steps, and tells if the net holds.
    pub fn print(self, output: &Output) -> Result<bool> {
        if output.json {
            self.findings.iter().try_for_each(|finding| output.json(finding))?;
        } else {
            print_text(output, &self.findings, true)?;
        }
        Ok(self.holds)
    }
}
