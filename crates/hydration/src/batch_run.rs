//! The hydration of one batch: reads the range, collects its records, and sends every part that is full.

use std::time::{Duration, Instant};

use crate::continuation::Continuation;
use crate::error::HydrateError;
use crate::hydrator::{Continued, Deadline, Hydrated, HydrationOutcome, Hydrator};
use crate::invocation_record::{InvocationRecord, Range};
use crate::kpl::{self, UserRecord};
use crate::message::body::OriginalMessage;
use crate::message::{Body, Collector, Hydration, Origin, Part, PartBoundary, PartNumber};
use crate::payload::Payload;
use crate::ports::{Clock, Outbox, Position, Rejection, ShardIterator, ShardReader};
use crate::read::{ReadReply, RetryingReader};
use crate::record::{DynamoDbRecord, KinesisRecord, StreamRecord};
use crate::retry::{CallStats, wait, with_deadline};
use crate::sender::{Draft, Sent, Settings};
use crate::sequence_number::SequenceNumber;
use crate::verdict::{Verdict, judge};
use crate::view;
use crate::walk::{NextAction, Walk};

/// The delay of a continuation on the retry queue after a fault. After a deadline there is none.
const RETRY_DELAY_AFTER_FAULT: Duration = Duration::from_secs(60);

/// The share of the delivery time that is kept to send a continuation, as a divisor.
const CONTINUATION_SHARE: u32 = 4;

/// A collector for the records after those that earlier invocations have delivered.
fn new_collector(record: &InvocationRecord, settings: &Settings, delivered: u64) -> Collector {
    let collector = Collector::new(record.batch.batch_size, settings.decoded_view, delivered);
    collector.with_max_part_bytes(settings.max_part_bytes)
}

/// The state of one batch's hydration.
pub(crate) struct BatchRun<'a, R, O, C> {
    hydrator: &'a Hydrator<R, O, C>,
    record: &'a InvocationRecord,
    deadline: Deadline,
    stats: &'a mut CallStats,
    collector: Collector,
    /// Parts that earlier invocations have sent.
    earlier_parts: u32,
    sent: Vec<Sent>,
    /// The end of the parts that this run has sent from the stream.
    delivered: Option<PartBoundary>,
    /// The range was read from its first record on, without a gap.
    from_start: bool,
}

impl<'a, R: ShardReader, O: Outbox, C: Clock> BatchRun<'a, R, O, C> {
    pub(crate) fn new(
        hydrator: &'a Hydrator<R, O, C>,
        record: &'a InvocationRecord,
        deadline: Deadline,
        stats: &'a mut CallStats,
    ) -> Self {
        let continuation = record.continuation.as_ref();
        let recovered = continuation.map_or(0, |continuation| continuation.recovered_records);
        let earlier_parts = continuation.map_or(0, |continuation| continuation.parts);
        let collector = new_collector(record, &hydrator.settings, recovered);
        Self {
            hydrator,
            record,
            deadline,
            stats,
            collector,
            earlier_parts,
            sent: Vec::new(),
            delivered: None,
            from_start: false,
        }
    }

    pub(crate) async fn execute(mut self) -> Result<HydrationOutcome, HydrateError> {
        let clock = &self.hydrator.clock;
        let result = match self.continuation_deadline() {
            // A call that hangs must leave time to send the continuation.
            Some(deadline) => {
                with_deadline(clock, deadline, self.hydrate()).await.unwrap_or(Err(HydrateError::DeadlineReached))
            }
            None => self.hydrate().await,
        };
        match result {
            Ok(hydrated) => Ok(HydrationOutcome::Hydrated(hydrated)),
            Err(error) => self.continue_later(error).await,
        }
    }

