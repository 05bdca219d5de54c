//! Texts that are to be classified: tables whose codes nobody knows yet, JSON Lines, or a text a line.
//!
//! Rows are read one by one, in bounded memory, and each yields exactly one [`TextRow`]: what is wrong with one of them stands
//! in it and costs no other.

mod records;

use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};

use csv::{ReaderBuilder, StringRecord, Terminator};
use serde_json::{Map, Value};

use crate::DatasetError;
use crate::layout::{self, DESCRIPTION};
use crate::read::{Content, Scan};
use records::{Record, Records};

/// Endings of files that are tables, whatever their first line says.
const TABLES: [&str; 4] = [".csv", ".tsv", ".csv.gz", ".tsv.gz"];
/// Endings of files that are JSON Lines.
const JSON_LINES: [&str; 3] = [".jsonl", ".ndjson", ".jsonl.gz"];

/// A file of texts, looked through once.
#[derive(Debug)]
pub struct Texts {
    /// The file, and what messages call it.
    file: PathBuf,
    name: PathBuf,
    scan: Scan,
    form: Form,
    header: Vec<String>,
    /// Columns of the text.
    columns: Vec<usize>,
}

/// What the lines of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Table,
    JsonLines,
    Plain,
}

/// One row, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextRow {
    /// As many as the header has.
    pub cells: Vec<String>,
    /// The text that is to be classified, or why there is none.
    pub text: Result<String, TextProblem>,
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextProblem {
    /// Nothing, or white space.
    #[error("the text of the row is empty")]
    Empty,
    /// More than any row has; of a line that is longer, the end was left out.
    #[error("the row is longer than 1 MiB")]
    TooLong,
    /// The lines behind it are rows of their own.
    #[error("a quotation mark in line {line} is not closed")]
    UnclosedQuote {
        /// Counted from 1.
        line: u64,
    },
    /// The row ends before its text.
    #[error("the row ends after {found} of the {wanted} columns that it needs")]
    TooFewColumns {
        /// Columns in the row.
        found: usize,
        /// Columns up to that of the text.
        wanted: usize,
    },
    /// Where the text has a comma, its second half stands in the next column.
    #[error(
        "the row has {found} columns, and the header {known}: put a text that holds a delimiter in quotation marks"
    )]
    TooManyColumns {
        /// Columns in the row.
        found: usize,
        /// Columns in the header.
        known: usize,
    },
    /// The line is no JSON.
    #[error("the line is no JSON: {0}")]
    Json(String),
    /// The line is JSON of another form.
    #[error("the line has no text `{0}`")]
    NoText(String),
}

impl TextProblem {
    /// A stable word for programs, the same that `serve` has for it.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty_description",
            Self::TooLong => "record_too_long",
            Self::UnclosedQuote { .. } => "unclosed_quote",
            Self::Json(_) => "malformed_json",
            Self::TooFewColumns { .. } | Self::TooManyColumns { .. } | Self::NoText(_) => "invalid_request",
        }
    }
}

