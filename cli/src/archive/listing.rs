//! The listing of an archive: its pages are asked for eight at a time.
//!
//! The pages of one prefix follow each other, so a prefix that has more than one page is divided into its folders: a
//! bucket into functions, a function into years, months and days. What fits on a page is never divided, so that many
//! small folders cost no more calls than they must.

use std::collections::VecDeque;

use futures_util::stream::{FuturesUnordered, StreamExt};
use hydration::error::Fault;

use crate::archive::key_filter::{Cover, KeyFilter};
use crate::archive::place::ArchivePlace;
use crate::ports::{Bucket, ListFrom, ListPage, ListRequest, ListedObject};
use crate::print::progress::Progress;

/// Calls at the same time.
const MAX_CONCURRENT_CALLS: usize = 8;

/// The objects of an archive that have to be read.
#[derive(Debug, Default)]
pub struct Listing {
    /// In the order of their keys.
    pub objects: Vec<ListedObject>,
    /// Objects whose names say that the filters do not take them.
    pub ruled_out: u64,
}

/// The kind of a folder, by its depth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FolderKind {
    Archive,
    Function,
    Year,
    Month,
    Day,
    /// No hydration writes there.
    Other,
}

impl FolderKind {
    /// The kind of a folder in this one, by its name.
    fn within(self, name: &str) -> Self {
        let is_number = |digits: usize| name.len() == digits && name.bytes().all(|byte| byte.is_ascii_digit());
        match self {
            Self::Archive => Self::Function,
            Self::Function if is_number(4) => Self::Year,
            Self::Year if is_number(2) => Self::Month,
            Self::Month if is_number(2) => Self::Day,
            _ => Self::Other,
        }
    }

    fn is_divided(self) -> bool {
        !matches!(self, Self::Day | Self::Other)
    }
}

/// A call that is still to be made.
#[derive(Debug, Clone)]
struct Call {
    folder: String,
    kind: FolderKind,
    by_folder: bool,
    from: ListFrom,
    /// Objects up to this key are known already.
    known_to: Option<String>,
}

/// Lists an archive, as far as the filters let pass.
pub async fn list<B: Bucket>(bucket: &B, place: &ArchivePlace, filter: &KeyFilter) -> Result<Listing, Fault> {
    let lister = Lister { place, filter };
    let progress = Progress::new("listing the archive");
    let mut waiting = VecDeque::from([lister.first()]);
    let mut running = FuturesUnordered::new();
    let mut listing = Listing::default();
    loop {
        while running.len() < MAX_CONCURRENT_CALLS
            && let Some(call) = waiting.pop_front()
        {
            let request = lister.request(&call);
            running.push(async move { (call, bucket.list(&request).await) });
        }
        let Some((call, page)) = running.next().await else { break };
        let mut page = page?;
        progress.add(page.objects.len() as u64);
        waiting.extend(lister.next_calls(&call, &page));
        page.objects.retain(|object| is_new(&call, object) && !is_folder_marker(object));
        let listed = page.objects.len();
        page.objects.retain(|object| !filter.has_other_id(&object.key));
        listing.ruled_out += (listed - page.objects.len()) as u64;
        listing.objects.append(&mut page.objects);
    }
    let listed = listing.objects.len();
    filter.retain(&mut listing.objects);
    listing.ruled_out += (listed - listing.objects.len()) as u64;
    listing.objects.sort_by(|one, other| one.key.cmp(&other.key));
    progress.finish();
    Ok(listing)
}

fn is_new(call: &Call, object: &ListedObject) -> bool {
    call.known_to.as_ref().is_none_or(|known_to| object.key > *known_to)
}

/// An empty object with the name of a folder, as consoles make them.
fn is_folder_marker(object: &ListedObject) -> bool {
    object.bytes == 0 && object.key.ends_with('/')
}

struct Lister<'a> {
    place: &'a ArchivePlace,
    filter: &'a KeyFilter,
}

impl Lister<'_> {
    fn first(&self) -> Call {
        let kind = if self.filter.function().is_some() { FolderKind::Function } else { FolderKind::Archive };
        let folder = format!("{}{}", self.place.prefix, self.filter.function().unwrap_or_default());
        let by_folder = self.filter.cover("") == Cover::Some;
        Call { folder, kind, by_folder, from: ListFrom::First, known_to: None }
    }

    fn request(&self, call: &Call) -> ListRequest {
        let (bucket, prefix) = (self.place.bucket.clone(), call.folder.clone());
        ListRequest { bucket, prefix, by_folder: call.by_folder, from: call.from.clone() }
    }

    /// The calls that follow from an answer.
    fn next_calls(&self, call: &Call, page: &ListPage) -> Vec<Call> {
        let last = page.objects.last().map(|object| object.key.clone());
        let following = page.next.clone().map(|next| match last {
            // The rest of it is divided.
            Some(last) if !call.by_folder && call.kind.is_divided() => {
                Call { by_folder: true, from: ListFrom::First, known_to: Some(last), ..call.clone() }
            }
            _ => Call { from: ListFrom::Next(next), ..call.clone() },
        });
        page.folders.iter().filter_map(|folder| self.within(call, folder)).chain(following).collect()
    }

    /// The first call for a folder in another one; `None` where it has nothing to be listed.
    fn within(&self, parent: &Call, folder: &str) -> Option<Call> {
        let name = folder.strip_prefix(&parent.folder)?.trim_end_matches('/');
        let kind = parent.kind.within(name);
        let cover = match kind {
            FolderKind::Archive | FolderKind::Function => self.filter.cover(""),
            FolderKind::Year | FolderKind::Month | FolderKind::Day => self.filter.cover(days_of(folder, kind)),
            FolderKind::Other => Cover::All,
        };
        let (from, known_to) = match &parent.known_to {
            Some(known_to) if known_to.starts_with(folder) => {
                (ListFrom::After(known_to.clone()), Some(known_to.clone()))
            }
            // Every key of the folder comes before it.
            Some(known_to) if known_to.as_str() > folder => return None,
            _ => (ListFrom::First, None),
        };
        let by_folder = cover == Cover::Some;
        (cover != Cover::None).then(|| Call { folder: folder.to_owned(), kind, by_folder, from, known_to })
    }
}

/// The end of a folder's name that says its days: `2026`, `2026/11` or `2026/11/21`.
fn days_of(folder: &str, kind: FolderKind) -> &str {
    let folder = folder.trim_end_matches('/');
    let length = match kind {
        FolderKind::Year => 4,
        FolderKind::Month => 7,
        _ => 10,
    };
    folder.get(folder.len().saturating_sub(length)..).unwrap_or_default()
}

#[cfg(test)]
mod tests;
