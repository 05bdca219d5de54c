//! Where the answers go, and in which form.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Map, Value};
use unspsc_contract::invocation::Outcome;
use unspsc_dataset::TextRow;

use crate::coded::{CodedTable, text_of};
use crate::options::AnswerFormat;
use crate::progress;
use crate::whole::{self, WholeFile};

use super::show;

/// What is written to.
pub(super) enum Sink {
    Stdout(BufWriter<io::Stdout>),
    File(BufWriter<WholeFile>),
}

impl Sink {
    /// The file `path`, or standard output.
    pub(super) fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        Ok(match path {
            Some(path) => {
                whole::make_folder(path)?;
                Self::File(BufWriter::new(WholeFile::begin(path)?))
            }
            None => Self::Stdout(BufWriter::new(io::stdout())),
        })
    }

    /// The name of the file that is whole now; none for standard output.
    pub(super) fn finish(self) -> anyhow::Result<Option<PathBuf>> {
        match self {
            Self::Stdout(mut out) => out.flush().map(|()| None).map_err(unwritten),
            Self::File(out) => out.into_inner().map_err(|error| unwritten(error.into_error()))?.keep().map(Some),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(out) => out.write(bytes),
            Self::File(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::File(out) => out.flush(),
        }
    }
}

/// The sentence for a file or pipe that takes no more.
pub(super) fn unwritten(error: impl Into<io::Error>) -> anyhow::Error {
    progress::unwritten("the answers", &error.into())
}

/// Answers in one of the forms, written as they come.
pub(super) enum Output {
    Table(Sink),
    Json { sink: Sink, header: Vec<String>, row: usize },
    Csv(Box<CodedTable<Sink>>),
}

/// A line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    /// Counted from 1.
    row: usize,
    description: Option<&'a str>,
    /// The cells of a table that has more than the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<Map<String, Value>>,
    #[serde(flatten)]
    outcome: &'a Outcome,
}

impl Output {
    /// Begins an output for an input with these columns.
    pub(super) fn begin(format: AnswerFormat, path: Option<&Path>, header: &[String]) -> anyhow::Result<Self> {
        let sink = Sink::open(path)?;
        Ok(match format {
            AnswerFormat::Table => Self::Table(sink),
            AnswerFormat::Json => Self::Json { sink, header: header.to_vec(), row: 0 },
            AnswerFormat::Csv => Self::Csv(Box::new(CodedTable::begin(sink, header)?)),
        })
    }

    /// Writes the answers to some rows.
    pub(super) fn write(&mut self, rows: &[TextRow], outcomes: &[Outcome]) -> anyhow::Result<()> {
        match self {
            Self::Table(sink) => {
                let texts: Vec<String> = rows.iter().map(text_of).collect();
                writeln!(sink, "{}", show::described(&texts, outcomes.iter())?).map_err(unwritten)?;
                sink.flush().map_err(unwritten)
            }
            Self::Json { sink, header, row } => {
                for (TextRow { cells, text }, outcome) in rows.iter().zip(outcomes) {
                    *row += 1;
                    let named = || header.iter().cloned().zip(cells.iter().cloned().map(Value::from)).collect();
                    let input = (header.len() > 1).then(named);
                    let line = Line { row: *row, description: text.as_deref().ok(), input, outcome };
                    serde_json::to_writer(&mut *sink, &line).map_err(unwritten)?;
                    sink.write_all(b"\n").map_err(unwritten)?;
                }
                sink.flush().map_err(unwritten)
            }
            Self::Csv(table) => {
                for (row, outcome) in rows.iter().zip(outcomes) {
                    table.write(&row.cells, outcome)?;
                }
                table.flush()
            }
        }
    }

    /// Ends the output; returns the name of the file that was written.
    pub(super) fn finish(self) -> anyhow::Result<Option<PathBuf>> {
        match self {
            Self::Table(sink) | Self::Json { sink, .. } => sink.finish(),
            Self::Csv(table) => table.into_inner()?.finish(),
        }
    }
}
