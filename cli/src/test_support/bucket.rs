//! A bucket in memory, with conditional writes.

use std::cell::RefCell;
use std::collections::BTreeMap;

use hydration::message::parsed::Pointer;

use crate::ports::{Bucket, GetObjectError};

#[derive(Debug, Clone)]
struct StoredObject {
    bytes: Vec<u8>,
    /// A new number for each write.
    etag: u64,
}

#[derive(Debug, Default)]
pub struct InMemoryBucket {
    /// No read ever answers.
    pub is_hanging: std::cell::Cell<bool>,
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
        objects.insert(key.to_owned(), StoredObject { bytes: bytes.into(), etag });
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
        let objects = self.objects.borrow();
        let object = objects.get(&pointer.key).ok_or(GetObjectError::Missing)?;
        let length = first_bytes.unwrap_or(usize::MAX).min(object.bytes.len());
        Ok(object.bytes[..length].to_vec())
    }
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
