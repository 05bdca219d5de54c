//! Files and folders to rows.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use csv::{ReaderBuilder, StringRecord};
use serde::Serialize;
use unspsc_taxonomy::{Code, ParseCodeError};

use crate::layout::{Layout, Seen};
use crate::{DatasetError, digest, read};

/// Endings of data files; whatever else lies in a folder is not looked at.
const ENDINGS: [&str; 4] = [".csv", ".tsv", ".txt", ".csv.gz"];

/// Folders of this name hold data to measure by, never to train on.
const VALIDATION_FOLDER: &str = "validation";

/// The set that the program carries.
const STARTER: &str = include_str!("../../../data/starter.csv");

/// A description with its code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Cleaned by [`unspsc_taxonomy::clean`] and not empty.
    pub description: String,
    /// The code at whatever level the source knows.
    pub code: Code,
    /// Which source it came from: the file's name, or what the file's `origin` column says.
    pub origin: String,
}

/// Why a row cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RejectReason {
    /// The code cannot be read.
    #[error("{0}")]
    Code(ParseCodeError),
    /// Cleaning leaves nothing of the description.
    #[error("the description is empty after cleaning")]
    EmptyDescription,
    /// The row ends before the columns that are needed.
    #[error("the row has {found} columns, {wanted} are needed")]
    TooFewColumns {
        /// Columns in the row.
        found: usize,
        /// Columns that would do.
        wanted: usize,
    },
}

impl RejectReason {
    /// The reason without its particulars, to count by.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Code(ParseCodeError::Empty) => "no code",
            Self::Code(_) => "unreadable code",
            Self::EmptyDescription => "empty description",
            Self::TooFewColumns { .. } => "too few columns",
        }
    }
}

/// A row that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// The file.
    pub path: PathBuf,
    /// The line the row begins on, counted from 1.
    pub line: u64,
    /// Why.
    pub reason: RejectReason,
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
    /// The layout that its header was recognised as.
    pub layout: &'static str,
    /// Rows taken from it; a code list yields several for a line.
    pub rows: usize,
    /// Rows of it that cannot be used.
    pub rejects: usize,
    /// Pairs of text and code that the file holds more than once, O\*NET once for each occupation: dropped here.
    pub repeats: usize,
}

/// What a file or folder holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Usable rows, in the order of the files.
    pub rows: Vec<Row>,
    /// Rows that cannot be used.
    pub rejects: Vec<Reject>,
    /// The files that were read, in order.
    pub sources: Vec<Source>,
    /// Folders named `validation`, which are never entered.
    pub skipped: Vec<PathBuf>,
}

/// Reads a file, or every data file under a folder, sorted by path; the layout is recognised by the header.
///
/// Endings are `.csv`, `.tsv`, `.txt` and `.csv.gz`. Folders named `validation` below `path` are not entered.
///
/// # Errors
/// Names the file that is missing, empty, binary, without rows or without a needed column.
pub fn load(path: &Path) -> Result<Loaded, DatasetError> {
    let metadata = fs::metadata(path).map_err(|source| read_error(path, source))?;
    let mut loaded = Loaded::default();
    let mut files = Vec::new();
    if metadata.is_dir() {
        collect(path, &mut files, &mut loaded.skipped)?;
        if files.is_empty() {
            return Err(DatasetError::NoFiles { path: path.to_owned() });
        }
    } else {
        files.push(path.to_owned());
    }
    for file in files {
        let bytes = fs::read(&file).map_err(|source| read_error(&file, source))?;
        loaded.add(&file, &bytes)?;
    }
    Ok(loaded)
}

/// The starter set that the program carries: written for this project, not collected.
///
/// # Errors
/// Only if the embedded file was edited into something unreadable.
pub fn starter() -> Result<Loaded, DatasetError> {
    let mut loaded = Loaded::default();
    loaded.add(Path::new("starter.csv"), STARTER.as_bytes())?;
    Ok(loaded)
}

impl Loaded {
    fn add(&mut self, path: &Path, bytes: &[u8]) -> Result<(), DatasetError> {
        let plain = read::decompress(path, bytes)?;
        let text = read::decode(path, &plain)?;
        // Tab-separated files are written without quoting: a quote there means inches.
        let tabs = text.lines().next().is_some_and(|header| header.contains('\t'));
        let mut reader = ReaderBuilder::new()
            .delimiter(if tabs { b'\t' } else { b',' })
            .quoting(!tabs)
            .flexible(true)
            .from_reader(text.as_bytes());
        let header = reader.headers().map_err(|source| csv_error(path, source))?;
        let layout = Layout::recognise(header).map_err(|column| missing_column(path, column, header))?;
        let origin = path.file_name().unwrap_or_default().to_string_lossy();
        let (rows_before, rejects_before) = (self.rows.len(), self.rejects.len());
        let mut seen = Seen::default();
        let mut record = StringRecord::new();
        while reader.read_record(&mut record).map_err(|source| csv_error(path, source))? {
            let line = record.position().map_or(0, csv::Position::line);
            let origin = layout.origin(&record).unwrap_or(&origin);
            for item in layout.items(&record, &mut seen) {
                match item {
                    Ok((description, code)) => self.rows.push(Row { description, code, origin: origin.to_owned() }),
                    Err(reason) => self.rejects.push(Reject { path: path.to_owned(), line, reason }),
                }
            }
        }
        let (rows, rejects) = (self.rows.len() - rows_before, self.rejects.len() - rejects_before);
        if rows + rejects == 0 {
            return Err(DatasetError::HeaderOnly { path: path.to_owned() });
        }
        self.sources.push(Source {
            path: path.to_owned(),
            sha256: digest::hex(bytes),
            layout: layout.name(),
            rows,
            rejects,
            repeats: seen.repeats,
        });
        Ok(())
    }
}

/// Collects the data files under `folder`, sorted, without following links to folders.
fn collect(folder: &Path, files: &mut Vec<PathBuf>, skipped: &mut Vec<PathBuf>) -> Result<(), DatasetError> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let mut entries = entries.map_err(|source| read_error(folder, source))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().to_lowercase());
        let kind = entry.file_type().map_err(|source| read_error(&path, source))?;
        if kind.is_dir() && name == VALIDATION_FOLDER {
            skipped.push(path);
        } else if kind.is_dir() {
            collect(&path, files, skipped)?;
        } else if !name.starts_with('.') && ENDINGS.iter().any(|ending| name.ends_with(ending)) {
            files.push(path);
        }
    }
    Ok(())
}

fn read_error(path: &Path, source: std::io::Error) -> DatasetError {
    match source.kind() {
        ErrorKind::NotFound => DatasetError::Missing { path: path.to_owned() },
        _ => DatasetError::Read { path: path.to_owned(), source },
    }
}

fn csv_error(path: &Path, source: csv::Error) -> DatasetError {
    DatasetError::Csv { path: path.to_owned(), line: source.position().map_or(0, csv::Position::line), source }
}

fn missing_column(path: &Path, column: &'static str, header: &StringRecord) -> DatasetError {
    let found: Vec<String> = header.iter().map(|name| format!("`{}`", name.trim())).collect();
    DatasetError::MissingColumn { path: path.to_owned(), column, found: found.join(", ") }
}

#[cfg(test)]
mod tests;
