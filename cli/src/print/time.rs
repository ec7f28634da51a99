//! Times and ages in words.

use std::time::Duration;

use hydration::timestamp::Timestamp;

/// `45s`, `12m`, `3h`, `5d`.
pub fn age(millis: i64) -> String {
    let seconds = millis.max(0) / 1000;
    match seconds {
        0..=99 => format!("{seconds}s"),
        100..=5_999 => format!("{}m", seconds / 60),
        6_000..=172_799 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

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
    fn ages_are_in_one_unit() {
        for (seconds, said) in [(0, "0s"), (99, "99s"), (100, "1m"), (5_999, "99m"), (6_000, "1h"), (172_800, "2d")] {
            assert_eq!(age(seconds * 1000), said);
        }
    }

    #[test]
    fn durations_are_read() {
        assert_eq!(parse_duration("90s"), Some(90_000));
        assert_eq!(parse_duration("2h"), Some(7_200_000));
        for text in ["", "h", "2", "-2h", "2y", "é", "99999999999999999d"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
