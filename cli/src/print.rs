//! Printing: tables and text on a terminal, JSON lines elsewhere.

pub mod bytes;
mod diff;
mod json;
pub mod message_json;
pub mod progress;
pub mod records;
pub mod table;
pub mod time;
#[allow(dead_code)] // Only the ledger uses all of it yet.
pub mod visible;

pub use json::pretty_json;

use std::cell::RefCell;
use std::io::{self, IsTerminal, Write};

use anyhow::Result;
use hydration::verdict::Status;
use serde::Serialize;

use crate::args::{ColorChoice, GlobalArgs, OutputFormat};

/// Output of a command: standard output and standard error, or two buffers in a test.
pub struct Output {
    pub json: bool,
    pub colors: bool,
    /// The width of tables; `None` is the terminal's.
    pub width: Option<u16>,
    answers: RefCell<Box<dyn Write>>,
    notes: RefCell<Box<dyn Write>>,
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
    /// Standard output and standard error, in the format that was typed.
    pub fn standard(global: &GlobalArgs) -> Self {
        let is_terminal = io::stdout().is_terminal();
        let json = global.output.map_or(!is_terminal, |format| format == OutputFormat::Json);
        let colors = match global.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            // <https://no-color.org>
            ColorChoice::Auto => is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        };
        Self { colors: colors && !json, ..Self::to(json, Box::new(io::stdout()), Box::new(io::stderr())) }
    }

    /// Other places to write to, without colours.
    pub fn to(json: bool, answers: Box<dyn Write>, notes: Box<dyn Write>) -> Self {
        Self { json, colors: false, width: None, answers: RefCell::new(answers), notes: RefCell::new(notes) }
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

    /// Prints a line of the answer.
    pub fn line(&self, text: impl AsRef<str>) -> Result<()> {
        let mut answers = self.answers.borrow_mut();
        answers.write_all(text.as_ref().as_bytes())?;
        answers.write_all(b"\n")?;
        Ok(answers.flush()?)
    }

    /// Prints a JSON object of the answer.
    pub fn json(&self, value: &impl Serialize) -> Result<()> {
        self.line(serde_json::to_string(value)?)
    }

    /// Prints a note on standard error, so that it does not mix with the answer.
    pub fn note(&self, text: impl AsRef<str>) {
        self.message("note", text);
    }

    /// Prints on standard error what the program does now.
    pub fn progress(&self, text: impl AsRef<str>) {
        self.message("dlq", text);
    }

    fn message(&self, from: &str, text: impl AsRef<str>) {
        // A standard error that is closed must not stop the work.
        let _ = writeln!(self.notes.borrow_mut(), "{from}: {}", text.as_ref());
    }
}

/// Text from outside, safe for a terminal: control characters are replaced, except line ends and tabs.
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

/// Red where records are lost, yellow where a person has to decide.
pub fn status_paint(status: Status) -> Paint {
    match status {
        Status::Complete => Paint::Green,
        Status::Superset | Status::NoRange | Status::Unrecognized => Paint::Yellow,
        Status::Partial | Status::Expired | Status::Gone => Paint::Red,
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
        assert_eq!(short_id(&format!("{}-0123456789abcdef", "ab".repeat(32))), "abababababab-012345");
        assert_eq!(count(1, "batch", "batches"), "1 batch");
    }

    #[test]
    fn no_control_character_of_a_record_reaches_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\n\tc\u{9b}"), "a\u{fffd}[2Jb\n\tc\u{fffd}");
    }
}
