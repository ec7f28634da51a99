//! Filters of a command as far as the keys of an archive can answer them, so that most objects are not read.
//!
//! A key has the function, the day of the failure in UTC, the batch's id and the status. What a key cannot rule out is
//! read, and the filters decide: nothing that they would take is left out here.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use hydration::object_key::{ObjectName, function_folder};
use hydration::timestamp::Timestamp;
use hydration::verdict::Status;

use crate::ports::ListedObject;
use crate::queue::filter::{FilterArgs, is_id_named};

/// The day of messages that say neither when the batch failed nor when its last record arrived. The time of such a
/// message is that of its object, which no folder names, so that the day is always listed.
const UNDATED: &str = "1970/01/01";

/// The part of a folder's objects whose days the filters let pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cover {
    None,
    Some,
    All,
}

#[derive(Debug, Clone, Default)]
pub struct KeyFilter {
    /// The folder of one function below the archive, with a slash at its end.
    function: Option<String>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    /// Ids, or the first characters of ids; none means all.
    ids: Vec<String>,
    /// None means all.
    status: Vec<Status>,
}

impl KeyFilter {
    pub fn new(filter: &FilterArgs, ids: &[String], now: Timestamp) -> Self {
        let folder = |name: &str| {
            let folder = function_folder(name);
            folder.strip_prefix(hydration::object_key::FOLDER).map(str::to_owned)
        };
        Self {
            function: filter.function.as_ref().and_then(|function| folder(function.name())),
            since: filter.since.map(|time| time.resolve(now)),
            until: filter.until.map(|time| time.resolve(now)),
            ids: ids.to_vec(),
            status: filter.status.clone(),
        }
    }

    /// A filter that takes the objects of these batches.
    pub fn by_ids(ids: &[String]) -> Self {
        Self { ids: ids.to_vec(), ..Self::default() }
    }

    /// The same for a command that must see the other batches of a shard, whatever their status is.
    pub fn of_any_status(self) -> Self {
        Self { status: Vec::new(), ..self }
    }

    /// The folder of the only function that is asked for.
    pub fn function(&self) -> Option<&str> {
        self.function.as_deref()
    }

    /// Compares the days of a folder with the filters: `2026`, `2026/11`, `2026/11/21`, or nothing for a function.
    pub fn cover(&self, folder: &str) -> Cover {
        let Some(days) = self.days() else { return Cover::All };
        let cut = |day: &str| day.get(..folder.len()).unwrap_or(day).to_owned();
        let (first, last) = (cut(days.start()), cut(days.end()));
        let is_day = folder.len() == UNDATED.len();
        match folder {
            UNDATED => Cover::All,
            _ if folder < first.as_str() || folder > last.as_str() => {
                if UNDATED.starts_with(folder) {
                    Cover::Some
                } else {
                    Cover::None
                }
            }
            _ if is_day || (folder > first.as_str() && folder < last.as_str()) => Cover::All,
            _ => Cover::Some,
        }
    }

    /// The days from the first to the last; `None` if no time was typed.
    fn days(&self) -> Option<RangeInclusive<String>> {
        if self.since.is_none() && self.until.is_none() {
            return None;
        }
        let first = self.since.map_or_else(String::new, Timestamp::date_path);
        // The end is not included.
        let last = self.until.map_or_else(|| "~".to_owned(), |until| until.plus_millis(-1).date_path());
        Some(first..=last)
    }

    /// Tells if an id was typed that the name is not of. An object that no hydration has named so is none of these: it
    /// may hold a message all the same.
    pub fn has_other_id(&self, key: &str) -> bool {
        let Some(name) = name_of(key) else { return false };
        let own = format!("{}-{}", name.batch_id, name.digest);
        !self.ids.is_empty() && !self.ids.iter().any(|id| is_id_named(&own, id))
    }

    /// Takes the objects of a whole listing that have to be read. The objects of a batch are judged together: the
    /// fullest of them decides its status, and the first of them its time.
    pub fn retain(&self, objects: &mut Vec<ListedObject>) {
        if self.status.is_empty() && self.since.is_none() {
            return;
        }
        let mut batches: BTreeMap<String, Possible> = BTreeMap::new();
        for object in objects.iter() {
            if let Some(name) = name_of(&object.key) {
                let possible = batches.entry(name.batch_id.to_owned()).or_default();
                possible.status |= self.status.is_empty() || self.status.contains(&name.status);
                possible.time |= !self.is_too_old(object);
            }
        }
        objects.retain(|object| {
            let batch = name_of(&object.key).and_then(|name| batches.get(name.batch_id));
            batch.is_none_or(|possible| possible.status && possible.time)
        });
    }

    /// Tells if an object without a day is too old. The time of its message is that of the object, or on the day that
    /// its folder names.
    fn is_too_old(&self, object: &ListedObject) -> bool {
        let is_before = |since: Timestamp| {
            since.date_path().as_str() > UNDATED && object.last_modified.is_some_and(|modified| modified < since)
        };
        object.key.contains(&format!("/{UNDATED}/")) && self.since.is_some_and(is_before)
    }
}

/// Filters that one of the objects of a batch may pass.
#[derive(Debug, Default)]
struct Possible {
    status: bool,
    time: bool,
}

/// The name of an object that a hydration has written.
fn name_of(key: &str) -> Option<ObjectName<'_>> {
    key.rsplit('/').next().and_then(ObjectName::parse)
}
