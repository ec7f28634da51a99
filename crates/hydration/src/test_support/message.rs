//! A builder of hydrated messages that keep the contract.

use std::time::Duration;

use bytes::Bytes;

use crate::arn::Source;
use crate::error::HydrateError;
use crate::hydrator::{Deadline, Hydrator, Settings};
use crate::incoming::{IncomingMessage, recognize};
use crate::invocation_record::InvocationRecord;
use crate::message::body::OriginalMessage;
use crate::message::{Body, Collector, Hydration, Origin, OutgoingMessage, PartNumber};
use crate::record::StreamRecord;
use crate::retry::CallStats;
use crate::sender::Draft;
use crate::test_support::{InvocationRecordBuilder, ManualClock, MemoryOutbox, SimulatedAws, now_or_never, settings};
use crate::timestamp::Timestamp;
use crate::verdict::{Status, Verdict};
use crate::view;

/// A hydrated message to build. The domain's own code computes its id, digest, counts, view and attributes.
///
/// [`build`](Self::build) panics, with the name of the field, if the fields contradict each other.
#[derive(Debug, Clone)]
pub struct HydratedMessageBuilder {
    pub invocation_record: InvocationRecordBuilder,
    /// The records of the message, in the order of their sequence numbers.
    pub records: Vec<StreamRecord>,
    pub status: Status,
    /// Present if the range needs several messages.
    pub part: Option<PartNumber>,
    pub hydrated_at: Timestamp,
    pub settings: Settings,
}

/// A hydrated message as the function sends it.
#[derive(Debug, Clone)]
pub struct BuiltMessage {
    /// The message on the queue. It is a pointer if the content is in the bucket.
    pub message: OutgoingMessage,
    /// The content of the message, on the queue or in the bucket.
    pub text: String,
    /// The key and the content of the object in the overflow bucket.
    pub object: Option<(String, Bytes)>,
    pub id: String,
    pub batch_id: String,
    /// `{"Records": [...]}`, as Lambda delivered it.
    pub event: String,
}

impl HydratedMessageBuilder {
    /// A message with all records of a batch. Set `status` for another result.
    pub fn new(invocation_record: InvocationRecordBuilder, records: Vec<StreamRecord>) -> Self {
        let hydrated_at = Timestamp::from_millis(crate::test_support::START_MILLIS);
        Self { invocation_record, records, status: Status::Complete, part: None, hydrated_at, settings: settings() }
    }

