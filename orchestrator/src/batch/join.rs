//! The answers of a job, fetched and put beside their rows.

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, IntoInnerError, Lines};
use std::path::Path;

use anyhow::{Context as _, bail};
use unspsc_contract::invocation::Outcome;

use crate::coded::{CodedTable, outcome_of};
use crate::scratch::Scratch;
use crate::session::Session;
use crate::storage::{self, S3Uri};
use crate::whole::WholeFile;

use super::input::Input;
use super::lines::{self, Part};

/// What SageMaker adds to the name of an object for its answers.
const ENDING: &str = ".out";

/// Writes the tables of all inputs, each whole or not at all; returns how many rows there are, and how many have no code.
pub(super) async fn join(
    session: &Session,
    inputs: Vec<Input>,
    lines: lines::Lines,
    output: &S3Uri,
) -> anyhow::Result<(usize, usize)> {
    let keys = storage::list(session, &output.join("")).await?;
    let count = lines.parts.iter().map(Vec::len).sum::<usize>() as u64;
    let step = session.progress.count("fetching the answers", count);
    let (mut rows, mut failures) = (0, 0);
    for (input, parts) in inputs.into_iter().zip(lines.parts) {
        let folder = Scratch::new().context("cannot make a temporary folder")?;
        for part in &parts {
            // Whether the input's folders stand in the key depends on whom one reads; the names of the parts are ours alone.
            let name = format!("{}{ENDING}", part.name);
            let key = keys.iter().find(|key| key.rsplit('/').next() == Some(name.as_str()));
            let key = key.with_context(|| format!("the answers {name} are not below {output}"))?;
            let place = S3Uri::new(&output.bucket, key);
            storage::download(session, &place, &folder.path().join(&part.name)).await?;
            step.advance(1);
        }
        let written = tokio::task::spawn_blocking(move || write(&input, Answers::new(&folder, &parts)));
        let (more, without) = written.await.context("the writing came to a sudden end")??;
        (rows, failures) = (rows + more, failures + without);
    }
    Ok((rows, failures))
}

/// Writes the table of one input.
fn write(input: &Input, mut answers: Answers<'_>) -> anyhow::Result<(usize, usize)> {
    if let Some(folder) = input.target.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let file = BufWriter::new(WholeFile::begin(&input.target)?);
    let mut table = CodedTable::begin(file, input.texts.header())?;
    let (mut rows, mut failures) = (0, 0);
    for row in input.texts.rows()? {
        let row = row?;
        let outcome = match lines::line(&row) {
            Ok(_) => answers.next()?,
            Err(problem) => outcome_of(&problem),
        };
        table.write(&row.cells, &outcome)?;
        rows += 1;
        failures += usize::from(matches!(outcome, Outcome::Error(_)));
    }
    answers.finish()?;
    let file = table.into_inner()?.into_inner();
    file.map_err(IntoInnerError::into_error).context("cannot write the answers")?.keep()?;
    Ok((rows, failures))
}

/// The answers to one input, file by file.
struct Answers<'a> {
    folder: &'a Path,
    parts: std::slice::Iter<'a, Part>,
    /// The file that is read, and how many of its answers have been.
    open: Option<(&'a Part, Lines<BufReader<File>>, usize)>,
}

impl<'a> Answers<'a> {
    fn new(folder: &'a Scratch, parts: &'a [Part]) -> Self {
        Self { folder: folder.path(), parts: parts.iter(), open: None }
    }

    /// The next answer.
    fn next(&mut self) -> anyhow::Result<Outcome> {
        if self.open.as_ref().is_none_or(|(part, _, read)| *read == part.lines) {
            self.finish()?;
            let part = self.parts.next().context("there are more rows than answers")?;
            let file = File::open(self.folder.join(&part.name)).context("cannot read the answers")?;
            self.open = Some((part, BufReader::new(file).lines(), 0));
        }
        let (part, lines, read) = self.open.as_mut().context("there are more rows than answers")?;
        let line = next_line(lines)?;
        let line = line.with_context(|| format!("{} has {read} answers to {} rows", part.name, part.lines))?;
        *read += 1;
        serde_json::from_str(&line)
            .with_context(|| format!("answer {read} of {} is something else than a prediction", part.name))
    }

    /// Makes sure that nothing is left of the file that is open: an answer too many would have shifted all others.
    fn finish(&mut self) -> anyhow::Result<()> {
        let Some((part, mut lines, read)) = self.open.take() else { return Ok(()) };
        if read != part.lines || next_line(&mut lines)?.is_some() {
            bail!("{} has other answers than to its {} rows", part.name, part.lines);
        }
        Ok(())
    }
}

/// The next line that says anything: SageMaker ends each answer with a line feed, whether it has one or not.
fn next_line(lines: &mut Lines<BufReader<File>>) -> anyhow::Result<Option<String>> {
    for line in lines {
        let line = line.context("cannot read the answers")?;
        if !line.trim().is_empty() {
            return Ok(Some(line));
        }
    }
    Ok(None)
}
