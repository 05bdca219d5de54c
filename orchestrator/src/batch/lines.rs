//! Rows as the job gets them: a string of JSON a line, in files that the instances share.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use unspsc_dataset::{TextProblem, TextRow};

use crate::scratch::Scratch;

use super::input::Input;

/// The longest line that `serve` reads.
const MAX_LINE: usize = 1 << 20;
/// Lines of a file at most: whoever fetches the answers has a file at a time.
const MAX_LINES: usize = 100_000;

/// The line for a row, or why it has none.
pub(super) fn line(row: &TextRow) -> Result<String, TextProblem> {
    let line = serde_json::to_string(row.text.as_ref().map_err(Clone::clone)?).unwrap_or_default();
    if line.is_empty() || line.len() > MAX_LINE {
        return Err(TextProblem::TooLong);
    }
    Ok(line)
}

/// A file of lines.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) lines: usize,
}

/// The lines of all inputs.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) folder: Scratch,
    /// The files of each input, in its order.
    pub(super) parts: Vec<Vec<Part>>,
}

impl Lines {
    /// Writes the lines of `inputs`, so that as many `instances` have something to do.
    pub(super) fn write(inputs: &[Input], instances: usize) -> anyhow::Result<Self> {
        let folder = Scratch::new().context("cannot make a temporary folder")?;
        let mut all = Vec::with_capacity(inputs.len());
        for (number, input) in inputs.iter().enumerate() {
            let mut rows = 0;
            for row in input.texts.rows()? {
                rows += usize::from(line(&row?).is_ok());
            }
            let size = rows.div_ceil(instances).clamp(1, MAX_LINES);
            let mut parts: Vec<Part> = Vec::new();
            let mut out = None;
            for row in input.texts.rows()? {
                let Ok(line) = line(&row?) else { continue };
                if parts.last().is_none_or(|part| part.lines == size) {
                    finish(out.take())?;
                    let name = format!("{number:05}-{:05}.jsonl", parts.len());
                    out = Some(BufWriter::new(File::create(folder.path().join(&name)).context("cannot write lines")?));
                    parts.push(Part { name, lines: 0 });
                }
                if let (Some(out), Some(part)) = (&mut out, parts.last_mut()) {
                    writeln!(out, "{line}").context("cannot write lines")?;
                    part.lines += 1;
                }
            }
            finish(out)?;
            all.push(parts);
        }
        if all.iter().all(Vec::is_empty) {
            bail!("no row has a text that could be classified");
        }
        Ok(Self { folder, parts: all })
    }

    /// The files.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.parts.iter().flatten().map(|part| self.folder.path().join(&part.name)).collect()
    }
}

fn finish(out: Option<BufWriter<File>>) -> anyhow::Result<()> {
    out.map_or(Ok(()), |mut out| out.flush()).context("cannot write lines")
}
