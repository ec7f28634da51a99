//! The whole queue, read once, with copies united and in order.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use anyhow::{Context, Result, anyhow, bail};
use futures_util::stream::{self, StreamExt};
use hydration::message::parsed::Pointer;

use crate::archive::ArchivePlace;
use crate::exit::{NotFound, NotSeen, explain};
use crate::ports::{Bucket, GetObjectError, Queue, ReceivedMessage};
use crate::print::count;
use crate::print::progress::Progress;
use crate::queue::filter::{Filter, is_named};
use crate::queue::hydrated_message::{HydratedMessage, MessageCopy, SortedMessages, StoredBody, unite_copies};
use crate::queue::lease::Lease;
use crate::queue::queue_message::{ForeignMessage, QueueMessage};
use crate::queue::read_summary::ReadSummary;
use crate::queue::receive_all::{Next, ReceiveSummary, receive_all};
use crate::queue::record_search::SearchNumbers;
use crate::spool::Spool;

/// Bytes read of an object to learn what it is. The invocation record and `hydration`, which come before the records,
/// take about a fiftieth of it.
pub const HEAD_BYTES: usize = 64 * 1024;
const MAX_CONCURRENT_FETCHES: usize = 8;
/// Bodies of messages that were not asked for. They show what is usual in a function's batches.
const MAX_OTHERS: usize = 32;

/// Bodies to keep, in a temporary file: two thousand messages may be two gigabytes.
#[derive(Debug, Clone, Copy)]
pub enum KeepBodies<'a> {
    None,
    /// The bodies of messages that may pass the filter.
    Of(&'a Filter),
    /// The same, and the read ends when each id of the filter, with all of its parts, is found.
    UntilFound(&'a Filter),
    /// The same, and a few bodies of other messages that were read before.
    UntilFoundWithOthers(&'a Filter),
}

/// Contents of the queue.
pub struct QueueContents {
    /// The archive that was read in place of a queue.
    archive: Option<ArchivePlace>,
    pub received: ReceiveSummary,
    pub messages: Vec<HydratedMessage>,
    pub foreign: Vec<ForeignMessage>,
    /// Numbers of hydrated messages that passed the filter and that did not, after `choose`.
    shown: u64,
    filtered: u64,
    searched: SearchNumbers,
    objects_not_read: ObjectsNotRead,
    /// Messages that did not pass the filter and whose bodies were kept, after `choose`.
    pub others_with_body: Vec<HydratedMessage>,
}

/// Objects in the bucket that could not be read, though they may be there.
#[derive(Debug, Default)]
struct ObjectsNotRead {
    number: Cell<u64>,
    /// The first reason.
    reason: RefCell<Option<String>>,
}

impl ObjectsNotRead {
    fn add(&self, reason: &str) {
        self.number.set(self.number.get() + 1);
        self.reason.borrow_mut().get_or_insert_with(|| reason.to_owned());
    }
}

/// Reads every message on the queue, and the beginning of every object that a message points to.
pub async fn read_queue<Q: Queue, B: Bucket>(
    lease: &Lease<'_, Q>,
    bucket: &B,
    keep_bodies: KeepBodies<'_>,
) -> Result<QueueContents> {
    let spool = match keep_bodies {
        KeepBodies::None => None,
        KeepBodies::Of(_) | KeepBodies::UntilFound(_) | KeepBodies::UntilFoundWithOthers(_) => {
            Some(Rc::new(Spool::open()?))
        }
    };
    let reader = Reader { keep_bodies, spool, messages: RefCell::default(), others: Cell::new(0) };
    let archive = lease.queue.archive().cloned();
    let progress = Progress::new(if archive.is_some() { "looking at the archive" } else { "reading the queue" });
    let received = receive_all(lease, &progress, |message| reader.take(&message)).await?;
    let mut queue_messages = reader.messages.into_inner();
    let objects_not_read = lease.interrupt.race(read_objects(bucket, archive.is_some(), &mut queue_messages)).await?;
    let SortedMessages { hydrated, foreign } = unite_copies(queue_messages);
    let others_with_body = Vec::new();
    Ok(QueueContents {
        archive,
        received,
        messages: hydrated,
        foreign,
        shown: 0,
        filtered: 0,
        searched: SearchNumbers::default(),
        objects_not_read,
        others_with_body,
    })
}

struct Reader<'a> {
    keep_bodies: KeepBodies<'a>,
    /// `None` where no body is kept.
    spool: Option<Rc<Spool>>,
    messages: RefCell<Vec<QueueMessage>>,
    /// The number of bodies of other messages that were kept.
    others: Cell<usize>,
}

impl Reader<'_> {
    fn take(&self, received: &ReceivedMessage) -> Result<Next> {
        let mut message = QueueMessage::parse(received);
        let described = message.describe();
        let is_wanted = match self.keep_bodies {
            KeepBodies::None => false,
            KeepBodies::Of(filter) | KeepBodies::UntilFound(filter) | KeepBodies::UntilFoundWithOthers(filter) => {
                described.as_ref().map_or_else(|foreign| filter.names(foreign), |copy| filter.may_take(copy))
            }
        };
        if let Some(spool) = &self.spool
            && message.pointer.is_none()
            && (is_wanted || self.takes_other(described.is_ok()))
        {
            let slot = spool.put(&received.body)?;
            message.keep_body(StoredBody { spool: Rc::clone(spool), slot });
        }
        self.messages.borrow_mut().push(message);
        Ok(if is_wanted && self.is_all_found() { Next::Stop } else { Next::Continue })
    }

    /// Counts a message that was not asked for, and tells if its body is kept.
    fn takes_other(&self, is_hydrated: bool) -> bool {
        let is_taken = matches!(self.keep_bodies, KeepBodies::UntilFoundWithOthers(_))
            && is_hydrated
            && self.others.get() < MAX_OTHERS;
        self.others.set(self.others.get() + usize::from(is_taken));
        is_taken
    }

    fn is_all_found(&self) -> bool {
        let (KeepBodies::UntilFound(filter) | KeepBodies::UntilFoundWithOthers(filter)) = self.keep_bodies else {
            return false;
        };
        if filter.ids().is_empty() {
            return false;
        }
        let messages = self.messages.borrow();
        let described: Vec<_> = messages.iter().map(QueueMessage::describe).collect();
        let foreign: Vec<_> = described.iter().filter_map(|message| message.as_ref().err()).collect();
        let hydrated = described.iter().filter_map(|message| message.as_ref().ok());
        filter.is_complete(hydrated, &foreign)
    }
}

