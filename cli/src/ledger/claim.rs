//! Claims: one before each invocation, its outcome after it, and what a person says where there is no outcome.
//!
//! A batch on a function has one record, and each step replaces the version that the step before has seen. Two machines
//! that go for the same attempt therefore have one winner, and a claim made on an outdated plan fails.

use hydration::ports::Clock;

use super::Ledger;
use super::error::LedgerError;
use super::history::InDoubt;
use super::key::{Key, RunKey};
use super::lock::{Lock, Settled};
use super::record::{AttemptOutcome, OpenClaim, Run, Shard, Unknown, error_type, request_id};
use super::span::{Span, count, overlap};
use super::store::{Store, Version};
use crate::print::visible::Visible;

/// A run as it was read, or the absence of one, which is as much of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    pub run: Run,
    pub(super) version: Option<Version>,
}

impl Known {
    /// A run that has no record yet.
    pub fn absent(key: &RunKey) -> Self {
        Self { run: Run::new(&key.batch, key.function.as_str()), version: None }
    }
}

/// The invocation that a claim is for.
#[derive(Debug, Clone)]
pub struct Invocation {
    pub shard: Option<Shard>,
    /// Records in the whole batch.
    pub batch_records: u64,
    /// Records that will be in the event.
    pub records: Vec<Span>,
}

/// A claim that this run has made. It stays in doubt until its outcome is written.
#[derive(Debug)]
#[must_use = "a claim without an outcome stays in doubt until a person settles it"]
pub struct Claim {
    key: RunKey,
    known: Known,
}

#[derive(Debug)]
pub enum Claiming {
    Claimed(Box<Claim>),
    Refused(Refused),
}

/// The reason why no claim was made. Nothing was invoked, and nothing that is behind the batch in its shard may be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("{0}")]
    InDoubt(InDoubt),
    #[error("some of these records have succeeded already, or none was chosen\n  → look again")]
    NothingToRun,
    #[error("another run has acted on this batch since this one looked{}\n  → look again", last(.0))]
    Changed(Box<Run>),
}

/// The end of a claim's invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Succeeded {
        request_id: Option<String>,
    },
    /// These records have succeeded, and the others of the claim have not.
    Partly {
        succeeded: Vec<Span>,
        error_type: String,
        request_id: Option<String>,
    },
    Failed {
        error_type: String,
        request_id: Option<String>,
    },
    /// The function was not invoked: throttled, refused, or stopped before.
    NotInvoked {
        error_type: String,
    },
    /// Nobody knows whether it ran. The claim stays, in doubt.
    Unknown {
        error_type: String,
        request_id: Option<String>,
    },
}

/// The word of a person about a batch in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// It may run again.
    Rerun,
    /// It has run: its records count as succeeded.
    Done,
}

impl<S: Store, C: Clock> Ledger<S, C> {
    /// Claims records of a batch. Invoke only after this, and only what was claimed.
    ///
    /// The lock is looked at after the claim is written. So a run whose lock a person has settled by mistake either
    /// finds out here and invokes nothing, or its claim was there before the next holder of the lock looked.
    pub async fn claim(
        &self,
        _lock: &Lock,
        key: &RunKey,
        known: &Known,
        invocation: Invocation,
    ) -> Result<Claiming, LedgerError> {
        if let Some(in_doubt) = InDoubt::of(&known.run) {
            return Ok(Claiming::Refused(Refused::InDoubt(in_doubt)));
        }
        if invocation.records.is_empty() || overlap(&invocation.records, &known.run.done) {
            return Ok(Claiming::Refused(Refused::NothingToRun));
        }
        let mut run = known.run.clone();
        run.revision += 1;
        run.attempts_made += 1;
        run.shard = invocation.shard.or(run.shard);
        run.records = invocation.batch_records;
        run.claim = Some(OpenClaim {
            attempt: run.attempts_made,
            by: self.who.clone(),
            at: self.now(),
            records: invocation.records,
            unknown: None,
        });
        let Some(version) = self.write(&Key::run(key), &run, known.version.as_ref()).await? else {
            let current = self.read_run(key).await?;
            return Ok(Claiming::Refused(match InDoubt::of(&current.run) {
                Some(in_doubt) => Refused::InDoubt(in_doubt),
                None => Refused::Changed(Box::new(current.run)),
            }));
        };
        let claim = Claim { key: key.clone(), known: Known { run, version: Some(version) } };
        if let Err(error) = self.check_lock().await {
            // The first error is the one to report. Where this write fails too, the batch is in doubt: that is safe.
            drop(self.outcome(&claim, Outcome::NotInvoked { error_type: "LockLost".to_owned() }).await);
            return Err(error);
        }
        Ok(Claiming::Claimed(Box::new(claim)))
    }

