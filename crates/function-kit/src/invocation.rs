//! The fields about the invocation that every log line has.

use std::sync::atomic::{AtomicBool, Ordering};

use lambda_runtime::Context;

pub struct InvocationContext {
    pub function_name: String,
    pub request_id: String,
    pub xray_trace_id: Option<String>,
    pub cold_start: bool,
}

/// The invocations of one process: the first is its cold start.
pub struct Invocations {
    pub function_name: String,
    cold: AtomicBool,
}

impl Invocations {
    pub fn of(function_name: String) -> Self {
        Self { function_name, cold: AtomicBool::new(true) }
    }

    pub fn begin(&self, context: &Context) -> InvocationContext {
        InvocationContext {
            function_name: self.function_name.clone(),
            request_id: context.request_id.clone(),
            xray_trace_id: context.xray_trace_id.as_deref().and_then(trace_id),
            cold_start: self.cold.swap(false, Ordering::Relaxed),
        }
    }
}

/// The trace id in a header such as `Root=1-6b0118ce-683f39b37ecc4ff3adf9be95;Sampled=0`.
fn trace_id(header: &str) -> Option<String> {
    header.split(';').find_map(|field| field.strip_prefix("Root=")).map(str::to_owned)
}
