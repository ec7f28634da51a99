//! The windows of time that digests are about: one begins where the last one ended.
//!
//! A line belongs to the window in which CloudWatch Logs took it in, not to the one of its own time: a line that comes
//! late is in the next window, and no line is in two.

use hydration::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

/// The longest window. After a longer pause, the time before it is not looked at, and the message says so.
const LONGEST_MILLIS: i64 = 24 * 60 * 60 * 1000;

/// A window of time: from `from`, up to but without `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigestWindow {
    #[serde(with = "crate::state::rfc3339")]
    pub from: Timestamp,
    #[serde(with = "crate::state::rfc3339")]
    pub to: Timestamp,
}

impl DigestWindow {
    pub fn contains(&self, time: Timestamp) -> bool {
        (self.from..self.to).contains(&time)
    }

    /// The window that begins at `end` and ends at `to`, and the time before it that is not looked at. `None` if
    /// there is nothing in between.
    pub fn between(end: Timestamp, to: Timestamp) -> Option<(Self, Option<Self>)> {
        let from = end.max(to.plus_millis(-LONGEST_MILLIS));
        let skipped = (from > end).then_some(Self { from: end, to: from });
        (to > end).then_some((Self { from, to }, skipped))
    }
}

/// The end of the window that may be read now: whole seconds, `delay_millis` ago.
pub fn readable_until(now: Timestamp, delay_millis: i64) -> Timestamp {
    let to = now.millis().saturating_sub(delay_millis);
    Timestamp::from_millis(to - to.rem_euclid(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn a_window_begins_where_the_last_one_ended_and_the_end_is_not_in_it() {
        let (window, skipped) = DigestWindow::between(at(100), at(400)).unwrap();
        assert_eq!((window.from, window.to, skipped), (at(100), at(400), None));
        assert!(window.contains(at(100)) && !window.contains(at(400)));
    }

    #[test]
    fn there_is_no_window_when_no_time_has_passed_or_the_clock_went_back() {
        assert_eq!(DigestWindow::between(at(100), at(100)), None);
        assert_eq!(DigestWindow::between(at(100), at(99)), None);
    }

    #[test]
    fn a_long_pause_is_one_window_of_a_day_and_a_rest_that_is_named() {
        let (window, skipped) = DigestWindow::between(at(0), at(100_000)).unwrap();
        assert_eq!((window.from, window.to), (at(13_600), at(100_000)));
        assert_eq!(skipped, Some(DigestWindow { from: at(0), to: at(13_600) }));
    }

    #[test]
    fn the_end_is_a_whole_second() {
        assert_eq!(readable_until(Timestamp::from_millis(1_700_000_061_999), 60_000), at(1_700_000_001));
    }
}
