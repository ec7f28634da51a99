//! A clock that moves only when a test moves it, or when a call sleeps.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::ports::Clock;
use crate::timestamp::Timestamp;

/// 2026-11-21T00:00:00Z, the start of tests that need no other.
pub const START_MILLIS: i64 = 1_795_219_200_000;

/// A clock for tests. Its copies show the same time.
#[derive(Debug, Clone)]
pub struct ManualClock {
    start_millis: i64,
    start_instant: Instant,
    elapsed: Rc<Cell<Duration>>,
    is_stopped: bool,
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::starting_at(START_MILLIS)
    }
}

impl ManualClock {
    /// A clock that starts at milliseconds since the Unix epoch.
    pub fn starting_at(millis: i64) -> Self {
        Self { start_millis: millis, start_instant: Instant::now(), elapsed: Rc::default(), is_stopped: false }
    }

    /// A clock that always shows the same time, even after a sleep.
    pub fn stopped_at(millis: i64) -> Self {
        Self { is_stopped: true, ..Self::starting_at(millis) }
    }

    pub fn advance(&self, duration: Duration) {
        self.elapsed.set(self.elapsed.get() + duration);
    }

    pub fn advance_millis(&self, millis: u64) {
        self.advance(Duration::from_millis(millis));
    }

    /// The time in milliseconds since the Unix epoch.
    pub fn now_millis(&self) -> i64 {
        self.start_millis + i64::try_from(self.elapsed.get().as_millis()).expect("the time fits 64 bits")
    }

    /// The instant after a duration from now.
    pub fn instant_after(&self, duration: Duration) -> Instant {
        self.instant() + duration
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now_millis())
    }

    fn instant(&self) -> Instant {
        self.start_instant + self.elapsed.get()
    }

    async fn sleep(&self, duration: Duration) {
        if !self.is_stopped {
            self.advance(duration);
        }
    }

    fn jitter(&self) -> f64 {
        0.5
    }
}
