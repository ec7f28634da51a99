//! The ledger in a folder, where there is no bucket.
//!
//! A record is written to a file without its final name, flushed to the disk, and then moved into place in one step, so
//! that a program that is killed leaves the whole record or none. A replacement compares the version and moves under a
//! lock on the folder, which the system releases when the program ends. Readers need no lock.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::super::key::Key;
use super::{MAX_RECORD_BYTES, Store, StoreError, Stored, Version, Write};

const LOCK_FILE: &str = ".lock";
const LOCK_RETRIES: u32 = 500;
const LOCK_RETRY_DELAY: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub struct FolderStore {
    root: PathBuf,
}

impl FolderStore {
    /// The folder is made by the first write.
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    fn path_of(&self, key: &Key) -> PathBuf {
        self.root.join(key.as_str())
    }

    fn read(&self, key: &Key) -> Result<Option<Stored>, StoreError> {
        let path = self.path_of(key);
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(MAX_RECORD_BYTES as u64 + 1).read_to_end(&mut bytes));
        match read {
            Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::File { path, source }),
            Ok(_) if bytes.len() > MAX_RECORD_BYTES => Err(StoreError::TooLarge { name: self.name_of(key) }),
            Ok(_) => Ok(Some(Stored { version: version(&bytes), bytes })),
        }
    }

    /// The record's folder, made where need be, and its record in a file that has no final name yet.
    fn prepare<'p>(&self, path: &'p Path, bytes: &[u8]) -> io::Result<(&'p Path, NamedTempFile)> {
        let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        make_folder(folder)?;
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        Ok((folder, file))
    }

    fn create_at(&self, path: &Path, bytes: &[u8]) -> io::Result<Write> {
        let (folder, file) = self.prepare(path, bytes)?;
        match file.persist_noclobber(path) {
            Ok(_) => {}
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => return Ok(Write::Lost),
            Err(error) => return Err(error.error),
        }
        sync_folder(folder)?;
        Ok(Write::Done(version(bytes)))
    }

    fn replace_at(&self, path: &Path, bytes: &[u8]) -> io::Result<Write> {
        let (folder, file) = self.prepare(path, bytes)?;
        file.persist(path).map_err(|error| error.error)?;
        sync_folder(folder)?;
        Ok(Write::Done(version(bytes)))
    }

    /// The lock on the folder, held until the file is dropped.
    async fn lock(&self) -> Result<File, StoreError> {
        let path = self.root.join(LOCK_FILE);
        let failed = |source| StoreError::File { path: path.clone(), source };
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(failed)?;
        for _ in 0..LOCK_RETRIES {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_RETRY_DELAY).await,
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
        Err(StoreError::Busy { path: self.root.clone() })
    }

    fn list_into(&self, prefix: &str, keys: &mut Vec<Key>) -> io::Result<()> {
        let entries = match std::fs::read_dir(self.root.join(prefix)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            // A name that is not UTF-8 is none of ours; neither is one with a dot in front, as unfinished files have.
            let Ok(name) = entry.file_name().into_string() else { continue };
            if entry.file_type()?.is_dir() {
                self.list_into(&format!("{prefix}{name}/"), keys)?;
            } else {
                keys.extend(Key::listed(&format!("{prefix}{name}")));
            }
        }
        Ok(())
    }
}

impl Store for FolderStore {
    async fn get(&self, key: &Key) -> Result<Option<Stored>, StoreError> {
        self.read(key)
    }

    async fn create(&self, key: &Key, bytes: &[u8]) -> Result<Write, StoreError> {
        let path = self.path_of(key);
        self.create_at(&path, bytes).map_err(|source| StoreError::File { path, source })
    }

    async fn replace(&self, key: &Key, bytes: &[u8], expected: &Version) -> Result<Write, StoreError> {
        if self.read(key)?.is_none() {
            return Ok(Write::Gone);
        }
        let _lock = self.lock().await?;
        match self.read(key)? {
            None => Ok(Write::Gone),
            Some(stored) if stored.version != *expected => Ok(Write::Lost),
            Some(_) => {
                let path = self.path_of(key);
                self.replace_at(&path, bytes).map_err(|source| StoreError::File { path, source })
            }
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Key>, StoreError> {
        let mut keys = Vec::new();
        let path = self.root.join(prefix);
        self.list_into(prefix, &mut keys).map_err(|source| StoreError::File { path, source })?;
        Ok(keys)
    }

    fn name_of(&self, key: &Key) -> String {
        self.path_of(key).display().to_string()
    }
}

fn version(bytes: &[u8]) -> Version {
    Version(format!("{:x}", Sha256::digest(bytes)))
}

/// Makes a folder and those above it; each new name is on the disk before a record depends on it.
fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        make_folder(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        // Another program made it at the same moment.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => sync_folder(parent.unwrap_or(Path::new("."))),
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests;
