//! Outcomes of one item of a replay: for the report, for the ledger, and for what is behind it in its shard.

use hydration::sequence_number::SequenceNumber;

use crate::batch_item_failures::succeeded_count;
use crate::commands::replay::batch::{Batch, NumberedRecord};
use crate::commands::replay::plan::Behind;
use crate::commands::replay::refusal::RefusalReason;
use crate::exit::explain;
use crate::ledger::claim::{Outcome, Refused};
use crate::ports::{InvokeOutcome, Invoked};

/// Outcome of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplayOutcome {
    /// Every record has succeeded, and the message is deleted.
    Replayed,
    /// Every record has succeeded, and the message is kept as was asked.
    Kept,
    /// Every record succeeded in an earlier run, and the message is deleted.
    Deleted,
    /// Every record succeeded in an earlier run, and the message is kept as was asked.
    AlreadyDone,
    /// The chosen records have succeeded, and others remain.
    PartlyDone {
        remaining: usize,
    },
    /// Every record has succeeded, but the message, or a copy of it with other records, is still there.
    NotDeleted {
        reason: String,
    },
    /// Some of the records remain.
    Failed {
        remaining: usize,
        error_type: String,
        message: String,
    },
    Refused {
        reason: RefusalReason,
        detail: String,
    },
    /// The invocation may or may not have run.
    Unknown {
        reason: String,
    },
    /// Not started: an earlier batch of the shard has not succeeded.
    HeldBack {
        behind: Behind,
    },
    /// Not started: the run had to stop.
    Stopped,
}

impl ReplayOutcome {
    /// Tells if nothing is left to do.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Replayed | Self::Kept | Self::Deleted | Self::AlreadyDone)
    }

    pub fn blocks_shard(&self) -> bool {
        match self {
            // A batch without records has nothing that a later one could overtake.
            Self::Refused { reason, .. } => !matches!(reason, RefusalReason::NothingToRun | RefusalReason::Discarded),
            _ => !self.is_done() && !matches!(self, Self::NotDeleted { .. }),
        }
    }

    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::Unknown { .. })
    }
}

/// The outcome for the ledger, and the end of the item unless every record of the event has succeeded.
pub fn outcome_of(
    invoked: Invoked,
    batch: &Batch<'_>,
    records: &[&NumberedRecord<'_>],
) -> (Outcome, Option<ReplayOutcome>) {
    let Invoked { outcome, request_id } = invoked;
    let failed = |remaining, error_type: &str, message| {
        Some(ReplayOutcome::Failed { remaining, error_type: error_type.to_owned(), message })
    };
    match outcome {
        InvokeOutcome::Returned(answer) => {
            let numbers: Vec<SequenceNumber> = records.iter().map(|record| record.number.clone()).collect();
            let succeeded = succeeded_count(&answer, &numbers).min(records.len());
            let Some(first_left) = numbers.get(succeeded) else { return (Outcome::Succeeded { request_id }, None) };
            let error_type = "batchItemFailures".to_owned();
            let message = format!("the function named {first_left} as failed");
            let ended = failed(records.len() - succeeded, &error_type, message);
            let outcome = match batch.spans_of_first(succeeded) {
                spans if spans.is_empty() => Outcome::Failed { error_type, request_id },
                succeeded => Outcome::Partly { succeeded, error_type, request_id },
            };
            (outcome, ended)
        }
        InvokeOutcome::Failed { error_type, message } => {
            let ended = failed(records.len(), &error_type, message);
            (Outcome::Failed { error_type, request_id }, ended)
        }
        InvokeOutcome::NotRun(fault) => {
            let error_type = format!("{:?}", fault.kind);
            let ended = failed(records.len(), &error_type, format!("{:#}", explain(&fault)));
            (Outcome::NotInvoked { error_type }, ended)
        }
        InvokeOutcome::Unknown(reason) => {
            let error_type = "NoAnswer".to_owned();
            (Outcome::Unknown { error_type, request_id }, Some(ReplayOutcome::Unknown { reason }))
        }
    }
}

pub fn not_claimed(refused: &Refused) -> ReplayOutcome {
    let reason = match refused {
        Refused::InDoubt(_) => RefusalReason::InDoubt,
        Refused::NothingToRun | Refused::Changed(_) => RefusalReason::Changed,
    };
    ReplayOutcome::Refused { reason, detail: refused.to_string() }
}

pub fn refused(reason: RefusalReason) -> ReplayOutcome {
    ReplayOutcome::Refused { reason, detail: reason.advice().to_owned() }
}

pub fn unreadable(detail: String) -> ReplayOutcome {
    ReplayOutcome::Refused { reason: RefusalReason::Unreadable, detail }
}
