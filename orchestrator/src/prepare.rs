//! `unspsc data prepare`: from files to the three sides of a training set.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use unspsc_dataset::{
    Columns, Counts, Grouping, Groups, Loaded, Options, Prepared, Reading, Source, is_of_a_set, is_prepared, prepare,
};

use crate::options::{DataArgs, PrepareArgs};
use crate::progress::{Progress, print};
use crate::tables::{align_numbers, count, table};

/// Prepares, writes and describes a data set.
pub(crate) async fn run(progress: &Progress, args: &PrepareArgs) -> anyhow::Result<()> {
    if let Some(folder) = args.data.data.as_deref().filter(|path| is_prepared(path)) {
        bail!("{} is prepared already: name the data that it was made of", folder.display());
    }
    for input in [&args.data.data, &args.data.groups].into_iter().flatten() {
        // The file itself where the path is a link to it.
        let file = input.canonicalize().unwrap_or_else(|_| input.clone());
        if file.parent().is_some_and(|folder| same(folder, &args.output)) && is_of_a_set(&file) {
            bail!("{} would be replaced by what is made of it: name another --output", input.display());
        }
    }
    let (prepared, _) = prepare_into(progress, &args.data, &args.output).await?;
    print(&describe(&prepared))?;
    let printed = print(&format!("written to {}: {}", args.output.display(), prepared.names().join(", ")));
    // The process ends here, and takes a million texts with it sooner than they are freed one by one.
    std::mem::forget(prepared);
    printed
}

/// Prepares the data that `args` name and writes it into `folder`; returns the paths of the three sides and the
/// manifest.
pub(crate) async fn prepare_into(
    progress: &Progress,
    args: &DataArgs,
    folder: &Path,
) -> anyhow::Result<(Prepared, Vec<PathBuf>)> {
    if let Some(path) = args.data.as_deref()
        && is_for_validation(path)
    {
        bail!("{} is validation data: it is there to measure by and never to train on", path.display());
    }
    let step = progress.step(&format!("preparing {}", name(args)));
    let (args, folder) = (args.clone(), folder.to_owned());
    let work = tokio::task::spawn_blocking(move || {
        if let Some(folder) = args.data.as_deref().filter(|path| is_prepared(path)) {
            return as_it_is(folder, &args).map(|(prepared, paths)| (prepared, Some(paths)));
        }
        // Groups first: a mistake in a short file should not come to light after a long one was read.
        let options = options(&args)?;
        let prepared = prepare(load(&args)?, options, concat!("unspsc ", env!("CARGO_PKG_VERSION")))?;
        anyhow::Ok((prepared, None))
    });
    let (prepared, paths) = work.await.context("the preparation came to a sudden end")??;
    for skipped in &prepared.manifest.skipped {
        let what = if is_for_validation(skipped) { "validation data" } else { "a prepared set" };
        progress.say(&format!("{} is {what} and was left alone", skipped.display()));
    }
    if let Some(paths) = paths {
        return Ok((prepared, paths));
    }
    // A step of its own: what is interrupted before it leaves nothing behind.
    let work = tokio::task::spawn_blocking(move || prepared.write(&folder).map(|paths| (prepared, paths)));
    let prepared = work.await.context("the writing came to a sudden end")??;
    drop(step);
    Ok(prepared)
}

/// A set that was prepared before: it is used as it is, since another split would mix its sides.
pub(crate) fn as_it_is(folder: &Path, args: &DataArgs) -> anyhow::Result<(Prepared, Vec<PathBuf>)> {
    let prepared = Prepared::read(folder)?;
    let level = prepared.manifest.options.level;
    if prepared.groups.is_none() && level != args.level() {
        bail!("{} is prepared at {level} level: add --level {level}, or prepare it anew", folder.display());
    }
    let given = [
        ("--max-per-class", args.max_per_class.is_some()),
        ("--titles-per-class", args.titles_per_class.is_some()),
        ("--groups", args.groups.is_some()),
        ("--group-count", args.group_count.is_some()),
        ("--level", args.level.is_some() && prepared.groups.is_some()),
        ("--titles", args.titles.is_some_and(|titles| titles != prepared.manifest.options.titles)),
        ("--description-column", !args.description_column.is_empty()),
        ("--code-column", args.code_column.is_some()),
    ];
    if let Some((option, _)) = given.into_iter().find(|(_, is_given)| *is_given) {
        bail!("{} is prepared already, so that {option} changes nothing: prepare it anew", folder.display());
    }
    let paths = prepared.paths(folder);
    Ok((prepared, paths))
}

