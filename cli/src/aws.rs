//! The ports on the AWS SDK, a file per service.

pub mod deployment;
pub mod lambda;
pub mod logs;
pub mod s3;
pub mod sqs;
pub mod stack;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};

use crate::place::Place;

/// What the environment and the flags say about profile, region, credentials and endpoint. Without the SDK's own
/// retries: the domain retries its reads by itself, and an invocation that may have run is never repeated.
pub async fn config(place: &Place) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest());
    if let Some(profile) = &place.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = &place.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(url) = &place.endpoint_url {
        loader = loader.endpoint_url(url);
    }
    hydration_aws::tune(loader).load().await
}

/// The same with the SDK's retries, for calls that may be repeated.
pub fn retrying(config: &SdkConfig) -> SdkConfig {
    config.to_builder().retry_config(RetryConfig::standard()).build()
}
