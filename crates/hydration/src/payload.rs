//! The event in an invocation record's `payload`, as Lambda's own S3 destination writes it.

use serde_json::value::RawValue;

use crate::arn::StreamArn;
use crate::invocation_record::{FailedBatch, InvocationRecord, Range};
use crate::record::event::EventRecord;
use crate::timestamp::Timestamp;
use crate::verdict::{Status, Verdict, judge};
use crate::walk::{RangeCoverage, StopReason};

/// The event records of a payload that lie in the batch's range.
pub(crate) struct Payload<'a> {
    pub events: Vec<PayloadEvent<'a>>,
    pub verdict: Verdict,
}

pub(crate) struct PayloadEvent<'a> {
    /// The text as Lambda wrote it.
    pub raw: &'a RawValue,
    pub event: EventRecord,
}

impl<'a> Payload<'a> {
    /// `None` if there is no payload, if it is not an event of the batch's stream, or if it holds no record of the
    /// range.
    pub(crate) fn from_record(record: &'a InvocationRecord, now: Timestamp) -> Option<Self> {
        let stream = &record.batch.stream;
        let parse = |raw: &'a RawValue| {
            let event = EventRecord::parse(stream.source(), raw)?;
            is_of_stream(&event, stream).then_some(PayloadEvent { raw, event })
        };
        let mut events: Vec<_> = record.payload_records()?.into_iter().map(parse).collect::<Option<_>>()?;
        let range = record.batch.range();
        if let Some(range) = &range {
            events.retain(|item| range.contains(item.event.sequence_number()));
            if events.is_empty() {
                return None;
            }
        }
        put_in_order(&mut events, stream);
        let verdict = verdict(&record.batch, range.as_ref(), &events, now)?;
        Some(Self { events, verdict })
    }

    /// Returns true if the payload holds at least the whole batch.
    pub(crate) fn is_whole(&self) -> bool {
        matches!(self.verdict.status, Status::Complete | Status::Superset | Status::NoRange)
    }

    /// Returns true if the payload holds records that the read of the stream did not return.
    pub(crate) fn is_better_than(&self, stream: &Verdict, records: u64) -> bool {
        let is_stream_whole = matches!(stream.status, Status::Complete | Status::Superset);
        !is_stream_whole && self.events.len() as u64 > records
    }
}

/// Puts the records in the shard's order, each once, as Lambda delivers them. A record that is there twice would
/// otherwise count for one that is missing. The user records of an aggregate share a sequence number, and Lambda hands
/// them to a consumer's function only.
fn put_in_order(events: &mut Vec<PayloadEvent<'_>>, stream: &StreamArn) {
    events.sort_by(|one, other| one.event.sequence_number().cmp(other.event.sequence_number()));
    if !stream.is_consumer() {
        events.dedup_by(|next, first| next.event.sequence_number() == first.event.sequence_number());
    }
}

/// Returns true unless the event record names another stream than the invocation record. A consumer and its stream are
/// the same stream.
fn is_of_stream(event: &EventRecord, stream: &StreamArn) -> bool {
    event.stream_arn.as_deref().is_none_or(|arn| {
        arn == stream.as_str() || StreamArn::parse(arn).is_ok_and(|arn| arn.stream() == stream.stream())
    })
}

fn verdict(batch: &FailedBatch, range: Option<&Range>, events: &[PayloadEvent<'_>], now: Timestamp) -> Option<Verdict> {
    if range.is_none() && events.is_empty() {
        return Some(Verdict::no_range(batch));
    }
    let has = |end: fn(&Range) -> &_| {
        // Without a range, the event is the whole batch.
        range.is_none_or(|range| events.iter().any(|item| item.event.sequence_number() == end(range)))
    };
    let coverage =
        RangeCoverage { start: has(|range| &range.start), end: has(|range| &range.end), any_record: true, gap: false };
    let mut verdict = judge(batch, StopReason::EndReached, &coverage, events.len() as u64, now).ok()?;
    if verdict.status == Status::Partial {
        let reason = "The payload does not hold every record that the invocation record names, and the stream holds \
                      no more of them.";
        verdict.reason = Some(reason.to_owned());
    }
    Some(verdict)
}
