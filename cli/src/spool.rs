//! Bodies of messages in a temporary file, so that memory does not grow with the bytes on the queue.
//!
//! The file has no name: the system frees its space when the program ends, however it ends, and no other program can
//! open it by path.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// The place of one text in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    offset: u64,
    bytes: usize,
}

/// The reason why a text was not stored or not read back.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    #[error(
        "message bodies cannot be kept in a temporary file in {}: {source}\n  \
         → free some space there, or set TMPDIR to a folder with more", folder.display()
    )]
    Write { folder: PathBuf, source: io::Error },
    #[error("a message body cannot be read back from the temporary file in {}: {source}", folder.display())]
    Read { folder: PathBuf, source: io::Error },
}

/// The temporary file.
#[derive(Debug)]
pub struct Spool {
    file: File,
    folder: PathBuf,
    end: Cell<u64>,
}

impl Spool {
    /// Opens a file in the folder for temporary files: `TMPDIR`, else `/tmp`.
    pub fn open() -> Result<Self, SpoolError> {
        Self::open_in(std::env::temp_dir())
    }

    fn open_in(folder: PathBuf) -> Result<Self, SpoolError> {
        match tempfile::tempfile_in(&folder) {
            Ok(file) => Ok(Self { file, folder, end: Cell::new(0) }),
            Err(source) => Err(SpoolError::Write { folder, source }),
        }
    }

    /// Stores a text. One that could not be written whole takes no place: the next one is written over it.
    pub fn put(&self, text: &str) -> Result<Slot, SpoolError> {
        let slot = Slot { offset: self.end.get(), bytes: text.len() };
        self.file
            .write_all_at(text.as_bytes(), slot.offset)
            .map_err(|source| SpoolError::Write { folder: self.folder.clone(), source })?;
        self.end.set(slot.offset + text.len() as u64);
        Ok(slot)
    }

    /// Reads a text back.
    pub fn get(&self, slot: &Slot) -> Result<String, SpoolError> {
        let failed = |source| SpoolError::Read { folder: self.folder.clone(), source };
        let mut bytes = vec![0; slot.bytes];
        self.file.read_exact_at(&mut bytes, slot.offset).map_err(failed)?;
        String::from_utf8(bytes).map_err(|_| failed(io::Error::from(io::ErrorKind::InvalidData)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_folder_that_takes_no_file_is_named() {
        let error = Spool::open_in(PathBuf::from("/dev/null/spool")).unwrap_err().to_string();
        assert!(error.contains("/dev/null/spool") && error.contains("TMPDIR"), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error_that_says_where() {
        let file = File::options().read(true).write(true).open("/dev/full").unwrap();
        let spool = Spool { file, folder: PathBuf::from("/some/folder"), end: Cell::new(0) };
        let error = spool.put("text").unwrap_err().to_string();
        assert!(error.contains("No space left") && error.contains("/some/folder"), "{error}");
        assert_eq!(spool.end.get(), 0);
    }

    #[test]
    fn a_file_that_was_cut_is_an_error() {
        let spool = Spool::open().unwrap();
        let slot = spool.put("some text").unwrap();
        spool.file.set_len(4).unwrap();
        assert!(matches!(spool.get(&slot), Err(SpoolError::Read { .. })));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn every_text_comes_back(texts in prop::collection::vec(any::<String>(), 0..40)) {
            let spool = Spool::open().unwrap();
            let slots: Vec<Slot> = texts.iter().map(|text| spool.put(text).unwrap()).collect();
            for (slot, text) in slots.iter().zip(&texts).rev() {
                prop_assert_eq!(&spool.get(slot).unwrap(), text);
            }
        }
    }
}