    /// The instant at which the hydration must stop, so that a continuation can still be sent. `None` without a retry
    /// queue.
    fn continuation_deadline(&self) -> Option<Instant> {
        let Deadline { read, deliver } = self.deadline;
        self.hydrator.settings.retry_queue_url.as_ref()?;
        Some(deliver.checked_sub(deliver.saturating_duration_since(read) / CONTINUATION_SHARE).unwrap_or(deliver))
    }

    async fn hydrate(&mut self) -> Result<Hydrated, HydrateError> {
        let payload = Payload::from_record(self.record, self.hydrator.clock.now());
        match (self.record.batch.range(), payload) {
            (None, None) => self.conclude(Verdict::no_range(&self.record.batch), Origin::Stream).await,
            (Some(range), None) => {
                let verdict = self.read_stream(range).await?;
                self.conclude(verdict, Origin::Stream).await
            }
            (Some(range), Some(payload)) if !payload.is_whole() => {
                let verdict = self.read_stream(range).await?;
                // A range that needed several parts is larger than any payload.
                if self.sent.is_empty() && payload.is_better_than(&verdict, self.collector.total()) {
                    self.deliver_payload(payload).await
                } else {
                    self.conclude(verdict, Origin::Stream).await
                }
            }
            (_, Some(payload)) => self.deliver_payload(payload).await,
        }
    }

    async fn deliver_payload(&mut self, payload: Payload<'_>) -> Result<Hydrated, HydrateError> {
        let batch = &self.record.batch;
        // A payload is delivered from its first record on, whatever earlier invocations have sent from the stream.
        self.collector = new_collector(self.record, &self.hydrator.settings, 0);
        self.earlier_parts = 0;
        let is_deaggregated = batch.stream.is_consumer();
        for item in &payload.events {
            self.add_event(Origin::Payload, item.event.sequence_number(), |records, view| {
                records.push_str(item.raw.get());
                if let Some(view) = view {
                    item.event.write_view(is_deaggregated, view);
                }
            })
            .await?;
        }
        let verdict = payload.verdict;
        // The decoded records have some MB, and the collector has their text.
        drop(payload.events);
        self.conclude(verdict, Origin::Payload).await
    }

    /// Reads the range and collects its records. Full parts are sent on the way.
    async fn read_stream(&mut self, range: Range) -> Result<Verdict, HydrateError> {
        let hydrator = self.hydrator;
        let batch = &self.record.batch;
        let deadline = self.deadline.read;
        let (stream, shard_id) = (&batch.stream, batch.shard_id.as_str());
        let reader = RetryingReader { reader: &hydrator.reader, clock: &hydrator.clock, stream, shard_id, deadline };
        let mut walk = Walk::new(batch, range, self.record.continuation.clone());
        let mut iterator = None;
        let stopped = loop {
            match walk.next() {
                NextAction::Stop(reason) => break reason,
                NextAction::GetShardIterator(position) => {
                    iterator = self.get_iterator(&reader, &mut walk, &position).await?;
                }
                NextAction::GetRecords { limit } => {
                    // The walk asks for records only when it has an iterator.
                    let Some(current) = iterator else {
                        return Err(HydrateError::RangeNotReached("the shard ended while it was read"));
                    };
                    iterator = self.read_page(&reader, &mut walk, &current, limit).await?;
                }
            }
        };
        judge(batch, stopped, &walk.coverage(), self.collector.total(), hydrator.clock.now())
            .map_err(HydrateError::RangeNotReached)
    }

    async fn get_iterator(
        &mut self,
        reader: &RetryingReader<'_, R, C>,
        walk: &mut Walk,
        position: &Position,
    ) -> Result<Option<ShardIterator>, HydrateError> {
        let hydrator = self.hydrator;
        if walk.is_confirming_not_found() {
            self.wait_for_shard().await?;
        }
        let rejection = match reader.iterator(position, self.stats).await? {
            ReadReply::Answer(iterator) => {
                walk.handle_iterator();
                return Ok(Some(iterator));
            }
            ReadReply::Rejected(rejection) => rejection,
        };
        walk.handle_rejection(rejection, hydrator.clock.now());
        if rejection == Rejection::NotFound {
            hydrator.pacer.set_pause(&self.record.batch, hydrator.clock.instant(), walk.pause());
        }
        Ok(None)
    }

