//! `unspsc data explore`: a data set on one page, before and after preparation.

mod count;
mod lengths;
mod overlap;
mod page;
mod summary;
mod survey;
mod warnings;

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use unspsc_dataset::is_prepared;

use crate::options::ExploreArgs;
use crate::prepare;
use crate::progress::{Progress, print};
use crate::report::command_line;

use page::About;
use survey::Survey;

/// The limits that lengths are compared with: what encoders of this kind are usually made to read.
const LIMITS: [usize; 2] = [64, 128];

/// Surveys a data set, writes the page and prints the summary.
pub(crate) async fn run(progress: &Progress, args: &ExploreArgs) -> anyhow::Result<()> {
    let step = progress.step(&format!("exploring {}", prepare::name(&args.data)));
    let owned = args.clone();
    let work = tokio::task::spawn_blocking(move || explore(&owned));
    let survey = work.await.context("the exploration came to a sudden end")??;
    drop(step);
    print(&summary::describe(&survey))?;
    print(&format!("\nwritten to {}", args.output.display()))
}

/// Whether nothing but a page would be replaced at `path`.
fn is_free(path: &Path) -> bool {
    let mut head = [0; 15];
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) => return error.kind() == io::ErrorKind::NotFound,
    };
    let length = file.read(&mut head).unwrap_or_default();
    length == 0 || head.eq_ignore_ascii_case(b"<!doctype html>")
}

/// Surveys, and writes the page.
fn explore(args: &ExploreArgs) -> anyhow::Result<Survey> {
    let cannot = || format!("cannot write {}", args.output.display());
    // The reading may take a minute, at whose end it is late to learn of a place that cannot be written.
    probe(&args.output).with_context(cannot)?;
    if !is_free(&args.output) {
        bail!("{} is there and is no HTML page: name another --output", args.output.display());
    }
    let survey = survey(args)?;
    let columns = args.data.description_column.iter().chain(&args.data.code_column).cloned().collect();
    let name = args.data.data.as_ref().map_or_else(|| "Starter set".to_owned(), |path| path.display().to_string());
    let about = About { name, command: command_line(), columns };
    write(&args.output, &page::page(&survey, &about)).with_context(cannot)?;
    Ok(survey)
}

fn survey(args: &ExploreArgs) -> anyhow::Result<Survey> {
    if let Some(folder) = args.data.data.as_deref().filter(|path| is_prepared(path)) {
        let (prepared, _) = prepare::as_it_is(folder, &args.data)?;
        return Ok(Survey::of_prepared(prepared, &args.encoder));
    }
    // Groups first: a mistake in a short file should not come to light after a long one was read.
    let options = prepare::options(&args.data)?;
    Survey::of_loaded(prepare::load(&args.data)?, options, &args.encoder)
}

/// The name beside `path` under which the page is written.
fn part(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().filter(|_| !path.is_dir()).ok_or(io::ErrorKind::IsADirectory)?;
    // A link or a device would be replaced by a file.
    if fs::symlink_metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(io::Error::other("it is there and is no ordinary file"));
    }
    Ok(path.with_file_name(format!(".{}.part", name.to_string_lossy())))
}

fn probe(path: &Path) -> io::Result<()> {
    let part = part(path)?;
    create(&part)?;
    fs::remove_file(part)
}

/// A new file at `part`, whatever a run before has left there, and never at what a link there leads to.
fn create(part: &Path) -> io::Result<File> {
    if part.symlink_metadata().is_ok() {
        fs::remove_file(part)?;
    }
    File::create_new(part)
}

/// Writes under another name first, so that a page that was there stays whole until a whole one takes its place.
fn write(path: &Path, page: &str) -> io::Result<()> {
    let part = part(path)?;
    let attempt = || {
        let mut file = create(&part)?;
        file.write_all(page.as_bytes())?;
        file.sync_all()?;
        fs::rename(&part, path)
    };
    attempt().inspect_err(|_| drop(fs::remove_file(&part)))
}

/// A share, 0 to 1, as people read it.
fn percent(share: f64) -> String {
    match 100.0 * share {
        0.0 => "0 %".to_owned(),
        100.0 => "100 %".to_owned(),
        percent if percent < 0.1 => "< 0.1 %".to_owned(),
        percent if percent > 99.9 => "> 99.9 %".to_owned(),
        percent => format!("{percent:.1} %"),
    }
}

/// At most `most` characters of `text`.
fn short(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_to_nothing_and_to_all_only_where_it_is_that() {
        let shares = [0.0, 0.0004, 0.001, 0.5, 0.999, 0.9996, 1.0].map(percent);
        assert_eq!(shares, ["0 %", "< 0.1 %", "0.1 %", "50.0 %", "99.9 %", "> 99.9 %", "100 %"]);
    }

    #[test]
    fn names_are_cut_between_characters() {
        assert_eq!((short("äöü", 3), short("äöü", 2)), ("äöü".to_owned(), "äö…".to_owned()));
    }
}
