//! Printing: tables and text on a terminal, JSON lines elsewhere.

pub mod bytes;
mod diff;
mod json;
pub mod matches;
pub mod message_json;
pub mod progress;
pub mod records;
pub mod table;
pub mod time;

pub use hydration::text::{count, printable, short_id, thousands, visible};
pub use json::pretty_json;

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, IsTerminal, Write};

use anyhow::Result;
use hydration::verdict::Status;
use serde::Serialize;

use crate::args::{ColorChoice, GlobalArgs, OutputFormat};
use crate::exit::Exit;
use crate::print::table::Columns;
use crate::print::visible::Visible;

/// Output of a command: standard output and standard error, or two buffers in a test.
pub struct Output {
    pub json: bool,
    pub colors: bool,
    /// Standard output is a terminal.
    pub is_terminal: bool,
    /// The beginning of a painted text until it is printed. Nobody outside can guess it, so that no text from outside
    /// can be taken for a colour.
    paint_mark: String,
    /// The width of tables; `None` is the terminal's.
    pub width: Option<u16>,
    answers: RefCell<Box<dyn Write>>,
    notes: RefCell<Box<dyn Write>>,
    has_attention: Cell<bool>,
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
        Self { colors: colors && !json, is_terminal, ..Self::to(json, Box::new(io::stdout()), Box::new(io::stderr())) }
    }

    /// Other places to write to, without colours.
    pub fn to(json: bool, answers: Box<dyn Write>, notes: Box<dyn Write>) -> Self {
        let paint_mark = format!("\u{fdd0}{:016x}:", RandomState::new().hash_one("paint"));
        let (colors, is_terminal) = (false, false);
        Self {
            json,
            colors,
            is_terminal,
            paint_mark,
            width: None,
            answers: RefCell::new(answers),
            notes: RefCell::new(notes),
            has_attention: Cell::new(false),
        }
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
        let mark = &self.paint_mark;
        format!("{mark}{code}m{text}{mark}0m")
    }

    /// Prints a line of the answer. Characters that control a terminal are written as escapes.
    pub fn line(&self, text: impl AsRef<str>) -> Result<()> {
        let text = Visible::lines(text.as_ref()).to_string();
        self.write(text.replace(&self.paint_mark, "\u{1b}["))
    }

    /// Prints a table, whose cells are safe already.
    pub fn table(&self, table: &Columns) -> Result<()> {
        self.write(table.text())
    }

    /// Prints the JSON text of a message. A terminal gets the same JSON value with escapes in it, all others the text
    /// as it is.
    pub fn raw_json(&self, text: &str) -> Result<()> {
        if self.is_terminal { self.write(visible::json_escaped(text)) } else { self.write(text) }
    }

    fn write(&self, text: impl AsRef<str>) -> Result<()> {
        let mut answers = self.answers.borrow_mut();
        // One write for the whole line, so that a reader never has a part of it.
        answers.write_all(format!("{}\n", text.as_ref()).as_bytes())?;
        Ok(answers.flush()?)
    }

    /// Prints a JSON object of the answer.
    pub fn json(&self, value: &impl Serialize) -> Result<()> {
        self.write(visible::json_escaped(&serde_json::to_string(value)?))
    }

    /// Prints a note on standard error, so that it does not mix with the answer.
    pub fn note(&self, text: impl AsRef<str>) {
        self.message("note", text);
    }

    /// Prints a note about something that was not seen or was left. The exit code is then 3 where it would be 0.
    pub fn attention(&self, text: impl AsRef<str>) {
        self.has_attention.set(true);
        self.note(text);
    }

    /// The exit of a command, after what it has noted.
    pub fn exit(&self, exit: Exit) -> Exit {
        if self.has_attention.get() { Exit::Attention } else { exit }
    }

    /// Prints on standard error what the program does now.
    pub fn progress(&self, text: impl AsRef<str>) {
        self.message("dlq", text);
    }

    fn message(&self, from: &str, text: impl AsRef<str>) {
        // A standard error that is closed must not stop the work.
        let _ = writeln!(self.notes.borrow_mut(), "{from}: {}", Visible::lines(text.as_ref()));
    }
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
    use crate::test_support::tool as test_support;

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
        assert_eq!(printable("a\u{1b}[2Jb\n\tc\u{9b}"), r"a\u{1b}[2Jb\u{a}\u{9}c\u{9b}");
    }

    #[test]
    fn only_the_program_s_own_colours_reach_the_terminal() {
        let written = test_support::Captured::default();
        let mut output = Output::to(false, Box::new(written.clone()), Box::new(io::sink()));
        output.colors = true;
        output.line(format!("\u{1b}[31mred \u{fdd0}0:31m {}", output.paint(Paint::Red, "a\u{9b}b"))).unwrap();
        assert_eq!(written.text(), "\\u{1b}[31mred \u{fdd0}0:31m \u{1b}[31ma\\u{9b}b\u{1b}[0m\n");
        output.json(&"a\u{9b}\u{202e}\u{e0001}").unwrap();
        assert!(written.text().ends_with("\"a\\u009b\\u202e\\udb40\\udc01\"\n"), "{}", written.text());
    }
}
