//! The ledger in memory, for tests: with a hook before and after each call.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use super::super::key::Key;
use super::{Store, StoreError, Stored, Version, Write};

/// The records that all machines of a test share.
#[derive(Debug, Default)]
pub struct Memory {
    pub records: RefCell<BTreeMap<Key, Stored>>,
    /// Each write is sent twice, as by a client that has lost the first answer.
    pub sends_twice: Cell<bool>,
    writes: Cell<u64>,
}

impl Memory {
    fn write(&self, key: &Key, bytes: &[u8], expected: Option<&Version>) -> Write {
        let write = self.write_once(key, bytes, expected);
        if self.sends_twice.get() { self.write_once(key, bytes, expected) } else { write }
    }

    fn write_once(&self, key: &Key, bytes: &[u8], expected: Option<&Version>) -> Write {
        let mut records = self.records.borrow_mut();
        match (records.get(key), expected) {
            (None, Some(_)) => return Write::Gone,
            (Some(_), None) => return Write::Lost,
            (Some(stored), Some(expected)) if stored.version != *expected => return Write::Lost,
            _ => {}
        }
        self.writes.set(self.writes.get() + 1);
        let version = Version(self.writes.get().to_string());
        records.insert(key.clone(), Stored { bytes: bytes.to_vec(), version: version.clone() });
        Write::Done(version)
    }
}

/// A pause, or a fault, around each call.
#[allow(async_fn_in_trait, reason = "tests run on one thread")]
pub trait Hook {
    /// A fault here means that the call is not carried out.
    async fn before(&self) -> Result<(), StoreError>;

    /// A fault here means that the call was carried out, and its answer was lost.
    async fn after(&self) -> Result<(), StoreError>;
}

/// A hook that does nothing.
pub struct NoHook;

impl Hook for NoHook {
    async fn before(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn after(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// One machine's way to the shared records.
pub struct MemoryStore<'a, H> {
    pub memory: &'a Memory,
    pub hook: H,
}

impl<H: Hook> Store for MemoryStore<'_, H> {
    async fn get(&self, key: &Key) -> Result<Option<Stored>, StoreError> {
        self.hook.before().await?;
        let stored = self.memory.records.borrow().get(key).cloned();
        self.hook.after().await.map(|()| stored)
    }

    async fn create(&self, key: &Key, bytes: &[u8]) -> Result<Write, StoreError> {
        self.hook.before().await?;
        let write = self.memory.write(key, bytes, None);
        self.hook.after().await.map(|()| write)
    }

    async fn replace(&self, key: &Key, bytes: &[u8], expected: &Version) -> Result<Write, StoreError> {
        self.hook.before().await?;
        let write = self.memory.write(key, bytes, Some(expected));
        self.hook.after().await.map(|()| write)
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Key>, StoreError> {
        self.hook.before().await?;
        let keys =
            self.memory.records.borrow().keys().filter(|key| key.as_str().starts_with(prefix)).cloned().collect();
        self.hook.after().await.map(|()| keys)
    }

    fn name_of(&self, key: &Key) -> String {
        format!("memory:{}", key.as_str())
    }
}
