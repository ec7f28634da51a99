//! Functions on Lambda.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{Region, SdkConfig};
use aws_sdk_lambda::Client;
use aws_sdk_lambda::error::SdkError;
use aws_sdk_lambda::operation::invoke::InvokeError;
use aws_sdk_lambda::primitives::Blob;
use hydration::error::FaultKind;
use hydration::json::Object;
use hydration_aws::fault::fault;

use crate::ports::{Function, InvokeOutcome};

/// Longer than the fifteen minutes that a function may run
/// (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>).
const INVOKE_TIMEOUT: Duration = Duration::from_secs(16 * 60);

pub struct Lambda {
    config: SdkConfig,
    /// Clients by region, kept for their open connections.
    clients: RefCell<HashMap<Option<String>, Client>>,
}

impl Lambda {
    pub fn new(config: &SdkConfig) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(3))
            .operation_attempt_timeout(INVOKE_TIMEOUT)
            .build();
        Self { config: config.to_builder().timeout_config(timeouts).build(), clients: RefCell::default() }
    }

    /// A client in the function's own region.
    fn client(&self, function: &str) -> Client {
        let region = function.strip_prefix("arn:").and_then(|rest| rest.split(':').nth(2)).map(str::to_owned);
        let make = || {
            let config = aws_sdk_lambda::config::Builder::from(&self.config);
            let config = match &region {
                Some(region) => config.region(Region::new(region.clone())),
                None => config,
            };
            Client::from_conf(config.build())
        };
        self.clients.borrow_mut().entry(region.clone()).or_insert_with(make).clone()
    }
}

impl Function for Lambda {
    async fn invoke(&self, function: &str, event: String) -> InvokeOutcome {
        let request = self.client(function).invoke().function_name(function).payload(Blob::new(event));
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => return not_answered(&error),
        };
        let payload = answer.payload.map(Blob::into_inner).unwrap_or_default();
        match answer.function_error {
            None => InvokeOutcome::Returned(payload),
            Some(function_error) => {
                let text = str::from_utf8(&payload).unwrap_or_default();
                let answer = Object::from_str(text).unwrap_or_default();
                InvokeOutcome::Failed {
                    error_type: answer.string("errorType").unwrap_or(function_error),
                    message: answer.string("errorMessage").unwrap_or_default(),
                }
            }
        }
    }
}

fn not_answered(error: &SdkError<InvokeError>) -> InvokeOutcome {
    let is_answered = matches!(error, SdkError::ServiceError(_) | SdkError::ConstructionFailure(_));
    let fault = fault("lambda:InvokeFunction", error);
    // Without a connection nothing was sent. After a 5xx, or after a connection that broke, the function may have run.
    let is_sent = fault.kind != FaultKind::InvalidConfiguration && !fault.detail.contains("(Connect)");
    if is_sent && (!is_answered || fault.kind == FaultKind::Unavailable) {
        InvokeOutcome::Unknown(fault.detail)
    } else {
        InvokeOutcome::NotRun(fault)
    }
}
