//! The one sentence: range → walk → verdict → compose → deliver.

use serde_json::value::RawValue;

use crate::deliver::{Delivery, Letter};
pub use crate::deliver::{Sent, Settings};
use crate::error::HydrateError;
use crate::intake::{Intake, Unrecognized};
use crate::invocation_record::{InvocationRecord, Range, sha256_hex};
use crate::kpl;
use crate::message::body::{DecodedView, Subject};
use crate::message::{Body, Collector, Hydration, Origin, Part, PartNumber};
use crate::ports::{Clock, Outbox, ShardReader};
use crate::read::{Pace, Reading};
use crate::record::event::EventRecord;
use crate::record::{KinesisRecord, StreamRecord};
use crate::retry::{Tally, wait};
use crate::sequence_number::SequenceNumber;
use crate::timestamp::Timestamp;
use crate::verdict::{Status, Verdict, judge};
use crate::view;
use crate::walk::{Ending, Seen, Step, Walk};

/// When to stop: reading first, so that what was read can still be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    pub read: Timestamp,
    pub deliver: Timestamp,
}

/// What became of one message on the topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hydrated {
    pub id: String,
    pub verdict: Verdict,
    pub origin: Option<Origin>,
    pub recovered_records: u64,
    pub sent: Vec<Sent>,
    /// Milliseconds since the batch's first record arrived.
    pub oldest_record_age: Option<i64>,
}

/// Hydrates failed batches, through ports.
pub struct Hydrator<R, O, C> {
    pub reader: R,
    pub outbox: O,
    pub clock: C,
    pub settings: Settings,
    pace: Pace,
}

impl<R: ShardReader, O: Outbox, C: Clock> Hydrator<R, O, C> {
    pub fn new(reader: R, outbox: O, clock: C, settings: Settings) -> Self {
        Self { reader, outbox, clock, settings, pace: Pace::default() }
    }

    /// Reads the batch back and delivers it. After an error the whole is to be tried again: the ids make the
    /// repetition harmless. `tally` is what was spent, either way.
    pub async fn hydrate(
        &self,
        intake: &Intake,
        deadline: Deadline,
        tally: &mut Tally,
    ) -> Result<Hydrated, HydrateError> {
        let record = match intake {
            Intake::Unrecognized(message) => return self.hand_on(message, deadline, tally).await,
            Intake::Batch(record) => record,
        };
        let run = Run::new(self, record, deadline, tally);
        match (record.batch.range(), payload_events(record)) {
            (range, Some(events)) => run.take_payload(range, events).await,
            (Some(range), None) => run.read_stream(range).await,
            (None, None) => run.conclude(Verdict::no_range(), Origin::Stream).await,
        }
    }

    /// A message that is no stream failure is delivered as it came.
    async fn hand_on(
        &self,
        message: &Unrecognized,
        deadline: Deadline,
        tally: &mut Tally,
    ) -> Result<Hydrated, HydrateError> {
        let id = sha256_hex(&message.text);
        let verdict = Verdict::unrecognized(&message.why);
        let part = Part::default();
        let hydration = self.hydration(id.clone(), &verdict, &part);
        let letter = Letter {
            body: Body::new(Subject::Unrecognized(&message.text), hydration, &part),
            id: id.clone(),
            status: verdict.status,
            batch: None,
            records: 0,
            replaces: true,
        };
        let sent = self.delivery(deadline).deliver(letter, tally).await?;
        Ok(Hydrated { id, verdict, origin: None, recovered_records: 0, sent: vec![sent], oldest_record_age: None })
    }

    fn delivery(&self, deadline: Deadline) -> Delivery<'_, O, C> {
        let deadline = deadline.deliver;
        Delivery { outbox: &self.outbox, clock: &self.clock, settings: &self.settings, deadline }
    }

    fn hydration(&self, id: String, verdict: &Verdict, part: &Part) -> Hydration {
        let text = |number: &Option<SequenceNumber>| number.as_ref().map(|number| number.as_str().to_owned());
        Hydration {
            version: 1,
            id,
            status: verdict.status,
            reason: verdict.reason.clone(),
            expected_records: None,
            recovered_records: part.count,
            missing_records: verdict.missing,
            first_sequence_number: text(&part.first),
            last_sequence_number: text(&part.last),
            source: None,
            origin: None,
            hydrated_at: self.clock.now().rfc3339(),
            part: None,
            decoded_view: if self.settings.decoded_view { DecodedView::Included } else { DecodedView::Off },
        }
    }
}

