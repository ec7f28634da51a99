//! The queue of hydrated messages, the bucket and the retry queue, in memory.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use crate::error::{Fault, FaultKind};
use crate::message::OutgoingMessage;
use crate::object_notification::ObjectLocation;
use crate::ports::{ObjectReader, Outbox, PutOutcome, ReadObjectError, SendError};

/// Keeps everything that it is given, and reads objects of any bucket from its only one. An object is never replaced,
/// as under `If-None-Match: *`.
#[derive(Debug)]
pub struct MemoryOutbox {
    /// Messages in the order in which they were accepted.
    pub queue: RefCell<Vec<OutgoingMessage>>,
    pub bucket: RefCell<BTreeMap<String, Bytes>>,
    /// Bodies, each with its delay.
    pub retry_queue: RefCell<Vec<(String, Duration)>>,
    /// The queue's own limit, in bytes.
    pub queue_limit: Cell<usize>,
}

impl Default for MemoryOutbox {
    fn default() -> Self {
        Self {
            queue: RefCell::default(),
            bucket: RefCell::default(),
            retry_queue: RefCell::default(),
            queue_limit: Cell::new(1_048_576),
        }
    }
}

impl MemoryOutbox {
    /// The whole text of a message, read from the bucket where it is a pointer.
    pub fn text(&self, message: &OutgoingMessage) -> String {
        let body: Value = serde_json::from_str(&message.body).expect("a body is JSON");
        match body.get(1).and_then(|pointer| pointer.get("s3Key")).and_then(Value::as_str) {
            None => message.body.clone(),
            Some(key) => {
                let object = self.bucket.borrow().get(key).cloned().expect("the object before the pointer");
                String::from_utf8(object.to_vec()).expect("an object is text")
            }
        }
    }

    /// Every body that reached the queue, in order.
    pub fn bodies(&self) -> Vec<Value> {
        let parse = |message: &OutgoingMessage| serde_json::from_str(&self.text(message)).expect("a body is JSON");
        self.queue.borrow().iter().map(parse).collect()
    }
}

/// The sequence numbers of a body's `Records`.
pub fn sequence_numbers(body: &Value) -> Vec<String> {
    let number = |record: &Value| {
        let number = record.pointer("/kinesis/sequenceNumber").or(record.pointer("/dynamodb/SequenceNumber"));
        number.and_then(Value::as_str).expect("every record has its number").to_owned()
    };
    body["Records"].as_array().expect("Records is an array").iter().map(number).collect()
}

impl ObjectReader for &MemoryOutbox {
    async fn read_object(&self, object: &ObjectLocation, max_bytes: usize) -> Result<Vec<u8>, ReadObjectError> {
        match self.bucket.borrow().get(&object.key) {
            Some(content) if content.len() > max_bytes => Err(ReadObjectError::TooLarge),
            Some(content) => Ok(content.to_vec()),
            None => {
                let detail = format!("NoSuchKey (HTTP 404): {object}");
                Err(ReadObjectError::Fault(Fault { kind: FaultKind::Refused, action: "s3:GetObject", detail }))
            }
        }
    }
}

impl Outbox for &MemoryOutbox {
    async fn send(&self, message: &OutgoingMessage) -> Result<String, SendError> {
        if message.size() > self.queue_limit.get() {
            let (kind, detail) = (FaultKind::Refused, "too large".to_owned());
            return Err(SendError::TooLarge(Fault { kind, action: "sqs:SendMessage", detail }));
        }
        self.queue.borrow_mut().push(message.clone());
        Ok(format!("message-{}", self.queue.borrow().len()))
    }

    async fn put(&self, _: &str, key: &str, body: &Bytes) -> Result<PutOutcome, Fault> {
        let mut bucket = self.bucket.borrow_mut();
        if bucket.contains_key(key) {
            return Ok(PutOutcome::AlreadyExists);
        }
        bucket.insert(key.to_owned(), body.clone());
        Ok(PutOutcome::Created)
    }

    async fn send_to_retry_queue(&self, _: &str, body: &str, delay: Duration) -> Result<(), Fault> {
        self.retry_queue.borrow_mut().push((body.to_owned(), delay));
        Ok(())
    }
}