    /// Writes what became of a claim. Delete the message only after this has returned.
    ///
    /// It may be called again after an error of the store.
    pub async fn outcome(&self, claim: &Claim, outcome: Outcome) -> Result<Known, LedgerError> {
        let run = self.with_outcome(claim, outcome)?;
        match self.write(&Key::run(&claim.key), &run, claim.known.version.as_ref()).await? {
            Some(version) => Ok(Known { run, version: Some(version) }),
            None => self.found_instead(claim, &run).await,
        }
    }

    fn with_outcome(&self, claim: &Claim, outcome: Outcome) -> Result<Run, LedgerError> {
        let mut run = claim.known.run.clone();
        run.revision += 1;
        let claimed = run.claim.as_ref().map(|open| open.records.clone()).unwrap_or_default();
        let (result, succeeded, error, request) = match outcome {
            Outcome::Unknown { error_type: error, request_id: request } => {
                let unknown = Unknown {
                    at: self.now(),
                    error_type: Some(error_type(&error)),
                    request_id: request.as_deref().map(request_id),
                };
                if let Some(open) = &mut run.claim {
                    open.unknown = Some(unknown);
                }
                return Ok(run);
            }
            Outcome::Succeeded { request_id } => (AttemptOutcome::Succeeded, claimed, None, request_id),
            Outcome::Partly { succeeded, error_type, request_id } => {
                let is_within = |span: &Span| {
                    claimed.iter().any(|c| c.first <= span.first && span.last <= c.last && span.records <= c.records)
                };
                if !succeeded.iter().all(is_within) || count(&succeeded) >= count(&claimed) {
                    return Err(LedgerError::NotClaimed { batch: claim.key.batch.clone() });
                }
                (AttemptOutcome::Partly, succeeded, Some(error_type), request_id)
            }
            Outcome::Failed { error_type, request_id } => {
                (AttemptOutcome::Failed, Vec::new(), Some(error_type), request_id)
            }
            Outcome::NotInvoked { error_type } => (AttemptOutcome::NotInvoked, Vec::new(), Some(error_type), None),
        };
        if let Some(attempt) = run.close(&self.now(), result, succeeded) {
            attempt.error_type = error.as_deref().map(error_type);
            attempt.request_id = request.as_deref().map(request_id);
        }
        Ok(run)
    }

    /// The record as it is where the outcome could not be written over the claim.
    async fn found_instead(&self, claim: &Claim, wanted: &Run) -> Result<Known, LedgerError> {
        let current = self.read_run(&claim.key).await?;
        let number = claim.known.run.attempts_made;
        let mut attempts = current.run.attempts.iter();
        let ours = attempts.find(|attempt| attempt.attempt == number && attempt.by == self.who);
        // An earlier attempt to write this outcome was carried out, and its answer was lost.
        let is_written = match (ours, &wanted.claim) {
            (Some(attempt), None) => attempt.settled_by.is_none() && current.run.revision == wanted.revision,
            (None, Some(_)) => {
                let unknown = |open: &OpenClaim| open.by == self.who && open.unknown.is_some();
                current.run.claim.as_ref().is_some_and(unknown) && current.run.revision == wanted.revision
            }
            _ => false,
        };
        if is_written {
            return Ok(current);
        }
        let by = ours.and_then(|attempt| attempt.settled_by.clone());
        Err(LedgerError::ClaimChanged { batch: claim.key.batch.clone(), by })
    }

    /// Writes down what a person says about a batch in doubt.
    pub async fn settle(&self, key: &RunKey, known: &Known, how: Settlement) -> Result<Settled<Known>, LedgerError> {
        let mut run = known.run.clone();
        let Some(open) = run.claim.as_ref() else { return Ok(Settled::Changed) };
        let (result, succeeded) = match how {
            Settlement::Rerun => (AttemptOutcome::SettledRerun, Vec::new()),
            Settlement::Done => (AttemptOutcome::SettledDone, open.records.clone()),
        };
        run.revision += 1;
        if let Some(attempt) = run.close(&self.now(), result, succeeded) {
            attempt.settled_by = Some(self.who.clone());
        }
        let written = self.write(&Key::run(key), &run, known.version.as_ref()).await?;
        Ok(written.map_or(Settled::Changed, |version| Settled::Done(Known { run, version: Some(version) })))
    }
}

fn last(run: &Run) -> String {
    let who = run.attempts.last().map(|attempt| attempt.settled_by.as_ref().unwrap_or(&attempt.by));
    let sentence = |who: &super::record::Who| format!(": {} on {}", Visible::line(&who.user), Visible::line(&who.host));
    who.map(sentence).unwrap_or_default()
}
