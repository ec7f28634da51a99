//! A deployment's mappings, roles, retentions and permissions, for `dlq doctor`.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_iam::types::{ContextEntry, ContextKeyTypeEnum, PolicyEvaluationDecisionType};
use aws_sdk_lambda::types::EventSourceMappingConfiguration;
use hydration::error::Fault;
use hydration::invocation_record::function_name;
use hydration::timestamp::Timestamp;
use hydration_aws::fault::fault;

use crate::aws::buckets::Buckets;
use crate::aws::event_rules::EventRules;
use crate::aws::mappings;
use crate::aws::metrics::{self, MetricName};
use crate::aws::sqs::Sqs;
use crate::ports::{
    Deployment, EncryptedFilters, EventRule, Mappings, MetricPoint, Permission, Queue, QueueAttributes, QueueMapping,
    StreamMapping,
};

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
    async fn mappings(&self) -> Result<Mappings, Fault> {
        let (mut mappings, mut marker) = (Mappings::default(), None);
        loop {
            let request = self.lambda.list_event_source_mappings().set_marker(marker);
            let answer = request.send().await.map_err(|error| fault("lambda:ListEventSourceMappings", &error))?;
            for found in answer.event_source_mappings.unwrap_or_default() {
                add_mapping(found, &mut mappings);
            }
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

    async fn iterator_ages(&self, function: &str, from: Timestamp, to: Timestamp) -> Result<Vec<MetricPoint>, Fault> {
        // <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html>
        let metric = MetricName {
            namespace: "AWS/Lambda",
            name: "IteratorAge",
            dimension: ("FunctionName", function_name(function).unwrap_or(function)),
            statistic: "Maximum",
        };
        metrics::read(&self.config, &metric, from, to).await
    }

    async fn arrivals(&self, stream_name: &str, from: Timestamp, to: Timestamp) -> Result<Vec<MetricPoint>, Fault> {
        // <https://docs.aws.amazon.com/streams/latest/dev/monitoring-with-cloudwatch.html>
        let metric = MetricName {
            namespace: "AWS/Kinesis",
            name: "IncomingRecords",
            dimension: ("StreamName", stream_name),
            statistic: "Sum",
        };
        metrics::read(&self.config, &metric, from, to).await
    }

    async fn encrypted_filters(&self, uuid: &str) -> Result<EncryptedFilters, Fault> {
        mappings::encrypted_filters(&self.lambda, uuid).await
    }

    async fn expiration_days(&self, bucket: &str, prefix: &str) -> Result<Option<i32>, Fault> {
        Buckets::new(&self.config).expiration_days(bucket, prefix).await
    }

    async fn bucket_key(&self, bucket: &str) -> Result<Option<String>, Fault> {
        Buckets::new(&self.config).key(bucket).await
    }

    async fn sends_events(&self, bucket: &str) -> Result<bool, Fault> {
        Buckets::new(&self.config).sends_events(bucket).await
    }

    async fn rules_with_target(&self, target_arn: &str) -> Result<Vec<String>, Fault> {
        EventRules::new(&self.config).with_target(target_arn).await
    }

    async fn event_rule(&self, name: &str) -> Result<Option<EventRule>, Fault> {
        EventRules::new(&self.config).get(name).await
    }

    async fn queue_attributes(&self, queue_arn: &str) -> Result<QueueAttributes, Fault> {
        let name = queue_arn.rsplit(':').next().unwrap_or(queue_arn);
        let url = Sqs::find(&self.config, name).await?;
        Sqs::new(&self.config, url).attributes().await
    }

    async fn denied_actions(&self, role: &str, permission: &Permission) -> Result<Vec<String>, Fault> {
        let client = aws_sdk_iam::Client::new(&self.config);
        let context = permission.context.iter().map(|(key, value)| {
            let entry = ContextEntry::builder().context_key_name(*key).context_key_values(value);
            entry.context_key_type(ContextKeyTypeEnum::String).build()
        });
        let request = client
            .simulate_principal_policy()
            .policy_source_arn(role)
            .set_action_names(Some(permission.actions.iter().map(|action| (*action).to_owned()).collect()))
            .resource_arns(&permission.resource)
            .set_context_entries((!permission.context.is_empty()).then(|| context.collect()));
        let answer = request.send().await.map_err(|error| fault("iam:SimulatePrincipalPolicy", &error))?;
        let results = answer.evaluation_results.unwrap_or_default().into_iter();
        let denied = results.filter(|result| result.eval_decision != PolicyEvaluationDecisionType::Allowed);
        Ok(denied.map(|result| result.eval_action_name).collect())
    }
}

fn add_mapping(found: EventSourceMappingConfiguration, mappings: &mut Mappings) {
    let Some(source) = found.event_source_arn else { return };
    let uuid = found.uuid.unwrap_or_default();
    let function = found.function_arn.unwrap_or_default();
    let state = found.state.unwrap_or_default();
    if source.contains(":sqs:") {
        mappings.queues.push(QueueMapping { uuid, function, queue_arn: source, state });
    } else if source.contains(":kinesis:") || source.contains(":dynamodb:") {
        mappings.streams.push(StreamMapping {
            uuid,
            function,
            source,
            state,
            state_reason: found.state_transition_reason,
            last_result: found.last_processing_result,
            last_modified: found.last_modified.as_ref().map(mappings::timestamp),
            // Those that a customer's key encrypts are left out of a listing.
            has_filters: found.kms_key_arn.is_some()
                || found
                    .filter_criteria
                    .and_then(|criteria| criteria.filters)
                    .is_some_and(|filters| !filters.is_empty()),
            filter_key: found.kms_key_arn,
            filter_error: found.filter_criteria_error.as_ref().map(mappings::filter_error),
            destination: found.destination_config.and_then(|config| config.on_failure?.destination),
            max_retries: found.maximum_retry_attempts,
            max_record_age_seconds: found.maximum_record_age_in_seconds,
            bisects: found.bisect_batch_on_function_error.unwrap_or(false),
        });
    }
}
