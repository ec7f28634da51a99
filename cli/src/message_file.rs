//! Files that hold a message: readable by the caller alone, there whole or not at all, and never in another folder.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Outcome of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    New,
    /// The file was there with the same content, as of an export that was cut off.
    Same,
}

/// A folder for such files.
#[derive(Debug)]
pub struct MessageFolder {
    path: PathBuf,
    /// Overwrite files that are there.
    force: bool,
}

impl MessageFolder {
    /// Makes the folder if it is not there. One that cannot be written is an error now, before anything is read.
    pub fn open(path: &Path, force: bool) -> Result<Self> {
        let folder = Self { path: path.to_owned(), force };
        let made = fs::create_dir_all(path).and_then(|()| folder.new_file());
        made.with_context(|| format!("the folder {}", path.display()))?;
        Ok(folder)
    }

    /// A file that is gone again unless it is given its name.
    fn new_file(&self) -> std::io::Result<tempfile::NamedTempFile> {
        tempfile::Builder::new().prefix(".dlq-").tempfile_in(&self.path)
    }

    /// The path of the file for a message. The id is a stranger's text: it must not name another folder.
    pub fn path_of(&self, id: &str, extension: &str) -> Result<PathBuf> {
        let is_safe = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if id.is_empty() || id.len() > 200 || id.starts_with('-') || !id.chars().all(is_safe) {
            bail!("the id {id} cannot name a file: it has other characters than letters, digits and hyphens");
        }
        Ok(self.path.join(format!("{id}.{extension}")))
    }

    /// Writes a file under another name first. A link with the file's name is never followed.
    pub fn write(&self, path: &Path, content: &[u8]) -> Result<Written> {
        let name = || path.display().to_string();
        let mut file = self.new_file().with_context(name)?;
        file.write_all(content).and_then(|()| file.as_file().sync_all()).with_context(name)?;
        if self.force {
            file.persist(path).map_err(|error| error.error).with_context(name)?;
            return Ok(Written::New);
        }
        match file.persist_noclobber(path) {
            Ok(_) => Ok(Written::New),
            Err(_) if is_same(path, content) => Ok(Written::Same),
            Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => {
                bail!(
                    "{} is there already with another content\n  → give --force to overwrite it, or another folder",
                    path.display()
                )
            }
            Err(error) => Err(error.error).with_context(name),
        }
    }
}

fn is_same(path: &Path, content: &[u8]) -> bool {
    let is_file = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file());
    is_file && fs::read(path).is_ok_and(|there| there == content)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn an_id_never_names_another_folder() {
        let folder = tempfile::tempdir().unwrap();
        let files = MessageFolder::open(folder.path(), false).unwrap();
        for id in ["../../escaped", "a/b", "..", ".", "", "a\0b", "a.b", "-rf", "a\u{202e}b", &"a".repeat(300)] {
            assert!(files.path_of(id, "json").is_err(), "{id}");
        }
        assert_eq!(files.path_of("ab-12", "json").unwrap(), folder.path().join("ab-12.json"));
    }

    #[test]
    fn a_file_that_is_there_is_kept_unless_it_is_forced() {
        let folder = tempfile::tempdir().unwrap();
        let files = MessageFolder::open(folder.path(), false).unwrap();
        let path = files.path_of("ab", "json").unwrap();
        assert_eq!(files.write(&path, b"one").unwrap(), Written::New);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(files.write(&path, b"one").unwrap(), Written::Same);
        assert!(files.write(&path, b"two").unwrap_err().to_string().contains("--force"));
        assert_eq!(fs::read(&path).unwrap(), b"one");
        MessageFolder::open(folder.path(), true).unwrap().write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_is_not_followed() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let target = elsewhere.path().join("target");
        let files = MessageFolder::open(folder.path(), false).unwrap();
        let path = files.path_of("ab", "json").unwrap();
        symlink(&target, &path).unwrap();
        assert!(files.write(&path, b"one").is_err());
        MessageFolder::open(folder.path(), true).unwrap().write(&path, b"one").unwrap();
        assert!(!target.exists() && fs::symlink_metadata(&path).unwrap().is_file());
    }
}
