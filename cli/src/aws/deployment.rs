//! What a deployment is made of, for the doctor to judge.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_iam::types::PolicyEvaluationDecisionType;
use aws_sdk_lambda::types::EventSourceMappingConfiguration;
use hydration::error::Fault;
use hydration_aws::fault::fault;

use crate::doctor::Mapping;

/// The event source mappings of streams, in the account and region.
pub async fn mappings(config: &SdkConfig) -> Result<Vec<Mapping>, Fault> {
    let client = aws_sdk_lambda::Client::new(&super::retrying(config));
    let (mut mappings, mut marker) = (Vec::new(), None);
    loop {
        let request = client.list_event_source_mappings().set_marker(marker);
        let answer = request.send().await.map_err(|error| fault("lambda:ListEventSourceMappings", &error))?;
        mappings.extend(answer.event_source_mappings.unwrap_or_default().into_iter().filter_map(mapping));
        marker = answer.next_marker.filter(|marker| !marker.is_empty());
        if marker.is_none() {
            return Ok(mappings);
        }
    }
}

fn mapping(found: EventSourceMappingConfiguration) -> Option<Mapping> {
    let source = found.event_source_arn?;
    if !source.contains(":kinesis:") && !source.contains(":dynamodb:") {
        return None;
    }
    Some(Mapping {
        uuid: found.uuid.unwrap_or_default(),
        function: found.function_arn.unwrap_or_default(),
        source,
        state: found.state.unwrap_or_default(),
        last_result: found.last_processing_result,
        destination: found.destination_config.and_then(|config| config.on_failure?.destination),
        retries: found.maximum_retry_attempts,
        record_age: found.maximum_record_age_in_seconds,
        bisects: found.bisect_batch_on_function_error.unwrap_or(false),
    })
}

pub async fn role_of(config: &SdkConfig, function: &str) -> Result<String, Fault> {
    let client = aws_sdk_lambda::Client::new(&super::retrying(config));
    let request = client.get_function_configuration().function_name(function);
    let answer = request.send().await.map_err(|error| fault("lambda:GetFunctionConfiguration", &error))?;
    Ok(answer.role.unwrap_or_default())
}

/// How long a Kinesis stream keeps its records.
pub async fn stream_retention(config: &SdkConfig, stream_arn: &str) -> Result<Option<Duration>, Fault> {
    let client = aws_sdk_kinesis::Client::new(&super::retrying(config));
    let request = client.describe_stream_summary().stream_arn(stream_arn);
    let answer = request.send().await.map_err(|error| fault("kinesis:DescribeStreamSummary", &error))?;
    let hours =
        answer.stream_description_summary.and_then(|summary| u64::try_from(summary.retention_period_hours).ok());
    Ok(hours.map(|hours| Duration::from_secs(hours * 3600)))
}

/// The fewest days after which a rule for hydrated messages deletes them; `None` where there is no such rule.
pub async fn expiration(config: &SdkConfig, bucket: &str) -> Result<Option<i32>, Fault> {
    let client = aws_sdk_s3::Client::from_conf(hydration_aws::outbox::s3_config(&super::retrying(config)).build());
    let answer = match client.get_bucket_lifecycle_configuration().bucket(bucket).send().await {
        Ok(answer) => answer,
        Err(error) => {
            let fault = fault("s3:GetLifecycleConfiguration", &error);
            return if fault.detail.starts_with("NoSuchLifecycleConfiguration") { Ok(None) } else { Err(fault) };
        }
    };
    let rules = answer.rules.unwrap_or_default().into_iter();
    let applies = |rule: &aws_sdk_s3::types::LifecycleRule| {
        let prefix = rule.filter.as_ref().and_then(|filter| filter.prefix.as_deref()).unwrap_or_default();
        rule.status.as_str() == "Enabled" && (prefix.starts_with("hydrated/") || "hydrated/".starts_with(prefix))
    };
    Ok(rules.filter(applies).filter_map(|rule| rule.expiration?.days).min())
}

/// The actions that a role's policies do not allow on the resource. A resource's own policy is not asked.
pub async fn denied(
    config: &SdkConfig,
    role: &str,
    actions: &[&str],
    resource: &str,
) -> Result<Vec<(String, String)>, Fault> {
    let client = aws_sdk_iam::Client::new(&super::retrying(config));
    let request = client
        .simulate_principal_policy()
        .policy_source_arn(role)
        .set_action_names(Some(actions.iter().map(|action| (*action).to_owned()).collect()))
        .resource_arns(resource);
    let answer = request.send().await.map_err(|error| fault("iam:SimulatePrincipalPolicy", &error))?;
    let results = answer.evaluation_results.unwrap_or_default().into_iter();
    let is_denied = |decision: &PolicyEvaluationDecisionType| *decision != PolicyEvaluationDecisionType::Allowed;
    Ok(results
        .filter(|result| is_denied(&result.eval_decision))
        .map(|result| (result.eval_action_name, resource.to_owned()))
        .collect())
}
