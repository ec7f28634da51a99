//! Port of `dlq doctor`: the deployment that it checks.

use std::time::Duration;

use hydration::error::Fault;

use crate::ports::QueueAttributes;

/// An event source mapping of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StreamMapping {
    pub uuid: String,
    pub function: String,
    pub source: String,
    pub state: String,
    pub last_result: Option<String>,
    pub destination: Option<String>,
    /// Retries before Lambda gives up; -1 is for ever.
    pub max_retries: Option<i32>,
    /// Age in seconds at which Lambda gives up; -1 is never.
    pub max_record_age_seconds: Option<i32>,
    pub bisects: bool,
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
