//! The end of what SQS keeps, and what the archive keeps beyond it.

use anyhow::Result;
use hydration::timestamp::Timestamp;
use serde::Serialize;

use crate::archive::ArchivePlace;
use crate::commands::status::archived::Archived;
use crate::context::Context;
use crate::ports::Bucket;
use crate::print::progress::during;
use crate::queue::hydrated_message::HydratedMessage;
use crate::queue::read_queue::QueueContents;

/// The time when SQS deletes the first of the messages, and how many of them are in the archive.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    #[serde(skip_serializing_if = "Option::is_none")]
    first_lost_at: Option<String>,
    #[serde(skip)]
    pub first_lost: Option<Timestamp>,
    #[serde(flatten)]
    pub archived: Archived,
}

impl Retention {
    /// `None` for an archive, which loses nothing, and where nothing was found.
    pub async fn of<B: Bucket, C>(
        context: &Context<C>,
        bucket: &B,
        archive: Option<&ArchivePlace>,
        contents: &QueueContents,
        messages: &[HydratedMessage],
    ) -> Result<Option<Self>> {
        if contents.is_archive() || messages.is_empty() {
            return Ok(None);
        }
        let archived = match archive {
            None => Archived::unknown(messages.len(), "the bucket is not known: give --stack"),
            Some(place) => {
                let look_up = during("looking at the archive", Archived::look_up(bucket, place, messages));
                context.interrupt.race(look_up).await?
            }
        };
        let oldest = messages.iter().filter_map(HydratedMessage::sent_at).min();
        let first_lost = oldest
            .zip(contents.received.attributes.retention)
            .map(|(sent_at, retention)| sent_at.plus_millis(i64::try_from(retention.as_millis()).unwrap_or(i64::MAX)));
        Ok(Some(Self { first_lost_at: first_lost.map(Timestamp::rfc3339), first_lost, archived }))
    }
}
