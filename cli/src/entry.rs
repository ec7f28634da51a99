//! What waits on the queue: hydrated messages, known by their ids, and whatever else is there.

use std::collections::BTreeMap;

use hydration::arn::Source;
use hydration::invocation_record::function_name;
use hydration::message::PartNumber;
use hydration::message::received::{Head, NotRead, Pointer, Response, is_bare_record};
use hydration::sequence_number::SequenceNumber;
use hydration::timestamp::Timestamp;
use hydration::verdict::Status;

use crate::ports::Delivery;

/// One message on the queue, taken apart.
#[derive(Debug, Clone)]
pub struct Letter {
    pub message_id: String,
    pub sent: Option<Timestamp>,
    pub receives: u32,
    /// Bytes of the whole message, wherever it lies.
    pub bytes: u64,
    pub pointer: Option<Pointer>,
    /// The body, unless it was let go to save memory.
    pub body: Option<String>,
    attributes: BTreeMap<String, String>,
    head: Result<Head, Unread>,
}

#[derive(Debug, Clone)]
enum Unread {
    /// It lies in the bucket, and was not fetched yet, or could not be.
    InBucket(Option<String>),
    Foreign(Foreign),
}

/// A message that is not hydrated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    pub message_id: String,
    pub sent: Option<Timestamp>,
    pub why: String,
    /// It is a bare invocation record, which `dlq hydrate` can hydrate.
    pub is_bare: bool,
}

impl Letter {
    pub fn open(delivery: Delivery) -> Self {
        let pointer = Pointer::read(&delivery.body);
        let stored = delivery.attributes.get(hydration::message::POINTER_ATTRIBUTE).and_then(|size| size.parse().ok());
        let head = match (&pointer, Head::read(&delivery.body)) {
            (Some(_), _) => Err(Unread::InBucket(None)),
            (None, Ok(head)) => Ok(head),
            (None, Err(why)) => Err(Unread::Foreign(Foreign {
                message_id: delivery.message_id.clone(),
                sent: delivery.sent,
                is_bare: why == NotRead::NotHydrated && is_bare_record(&delivery.body),
                why: why.to_string(),
            })),
        };
        Self {
            message_id: delivery.message_id,
            sent: delivery.sent,
            receives: delivery.receives,
            bytes: stored.unwrap_or(delivery.body.len() as u64),
            pointer,
            body: Some(delivery.body),
            attributes: delivery.attributes,
            head,
        }
    }

    /// What the beginning of the object in the bucket says, or why it could not be read.
    pub fn fetched(&mut self, beginning: Result<Vec<u8>, String>) {
        let head = beginning.and_then(|bytes| {
            // A range may end within a character; what comes before it is all that is needed.
            let text = match str::from_utf8(&bytes) {
                Ok(text) => text,
                Err(error) => {
                    bytes.get(..error.valid_up_to()).and_then(|valid| str::from_utf8(valid).ok()).unwrap_or("")
                }
            };
            Head::read(text).map_err(|why| format!("of the object in the bucket: {why}"))
        });
        self.head = head.map_err(|why| Unread::InBucket(Some(why)));
    }

    /// What it is, without its body; `Err` when it is not a hydrated message.
    pub fn entry(&self) -> Result<Entry, Foreign> {
        self.entry_with(None)
    }

    fn entry_with(&self, body: Option<String>) -> Result<Entry, Foreign> {
        let copy = Copy {
            message_id: self.message_id.clone(),
            sent: self.sent,
            pointer: self.pointer.clone(),
            body,
            records: None,
            first: None,
            last: None,
        };
        match &self.head {
            Ok(head) => Ok(self.read(head, copy)),
            Err(Unread::Foreign(foreign)) => Err(foreign.clone()),
            Err(Unread::InBucket(trouble)) => self.by_attributes(trouble.clone(), copy).ok_or_else(|| Foreign {
                message_id: self.message_id.clone(),
                sent: self.sent,
                why: "it points into a bucket, and its attributes are not a hydrated message's".to_owned(),
                is_bare: false,
            }),
        }
    }

    fn read(&self, head: &Head, copy: Copy) -> Entry {
        let (hydration, batch) = (&head.hydration, head.batch.as_ref());
        let number = |text: &Option<String>| text.as_deref().and_then(|text| SequenceNumber::parse(text).ok());
        let (first, last) = (number(&hydration.first_sequence_number), number(&hydration.last_sequence_number));
        let records = hydration.recovered_records;
        let copy = Copy { records: Some(records), first: first.clone(), last: last.clone(), ..copy };
        Entry {
            id: hydration.id.clone(),
            batch_id: head.batch_id().to_owned(),
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
            bytes: self.bytes,
            receives: self.receives,
            trouble: None,
            copies: vec![copy],
        }
    }

