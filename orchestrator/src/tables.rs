//! Tables on standard output.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Row, Table, TableStyle};
use indicatif::HumanCount;

/// One line under the head, and nothing else between the words.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));
/// Width of tables of texts where the output is no terminal.
const WIDTH: u16 = 120;

/// An empty table with this head; where the output is no terminal, each row is a line, however long.
pub(crate) fn table(head: impl Into<Row>) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE).set_content_arrangement(ContentArrangement::Dynamic).set_header(head);
    table
}

/// The same for texts of any length, which have several lines in one row.
pub(crate) fn table_of_texts(head: impl Into<Row>) -> Table {
    let mut table = table(head);
    if table.width().is_none() {
        table.set_width(WIDTH);
    }
    table
}

/// Keeps what stands in these columns, such as names, on one line, however narrow the terminal.
pub(crate) fn keep_whole(table: &mut Table, columns: impl IntoIterator<Item = usize>) {
    for column in columns {
        if let Some(column) = table.column_mut(column) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
}

/// Aligns these columns, which hold numbers, at their last digit.
pub(crate) fn align_numbers(table: &mut Table, columns: impl IntoIterator<Item = usize>) {
    for column in columns {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// A number of things with a comma between thousands.
pub(crate) fn count(number: usize) -> String {
    HumanCount(number as u64).to_string()
}
