//! Errors, and the rule for new ones.
//!
//! [`Fault`] is one call that failed. [`HydrateError`] is a failed batch that could not be hydrated: the caller of
//! the function retries it. A result that no retry can change is not an error but a
//! [`Status`](crate::verdict::Status), and is delivered. No error text holds record data: the Lambda runtime logs a
//! handler's error in its Debug form.

/// One call that failed, independent of the SDK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub kind: FaultKind,
    /// The action as IAM names it, `kinesis:GetRecords`.
    pub action: &'static str,
    /// The service's error code and message, or the error of the connection. Never a response body.
    pub detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The service throttles the caller.
    Throttled,
    /// 5xx, timeout, no connection.
    Unavailable,
    /// IAM or a resource policy denies the call.
    AccessDenied,
    /// The credentials are expired or unknown, or the machine's clock is wrong.
    CredentialsRejected,
    /// No request was sent, because the region, the credentials or the endpoint are not configured.
    InvalidConfiguration,
    /// The KMS key is disabled or deleted, or its use is denied.
    KeyUnavailable,
    /// Any other error that the same request gets again until somebody changes something.
    Refused,
    /// The response cannot be read.
    Unreadable,
}

impl FaultKind {
    /// Returns true for a fault that usually ends within seconds. The same call is made again.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Throttled | Self::Unavailable | Self::Unreadable)
    }
}

/// The reason why a failed batch was not hydrated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HydrateError {
    #[error(
        "{0} was throttled on every attempt: another reader shares the shard's or the account's quota; \
         the retry will come back later"
    )]
    Throttled(String),
    #[error("{0}: the service did not answer; nothing to do unless it lasts, the retry will come back")]
    ServiceUnavailable(String),
    #[error("{0}: grant the action to the role that hydrates, the retry will then succeed")]
    AccessDenied(String),
    #[error(
        "{0}: the credentials were rejected, which no permission changes: sign in again, or renew the role's session; \
         where they are fresh, set the machine's clock"
    )]
    CredentialsRejected(String),
    #[error(
        "{0}: no request was sent; set the region and the credentials, and no FIPS or dual-stack endpoint beside an \
         endpoint URL"
    )]
    InvalidConfiguration(String),
    #[error("{0}: enable the KMS key or let the role that hydrates use it, the retry will then succeed")]
    KeyUnavailable(String),
    #[error("{0}: the request was refused; see the service's message and the runbook")]
    RequestRefused(String),
    #[error("{0}: the service's answer could not be read; the retry will ask again")]
    UnreadableAnswer(String),
    #[error("not every record was reached, and they are too young to have expired ({0}); the retry will look again")]
    RangeNotReached(&'static str),
    #[error("{0}, and there is no overflow bucket: set OVERFLOW_BUCKET")]
    MessageTooLarge(String),
    #[error(
        "{0}: that is more than any invocation record has, and it was not read; remove the object, and keep others \
         like it out of the bucket of failed batches"
    )]
    ObjectTooLarge(String),
    #[error("the invocation had no time left before the range was read and delivered; the retry will try again")]
    DeadlineReached,
    #[error("the message is hydrated already: a hydrated queue must not feed the function that fills it")]
    AlreadyHydrated,
    #[error("this is not an invocation record of a failed stream batch: {0}")]
    NotRecognized(String),
}

impl HydrateError {
    /// The name that operators filter on: Lambda's `errorType`, the metric's dimension, the log's `error_type`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Throttled(_) => "Throttled",
            Self::ServiceUnavailable(_) => "ServiceUnavailable",
            Self::AccessDenied(_) => "AccessDenied",
            Self::CredentialsRejected(_) => "CredentialsRejected",
            Self::InvalidConfiguration(_) => "InvalidConfiguration",
            Self::KeyUnavailable(_) => "KeyUnavailable",
            Self::RequestRefused(_) => "RequestRefused",
            Self::UnreadableAnswer(_) => "UnreadableAnswer",
            Self::RangeNotReached(_) => "RangeNotReached",
            Self::MessageTooLarge(_) => "MessageTooLarge",
            Self::ObjectTooLarge(_) => "ObjectTooLarge",
            Self::DeadlineReached => "DeadlineReached",
            Self::AlreadyHydrated => "AlreadyHydrated",
            Self::NotRecognized(_) => "NotRecognized",
        }
    }
}

impl From<Fault> for HydrateError {
    fn from(fault: Fault) -> Self {
        let text = format!("{}: {}", fault.action, fault.detail);
        match fault.kind {
            FaultKind::Throttled => Self::Throttled(text),
            FaultKind::Unavailable => Self::ServiceUnavailable(text),
            FaultKind::AccessDenied => Self::AccessDenied(text),
            FaultKind::CredentialsRejected => Self::CredentialsRejected(text),
            FaultKind::InvalidConfiguration => Self::InvalidConfiguration(text),
            FaultKind::KeyUnavailable => Self::KeyUnavailable(text),
            FaultKind::Refused => Self::RequestRefused(text),
            FaultKind::Unreadable => Self::UnreadableAnswer(text),
        }
    }
}