async fn read_objects<B: Bucket>(bucket: &B, is_archive: bool, queue_messages: &mut [QueueMessage]) -> ObjectsNotRead {
    let not_read = ObjectsNotRead::default();
    let with_pointer: Vec<(Pointer, &mut QueueMessage)> =
        queue_messages.iter_mut().filter_map(|message| Some((message.pointer.clone()?, message))).collect();
    let progress = Progress::new(if is_archive { "reading the archive" } else { "reading the overflow" });
    progress.expect(with_pointer.len() as u64);
    stream::iter(with_pointer)
        .map(async |(pointer, message)| {
            let first_bytes = bucket.get(&pointer, Some(HEAD_BYTES)).await;
            let described = first_bytes.map_err(|error| {
                let text = describe(&error, &pointer);
                if matches!(error, GetObjectError::Fault(_)) {
                    not_read.add(&text);
                }
                text
            });
            let is_read = described.is_ok();
            message.set_object(described);
            // Only its object says of which function and shard a message of an archive is.
            if is_archive
                && is_read
                && let Some(error) = message.broken_object()
            {
                not_read.add(&format!("s3://{}/{}: {error}", pointer.bucket, pointer.key));
            }
            progress.add(1);
        })
        .buffer_unordered(MAX_CONCURRENT_FETCHES)
        .for_each(|()| std::future::ready(()))
        .await;
    progress.finish();
    not_read
}

fn describe(error: &GetObjectError, pointer: &Pointer) -> String {
    let Pointer { bucket, key } = pointer;
    match error {
        GetObjectError::Missing => format!("s3://{bucket}/{key} is gone: deleted, or past the bucket's lifecycle"),
        GetObjectError::Fault(fault) => format!("s3://{bucket}/{key}: {:#}", explain(fault)),
    }
}

impl QueueContents {
    /// Checks the ids that were typed, and keeps the messages that the filter takes. All others are released. Foreign
    /// messages stay in `foreign` where no id was typed, or where their own was.
    pub async fn choose<Q: Queue>(&mut self, filter: &Filter, lease: &Lease<'_, Q>) -> Result<Vec<HydratedMessage>> {
        self.check_ids(filter)?;
        let (chosen, others) = filter.split(std::mem::take(&mut self.messages));
        let (foreign, other_foreign): (Vec<_>, Vec<_>) = std::mem::take(&mut self.foreign)
            .into_iter()
            .partition(|foreign| filter.ids().is_empty() || filter.names(foreign));
        let other_ids = other_foreign.iter().chain(&foreign).filter(|foreign| !filter.names(foreign));
        let other_ids = other_ids.map(|foreign| foreign.message_id.as_str());
        lease.release(others.iter().flat_map(HydratedMessage::message_ids).chain(other_ids)).await;
        let filtered = (others.len() + other_foreign.len()) as u64 + self.received.attributes.ruled_out;
        (self.shown, self.filtered) = (chosen.len() as u64, filtered);
        self.foreign = foreign;
        let has_body = |message: &HydratedMessage| message.copies.first().is_some_and(|copy| copy.body.is_some());
        self.others_with_body = others.into_iter().filter(has_body).take(MAX_OTHERS).collect();
        Ok(chosen)
    }