    /// Reads a page, collects its records, and returns the iterator for the next page.
    async fn read_page(
        &mut self,
        reader: &RetryingReader<'_, R, C>,
        walk: &mut Walk,
        iterator: &ShardIterator,
        limit: u32,
    ) -> Result<Option<ShardIterator>, HydrateError> {
        let hydrator = self.hydrator;
        self.wait_for_shard().await?;
        let reply = reader.page(iterator, limit, self.stats).await?;
        let now = hydrator.clock.now();
        let (records, next) = match reply {
            ReadReply::Answer(page) => {
                let next = page.next.clone();
                (walk.handle_page(page, now), next)
            }
            ReadReply::Rejected(rejection) => {
                walk.handle_rejection(rejection, now);
                (Vec::new(), None)
            }
        };
        hydrator.pacer.set_pause(&self.record.batch, hydrator.clock.instant(), walk.pause());
        let coverage = walk.coverage();
        self.from_start = coverage.start && !coverage.gap;
        let before = self.collector.total();
        for record in records {
            self.add_record(record).await?;
        }
        walk.add_events(self.collector.total() - before);
        Ok(next)
    }

    /// Waits until the shard may be read again.
    async fn wait_for_shard(&self) -> Result<(), HydrateError> {
        let pause = self.hydrator.pause_before(&self.record.batch);
        if pause.is_zero() { Ok(()) } else { wait(&self.hydrator.clock, pause, self.deadline.read).await }
    }

    /// Adds the event records that Lambda would have delivered for a stream record.
    async fn add_record(&mut self, record: StreamRecord) -> Result<(), HydrateError> {
        match record {
            StreamRecord::Kinesis(record) => self.add_kinesis(&record).await,
            StreamRecord::DynamoDb(record) => self.add_dynamodb(&record).await,
        }
    }

    async fn add_dynamodb(&mut self, record: &DynamoDbRecord) -> Result<(), HydrateError> {
        let stream = &self.record.batch.stream;
        self.add_event(Origin::Stream, &record.sequence_number, |records, view| {
            record.write_event(stream, records);
            if let Some(view) = view {
                view::write_dynamodb(record, view);
            }
        })
        .await
    }

    async fn add_kinesis(&mut self, record: &KinesisRecord) -> Result<(), HydrateError> {
        let (stream, shard_id) = (&self.record.batch.stream, &self.record.batch.shard_id);
        // Lambda de-aggregates KPL records for a mapping with an enhanced fan-out consumer, and for no other.
        if stream.is_consumer()
            && let Some(user_records) = kpl::deaggregate(&record.data)
        {
            return self.add_user_records(record, &user_records).await;
        }
        self.add_event(Origin::Stream, &record.sequence_number, |records, view| {
            record.write_event(stream, shard_id, records);
            if let Some(view) = view {
                view::write_kinesis(&record.data, view);
            }
        })
        .await
    }

