//! `unspsc evaluate`: how well a classifier answers rows whose codes are known.

mod answers;
mod ask;
mod judge;
mod page;
mod rows;
mod summary;
mod worst;

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use unspsc_contract::{AutoLevel, Failures, files};
use unspsc_taxonomy::Titles;

use crate::options::EvaluateArgs;
use crate::progress::{Progress, print};
use crate::report::command_line;
use crate::session::Session;
use crate::tables::count;

use ask::Answerer;
use rows::LabelledRows;

/// Asks for answers, or reads them, and writes and prints how good they are. `session` is there where an endpoint
/// answers.
pub(crate) async fn run(session: Option<&Session>, progress: &Progress, args: &EvaluateArgs) -> anyhow::Result<()> {
    let step = progress.step(&format!("reading {}", args.data.display()));
    let owned = args.clone();
    let rows = tokio::task::spawn_blocking(move || rows::load(&owned)).await;
    let rows = rows.context("the reading came to a sudden end")??;
    drop(step);
    fs::create_dir_all(&args.output).with_context(|| format!("cannot make {}", args.output.display()))?;
    if let Some(file) = &args.answerer.predictions {
        let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy();
        return judge_and_write(&rows, file, &name, args);
    }
    let answerer = Answerer::of(&args.answerer, session)?;
    let file = args.output.join(files::PREDICTIONS);
    ask::ask_all(&answerer, progress, &rows, &file).await?;
    judge_and_write(&rows, &file, &answerer.to_string(), args)
}

/// Judges the answers in the file `predictions`.
fn judge_and_write(
    rows: &LabelledRows,
    predictions: &Path,
    answered_by: &str,
    args: &EvaluateArgs,
) -> anyhow::Result<()> {
    let answers = answers::read(predictions)?.of(rows)?;
    let titles = Titles::embedded()?;
    let report = judge::judge(rows, &answers, answered_by, args.precision, &titles);
    let write = |name: &str, content: String| {
        let path = args.output.join(name);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
    };
    write(files::EVALUATION, serde_json::to_string_pretty(&report)? + "\n")?;
    write(files::EVALUATION_PAGE, page::page(&report, &titles, &command_line()))?;
    print(&summary::describe(&report))?;
    print(&format!("report: {}", args.output.join(files::EVALUATION_PAGE).display()))
}

/// A share, 0 to 1, as people read it.
fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// The stated precision, 0 to 1, as it was given: `90 %`, `99.5 %`.
fn stated(precision: f64) -> String {
    format!("{} %", (1000.0 * precision).round() / 10.0)
}

/// The share of the judged answers at a level that are right; a dash where none can be judged.
fn share_right(level: AutoLevel) -> String {
    if level.judged == 0 { "–".to_owned() } else { percent(level.right as f64 / level.judged as f64) }
}

/// Rows that failed with the error `code`, in a line.
fn failed(code: &str, Failures { rows, message, places }: &Failures) -> String {
    let what = if *rows == 1 { "row" } else { "rows" };
    let more = if *rows > places.len() { ", …" } else { "" };
    format!("{} {what} without an answer: {message} ({code}), {}{more}", count(*rows), places.join(", "))
}
