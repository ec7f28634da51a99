//! The errors of a run.

use hydration::error::{Fault, FaultKind};
use lambda_runtime::Diagnostic;

/// The reason why a run of the digest failed. Lambda tries again, and the next run covers the same time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    #[error("{}: {}{}", .0.action, .0.detail, advice(.0.kind))]
    Call(Fault),
    #[error("the state in {0} cannot be read: delete the object, the digest then begins again with the last minutes")]
    StateUnreadable(String),
    #[error(
        "the state in the overflow bucket, digest/state.json, is of a time to come, so that nothing would be published \
         until then: delete the object, the digest then begins again with the last minutes"
    )]
    StateAhead,
    #[error("no time was left to publish: give the digest function more time or more memory")]
    NoTimeLeft,
}

impl DigestError {
    /// The name that operators filter on.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::StateUnreadable(_) => "StateUnreadable",
            Self::StateAhead => "StateAhead",
            Self::NoTimeLeft => "DeadlineReached",
            Self::Call(fault) => match fault.kind {
                FaultKind::Throttled => "Throttled",
                FaultKind::Unavailable => "ServiceUnavailable",
                FaultKind::AccessDenied => "AccessDenied",
                FaultKind::CredentialsRejected => "CredentialsRejected",
                FaultKind::InvalidConfiguration => "InvalidConfiguration",
                FaultKind::KeyUnavailable => "KeyUnavailable",
                FaultKind::Refused => "RequestRefused",
                FaultKind::Unreadable => "UnreadableAnswer",
            },
        }
    }
}

impl From<DigestError> for Diagnostic {
    fn from(error: DigestError) -> Self {
        Self { error_type: error.kind().to_owned(), error_message: error.to_string() }
    }
}

fn advice(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::AccessDenied => ": grant the action to the digest function's role",
        FaultKind::KeyUnavailable => ": let the digest function's role use the key, and see that the key is enabled",
        FaultKind::Refused => ": see that the log group, the bucket and the topic of the stack still exist",
        _ => "",
    }
}
