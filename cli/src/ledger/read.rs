//! Reading runs: for a plan, and for the history of batches.
//!
//! A plan of thousands of batches lists the names once, a thousand a call, and then reads, eight at a time, only the
//! records that exist. On a first replay there are none, and 5,000 batches cost one call for every thousand runs that
//! the ledger has ever seen, instead of 5,000 calls.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt};
use hydration::ports::Clock;

use super::Ledger;
use super::claim::Known;
use super::error::LedgerError;
use super::function::FunctionArn;
use super::key::{Key, RunKey};
use super::record::Run;
use super::store::Store;

const READS_AT_ONCE: usize = 8;
/// Runs that are read by name without listing first. Reading them takes about as long as listing a long ledger.
const MAX_UNLISTED: usize = 64;

impl<S: Store, C: Clock> Ledger<S, C> {
    /// The record of each run. All of them are in the answer; those without a record are [`Known::absent`].
    pub async fn known(&self, keys: &BTreeSet<RunKey>) -> Result<BTreeMap<RunKey, Known>, LedgerError> {
        let listed: Option<BTreeSet<Key>> = if keys.len() > MAX_UNLISTED {
            Some(self.store.list(Key::runs()).await?.into_iter().collect())
        } else {
            None
        };
        let may_exist = |key: &RunKey| listed.as_ref().is_none_or(|listed| listed.contains(&Key::run(key)));
        let reads = keys.iter().map(async |key| {
            let known = if may_exist(key) { self.read_run(key).await? } else { Known::absent(key) };
            Ok((key.clone(), known))
        });
        let read: Vec<Result<_, LedgerError>> = stream::iter(reads).buffer_unordered(READS_AT_ONCE).collect().await;
        read.into_iter().collect()
    }

    /// The runs of some batches, one for each function that a batch was tried on.
    pub async fn histories(&self, batches: &BTreeSet<&str>) -> Result<Vec<(RunKey, Known)>, LedgerError> {
        let prefixes: BTreeSet<String> = batches.iter().map(|batch| Key::runs_of(batch)).collect();
        let names = if prefixes.len() > MAX_UNLISTED {
            let mut names = self.store.list(Key::runs()).await?;
            names.retain(|name| name.prefix().is_some_and(|prefix| prefixes.contains(prefix)));
            names
        } else {
            let lists = prefixes.iter().map(|prefix| self.store.list(prefix));
            let listed: Vec<_> = stream::iter(lists).buffer_unordered(READS_AT_ONCE).collect().await;
            listed.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect()
        };
        self.read_all(&names).await
    }

    /// Every run that the ledger has, of batches that are no longer on the queue too.
    pub async fn all(&self) -> Result<Vec<(RunKey, Known)>, LedgerError> {
        self.read_all(&self.store.list(Key::runs()).await?).await
    }

    pub(super) async fn read_all(&self, names: &[Key]) -> Result<Vec<(RunKey, Known)>, LedgerError> {
        let reads = names.iter().map(async |name| {
            let Some((run, version)) = self.read::<Run>(name).await? else { return Ok(None) };
            let mismatched = || LedgerError::Mismatched { name: self.store.name_of(name) };
            let function = FunctionArn::parse(&run.function).map_err(|_| mismatched())?;
            let key = RunKey { batch: run.batch.clone(), function };
            if Key::run(&key) != *name {
                return Err(mismatched());
            }
            Ok(Some((key, Known { run, version: Some(version) })))
        });
        let read: Vec<Result<_, LedgerError>> = stream::iter(reads).buffer_unordered(READS_AT_ONCE).collect().await;
        let mut runs = read.into_iter().filter_map(Result::transpose).collect::<Result<Vec<_>, _>>()?;
        runs.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(runs)
    }

    pub(super) async fn read_run(&self, key: &RunKey) -> Result<Known, LedgerError> {
        let name = Key::run(key);
        match self.read::<Run>(&name).await? {
            None => Ok(Known::absent(key)),
            Some((run, version)) if run.batch == key.batch && run.function == key.function.as_str() => {
                Ok(Known { run, version: Some(version) })
            }
            Some(_) => Err(LedgerError::Mismatched { name: self.store.name_of(&name) }),
        }
    }
}
