//! So many invocations a second, however many shards there are.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

pub struct Pace {
    interval: Duration,
    next: Cell<Option<Instant>>,
}

impl Pace {
    pub fn new(per_second: f64) -> Self {
        Self { interval: Duration::from_secs_f64(1.0 / per_second), next: Cell::new(None) }
    }

    /// Waits for the next turn.
    pub async fn turn(&self) {
        let now = Instant::now();
        let turn = self.next.get().map_or(now, |next| next.max(now));
        self.next.set(Some(turn + self.interval));
        sleep_until(turn).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn turns_are_spread() {
        let pace = Pace::new(100.0);
        let started = Instant::now();
        for _ in 0..5 {
            pace.turn().await;
        }
        assert!(started.elapsed() >= Duration::from_millis(40));
    }
}
