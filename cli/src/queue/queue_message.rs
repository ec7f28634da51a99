//! One message on the queue, parsed.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use hydration::arn::Source;
use hydration::function_response::FunctionResponse;
use hydration::message::parsed::{MessageHead, ParseMessageError, Pointer, is_bare_record};
use hydration::sequence_number::SequenceNumber;
use hydration::timestamp::Timestamp;
use hydration::verdict::Status;

use crate::ports::ReceivedMessage;
use crate::queue::hydrated_message::{HydratedMessage, MessageCopy, StoredBody};
use crate::queue::shard_place::ShardPlace;

const INVALID_ID: &str = "its hydration.id is not the id of a hydrated message";

/// A message of any kind, as it lies on the queue.
#[derive(Debug, Clone)]
pub struct QueueMessage {
    pub pointer: Option<Pointer>,
    message_id: String,
    sent_at: Option<Timestamp>,
    receive_count: u32,
    /// Bytes of the whole message, on the queue or in the bucket.
    bytes: u64,
    /// The body in the temporary file, where it was kept.
    body: Option<StoredBody>,
    /// Message attributes, where the message lies in the bucket.
    attributes: BTreeMap<String, String>,
    /// The place in a shard, for a message that is not hydrated.
    shard_place: Option<Box<ShardPlace>>,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    Hydrated(Box<MessageHead>),
    /// The message lies in the bucket. The error says why its object was not read; `None` before the first try.
    InBucket {
        error: Option<String>,
    },
    Foreign {
        reason: String,
        is_bare_record: bool,
    },
}

/// A message that is not hydrated.
#[derive(Debug, Clone)]
pub struct ForeignMessage {
    pub message_id: String,
    pub reason: String,
    /// It is a bare invocation record, which `dlq hydrate` can hydrate.
    pub is_bare_record: bool,
    pub sent_at: Option<Timestamp>,
    pub bytes: u64,
    pub receive_count: u32,
    /// The place in a shard; `None` where the message names no shard.
    pub shard_place: Option<Box<ShardPlace>>,
    /// The body, where it was kept.
    pub body: Option<StoredBody>,
}

impl ForeignMessage {
    /// The whole text of the message.
    pub fn text(&self) -> Result<String> {
        self.body.as_ref().context("the message's body was not kept")?.text()
    }
}

impl QueueMessage {
    /// Parses a message; its body is not kept.
    pub fn parse(received: &ReceivedMessage) -> Self {
        let pointer = Pointer::parse(&received.body);
        let content = if pointer.is_some() {
            Content::InBucket { error: None }
        } else {
            match MessageHead::parse(&received.body) {
                Ok(head) if !is_message_id(&head.hydration.id) => {
                    Content::Foreign { is_bare_record: false, reason: INVALID_ID.to_owned() }
                }
                Ok(head) => Content::Hydrated(Box::new(head)),
                Err(error) => Content::Foreign {
                    is_bare_record: error == ParseMessageError::NotHydrated && is_bare_record(&received.body),
                    reason: error.to_string(),
                },
            }
        };
        // Only the message of an object that cannot be read is known by its attributes.
        let attributes = if pointer.is_some() { received.attributes.clone() } else { BTreeMap::new() };
        let is_hydrated = matches!(content, Content::Hydrated(_));
        let shard_place = if is_hydrated { None } else { ShardPlace::of(received).map(Box::new) };
        let stored = received.attributes.get(hydration::message::POINTER_ATTRIBUTE).and_then(|size| size.parse().ok());
        Self {
            pointer,
            message_id: received.message_id.clone(),
            sent_at: received.sent_at,
            receive_count: received.receive_count,
            bytes: stored.unwrap_or(received.body.len() as u64),
            body: None,
            attributes,
            shard_place,
            content,
        }
    }

    pub fn keep_body(&mut self, body: StoredBody) {
        self.body = Some(body);
    }

    /// Takes the first bytes of the object in the bucket, or the reason why it could not be read.
    pub fn set_object(&mut self, first_bytes: Result<Vec<u8>, String>) {
        let head = first_bytes.and_then(|bytes| {
            let head = MessageHead::parse(valid_prefix(&bytes)).map_err(|error| error.to_string());
            let head = head
                .and_then(|head| if is_message_id(&head.hydration.id) { Ok(head) } else { Err(INVALID_ID.to_owned()) });
            head.map_err(|error| format!("of the object in the bucket: {error}"))
        });
        self.content = match head {
            Ok(head) => Content::Hydrated(Box::new(head)),
            Err(error) => Content::InBucket { error: Some(error) },
        };
    }

    /// The reason why an object holds no hydrated message, although its attributes say that it does.
    pub fn broken_object(&self) -> Option<&str> {
        match &self.content {
            Content::InBucket { error } if self.attributes.contains_key("hydrationId") => error.as_deref(),
            _ => None,
        }
    }

    /// The hydrated message without its body, or the foreign message that this one is.
    pub fn describe(&self) -> Result<HydratedMessage, ForeignMessage> {
        self.describe_with(None)
    }