impl Texts {
    /// Looks through the file `file`, which messages call `name`. Columns of the text that are named are joined in this order; without
    /// names they are recognised by the header.
    ///
    /// It is a table if its name or its header says so, JSON Lines if its name or its first line does, and a text a line otherwise.
    ///
    /// # Errors
    /// Names the file that is missing, empty, binary, without rows or without the column of the text.
    pub fn open(file: &Path, name: &Path, wanted: &[String]) -> Result<Self, DatasetError> {
        let content = Content::Named { file, name };
        let scan = content.scan_texts()?;
        let mut first = Vec::new();
        let read = BufReader::new(content.open(&scan)?).take(MAX_HEADER).read_until(b'\n', &mut first);
        read.map_err(|source| DatasetError::Read { path: name.to_owned(), reason: source })?;
        let ends_in = |endings: &[&str]| {
            let name = name.to_string_lossy().to_lowercase();
            endings.iter().any(|ending| name.ends_with(ending))
        };
        let object: Option<Map<String, Value>> = serde_json::from_slice(&first).ok();
        let (form, header) = if ends_in(&JSON_LINES) || (object.is_some() && !ends_in(&TABLES)) {
            (Form::JsonLines, object.map_or_else(one_column, |object| object.into_iter().map(|(key, _)| key).collect()))
        } else {
            let header = header(content, &scan)?;
            let is_table = ends_in(&TABLES) || !wanted.is_empty() || layout::texts(&header, &[]).is_ok();
            match (is_table, header) {
                (true, header) => (Form::Table, header.iter().map(|name| name.trim().to_owned()).collect()),
                (false, _) => (Form::Plain, one_column()),
            }
        };
        let columns = layout::texts(&header.clone().into(), wanted);
        let columns = columns.map_err(|column| DatasetError::MissingColumn {
            path: name.to_owned(),
            column,
            found: header.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
        })?;
        Ok(Self { file: file.to_owned(), name: name.to_owned(), scan, form, header, columns })
    }

    /// Names of the columns.
    #[must_use]
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// What messages call the file.
    #[must_use]
    pub fn name(&self) -> &Path {
        &self.name
    }

    /// Characters that could not be read as such and are replaced.
    #[must_use]
    pub fn damaged(&self) -> usize {
        self.scan.damaged
    }

    /// The rows from the first on.
    ///
    /// # Errors
    /// Names the file if it cannot be opened.
    pub fn rows(&self) -> Result<TextRows<'_>, DatasetError> {
        let content = Content::Named { file: &self.file, name: &self.name };
        let reader: Box<dyn Read + Send + '_> = Box::new(content.open(&self.scan)?);
        let quotes = (self.form == Form::Table).then_some(self.scan.delimiter);
        let mut records = Records::new(reader, quotes);
        if self.form == Form::Table {
            records.next().map_err(|source| self.unreadable(source))?;
        }
        Ok(TextRows { texts: self, records })
    }

    fn unreadable(&self, reason: std::io::Error) -> DatasetError {
        DatasetError::Read { path: self.name.clone(), reason }
    }

    /// What `record` says.
    fn row(&self, record: Record) -> TextRow {
        let Record { line, bytes, fault } = record;
        let text = String::from_utf8_lossy(&bytes);
        let (mut cells, read) = match self.form {
            Form::Table => {
                let cells = cells(&text, self.scan.delimiter);
                let problem = self.misfit(&cells);
                (cells, problem.map_or(Ok(()), Err))
            }
            Form::Plain => (vec![text.into_owned()], Ok(())),
            Form::JsonLines => self.fields(&text),
        };
        let known = self.header.len();
        // Nothing of a row gets lost: cells without a column of their own stand in the last one.
        if let Some(rest) = cells.get(known..).filter(|rest| rest.iter().any(|cell| !cell.is_empty())) {
            let rest = rest.join(",");
            cells.get_mut(known - 1).into_iter().for_each(|last| *last = format!("{last},{rest}"));
        }
        cells.resize(known, String::new());
        let text = match fault {
            Some(records::Fault::TooLong) => Err(TextProblem::TooLong),
            Some(records::Fault::UnclosedQuote) => Err(TextProblem::UnclosedQuote { line }),
            None => read.and_then(|()| {
                let text = layout::joined(self.columns.iter().filter_map(|column| cells.get(*column)));
                if text.is_empty() { Err(TextProblem::Empty) } else { Ok(text) }
            }),
        };
        TextRow { cells, text }
    }

    /// Why the cells of a table's row are not those of its header.
    fn misfit(&self, cells: &[String]) -> Option<TextProblem> {
        let (found, known) = (cells.len(), self.header.len());
        let last = self.columns.iter().max().copied().unwrap_or_default();
        // Spreadsheets leave delimiters behind the last cell.
        let is_more = cells.get(known..).is_some_and(|more| more.iter().any(|cell| !cell.trim().is_empty()));
        if is_more {
            return Some(TextProblem::TooManyColumns { found, known });
        }
        (found <= last).then_some(TextProblem::TooFewColumns { found, wanted: last + 1 })
    }

    /// The fields of a line of JSON in the order of the header.
    fn fields(&self, line: &str) -> (Vec<String>, Result<(), TextProblem>) {
        let first = self.columns.first().copied().unwrap_or_default();
        let alone = |text: &str| {
            let mut cells = vec![String::new(); self.header.len()];
            cells.get_mut(first).into_iter().for_each(|cell| text.clone_into(cell));
            cells
        };
        let name = |column: usize| self.header.get(column).cloned().unwrap_or_default();
        match serde_json::from_str(line) {
            Ok(Value::String(text)) => (alone(&text), Ok(())),
            Ok(Value::Object(object)) => {
                let cells = self.header.iter().map(|name| object.get(name).map(shown).unwrap_or_default()).collect();
                let is_text = |column: &&usize| object.get(&name(**column)).is_some_and(Value::is_string);
                let missing = self.columns.iter().find(|column| !is_text(column));
                (cells, missing.map_or(Ok(()), |column| Err(TextProblem::NoText(name(*column)))))
            }
            Ok(_) => (alone(line), Err(TextProblem::NoText(name(first)))),
            Err(error) => (alone(line), Err(TextProblem::Json(error.to_string()))),
        }
    }
}

