//! The ports of [`hydration`] on the AWS SDK: one file for each service, and [`fault`], which decides what is retried.
//!
//! The SDK's own retries are off. The domain paces, counts and retries every call of a hydration, because it knows the
//! invocation's deadline and the shard's other readers. The SDK also does not retry `KMSThrottlingException`.

pub mod clock;
mod dynamodb;
pub mod fault;
mod kinesis;
pub mod objects;
pub mod outbox;
pub mod reader;

pub use clock::SystemClock;
pub use outbox::AwsOutbox;
pub use reader::AwsReader;

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig};

/// The configuration from the environment: region, credentials and endpoints, with timeouts and without retries.
pub async fn load_config() -> SdkConfig {
    with_timeouts_and_no_retries(aws_config::defaults(BehaviorVersion::latest())).load().await
}

/// Adds the timeouts of a hydration to a loader, and turns retries off.
pub fn with_timeouts_and_no_retries(loader: ConfigLoader) -> ConfigLoader {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(3))
        // Enough for a page of 10 MiB or an object of 20 MiB. A function with little memory has a slow network.
        .operation_attempt_timeout(Duration::from_secs(30))
        .build();
    loader.retry_config(aws_config::retry::RetryConfig::disabled()).timeout_config(timeouts)
}
