//! The ports of [`hydration`] on the AWS SDK: one file per service, and [`fault`], the one place that says what is
//! worth retrying.
//!
//! The SDK's own retries are off. Every call of a hydration is paced, counted and retried by the domain, which knows
//! the invocation's deadline and the shard's other readers; and the SDK does not retry `KMSThrottlingException`.

pub mod clock;
mod dynamodb;
pub mod fault;
mod kinesis;
pub mod outbox;
pub mod shards;

pub use clock::SystemClock;
pub use outbox::QueueAndBucket;
pub use shards::Shards;

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig};

/// What the environment says about region, credentials and endpoints, with our timeouts and without retries.
pub async fn config() -> SdkConfig {
    tune(aws_config::defaults(BehaviorVersion::latest())).load().await
}

/// Our timeouts and no retries, on a loader that the caller has begun.
pub fn tune(loader: ConfigLoader) -> ConfigLoader {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(3))
        // A page of 10 MiB, or an object of 20 MiB, on a function with little memory and so little network.
        .operation_attempt_timeout(Duration::from_secs(30))
        .build();
    loader.retry_config(aws_config::retry::RetryConfig::disabled()).timeout_config(timeouts)
}
