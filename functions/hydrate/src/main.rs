//! The `hydrate` Lambda function: invocation records in, hydrated messages out. This file connects the parts.

mod config;
mod event;
mod handler;
mod response;
mod telemetry;

use function_kit::init_error;
use hydration::hydrator::Hydrator;
use hydration_aws::{AwsOutbox, AwsReader, SystemClock};
use lambda_runtime::{LambdaEvent, run, service_fn};
use serde_json::value::RawValue;

use crate::config::Config;
use crate::handler::Handler;
use crate::telemetry::Telemetry;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let telemetry = Telemetry::start(|name| std::env::var(name).ok());
    let config = match Config::from_env(|name| std::env::var(name).ok()) {
        Ok(config) => config,
        Err(error) => {
            telemetry.configuration_invalid(&error);
            return init_error::exit(&error).await;
        }
    };
    let sdk = hydration_aws::load_config().await;
    let hydrator =
        Hydrator::new(AwsReader::new(&sdk), AwsOutbox::new(&sdk, config.queue_url), SystemClock, config.settings);
    let handler = Handler { hydrator, telemetry };
    let handler = &handler;
    run(service_fn(async |event: LambdaEvent<Box<RawValue>>| handler.handle(event).await)).await
}
