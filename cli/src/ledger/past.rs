//! The past of messages that are no longer on the queue: their replays, and who discarded them.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt};
use hydration::ports::Clock;
use serde::Serialize;

use super::Ledger;
use super::discard::Discarded;
use super::error::LedgerError;
use super::history::{BatchHistory, HistoryJson, name};
use super::key::Key;
use super::store::Store;
use crate::print::visible::Visible;
use crate::print::{count, thousands};

const READS_AT_ONCE: usize = 8;

/// All that the ledger knows of a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Past {
    pub history: BatchHistory,
    /// The latest discard.
    pub discarded: Option<PastDiscard>,
    /// The same in one sentence.
    pub discarded_line: Option<String>,
}

/// A discard, for JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PastDiscard {
    pub by: String,
    pub at: String,
    pub records: u64,
    /// The count of discards: a copy that arrived later may have been discarded, too.
    pub times: u64,
}

impl<S: Store, C: Clock> Ledger<S, C> {
    /// The past of each message whose id is named. The ledger is listed as a whole: the beginning of an id may have been
    /// typed.
    pub async fn past(&self, is_named: impl Fn(&str) -> bool) -> Result<BTreeMap<String, Past>, LedgerError> {
        let mut past: BTreeMap<String, Past> = BTreeMap::new();
        for (key, known) in self.read_all(&self.named(Key::runs(), &is_named).await?).await? {
            let history = &mut past.entry(key.batch).or_default().history;
            history.lines.push(known.run.sentence());
            history.json.push(HistoryJson::from(&known.run));
        }
        for discarded in self.discards(&is_named).await? {
            let past = past.entry(discarded.id.clone()).or_default();
            past.discarded_line = Some(sentence(&discarded));
            past.discarded = Some(PastDiscard {
                by: name_of(&discarded),
                at: discarded.at,
                records: discarded.records,
                times: discarded.revision,
            });
        }
        Ok(past)
    }

    /// The discard of each message whose id is named.
    pub async fn discards(&self, is_named: impl Fn(&str) -> bool) -> Result<Vec<Discarded>, LedgerError> {
        let names = self.named(Key::discards(), is_named).await?;
        let reads = names.iter().map(|name| self.read::<Discarded>(name));
        let read: Vec<Result<_, LedgerError>> = stream::iter(reads).buffered(READS_AT_ONCE).collect().await;
        let mut discards = Vec::new();
        for (name, found) in names.iter().zip(read) {
            let Some((discarded, _)) = found? else { continue };
            if Key::discard(&discarded.id) != *name {
                return Err(LedgerError::Mismatched { name: self.store.name_of(name) });
            }
            discards.push(discarded);
        }
        Ok(discards)
    }

    async fn named(&self, prefix: &str, is_named: impl Fn(&str) -> bool) -> Result<Vec<Key>, LedgerError> {
        let mut names = self.store.list(prefix).await?;
        names.retain(|key| key.id().is_some_and(&is_named));
        Ok(names)
    }
}

fn name_of(discarded: &Discarded) -> String {
    name(&discarded.by)
}

fn sentence(discarded: &Discarded) -> String {
    let times = match discarded.revision {
        0 | 1 => String::new(),
        times => format!("; {} times in all", thousands(times)),
    };
    let records = count(discarded.records, "record", "records");
    format!("by {} at {}, with {records}{times}", name_of(discarded), Visible::line(&discarded.at))
}
