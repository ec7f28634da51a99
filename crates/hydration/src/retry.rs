//! Retries inside the invocation, for faults that pass in seconds. Longer faults are left to Lambda's retries and the
//! retry queue.

use std::time::{Duration, Instant};

use crate::error::{Fault, FaultKind, HydrateError};
use crate::ports::Clock;

/// Calls made for one answer, the first included. With the delays below, throttling may last some seven seconds: a
/// 10 MiB page is followed by up to 5 s of it
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html>).
const ATTEMPTS: u32 = 6;
const FIRST_DELAY: Duration = Duration::from_millis(250);

/// The calls that a hydration made so far; counted whether it succeeds or fails.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// `GetShardIterator` calls.
    pub iterators: u32,
    /// `GetRecords` calls.
    pub read_calls: u32,
    /// Answers that asked for fewer calls.
    pub throttles: u32,
    /// Bytes put into the overflow bucket.
    pub overflow_bytes: u64,
}

/// The faults of one call, counted.
pub(crate) struct Attempts<'a, C> {
    clock: &'a C,
    deadline: Instant,
    made: u32,
}

impl<'a, C: Clock> Attempts<'a, C> {
    pub(crate) fn new(clock: &'a C, deadline: Instant) -> Self {
        Self { clock, deadline, made: 0 }
    }

    /// Waits before the next attempt, or says that there is none.
    pub(crate) async fn after(&mut self, fault: Fault, tally: &mut Tally) -> Result<(), HydrateError> {
        self.made += 1;
        if fault.kind == FaultKind::Throttled {
            tally.throttles += 1;
        }
        if !fault.kind.is_transient() || self.made == ATTEMPTS {
            return Err(fault.into());
        }
        // Half of the delay is chance, so that failures that came together do not come back together.
        let delay = FIRST_DELAY.mul_f64(f64::from(1 << (self.made - 1)) * (0.5 + self.clock.jitter() / 2.0));
        wait(self.clock, delay, self.deadline).await.map_err(|_| fault.into())
    }
}

/// Sleeps, unless the deadline comes first.
pub(crate) async fn wait(clock: &impl Clock, delay: Duration, deadline: Instant) -> Result<(), HydrateError> {
    if clock.instant() + delay >= deadline {
        return Err(HydrateError::DeadlineReached);
    }
    clock.sleep(delay).await;
    Ok(())
}
