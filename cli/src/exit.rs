//! Exit codes, a documented contract: 0, 1, 2, 3, 130, 143, 141.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use hydration::error::{Fault, FaultKind};

use crate::interrupt::StopSignal;
use crate::print::visible::Visible;

/// Outcome of a command that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Done,
    /// Something was left, refused or not seen, and a person has to look.
    Attention,
}

/// The error of a command that a signal stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupted {
    pub signal: StopSignal,
    /// Messages that could not be made visible before the command had to end.
    pub hidden: usize,
    /// The messages were those of an archive, which are never hidden.
    pub in_archive: bool,
}

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.hidden {
            _ if self.in_archive => f.write_str("interrupted; nothing in the archive was changed"),
            0 => f.write_str("interrupted; every message that was held is visible again"),
            hidden => write!(f, "interrupted; {hidden} of the messages become visible within a minute"),
        }
    }
}

impl std::error::Error for Interrupted {}

/// Wrong usage that clap cannot see, as of two flags that contradict each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

/// A message was not found, and everything was looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct NotFound {
    /// The id that was typed.
    pub id: String,
    pub text: String,
}

/// A message was not found, and not everything was looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct NotSeen {
    pub id: String,
    pub text: String,
}

pub const HELP: &str = "\
Exit codes:
  0    all is done, or everything was seen
  1    it failed; the last line on stderr says what to do
  2    wrong usage
  3    something was left, refused or not seen: the last lines count it;
       or the doctor found problems, or could not check something
  130  interrupted by Ctrl-C; every message that was held is visible again
  143  the same by SIGTERM
  141  the reader of the output closed it; the command stopped as by Ctrl-C";

pub fn code(outcome: anyhow::Result<Exit>) -> ExitCode {
    if let Err(error) = &outcome
        && !is_broken_pipe(error)
    {
        // A standard error that is closed must not change the exit code.
        let _ = writeln!(std::io::stderr(), "dlq: {}", Visible::lines(&format!("{error:#}")));
    }
    ExitCode::from(number(&outcome))
}

pub fn number(outcome: &anyhow::Result<Exit>) -> u8 {
    match outcome {
        Ok(Exit::Done) => 0,
        Ok(Exit::Attention) => 3,
        Err(error) if is_broken_pipe(error) => 141,
        Err(error) if error.is::<UsageError>() => 2,
        Err(error) if error.is::<NotSeen>() => 3,
        Err(error) => match error.downcast_ref::<Interrupted>() {
            Some(Interrupted { signal: StopSignal::Interrupt, .. }) => 130,
            Some(Interrupted { signal: StopSignal::Terminate, .. }) => 143,
            None => 1,
        },
    }
}

/// A reader of the output, such as `head`, may close it early.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let is_closed = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
    };
    error.chain().any(is_closed)
}

/// A failed call as an error that says what to do.
pub fn explain(fault: &Fault) -> anyhow::Error {
    let Fault { kind, action, detail } = fault;
    let advice = match kind {
        // SQS has codes with `Expired` and `Invalid` for receipt handles, which are no credentials.
        _ if detail.contains("ReceiptHandle") || detail.contains("receipt handle") => {
            "the message was held for too long and is visible again: run the command again"
        }
        FaultKind::CredentialsRejected if detail.contains("RequestTimeTooSkewed") => {
            "set this machine's clock: it differs from AWS's by more than some minutes"
        }
        FaultKind::CredentialsRejected => {
            "the credentials have expired or are unknown: sign in again (aws sso login), or choose others with --profile"
        }
        FaultKind::InvalidConfiguration if detail.contains("credential") => {
            "sign in (aws sso login, aws configure), or choose a profile with --profile"
        }
        FaultKind::InvalidConfiguration => "check --region, --profile, --endpoint-url and the AWS_ variables",
        FaultKind::Unavailable if detail.contains("credential") => {
            "sign in (aws sso login, aws configure), or choose a profile with --profile"
        }
        FaultKind::AccessDenied => "allow the action to your credentials, or choose others with --profile",
        FaultKind::KeyUnavailable => "allow kms:Decrypt on the key to your credentials, or enable the key",
        FaultKind::Throttled => "wait a moment and try again",
        FaultKind::Unavailable => "check the network, --region and --endpoint-url, and try again",
        FaultKind::Unreadable => "try again; check --endpoint-url",
        FaultKind::Refused if detail.contains("NoSuchBucket") => "check the bucket's name",
        _ if detail.contains("PermanentRedirect") || detail.contains("AuthorizationHeaderMalformed") => {
            "the bucket is in another region: give it with --region"
        }
        FaultKind::Refused if detail.contains("NonExistentQueue") || detail.contains("QueueDoesNotExist") => {
            "check --queue, --region and --profile: aws sqs list-queues"
        }
        FaultKind::Refused if detail.contains("the search was given up") => {
            "the log group is busy: look for the request id with CloudWatch Logs Insights"
        }
        _ if detail.contains("InvalidObjectState") => {
            "the object is in a storage class that must be restored first: aws s3api restore-object"
        }
        FaultKind::Refused => "check --region, --profile and the names given",
    };
    anyhow::anyhow!("{action}: {detail}\n  → {advice}")
}
