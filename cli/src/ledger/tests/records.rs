//! The ledger's records: what is in them, and what is done about those that cannot be read.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::ledger::Ledger;
use crate::ledger::claim::{Known, Outcome};
use crate::ledger::error::LedgerError;
use crate::ledger::history::State;
use crate::ledger::key::{Key, RunKey};
use crate::ledger::record::Who;
use crate::ledger::store::folder::FolderStore;
use crate::ledger::store::memory::{Memory, MemoryStore, NoHook};
use crate::ledger::store::{Store, StoreError, Stored, Version, Write};
use crate::ledger::tests::kit::*;

fn store_bytes(memory: &Memory, key: Key, bytes: &[u8]) {
    let version = Version("by hand".to_owned());
    memory.records.borrow_mut().insert(key, Stored { bytes: bytes.to_vec(), version });
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_never_taken_for_none() {
    let memory = Memory::default();
    let ana = ledger(&memory, "ana");
    let keys = BTreeSet::from([key("ab")]);
    for (bytes, expected) in [
        (&b""[..], "cannot be read (line 1"),
        (b"{\"version\":1,\"secret-4f1c", "cannot be read (line 1"),
        (b"{\"version\":2}", "upgrade dlq"),
    ] {
        store_bytes(&memory, Key::run(&key("ab")), bytes);
        store_bytes(&memory, Key::lock(), bytes);
        for error in [ana.known(&keys).await.unwrap_err(), ana.lock(HIDES_FOR).await.unwrap_err()] {
            let text = error.to_string();
            assert!(text.contains(expected) && text.contains("memory:") && !text.contains("secret"), "{text}");
        }
    }
    let other = serde_json::to_vec(&Known::absent(&key("cd")).run).unwrap();
    store_bytes(&memory, Key::run(&key("ab")), &other);
    assert!(matches!(ana.known(&keys).await, Err(LedgerError::Mismatched { .. })));
    assert!(matches!(ana.all().await, Err(LedgerError::Mismatched { .. })));
}

#[tokio::test]
async fn a_claim_that_was_deleted_is_an_error() {
    let memory = Memory::default();
    let ana = ledger(&memory, "ana");
    let lock = locked(&ana).await;
    let claim = claimed(&ana, &lock, &known(&ana, "ab").await, all(4)).await;
    memory.records.borrow_mut().remove(&Key::run(&key("ab")));
    let written = ana.outcome(&claim, Outcome::Succeeded { request_id: None }).await;
    assert!(matches!(written, Err(LedgerError::Deleted { .. })), "{written:?}");
}

#[tokio::test]
async fn a_corrupt_file_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::new(FolderStore::new(folder.path().into()), StillClock::default(), Who::new("ana", "l", "r"));
    drop(ledger.lock(HIDES_FOR).await.unwrap());
    let path = folder.path().join("lock.json");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let text = ledger.lock(HIDES_FOR).await.unwrap_err().to_string();
    assert!(text.contains(path.to_str().unwrap()) && text.contains("cannot be read"), "{text}");
}

/// Counts the calls that reach the store.
struct Counting<'a> {
    store: MemoryStore<'a, NoHook>,
    gets: std::cell::Cell<u64>,
    lists: std::cell::Cell<u64>,
}

impl Store for Counting<'_> {
    async fn get(&self, key: &Key) -> Result<Option<Stored>, StoreError> {
        self.gets.set(self.gets.get() + 1);
        self.store.get(key).await
    }

    async fn create(&self, key: &Key, bytes: &[u8]) -> Result<Write, StoreError> {
        self.store.create(key, bytes).await
    }

    async fn replace(&self, key: &Key, bytes: &[u8], version: &Version) -> Result<Write, StoreError> {
        self.store.replace(key, bytes, version).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Key>, StoreError> {
        self.lists.set(self.lists.get() + 1);
        self.store.list(prefix).await
    }

    fn name_of(&self, key: &Key) -> String {
        self.store.name_of(key)
    }
}

#[tokio::test]
async fn a_plan_of_5_000_new_batches_is_one_listing() {
    let memory = Memory::default();
    let ana = ledger(&memory, "ana");
    let lock = locked(&ana).await;
    for batch in ["ab-1", "ab-2", "elsewhere"] {
        let _claim = claimed(&ana, &lock, &known(&ana, batch).await, all(4)).await;
    }
    let store = MemoryStore { memory: &memory, hook: NoHook };
    let store = Counting { store, gets: Default::default(), lists: Default::default() };
    let ledger = Ledger::new(store, StillClock::default(), Who::new("ben", "desk", "run-of-ben"));
    let keys: BTreeSet<RunKey> = (0..5000).map(|number| key(&format!("ab-{number}"))).collect();
    let start = std::time::Instant::now();
    let known = ledger.known(&keys).await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert_eq!((ledger.store.lists.get(), ledger.store.gets.get()), (1, 2));
    assert_eq!(known.len(), 5000);
    assert_eq!(known.values().filter(|known| known.run.state() == State::InDoubt).count(), 2);
}

#[tokio::test]
async fn a_record_holds_what_it_should_and_no_more() {
    let memory = Memory::default();
    let ana = ledger(&memory, "ana");
    let lock = locked(&ana).await;
    let claim = claimed(&ana, &lock, &known(&ana, "ab").await, all(4)).await;
    let failed = Outcome::Failed { error_type: "KeyError: 'card 4111'".to_owned(), request_id: Some("r-1".to_owned()) };
    ana.outcome(&claim, failed).await.unwrap();
    let records = memory.records.borrow();
    let written: serde_json::Value = serde_json::from_slice(&records[&Key::run(&key("ab"))].bytes).unwrap();
    let expected = serde_json::json!({
        "version": 1, "revision": 2, "batch": "ab", "function": FUNCTION, "records": 4, "done": [], "attemptsMade": 1,
        "shard": {
            "streamArn": "arn:aws:kinesis:eu-west-1:123456789012:stream/orders", "shardId": "shardId-000000000000"
        },
        "attempts": [{
            "attempt": 1, "by": {"user": "ana", "host": "laptop", "run": "run-of-ana"},
            "claimedAt": "2026-11-21T10:00:00.000Z", "finishedAt": "2026-11-21T10:00:00.000Z",
            "outcome": "failed", "records": 4, "succeeded": 0, "errorType": "KeyError", "requestId": "r-1"
        }]
    });
    assert_eq!(written, expected);
}

#[test]
fn a_name_from_another_machine_cannot_write_to_the_terminal() {
    let mut run = Known::absent(&key("ab")).run;
    let by = Who::new("ana\u{1b}[2J", "lap\u{202e}top", "r");
    let at = "2026\n".to_owned();
    run.claim = Some(crate::ledger::record::OpenClaim { attempt: 1, by, at, records: all(1), unknown: None });
    let text = run.sentence();
    assert!(text.contains(r"ana\u{1b}[2J on lap\u{202e}top") && !text.contains('\n'), "{text}");
}
