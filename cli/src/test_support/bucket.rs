//! A bucket in memory, with conditional writes.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use hydration::error::{Fault, FaultKind};
use hydration::message::parsed::Pointer;
use hydration::timestamp::Timestamp;

use crate::ports::{Bucket, GetObjectError, ListFrom, ListPage, ListRequest, ListedObject};

#[derive(Debug, Clone)]
struct StoredObject {
    bytes: Vec<u8>,
    /// A new number for each write.
    etag: u64,
    written_at: Option<Timestamp>,
}

#[derive(Debug, Default)]
pub struct InMemoryBucket {
    /// No read ever answers.
    pub is_hanging: Cell<bool>,
    /// Every read of a whole object or its beginning is denied.
    pub denies_reads: Cell<bool>,
    /// Listing is denied.
    pub denies_lists: Cell<bool>,
    /// The time of the next writes.
    pub now: Cell<Option<Timestamp>>,
    /// Objects and folders on a page of a listing; 1,000 unless fewer were set.
    pub page_size: Cell<Option<usize>>,
    /// Calls so far.
    pub lists: Cell<usize>,
    pub reads: Cell<usize>,
    objects: RefCell<BTreeMap<String, StoredObject>>,
}

/// The condition of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteIf {
    /// `If-None-Match: *`
    Absent,
    /// `If-Match`
    Unchanged { etag: u64 },
}

impl InMemoryBucket {
    /// Writes an object and returns its etag; `None` where the condition does not hold.
    pub fn put(&self, key: &str, bytes: impl Into<Vec<u8>>, condition: WriteIf) -> Option<u64> {
        let mut objects = self.objects.borrow_mut();
        let current = objects.get(key).map(|object| object.etag);
        let holds = match condition {
            WriteIf::Absent => current.is_none(),
            WriteIf::Unchanged { etag } => current == Some(etag),
        };
        if !holds {
            return None;
        }
        let etag = current.unwrap_or(0) + 1;
        objects.insert(key.to_owned(), StoredObject { bytes: bytes.into(), etag, written_at: self.now.get() });
        Some(etag)
    }

    /// Number of objects.
    pub fn len(&self) -> usize {
        self.objects.borrow().len()
    }

    pub fn delete(&self, key: &str) {
        self.objects.borrow_mut().remove(key);
    }
}

impl Bucket for InMemoryBucket {
    async fn get(&self, pointer: &Pointer, first_bytes: Option<usize>) -> Result<Vec<u8>, GetObjectError> {
        if self.is_hanging.get() {
            std::future::pending::<()>().await;
        }
        self.reads.set(self.reads.get() + 1);
        if self.denies_reads.get() {
            return Err(GetObjectError::Fault(denied("s3:GetObject")));
        }
        let objects = self.objects.borrow();
        let object = objects.get(&pointer.key).ok_or(GetObjectError::Missing)?;
        let length = first_bytes.unwrap_or(usize::MAX).min(object.bytes.len());
        Ok(object.bytes[..length].to_vec())
    }

    async fn list(&self, request: &ListRequest) -> Result<ListPage, Fault> {
        if self.is_hanging.get() {
            std::future::pending::<()>().await;
        }
        self.lists.set(self.lists.get() + 1);
        if self.denies_lists.get() {
            return Err(denied("s3:ListBucket"));
        }
        let objects = self.objects.borrow();
        let after = match &request.from {
            ListFrom::First => "",
            ListFrom::After(key) | ListFrom::Next(key) => key.as_str(),
        };
        let mut page = ListPage::default();
        for (key, object) in objects.iter().filter(|(key, _)| key.starts_with(&request.prefix)) {
            let behind = &key[request.prefix.len()..];
            let folder = behind.split_once('/').filter(|_| request.by_folder);
            let folder = folder.map(|(name, _)| format!("{}{name}/", request.prefix));
            // The name of a page is the last thing on the one before it.
            if folder.as_ref().unwrap_or(key).as_str() <= after
                || folder.is_some() && folder == page.folders.last().cloned()
            {
                continue;
            }
            if page.objects.len() + page.folders.len() == self.page_size.get().unwrap_or(1000) {
                page.next = page.objects.last().map(|object| &object.key).max(page.folders.last()).cloned();
                break;
            }
            match folder {
                Some(folder) => page.folders.push(folder),
                None => page.objects.push(ListedObject {
                    key: key.clone(),
                    bytes: object.bytes.len() as u64,
                    last_modified: object.written_at,
                }),
            }
        }
        Ok(page)
    }
}

fn denied(action: &'static str) -> Fault {
    Fault { kind: FaultKind::AccessDenied, action, detail: "AccessDenied: no".to_owned() }
}

#[test]
fn a_conditional_write_has_one_winner() {
    let bucket = InMemoryBucket::default();
    assert_eq!(bucket.put("k", "a", WriteIf::Absent), Some(1));
    assert_eq!(bucket.put("k", "b", WriteIf::Absent), None);
    assert_eq!(bucket.put("k", "c", WriteIf::Unchanged { etag: 1 }), Some(2));
    assert_eq!(bucket.put("k", "d", WriteIf::Unchanged { etag: 1 }), None);
    bucket.delete("k");
    assert_eq!(bucket.put("k", "e", WriteIf::Unchanged { etag: 2 }), None);
}
