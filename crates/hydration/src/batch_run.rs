//! One hydration under way: reads the range, collects its records, and sends every message that is full.

use std::time::Duration;

use crate::continuation::Continuation;
use crate::error::HydrateError;
use crate::hydrator::{Continued, Deadline, Hydrated, Hydrator, Outcome};
use crate::invocation_record::{InvocationRecord, Range};
use crate::kpl;
use crate::message::body::Subject;
use crate::message::{Body, Collector, CutAfter, Hydration, Origin, Part, PartNumber};
use crate::payload::Payload;
use crate::ports::{Clock, Outbox, Refusal, ShardIterator, ShardReader};
use crate::read::{Reading, Reply};
use crate::record::{KinesisRecord, StreamRecord};
use crate::retry::{Tally, wait};
use crate::sender::{Draft, Sent, Settings};
use crate::sequence_number::SequenceNumber;
use crate::verdict::{Verdict, judge};
use crate::view;
use crate::walk::{Step, Walk};

/// The delay of a batch's rest on the retry queue after a fault. A range that was only too long goes on at once.
const DELAY_AFTER_A_FAULT: Duration = Duration::from_secs(60);

/// A collector for the parts that follow `cut` records.
fn new_collector(record: &InvocationRecord, settings: &Settings, cut: u64) -> Collector {
    let collector = Collector::new(record.batch.batch_size, settings.decoded_view, cut);
    collector.with_max_part_bytes(settings.max_part_bytes)
}

/// One batch on its way.
pub(crate) struct BatchRun<'a, R, O, C> {
    hydrator: &'a Hydrator<R, O, C>,
    record: &'a InvocationRecord,
    deadline: Deadline,
    tally: &'a mut Tally,
    collector: Collector,
    sent: Vec<Sent>,
    /// The place where the parts end that this run has sent from the stream.
    delivered: Option<CutAfter>,
    /// The range was read from its first record on, without a gap.
    from_start: bool,
}

impl<'a, R: ShardReader, O: Outbox, C: Clock> BatchRun<'a, R, O, C> {
    pub(crate) fn new(
        hydrator: &'a Hydrator<R, O, C>,
        record: &'a InvocationRecord,
        deadline: Deadline,
        tally: &'a mut Tally,
    ) -> Self {
        let recovered = record.continuation.as_ref().map_or(0, |continuation| continuation.recovered_records);
        let collector = new_collector(record, &hydrator.settings, recovered);
        Self { hydrator, record, deadline, tally, collector, sent: Vec::new(), delivered: None, from_start: false }
    }

    pub(crate) async fn execute(mut self) -> Result<Outcome, HydrateError> {
        match self.hydrate().await {
            Ok(hydrated) => Ok(Outcome::Hydrated(hydrated)),
            Err(error) => self.continue_later(error).await,
        }
    }

    async fn hydrate(&mut self) -> Result<Hydrated, HydrateError> {
        let payload = Payload::read(self.record, self.hydrator.clock.now());
        match (self.record.batch.range(), payload) {
            (None, None) => self.conclude(Verdict::no_range(&self.record.batch), Origin::Stream).await,
            (Some(range), None) => {
                let verdict = self.read_stream(range).await?;
                self.conclude(verdict, Origin::Stream).await
            }
            (Some(range), Some(payload)) if !payload.is_whole() => {
                let verdict = self.read_stream(range).await?;
                // A range of which a part was sent is larger than any payload.
                if self.sent.is_empty() && payload.is_better_than(&verdict, self.collector.total()) {
                    self.deliver_payload(payload).await
                } else {
                    self.conclude(verdict, Origin::Stream).await
                }
            }
            (_, Some(payload)) => self.deliver_payload(payload).await,
        }
    }

    async fn deliver_payload(&mut self, payload: Payload) -> Result<Hydrated, HydrateError> {
        let batch = &self.record.batch;
        self.collector = new_collector(self.record, &self.hydrator.settings, 0);
        let is_deaggregated = batch.stream.is_consumer();
        for item in &payload.events {
            self.push(Origin::Payload, item.event.sequence_number(), |records, view| {
                records.push_str(item.raw.get());
                if let Some(view) = view {
                    item.event.write_view(is_deaggregated, view);
                }
            })
            .await?;
        }
        self.conclude(payload.verdict, Origin::Payload).await
    }

    /// Walks the range and collects its records. Parts that are full are sent on the way.
    async fn read_stream(&mut self, range: Range) -> Result<Verdict, HydrateError> {
        let hydrator = self.hydrator;
        let batch = &self.record.batch;
        let reading = Reading { reader: &hydrator.reader, clock: &hydrator.clock, batch, deadline: self.deadline.read };
        let mut walk = Walk::new(batch, range, self.record.continuation.clone());
        let mut iterator = None;
        let ending = loop {
            match walk.next() {
                Step::Finish(ending) => break ending,
                Step::Iterator(position) => {
                    if walk.doubts_not_found() {
                        self.leave_shard_alone().await?;
                    }
                    match reading.iterator(&position, self.tally).await? {
                        Reply::Answer(answer) => {
                            iterator = Some(answer);
                            walk.positioned();
                        }
                        Reply::Refused(refusal) => {
                            walk.refused(refusal, hydrator.clock.now());
                            if refusal == Refusal::NotFound {
                                hydrator.pacer.leave(batch, hydrator.clock.instant(), walk.pause());
                            }
                        }
                    }
                }
                Step::Page { limit } => {
                    iterator = self.read_page(&reading, &mut walk, iterator, limit).await?;
                }
            }
        };
        judge(batch, ending, &walk.seen(), self.collector.total(), hydrator.clock.now())
            .map_err(HydrateError::RangeNotReached)
    }

