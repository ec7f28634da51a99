//! The handler of an invocation. It tries every batch of the event, and each batch has one log line.

use std::time::{Duration, Instant};

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse};
use function_kit::invocation::InvocationContext;
use hydration::error::HydrateError;
use hydration::hydrator::{Deadline, Hydrator, Sent};
use hydration::incoming::{IncomingMessage, Recognized};
use hydration::ports::{Clock, ObjectReader, Outbox, ShardReader};
use hydration::retry::CallStats;
use hydration::timestamp::Timestamp;
use lambda_runtime::LambdaEvent;
use serde_json::value::RawValue;

use crate::event::{Event, SqsMessage};
use crate::response::{HandlerError, HandlerResponse, SentBatch};
use crate::telemetry::{BatchContext, Telemetry};

/// The time that is reserved for the response.
const RESPONSE_RESERVE: Duration = Duration::from_millis(500);
/// The longest time that is reserved for delivering a batch: the retries of two calls.
const MAX_DELIVERY_RESERVE: Duration = Duration::from_secs(15);
/// The shortest time for a batch while time is left. An equal share could be shorter than a pause between two reads.
const MIN_BATCH_TIME: Duration = Duration::from_secs(2);
/// The time for an invocation without a deadline.
const DEFAULT_INVOCATION_TIME: Duration = Duration::from_secs(300);
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const MAX_INVOCATION_TIME: Duration = Duration::from_secs(900);

pub struct Handler<R, O, C> {
    pub hydrator: Hydrator<R, O, C>,
    pub telemetry: Telemetry,
}

/// A batch that was not tried yet.
struct PendingBatch {
    /// The index of the message that holds it.
    message: usize,
    incoming: Recognized,
}

/// The results of the batches in one message.
#[derive(Default)]
struct MessageResults {
    sent: Vec<Sent>,
    errors: Vec<HydrateError>,
}

impl<R: ShardReader + ObjectReader, O: Outbox, C: Clock> Handler<R, O, C> {
    pub async fn handle(&self, event: LambdaEvent<Box<RawValue>>) -> Result<HandlerResponse, HandlerError> {
        let invocation = self.telemetry.invocation(&event.context);
        let event_text = event.payload;
        let parsed = Event::parse(event_text.get()).map_err(|error| {
            self.telemetry.event_rejected(&invocation, &error);
            HandlerError::new(&[error], 1)
        });
        // The event may have 6 MB, and the invocation record has copied what it needs.
        drop(event_text);
        let time = InvocationTime {
            end: self.hydrator.clock.instant() + time_left(&event.context, self.hydrator.clock.now()),
        };
        match parsed? {
            Event::AllOrNothing(messages) => self.handle_all(messages, &time, &invocation).await,
            Event::Sqs(messages) => Ok(self.handle_sqs(messages, &time, &invocation).await),
        }
    }

    async fn handle_all(
        &self,
        messages: Vec<Recognized>,
        time: &InvocationTime,
        invocation: &InvocationContext,
    ) -> Result<HandlerResponse, HandlerError> {
        let total = messages.len();
        let results = self.try_all(vec![messages], time, invocation).await;
        let MessageResults { sent, errors } = results.into_iter().next().unwrap_or_default();
        if errors.is_empty() {
            Ok(HandlerResponse::Batches { batches: sent.into_iter().map(SentBatch::from).collect() })
        } else {
            // The retry sends all of them again, with the same ids.
            Err(HandlerError::new(&errors, total))
        }
    }

    async fn handle_sqs(
        &self,
        messages: Vec<SqsMessage>,
        time: &InvocationTime,
        invocation: &InvocationContext,
    ) -> HandlerResponse {
        let (ids, messages): (Vec<_>, Vec<_>) =
            messages.into_iter().map(|message| (message.message_id, message.messages)).unzip();
        let results = self.try_all(messages, time, invocation).await;
        let mut response = SqsBatchResponse::default();
        for (id, _) in ids.into_iter().zip(results).filter(|(_, results)| !results.errors.is_empty()) {
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id;
            response.batch_item_failures.push(failure);
        }
        HandlerResponse::Sqs(response)
    }

