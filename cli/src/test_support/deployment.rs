//! A deployment in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hydration::error::{Fault, FaultKind};
use hydration::invocation_record::function_name;
use hydration::timestamp::Timestamp;

use crate::ports::{Deployment, EncryptedFilters, EventRule, Mappings, MetricPoint, Permission, QueueAttributes};

#[derive(Debug, Default)]
pub struct InMemoryDeployment {
    pub mappings: Mappings,
    /// Actions that no role may do.
    pub denied: Vec<&'static str>,
    /// Policies of roles: the condition keys that an action needs, with the values that they allow. A role may do
    /// everything else.
    pub conditions: Vec<(&'static str, &'static str, &'static str)>,
    /// Expirations of buckets in days.
    pub expirations: BTreeMap<&'static str, i32>,
    /// KMS keys of buckets.
    pub bucket_keys: BTreeMap<&'static str, &'static str>,
    /// Buckets that send their events to EventBridge.
    pub announcing_buckets: BTreeSet<&'static str>,
    pub event_rules: Vec<EventRule>,
    /// Attributes of attached queues by their ARN.
    pub queues: BTreeMap<&'static str, QueueAttributes>,
    /// Metrics by the function and by the stream.
    pub iterator_ages: BTreeMap<&'static str, Vec<MetricPoint>>,
    pub arrivals: BTreeMap<&'static str, Vec<MetricPoint>>,
    /// Encrypted filters by the mapping.
    pub filters: BTreeMap<&'static str, EncryptedFilters>,
    /// The answer to every call, where the credentials may read nothing.
    pub fault: Option<Fault>,
    /// Calls that the credentials may not make, by the name of the action.
    pub refused: BTreeSet<&'static str>,
    /// No call ever answers.
    pub is_hanging: bool,
    /// Functions that do not exist.
    pub missing_functions: Vec<&'static str>,
}

impl InMemoryDeployment {
    async fn answer<T>(&self, action: &'static str, value: T) -> Result<T, Fault> {
        if self.is_hanging {
            std::future::pending::<()>().await;
        }
        if self.refused.contains(action) {
            let detail = "AccessDenied (HTTP 403): no".to_owned();
            return Err(Fault { kind: FaultKind::AccessDenied, action, detail });
        }
        self.fault.clone().map_or(Ok(value), Err)
    }

    fn is_denied(&self, action: &str, permission: &Permission) -> bool {
        let is_missing = |(conditioned, key, value): &(&str, &str, &str)| {
            *conditioned == action && !permission.context.iter().any(|(name, given)| name == key && given == value)
        };
        self.denied.contains(&action) || self.conditions.iter().any(is_missing)
    }
}

impl Deployment for InMemoryDeployment {
    async fn mappings(&self) -> Result<Mappings, Fault> {
        self.answer("lambda:ListEventSourceMappings", self.mappings.clone()).await
    }

    async fn role_of(&self, function: &str) -> Result<String, Fault> {
        if self.missing_functions.contains(&function) {
            let detail = "ResourceNotFoundException (HTTP 404): Function not found".to_owned();
            return Err(Fault { kind: FaultKind::Refused, action: "lambda:GetFunctionConfiguration", detail });
        }
        let role = format!("arn:aws:iam::123456789012:role/{}", function.rsplit(':').next().unwrap());
        self.answer("lambda:GetFunctionConfiguration", role).await
    }

    async fn stream_retention(&self, _: &str) -> Result<Option<Duration>, Fault> {
        self.answer("kinesis:DescribeStreamSummary", Some(Duration::from_secs(24 * 3600))).await
    }

    async fn iterator_ages(&self, function: &str, from: Timestamp, to: Timestamp) -> Result<Vec<MetricPoint>, Fault> {
        let name = function_name(function).unwrap();
        self.answer("cloudwatch:GetMetricData", within(self.iterator_ages.get(name), from, to)).await
    }

    async fn arrivals(&self, stream_name: &str, from: Timestamp, to: Timestamp) -> Result<Vec<MetricPoint>, Fault> {
        self.answer("cloudwatch:GetMetricData", within(self.arrivals.get(stream_name), from, to)).await
    }

    async fn encrypted_filters(&self, uuid: &str) -> Result<EncryptedFilters, Fault> {
        self.answer("lambda:GetEventSourceMapping", self.filters.get(uuid).cloned().unwrap_or_default()).await
    }

    async fn expiration_days(&self, bucket: &str, _: &str) -> Result<Option<i32>, Fault> {
        self.answer("s3:GetLifecycleConfiguration", self.expirations.get(bucket).copied()).await
    }

    async fn bucket_key(&self, bucket: &str) -> Result<Option<String>, Fault> {
        let key = self.bucket_keys.get(bucket).map(|key| (*key).to_owned());
        self.answer("s3:GetEncryptionConfiguration", key).await
    }

    async fn sends_events(&self, bucket: &str) -> Result<bool, Fault> {
        self.answer("s3:GetBucketNotification", self.announcing_buckets.contains(bucket)).await
    }

    async fn rules_with_target(&self, target_arn: &str) -> Result<Vec<String>, Fault> {
        let has_target = |rule: &&EventRule| rule.targets.iter().any(|target| target.arn == target_arn);
        let names = self.event_rules.iter().filter(has_target).map(|rule| rule.name.clone()).collect();
        self.answer("events:ListRuleNamesByTarget", names).await
    }

    async fn event_rule(&self, name: &str) -> Result<Option<EventRule>, Fault> {
        let rule = self.event_rules.iter().find(|rule| rule.name == name).cloned();
        self.answer("events:DescribeRule", rule).await
    }

    async fn queue_attributes(&self, queue_arn: &str) -> Result<QueueAttributes, Fault> {
        self.answer("sqs:GetQueueAttributes", self.queues.get(queue_arn).cloned().unwrap_or_default()).await
    }

    async fn denied_actions(&self, _: &str, permission: &Permission) -> Result<Vec<String>, Fault> {
        let denied = permission.actions.iter().filter(|action| self.is_denied(action, permission));
        self.answer("iam:SimulatePrincipalPolicy", denied.map(|action| (*action).to_owned()).collect()).await
    }
}

/// The points of a time range, as CloudWatch gives them.
fn within(points: Option<&Vec<MetricPoint>>, from: Timestamp, to: Timestamp) -> Vec<MetricPoint> {
    points.into_iter().flatten().filter(|point| from <= point.at && point.at < to).copied().collect()
}
