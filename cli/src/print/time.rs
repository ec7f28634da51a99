//! Times and ages in words.

use std::time::Duration;

pub use hydration::text::age;
use hydration::timestamp::Timestamp;

/// An age, or a dash.
pub fn since(time: Option<Timestamp>, now: Timestamp) -> String {
    time.map_or_else(|| "-".to_owned(), |time| age(now.millis_since(time)))
}

pub fn ago(time: Option<Timestamp>, now: Timestamp) -> String {
    time.map_or_else(|| "-".to_owned(), |time| format!("{} ago", age(now.millis_since(time))))
}

pub fn duration(duration: Duration) -> String {
    age(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
}

/// Seconds with one decimal, for times that were measured.
pub fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

/// `90s`, `30m`, `2h`, `3d`, `1w`, as milliseconds.
pub fn parse_duration(text: &str) -> Option<i64> {
    let unit = text.chars().next_back()?;
    let number: i64 = text.strip_suffix(unit)?.parse().ok().filter(|number| *number >= 0)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return None,
    };
    number.checked_mul(seconds)?.checked_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        assert_eq!(parse_duration("90s"), Some(90_000));
        assert_eq!(parse_duration("2h"), Some(7_200_000));
        for text in ["", "h", "2", "-2h", "2y", "é", "99999999999999999d"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
