//! The log lines and the metric of the digest. Nothing else in the function logs or counts. Neither holds record data.

use std::time::SystemTime;

use function_kit::environment::InvalidConfiguration;
use function_kit::invocation::{InvocationContext, Invocations};
use hydration::timestamp::Timestamp;
use lambda_runtime::Context;
use metrique::ServiceMetrics;
use metrique::unit::Count;
use metrique::unit_of_work::metrics;
use metrique::writer::GlobalEntrySink;

use crate::digest::{DigestEnd, DigestEvents};
use crate::error::DigestError;
use crate::window::DigestWindow;

const SERVICE: &str = "digest";

/// Windows of which it is not known that somebody was told: by stack, so that an alarm needs no function's name.
#[metrics(emf::dimension_sets = [["StackName"]], rename_all = "PascalCase")]
struct WindowCount {
    #[metrics(timestamp)]
    timestamp: SystemTime,
    stack_name: String,
    #[metrics(unit = Count)]
    windows_unknown: u64,
}

pub struct DigestTelemetry {
    invocations: Invocations,
    stack_name: String,
}

/// The telemetry of one invocation.
pub struct DigestRun<'a> {
    invocation: InvocationContext,
    stack_name: &'a str,
}

/// The log line of a run: the fields of every line, then those of this one.
macro_rules! line {
    ($log:path, $invocation:expr, $($field:tt)*) => {{
        let InvocationContext { function_name, request_id, xray_trace_id, cold_start } = $invocation;
        $log!(
            service = SERVICE,
            function_name,
            function_request_id = request_id,
            cold_start,
            xray_trace_id,
            $($field)*
        )
    }};
}

impl DigestTelemetry {
    /// Starts logs and metrics on standard output, once in the process.
    pub fn start(get: impl Fn(&str) -> Option<String>) -> Self {
        function_kit::log::start("digest", get("AWS_LAMBDA_LOG_LEVEL").as_deref());
        function_kit::metrics::start(std::io::stdout());
        let name = |variable| get(variable).unwrap_or_default();
        Self { invocations: Invocations::of(name("AWS_LAMBDA_FUNCTION_NAME")), stack_name: name("STACK_NAME") }
    }

    pub fn configuration_invalid(&self, error: &InvalidConfiguration) {
        function_kit::log::configuration_invalid(SERVICE, &self.invocations.function_name, error);
    }

    pub fn begin(&self, context: &Context) -> DigestRun<'_> {
        DigestRun { invocation: self.invocations.begin(context), stack_name: &self.stack_name }
    }
}

impl DigestRun<'_> {
    pub fn ended(&self, end: &DigestEnd) {
        match end {
            DigestEnd::Sent { message_id, report } => line!(
                tracing::info,
                &self.invocation,
                window_from = report.window.from.rfc3339(),
                window_to = report.window.to.rfc3339(),
                incidents = report.incidents.len(),
                batches = report.batches(),
                is_whole = report.is_whole,
                message_id,
                "digest sent"
            ),
            // The line about it is written already.
            DigestEnd::Unknown(_) => {}
            DigestEnd::Nothing => line!(tracing::debug, &self.invocation, "nothing failed"),
            DigestEnd::OtherRun => line!(tracing::info, &self.invocation, "another run is at work"),
            DigestEnd::TooEarly => line!(tracing::info, &self.invocation, "the last window ended just now"),
        }
    }

    pub fn failed(&self, error: &DigestError) {
        line!(tracing::error, &self.invocation, error_type = error.kind(), error = %error, "digest failed");
    }

    fn count_unknown(&self) {
        let count =
            WindowCount { timestamp: SystemTime::now(), stack_name: self.stack_name.to_owned(), windows_unknown: 1 };
        drop(count.append_on_drop(ServiceMetrics::sink()));
    }
}

impl DigestEvents for DigestRun<'_> {
    fn unknown(&self, window: &DigestWindow) {
        let (from, to) = times(window);
        line!(tracing::error, &self.invocation, window_from = from, window_to = to, "digest unknown");
        self.count_unknown();
    }

    fn skipped(&self, window: &DigestWindow) {
        let (from, to) = times(window);
        line!(tracing::error, &self.invocation, window_from = from, window_to = to, "window skipped");
        self.count_unknown();
    }
}

fn times(window: &DigestWindow) -> (String, String) {
    (Timestamp::rfc3339(window.from), Timestamp::rfc3339(window.to))
}
