//! One log line and one set of metrics for each batch. Nothing else in the function logs or counts, so the two always
//! agree. Neither holds record data, partition keys or item keys.

pub mod log;
pub mod metrics;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hydration::error::HydrateError;
use hydration::hydrator::HydrationOutcome;
use hydration::invocation_record::FailedBatch;
use hydration::retry::CallStats;
use lambda_runtime::Context;

use crate::config::InvalidConfiguration;

/// The batch of a log line and its metrics, with the calls and the time it took.
#[derive(Clone, Copy)]
pub struct BatchContext<'a> {
    pub invocation: &'a InvocationContext,
    pub batch: Option<&'a FailedBatch>,
    /// `s3://bucket/key`, if the batch's invocation record is in an object.
    pub object: Option<&'a str>,
    pub stats: &'a CallStats,
    pub duration: Duration,
}

pub struct Telemetry {
    function_name: String,
    cold: AtomicBool,
}

/// The fields about the invocation in every log line.
pub struct InvocationContext {
    pub function_name: String,
    pub request_id: String,
    pub xray_trace_id: Option<String>,
    pub cold_start: bool,
}

impl Telemetry {
    /// Starts logs and metrics on standard output, once in the process.
    pub fn start(get: impl Fn(&str) -> Option<String>) -> Self {
        log::start(get("AWS_LAMBDA_LOG_LEVEL").as_deref());
        metrics::start(std::io::stdout());
        Self { function_name: get("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_default(), cold: AtomicBool::new(true) }
    }

    /// Discards metrics. It is started once for all tests.
    #[cfg(test)]
    pub fn for_tests() -> Self {
        static STARTED: std::sync::Once = std::sync::Once::new();
        STARTED.call_once(|| metrics::start(std::io::sink()));
        Self { function_name: "hydrate".to_owned(), cold: AtomicBool::new(true) }
    }

    pub fn invocation(&self, context: &Context) -> InvocationContext {
        InvocationContext {
            function_name: self.function_name.clone(),
            request_id: context.request_id.clone(),
            xray_trace_id: context.xray_trace_id.as_deref().and_then(trace_id),
            cold_start: self.cold.swap(false, Ordering::Relaxed),
        }
    }

    pub fn configuration_invalid(&self, error: &InvalidConfiguration) {
        log::configuration_invalid(&self.function_name, error);
    }

    /// Logs an event that the function does not recognize.
    pub fn event_rejected(&self, invocation: &InvocationContext, error: &HydrateError) {
        self.failed(
            BatchContext {
                invocation,
                batch: None,
                object: None,
                stats: &CallStats::default(),
                duration: Duration::ZERO,
            },
            error,
        );
    }

    pub fn finished(&self, context: BatchContext<'_>, outcome: &HydrationOutcome) {
        match outcome {
            HydrationOutcome::Hydrated(hydrated) => {
                log::hydrated(context, hydrated);
                metrics::hydrated(&self.function_name, hydrated, context.stats, context.duration);
            }
            HydrationOutcome::Continued(continued) => {
                log::continued(context, continued);
                metrics::continued(&self.function_name, continued, context.stats, context.duration);
            }
        }
    }

    pub fn failed(&self, context: BatchContext<'_>, error: &HydrateError) {
        log::failed(context, error);
        metrics::failed(&self.function_name, error, context.stats, context.duration);
    }
}

/// The trace id in a header such as `Root=1-6b0118ce-683f39b37ecc4ff3adf9be95;Sampled=0`.
fn trace_id(header: &str) -> Option<String> {
    header.split(';').find_map(|field| field.strip_prefix("Root=")).map(str::to_owned)
}