/// Bytes of the first line that are looked at.
const MAX_HEADER: u64 = crate::read::MAX_LINE_BYTES as u64;

fn one_column() -> Vec<String> {
    vec![DESCRIPTION.to_owned()]
}

/// The first record of a table.
fn header(content: Content<'_>, scan: &Scan) -> Result<StringRecord, DatasetError> {
    let path = content.path();
    let reader: Box<dyn Read + Send + '_> = Box::new(content.open(scan)?);
    let record = Records::new(reader, Some(scan.delimiter)).next();
    let record = record.map_err(|source| DatasetError::Read { path: path.to_owned(), reason: source })?;
    let bytes = record.map(|record| record.bytes).unwrap_or_default();
    Ok(cells(&String::from_utf8_lossy(&bytes), scan.delimiter).into())
}

/// The cells of one record.
fn cells(record: &str, delimiter: u8) -> Vec<String> {
    let mut reader = ReaderBuilder::new();
    // Line ends within the record stand in quotes.
    reader.has_headers(false).flexible(true).delimiter(delimiter).quoting(delimiter != b'\t');
    reader.terminator(Terminator::Any(b'\n')).buffer_capacity(record.len().max(1));
    let mut cells = StringRecord::new();
    match reader.from_reader(record.as_bytes()).read_record(&mut cells) {
        Ok(true) => cells.iter().map(str::to_owned).collect(),
        // An empty line of a table of one column.
        _ => vec![String::new()],
    }
}

/// A value of JSON as a cell.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        value => value.to_string(),
    }
}

/// The rows of a file; after an error there are none.
pub struct TextRows<'a> {
    texts: &'a Texts,
    records: Records<Box<dyn Read + Send + 'a>>,
}

impl Iterator for TextRows<'_> {
    type Item = Result<TextRow, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let record = match self.records.next() {
                Ok(record) => record?,
                Err(source) => return Some(Err(self.texts.unreadable(source))),
            };
            // An empty line says something only where a row has one column.
            let is_blank = record.bytes.trim_ascii().is_empty();
            let counts =
                self.texts.form == Form::Plain || (self.texts.form == Form::Table && self.texts.header.len() == 1);
            if !is_blank || counts {
                return Some(Ok(self.texts.row(record)));
            }
        }
    }
}

#[cfg(test)]
mod tests;
