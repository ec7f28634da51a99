//! Adapters: the ports on the AWS SDK, a file for each service.

mod buckets;
pub mod connection;
mod deployment;
mod event_rules;
mod failure_destination;
mod https;
mod lambda;
mod logs;
mod mappings;
mod metrics;
mod profile;
mod s3;
pub mod sqs;
pub mod stack;

use anyhow::Result;
use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};

use crate::args::GlobalArgs;

/// Configuration from the environment and the flags, without the SDK's own retries: the domain retries its reads by
/// itself, and an invocation that may have run is never repeated.
pub async fn config(global: &GlobalArgs) -> Result<SdkConfig> {
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(https::client());
    if let Some(name) = &global.profile {
        profile::check(name).await?;
        loader = loader.profile_name(name);
    }
    if let Some(region) = &global.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(url) = &global.endpoint_url {
        loader = loader.endpoint_url(url);
    }
    let config = hydration_aws::with_timeouts_and_no_retries(loader).load().await;
    Ok(match &global.profile {
        Some(name) => profile::use_credentials_of(name, &config),
        None => config,
    })
}

/// The same configuration with the SDK's retries, for calls that may be repeated.
pub fn with_retries(config: &SdkConfig) -> SdkConfig {
    config.to_builder().retry_config(RetryConfig::standard()).build()
}
