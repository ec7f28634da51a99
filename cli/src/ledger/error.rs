//! Errors of the ledger. After any of them nothing more may be run or deleted.

use super::record::{NotRead, Who};
use super::store::StoreError;
use crate::print::visible::Visible;

#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "the ledger's record {name} cannot be read (line {line}, column {column}); it may hold a claim\n  \
         → restore an earlier version of it; delete it only when the function's log shows what ran"
    )]
    Broken { name: String, line: usize, column: usize },
    #[error("the ledger's record {name} is of version {version}, and this program reads version 1\n  → upgrade dlq")]
    Later { name: String, version: u64 },
    #[error(
        "the ledger's record {name} is about another batch or function than its name says\n  \
         → somebody has copied or renamed it; restore it"
    )]
    Mismatched { name: String },
    #[error(
        "the ledger's record {name} was deleted during this run\n  \
         → look at the function's log before you run the batch again"
    )]
    Deleted { name: String },
    #[error("a record of the ledger could not be written as JSON")]
    NotWritten,
    #[error(
        "the claim of this run on batch {batch} was changed while its invocation was under way{}\n  \
         → look at the function's log before you run the batch again", settled(by.as_ref())
    )]
    ClaimChanged { batch: String, by: Option<Who> },
    #[error("this run no longer holds the lock of the queue{}\n  → run again", settled(by.as_ref()))]
    LockLost { by: Option<Who> },
    #[error("other runs keep taking and releasing the lock of the queue\n  → try again")]
    LockContended,
    #[error("other runs keep changing the ledger's record {name}\n  → try again")]
    DiscardContended { name: String },
    #[error("the records reported as succeeded are not among those of the claim on batch {batch}; please report this")]
    NotClaimed { batch: String },
}

impl LedgerError {
    pub fn not_read(name: String, why: &NotRead) -> Self {
        match *why {
            NotRead::Later(version) => Self::Later { name, version },
            NotRead::Broken { line, column } => Self::Broken { name, line, column },
        }
    }
}

fn settled(who: Option<&Who>) -> String {
    let sentence = |who: &Who| format!(": {} on {} settled it", Visible::line(&who.user), Visible::line(&who.host));
    who.map(sentence).unwrap_or_default()
}
