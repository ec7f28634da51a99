//! The topics and buckets to which Lambda reports failed batches.

use aws_config::SdkConfig;
use aws_sdk_s3::primitives::ByteStream;
use hydration::error::Fault;
use hydration_aws::fault::fault;

use crate::ports::FailureDestination;

pub struct AwsFailureDestination {
    sns: aws_sdk_sns::Client,
    s3: aws_sdk_s3::Client,
}

impl AwsFailureDestination {
    /// The configuration has no retries: a report that was repeated would be hydrated twice.
    pub fn new(config: &SdkConfig) -> Self {
        let s3 = hydration_aws::outbox::s3_config(config).build();
        Self { sns: aws_sdk_sns::Client::new(config), s3: aws_sdk_s3::Client::from_conf(s3) }
    }
}

impl FailureDestination for AwsFailureDestination {
    async fn publish(&self, topic_arn: &str, message: &str) -> Result<String, Fault> {
        let answer = self.sns.publish().topic_arn(topic_arn).message(message).send().await;
        let answer = answer.map_err(|error| fault("sns:Publish", &error))?;
        Ok(answer.message_id.unwrap_or_default())
    }

    async fn put(&self, bucket: &str, key: &str, content: String) -> Result<Option<String>, Fault> {
        // The type that Lambda gives its objects.
        let request = self.s3.put_object().bucket(bucket).key(key).content_type("application/octet-stream");
        let answer = request.body(ByteStream::from(content.into_bytes())).send().await;
        Ok(answer.map_err(|error| fault("s3:PutObject", &error))?.version_id)
    }

    async fn delete(&self, bucket: &str, key: &str, version: Option<&str>) -> Result<(), Fault> {
        let action = if version.is_some() { "s3:DeleteObjectVersion" } else { "s3:DeleteObject" };
        let request = self.s3.delete_object().bucket(bucket).key(key).set_version_id(version.map(str::to_owned));
        request.send().await.map(drop).map_err(|error| fault(action, &error))
    }
}
