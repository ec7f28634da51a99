//! Retries within the invocation, for faults that last seconds. Longer faults are left to Lambda's retries and the
//! retry queue.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::error::{Fault, FaultKind, HydrateError};
use crate::ports::Clock;

/// Attempts for one call, the first included. With the delays below, throttling may last about seven seconds: Kinesis
/// throttles for up to 5 seconds after a page of 10 MiB
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html>).
const MAX_ATTEMPTS: u32 = 6;
const MIN_RETRY_DELAY: Duration = Duration::from_millis(250);

/// Counters of a hydration's calls. They are kept whether it succeeds or fails.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallStats {
    /// `GetShardIterator` calls.
    pub iterators: u32,
    /// `GetRecords` calls.
    pub read_calls: u32,
    /// Calls that were throttled.
    pub throttles: u32,
    /// Bytes written to the overflow bucket.
    pub overflow_bytes: u64,
}

/// Exponential backoff with jitter, for the attempts of one call.
pub(crate) struct RetryBackoff<'a, C> {
    clock: &'a C,
    deadline: Instant,
    attempts: u32,
}

impl<'a, C: Clock> RetryBackoff<'a, C> {
    pub(crate) fn new(clock: &'a C, deadline: Instant) -> Self {
        Self { clock, deadline, attempts: 0 }
    }

    /// Waits before the next attempt. Returns the fault as an error when there is no next attempt.
    pub(crate) async fn wait_after(&mut self, fault: Fault, stats: &mut CallStats) -> Result<(), HydrateError> {
        self.attempts += 1;
        if fault.kind == FaultKind::Throttled {
            stats.throttles += 1;
        }
        if !fault.kind.is_transient() || self.attempts == MAX_ATTEMPTS {
            return Err(fault.into());
        }
        // Half of the delay is random, so that batches that failed at the same time do not retry at the same time.
        let delay = MIN_RETRY_DELAY.mul_f64(f64::from(1 << (self.attempts - 1)) * (0.5 + self.clock.jitter() / 2.0));
        wait(self.clock, delay, self.deadline).await.map_err(|_| fault.into())
    }
}

/// Sleeps. Fails without sleeping if the deadline would pass.
pub(crate) async fn wait(clock: &impl Clock, delay: Duration, deadline: Instant) -> Result<(), HydrateError> {
    if clock.instant() + delay >= deadline {
        return Err(HydrateError::DeadlineReached);
    }
    clock.sleep(delay).await;
    Ok(())
}

/// The result of a future. `None` if the deadline comes first.
pub(crate) async fn with_deadline<T>(
    clock: &impl Clock,
    deadline: Instant,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut work = pin!(work);
    let mut end = pin!(clock.sleep(deadline.saturating_duration_since(clock.instant())));
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(result) => Poll::Ready(Some(result)),
        Poll::Pending => end.as_mut().poll(context).map(|()| None),
    })
    .await
}