    /// The same, with the body where it was kept.
    pub fn into_message(mut self) -> Result<HydratedMessage, ForeignMessage> {
        let body = self.body.take();
        self.describe_with(body)
    }

    fn describe_with(&self, body: Option<StoredBody>) -> Result<HydratedMessage, ForeignMessage> {
        let copy = MessageCopy {
            message_id: self.message_id.clone(),
            sent_at: self.sent_at,
            pointer: self.pointer.clone(),
            body,
            records: None,
            first: None,
            last: None,
        };
        match &self.content {
            Content::Hydrated(head) => Ok(self.read_head(head, copy)),
            Content::Foreign { reason, is_bare_record } => Err(self.foreign(reason, *is_bare_record, copy.body)),
            Content::InBucket { error } => {
                let body = copy.body.clone();
                self.read_attributes(error.clone(), copy).ok_or_else(|| {
                    let reason = error.as_deref().unwrap_or("the object in the bucket that it points to was not read");
                    self.foreign(reason, false, body)
                })
            }
        }
    }

    fn foreign(&self, reason: &str, is_bare_record: bool, body: Option<StoredBody>) -> ForeignMessage {
        ForeignMessage {
            message_id: self.message_id.clone(),
            reason: reason.to_owned(),
            is_bare_record,
            sent_at: self.sent_at,
            bytes: self.bytes,
            receive_count: self.receive_count,
            shard_place: self.shard_place.clone(),
            body,
        }
    }

    fn read_head(&self, head: &MessageHead, copy: MessageCopy) -> HydratedMessage {
        let (hydration, batch) = (&head.hydration, head.batch.as_ref());
        let number = |text: &Option<String>| text.as_deref().and_then(|text| SequenceNumber::parse(text).ok());
        let (first, last) = (number(&hydration.first_sequence_number), number(&hydration.last_sequence_number));
        let records = hydration.recovered_records;
        let copy = MessageCopy { records: Some(records), first: first.clone(), last: last.clone(), ..copy };
        HydratedMessage {
            id: hydration.id.clone(),
            part: hydration.part,
            status: hydration.status,
            reason: hydration.reason.clone(),
            source: hydration.source,
            request_id: batch.and_then(|batch| batch.request_id.clone()),
            function_arn: batch.and_then(|batch| batch.function_arn.clone()),
            condition: batch.and_then(|batch| batch.condition.clone()),
            response: head.response.clone(),
            stream: batch.map(|batch| batch.stream.as_str().to_owned()),
            shard: batch.map(|batch| batch.shard_id.clone()),
            records,
            expected: hydration.expected_records,
            missing: hydration.missing_records,
            first,
            last,
            failed_at: batch.and_then(|batch| batch.timestamp),
            last_arrival: batch.and_then(|batch| batch.last_arrival),
            first_arrival: batch.and_then(|batch| batch.first_arrival),
            bytes: self.bytes,
            receive_count: self.receive_count,
            read_error: None,
            copies: vec![copy],
        }
    }

    /// The little that the message attributes say, for a message whose object cannot be read.
    fn read_attributes(&self, read_error: Option<String>, copy: MessageCopy) -> Option<HydratedMessage> {
        let text = |name: &str| self.attributes.get(name).cloned();
        let status_name = text("hydrationStatus")?;
        let source_name = text("source");
        Some(HydratedMessage {
            id: text("hydrationId").filter(|id| is_message_id(id))?,
            part: None,
            status: Status::ALL.into_iter().find(|status| status.as_str() == status_name)?,
            reason: None,
            source: [Source::Kinesis, Source::DynamoDb]
                .into_iter()
                .find(|source| Some(source.as_str()) == source_name.as_deref()),
            request_id: None,
            function_arn: text("functionArn"),
            condition: text("condition"),
            response: FunctionResponse::default(),
            stream: text("streamArn"),
            shard: text("shardId"),
            records: text("recordCount").and_then(|count| count.parse().ok()).unwrap_or(0),
            expected: None,
            missing: None,
            first: None,
            last: None,
            failed_at: None,
            last_arrival: None,
            first_arrival: None,
            bytes: self.bytes,
            receive_count: self.receive_count,
            read_error,
            copies: vec![copy],
        })
    }
}

/// Tells if the text is a hydrated message's id: a SHA-256, and for a part sixteen more digits. An id names files and
/// keys, so that a message with another text in its place is a foreign one.
fn is_message_id(id: &str) -> bool {
    let is_hex = |text: &str, digits: usize| {
        text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    match id.split_once('-') {
        None => is_hex(id, 64),
        Some((batch, part)) => is_hex(batch, 64) && is_hex(part, 16),
    }
}

/// The text up to the first byte that is not UTF-8: a range of bytes may end within a character.
fn valid_prefix(bytes: &[u8]) -> &str {
    match str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => bytes.get(..error.valid_up_to()).and_then(|valid| str::from_utf8(valid).ok()).unwrap_or(""),
    }
}
