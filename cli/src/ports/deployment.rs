//! Port of `dlq doctor`: the deployment that it checks.

use std::time::Duration;

use hydration::error::Fault;
use hydration::timestamp::Timestamp;

use crate::ports::QueueAttributes;

/// An event source mapping of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StreamMapping {
    pub uuid: String,
    pub function: String,
    pub source: String,
    pub state: String,
    /// The reason for the state, in Lambda's words.
    pub state_reason: Option<String>,
    pub last_result: Option<String>,
    /// The last change of its settings or of its state.
    pub last_modified: Option<Timestamp>,
    pub has_filters: bool,
    /// The customer's key that encrypts its filters.
    pub filter_key: Option<String>,
    /// The error of KMS for that key, where Lambda names one.
    pub filter_error: Option<String>,
    pub destination: Option<String>,
    /// Retries before Lambda gives up; -1 is for ever.
    pub max_retries: Option<i32>,
    /// Age in seconds at which Lambda gives up; -1 is never.
    pub max_record_age_seconds: Option<i32>,
    pub bisects: bool,
}

impl StreamMapping {
    /// Returns true where Lambda does not poll the stream, or soon will not.
    pub fn is_disabled(&self) -> bool {
        self.state.starts_with("Disabl")
    }

    /// Neither the number of retries nor the age of records ends the retries of a batch.
    pub fn retries_for_ever(&self) -> bool {
        let is_unbounded = |value: Option<i32>| value.is_none_or(|value| value < 0);
        is_unbounded(self.max_retries) && is_unbounded(self.max_record_age_seconds)
    }
}

/// An event source mapping of an SQS queue.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueueMapping {
    pub uuid: String,
    pub function: String,
    pub queue_arn: String,
    pub state: String,
}

impl QueueMapping {
    /// Returns true where Lambda polls the queue, or soon will.
    pub fn is_enabled(&self) -> bool {
        !self.state.starts_with("Disabl") && self.state != "Deleting"
    }
}

/// Event source mappings of an account and region.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mappings {
    pub streams: Vec<StreamMapping>,
    pub queues: Vec<QueueMapping>,
}

/// Filters that a customer's key encrypts, as far as the caller can read them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EncryptedFilters {
    pub is_readable: bool,
    /// The error of KMS.
    pub error: Option<String>,
}

/// A value of a metric in a period of five minutes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MetricPoint {
    /// The start of the period.
    pub at: Timestamp,
    pub value: f64,
}

/// A rule of EventBridge.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventRule {
    pub name: String,
    pub is_enabled: bool,
    /// The event pattern, as JSON.
    pub pattern: String,
    pub targets: Vec<EventTarget>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventTarget {
    pub arn: String,
    pub dead_letter_queue: Option<String>,
}

/// Actions on a resource, and the values of the condition keys that AWS sets when they are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    pub actions: &'static [&'static str],
    pub resource: String,
    pub context: Vec<(&'static str, String)>,
}

#[allow(async_fn_in_trait, reason = "one thread works; no future of ours needs to be Send")]
pub trait Deployment {
    /// The event source mappings of streams and of SQS queues, in the account and region.
    async fn mappings(&self) -> Result<Mappings, Fault>;

    /// The ARN of a function's role.
    async fn role_of(&self, function: &str) -> Result<String, Fault>;

    /// The time that a Kinesis stream keeps its records.
    async fn stream_retention(&self, stream_arn: &str) -> Result<Option<Duration>, Fault>;

    /// The greatest age in milliseconds of the records that the function got, in each period, oldest first. It does
    /// not tell the function's mappings apart.
    async fn iterator_ages(&self, function: &str, from: Timestamp, to: Timestamp) -> Result<Vec<MetricPoint>, Fault>;

    /// The number of records that arrived in a Kinesis stream, in each period, oldest first.
    async fn arrivals(&self, stream_name: &str, from: Timestamp, to: Timestamp) -> Result<Vec<MetricPoint>, Fault>;

    /// The filters of a mapping that are encrypted with a customer's key.
    async fn encrypted_filters(&self, uuid: &str) -> Result<EncryptedFilters, Fault>;

    /// The days after which the bucket deletes objects whose keys begin so; `None` where no rule does.
    async fn expiration_days(&self, bucket: &str, prefix: &str) -> Result<Option<i32>, Fault>;

    /// The KMS key that encrypts the bucket's new objects; `None` where S3's own does.
    async fn bucket_key(&self, bucket: &str) -> Result<Option<String>, Fault>;

    /// Returns true where the bucket sends its events to EventBridge.
    async fn sends_events(&self, bucket: &str) -> Result<bool, Fault>;

    /// The names of the rules of the default event bus that have the target.
    async fn rules_with_target(&self, target_arn: &str) -> Result<Vec<String>, Fault>;

    /// A rule of the default event bus; `None` where there is none of that name.
    async fn event_rule(&self, name: &str) -> Result<Option<EventRule>, Fault>;

    /// The attributes of a queue of this account and region.
    async fn queue_attributes(&self, queue_arn: &str) -> Result<QueueAttributes, Fault>;

    /// Those of the actions that the role's policies do not allow. A resource's own policy is not looked at.
    async fn denied_actions(&self, role: &str, permission: &Permission) -> Result<Vec<String>, Fault>;
}
