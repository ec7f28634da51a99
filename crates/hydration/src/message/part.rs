//! Parts: the records of each message. A range has one part, unless it holds more than one invocation can take.

use crate::invocation_record::sha256_hex;
use crate::json;
use crate::sequence_number::SequenceNumber;

/// The limit for the bytes of a part's `{"Records": …}`. Lambda takes 6 MB
/// (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>), and a replay may add to it.
pub const MAX_PART_BYTES: usize = 6_000_000;
/// The largest event that Lambda itself delivers. A batch that Lambda formed is never split.
pub const MAX_EVENT_BYTES: usize = 6 * 1024 * 1024;
/// The limit for the bytes of a part's decoded view. A larger view is left out: gzipped data may unpack to a thousand
/// times its size, and a part has to fit into memory.
pub const MAX_VIEW_BYTES: usize = 16 * 1024 * 1024;

const DIGEST_DIGITS: usize = 16;
const EVENT_FRAME_BYTES: usize = r#"{"Records":[]}"#.len();

/// The records of one message, as JSON text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// The elements of `Records`, separated by commas.
    pub records: String,
    /// The elements of the decoded view, separated by commas. `None` when it is off or was too large.
    pub view: Option<String>,
    pub count: u64,
    pub first: Option<SequenceNumber>,
    pub last: Option<SequenceNumber>,
}

impl Part {
    /// The first 16 hex digits of the SHA-256 of the records' text. They identify exactly these records.
    pub fn digest(&self) -> String {
        digest(&self.records)
    }
}

fn digest(records: &str) -> String {
    let mut digest = sha256_hex(records);
    digest.truncate(DIGEST_DIGITS);
    digest
}

struct Entry {
    number: SequenceNumber,
    /// End of the record's text in the buffer of records.
    records_end: usize,
    /// End of the record's view in the buffer of views.
    view_end: usize,
}

/// A collector of event records that forms the parts. The split depends on the records alone, so that a retry splits
/// them in the same way.
pub struct Collector {
    batch_size: u64,
    max_part_bytes: usize,
    max_event_bytes: usize,
    records: String,
    /// `None` when the view is off, or once a part's view was too large.
    view: Option<String>,
    entries: Vec<Entry>,
    /// Event records in the parts taken so far, including those of earlier invocations.
    in_parts: u64,
    last_boundary: Option<PartBoundary>,
    aggregate_parts: Option<AggregateParts>,
}

/// The parts taken so far that hold only user records of one aggregate. User records may be equal. A part that holds
/// as many of them as an earlier part would have the same id, and a consumer would drop it as a repetition.
struct AggregateParts {
    aggregate: SequenceNumber,
    digests: Vec<String>,
}

/// The end of the parts taken so far, as a position in the shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartBoundary {
    /// The last stream record whose event records are all in a part. The user records of an aggregate share its number.
    pub number: SequenceNumber,
    /// Number of event records up to that one.
    pub records: u64,
}

impl Collector {
    /// Starts with `in_parts` event records in the parts of earlier invocations. Up to `batch_size` records may be one
    /// event that Lambda delivered, which is not split.
    pub fn new(batch_size: Option<u64>, with_view: bool, in_parts: u64) -> Self {
        Self {
            batch_size: batch_size.unwrap_or(0),
            max_part_bytes: MAX_PART_BYTES,
            max_event_bytes: MAX_EVENT_BYTES,
            records: String::new(),
            view: with_view.then(String::new),
            entries: Vec::new(),
            in_parts,
            last_boundary: None,
            aggregate_parts: None,
        }
    }

    /// Forms smaller parts than the contract's, so that a test needs few bytes.
    #[must_use]
    pub fn with_max_part_bytes(mut self, bytes: usize) -> Self {
        self.max_event_bytes = bytes.saturating_mul(MAX_EVENT_BYTES) / MAX_PART_BYTES;
        self.max_part_bytes = bytes;
        self
    }

    /// The end of the parts taken from this collector. `None` before the first.
    pub fn last_boundary(&self) -> Option<&PartBoundary> {
        self.last_boundary.as_ref()
    }

    /// Number of event records collected so far, including those of earlier parts.
    pub fn total(&self) -> u64 {
        self.in_parts + self.entries.len() as u64
    }

    /// Adds a record. `write` appends its event to the first buffer, and its view to the second if there is one.
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

