//! The report to Lambda that the function cannot start. `lambda_runtime` does not offer it.

use std::fmt::Display;

use lambda_runtime::{Diagnostic, Error};
use lambda_runtime_api_client::{PooledClient, body::Body, build_request};

/// Reports a configuration that the function cannot start with, and ends the process.
pub async fn exit(error: &impl Display) -> Result<(), Error> {
    report("InvalidConfiguration", &error.to_string()).await?;
    std::process::exit(1)
}

/// Posts to `/runtime/init/error`, so that the reason is in the invocation's response and in Lambda's own log line
/// (<https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html#runtimes-api-initerror>).
async fn report(error_type: &str, error_message: &str) -> Result<(), Error> {
    let diagnostic = Diagnostic { error_type: error_type.to_owned(), error_message: error_message.to_owned() };
    let request = build_request()
        .method("POST")
        .uri("/2018-06-01/runtime/init/error")
        .header("lambda-runtime-function-error-type", error_type)
        .body(Body::from(serde_json::to_vec(&diagnostic)?))?;
    PooledClient::builder().build().call(request).await?;
    Ok(())
}