    /// Tries every batch, even after one has failed. The batch whose shard may be read first is next, so that other
    /// shards are read during the pause of one.
    async fn try_all(
        &self,
        messages: Vec<Vec<Recognized>>,
        time: &InvocationTime,
        invocation: &InvocationContext,
    ) -> Vec<MessageResults> {
        let mut results: Vec<MessageResults> = messages.iter().map(|_| MessageResults::default()).collect();
        let batches = |(message, batches): (usize, Vec<Recognized>)| {
            batches.into_iter().map(move |incoming| PendingBatch { message, incoming })
        };
        let mut pending: Vec<PendingBatch> = messages.into_iter().enumerate().flat_map(batches).collect();
        while let Some(next) = (0..pending.len()).min_by_key(|index| pending.get(*index).map(|batch| self.pause(batch)))
        {
            let count = pending.len();
            let batch = pending.remove(next);
            let deadline = time.share(self.hydrator.clock.instant(), self.pause(&batch), count);
            let result = self.try_one(batch.incoming, deadline, invocation).await;
            let Some(results) = results.get_mut(batch.message) else { continue };
            match result {
                Ok(sent) => results.sent.extend(sent),
                Err(error) => results.errors.push(error),
            }
        }
        results
    }

    async fn try_one(
        &self,
        incoming: Recognized,
        deadline: Deadline,
        invocation: &InvocationContext,
    ) -> Result<Vec<Sent>, HydrateError> {
        let started = self.hydrator.clock.instant();
        let mut stats = CallStats::default();
        let object = incoming.as_ref().ok().and_then(IncomingMessage::object);
        // An object is opened first, so that the log line and the metrics name the batch in it.
        let opened = match incoming {
            Err(error) => Err(error),
            // The futures are boxed because nested futures of this size exceed the compiler's recursion limit.
            Ok(message) => self.in_time(deadline, Box::pin(self.hydrator.open(message, deadline, &mut stats))).await,
        };
        let result = match &opened {
            Err(error) => Err(error.clone()),
            Ok(message) => self.in_time(deadline, Box::pin(self.hydrator.hydrate(message, deadline, &mut stats))).await,
        };
        let duration = self.hydrator.clock.instant().saturating_duration_since(started);
        let message = opened.as_ref().ok();
        let batch = message.and_then(IncomingMessage::batch);
        let object = message.and_then(IncomingMessage::object).or(object);
        let context = BatchContext { invocation, batch, object: object.as_deref(), stats: &stats, duration };
        match result {
            Ok(outcome) => {
                self.telemetry.finished(context, &outcome);
                Ok(outcome.sent())
            }
            Err(error) => {
                self.telemetry.failed(context, &error);
                Err(error)
            }
        }
    }

    /// The result of a step. The timeout keeps a call that hangs from using the other batches' time.
    async fn in_time<T>(
        &self,
        deadline: Deadline,
        step: impl Future<Output = Result<T, HydrateError>>,
    ) -> Result<T, HydrateError> {
        let remaining = deadline.deliver.saturating_duration_since(self.hydrator.clock.instant());
        tokio::time::timeout(remaining, step).await.unwrap_or(Err(HydrateError::DeadlineReached))
    }

    /// The pause before the batch's shard may be read again.
    fn pause(&self, pending: &PendingBatch) -> Duration {
        let batch = pending.incoming.as_ref().ok().and_then(IncomingMessage::batch);
        batch.map_or(Duration::ZERO, |batch| self.hydrator.pause_before(batch))
    }
}

/// The time of the invocation, which its batches share.
struct InvocationTime {
    end: Instant,
}

impl InvocationTime {
    /// The deadlines of the next batch: an equal share of the time that is left, with its last part reserved for
    /// delivery. The pause before the first read belongs to no share, because all remaining batches have to wait.
    fn share(&self, now: Instant, pause: Duration, batches_left: usize) -> Deadline {
        let remaining = self.end.saturating_duration_since(now).saturating_sub(pause);
        let equal = remaining / u32::try_from(batches_left.max(1)).unwrap_or(u32::MAX);
        let share = equal.max(MIN_BATCH_TIME).min(remaining);
        // The pause may be longer than the time that is left.
        let deliver = (now + pause + share).min(self.end);
        Deadline { read: deliver - (share / 4).min(MAX_DELIVERY_RESERVE), deliver }
    }
}

/// The time until the response must be ready. Lambda never invokes a function after its deadline, but emulators may:
/// `cargo lambda watch` sends a duration in place of a deadline.
fn time_left(context: &lambda_runtime::Context, now: Timestamp) -> Duration {
    let left = i64::try_from(context.deadline).ok().map(|deadline| deadline.saturating_sub(now.millis()));
    let left = left.and_then(|millis| u64::try_from(millis).ok()).filter(|millis| *millis > 0);
    let left = left.map_or(DEFAULT_INVOCATION_TIME, Duration::from_millis).min(MAX_INVOCATION_TIME);
    left.saturating_sub(RESPONSE_RESERVE)
}

#[cfg(test)]
mod tests;
