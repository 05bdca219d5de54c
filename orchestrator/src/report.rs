//! What training reports: fetched, unpacked, and shown as a table.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use aws_sdk_sagemaker::operation::describe_training_job::DescribeTrainingJobOutput;
use flate2::read::GzDecoder;
use indicatif::{HumanCount, HumanDuration};
use unspsc_contract::{Evaluation, LevelScores, TrainingReport, files};
use unspsc_taxonomy::Level;

use crate::options::DataArgs;
use crate::prepare;
use crate::session::Session;
use crate::storage::{self, S3Uri};
use crate::tables::{align_numbers, table};

/// A training report on this machine.
#[derive(Debug)]
pub(crate) struct Report {
    /// The figures.
    pub(crate) figures: TrainingReport,
    /// The report for people.
    pub(crate) page: PathBuf,
}

/// Downloads what the job left in `output/data` and unpacks it into `folder`.
pub(crate) async fn fetch(
    session: &Session,
    description: &DescribeTrainingJobOutput,
    folder: &Path,
) -> anyhow::Result<Report> {
    let job = description.training_job_name().unwrap_or_default();
    let output = description.output_data_config().and_then(|config| config.s3_output_path());
    let output: S3Uri = output.with_context(|| format!("training job {job} names no output path"))?.parse()?;
    // It has no name, so that nothing is left of it however this ends.
    let archive = tempfile::tempfile().context("cannot make a temporary file")?;
    let place = output.join(job).join("output").join(files::OUTPUT_ARCHIVE);
    storage::download_to(session, &place, archive.try_clone().context("cannot use a temporary file")?).await?;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let archive = GzDecoder::new(at_start(archive).context("cannot read the downloaded report")?);
    let unpacked = tar::Archive::new(archive).unpack(folder);
    unpacked.with_context(|| format!("cannot unpack the training report into {}", folder.display()))?;
    let path = folder.join(files::METRICS);
    let text = std::fs::read(&path).with_context(|| format!("the training report lacks {}", path.display()))?;
    let figures = serde_json::from_slice(&text).with_context(|| format!("cannot understand {}", path.display()))?;
    Ok(Report { figures, page: folder.join(files::REPORT) })
}

/// `file`, to be read from its beginning on.
fn at_start(mut file: File) -> io::Result<File> {
    file.rewind()?;
    Ok(file)
}

/// The figures as people read them: which data, how many rows held out, how many of them found.
pub(crate) fn describe(report: &Report, data: &DataArgs) -> anyhow::Result<String> {
    let TrainingReport { model, level, data: rows, validation, test, levels, seconds, .. } = &report.figures;
    let mut figures = table(["split", "rows", "loss", "accuracy", "balanced accuracy"]);
    for (name, Evaluation { rows, loss, accuracy, balanced_accuracy, .. }) in
        [("validation", validation), ("test", test)]
    {
        let count = HumanCount(*rows as u64).to_string();
        let numbers = [format!("{loss:.3}"), format!("{accuracy:.4}"), format!("{balanced_accuracy:.4}")];
        figures.add_row([name.to_owned(), count].into_iter().chain(numbers));
    }
    align_numbers(&mut figures, 1..5);
    let levels = by_level(levels);
    let duration = std::time::Duration::try_from_secs_f64(*seconds).context("the report's duration is no duration")?;
    Ok(format!(
        "{figures}\n\
         {levels}data: {name}; {train} rows trained on, {validation} to choose the epoch by, {test} to judge by; \
         split 80/10/10 by label with seed {seed}\n\
         {model}, {classes} {level} labels: balanced accuracy {balanced:.4} on {test} held-out rows (test split), \
         trained in {took}\n\
         report: {page}\n\
         command: {command}",
        name = prepare::name(data),
        train = HumanCount(rows.train_rows as u64),
        validation = HumanCount(rows.validation_rows as u64),
        test = HumanCount(rows.test_rows as u64),
        seed = data.seed,
        classes = rows.classes,
        balanced = test.balanced_accuracy,
        took = HumanDuration(duration),
        page = report.page.display(),
        command = command_line(),
    ))
}

/// What head and index do together on the test split, as a table that ends its line; nothing where that is not known.
fn by_level(levels: &BTreeMap<Level, LevelScores>) -> String {
    if levels.is_empty() {
        return String::new();
    }
    let mut figures =
        table(["head and index", "rows", "accuracy", "balanced accuracy", "first five", "at 90 % precision"]);
    for (level, scores) in levels {
        let count = HumanCount(scores.rows as u64).to_string();
        let shares =
            [scores.accuracy, scores.balanced_accuracy, scores.top5_accuracy].map(|share| format!("{share:.4}"));
        let answered = format!("{:.1} %", 100.0 * scores.coverage);
        figures.add_row([level.to_string(), count].into_iter().chain(shares).chain([answered]));
    }
    align_numbers(&mut figures, 1..6);
    format!("{figures}\n")
}

/// The command that was given, to be given again.
pub(crate) fn command_line() -> String {
    let quoted = |argument: String| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
        if !argument.is_empty() && argument.chars().all(plain) {
            argument
        } else {
            format!("'{}'", argument.replace('\'', r"'\''"))
        }
    };
    let arguments = std::env::args_os().skip(1).map(|argument| quoted(argument.to_string_lossy().into_owned()));
    std::iter::once("unspsc".to_owned()).chain(arguments).collect::<Vec<_>>().join(" ")
}
