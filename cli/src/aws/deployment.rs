//! A deployment's mappings, roles, retentions and permissions, for `dlq doctor`.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_iam::types::PolicyEvaluationDecisionType;
use aws_sdk_lambda::types::EventSourceMappingConfiguration;
use hydration::error::Fault;
use hydration_aws::fault::fault;

use crate::ports::{Deployment, StreamMapping};

pub struct AwsDeployment {
    config: SdkConfig,
    lambda: aws_sdk_lambda::Client,
}

impl AwsDeployment {
    pub fn new(config: &SdkConfig) -> Self {
        let config = super::with_retries(config);
        Self { lambda: aws_sdk_lambda::Client::new(&config), config }
    }
}

impl Deployment for AwsDeployment {
    async fn mappings(&self) -> Result<Vec<StreamMapping>, Fault> {
        let (mut mappings, mut marker) = (Vec::new(), None);
        loop {
            let request = self.lambda.list_event_source_mappings().set_marker(marker);
            let answer = request.send().await.map_err(|error| fault("lambda:ListEventSourceMappings", &error))?;
            let found = answer.event_source_mappings.unwrap_or_default();
            mappings.extend(found.into_iter().filter_map(stream_mapping));
            marker = answer.next_marker.filter(|marker| !marker.is_empty());
            if marker.is_none() {
                return Ok(mappings);
            }
        }
    }

    async fn role_of(&self, function: &str) -> Result<String, Fault> {
        let request = self.lambda.get_function_configuration().function_name(function);
        let answer = request.send().await.map_err(|error| fault("lambda:GetFunctionConfiguration", &error))?;
        Ok(answer.role.unwrap_or_default())
    }

    async fn stream_retention(&self, stream_arn: &str) -> Result<Option<Duration>, Fault> {
        let client = aws_sdk_kinesis::Client::new(&self.config);
        let request = client.describe_stream_summary().stream_arn(stream_arn);
        let answer = request.send().await.map_err(|error| fault("kinesis:DescribeStreamSummary", &error))?;
        let summary = answer.stream_description_summary;
        let hours = summary.and_then(|summary| u64::try_from(summary.retention_period_hours).ok());
        Ok(hours.map(|hours| Duration::from_secs(hours * 3600)))
    }

    async fn expiration_days(&self, bucket: &str) -> Result<Option<i32>, Fault> {
        let client = aws_sdk_s3::Client::from_conf(hydration_aws::outbox::s3_config(&self.config).build());
        let answer = match client.get_bucket_lifecycle_configuration().bucket(bucket).send().await {
            Ok(answer) => answer,
            Err(error) => {
                let fault = fault("s3:GetLifecycleConfiguration", &error);
                let has_no_rules = fault.detail.starts_with("NoSuchLifecycleConfiguration");
                return if has_no_rules { Ok(None) } else { Err(fault) };
            }
        };
        let rules = answer.rules.unwrap_or_default().into_iter();
        let applies = |rule: &aws_sdk_s3::types::LifecycleRule| {
            let prefix = rule.filter.as_ref().and_then(|filter| filter.prefix.as_deref()).unwrap_or_default();
            rule.status.as_str() == "Enabled" && (prefix.starts_with("hydrated/") || "hydrated/".starts_with(prefix))
        };
        Ok(rules.filter(applies).filter_map(|rule| rule.expiration?.days).min())
    }

    async fn denied_actions(&self, role: &str, actions: &[&str], resource: &str) -> Result<Vec<String>, Fault> {
        let client = aws_sdk_iam::Client::new(&self.config);
        let request = client
            .simulate_principal_policy()
            .policy_source_arn(role)
            .set_action_names(Some(actions.iter().map(|action| (*action).to_owned()).collect()))
            .resource_arns(resource);
        let answer = request.send().await.map_err(|error| fault("iam:SimulatePrincipalPolicy", &error))?;
        let results = answer.evaluation_results.unwrap_or_default().into_iter();
        let denied = results.filter(|result| result.eval_decision != PolicyEvaluationDecisionType::Allowed);
        Ok(denied.map(|result| result.eval_action_name).collect())
    }
}

fn stream_mapping(found: EventSourceMappingConfiguration) -> Option<StreamMapping> {
    let source = found.event_source_arn?;
    if !source.contains(":kinesis:") && !source.contains(":dynamodb:") {
        return None;
    }
    Some(StreamMapping {
        uuid: found.uuid.unwrap_or_default(),
        function: found.function_arn.unwrap_or_default(),
        source,
        state: found.state.unwrap_or_default(),
        last_result: found.last_processing_result,
        destination: found.destination_config.and_then(|config| config.on_failure?.destination),
        max_retries: found.maximum_retry_attempts,
        max_record_age_seconds: found.maximum_record_age_in_seconds,
        bisects: found.bisect_batch_on_function_error.unwrap_or(false),
    })
}
