//! AWS with a script of replies.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::arn::StreamArn;
use crate::error::{Fault, FaultKind};
use crate::message::OutgoingMessage;
use crate::object_notification::ObjectLocation;
use crate::ports::{
    Clock, ObjectReader, Outbox, Page, Position, PutOutcome, ReadError, ReadObjectError, Rejection, SendError,
    ShardIterator, ShardReader,
};
use crate::record::StreamRecord;
use crate::test_support::{ManualClock, START_MILLIS};
use crate::timestamp::Timestamp;

/// The reply to one call.
#[derive(Debug, Clone)]
pub enum Reply {
    Iterator,
    /// Records, and the milliseconds between the page and the tip.
    Page(Vec<StreamRecord>, Option<u64>),
    /// Records of the last page of a closed shard.
    LastPage(Vec<StreamRecord>),
    /// Records, and the bytes of the page.
    HeavyPage(Vec<StreamRecord>, u64),
    Rejected(Rejection),
    /// The content of an object.
    Object(Vec<u8>),
    Fault(FaultKind),
    /// The queue or the bucket accepts it.
    Accepted,
    /// The bucket has an object with that key.
    AlreadyExists,
    TooLarge,
}

/// AWS with a script: it gives the replies in order, and records the calls in `log`. It panics at a call that the script
/// has no reply for.
pub struct ScriptedAws {
    pub script: RefCell<VecDeque<Reply>>,
    pub log: RefCell<Vec<String>>,
    pub clock: ManualClock,
    pub queue: RefCell<Vec<OutgoingMessage>>,
    pub objects: RefCell<Vec<Bytes>>,
}

fn fault(kind: FaultKind) -> Fault {
    Fault { kind, action: "test:Call", detail: "as the script says".to_owned() }
}

impl ScriptedAws {
    pub fn new(script: impl IntoIterator<Item = Reply>) -> Self {
        Self {
            script: RefCell::new(script.into_iter().collect()),
            log: RefCell::default(),
            clock: ManualClock::default(),
            queue: RefCell::default(),
            objects: RefCell::default(),
        }
    }

    fn next_reply(&self, call: String) -> Reply {
        self.log.borrow_mut().push(call);
        let reply = self.script.borrow_mut().pop_front();
        reply.unwrap_or_else(|| panic!("the script ends before {:?}", self.log.borrow()))
    }

    fn wrong_reply(&self, reply: &Reply) -> ! {
        panic!("{reply:?} is no reply to {:?}", self.log.borrow().last())
    }
}

impl ShardReader for &ScriptedAws {
    async fn iterator(&self, _: &StreamArn, _: &str, position: &Position) -> Result<ShardIterator, ReadError> {
        let position = match position {
            Position::At(number) => format!("at {number}"),
            Position::After(number) => format!("after {number}"),
            Position::AtTimestamp(moment) => format!("from {} min ago", (START_MILLIS - moment.millis()) / 60_000),
            Position::TrimHorizon => "at the horizon".to_owned(),
        };
        match self.next_reply(format!("iterator {position}")) {
            Reply::Iterator => Ok(ShardIterator(self.log.borrow().len().to_string())),
            Reply::Rejected(rejection) => Err(ReadError::Rejected(rejection)),
            Reply::Fault(kind) => Err(ReadError::Fault(fault(kind))),
            reply => self.wrong_reply(&reply),
        }
    }

    async fn page(&self, _: &StreamArn, iterator: &ShardIterator, limit: u32) -> Result<Page, ReadError> {
        let page = |records, millis_behind_latest, bytes| {
            let next = Some(ShardIterator(format!("{}+", iterator.0)));
            Ok(Page { records, next, millis_behind_latest, bytes })
        };
        match self.next_reply(format!("page of {limit}")) {
            Reply::Page(records, behind) => page(records, behind, 10),
            Reply::HeavyPage(records, bytes) => page(records, Some(0), bytes),
            Reply::LastPage(records) => page(records, Some(0), 10).map(|page| Page { next: None, ..page }),
            Reply::Rejected(rejection) => Err(ReadError::Rejected(rejection)),
            Reply::Fault(kind) => Err(ReadError::Fault(fault(kind))),
            reply => self.wrong_reply(&reply),
        }
    }
}

impl ObjectReader for &ScriptedAws {
    async fn read_object(&self, object: &ObjectLocation, max_bytes: usize) -> Result<Vec<u8>, ReadObjectError> {
        match self.next_reply(format!("object {object}")) {
            Reply::Object(content) if content.len() > max_bytes => Err(ReadObjectError::TooLarge),
            Reply::Object(content) => Ok(content),
            Reply::Fault(kind) => Err(ReadObjectError::Fault(fault(kind))),
            reply => self.wrong_reply(&reply),
        }
    }
}

impl Outbox for &ScriptedAws {
    async fn send(&self, message: &OutgoingMessage) -> Result<String, SendError> {
        match self.next_reply("send".to_owned()) {
            Reply::Accepted => {
                self.queue.borrow_mut().push(message.clone());
                Ok(format!("message-{}", self.queue.borrow().len()))
            }
            Reply::TooLarge => Err(SendError::TooLarge(fault(FaultKind::Refused))),
            Reply::Fault(kind) => Err(SendError::Fault(fault(kind))),
            reply => self.wrong_reply(&reply),
        }
    }

    async fn put(&self, bucket: &str, key: &str, body: &Bytes) -> Result<PutOutcome, Fault> {
        match self.next_reply(format!("put s3://{bucket}/{key}")) {
            Reply::Accepted => {
                self.objects.borrow_mut().push(body.clone());
                Ok(PutOutcome::Created)
            }
            Reply::AlreadyExists => Ok(PutOutcome::AlreadyExists),
            Reply::Fault(kind) => Err(fault(kind)),
            reply => self.wrong_reply(&reply),
        }
    }

    async fn send_to_retry_queue(&self, _: &str, _: &str, _: Duration) -> Result<(), Fault> {
        panic!("there is no retry queue")
    }
}

impl Clock for &ScriptedAws {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn instant(&self) -> Instant {
        self.clock.instant()
    }

    async fn sleep(&self, duration: Duration) {
        if !duration.is_zero() {
            self.log.borrow_mut().push(format!("wait {}", duration.as_millis()));
            self.clock.advance(duration);
        }
    }

    fn jitter(&self) -> f64 {
        self.clock.jitter()
    }
}