    /// Adds the user records of a KPL aggregate. They share its sequence number.
    async fn add_user_records(
        &mut self,
        aggregate: &KinesisRecord,
        user_records: &[UserRecord<'_>],
    ) -> Result<(), HydrateError> {
        let (stream, shard_id) = (&self.record.batch.stream, &self.record.batch.shard_id);
        for user_record in user_records {
            let event = aggregate.opened(user_record);
            self.add_event(Origin::Stream, &aggregate.sequence_number, |records, view| {
                event.write_event(stream, shard_id, records);
                if let Some(view) = view {
                    view::write_kinesis_user_record(&event.data, view);
                }
            })
            .await?;
        }
        Ok(())
    }

    /// Collects an event record, and sends every part that is full.
    async fn add_event(
        &mut self,
        origin: Origin,
        number: &SequenceNumber,
        write: impl FnOnce(&mut String, Option<&mut String>),
    ) -> Result<(), HydrateError> {
        self.collector.push(number, write);
        while let Some(part) = self.collector.take_full_part() {
            self.send(part, &Verdict::part(), origin, false).await?;
            if origin == Origin::Stream {
                self.delivered = self.collector.last_boundary().cloned();
            }
        }
        Ok(())
    }

    async fn conclude(&mut self, verdict: Verdict, origin: Origin) -> Result<Hydrated, HydrateError> {
        let recovered_records = self.collector.total();
        if let Some(part) = self.collector.take_repeated_part() {
            self.send(part, &Verdict::part(), origin, false).await?;
        }
        let part = self.collector.take_last_part();
        self.send(part, &verdict, origin, true).await?;
        let batch = &self.record.batch;
        let age = batch.first_arrival.map(|first| self.hydrator.clock.now().millis_since(first));
        Ok(Hydrated {
            id: batch.id(),
            verdict,
            origin: Some(origin),
            recovered_records,
            sent: std::mem::take(&mut self.sent),
            oldest_record_age: age,
        })
    }

    async fn send(&mut self, part: Part, verdict: &Verdict, origin: Origin, last: bool) -> Result<(), HydrateError> {
        let batch = &self.record.batch;
        let (batch_id, digest) = (batch.id(), part.digest());
        // Only a range that needs more than one message has parts.
        let number = self.parts() + 1;
        let part_number = (number > 1 || !last).then_some(PartNumber { number, last });
        let id = if part_number.is_some() { format!("{batch_id}-{digest}") } else { batch_id.clone() };
        let hydration = Hydration {
            expected_records: batch.batch_size,
            source: Some(batch.stream.source()),
            origin: Some(origin),
            object: self.record.object.clone(),
            part: part_number,
            ..self.hydrator.hydration(id.clone(), verdict, &part)
        };
        let original = OriginalMessage::InvocationRecord { fields: &self.record.fields, source: batch.stream.source() };
        let draft = Draft {
            body: Body::new(original, hydration, &part),
            id,
            batch_id,
            digest,
            status: verdict.status,
            batch: Some(batch),
            records: part.count,
        };
        self.sent.push(self.hydrator.sender(self.deadline).send(draft, self.stats).await?);
        Ok(())
    }

    /// Number of parts sent so far, including those of earlier invocations.
    fn parts(&self) -> u32 {
        self.earlier_parts.saturating_add(u32::try_from(self.sent.len()).unwrap_or(u32::MAX))
    }

    /// Sends the rest of the range to the retry queue, if this run has delivered a part. Then every invocation gets
    /// further than the one before. Otherwise it returns the error, and the whole range is tried again.
    async fn continue_later(mut self, error: HydrateError) -> Result<HydrationOutcome, HydrateError> {
        let settings = &self.hydrator.settings;
        let (Some(queue_url), Some(cut)) = (&settings.retry_queue_url, self.delivered.take()) else {
            return Err(error);
        };
        let continuation = Continuation {
            after: cut.number,
            parts: self.parts(),
            recovered_records: cut.records,
            from_start: self.from_start,
            object: self.record.object.clone(),
        };
        let body = continuation.body(&self.record.fields);
        let delay = if error == HydrateError::DeadlineReached { Duration::ZERO } else { RETRY_DELAY_AFTER_FAULT };
        let sender = self.hydrator.sender(self.deadline);
        match sender.send_to_retry_queue(queue_url, &body, delay, self.stats).await {
            Ok(()) => Ok(HydrationOutcome::Continued(Continued {
                id: self.record.batch.id(),
                cause: error,
                recovered_records: continuation.recovered_records,
                sent: self.sent,
            })),
            // The first error says why the time was over.
            Err(HydrateError::DeadlineReached) => Err(error),
            Err(error) => Err(error),
        }
    }
}