    pub fn build(&self) -> BuiltMessage {
        let record = self.parse_invocation_record();
        self.check(&record);
        let batch = &record.batch;
        let mut collector = Collector::new(batch.batch_size, self.settings.decoded_view, 0);
        for record in &self.records {
            collector.push(record.sequence_number(), |events, view| self.write(record, batch, events, view));
        }
        let part = collector.take_last_part();
        let count = part.count;
        let missing = batch.batch_size.map(|size| size.saturating_sub(count)).filter(|missing| *missing > 0);
        let verdict = match self.status {
            Status::Complete => Verdict { status: Status::Complete, reason: None, missing: None },
            Status::NoRange => Verdict::no_range(batch),
            status => Verdict { status, reason: Some(format!("The result is {}.", status.as_str())), missing },
        };

        let (batch_id, digest) = (batch.id(), part.digest());
        let id = if self.part.is_some() { format!("{batch_id}-{digest}") } else { batch_id.clone() };
        let clock = ManualClock::starting_at(self.hydrated_at.millis());
        let outbox = MemoryOutbox::default();
        let end = clock.instant_after(Duration::from_secs(60));
        let deadline = Deadline { read: end, deliver: end };
        // The shard is not read: the records are given.
        let unread = SimulatedAws::empty(batch.stream.source());
        let hydrator = Hydrator::new(&unread, &outbox, clock, self.settings.clone());
        let hydration = Hydration {
            expected_records: batch.batch_size,
            source: Some(batch.stream.source()),
            origin: Some(Origin::Stream),
            part: self.part,
            ..hydrator.hydration(id.clone(), &verdict, &part)
        };
        let original = OriginalMessage::InvocationRecord { fields: &record.fields, source: batch.stream.source() };
        let draft = Draft {
            body: Body::new(original, hydration, &part),
            id: id.clone(),
            batch_id: batch_id.clone(),
            digest,
            status: self.status,
            batch: Some(batch),
            records: count,
        };
        let sent: Result<_, HydrateError> =
            now_or_never(hydrator.sender(deadline).send(draft, &mut CallStats::default()));
        sent.unwrap_or_else(|error| panic!("settings: the message cannot be sent: {error}"));
        let message = outbox.queue.borrow_mut().pop().expect("one message was sent");
        let object = outbox.bucket.borrow_mut().pop_first();
        let text = outbox_text(&message, object.as_ref());
        let event = format!(r#"{{"Records":[{}]}}"#, part.records);
        BuiltMessage { message, text, object, id, batch_id, event }
    }

    fn parse_invocation_record(&self) -> InvocationRecord {
        match recognize(&self.invocation_record.to_json().to_string()).pop() {
            Some(Ok(IncomingMessage::FailedBatch(record))) => *record,
            Some(Ok(IncomingMessage::Unrecognized(message))) => panic!("invocation_record: {}", message.why),
            other => panic!("invocation_record: {other:?}"),
        }
    }

    fn write(
        &self,
        record: &StreamRecord,
        batch: &crate::invocation_record::FailedBatch,
        events: &mut String,
        view: Option<&mut String>,
    ) {
        match (record, view) {
            (StreamRecord::Kinesis(record), view) => {
                record.write_event(&batch.stream, &batch.shard_id, events);
                view.into_iter().for_each(|view| view::write_kinesis(&record.data, view));
            }
            (StreamRecord::DynamoDb(record), view) => {
                record.write_event(&batch.stream, events);
                view.into_iter().for_each(|view| view::write_dynamodb(record, view));
            }
        }
    }

    /// Panics, with the name of the field, if the function could not send such a message.
    fn check(&self, record: &InvocationRecord) {
        let (batch, count) = (&record.batch, self.records.len() as u64);
        for record in &self.records {
            let source = match record {
                StreamRecord::Kinesis(_) => Source::Kinesis,
                StreamRecord::DynamoDb(_) => Source::DynamoDb,
            };
            assert_eq!(source, batch.stream.source(), "records: a record is of another service than the stream");
            let number = record.sequence_number();
            let is_inside = batch.range().is_some_and(|range| range.contains(number));
            assert!(is_inside, "records: {number} is not in the range of the invocation record");
        }
        let is_ordered = self.records.is_sorted_by_key(StreamRecord::sequence_number);
        assert!(is_ordered, "records: they are not in the order of their sequence numbers");
        let has =
            |number: &Option<_>| self.records.iter().any(|record| Some(record.sequence_number()) == number.as_ref());
        let has_both_ends = has(&batch.start) && has(&batch.end);
        let is_middle_part = self.part.is_some_and(|part| !part.last);
        let is_possible = match self.status {
            Status::Complete => {
                self.part.is_none() && has_both_ends && batch.batch_size.is_none_or(|size| size == count)
            }
            Status::Superset if self.part.is_some() => count > 0,
            Status::Superset => has_both_ends && batch.batch_size.is_some_and(|size| size < count),
            // The last part may be empty: the rest of the range was trimmed.
            Status::Partial if self.part.is_some() => !is_middle_part,
            Status::Partial => count > 0 && (!has_both_ends || batch.batch_size.is_some_and(|size| count < size)),
            Status::Expired | Status::Gone => count == 0 && batch.range().is_some() && self.part.is_none(),
            Status::NoRange => count == 0 && batch.range().is_none() && self.part.is_none(),
            Status::Unrecognized => false,
        };
        let status = self.status.as_str();
        assert!(is_possible, "status: {status} contradicts records, part, batch_size or the range");
        assert!(self.part.is_none_or(|part| part.number > 0), "part: the first number is 1");
    }
}

fn outbox_text(message: &OutgoingMessage, object: Option<&(String, Bytes)>) -> String {
    match object {
        None => message.body.clone(),
        Some((_, content)) => String::from_utf8(content.to_vec()).expect("an object is text"),
    }
}

#[cfg(test)]
mod tests;
