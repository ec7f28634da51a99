//! The `digest` Lambda function: what failed in the last minutes, as one readable alert. This file connects the parts.

mod aws;
mod config;
mod digest;
mod error;
mod log_line;
mod message;
mod ports;
mod report;
mod state;
mod telemetry;
mod window;

use std::time::Duration;

use function_kit::init_error;
use hydration::ports::Clock;
use hydration::timestamp::Timestamp;
use hydration_aws::SystemClock;
use lambda_runtime::{Context, LambdaEvent, run, service_fn};
use serde_json::value::RawValue;

use crate::aws::{AwsFailureLog, S3StateStore, SnsAlertTopic};
use crate::config::DigestConfig;
use crate::digest::Digest;
use crate::report::StackLinks;
use crate::telemetry::DigestTelemetry;

/// The time for an invocation without a deadline, which a test may make.
const DEFAULT_RUN_TIME: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let telemetry = DigestTelemetry::start(|name| std::env::var(name).ok());
    let config = match DigestConfig::from_env(|name| std::env::var(name).ok()) {
        Ok(config) => config,
        Err(error) => {
            telemetry.configuration_invalid(&error);
            return init_error::exit(&error).await;
        }
    };
    let sdk = hydration_aws::load_config().await;
    let digest = Digest {
        log: AwsFailureLog::new(&sdk, config.log_group),
        store: S3StateStore::new(&sdk, config.state_bucket),
        topic: SnsAlertTopic::new(&sdk, config.topic_arn),
        clock: SystemClock,
        links: StackLinks { stack_name: config.stack_name, dashboard_url: config.dashboard_url },
        interval: config.interval,
        delay: config.delay,
    };
    let (digest, telemetry) = (&digest, &telemetry);
    // The event is the schedule's and says nothing that is needed: a window begins where the last one ended.
    run(service_fn(async |event: LambdaEvent<Box<RawValue>>| {
        let run = telemetry.begin(&event.context);
        let name = format!("{}-{:016x}", event.context.request_id, fastrand::u64(..));
        let result = digest.run(&name, deadline(&event.context), &run).await;
        match &result {
            Ok(end) => run.ended(end),
            Err(error) => run.failed(error),
        }
        result.map(|_| serde_json::Value::Null)
    }))
    .await
}

/// The time at which Lambda ends the invocation.
fn deadline(context: &Context) -> Timestamp {
    match i64::try_from(context.deadline) {
        Ok(millis) if millis > 0 => Timestamp::from_millis(millis),
        _ => SystemClock.now().plus_millis(i64::try_from(DEFAULT_RUN_TIME.as_millis()).unwrap_or(i64::MAX)),
    }
}
