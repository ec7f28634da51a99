//! Functions on Lambda.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{Region, SdkConfig};
use aws_sdk_lambda::Client;
use aws_sdk_lambda::error::SdkError;
use aws_sdk_lambda::operation::RequestId;
use aws_sdk_lambda::operation::invoke::{InvokeError, InvokeOutput};
use aws_sdk_lambda::primitives::Blob;
use hydration::error::{Fault, FaultKind};
use hydration::json::Object;
use hydration_aws::fault::fault;

use crate::aws::mappings;
use crate::ports::{BatchMapping, Function, InvokeOutcome, Invoked};

/// Longer than the fifteen minutes that a function may run
/// (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>).
const INVOKE_TIMEOUT: Duration = Duration::from_secs(16 * 60);

/// Fields of a function's ARN up to its name.
const UNQUALIFIED_FIELDS: usize = 7;

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
    async fn invoke(&self, function: &str, event: String) -> Invoked {
        let request = self.client(function).invoke().function_name(function).payload(Blob::new(event));
        match request.send().await {
            Ok(answer) => {
                let request_id = answer.request_id().map(str::to_owned);
                Invoked { outcome: answered(answer), request_id }
            }
            Err(error) => {
                let request_id = error.request_id().map(str::to_owned);
                Invoked { outcome: not_answered(&error), request_id }
            }
        }
    }

    async fn resolve(&self, name: &str) -> Result<String, Fault> {
        let (function, qualifier) = match name.split_once(':') {
            Some((function, qualifier)) if !qualifier.contains(':') => (function, Some(qualifier)),
            _ => (name, None),
        };
        let request = self.client(name).get_function_configuration().function_name(function);
        let request = request.set_qualifier(qualifier.map(str::to_owned));
        let answer = request.send().await.map_err(|error| fault("lambda:GetFunctionConfiguration", &error))?;
        let arn = answer.function_arn.unwrap_or_default();
        let is_qualified = arn.split(':').count() > UNQUALIFIED_FIELDS;
        Ok(match qualifier {
            Some(qualifier) if !is_qualified => format!("{arn}:{qualifier}"),
            _ => arn,
        })
    }

    async fn concurrency(&self, function: &str) -> Result<u32, Fault> {
        let client = self.client(function);
        let unqualified = function.split(':').take(UNQUALIFIED_FIELDS).collect::<Vec<_>>().join(":");
        let request = client.get_function_concurrency().function_name(unqualified);
        let answer = request.send().await.map_err(|error| fault("lambda:GetFunctionConcurrency", &error))?;
        let allowed = match answer.reserved_concurrent_executions {
            Some(reserved) => reserved,
            None => {
                let answer = client.get_account_settings().send().await;
                let answer = answer.map_err(|error| fault("lambda:GetAccountSettings", &error))?;
                let unreserved = answer.account_limit.and_then(|limit| limit.unreserved_concurrent_executions);
                unreserved.ok_or_else(|| Fault {
                    kind: FaultKind::Unreadable,
                    action: "lambda:GetAccountSettings",
                    detail: "an answer without the unreserved concurrency".to_owned(),
                })?
            }
        };
        Ok(u32::try_from(allowed).unwrap_or_default())
    }

    async fn mappings(&self, function: &str, source: &str) -> Result<Vec<BatchMapping>, Fault> {
        mappings::find(&self.client(function), function, source).await
    }

    async fn mapping(&self, function: &str, uuid: &str) -> Result<BatchMapping, Fault> {
        mappings::get(&self.client(function), uuid).await
    }
}

/// The outcome by an answer. Only Lambda answers with the version that it has executed: what a proxy or a captive
/// network answers is no success.
fn answered(answer: InvokeOutput) -> InvokeOutcome {
    let payload = answer.payload.map(Blob::into_inner).unwrap_or_default();
    if let Some(function_error) = answer.function_error {
        let text = str::from_utf8(&payload).unwrap_or_default();
        let answer = Object::from_str(text).unwrap_or_default();
        return InvokeOutcome::Failed {
            error_type: answer.string("errorType").unwrap_or(function_error),
            message: answer.string("errorMessage").unwrap_or_default(),
        };
    }
    if answer.status_code != 200 || answer.executed_version.is_none() {
        let status = answer.status_code;
        return InvokeOutcome::Unknown(format!(
            "the answer is not Lambda's: HTTP {status}, and no version of the function is named"
        ));
    }
    InvokeOutcome::Returned(payload)
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
