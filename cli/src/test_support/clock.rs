//! A clock that stands still until somebody sleeps.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use hydration::ports::Clock;
use hydration::timestamp::Timestamp;

/// The start of every test.
pub const START: &str = "2026-11-21T12:00:00Z";

/// An instant after the start, for clocks that only know a duration.
pub fn instant_after(duration: Duration) -> Instant {
    static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);
    *STARTED + duration
}

#[derive(Debug, Clone, Default)]
pub struct YieldingClock {
    elapsed: Rc<Cell<Duration>>,
    /// No sleep ever ends from now on.
    pub is_hanging: Rc<Cell<bool>>,
}

impl YieldingClock {
    pub fn advance(&self, duration: Duration) {
        self.elapsed.set(self.elapsed.get() + duration);
    }
}

impl Clock for YieldingClock {
    fn now(&self) -> Timestamp {
        Timestamp::parse(START).unwrap().plus_millis(i64::try_from(self.elapsed.get().as_millis()).unwrap())
    }

    fn instant(&self) -> Instant {
        instant_after(self.elapsed.get())
    }

    async fn sleep(&self, duration: Duration) {
        if self.is_hanging.get() {
            std::future::pending::<()>().await;
        }
        self.advance(duration);
        // Other tasks get their turn, as in a real sleep.
        tokio::task::yield_now().await;
    }

    fn jitter(&self) -> f64 {
        0.5
    }
}
