//! What can be wrong with a data file or folder.

use std::io;
use std::path::PathBuf;

use crate::read::MAX_RECORD_LINES;

/// A data set that cannot be read, used or written; each message is one sentence that names the file.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// Nothing is there.
    #[error("{} does not exist", path.display())]
    Missing {
        /// What was asked for.
        path: PathBuf,
    },
    /// The file or folder is there and cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        reason: io::Error,
    },
    /// A folder without data files.
    #[error("{} holds no file that ends in .csv, .tsv, .txt or .csv.gz{}", path.display(), left_out(skipped))]
    NoFiles {
        /// The folder.
        path: PathBuf,
        /// Folders below it that were not entered.
        skipped: Vec<PathBuf>,
    },
    /// Bytes that no text holds.
    #[error("{} is a binary file; a CSV or tab-separated text is needed", path.display())]
    Binary {
        /// The file.
        path: PathBuf,
    },
    /// A line that no table has.
    #[error("{}, line {line}: longer than 1 MiB, which no table is; check that the file has line ends", path.display())]
    LongLine {
        /// The file.
        path: PathBuf,
        /// Where, counted from 1.
        line: u64,
    },
    /// No byte, or nothing but white space.
    #[error("{} is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Nothing below the header.
    #[error("{} holds a header but no rows", path.display())]
    HeaderOnly {
        /// The file.
        path: PathBuf,
    },
    /// The header fits no known layout.
    #[error("{}: no column `{column}` among {found}", path.display())]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The column that would complete the nearest layout.
        column: String,
        /// The columns that are there, each in backquotes.
        found: String,
    },
    /// The CSV reader gave up.
    #[error("{}, line {line}: {reason}", path.display())]
    Csv {
        /// The file.
        path: PathBuf,
        /// Where, counted from 1.
        line: u64,
        /// The reader's reason.
        reason: csv::Error,
    },
    /// A file of groups that cannot be understood.
    #[error("{}, line {line}: {reason}", path.display())]
    Groups {
        /// The file.
        path: PathBuf,
        /// Where, counted from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// A folder that `unspsc data prepare` has not written.
    #[error("{} holds no dataset.json: it has to be a folder that `unspsc data prepare` has written", path.display())]
    NotPrepared {
        /// The folder.
        path: PathBuf,
    },
    /// A `dataset.json` that cannot be understood.
    #[error("{}: {reason}", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// The parser's reason.
        reason: serde_json::Error,
    },
    /// Rows are there, but too few of them can be used to train anything.
    #[error("{usable} of {rows} rows can be used, and a training set needs two labels with a row each ({reasons})")]
    Unusable {
        /// Rows with a readable code and description.
        usable: usize,
        /// Rows read.
        rows: usize,
        /// What became of the others, most frequent first.
        reasons: String,
    },
    /// Rows are there, but none of them can be held out.
    #[error("no label has three texts or commodities, of which one each is needed to train, to validate and to test")]
    NothingHeldOut,
    /// A record that goes on for longer than any does.
    #[error("{}, line {line}: a record is longer than 1 MiB or {MAX_RECORD_LINES} lines: a quote that opens there is not \
             closed", path.display())]
    LongRecord {
        /// The file.
        path: PathBuf,
        /// Where it begins, counted from 1.
        line: u64,
    },
    /// A file that would have to be replaced and is somebody's.
    #[error("{} is there and was not written by `unspsc data prepare` or `augment`: name another folder for the output, or \
             move the file", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// What is left of a write that was broken off.
    #[error("a write into {} was broken off, so that it holds no set: repeat it, or delete .dataset.json.part and the set's other \
             files there", path.display())]
    BrokenOff {
        /// The folder.
        path: PathBuf,
    },
    /// A quote that goes on to the end of the file.
    #[error("{}, line {line}: a quote in the record that begins there is not closed", path.display())]
    OpenQuote {
        /// The file.
        path: PathBuf,
        /// Where its record begins, counted from 1.
        line: u64,
    },
    /// Somebody else writes there.
    #[error("another run is at work in {}: wait for its end, or name another folder", path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {reason}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        reason: io::Error,
    },
}

fn left_out(skipped: &[PathBuf]) -> String {
    match skipped {
        [] => String::new(),
        [first, ..] => format!(
            ", {} aside, which holds validation data or a prepared set{}",
            first.display(),
            if skipped.len() > 1 { ", like others" } else { "" }
        ),
    }
}
