//! Messages of a queue that are in the archive too, so that the end of SQS's retention does not lose them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt};
use hydration::error::Fault;
use hydration::object_key::{ObjectName, function_folder};
use hydration::timestamp::Timestamp;
use serde::Serialize;

use crate::archive::ArchivePlace;
use crate::ports::{Bucket, ListFrom, ListRequest};
use crate::print::count;
use crate::queue::hydrated_message::HydratedMessage;

/// Calls for all messages together. A folder of a function and a day is a call for each thousand objects.
const MAX_CALLS: usize = 400;
const MAX_CONCURRENT_CALLS: usize = 8;

/// Numbers of messages.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Archived {
    pub archived: u64,
    pub not_archived: u64,
    /// Messages of which nobody knows.
    pub not_checked: u64,
    /// The reason why some were not checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Archived {
    pub fn unknown(messages: usize, reason: &str) -> Self {
        Self { not_checked: messages as u64, reason: Some(reason.to_owned()), ..Self::default() }
    }

    /// Looks for the messages by the names of objects. None is read.
    pub async fn look_up<B: Bucket>(bucket: &B, place: &ArchivePlace, messages: &[HydratedMessage]) -> Self {
        let (mut found, mut folders) = (Self::default(), BTreeMap::<String, Vec<&HydratedMessage>>::new());
        for message in messages {
            match object_in(message, place) {
                // Its first bytes have been read.
                Some(_) if message.read_error.is_none() => found.archived += 1,
                Some(key) => {
                    let folder = key.rsplit_once('/').map_or("", |(folder, _)| folder);
                    folders.entry(format!("{folder}/")).or_default().push(message);
                }
                None => folders.entry(folder(message)).or_default().push(message),
            }
        }
        let lookup = Lookup { bucket, place, calls_left: Cell::new(MAX_CALLS), reason: RefCell::default() };
        let searches = folders.into_iter().map(|(folder, messages)| lookup.search(folder, messages));
        let parts: Vec<Self> = stream::iter(searches).buffer_unordered(MAX_CONCURRENT_CALLS).collect().await;
        for part in parts {
            found.archived += part.archived;
            found.not_archived += part.not_archived;
            found.not_checked += part.not_checked;
        }
        found.reason = lookup.reason.into_inner();
        found
    }

    /// The end of a sentence about all of the messages.
    pub fn words(&self) -> String {
        let Self { archived, not_archived, not_checked, reason } = self;
        let checked = match (archived, not_archived) {
            (0, 0) => None,
            (archived, 0) if *not_checked == 0 => Some(format!("the archive has {}", all_of(*archived))),
            (0, absent) if *not_checked == 0 => Some(format!("the archive has none of {}", messages(*absent))),
            (archived, 0) => Some(format!("the archive has {}", messages(*archived))),
            (archived, absent) => Some(format!("the archive has {}, and {absent} are not in it", messages(*archived))),
        };
        let reason = reason.as_deref().unwrap_or("too many objects");
        let unknown = (*not_checked > 0).then(|| {
            format!("{} not looked up in the archive: {reason}", count(*not_checked, "message was", "messages were"))
        });
        [checked, unknown].into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}

fn messages(number: u64) -> String {
    count(number, "message", "messages")
}

fn all_of(number: u64) -> String {
    if number == 1 { "the message".to_owned() } else { format!("all {}", messages(number)) }
}

/// The key of the object that the fullest copy of the message points to, if it is in the archive's bucket.
fn object_in<'a>(message: &'a HydratedMessage, place: &ArchivePlace) -> Option<&'a str> {
    let pointer = message.copies.first()?.pointer.as_ref()?;
    (pointer.bucket == place.bucket).then_some(pointer.key.as_str())
}

/// The folder of the message's object, with a slash at its end.
fn folder(message: &HydratedMessage) -> String {
    let function = match &message.stream {
        None => "unrecognized",
        Some(_) => message.function_name().unwrap_or("unknown"),
    };
    let day = message.failed_at.or(message.last_arrival).unwrap_or(Timestamp::EPOCH);
    format!("{}{}/", function_folder(function), day.date_path())
}

struct Lookup<'a, B> {
    bucket: &'a B,
    place: &'a ArchivePlace,
    calls_left: Cell<usize>,
    reason: RefCell<Option<String>>,
}

impl<B: Bucket> Lookup<'_, B> {
    /// Searches one folder, from the first batch that is looked for to the last.
    async fn search(&self, folder: String, messages: Vec<&HydratedMessage>) -> Archived {
        match self.names(&folder, &messages).await {
            Some(names) => {
                let archived = messages.iter().filter(|message| is_among(message, &names)).count() as u64;
                Archived { archived, not_archived: messages.len() as u64 - archived, ..Archived::default() }
            }
            None => Archived { not_checked: messages.len() as u64, ..Archived::default() },
        }
    }

    /// The names in a folder that may be the messages'; `None` where they could not be listed.
    async fn names(&self, folder: &str, messages: &[&HydratedMessage]) -> Option<Vec<String>> {
        let first = messages.iter().map(|message| message.batch_id()).min()?;
        let last = messages.iter().map(|message| message.batch_id()).max()?;
        let prefix = if first == last { format!("{folder}{first}") } else { folder.to_owned() };
        let (mut names, mut from) = (Vec::new(), ListFrom::After(format!("{folder}{first}")));
        loop {
            let left = self.calls_left.get().checked_sub(1)?;
            self.calls_left.set(left);
            let bucket = self.place.bucket.clone();
            let request = ListRequest { bucket, prefix: prefix.clone(), by_folder: false, from };
            let page = self.bucket.list(&request).await.map_err(|fault| self.give_up(&fault)).ok()?;
            let keys = page.objects.iter().filter_map(|object| object.key.strip_prefix(folder));
            names.extend(keys.map(str::to_owned));
            let is_behind = names.last().is_some_and(|name| name.get(..last.len()).is_some_and(|id| id > last));
            match page.next {
                Some(next) if !is_behind => from = ListFrom::Next(next),
                _ => return Some(names),
            }
        }
    }

    fn give_up(&self, fault: &Fault) {
        self.calls_left.set(0);
        self.reason.borrow_mut().get_or_insert_with(|| format!("{}: {}", fault.action, fault.detail));
    }
}

/// Tells if an object with these records and this status is there. The id of a message that is no part does not say
/// which records it has.
fn is_among(message: &HydratedMessage, names: &[String]) -> bool {
    let digest = message.id.split_once('-').map(|(_, digest)| digest);
    let is_its_own = |name: ObjectName<'_>| {
        name.batch_id == message.batch_id()
            && name.status == message.status
            && digest.is_none_or(|digest| name.digest == digest)
    };
    names.iter().filter_map(|name| ObjectName::parse(name)).any(is_its_own)
}
