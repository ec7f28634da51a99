//! A limit on what begins in a second: invocations of all shards, or searches of logs.

use std::cell::Cell;
use std::time::{Duration, Instant};

use hydration::ports::Clock;

pub struct RateLimiter {
    interval: Duration,
    next: Cell<Option<Instant>>,
}

impl RateLimiter {
    pub fn per_second(rate: f64) -> Self {
        Self { interval: Duration::from_secs_f64(1.0 / rate), next: Cell::new(None) }
    }

    /// Waits until the next one may start.
    pub async fn wait<C: Clock>(&self, clock: &C) {
        let now = clock.instant();
        let start = self.next.get().map_or(now, |next| next.max(now));
        self.next.set(Some(start + self.interval));
        clock.sleep(start - now).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::clock::YieldingClock;

    #[tokio::test]
    async fn invocations_are_spread() {
        let (limiter, clock) = (RateLimiter::per_second(100.0), YieldingClock::default());
        let started = clock.instant();
        for _ in 0..5 {
            limiter.wait(&clock).await;
        }
        assert_eq!(clock.instant() - started, Duration::from_millis(40));
    }
}
