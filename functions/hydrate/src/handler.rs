//! The answer to an invocation: every batch in it is tried, and each has one log line.

use std::time::{Duration, Instant};

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse};
use hydration::error::HydrateError;
use hydration::hydrator::{Deadline, Hydrator, Sent};
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
/// The least that a batch gets while time is left: an equal share among many could be shorter than a pause.
const MIN_SHARE: Duration = Duration::from_secs(2);
const TIME_WITHOUT_DEADLINE: Duration = Duration::from_secs(300);
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const MAX_INVOCATION: Duration = Duration::from_secs(900);

pub struct Handler<R, O, C> {
    pub hydrator: Hydrator<R, O, C>,
    pub telemetry: Telemetry,
}

/// One batch to try, or an error in its place, and the message of the event that it came in.
struct Job {
    message: usize,
    item: Item,
}

/// The results of the batches that one message of the event held.
#[derive(Default)]
struct Results {
    sent: Vec<Sent>,
    errors: Vec<HydrateError>,
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
        let time = Time { end: self.hydrator.clock.instant() + time_left(&event.context, self.hydrator.clock.now()) };
        match read? {
            Event::Whole(items) => {
                let total = items.len();
                let results = self.try_all(vec![items], &time, &invocation).await;
                let Results { sent, errors } = results.into_iter().next().unwrap_or_default();
                if errors.is_empty() {
                    Ok(Answer::Batches { batches: sent.into_iter().map(SentBatch::from).collect() })
                } else {
                    // What was sent will be sent again, under the same ids.
                    Err(Failure::of(&errors, total))
                }
            }
            Event::Queue(messages) => {
                let (ids, items): (Vec<_>, Vec<_>) =
                    messages.into_iter().map(|message| (message.message_id, message.items)).unzip();
                let results = self.try_all(items, &time, &invocation).await;
                let mut response = SqsBatchResponse::default();
                for (id, _) in ids.into_iter().zip(results).filter(|(_, results)| !results.errors.is_empty()) {
                    let mut failure = BatchItemFailure::default();
                    failure.item_identifier = id;
                    response.batch_item_failures.push(failure);
                }
                Ok(Answer::Queue(response))
            }
        }
    }

    /// Tries every batch, whatever became of those before it. The batch whose shard may be read first goes first, so
    /// that the pauses of one shard pass while another is read.
    async fn try_all(&self, messages: Vec<Vec<Item>>, time: &Time, invocation: &Invocation) -> Vec<Results> {
        let mut results: Vec<Results> = messages.iter().map(|_| Results::default()).collect();
        let jobs = |(message, items): (usize, Vec<Item>)| items.into_iter().map(move |item| Job { message, item });
        let mut pending: Vec<Job> = messages.into_iter().enumerate().flat_map(jobs).collect();
        while let Some(next) = (0..pending.len()).min_by_key(|index| pending.get(*index).map(|job| self.pause(job))) {
            let left = pending.len();
            let job = pending.remove(next);
            let deadline = time.share(self.hydrator.clock.instant(), self.pause(&job), left);
            let result = self.try_one(&job.item, deadline, invocation).await;
            if let Some(results) = results.get_mut(job.message) {
                match result {
                    Ok(sent) => results.sent.extend(sent),
                    Err(error) => results.errors.push(error),
                }
            }
        }
        results
    }

    async fn try_one(
        &self,
        item: &Item,
        deadline: Deadline,
        invocation: &Invocation,
    ) -> Result<Vec<Sent>, HydrateError> {
        let started = self.hydrator.clock.instant();
        let mut tally = Tally::default();
        let result = match item {
            Err(error) => Err(error.clone()),
            Ok(intake) => {
                let remaining = deadline.deliver.saturating_duration_since(started);
                // On the heap: the futures of a whole hydration nest deeper than the compiler likes to lay out.
                let hydration = Box::pin(self.hydrator.hydrate(intake, deadline, &mut tally));
                // A call that hangs must not take the other batches' time with it.
                tokio::time::timeout(remaining, hydration).await.unwrap_or(Err(HydrateError::DeadlineReached))
            }
        };
        let duration = self.hydrator.clock.instant().saturating_duration_since(started);
        let batch = item.as_ref().ok().and_then(Intake::batch);
        let about = About { invocation, batch, tally: &tally, duration };
        match result {
            Ok(outcome) => {
                self.telemetry.outcome(about, &outcome);
                Ok(outcome.sent())
            }
            Err(error) => {
                self.telemetry.failed(about, &error);
                Err(error)
            }
        }
    }

    /// The time for which the job's shard is still left to its other readers.
    fn pause(&self, job: &Job) -> Duration {
        let batch = job.item.as_ref().ok().and_then(Intake::batch);
        batch.map_or(Duration::ZERO, |batch| self.hydrator.pause_before(batch))
    }
}

/// The invocation's time, shared out among its batches.
struct Time {
    end: Instant,
}

impl Time {
    /// An equal share of what is left, the last part of it reserved for delivery. A pause before the first read is
    /// nobody's share: all batches that are left have to wait as long.
    fn share(&self, now: Instant, pause: Duration, left: usize) -> Deadline {
        let remaining = self.end.saturating_duration_since(now).saturating_sub(pause);
        let equal = remaining / u32::try_from(left.max(1)).unwrap_or(u32::MAX);
        let share = equal.max(MIN_SHARE).min(remaining);
        let deliver = now + pause + share;
        Deadline { read: deliver - (share / 4).min(DELIVERY_RESERVE), deliver }
    }
}

/// The time until the answer must be ready. Lambda never hands over an event past its deadline, but a stand-in for it
/// may: `cargo lambda watch` writes a duration where a time belongs.
fn time_left(context: &lambda_runtime::Context, now: Timestamp) -> Duration {
    let left = i64::try_from(context.deadline).ok().map(|deadline| deadline.saturating_sub(now.millis()));
    let left = left.and_then(|millis| u64::try_from(millis).ok()).filter(|millis| *millis > 0);
    let left = left.map_or(TIME_WITHOUT_DEADLINE, Duration::from_millis).min(MAX_INVOCATION);
    left.saturating_sub(ANSWER_RESERVE)
}

#[cfg(test)]
mod tests;
