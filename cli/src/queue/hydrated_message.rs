//! A hydrated message, united with its copies on the queue.

use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::Result;
use hydration::arn::Source;
use hydration::drill::is_drill;
use hydration::function_response::FunctionResponse;
use hydration::invocation_record::function_name;
use hydration::message::PartNumber;
use hydration::message::parsed::Pointer;
use hydration::sequence_number::SequenceNumber;
use hydration::timestamp::Timestamp;
use hydration::verdict::Status;

use crate::queue::queue_message::{ForeignMessage, QueueMessage};
use crate::spool::{Slot, Spool};

/// A body in the temporary file of one read of the queue.
#[derive(Debug, Clone)]
pub struct StoredBody {
    pub spool: Rc<Spool>,
    pub slot: Slot,
}

impl StoredBody {
    pub fn text(&self) -> Result<String> {
        Ok(self.spool.get(&self.slot)?)
    }
}

/// One of the messages on the queue that have the same id.
#[derive(Debug, Clone)]
pub struct MessageCopy {
    pub message_id: String,
    pub sent_at: Option<Timestamp>,
    pub pointer: Option<Pointer>,
    /// The body, where it was kept.
    pub body: Option<StoredBody>,
    /// The number of records in this copy; `None` when it could not be read.
    pub records: Option<u64>,
    pub first: Option<SequenceNumber>,
    pub last: Option<SequenceNumber>,
}

/// A hydrated message: a failed batch, or one part of it. Copies of it are one `HydratedMessage`.
#[derive(Debug, Clone)]
pub struct HydratedMessage {
    pub id: String,
    pub part: Option<PartNumber>,
    pub status: Status,
    pub reason: Option<String>,
    pub source: Option<Source>,
    pub request_id: Option<String>,
    pub function_arn: Option<String>,
    pub condition: Option<String>,
    pub response: FunctionResponse,
    pub stream: Option<String>,
    pub shard: Option<String>,
    pub records: u64,
    pub expected: Option<u64>,
    pub missing: Option<u64>,
    pub first: Option<SequenceNumber>,
    pub last: Option<SequenceNumber>,
    pub failed_at: Option<Timestamp>,
    /// The arrival of the batch's last record in the stream.
    pub last_arrival: Option<Timestamp>,
    /// The arrival of the batch's first record in the stream.
    pub first_arrival: Option<Timestamp>,
    pub bytes: u64,
    pub receive_count: u32,
    /// The reason why nothing but the attributes is known.
    pub read_error: Option<String>,
    /// The copy with the most records comes first.
    pub copies: Vec<MessageCopy>,
}

impl HydratedMessage {
    /// The id that all parts of a batch share: the text before the first `-`.
    pub fn batch_id(&self) -> &str {
        batch_id(&self.id)
    }

    /// The time when the batch failed. Where the record does not say, the time when its last record arrived, or else
    /// the time when the message was sent. The keys of the archive have the day of the first two.
    pub fn failed_or_sent_at(&self) -> Option<Timestamp> {
        self.failed_at.or(self.last_arrival).or_else(|| self.sent_at())
    }

    pub fn sent_at(&self) -> Option<Timestamp> {
        self.copies.iter().filter_map(|copy| copy.sent_at).min()
    }

    pub fn message_ids(&self) -> impl Iterator<Item = &str> {
        self.copies.iter().map(|copy| copy.message_id.as_str())
    }

    pub fn pointer(&self) -> Option<&Pointer> {
        self.copies.iter().find_map(|copy| copy.pointer.as_ref())
    }

    pub fn function_name(&self) -> Option<&str> {
        self.function_arn.as_deref().and_then(function_name)
    }

    /// The ARN of the function that failed; `None` for a pipe and for an unknown source.
    pub fn lambda_arn(&self) -> Option<&str> {
        self.function_arn.as_deref().filter(|arn| arn.contains(":lambda:"))
    }

    /// The function's name, with the version that ran unless it was `$LATEST`.
    pub fn function_and_version(&self) -> String {
        let name = self.function_name().or(self.function_arn.as_deref()).unwrap_or("-");
        match self.response.executed_version.as_deref() {
            None | Some("$LATEST") => name.to_owned(),
            Some(version) => format!("{name}:{version}"),
        }
    }

    /// The function's error in one word.
    pub fn error(&self) -> &str {
        self.response.error()
    }

    /// Returns true for a message that a drill has left.
    pub fn is_drill(&self) -> bool {
        is_drill(self.condition.as_deref())
    }

    /// The name of the stream or table.
    pub fn stream_name(&self) -> &str {
        let arn = self.stream.as_deref().unwrap_or("-");
        arn.split('/').nth(1).unwrap_or(arn)
    }

    /// The end of a shard's id, which tells it from the others.
    pub fn short_shard(&self) -> String {
        let shard = self.shard.as_deref().unwrap_or("-");
        let number = shard.strip_prefix("shardId-").unwrap_or(shard);
        match number.trim_start_matches('0') {
            "" => "0".to_owned(),
            // DynamoDB's ids are a time of creation and eight random characters.
            long if long.len() > 12 => long.rsplit('-').next().unwrap_or(long).to_owned(),
            short => short.to_owned(),
        }
    }

    fn sort_key(&self) -> (Option<Timestamp>, &str, u32, &str) {
        let part_number = self.part.map_or(0, |part| part.number);
        (self.failed_or_sent_at(), self.batch_id(), part_number, &self.id)
    }

    /// Adds another copy. A copy may be less complete than another, so the one with the most records speaks for all.
    fn unite(&mut self, mut other: Self) {
        let is_fuller = other.read_error.is_none() && (self.read_error.is_some() || other.records > self.records);
        if is_fuller {
            std::mem::swap(self, &mut other);
        }
        self.failed_at = self.failed_at.or(other.failed_at);
        self.receive_count = self.receive_count.max(other.receive_count);
        self.copies.append(&mut other.copies);
    }
}

/// The id that all parts of a batch share.
pub fn batch_id(id: &str) -> &str {
    id.split('-').next().unwrap_or(id)
}

/// Messages of a queue, sorted by kind.
#[derive(Debug, Default)]
pub struct SortedMessages {
    pub hydrated: Vec<HydratedMessage>,
    pub foreign: Vec<ForeignMessage>,
}

/// Unites the copies of each message and sorts the messages: the oldest failure first, parts by number and id.
pub fn unite_copies(queue_messages: Vec<QueueMessage>) -> SortedMessages {
    let mut by_id: BTreeMap<String, HydratedMessage> = BTreeMap::new();
    let mut foreign = Vec::new();
    for queue_message in queue_messages {
        match queue_message.into_message() {
            Err(other) => foreign.push(other),
            Ok(message) => match by_id.get_mut(&message.id) {
                None => drop(by_id.insert(message.id.clone(), message)),
                Some(known) => known.unite(message),
            },
        }
    }
    let mut hydrated: Vec<HydratedMessage> = by_id.into_values().collect();
    hydrated.sort_by(|a, b| a.sort_key().cmp(&b.sort_key()));
    foreign.sort_by_key(|message: &ForeignMessage| (message.sent_at, message.message_id.clone()));
    SortedMessages { hydrated, foreign }
}
