//! Tables without lines: a header, columns, and colour where it has a meaning.

use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table, presets};

use crate::print::{Output, Paint};

pub struct Columns {
    table: Table,
    colors: bool,
}

impl Columns {
    pub fn new(output: &Output, header: &[&str]) -> Self {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        if let Some(width) = output.width {
            table.set_width(width);
        }
        if output.colors {
            table.enforce_styling();
        }
        let colors = output.colors;
        table.set_header(header.iter().map(|name| {
            let cell = Cell::new(name);
            if colors { cell.add_attribute(Attribute::Bold) } else { cell }
        }));
        Self { table, colors }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = (String, Option<Paint>)>) {
        let colors = self.colors;
        self.table.add_row(cells.into_iter().map(|(text, paint)| {
            let cell = Cell::new(text);
            match paint.filter(|_| colors) {
                None => cell,
                Some(Paint::Bold) => cell.add_attribute(Attribute::Bold),
                Some(Paint::Dim) => cell.add_attribute(Attribute::Dim),
                Some(Paint::Red) => cell.fg(Color::Red),
                Some(Paint::Green) => cell.fg(Color::Green),
                Some(Paint::Yellow) => cell.fg(Color::Yellow),
                Some(Paint::Cyan) => cell.fg(Color::Cyan),
            }
        }));
    }

    pub fn right(&mut self, columns: &[usize]) {
        for &column in columns {
            if let Some(column) = self.table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }

    pub fn text(&mut self) -> String {
        if let Some(first) = self.table.column_mut(0) {
            first.set_padding((0, 1));
        }
        self.table.trim_fmt()
    }
}
