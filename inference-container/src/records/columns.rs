//! Which field of a CSV row is the description.

use csv::{ByteRecord, ReaderBuilder, Terminator};

use super::text;
use crate::api_error::ApiError;

/// Names of the description's column, the best first.
const NAMES: [&str; 3] = ["description", "text", "inputs"];

/// What the first row says of the columns.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Columns {
    /// There was no row yet.
    #[default]
    Unknown,
    /// The first row is a header, with the description in this column.
    Named(usize),
    /// The first row is like all others, and a row has one column.
    Unnamed,
}

impl Columns {
    pub(super) fn are_named(self) -> bool {
        matches!(self, Self::Named(_))
    }

    /// The description in a row; none for a header, which is a first row with a column named description, text or
    /// inputs, in any case. Without a header a row must have one column: in a row of more, nothing says which is the
    /// description, and a comma in a text that is not quoted would cost its second half.
    pub(super) fn description(&mut self, row: &[u8]) -> Option<Result<String, ApiError>> {
        let fields = fields(row);
        if *self == Self::Unknown {
            *self = named(&fields).map_or(Self::Unnamed, Self::Named);
            if self.are_named() {
                return None;
            }
        }
        let column = if let Self::Named(column) = *self { column } else { 0 };
        let found = fields.get(column).filter(|_| self.are_named() || fields.len() == 1);
        Some(match found {
            Some(field) => text(field.to_vec()),
            None if row.is_empty() && !self.are_named() => Err(ApiError::EmptyDescription),
            None => Err(self.misfit(fields.len())),
        })
    }

    fn misfit(self, columns: usize) -> ApiError {
        let columns = if columns == 1 { "1 column".to_owned() } else { format!("{columns} columns") };
        ApiError::InvalidRequest(match self {
            Self::Named(column) => {
                format!("the row has {columns}; by the header the description is in column {}", column + 1)
            }
            _ => format!(
                "the row has {columns} and no header says which is the description: name one `description` in the \
                 first row, or put a text with commas in quotation marks"
            ),
        })
    }
}

/// The fields of one row.
fn fields(row: &[u8]) -> ByteRecord {
    let mut reader = ReaderBuilder::new();
    reader.has_headers(false).flexible(true).terminator(Terminator::Any(b'\n')).buffer_capacity(row.len().max(1));
    let mut fields = ByteRecord::new();
    // A flexible reader takes any bytes; where it reads nothing, there are no fields.
    let _ = reader.from_reader(row).read_byte_record(&mut fields);
    fields
}

/// The description's column in a header.
fn named(fields: &ByteRecord) -> Option<usize> {
    let is = |field: &[u8], name: &str| field.trim_ascii().eq_ignore_ascii_case(name.as_bytes());
    NAMES.iter().find_map(|name| fields.iter().position(|field| is(field, name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The descriptions of rows, with what is wrong in angle brackets.
    fn read(rows: &[&str]) -> (Columns, Vec<String>) {
        let mut columns = Columns::default();
        let shown = |outcome: Result<String, ApiError>| outcome.unwrap_or_else(|error| format!("<{error}>"));
        let texts = rows.iter().filter_map(|row| columns.description(row.as_bytes())).map(shown).collect();
        (columns, texts)
    }

    #[test]
    fn a_header_names_the_column() {
        for (rows, column, texts) in [
            (&["description", "a", "b"][..], 0, &["a", "b"][..]),
            (&["id, TEXT ", "1,\"a, b\""], 1, &["a, b"]),
            (&["inputs,text,Description", "1,2,a", "1,2,3,4"], 2, &["a", "3"]),
            (&["inputs,label", "a,x"], 0, &["a"]),
        ] {
            let (columns, got) = read(rows);
            assert_eq!((columns, got), (Columns::Named(column), texts.iter().map(|text| (*text).to_owned()).collect()));
        }
        let (_, got) = read(&["id,description", "1", ""]);
        assert!(got.iter().all(|text| text.contains("by the header the description is in column 2")), "{got:?}");
    }

    #[test]
    fn without_a_header_a_row_has_one_column() {
        let (columns, got) = read(&["toner", "\"a, b\"", "a, b", "", "description"]);
        assert_eq!((columns, got[..2].to_vec()), (Columns::Unnamed, vec!["toner".to_owned(), "a, b".to_owned()]));
        assert!(got[2].contains("2 columns and no header"), "{got:?}");
        assert!(got[3].contains("empty") && got[4] == "description", "{got:?}");
    }
}
