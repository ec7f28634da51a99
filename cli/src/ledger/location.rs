//! The place of the ledger: where everybody who replays a queue must look.

use std::ffi::OsString;
use std::path::PathBuf;

use super::key::piece;

/// A queue, as its ledger is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueName {
    pub account: String,
    pub region: String,
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    S3 { bucket: String, prefix: String },
    Folder(PathBuf),
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
            Self::Folder(path) => write!(f, "{}", path.display()),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    #[error("--ledger {0}: it is not s3://BUCKET or s3://BUCKET/PREFIX")]
    Invalid(String),
    #[error(
        "there is no overflow bucket, and no folder for the ledger: neither XDG_STATE_HOME nor HOME is set\n  \
         → give --ledger s3://BUCKET or --ledger DIR"
    )]
    NoFolder,
}

/// The folder of the ledgers in an overflow bucket.
pub const LEDGER_FOLDER: &str = "ledger";

impl Location {
    /// Chooses what `--ledger` says, else the overflow bucket, else a folder of this user on this machine.
    ///
    /// In a bucket the place is `<prefix>/<region>/<queue>`. Two accounts that name one bucket with `--ledger` may
    /// share it: batch ids and function ARNs hold the account, and the lock then serves both queues. A folder has the
    /// account in its path as well.
    pub fn choose(
        given: Option<&str>,
        overflow_bucket: Option<&str>,
        queue: &QueueName,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, LocationError> {
        let within = format!("{}/{}", piece(&queue.region), piece(&queue.name));
        let in_folder = |folder: PathBuf| Self::Folder(folder.join(piece(&queue.account)).join(&within));
        let bucket = |bucket: &str, prefix: &str| {
            let prefix = format!("{prefix}/{within}").trim_start_matches('/').to_owned();
            Self::S3 { bucket: bucket.to_owned(), prefix }
        };
        match (given, overflow_bucket) {
            (Some(given), _) => match given.strip_prefix("s3://") {
                Some(place) => {
                    let (name, prefix) = place.split_once('/').unwrap_or((place, ""));
                    // Dots between slashes would be taken for a path by some programs.
                    let is_odd = prefix.split('/').any(|part| part == "." || part == "..");
                    if name.is_empty() || is_odd {
                        return Err(LocationError::Invalid(given.to_owned()));
                    }
                    Ok(bucket(name, prefix.trim_matches('/')))
                }
                None if given.is_empty() || given.contains("://") => Err(LocationError::Invalid(given.to_owned())),
                None => Ok(in_folder(PathBuf::from(given))),
            },
            (None, Some(name)) => Ok(bucket(name, LEDGER_FOLDER)),
            (None, None) => {
                // A relative path is to be ignored (<https://specifications.freedesktop.org/basedir-spec/latest/>).
                let folder = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
                let state = folder("XDG_STATE_HOME").or_else(|| folder("HOME").map(|home| home.join(".local/state")));
                state.map(|state| in_folder(state.join("dlq"))).ok_or(LocationError::NoFolder)
            }
        }
    }

    /// `true` when other machines see it.
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::S3 { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> QueueName {
        QueueName { account: "123456789012".into(), region: "eu-west-1".into(), name: "hydrated".into() }
    }

    fn choose(given: Option<&str>, bucket: Option<&str>) -> Result<Location, LocationError> {
        let variable = |name: &str| match name {
            "XDG_STATE_HOME" => Some(OsString::from("relative")),
            _ => Some(OsString::from("/home/ana")),
        };
        Location::choose(given, bucket, &queue(), variable)
    }

    #[test]
    fn the_overflow_bucket_holds_it_unless_another_place_is_given() {
        let s3 = |bucket: &str, prefix: &str| Location::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() };
        assert_eq!(choose(None, Some("overflow")).unwrap(), s3("overflow", "ledger/eu-west-1/hydrated"));
        assert_eq!(choose(Some("s3://b"), Some("overflow")).unwrap(), s3("b", "eu-west-1/hydrated"));
        assert_eq!(choose(Some("s3://b/ledger/"), None).unwrap(), s3("b", "ledger/eu-west-1/hydrated"));
    }

    #[test]
    fn a_folder_has_the_account_in_its_path() {
        let folder = |path: &str| Location::Folder(PathBuf::from(path));
        let home = "/home/ana/.local/state/dlq/123456789012/eu-west-1/hydrated";
        assert_eq!(choose(None, None).unwrap(), folder(home));
        assert_eq!(choose(Some("/srv/l"), Some("b")).unwrap(), folder("/srv/l/123456789012/eu-west-1/hydrated"));
    }

    #[test]
    fn a_place_that_is_none_is_refused() {
        for given in ["", "s3://", "s3:///x", "https://b/x", "s3://b/../x"] {
            assert_eq!(choose(Some(given), None), Err(LocationError::Invalid(given.to_owned())), "{given}");
        }
        assert_eq!(Location::choose(None, None, &queue(), |_| None), Err(LocationError::NoFolder));
    }

    #[test]
    fn hostile_names_stay_inside_the_folder() {
        let queue = QueueName { account: "..".into(), region: "../..".into(), name: "/etc".into() };
        let Ok(Location::Folder(path)) = Location::choose(Some("/srv"), None, &queue, |_| None) else { panic!() };
        assert!(path.components().all(|part| part.as_os_str() != ".."));
        assert_eq!(path.components().count(), 5);
    }
}
