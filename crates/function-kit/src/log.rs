//! The start of JSON log lines with the keys that Powertools uses
//! (<https://docs.aws.amazon.com/powertools/python/latest/core/logger/>).

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::environment::InvalidConfiguration;

/// Starts logging for the crate `target`. Dependencies log at WARN and above only, whatever the level is: at TRACE the
/// SDK and the runtime write whole events and responses, which are record data.
pub fn start(target: &'static str, level: Option<&str>) {
    let level = match level.unwrap_or_default().to_ascii_uppercase().as_str() {
        "TRACE" => LevelFilter::TRACE,
        "DEBUG" => LevelFilter::DEBUG,
        "WARN" => LevelFilter::WARN,
        "ERROR" | "FATAL" => LevelFilter::ERROR,
        _ => LevelFilter::INFO,
    };
    let format = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_target(false)
        .with_current_span(false)
        .with_span_list(false)
        .with_ansi(false);
    let targets = Targets::new().with_default(level.min(LevelFilter::WARN)).with_target(target, level);
    // A second start, in a test, changes nothing.
    let _ = tracing_subscriber::registry().with(format).with(targets).try_init();
}

/// Logs that the function cannot start.
pub fn configuration_invalid(service: &str, function_name: &str, error: &InvalidConfiguration) {
    tracing::error!(
        service,
        function_name,
        error_type = "InvalidConfiguration",
        error = %error,
        variable = error.name,
        "configuration refused"
    );
}
