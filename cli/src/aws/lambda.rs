//! Functions on Lambda.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{Region, SdkConfig};
use aws_sdk_lambda::Client;
use aws_sdk_lambda::error::SdkError;
use aws_sdk_lambda::primitives::Blob;
use hydration::error::FaultKind;
use hydration::json::Object;
use hydration_aws::fault::fault;

use crate::ports::{Function, Invoked};

/// A function runs for fifteen minutes at most.
const LONGEST_INVOCATION: Duration = Duration::from_secs(16 * 60);

/// Where a function's log lines go; where nobody may say, the group that Lambda names by itself.
pub async fn log_group(config: &SdkConfig, function: &str) -> String {
    let request = Client::new(&super::retrying(config)).get_function_configuration().function_name(function);
    let answer = request.send().await.ok();
    let configured = answer.and_then(|answer| answer.logging_config?.log_group);
    configured.unwrap_or_else(|| format!("/aws/lambda/{function}"))
}

pub struct Lambda {
    config: SdkConfig,
    /// One a region, kept with its connections.
    clients: RefCell<HashMap<Option<String>, Client>>,
}

impl Lambda {
    pub fn new(config: &SdkConfig) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(3))
            .operation_attempt_timeout(LONGEST_INVOCATION)
            .build();
        Self { config: config.to_builder().timeout_config(timeouts).build(), clients: RefCell::default() }
    }

    /// In the function's own region.
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
    async fn invoke(&self, function: &str, event: String) -> Invoked {
        let request = self.client(function).invoke().function_name(function).payload(Blob::new(event));
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => {
                let told = matches!(error, SdkError::ServiceError(_) | SdkError::ConstructionFailure(_));
                let fault = fault("lambda:InvokeFunction", &error);
                // Without a connection nothing was sent; after a 5xx the function may have run all the same.
                let not_sent = fault.kind == FaultKind::InvalidConfiguration || fault.detail.contains("(Connect)");
                let ran = !not_sent && (!told || fault.kind == FaultKind::Unavailable);
                return if ran { Invoked::Unknown(fault.detail) } else { Invoked::NotRun(fault) };
            }
        };
        let payload = answer.payload.map(Blob::into_inner).unwrap_or_default();
        match answer.function_error {
            None => Invoked::Answered(payload),
            Some(kind) => {
                let told =
                    str::from_utf8(&payload).ok().and_then(|text| Object::from_str(text).ok()).unwrap_or_default();
                Invoked::Failed {
                    kind: told.string("errorType").unwrap_or(kind),
                    message: told.string("errorMessage").unwrap_or_default(),
                }
            }
        }
    }
}
