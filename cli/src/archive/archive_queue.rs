//! An archive in the place of a queue: its objects are handed out once, as messages that point to them.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use hydration::error::{Fault, FaultKind};
use hydration::message::{POINTER_ATTRIBUTE, pointer};
use hydration::object_key::ObjectName;
use tokio::sync::OnceCell;

use crate::archive::key_filter::KeyFilter;
use crate::archive::listing::list;
use crate::archive::place::ArchivePlace;
use crate::ports::{Bucket, ListedObject, Queue, QueueAttributes, Receipt, ReceivedMessage};

/// Messages that one receive returns. They are small: only pointers.
const MAX_RECEIVED: usize = 1000;

pub struct ArchiveQueue<'a, B> {
    bucket: &'a B,
    place: ArchivePlace,
    filter: KeyFilter,
    listed: OnceCell<Listed>,
}

/// The objects that are not handed out yet.
struct Listed {
    waiting: RefCell<VecDeque<ListedObject>>,
    ruled_out: u64,
}

impl<'a, B: Bucket> ArchiveQueue<'a, B> {
    pub fn new(bucket: &'a B, place: ArchivePlace, filter: KeyFilter) -> Self {
        Self { bucket, place, filter, listed: OnceCell::new() }
    }

    async fn listed(&self) -> Result<&Listed, Fault> {
        let listed = async || {
            let listing = list(self.bucket, &self.place, &self.filter).await?;
            Ok(Listed { waiting: RefCell::new(listing.objects.into()), ruled_out: listing.ruled_out })
        };
        self.listed.get_or_try_init(listed).await
    }

    fn message(&self, object: &ListedObject) -> ReceivedMessage {
        let name = object.key.rsplit('/').next().and_then(ObjectName::parse);
        // What the name says stands in where the object cannot be read.
        let mut attributes = BTreeMap::from([(POINTER_ATTRIBUTE.to_owned(), object.bytes.to_string())]);
        if let Some(ObjectName { batch_id, digest, status }) = name {
            attributes.insert("hydrationId".to_owned(), format!("{batch_id}-{digest}"));
            attributes.insert("hydrationStatus".to_owned(), status.as_str().to_owned());
        }
        ReceivedMessage {
            message_id: format!("s3://{}/{}", self.place.bucket, object.key),
            receipt_handle: String::new(),
            body: pointer(&self.place.bucket, &object.key),
            attributes,
            sent_at: object.last_modified,
            receive_count: 0,
        }
    }
}

impl<B: Bucket> Queue for ArchiveQueue<'_, B> {
    fn archive(&self) -> Option<&ArchivePlace> {
        Some(&self.place)
    }

    /// The archive is listed here, so that a command knows the number of its messages before it reads one.
    async fn attributes(&self) -> Result<QueueAttributes, Fault> {
        let listed = self.listed().await?;
        let visible = listed.waiting.borrow().len() as u64;
        Ok(QueueAttributes { visible, ruled_out: listed.ruled_out, ..QueueAttributes::default() })
    }

    async fn receive(&self, _visibility_timeout: Duration) -> Result<Vec<ReceivedMessage>, Fault> {
        let mut waiting = self.listed().await?.waiting.borrow_mut();
        let number = waiting.len().min(MAX_RECEIVED);
        Ok(waiting.drain(..number).map(|object| self.message(&object)).collect())
    }

    async fn change_visibility(&self, _receipts: &[Receipt], _visibility_timeout: Duration) -> Result<(), Fault> {
        Ok(())
    }

    async fn delete(&self, _receipt: &Receipt) -> Result<(), Fault> {
        let detail = "nothing is deleted from an archive".to_owned();
        Err(Fault { kind: FaultKind::Refused, action: "s3:DeleteObject", detail })
    }
}

/// The place that a command reads messages from.
#[allow(clippy::large_enum_variant, reason = "one value is made, once")]
pub enum MessageSource<'a, Q, B> {
    Queue(Q),
    Archive(ArchiveQueue<'a, B>),
}

impl<Q: Queue, B: Bucket> Queue for MessageSource<'_, Q, B> {
    fn archive(&self) -> Option<&ArchivePlace> {
        match self {
            Self::Queue(queue) => queue.archive(),
            Self::Archive(archive) => archive.archive(),
        }
    }

    async fn attributes(&self) -> Result<QueueAttributes, Fault> {
        match self {
            Self::Queue(queue) => queue.attributes().await,
            Self::Archive(archive) => archive.attributes().await,
        }
    }

    async fn receive(&self, visibility_timeout: Duration) -> Result<Vec<ReceivedMessage>, Fault> {
        match self {
            Self::Queue(queue) => queue.receive(visibility_timeout).await,
            Self::Archive(archive) => archive.receive(visibility_timeout).await,
        }
    }

    async fn change_visibility(&self, receipts: &[Receipt], visibility_timeout: Duration) -> Result<(), Fault> {
        match self {
            Self::Queue(queue) => queue.change_visibility(receipts, visibility_timeout).await,
            Self::Archive(archive) => archive.change_visibility(receipts, visibility_timeout).await,
        }
    }

    async fn delete(&self, receipt: &Receipt) -> Result<(), Fault> {
        match self {
            Self::Queue(queue) => queue.delete(receipt).await,
            Self::Archive(archive) => archive.delete(receipt).await,
        }
    }
}
