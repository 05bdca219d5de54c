//! The answers of a job, fetched and put beside their rows.

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, IntoInnerError, Lines};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use unspsc_contract::invocation::Outcome;

use crate::aws::ServiceError;
use crate::coded::{CodedTable, outcome_of};
use crate::scratch::Scratch;
use crate::session::Session;
use crate::storage::{self, S3Uri};
use crate::whole::{self, WholeFile};

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
    let (mut rows, mut failures, sent) = (0, 0, Arc::new(lines.folder));
    for (input, parts) in inputs.into_iter().zip(lines.parts) {
        let folder = Scratch::new().context("cannot make a temporary folder")?;
        for part in &parts {
            let key = key_of(part, &keys);
            let key = key.with_context(|| format!("the answers to {} are not below {output}", part.name))?;
            let place = S3Uri::new(&output.bucket, key);
            storage::download(session, &place, &folder.path().join(&part.name)).await?;
            step.advance(1);
        }
        let sent = Arc::clone(&sent);
        let written = tokio::task::spawn_blocking(move || write(&input, Answers::new(&folder, &sent, &parts)));
        let (more, without) = written.await.context("the writing came to a sudden end")??;
        (rows, failures) = (rows + more, failures + without);
    }
    Ok((rows, failures))
}

/// Whether the answers to all `lines` are below `output`.
pub(super) async fn is_whole(session: &Session, lines: &lines::Lines, output: &S3Uri) -> anyhow::Result<bool> {
    let keys = match storage::list(session, &output.join("")).await {
        // They went with their bucket.
        Err(error) if error.downcast_ref().is_some_and(ServiceError::is_missing) => return Ok(false),
        keys => keys?,
    };
    Ok(lines.parts.iter().flatten().all(|part| key_of(part, &keys).is_some()))
}

/// The key of the answers to `part`. Whether the input's folders stand in it depends on whom one reads; the names of the parts
/// are ours alone.
fn key_of<'a>(part: &Part, keys: &'a [String]) -> Option<&'a String> {
    let name = format!("{}{ENDING}", part.name);
    keys.iter().find(|key| key.rsplit('/').next() == Some(name.as_str()))
}

/// Writes the table of one input.
fn write(input: &Input, mut answers: Answers<'_>) -> anyhow::Result<(usize, usize)> {
    whole::make_folder(&input.target)?;
    let file = BufWriter::new(WholeFile::begin(&input.target)?);
    let mut table = CodedTable::begin(file, input.texts.header())?;
    let (mut rows, mut failures) = (0, 0);
    let changed = || {
        let name = input.texts.name().display();
        format!("{name} was changed after its rows had been sent: run the command again to code it as it is now")
    };
    for row in input.texts.rows()? {
        let row = row?;
        let outcome = match lines::line(&row) {
            Ok(line) => answers.next(&line)?.with_context(changed)?,
            Err(problem) => outcome_of(&problem),
        };
        table.write(&row.cells, &outcome)?;
        rows += 1;
        failures += usize::from(matches!(outcome, Outcome::Error(_)));
    }
    if !answers.is_at_end() {
        bail!(changed());
    }
    answers.close()?;
    let file = table.into_inner()?.into_inner();
    file.map_err(IntoInnerError::into_error).context("cannot write the answers")?.keep()?;
    Ok((rows, failures))
}

/// The answers to one input, file by file, each beside the lines that were sent.
struct Answers<'a> {
    answers: &'a Path,
    sent: &'a Path,
    parts: std::slice::Iter<'a, Part>,
    open: Option<Open<'a>>,
}

/// Files that are read.
struct Open<'a> {
    part: &'a Part,
    sent: Lines<BufReader<File>>,
    answers: Lines<BufReader<File>>,
    /// How many of its answers have been.
    read: usize,
}

impl<'a> Answers<'a> {
    fn new(answers: &'a Scratch, sent: &'a Scratch, parts: &'a [Part]) -> Self {
        Self { answers: answers.path(), sent: sent.path(), parts: parts.iter(), open: None }
    }

    /// The next answer, which is to `line`; none if another line was sent in its place, or none.
    fn next(&mut self, line: &str) -> anyhow::Result<Option<Outcome>> {
        if self.open.as_ref().is_none_or(|open| open.read == open.part.lines) {
            self.close()?;
            let Some(part) = self.parts.next() else { return Ok(None) };
            let [sent, answers] = [self.sent, self.answers].map(|folder| File::open(folder.join(&part.name)));
            let sent = BufReader::new(sent.context("cannot read the lines")?).lines();
            let answers = BufReader::new(answers.context("cannot read the answers")?).lines();
            self.open = Some(Open { part, sent, answers, read: 0 });
        }
        let Some(Open { part, sent, answers, read }) = &mut self.open else { return Ok(None) };
        if sent.next().transpose().context("cannot read the lines")?.as_deref() != Some(line) {
            return Ok(None);
        }
        let answer = next_line(answers)?;
        let answer = answer.with_context(|| format!("{} has {read} answers to {} rows", part.name, part.lines))?;
        *read += 1;
        serde_json::from_str(&answer)
            .map(Some)
            .with_context(|| format!("answer {read} of {} is something else than a prediction", part.name))
    }

    /// Whether all lines that were sent have been asked for.
    fn is_at_end(&self) -> bool {
        self.parts.len() == 0 && self.open.as_ref().is_none_or(|open| open.read == open.part.lines)
    }

    /// Makes sure that nothing is left of the file that is open: an answer too many would have shifted all others.
    fn close(&mut self) -> anyhow::Result<()> {
        let Some(Open { part, mut answers, .. }) = self.open.take() else { return Ok(()) };
        if next_line(&mut answers)?.is_some() {
            bail!("{} has more answers than its {} rows", part.name, part.lines);
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
