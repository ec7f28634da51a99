//! Configuration of buckets: their expiration, key and events.

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::types::{LifecycleRule, ServerSideEncryption};
use hydration::error::Fault;
use hydration_aws::fault::fault;

pub struct Buckets(Client);

impl Buckets {
    pub fn new(config: &SdkConfig) -> Self {
        Self(Client::from_conf(hydration_aws::outbox::s3_config(config).build()))
    }

    pub async fn expiration_days(&self, bucket: &str, prefix: &str) -> Result<Option<i32>, Fault> {
        let answer = match self.0.get_bucket_lifecycle_configuration().bucket(bucket).send().await {
            Ok(answer) => answer,
            Err(error) => {
                let fault = fault("s3:GetLifecycleConfiguration", &error);
                let has_no_rules = fault.detail.starts_with("NoSuchLifecycleConfiguration");
                return if has_no_rules { Ok(None) } else { Err(fault) };
            }
        };
        let rules = answer.rules.unwrap_or_default().into_iter().filter(|rule| applies(rule, prefix));
        Ok(rules.filter_map(|rule| rule.expiration?.days).min())
    }

    pub async fn key(&self, bucket: &str) -> Result<Option<String>, Fault> {
        let answer = match self.0.get_bucket_encryption().bucket(bucket).send().await {
            Ok(answer) => answer,
            Err(error) => {
                let fault = fault("s3:GetEncryptionConfiguration", &error);
                let has_none = fault.detail.starts_with("ServerSideEncryptionConfigurationNotFoundError");
                return if has_none { Ok(None) } else { Err(fault) };
            }
        };
        let rules = answer.server_side_encryption_configuration.map(|found| found.rules).unwrap_or_default();
        let default = rules.into_iter().find_map(|rule| rule.apply_server_side_encryption_by_default);
        let uses_kms = |algorithm: &ServerSideEncryption| *algorithm != ServerSideEncryption::Aes256;
        Ok(default.filter(|default| uses_kms(&default.sse_algorithm)).and_then(|default| default.kms_master_key_id))
    }

    pub async fn sends_events(&self, bucket: &str) -> Result<bool, Fault> {
        let answer = self.0.get_bucket_notification_configuration().bucket(bucket).send().await;
        let answer = answer.map_err(|error| fault("s3:GetBucketNotification", &error))?;
        Ok(answer.event_bridge_configuration.is_some())
    }
}

/// Returns true where the rule is about objects whose keys begin so.
fn applies(rule: &LifecycleRule, prefix: &str) -> bool {
    let filter = rule.filter.as_ref();
    let filtered = filter.and_then(|filter| filter.prefix.as_deref().or(filter.and.as_ref()?.prefix.as_deref()));
    #[allow(deprecated, reason = "CloudFormation still writes rules with it")]
    let rule_prefix = filtered.or(rule.prefix.as_deref()).unwrap_or_default();
    rule.status.as_str() == "Enabled" && (rule_prefix.starts_with(prefix) || prefix.starts_with(rule_prefix))
}