/// The event records that the invocation record carries itself; `None` when the stream is to be read.
fn payload_events(record: &InvocationRecord) -> Option<Vec<(Box<RawValue>, EventRecord)>> {
    let source = record.batch.stream.source();
    let parse = |raw: Box<RawValue>| EventRecord::parse(source, &raw).map(|event| (raw, event));
    let events: Vec<_> = record.payload_records()?.into_iter().map(parse).collect::<Option<_>>()?;
    // An event that holds nothing of the named range explains nothing.
    let range = record.batch.range();
    let is_of_range = |range| events.iter().any(|(_, event)| Range::contains(range, event.sequence_number()));
    range.as_ref().is_none_or(is_of_range).then_some(events)
}

/// One batch on its way.
struct Run<'a, R, O, C> {
    hydrator: &'a Hydrator<R, O, C>,
    record: &'a InvocationRecord,
    deadline: Deadline,
    tally: &'a mut Tally,
    collector: Collector,
    sent: Vec<Sent>,
}

impl<'a, R: ShardReader, O: Outbox, C: Clock> Run<'a, R, O, C> {
    fn new(
        hydrator: &'a Hydrator<R, O, C>,
        record: &'a InvocationRecord,
        deadline: Deadline,
        tally: &'a mut Tally,
    ) -> Self {
        let collector = Collector::new(record.batch.batch_size, hydrator.settings.decoded_view);
        Self { hydrator, record, deadline, tally, collector, sent: Vec::new() }
    }

    async fn take_payload(
        mut self,
        range: Option<Range>,
        events: Vec<(Box<RawValue>, EventRecord)>,
    ) -> Result<Hydrated, HydrateError> {
        if events.is_empty() {
            return self.conclude(Verdict::no_range(), Origin::Payload).await;
        }
        // Without a range, the event is all there was.
        let mut seen = Seen { start: range.is_none(), end: range.is_none(), anything: true };
        let is_deaggregated = self.record.batch.stream.is_consumer();
        for (raw, event) in &events {
            let number = event.sequence_number();
            if let Some(range) = &range {
                if !range.contains(number) {
                    continue;
                }
                seen.start |= *number == range.start;
                seen.end |= *number == range.end;
            }
            self.push(Origin::Payload, number, |records, view| {
                records.push_str(raw.get());
                if let Some(view) = view {
                    event.write_view(is_deaggregated, view);
                }
            })
            .await?;
        }
        let batch = &self.record.batch;
        let mut verdict = judge(batch, Ending::EndReached, &seen, self.collector.total(), self.hydrator.clock.now())
            .map_err(HydrateError::RangeNotReached)?;
        if verdict.status == Status::Partial {
            verdict.reason =
                Some("The payload does not hold every record that the invocation record names.".to_owned());
        }
        self.conclude(verdict, Origin::Payload).await
    }

    async fn read_stream(mut self, range: Range) -> Result<Hydrated, HydrateError> {
        let hydrator = self.hydrator;
        let reading = Reading {
            reader: &hydrator.reader,
            clock: &hydrator.clock,
            batch: &self.record.batch,
            deadline: self.deadline.read,
        };
        let mut walk = Walk::new(&self.record.batch, range);
        let mut iterator = None;
        let ending = loop {
            match (walk.next(), &iterator) {
                (Step::Finish(ending), _) => break ending,
                (Step::Page { .. }, None) => break Ending::ShardClosed,
                (Step::Iterator(position), _) => match reading.iterator(&position, self.tally).await? {
                    Ok(answer) => {
                        iterator = Some(answer);
                        walk.positioned();
                    }
                    Err(refusal) => walk.refused(refusal),
                },
                (Step::Page { limit }, Some(current)) => {
                    let pause = hydrator.pace.pause(&self.record.batch, hydrator.clock.now());
                    wait(&hydrator.clock, pause, self.deadline.read).await?;
                    let answer = reading.page(current, limit, self.tally).await?;
                    let now = hydrator.clock.now();
                    let kept = match answer {
                        Ok(page) => {
                            iterator = page.next.clone();
                            walk.page(page, now)
                        }
                        Err(refusal) => {
                            walk.refused(refusal);
                            Vec::new()
                        }
                    };
                    hydrator.pace.leave(&self.record.batch, now, walk.pause());
                    let before = self.collector.total();
                    for record in kept {
                        self.take(record).await?;
                    }
                    walk.delivered(self.collector.total() - before);
                }
            }
        };
        let now = hydrator.clock.now();
        let verdict = judge(&self.record.batch, ending, walk.seen(), self.collector.total(), now)
            .map_err(HydrateError::RangeNotReached)?;
        self.conclude(verdict, Origin::Stream).await
    }

