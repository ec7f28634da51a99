//! Discards: who took a message off the queue without running it, or without running the rest of it.
//!
//! The record is written before the deletion. After a crash between the two, the message is still on the queue, and the
//! record only says who meant to delete it: no replay depends on it. The records of the batch's runs stay as they are,
//! so that a copy of the message that arrives later is not run again where it has succeeded. `dlq show` with the id of a
//! message that is no longer on the queue prints the record.

use hydration::ports::Clock;
use serde::{Deserialize, Serialize};

use super::Ledger;
use super::error::LedgerError;
use super::key::Key;
use super::record::{VERSION, Who};
use super::store::Store;

/// Attempts to write while others discard a copy of the same message.
const ATTEMPTS: u32 = 10;

/// A message that was discarded, with every copy of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Discarded {
    pub version: u32,
    /// The count of discards: a copy may arrive later, and be discarded too.
    pub revision: u64,
    /// The id of the hydrated message, or the message id of one that is not hydrated.
    pub id: String,
    pub by: Who,
    pub at: String,
    /// Records in the message.
    pub records: u64,
    /// SQS message ids of the copies.
    pub message_ids: Vec<String>,
}

impl<S: Store, C: Clock> Ledger<S, C> {
    /// Writes who discards a message. Delete it only after this has returned.
    pub async fn discard(&self, id: &str, records: u64, message_ids: &[&str]) -> Result<(), LedgerError> {
        let key = Key::discard(id);
        for _ in 0..ATTEMPTS {
            let found = self.read::<Discarded>(&key).await?;
            let (revision, version) = found.map_or((0, None), |(before, version)| (before.revision, Some(version)));
            let discarded = Discarded {
                version: VERSION,
                revision: revision + 1,
                id: id.to_owned(),
                by: self.who.clone(),
                at: self.now(),
                records,
                message_ids: message_ids.iter().map(|id| (*id).to_owned()).collect(),
            };
            if self.write(&key, &discarded, version.as_ref()).await?.is_some() {
                return Ok(());
            }
        }
        Err(LedgerError::DiscardContended { name: self.store.name_of(&key) })
    }
}