    /// Takes the numbers of a search in the messages that were chosen.
    pub fn count_search(&mut self, matching: u64, searched: SearchNumbers) {
        self.shown = matching;
        self.filtered += searched.filtered;
        self.searched = searched;
    }

    /// The numbers to print at the end, after `choose`.
    pub fn summary(&self) -> ReadSummary {
        ReadSummary {
            shown: self.shown,
            filtered: self.filtered,
            in_flight: self.received.in_flight(),
            delayed: self.received.attributes.delayed,
            foreign: self.foreign.len() as u64,
            not_looked_at: self.received.not_looked_at(),
            not_read: self.objects_not_read(),
            not_searched: self.searched.not_searched,
            binary_records: self.searched.binary_records,
        }
    }

    /// Checks that each id means one foreign message, or exactly one batch, all of its parts included.
    fn check_ids(&self, filter: &Filter) -> Result<()> {
        for id in filter.ids() {
            if self.foreign.iter().any(|foreign| foreign.message_id == *id) {
                continue;
            }
            let named = self.messages.iter().filter(|message| is_named(message, id));
            let mut batches: Vec<&str> = named.map(HydratedMessage::batch_id).collect();
            batches.sort_unstable();
            batches.dedup();
            match batches.as_slice() {
                [] => return Err(self.not_found(id, filter)),
                [_] => {}
                several => bail!("{id} is the beginning of several ids\n  → {}", several.join("\n  → ")),
            }
        }
        Ok(())
    }

    fn not_found(&self, id: &str, filter: &Filter) -> anyhow::Error {
        let summary = ReadSummary { foreign: 0, not_read: 0, ..self.summary() };
        let id = id.to_owned();
        if let Some(archive) = &self.archive {
            if filter.leaves_folders() {
                let text = format!(
                    "no message {id} is in those folders of the archive {archive} that --function, --since and --until \
                     choose\n  → leave them out: the id is enough"
                );
                return NotSeen { id, text }.into();
            }
            let not_read = self.objects_not_read();
            if not_read > 0 {
                let objects = count(not_read, "object of it is", "objects of it are");
                let text = format!(
                    "no message {id} was found in the archive {archive}; but {objects} not readable for now\n  → try \
                     again when they are"
                );
                return NotSeen { id, text }.into();
            }
            let advice =
                "dlq list shows what is: all that was hydrated since Archive=true was deployed, until it expires";
            return NotFound { text: format!("no message {id} is in the archive {archive}\n  → {advice}"), id }.into();
        }
        if summary.is_complete() {
            let advice = "dlq list shows what is; it may have been replayed or deleted";
            return NotFound { text: format!("no message {id} is on the queue\n  → {advice}"), id }.into();
        }
        let unseen = summary.lines().join("; ");
        let text = format!("no message {id} is among those that SQS shows; but {unseen}\n  → try again later");
        NotSeen { id, text }.into()
    }

    pub fn is_archive(&self) -> bool {
        self.archive.is_some()
    }

    /// The sentence for a read that has found nothing.
    pub fn nothing_found(&self) -> String {
        self.archive.as_ref().map_or_else(
            || "No failed batch is on the queue.".to_owned(),
            |archive| format!("No failed batch that the filters let pass is in the archive {archive}."),
        )
    }

    /// Objects that could not be read, though they may be there.
    pub fn objects_not_read(&self) -> u64 {
        self.objects_not_read.number.get()
    }

    /// Notes about the read, for standard error.
    pub fn warnings(&self) -> Vec<String> {
        let reason = self.objects_not_read.reason.borrow();
        let not_read = reason.iter().map(|reason| format!("the bucket could not be read: {reason}"));
        self.received.warnings().into_iter().chain(not_read).collect()
    }
}

/// The whole text of a message, from its fullest copy.
pub async fn body_of<B: Bucket>(message: &HydratedMessage, bucket: &B) -> Result<String> {
    copy_text(message.copies.first().context("the message has no copy")?, bucket).await
}

/// The whole text of one copy.
pub async fn copy_text<B: Bucket>(copy: &MessageCopy, bucket: &B) -> Result<String> {
    if let Some(pointer) = &copy.pointer {
        let bytes = bucket.get(pointer, None).await.map_err(|error| anyhow!(describe(&error, pointer)))?;
        return String::from_utf8(bytes).map_err(|_| anyhow!("the object is not UTF-8 text"));
    }
    copy.body.as_ref().context("the message's body was not kept")?.text()
}
