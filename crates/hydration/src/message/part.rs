//! Collects records into messages: one, unless the range holds more than one invocation can take.

use crate::invocation_record::sha256_hex;
use crate::json;
use crate::sequence_number::SequenceNumber;

/// A part's `{"Records": …}` stays below this, in bytes: Lambda takes 6 MB
/// (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>), and the replaying caller may wrap it.
pub const MAX_PART_BYTES: usize = 6_000_000;
/// The largest event that Lambda itself may have delivered: no batch that it formed is cut in two.
pub const MAX_EVENT_BYTES: usize = 6 * 1024 * 1024;
/// A view larger than this is left out, whatever the queue or the bucket could hold: gzipped data may unpack to a
/// thousand times its size, and memory is bounded by a part.
pub const MAX_VIEW_BYTES: usize = 16 * 1024 * 1024;

const DIGEST_DIGITS: usize = 16;
const EVENT_FRAME: usize = r#"{"Records":[]}"#.len();

/// The records of one message, as JSON text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// The elements of `Records`, separated by commas.
    pub records: String,
    /// The elements of the decoded view, likewise; `None` when it is off or was too large.
    pub view: Option<String>,
    pub count: u64,
    pub first: Option<SequenceNumber>,
    pub last: Option<SequenceNumber>,
}

impl Part {
    /// The first 16 hex digits of the SHA-256 of the records' text: a name for exactly these records.
    pub fn digest(&self) -> String {
        let mut digest = sha256_hex(&self.records);
        digest.truncate(DIGEST_DIGITS);
        digest
    }
}

struct Entry {
    number: SequenceNumber,
    /// Where the record's text ends in the part's buffers.
    records_end: usize,
    view_end: usize,
}

/// Fills parts record by record. Where it cuts depends on the records alone, so that a retry cuts alike.
pub struct Collector {
    batch_size: u64,
    max_part_bytes: usize,
    max_event_bytes: usize,
    records: String,
    /// `None` from the start, or from when a part's view became too large.
    view: Option<String>,
    entries: Vec<Entry>,
    cut: u64,
    cut_after: Option<CutAfter>,
}

/// The place in the shard where the parts that were cut off end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CutAfter {
    /// The last stored record of which every event is in a part: the user records of an aggregate share its number.
    pub number: SequenceNumber,
    /// Event records up to that one.
    pub records: u64,
}

impl Collector {
    /// `batch_size`: up to this many records may be one event that Lambda delivered. `cut`: the records in the parts of
    /// earlier invocations.
    pub fn new(batch_size: Option<u64>, wants_view: bool, cut: u64) -> Self {
        Self {
            batch_size: batch_size.unwrap_or(0),
            max_part_bytes: MAX_PART_BYTES,
            max_event_bytes: MAX_EVENT_BYTES,
            records: String::new(),
            view: wants_view.then(String::new),
            entries: Vec::new(),
            cut,
            cut_after: None,
        }
    }

    /// Cuts smaller parts than the contract's, so that a test needs few bytes.
    #[must_use]
    pub fn with_max_part_bytes(mut self, bytes: usize) -> Self {
        self.max_event_bytes = bytes.saturating_mul(MAX_EVENT_BYTES) / MAX_PART_BYTES;
        self.max_part_bytes = bytes;
        self
    }

    /// The place where the parts end that were taken from this collector; `None` before the first.
    pub fn cut_after(&self) -> Option<&CutAfter> {
        self.cut_after.as_ref()
    }

    /// Records collected so far, those of earlier parts included.
    pub fn total(&self) -> u64 {
        self.cut + self.entries.len() as u64
    }

    /// Adds a record: `write` appends its event to the first buffer, its view to the second where one is wanted.
    pub fn push(&mut self, number: &SequenceNumber, write: impl FnOnce(&mut String, Option<&mut String>)) {
        let (records_start, view_start) = (self.records.len(), self.view.as_ref().map_or(0, String::len));
        if !self.entries.is_empty() {
            self.records.push(',');
            self.view.iter_mut().for_each(|view| view.push(','));
        }
        write(&mut self.records, self.view.as_mut());
        make_safe(&mut self.records, records_start);
        self.view.iter_mut().for_each(|view| make_safe(view, view_start));
        if self.view.as_ref().is_some_and(|view| view.len() > MAX_VIEW_BYTES) {
            self.view = None;
        }
        self.entries.push(Entry {
            number: number.clone(),
            records_end: self.records.len(),
            view_end: self.view.as_ref().map_or(0, String::len),
        });
    }

    /// A part that is full and is followed by another. To be asked after every [`push`](Self::push) until `None`.
    pub fn full(&mut self) -> Option<Part> {
        let size = self.records.len() + EVENT_FRAME;
        let may_be_one_event = self.cut == 0 && self.total() <= self.batch_size && size <= self.max_event_bytes;
        if size < self.max_part_bytes || may_be_one_event || self.entries.len() < 2 {
            return None;
        }
        let fitting = self.entries.partition_point(|entry| entry.records_end + EVENT_FRAME < self.max_part_bytes);
        // One record that is too large by itself is a part by itself.
        Some(self.split(fitting.clamp(1, self.entries.len() - 1)))
    }

    /// What is left: the last part.
    pub fn finish(&mut self) -> Part {
        self.split(self.entries.len())
    }

    fn split(&mut self, count: usize) -> Part {
        let rest = self.entries.split_off(count);
        let taken = std::mem::replace(&mut self.entries, rest);
        let (records_end, view_end) = taken.last().map_or((0, 0), |entry| (entry.records_end, entry.view_end));
        let records = cut_off(&mut self.records, records_end);
        let view = self.view.as_mut().map(|view| cut_off(view, view_end));
        // The comma before the first record of the rest goes with the cut.
        let comma = usize::from(!self.entries.is_empty());
        self.records.drain(..comma);
        self.view.iter_mut().for_each(|view| drop(view.drain(..comma)));
        for entry in &mut self.entries {
            entry.records_end -= records_end + comma;
            entry.view_end = entry.view_end.saturating_sub(view_end + comma);
        }
        let next = self.entries.first().map(|entry| &entry.number);
        let whole = taken.partition_point(|entry| next.is_none_or(|next| entry.number < *next));
        if let Some(last) = whole.checked_sub(1).and_then(|index| taken.get(index)) {
            self.cut_after = Some(CutAfter { number: last.number.clone(), records: self.cut + whole as u64 });
        }
        self.cut += taken.len() as u64;
        Part {
            records,
            view,
            count: taken.len() as u64,
            first: taken.first().map(|entry| entry.number.clone()),
            last: taken.last().map(|entry| entry.number.clone()),
        }
    }
}

/// Takes the first `end` bytes out of the buffer.
fn cut_off(buffer: &mut String, end: usize) -> String {
    let rest = buffer.split_off(end);
    std::mem::replace(buffer, rest)
}

/// Escapes what JSON allows and SQS does not, in what was appended last.
fn make_safe(buffer: &mut String, start: usize) {
    if !json::is_sqs_safe(&buffer[start..]) {
        let tail = json::sqs_safe(buffer.split_off(start));
        buffer.push_str(&tail);
    }
}

#[cfg(test)]
mod tests;
