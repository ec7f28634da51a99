//! One log line and one set of metrics for each batch. Nothing else in the function logs or counts, so that the two
//! cannot disagree; and neither ever holds record data, partition keys or item keys.

pub mod log;
pub mod metrics;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hydration::error::HydrateError;
use hydration::hydrator::Outcome;
use hydration::invocation_record::FailedBatch;
use hydration::retry::Tally;
use lambda_runtime::Context;

use crate::config::InvalidConfiguration;

/// The batch that a line and its metrics are about, and what it cost.
#[derive(Clone, Copy)]
pub struct About<'a> {
    pub invocation: &'a Invocation,
    pub batch: Option<&'a FailedBatch>,
    pub tally: &'a Tally,
    pub duration: Duration,
}

pub struct Telemetry {
    function_name: String,
    cold: AtomicBool,
}

/// What every line says of the invocation it belongs to.
pub struct Invocation {
    pub function_name: String,
    pub request_id: String,
    pub xray_trace_id: Option<String>,
    pub cold_start: bool,
}

impl Telemetry {
    /// Directs logs and metrics to standard output, once for the process.
    pub fn start(get: impl Fn(&str) -> Option<String>) -> Self {
        log::start(get("AWS_LAMBDA_LOG_LEVEL").as_deref());
        metrics::start(std::io::stdout());
        Self { function_name: get("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_default(), cold: AtomicBool::new(true) }
    }

    /// Counts into the void, started once for all tests.
    #[cfg(test)]
    pub fn for_tests() -> Self {
        static STARTED: std::sync::Once = std::sync::Once::new();
        STARTED.call_once(|| metrics::start(std::io::sink()));
        Self { function_name: "hydrate".to_owned(), cold: AtomicBool::new(true) }
    }

    pub fn invocation(&self, context: &Context) -> Invocation {
        Invocation {
            function_name: self.function_name.clone(),
            request_id: context.request_id.clone(),
            xray_trace_id: context.xray_trace_id.as_deref().and_then(trace_id),
            cold_start: self.cold.swap(false, Ordering::Relaxed),
        }
    }

    pub fn refused(&self, error: &InvalidConfiguration) {
        log::refused(&self.function_name, error);
    }

    /// The event itself is not one that the function takes.
    pub fn not_taken(&self, invocation: &Invocation, error: &HydrateError) {
        self.failed(About { invocation, batch: None, tally: &Tally::default(), duration: Duration::ZERO }, error);
    }

    pub fn outcome(&self, about: About<'_>, outcome: &Outcome) {
        match outcome {
            Outcome::Hydrated(hydrated) => {
                log::hydrated(about, hydrated);
                metrics::hydrated(&self.function_name, hydrated, about.tally, about.duration);
            }
            Outcome::Continued(continued) => {
                log::continued(about, continued);
                metrics::continued(&self.function_name, continued, about.tally, about.duration);
            }
        }
    }

    pub fn failed(&self, about: About<'_>, error: &HydrateError) {
        log::failed(about, error);
        metrics::failed(&self.function_name, error, about.tally, about.duration);
    }
}

/// The trace itself, of a header such as `Root=1-6b0118ce-683f39b37ecc4ff3adf9be95;Sampled=0`.
fn trace_id(header: &str) -> Option<String> {
    header.split(';').find_map(|field| field.strip_prefix("Root=")).map(str::to_owned)
}
