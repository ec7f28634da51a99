//! How things are printed: for eyes on a terminal, as JSON lines to anything else.

pub mod bytes;
pub mod progress;
pub mod table;
#[allow(dead_code)] // Only the ledger uses all of it yet.
pub mod visible;
pub mod when;

use std::io::{self, IsTerminal, Write};

use anyhow::Result;
use serde::Serialize;

use crate::place::{Format, Place, When};

#[derive(Debug, Clone, Copy)]
pub struct Output {
    pub json: bool,
    pub colors: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
    Cyan,
}

impl Output {
    pub fn new(place: &Place) -> Self {
        let is_terminal = io::stdout().is_terminal();
        let json = place.output.map_or(!is_terminal, |format| format == Format::Json);
        let colors = match place.color {
            When::Always => true,
            When::Never => false,
            // <https://no-color.org>
            When::Auto => is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        };
        Self { json, colors: colors && !json }
    }

    pub fn paint(&self, paint: Paint, text: impl AsRef<str>) -> String {
        let text = text.as_ref();
        if !self.colors || text.is_empty() {
            return text.to_owned();
        }
        let code = match paint {
            Paint::Bold => 1,
            Paint::Dim => 2,
            Paint::Red => 31,
            Paint::Green => 32,
            Paint::Yellow => 33,
            Paint::Cyan => 36,
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    pub fn line(&self, text: impl AsRef<str>) -> Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_ref().as_bytes())?;
        Ok(stdout.write_all(b"\n")?)
    }

    pub fn json(&self, value: &impl Serialize) -> Result<()> {
        self.line(serde_json::to_string(value)?)
    }

    /// What the person should know beside the answer; never mixed into it.
    pub fn note(&self, text: impl AsRef<str>) {
        eprintln!("note: {}", text.as_ref());
    }
}

/// Text from outside, fit for a terminal: no control character reaches it, line ends and tabs aside.
pub fn printable(text: &str) -> String {
    let is_safe = |c: char| c == '\n' || c == '\t' || !c.is_control();
    if text.chars().all(is_safe) {
        return text.to_owned();
    }
    text.chars().map(|c| if is_safe(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
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

/// Enough of an id to name it by.
pub fn short_id(id: &str) -> String {
    match id.split_once('-') {
        Some((batch, part)) => format!("{}-{part}", batch.get(..12).unwrap_or(batch)),
        None => id.get(..12).unwrap_or(id).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ids_are_short_and_readable() {
        assert_eq!(
            (thousands(0), thousands(999), thousands(1_234_567)),
            ("0".into(), "999".into(), "1,234,567".into())
        );
        assert_eq!(short_id(&format!("{}-12", "ab".repeat(32))), "abababababab-12");
        assert_eq!(count(1, "batch", "batches"), "1 batch");
    }

    #[test]
    fn a_terminal_is_sent_no_escape_of_a_producer_s() {
        assert_eq!(printable("a\u{1b}[2Jb\n\tc\u{9b}"), "a\u{fffd}[2Jb\n\tc\u{fffd}");
    }
}