    /// Turns a stored record into what Lambda would have delivered of it.
    async fn take(&mut self, record: StreamRecord) -> Result<(), HydrateError> {
        let (stream, shard_id) = (&self.record.batch.stream, &self.record.batch.shard_id);
        match &record {
            StreamRecord::DynamoDb(change) => {
                self.push(Origin::Stream, &change.sequence_number, |records, view| {
                    change.write_event(stream, records);
                    if let Some(view) = view {
                        view::write_dynamodb(change, view);
                    }
                })
                .await
            }
            StreamRecord::Kinesis(stored) => {
                // Lambda hands the user records of a KPL aggregate to a function behind an enhanced fan-out consumer,
                // and the aggregate as it is to any other.
                let user_records = if stream.is_consumer() { kpl::deaggregate(&stored.data) } else { None };
                for user_record in user_records.iter().flatten() {
                    let event = KinesisRecord {
                        sequence_number: stored.sequence_number.clone(),
                        partition_key: user_record.partition_key.to_owned(),
                        data: user_record.data.to_vec(),
                        approximate_arrival: stored.approximate_arrival,
                    };
                    self.push(Origin::Stream, &stored.sequence_number, |records, view| {
                        event.write_event(stream, shard_id, records);
                        if let Some(view) = view {
                            view::write_kinesis_user_record(&event.data, view);
                        }
                    })
                    .await?;
                }
                if user_records.is_some() {
                    return Ok(());
                }
                self.push(Origin::Stream, &stored.sequence_number, |records, view| {
                    stored.write_event(stream, shard_id, records);
                    if let Some(view) = view {
                        view::write_kinesis(&stored.data, view);
                    }
                })
                .await
            }
        }
    }

    /// Collects a record, and delivers every part that is full.
    async fn push(
        &mut self,
        origin: Origin,
        number: &SequenceNumber,
        write: impl FnOnce(&mut String, Option<&mut String>),
    ) -> Result<(), HydrateError> {
        self.collector.push(number, write);
        while let Some(part) = self.collector.full() {
            self.send(part, &Verdict::part(), origin, false).await?;
        }
        Ok(())
    }

    async fn conclude(mut self, verdict: Verdict, origin: Origin) -> Result<Hydrated, HydrateError> {
        let recovered_records = self.collector.total();
        let part = self.collector.finish();
        self.send(part, &verdict, origin, true).await?;
        let batch = &self.record.batch;
        let age = batch.first_arrival.map(|first| self.hydrator.clock.now().millis_since(first));
        Ok(Hydrated {
            id: batch.id(),
            verdict,
            origin: Some(origin),
            recovered_records,
            sent: self.sent,
            oldest_record_age: age,
        })
    }

    async fn send(&mut self, part: Part, verdict: &Verdict, origin: Origin, last: bool) -> Result<(), HydrateError> {
        let batch = &self.record.batch;
        // Only a range that needs more than one message has parts.
        let number = self.sent.len() as u32 + 1;
        let part_number = (number > 1 || !last).then_some(PartNumber { number, last });
        let id = match part_number {
            Some(part) => format!("{}-{}", batch.id(), part.number),
            None => batch.id(),
        };
        let hydration = Hydration {
            expected_records: batch.batch_size,
            source: Some(batch.stream.source()),
            origin: Some(origin),
            part: part_number,
            ..self.hydrator.hydration(id.clone(), verdict, &part)
        };
        let letter = Letter {
            body: Body::new(Subject::Batch(&self.record.fields, batch.stream.source()), hydration, &part),
            id,
            status: verdict.status,
            batch: Some(batch),
            records: part.count,
            // A repetition brings the same, unless some of it has been trimmed since: what was saved before stays, and
            // this is put beside it.
            replaces: verdict.status != Status::Partial || part_number.is_some(),
        };
        self.sent.push(self.hydrator.delivery(self.deadline).deliver(letter, self.tally).await?);
        Ok(())
    }
}
