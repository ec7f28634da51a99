//! Tables without lines: a header, columns, and colour where it has a meaning.
//!
//! Cells wrap between words only, so that an id or a name is never broken. Where the words do not fit beside each
//! other, each row becomes a block of lines.

use comfy_table::{Attribute, Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, Table, Width, presets};

use crate::print::visible::Visible;
use crate::print::{Output, Paint};

/// Spaces between two columns.
const GAP: usize = 2;

type Row = Vec<(String, Option<Paint>)>;

pub struct Columns {
    header: Vec<String>,
    rows: Vec<Row>,
    right: Vec<usize>,
    colors: bool,
    /// The width that was asked for; `None` is the terminal's.
    width: Option<u16>,
}

impl Columns {
    pub fn new(output: &Output, header: &[&str]) -> Self {
        let header = header.iter().map(|name| (*name).to_owned()).collect();
        Self { header, rows: Vec::new(), right: Vec::new(), colors: output.colors, width: output.width }
    }

    /// Adds a row. A cell may have several lines; characters that control a terminal are written as escapes.
    pub fn row(&mut self, cells: impl IntoIterator<Item = (String, Option<Paint>)>) {
        let safe = |(text, paint): (String, _)| (Visible::lines(&text).to_string(), paint);
        self.rows.push(cells.into_iter().map(safe).collect());
    }

    pub fn right(&mut self, columns: &[usize]) {
        self.right = columns.to_vec();
    }

    pub fn text(&self) -> String {
        let mut table = self.table();
        let words = self.widest_words();
        let needed: usize = words.iter().sum::<usize>() + GAP * words.len().saturating_sub(1);
        if table.width().is_some_and(|width| needed > usize::from(width)) {
            return self.blocks(table.width().map(usize::from));
        }
        for (index, word) in words.iter().enumerate() {
            let Some(column) = table.column_mut(index) else { continue };
            let padding = if index == 0 { (0, 1) } else { (1, 1) };
            column.set_padding(padding);
            let width = u16::try_from(word + usize::from(padding.0 + padding.1)).unwrap_or(u16::MAX);
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width)));
        }
        table.trim_fmt()
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        if let Some(width) = self.width {
            table.set_width(width);
        }
        if self.colors {
            table.enforce_styling();
        }
        table.set_header(self.header.iter().map(|name| self.cell(name, Some(Paint::Bold))));
        for row in &self.rows {
            table.add_row(row.iter().map(|(text, paint)| self.cell(text, *paint)));
        }
        for &column in &self.right {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table
    }

    fn cell(&self, text: &str, paint: Option<Paint>) -> Cell {
        let cell = Cell::new(text);
        match paint.filter(|_| self.colors) {
            None => cell,
            Some(Paint::Bold) => cell.add_attribute(Attribute::Bold),
            Some(Paint::Dim) => cell.add_attribute(Attribute::Dim),
            Some(Paint::Red) => cell.fg(Color::Red),
            Some(Paint::Green) => cell.fg(Color::Green),
            Some(Paint::Yellow) => cell.fg(Color::Yellow),
            Some(Paint::Cyan) => cell.fg(Color::Cyan),
        }
    }

    /// The characters of the longest word in each column.
    fn widest_words(&self) -> Vec<usize> {
        let longest = |text: &str| text.split_whitespace().map(|word| word.chars().count()).max().unwrap_or(0);
        let widest = |(index, name): (usize, &String)| {
            let cells = self.rows.iter().filter_map(|row| row.get(index));
            cells.map(|(text, _)| longest(text)).max().unwrap_or(0).max(longest(name))
        };
        self.header.iter().enumerate().map(widest).collect()
    }

    /// A block of lines for each row: the first cell, and below it the others by their names. An empty cell has none.
    fn blocks(&self, width: Option<usize>) -> String {
        let name_width = self.header.iter().map(String::len).max().unwrap_or(0);
        let indent = 2 * GAP + name_width;
        let text_width = width.map_or(usize::MAX, |width| width.saturating_sub(indent));
        let mut lines = Vec::new();
        for row in &self.rows {
            for (index, ((text, _), name)) in row.iter().zip(&self.header).enumerate() {
                let wrapped = text.lines().flat_map(|line| wrap(line, text_width));
                for (number, line) in wrapped.enumerate() {
                    let name = if number == 0 { name } else { "" };
                    lines.push(if index == 0 { line } else { format!("  {name:<name_width$}  {line}") });
                }
            }
        }
        // What follows is no part of the last block.
        lines.push(String::new());
        lines.join("\n")
    }
}

/// Breaks a line between words. A word that is wider stays whole, so that it can be copied.
fn wrap(line: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in line.split(' ') {
        match lines.last_mut() {
            Some(last) if last.chars().count() + 1 + word.chars().count() <= width => {
                last.push(' ');
                last.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(width: u16) -> String {
        let mut output = Output::to(false, Box::new(std::io::sink()), Box::new(std::io::sink()));
        output.width = Some(width);
        let mut table = Columns::new(&output, &["ID", "FUNCTION", "FAILURE"]);
        let cells = ["abababababab-012345", "order-projector", "RetryAttemptsExhausted\nUnhandled \u{1b}[2J of it"];
        table.row(cells.map(|cell| (cell.to_owned(), None)));
        table.text()
    }

    #[test]
    fn no_word_is_broken_at_any_width() {
        for width in 20..140 {
            let text = text(width);
            for word in ["abababababab-012345", "order-projector", "RetryAttemptsExhausted", r"\u{1b}[2J"] {
                assert!(text.contains(word), "{width}: {text}");
            }
            let is_table = text.starts_with("ID");
            assert_eq!(is_table, width >= 60, "{text}");
            assert!(
                !is_table || text.lines().all(|line| line.chars().count() <= usize::from(width)),
                "{width}: {text}"
            );
        }
    }
}
