//! One log line and one set of metrics for each batch. Nothing else in the function logs or counts, so the two always
//! agree. Neither holds record data, partition keys or item keys.

pub mod log;
pub mod metrics;

use std::time::Duration;

use function_kit::environment::InvalidConfiguration;
use function_kit::invocation::{InvocationContext, Invocations};
use hydration::error::HydrateError;
use hydration::hydrator::HydrationOutcome;
use hydration::invocation_record::FailedBatch;
use hydration::retry::CallStats;
use lambda_runtime::Context;

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

impl BatchContext<'_> {
    /// A drill is no failure, so that it is counted apart and rings no alarm.
    fn is_drill(&self) -> bool {
        self.batch.is_some_and(FailedBatch::is_drill)
    }
}

pub struct Telemetry {
    invocations: Invocations,
}

impl Telemetry {
    /// Starts logs and metrics on standard output, once in the process.
    pub fn start(get: impl Fn(&str) -> Option<String>) -> Self {
        function_kit::log::start("hydrate", get("AWS_LAMBDA_LOG_LEVEL").as_deref());
        function_kit::metrics::start(std::io::stdout());
        Self { invocations: Invocations::of(get("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_default()) }
    }

    /// Discards metrics. It is started once for all tests.
    #[cfg(test)]
    pub fn for_tests() -> Self {
        static STARTED: std::sync::Once = std::sync::Once::new();
        STARTED.call_once(|| function_kit::metrics::start(std::io::sink()));
        Self { invocations: Invocations::of("hydrate".to_owned()) }
    }

    pub fn invocation(&self, context: &Context) -> InvocationContext {
        self.invocations.begin(context)
    }

    pub fn configuration_invalid(&self, error: &InvalidConfiguration) {
        function_kit::log::configuration_invalid(log::SERVICE, &self.invocations.function_name, error);
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
                if context.is_drill() {
                    return metrics::drill(&self.invocations.function_name, hydrated.verdict.status.as_str());
                }
                metrics::hydrated(&self.invocations.function_name, hydrated, context.stats, context.duration);
            }
            HydrationOutcome::Continued(continued) => {
                log::continued(context, continued);
                if context.is_drill() {
                    return metrics::drill_failed(&self.invocations.function_name, &continued.cause);
                }
                metrics::continued(&self.invocations.function_name, continued, context.stats, context.duration);
            }
        }
    }

    pub fn failed(&self, context: BatchContext<'_>, error: &HydrateError) {
        log::failed(context, error);
        if context.is_drill() {
            return metrics::drill_failed(&self.invocations.function_name, error);
        }
        metrics::failed(&self.invocations.function_name, error, context.stats, context.duration);
    }
}