    /// Reads a page, takes its records, and returns the iterator for the page after it.
    async fn read_page(
        &mut self,
        reading: &Reading<'_, R, C>,
        walk: &mut Walk,
        iterator: Option<ShardIterator>,
        limit: u32,
    ) -> Result<Option<ShardIterator>, HydrateError> {
        let hydrator = self.hydrator;
        // The walk asks for a page only behind an iterator that is there.
        let Some(current) = iterator else {
            return Err(HydrateError::RangeNotReached("the shard ended while it was read"));
        };
        self.leave_shard_alone().await?;
        let reply = reading.page(&current, limit, self.tally).await?;
        let now = hydrator.clock.now();
        let mut next = None;
        let kept = match reply {
            Reply::Answer(page) => {
                next = page.next.clone();
                walk.page(page, now)
            }
            Reply::Refused(refusal) => {
                walk.refused(refusal, now);
                Vec::new()
            }
        };
        hydrator.pacer.leave(&self.record.batch, hydrator.clock.instant(), walk.pause());
        let seen = walk.seen();
        self.from_start = seen.start && !seen.gap;
        let before = self.collector.total();
        for record in kept {
            self.take(record).await?;
        }
        walk.taken(self.collector.total() - before);
        Ok(next)
    }

    async fn leave_shard_alone(&self) -> Result<(), HydrateError> {
        let pause = self.hydrator.pause_before(&self.record.batch);
        if pause.is_zero() { Ok(()) } else { wait(&self.hydrator.clock, pause, self.deadline.read).await }
    }

    /// Turns a stored record into the event records that Lambda would have delivered.
    async fn take(&mut self, record: StreamRecord) -> Result<(), HydrateError> {
        let (stream, shard_id) = (&self.record.batch.stream, &self.record.batch.shard_id);
        let stored = match record {
            StreamRecord::DynamoDb(change) => {
                return self
                    .push(Origin::Stream, &change.sequence_number, |records, view| {
                        change.write_event(stream, records);
                        if let Some(view) = view {
                            view::write_dynamodb(&change, view);
                        }
                    })
                    .await;
            }
            StreamRecord::Kinesis(stored) => stored,
        };
        // Lambda hands the user records of a KPL aggregate to a function behind an enhanced fan-out consumer, and the
        // aggregate as it is to any other.
        let Some(user_records) = stream.is_consumer().then(|| kpl::deaggregate(&stored.data)).flatten() else {
            return self
                .push(Origin::Stream, &stored.sequence_number, |records, view| {
                    stored.write_event(stream, shard_id, records);
                    if let Some(view) = view {
                        view::write_kinesis(&stored.data, view);
                    }
                })
                .await;
        };
        for user_record in &user_records {
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
        Ok(())
    }

    /// Collects a record, and sends every part that is full.
    async fn push(
        &mut self,
        origin: Origin,
        number: &SequenceNumber,
        write: impl FnOnce(&mut String, Option<&mut String>),
    ) -> Result<(), HydrateError> {
        self.collector.push(number, write);
        while let Some(part) = self.collector.full() {
            self.send(part, &Verdict::part(), origin, false).await?;
            if origin == Origin::Stream {
                self.delivered = self.collector.cut_after().cloned();
            }
        }
        Ok(())
    }

    async fn conclude(&mut self, verdict: Verdict, origin: Origin) -> Result<Hydrated, HydrateError> {
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
            part: part_number,
            ..self.hydrator.hydration(id.clone(), verdict, &part)
        };
        let draft = Draft {
            body: Body::new(Subject::Batch(&self.record.fields, batch.stream.source()), hydration, &part),
            id,
            batch_id,
            digest,
            status: verdict.status,
            batch: Some(batch),
            records: part.count,
        };
        self.sent.push(self.hydrator.sender(self.deadline).send(draft, self.tally).await?);
        Ok(())
    }

    /// Parts sent so far, those of earlier invocations included.
    fn parts(&self) -> u32 {
        let earlier = self.record.continuation.as_ref().map_or(0, |continuation| continuation.parts);
        earlier.saturating_add(u32::try_from(self.sent.len()).unwrap_or(u32::MAX))
    }

    /// Sends what is left to the retry queue, where this run has delivered a part: each leg then ends further on than
    /// it began. Without one, or without that queue, the whole is to be tried again.
    async fn continue_later(mut self, error: HydrateError) -> Result<Outcome, HydrateError> {
        let settings = &self.hydrator.settings;
        let (Some(queue_url), Some(cut)) = (&settings.retry_queue_url, self.delivered.take()) else {
            return Err(error);
        };
        let continuation = Continuation {
            after: cut.number,
            parts: self.parts(),
            recovered_records: cut.records,
            from_start: self.from_start,
        };
        let body = continuation.body(&self.record.fields);
        let delay = if error == HydrateError::DeadlineReached { Duration::ZERO } else { DELAY_AFTER_A_FAULT };
        let sender = self.hydrator.sender(self.deadline);
        match sender.send_to_retry_queue(queue_url, &body, delay, self.tally).await {
            Ok(()) => Ok(Outcome::Continued(Continued {
                id: self.record.batch.id(),
                cause: error,
                recovered_records: continuation.recovered_records,
                sent: self.sent,
            })),
            // The time was over before: the first error says so.
            Err(HydrateError::DeadlineReached) => Err(error),
            Err(error) => Err(error),
        }
    }
}
