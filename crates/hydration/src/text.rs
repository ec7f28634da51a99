//! Numbers, ages and text from outside, in words for people.

pub mod visible;

use visible::Visible;

/// One line of text from outside, safe for a terminal.
pub fn printable(text: &str) -> String {
    Visible::line(text).to_string()
}

/// `1 batch`, `2 batches`.
pub fn count(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", thousands(number), if number == 1 { one } else { many })
}

pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The first characters of an id: twelve of the batch, and six of the part's digest.
pub fn short_id(id: &str) -> String {
    match id.split_once('-') {
        Some((batch, part)) => format!("{}-{}", first_chars(batch, 12), first_chars(part, 6)),
        None => first_chars(id, 12).to_owned(),
    }
}

fn first_chars(text: &str, number: usize) -> &str {
    text.get(..number).unwrap_or(text)
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_in_one_unit() {
        for (seconds, said) in [(0, "0s"), (99, "99s"), (100, "1m"), (5_999, "99m"), (6_000, "1h"), (172_800, "2d")] {
            assert_eq!(age(seconds * 1000), said);
        }
    }
}
