//! The store port: small records by name, each write on a condition.
//!
//! Two machines that write the same record at once have one winner, whatever the store. Nothing is ever deleted.

pub mod folder;
#[cfg(test)]
pub mod memory;
pub mod s3;

use std::io;
use std::path::PathBuf;

use hydration::error::{Fault, FaultKind};

use super::key::Key;

/// The largest record that is read. A claim on every second record of a batch of 10,000 takes about 1 MB.
pub const MAX_RECORD_BYTES: usize = 8 * 1024 * 1024;

/// The state of a record that a write may depend on: an ETag, or a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(pub String);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub bytes: Vec<u8>,
    pub version: Version,
}

/// The result of a conditional write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    Done(Version),
    /// The record exists already, or is no longer of the version given.
    Lost,
    /// The record that was to be replaced is no longer there.
    Gone,
}

/// The reason why a call failed. After a failed write nobody knows whether it was done.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the ledger's file {}: {source}\n  → {}", path.display(), advice_for_file(source))]
    File { path: PathBuf, source: io::Error },
    #[error("the ledger's folder {}: another program has held its lock for ten seconds\n  → try again", path.display())]
    Busy { path: PathBuf },
    #[error("the ledger at {name}: {}: {}\n  → {}", fault.action, fault.detail, advice_for(fault))]
    S3 { name: String, fault: Fault },
    #[error(
        "the ledger's record {name} is larger than {MAX_RECORD_BYTES} bytes, so this program did not write it\n  \
         → look at it, and move it away only if it is no record of dlq"
    )]
    TooLarge { name: String },
    #[cfg(test)]
    #[error("a test's fault")]
    Test,
}

fn advice_for_file(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space on the disk, and run again",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "make it writable, or choose another place with --ledger"
        }
        _ => "check the disk, or choose another place with --ledger",
    }
}

fn advice_for(fault: &Fault) -> &'static str {
    match fault.kind {
        FaultKind::AccessDenied => {
            "allow s3:GetObject, s3:PutObject and s3:ListBucket on the bucket's ledger to your credentials, or choose \
             another place with --ledger"
        }
        FaultKind::KeyUnavailable => {
            "allow kms:Decrypt and kms:GenerateDataKey on the bucket's key to your credentials"
        }
        FaultKind::CredentialsRejected => "sign in again (aws sso login), or choose others with --profile",
        FaultKind::InvalidConfiguration => "check --region, --profile, --endpoint-url and the AWS_ variables",
        FaultKind::Throttled => "wait a moment and try again",
        FaultKind::Unavailable | FaultKind::Unreadable => "check the network and try again",
        FaultKind::Refused => "check the bucket's name and --region, or choose another place with --ledger",
    }
}

#[allow(async_fn_in_trait, reason = "one thread works; no future of ours needs to be Send")]
pub trait Store {
    /// The record, or `None` where there is none. A store that cannot say is an error.
    async fn get(&self, key: &Key) -> Result<Option<Stored>, StoreError>;

    /// Writes a record that must not exist.
    async fn create(&self, key: &Key, bytes: &[u8]) -> Result<Write, StoreError>;

    /// Writes a record over the version given.
    async fn replace(&self, key: &Key, bytes: &[u8], version: &Version) -> Result<Write, StoreError>;

    /// The names of all records that begin with the prefix, which ends in `/`.
    async fn list(&self, prefix: &str) -> Result<Vec<Key>, StoreError>;

    /// A record's name as a person finds it: an S3 URI or a path.
    fn name_of(&self, key: &Key) -> String;
}

/// The store of a location.
pub enum AnyStore {
    S3(s3::S3Store),
    Folder(folder::FolderStore),
}

impl Store for AnyStore {
    async fn get(&self, key: &Key) -> Result<Option<Stored>, StoreError> {
        match self {
            Self::S3(store) => store.get(key).await,
            Self::Folder(store) => store.get(key).await,
        }
    }

    async fn create(&self, key: &Key, bytes: &[u8]) -> Result<Write, StoreError> {
        match self {
            Self::S3(store) => store.create(key, bytes).await,
            Self::Folder(store) => store.create(key, bytes).await,
        }
    }

    async fn replace(&self, key: &Key, bytes: &[u8], version: &Version) -> Result<Write, StoreError> {
        match self {
            Self::S3(store) => store.replace(key, bytes, version).await,
            Self::Folder(store) => store.replace(key, bytes, version).await,
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Key>, StoreError> {
        match self {
            Self::S3(store) => store.list(prefix).await,
            Self::Folder(store) => store.list(prefix).await,
        }
    }

    fn name_of(&self, key: &Key) -> String {
        match self {
            Self::S3(store) => store.name_of(key),
            Self::Folder(store) => store.name_of(key),
        }
    }
}
