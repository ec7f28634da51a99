//! Answers an invocation: every batch in it is tried, and each is told of in one log line.

use std::time::Duration;

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse};
use hydration::error::HydrateError;
use hydration::hydrate::{Deadline, Hydrator, Sent};
use hydration::intake::Intake;
use hydration::ports::{Clock, Outbox, ShardReader};
use hydration::retry::Tally;
use hydration::timestamp::Timestamp;
use lambda_runtime::LambdaEvent;
use serde_json::value::RawValue;

use crate::answer::{Answer, Failure, SentBatch};
use crate::event::{Event, Item};
use crate::telemetry::{About, Invocation, Telemetry};

/// Kept back from the invocation's time for its answer.
const ANSWER_RESERVE: Duration = Duration::from_millis(500);
/// The most that is kept back from a batch's time for delivering what was read: retries of two calls.
const DELIVERY_RESERVE: Duration = Duration::from_secs(15);

pub struct Handler<R, O, C> {
    pub hydrator: Hydrator<R, O, C>,
    pub telemetry: Telemetry,
}

impl<R: ShardReader, O: Outbox, C: Clock> Handler<R, O, C> {
    pub async fn handle(&self, event: LambdaEvent<Box<RawValue>>) -> Result<Answer, Failure> {
        let invocation = self.telemetry.invocation(&event.context);
        let event_text = event.payload;
        let read = Event::read(event_text.get()).map_err(|error| {
            self.telemetry.not_taken(&invocation, &error);
            Failure::of(&[error], 1)
        });
        // The invocation record keeps what it needs; a large payload need not be there twice.
        drop(event_text);
        let time = Time { end: deadline(&event.context, self.hydrator.clock.now()) };
        match read? {
            Event::Whole(items) => self.whole(items, &time, &invocation).await,
            Event::Queue(messages) => {
                let mut left = messages.iter().map(|message| message.items.len()).sum();
                let mut response = SqsBatchResponse::default();
                for message in messages {
                    let (_, errors) = self.each(message.items, &mut left, &time, &invocation).await;
                    if !errors.is_empty() {
                        let mut failure = BatchItemFailure::default();
                        failure.item_identifier = message.message_id;
                        response.batch_item_failures.push(failure);
                    }
                }
                Ok(Answer::Queue(response))
            }
        }
    }

    async fn whole(&self, items: Vec<Item>, time: &Time, invocation: &Invocation) -> Result<Answer, Failure> {
        let total = items.len();
        let (sent, errors) = self.each(items, &mut { total }, time, invocation).await;
        if errors.is_empty() {
            Ok(Answer::Batches { batches: sent.into_iter().map(SentBatch::from).collect() })
        } else {
            // What was sent will be sent again, under the same ids.
            Err(Failure::of(&errors, total))
        }
    }

    /// Tries every item, whatever became of those before it. `left` counts the items that still want time.
    async fn each(
        &self,
        items: Vec<Item>,
        left: &mut usize,
        time: &Time,
        invocation: &Invocation,
    ) -> (Vec<Sent>, Vec<HydrateError>) {
        let (mut sent, mut errors) = (Vec::new(), Vec::new());
        for item in items {
            let started = self.hydrator.clock.now();
            let deadline = time.share(started, *left);
            *left = left.saturating_sub(1);
            let mut tally = Tally::default();
            let result = match &item {
                Err(error) => Err(error.clone()),
                Ok(intake) => {
                    let remaining = deadline.deliver.millis_since(started).max(0).unsigned_abs();
                    // On the heap: the futures of a whole hydration nest deeper than the compiler likes to lay out.
                    let hydration = Box::pin(self.hydrator.hydrate(intake, deadline, &mut tally));
                    // A call that hangs must not take the other batches' time with it.
                    match tokio::time::timeout(Duration::from_millis(remaining), hydration).await {
                        Ok(result) => result,
                        Err(_) => Err(HydrateError::DeadlineReached),
                    }
                }
            };
            let duration = self.hydrator.clock.now().millis_since(started);
            let batch = item.as_ref().ok().and_then(Intake::batch);
            let about = About { invocation, batch, tally: &tally, duration };
            match result {
                Ok(hydrated) => {
                    self.telemetry.hydrated(about, &hydrated);
                    sent.extend(hydrated.sent);
                }
                Err(error) => {
                    self.telemetry.failed(about, &error);
                    errors.push(error);
                }
            }
        }
        (sent, errors)
    }
}

/// The invocation's time, shared out among its batches.
struct Time {
    end: Timestamp,
}

impl Time {
    /// An equal share of what is left, the last part of it reserved for delivery.
    fn share(&self, now: Timestamp, left: usize) -> Deadline {
        let share = self.end.millis_since(now).max(0) / i64::try_from(left.max(1)).unwrap_or(i64::MAX);
        let deliver = now.plus_millis(share);
        let reserve = (share / 4).min(DELIVERY_RESERVE.as_millis() as i64);
        Deadline { read: deliver.plus_millis(-reserve), deliver }
    }
}

/// When the answer must be ready. Lambda never hands over an event past its deadline, but a stand-in for it may:
/// `cargo lambda watch` writes a duration where a moment belongs.
fn deadline(context: &lambda_runtime::Context, now: Timestamp) -> Timestamp {
    let without_deadline = now.plus_millis(Duration::from_secs(300).as_millis() as i64);
    let deadline = i64::try_from(context.deadline).ok().filter(|deadline| *deadline > now.millis());
    deadline.map_or(without_deadline, Timestamp::from_millis).plus_millis(-(ANSWER_RESERVE.as_millis() as i64))
}
#[cfg(test)]
mod tests;