/// The rows of the file or folder that `args` name, or the starter set.
pub(crate) fn load(args: &DataArgs) -> anyhow::Result<Loaded> {
    let reading = Reading { columns: columns(args), titles: args.titles.unwrap_or_default() };
    Ok(match &args.data {
        Some(path) => unspsc_dataset::load(path, &reading)?,
        None => unspsc_dataset::starter()?,
    })
}

fn columns(args: &DataArgs) -> Columns {
    Columns { description: args.description_column.clone(), code: args.code_column.clone() }
}

/// Whether both are the same folder.
pub(crate) fn same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().or_else(|_| std::path::absolute(path)).ok();
    real(one) == real(other)
}

/// What a set is to be made for, as `args` say it.
pub(crate) fn options(args: &DataArgs) -> anyhow::Result<Options> {
    let given = args.groups.as_deref().map(Groups::read).transpose()?.map(Grouping::Given);
    Ok(Options {
        groups: given.or(args.group_count.map(|count| Grouping::Even(count.into()))),
        titles: args.titles.unwrap_or_default(),
        columns: columns(args),
        titles_per_class: args.titles_per_class.map(Into::into),
        max_per_class: args.max_per_class.map(Into::into),
        ..Options::new(args.level(), u64::from(args.seed))
    })
}

/// What people call the data that `args` name.
pub(crate) fn name(args: &DataArgs) -> String {
    args.data.as_ref().map_or_else(
        || "the starter set (written for this project, not collected)".to_owned(),
        |path| path.display().to_string(),
    )
}

/// Whether `path` is a folder named `validation` or lies directly in one.
fn is_for_validation(path: &Path) -> bool {
    let absolute = path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned());
    let (folder, parent) = (absolute.file_name(), absolute.parent().and_then(Path::file_name));
    [folder, parent].into_iter().flatten().any(|name| name.eq_ignore_ascii_case("validation"))
}

/// What to say of a file with characters that could not be read.
pub(crate) fn damage(source: &Source) -> Option<String> {
    let (characters, path) = (source.damaged, source.path.display());
    let what = if characters == 1 { "damaged character" } else { "damaged characters" };
    (characters > 0).then(|| format!("{path}: {} {what} became `?`", count(characters)))
}

/// The manifest as people read it.
fn describe(prepared: &Prepared) -> String {
    let manifest = &prepared.manifest;
    let mut sources = table(["source", "layout", "rows", "rejects", "repeats"]);
    for source in &manifest.sources {
        let path = source.path.display().to_string();
        let numbers = [source.rows, source.rejects, source.repeats].map(count);
        sources.add_row([path, source.layout.clone()].into_iter().chain(numbers));
    }
    align_numbers(&mut sources, 2..5);
    let damaged: String = manifest.sources.iter().filter_map(damage).map(|line| format!("{line}\n")).collect();
    let Counts { rows, rejects, duplicates, capped, train, validation, test, classes } = &manifest.counts;
    let mut rows_left = table(["what became of the rows", "rows"]);
    rows_left.add_row(["read".to_owned(), count(*rows)]);
    for (reason, number) in rejects {
        rows_left.add_row([format!("rejected: {reason}"), count(*number)]);
    }
    for (what, number) in [
        ("left out: same text and label again", *duplicates),
        ("left out: above the cap of a label", *capped),
        ("training", *train),
        ("validation", *validation),
        ("test", *test),
    ] {
        rows_left.add_row([what.to_owned(), count(number)]);
    }
    align_numbers(&mut rows_left, [1]);
    let Options { level, seed, .. } = &manifest.options;
    let fingerprint = &manifest.fingerprint;
    let labels = match &prepared.groups {
        Some(_) => format!("{classes} groups"),
        None => format!("{classes} labels at {level} level"),
    };
    format!("{sources}\n{damaged}\n{rows_left}\n\n{labels}, seed {seed}, fingerprint {fingerprint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validation_data_is_recognised_by_its_folder() {
        assert!(is_for_validation(Path::new("../data/validation")));
        assert!(is_for_validation(Path::new("/data/validation/parts.csv")));
        assert!(!is_for_validation(Path::new("/validation/data/parts.csv")));
        assert!(!is_for_validation(Path::new("validation.csv")));
    }
}
