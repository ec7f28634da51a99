//! Functions on Lambda.

use aws_config::SdkConfig;
use aws_sdk_lambda::Client;

/// Where a function's log lines go; where nobody may say, the group that Lambda names by itself.
pub async fn log_group(config: &SdkConfig, function: &str) -> String {
    let request = Client::new(&super::retrying(config)).get_function_configuration().function_name(function);
    let answer = request.send().await.ok();
    let configured = answer.and_then(|answer| answer.logging_config?.log_group);
    configured.unwrap_or_else(|| format!("/aws/lambda/{function}"))
}
