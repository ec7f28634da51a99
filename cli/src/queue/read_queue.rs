//! The whole queue, read once, with copies united and in order.

use std::cell::RefCell;

use anyhow::{Context, Result, anyhow};
use futures_util::stream::{self, StreamExt};
use hydration::message::parsed::Pointer;

use crate::exit::explain;
use crate::ports::{Bucket, GetObjectError, Queue};
use crate::print::count;
use crate::print::progress::Progress;
use crate::queue::filter::Filter;
use crate::queue::hydrated_message::{HydratedMessage, SortedMessages, unite_copies};
use crate::queue::lease::Lease;
use crate::queue::queue_message::{ForeignMessage, QueueMessage};
use crate::queue::receive_all::{ReceiveSummary, receive_all};

/// Bytes read of an object to learn what it is. The invocation record and `hydration`, which come before the records,
/// take about a fiftieth of it.
const HEAD_BYTES: usize = 64 * 1024;
const MAX_CONCURRENT_FETCHES: usize = 8;

/// Bodies to keep in memory: two thousand messages may be two gigabytes.
#[derive(Debug, Clone, Copy)]
pub enum KeepBodies<'a> {
    None,
    /// The bodies of messages that may pass the filter.
    Of(&'a Filter),
}

/// Contents of the queue.
pub struct QueueContents {
    pub summary: ReceiveSummary,
    pub messages: Vec<HydratedMessage>,
    pub foreign: Vec<ForeignMessage>,
}

/// Reads every message on the queue, and the beginning of every object that a message points to.
pub async fn read_queue<Q: Queue, B: Bucket>(
    lease: &Lease<'_, Q>,
    bucket: &B,
    keep_bodies: KeepBodies<'_>,
) -> Result<QueueContents> {
    let queue_messages = RefCell::new(Vec::new());
    let progress = Progress::new("reading the queue");
    let summary = receive_all(lease, &progress, |received| {
        let mut message = QueueMessage::parse(received);
        let is_wanted = match keep_bodies {
            KeepBodies::None => false,
            KeepBodies::Of(filter) => message.describe().is_ok_and(|copy| filter.may_take(&copy)),
        };
        if message.pointer.is_some() || !is_wanted {
            message.drop_body();
        }
        queue_messages.borrow_mut().push(message);
    })
    .await?;
    let mut queue_messages = queue_messages.into_inner();
    read_objects(bucket, &mut queue_messages).await;
    let SortedMessages { hydrated, foreign } = unite_copies(queue_messages);
    Ok(QueueContents { summary, messages: hydrated, foreign })
}

async fn read_objects<B: Bucket>(bucket: &B, queue_messages: &mut [QueueMessage]) {
    let with_pointer: Vec<(Pointer, &mut QueueMessage)> =
        queue_messages.iter_mut().filter_map(|message| Some((message.pointer.clone()?, message))).collect();
    let progress = Progress::new("reading the overflow");
    progress.expect(with_pointer.len() as u64);
    stream::iter(with_pointer)
        .map(async |(pointer, message)| {
            let first_bytes = bucket.get(&pointer, Some(HEAD_BYTES)).await;
            message.set_object(first_bytes.map_err(|error| describe(&error, &pointer)));
            progress.add(1);
        })
        .buffer_unordered(MAX_CONCURRENT_FETCHES)
        .for_each(|()| std::future::ready(()))
        .await;
    progress.finish();
}

fn describe(error: &GetObjectError, pointer: &Pointer) -> String {
    let Pointer { bucket, key } = pointer;
    match error {
        GetObjectError::Missing => format!("s3://{bucket}/{key} is gone: deleted, or past the bucket's lifecycle"),
        GetObjectError::Fault(fault) => format!("s3://{bucket}/{key}: {:#}", explain(fault)),
    }
}

impl QueueContents {
    /// Checks the ids that were typed, and keeps the messages that the filter takes. All others are released.
    pub async fn choose<Q: Queue>(&mut self, filter: &Filter, lease: &Lease<'_, Q>) -> Result<Vec<HydratedMessage>> {
        filter.check_ids(&self.messages)?;
        let (chosen, others): (Vec<HydratedMessage>, Vec<HydratedMessage>) =
            std::mem::take(&mut self.messages).into_iter().partition(|message| filter.takes(message));
        let foreign = self.foreign.iter().map(|foreign| foreign.message_id.as_str());
        lease.release(others.iter().flat_map(HydratedMessage::message_ids).chain(foreign)).await;
        Ok(chosen)
    }

    /// Messages that a command does not show, for standard error.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let (bare, others): (Vec<_>, Vec<_>) = self.foreign.iter().partition(|foreign| foreign.is_bare_record);
        if !bare.is_empty() {
            warnings.push(format!(
                "{} on the queue without records: dlq hydrate --from-queue … hydrates them",
                count(bare.len() as u64, "bare invocation record is", "bare invocation records are")
            ));
        }
        if let Some(first) = others.first() {
            let number = count(others.len() as u64, "message is", "messages are");
            warnings.push(format!("{number} not shown, of {}: {}", first.message_id, first.reason));
        }
        warnings.extend(self.summary.warnings());
        warnings
    }
}

/// The whole text of a message, from its fullest copy.
pub async fn body_of<B: Bucket>(message: &HydratedMessage, bucket: &B) -> Result<String> {
    let copy = message.copies.first().context("the message has no copy")?;
    if let Some(pointer) = &copy.pointer {
        let bytes = bucket.get(pointer, None).await.map_err(|error| anyhow!(describe(&error, pointer)))?;
        return String::from_utf8(bytes).map_err(|_| anyhow!("the object is not UTF-8 text"));
    }
    copy.body.clone().context("the message's body was not kept")
}