    fn by_attributes(&self, trouble: Option<String>, copy: Copy) -> Option<Entry> {
        let text = |name: &str| self.attributes.get(name).cloned();
        let id = text("hydrationId")?;
        let status =
            Status::ALL.into_iter().find(|status| Some(status.as_str()) == text("hydrationStatus").as_deref())?;
        let source = text("source");
        Some(Entry {
            batch_id: id.split('-').next().unwrap_or(&id).to_owned(),
            id,
            part: None,
            status,
            reason: None,
            source: [Source::Kinesis, Source::DynamoDb]
                .into_iter()
                .find(|known| Some(known.as_str()) == source.as_deref()),
            request_id: None,
            function_arn: text("functionArn"),
            condition: text("condition"),
            response: Response::default(),
            stream: text("streamArn"),
            shard: text("shardId"),
            records: text("recordCount").and_then(|count| count.parse().ok()).unwrap_or(0),
            expected: None,
            missing: None,
            first: None,
            last: None,
            failed_at: None,
            bytes: self.bytes,
            receives: self.receives,
            trouble,
            copies: vec![copy],
        })
    }
}

/// One of the messages that carry the same id.
#[derive(Debug, Clone)]
pub struct Copy {
    pub message_id: String,
    pub sent: Option<Timestamp>,
    pub pointer: Option<Pointer>,
    pub body: Option<String>,
    /// What this copy itself holds; `None` when it could not be read.
    pub records: Option<u64>,
    pub first: Option<SequenceNumber>,
    pub last: Option<SequenceNumber>,
}

/// A hydrated message, however often it lies on the queue.
#[derive(Debug, Clone)]
pub struct Entry {
    pub id: String,
    /// Shared by the parts of a batch.
    pub batch_id: String,
    pub part: Option<PartNumber>,
    pub status: Status,
    pub reason: Option<String>,
    pub source: Option<Source>,
    pub request_id: Option<String>,
    pub function_arn: Option<String>,
    pub condition: Option<String>,
    pub response: Response,
    pub stream: Option<String>,
    pub shard: Option<String>,
    pub records: u64,
    pub expected: Option<u64>,
    pub missing: Option<u64>,
    pub first: Option<SequenceNumber>,
    pub last: Option<SequenceNumber>,
    pub failed_at: Option<Timestamp>,
    pub bytes: u64,
    pub receives: u32,
    /// Why only the attributes are known.
    pub trouble: Option<String>,
    /// The copy with the most records first.
    pub copies: Vec<Copy>,
}

impl Entry {
    /// When the batch failed; where that is not known, when it came to the queue.
    pub fn moment(&self) -> Option<Timestamp> {
        self.failed_at.or_else(|| self.sent())
    }

    pub fn sent(&self) -> Option<Timestamp> {
        self.copies.iter().filter_map(|copy| copy.sent).min()
    }

    pub fn function_name(&self) -> Option<&str> {
        self.function_arn.as_deref().and_then(function_name)
    }

    /// The function's name with the version that ran.
    pub fn function_and_version(&self) -> String {
        let name = self.function_name().or(self.function_arn.as_deref()).unwrap_or("-");
        match self.response.executed_version.as_deref() {
            None | Some("$LATEST") => name.to_owned(),
            Some(version) => format!("{name}:{version}"),
        }
    }

    /// How the function failed, in a word.
    pub fn error(&self) -> &str {
        match (&self.response.function_error, self.response.status_code) {
            (Some(error), _) => error,
            (None, Some(_)) => "no function error",
            (None, None) => "not invoked",
        }
    }

    /// The name of the stream or table.
    pub fn stream_name(&self) -> &str {
        let arn = self.stream.as_deref().unwrap_or("-");
        arn.split('/').nth(1).unwrap_or(arn)
    }

    /// The end of a shard's id, which is what tells it from others; `--shard` takes it.
    pub fn short_shard(&self) -> String {
        let shard = self.shard.as_deref().unwrap_or("-");
        let number = shard.strip_prefix("shardId-").unwrap_or(shard);
        match number.trim_start_matches('0') {
            "" => "0".to_owned(),
            // DynamoDB's: a time of creation, and eight characters of chance.
            long if long.len() > 12 => long.rsplit('-').next().unwrap_or(long).to_owned(),
            short => short.to_owned(),
        }
    }
}

/// Brings copies of the same message together, the oldest failure first.
pub fn collect(letters: Vec<Letter>) -> (Vec<Entry>, Vec<Foreign>) {
    let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
    let mut foreign = Vec::new();
    for mut letter in letters {
        let body = letter.body.take();
        match letter.entry_with(body) {
            Err(other) => foreign.push(other),
            Ok(entry) => match entries.get_mut(&entry.id) {
                None => drop(entries.insert(entry.id.clone(), entry)),
                Some(known) => unite(known, entry),
            },
        }
    }
    let mut entries: Vec<Entry> = entries.into_values().collect();
    entries.sort_by(|a, b| (a.moment(), &a.batch_id, number(a)).cmp(&(b.moment(), &b.batch_id, number(b))));
    (entries, foreign)
}

fn number(entry: &Entry) -> u32 {
    entry.part.map_or(0, |part| part.number)
}

/// What was read twice may have been read less completely the second time: the fuller copy speaks for both.
fn unite(known: &mut Entry, mut other: Entry) {
    let is_fuller = other.trouble.is_none() && (known.trouble.is_some() || other.records > known.records);
    if is_fuller {
        std::mem::swap(known, &mut other);
    }
    known.receives = known.receives.max(other.receives);
    known.copies.append(&mut other.copies);
}