    /// Takes a full part that is followed by another. Call it after every [`push`](Self::push), until it returns `None`.
    pub fn take_full_part(&mut self) -> Option<Part> {
        let size = self.records.len() + EVENT_FRAME_BYTES;
        let may_be_one_event = self.in_parts == 0 && self.total() <= self.batch_size && size <= self.max_event_bytes;
        if size < self.max_part_bytes || may_be_one_event || self.entries.len() < 2 {
            return None;
        }
        let fitting = self.entries.partition_point(|entry| entry.records_end + EVENT_FRAME_BYTES < self.max_part_bytes);
        // A record that is larger than a part is a part of its own.
        let fitting = fitting.clamp(1, self.entries.len() - 1);
        let count = (1..=fitting).rev().find(|count| !self.is_repeated(0, *count));
        Some(self.split(count.unwrap_or(fitting)))
    }

    /// Takes one more part before the last, if the last part would be equal to an earlier one. Call it once, before
    /// [`take_last_part`](Self::take_last_part).
    pub fn take_repeated_part(&mut self) -> Option<Part> {
        let all = self.entries.len();
        if !self.is_repeated(0, all) {
            return None;
        }
        let is_new = |count: &usize| {
            !self.is_repeated(0, *count)
                && !self.is_repeated(*count, all)
                && self.digest(0, *count) != self.digest(*count, all)
        };
        let count = (1..all).rev().find(is_new)?;
        Some(self.split(count))
    }

    /// Returns true if a part of these entries would be equal to an earlier part.
    fn is_repeated(&self, start: usize, end: usize) -> bool {
        let Some(parts) = &self.aggregate_parts else { return false };
        let is_of_aggregate = |entry: Option<&Entry>| entry.is_some_and(|entry| entry.number == parts.aggregate);
        end.checked_sub(1).is_some_and(|last| is_of_aggregate(self.entries.get(last)))
            && is_of_aggregate(self.entries.get(start))
            && self.digest(start, end).is_some_and(|digest| parts.digests.contains(&digest))
    }

    /// Digest of a part that holds the entries from `start` to `end`.
    fn digest(&self, start: usize, end: usize) -> Option<String> {
        let text_end =
            |count: usize| count.checked_sub(1).and_then(|last| self.entries.get(last)).map(|e| e.records_end);
        // The comma between two parts belongs to neither.
        let from = text_end(start).map_or(0, |before| before + 1);
        self.records.get(from..text_end(end)?).map(digest)
    }

    /// Keeps the digest of a part that was taken.
    fn remember(&mut self, part: &Part) {
        let Some(aggregate) = part.first.clone().filter(|first| part.last.as_ref() == Some(first)) else {
            self.aggregate_parts = None;
            return;
        };
        match &mut self.aggregate_parts {
            Some(parts) if parts.aggregate == aggregate => parts.digests.push(part.digest()),
            parts => *parts = Some(AggregateParts { aggregate, digests: vec![part.digest()] }),
        }
    }

    /// Takes the last part: all that is left.
    pub fn take_last_part(&mut self) -> Part {
        self.split(self.entries.len())
    }

    fn split(&mut self, count: usize) -> Part {
        let rest = self.entries.split_off(count);
        let taken = std::mem::replace(&mut self.entries, rest);
        let (records_end, view_end) = taken.last().map_or((0, 0), |entry| (entry.records_end, entry.view_end));
        let records = take_start(&mut self.records, records_end);
        let view = self.view.as_mut().map(|view| take_start(view, view_end));
        // The comma before the first record of the rest belongs to neither.
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
            self.last_boundary =
                Some(PartBoundary { number: last.number.clone(), records: self.in_parts + whole as u64 });
        }
        self.in_parts += taken.len() as u64;
        let part = Part {
            records,
            view,
            count: taken.len() as u64,
            first: taken.first().map(|entry| entry.number.clone()),
            last: taken.last().map(|entry| entry.number.clone()),
        };
        self.remember(&part);
        part
    }
}

/// Takes the first `end` bytes out of the buffer.
fn take_start(buffer: &mut String, end: usize) -> String {
    let rest = buffer.split_off(end);
    std::mem::replace(buffer, rest)
}

/// Escapes the characters that JSON allows and SQS refuses, from `start` on.
fn make_safe(buffer: &mut String, start: usize) {
    if !json::is_sqs_safe(&buffer[start..]) {
        let tail = json::sqs_safe(buffer.split_off(start));
        buffer.push_str(&tail);
    }
}

#[cfg(test)]
mod tests;
