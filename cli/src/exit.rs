//! Exit codes, a documented contract: 0, 1, 2 (usage, by clap), 3, 130.

use std::io::ErrorKind;
use std::process::ExitCode;

use hydration::error::{Fault, FaultKind};

/// Outcome of a command that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Done,
    /// It ran, and a person has to look: a replay left something undone, or the doctor found problems.
    Attention,
}

/// The error of a command that a signal stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted; every message that was held is back on the queue")
    }
}

impl std::error::Error for Interrupted {}

pub const HELP: &str = "\
Exit codes:
  0    fine
  1    it failed; the last line on stderr says what to do
  2    wrong usage
  3    done, but look: something failed, was held back or refused; the doctor found problems
  130  interrupted; every message that was held is back on the queue";

pub fn code(outcome: anyhow::Result<Exit>) -> ExitCode {
    if let Err(error) = &outcome
        && !is_broken_pipe(error)
    {
        eprintln!("dlq: {error:#}");
    }
    ExitCode::from(number(&outcome))
}

pub fn number(outcome: &anyhow::Result<Exit>) -> u8 {
    match outcome {
        Ok(Exit::Done) => 0,
        Ok(Exit::Attention) => 3,
        Err(error) if is_broken_pipe(error) => 0,
        Err(error) if error.is::<Interrupted>() => 130,
        Err(_) => 1,
    }
}

/// A reader of the output, such as `head`, may close it early.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let is_closed = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
    };
    error.chain().any(is_closed)
}

/// A failed call as an error that says what to do.
pub fn explain(fault: &Fault) -> anyhow::Error {
    let Fault { kind, action, detail } = fault;
    let advice = match kind {
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
        FaultKind::Refused if detail.contains("NonExistentQueue") || detail.contains("QueueDoesNotExist") => {
            "check --queue, --region and --profile: aws sqs list-queues"
        }
        FaultKind::Refused => "check --region, --profile and the names given",
    };
    anyhow::anyhow!("{action}: {detail}\n  → {advice}")
}
