//! From loaded rows to three CSV files and a note of where they came from.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use unspsc_taxonomy::{CLEANING_VERSION, Level};

use crate::{DatasetError, Example, LabelCounts, Labelled, Loaded, Source, Splits, cap, fingerprint, label, split};

/// What a training set is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Options {
    /// The level of the labels.
    pub level: Level,
    /// Decides which text goes to which side, and which rows a cap leaves.
    pub seed: u64,
    /// At most so many training rows of one label; validation and test keep all of theirs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_per_class: Option<usize>,
}

/// How many rows there were, and what became of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Rows with a readable code and description.
    pub rows: usize,
    /// Rows that cannot be used, by reason.
    pub rejects: BTreeMap<&'static str, usize>,
    /// Rows that became no example of their own.
    #[serde(flatten)]
    pub labelling: LabelCounts,
    /// Training rows left out by `max_per_class`.
    pub capped: usize,
    /// Rows to learn from.
    pub train: usize,
    /// Rows to choose by.
    pub validation: usize,
    /// Rows to judge by.
    pub test: usize,
    /// Distinct labels among the training rows.
    pub classes: usize,
}

/// `dataset.json`: identity and provenance of a prepared set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Manifest {
    /// Program and version, such as `unspsc 0.1.0`.
    pub prepared_by: String,
    /// See [`fingerprint`].
    pub fingerprint: String,
    /// Version of the cleaning function.
    pub cleaning: u32,
    /// What it was made for.
    #[serde(flatten)]
    pub options: Options,
    /// The files it was made of.
    pub sources: Vec<Source>,
    /// Folders of validation data that were left alone.
    pub skipped: Vec<PathBuf>,
    /// What became of the rows.
    pub counts: Counts,
}

/// A training set, ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// The rows.
    pub splits: Splits,
    /// Where they came from.
    pub manifest: Manifest,
}

/// Labels and splits what was loaded; `prepared_by` names program and version.
///
/// # Errors
/// When fewer than two labels are left, with the reasons why.
pub fn prepare(loaded: Loaded, options: Options, prepared_by: &str) -> Result<Prepared, DatasetError> {
    let Loaded { rows, rejects, sources, skipped } = loaded;
    let usable = rows.len();
    let mut reasons = BTreeMap::<&'static str, usize>::new();
    for reject in &rejects {
        *reasons.entry(reject.reason.kind()).or_default() += 1;
    }
    let Labelled { examples, counts: labelling } = label(rows, options.level);
    let mut splits = split(examples, options.seed);
    let before = splits.train.len();
    if let Some(max) = options.max_per_class {
        splits.train = cap(splits.train, max, options.seed);
    }
    let classes = splits.train.iter().map(|example| example.label).collect::<BTreeSet<_>>().len();
    if classes < 2 {
        let reasons = explain(&reasons, labelling);
        return Err(DatasetError::Unusable { usable, rows: usable + rejects.len(), reasons });
    }
    let counts = Counts {
        rows: usable,
        rejects: reasons,
        labelling,
        capped: before - splits.train.len(),
        train: splits.train.len(),
        validation: splits.validation.len(),
        test: splits.test.len(),
        classes,
    };
    let manifest = Manifest {
        prepared_by: prepared_by.to_owned(),
        fingerprint: fingerprint(&splits),
        cleaning: CLEANING_VERSION,
        options,
        sources,
        skipped,
        counts,
    };
    Ok(Prepared { splits, manifest })
}

impl Prepared {
    /// Writes `train.csv`, `validation.csv`, `test.csv` and `dataset.json` into `folder`, which is made if needed.
    ///
    /// Each file is written under another name first and then renamed, `dataset.json` last: a set that was there
    /// stays whole until a whole one takes its place. Returns the paths in that order.
    ///
    /// # Errors
    /// Names the file that cannot be written.
    pub fn write(&self, folder: &Path) -> Result<Vec<PathBuf>, DatasetError> {
        fs::create_dir_all(folder).map_err(|source| DatasetError::Write { path: folder.to_owned(), source })?;
        let sides = [&self.splits.train, &self.splits.validation, &self.splits.test];
        let names = ["train.csv", "validation.csv", "test.csv", "dataset.json"];
        let paths = names.map(|name| folder.join(name));
        let temporary = names.map(|name| folder.join(format!(".{name}.part")));
        let result = self.write_and_rename(sides, &temporary, &paths);
        if result.is_err() {
            temporary.iter().for_each(|path| drop(fs::remove_file(path)));
        }
        result.map(|()| paths.into())
    }

    fn write_and_rename(
        &self,
        sides: [&Vec<Example>; 3],
        temporary: &[PathBuf; 4],
        paths: &[PathBuf; 4],
    ) -> Result<(), DatasetError> {
        let [.., manifest] = temporary;
        for (side, path) in sides.into_iter().zip(temporary) {
            write_file(path, |out| write_csv(side, out))?;
        }
        write_file(manifest, |out| {
            serde_json::to_writer_pretty(&mut *out, &self.manifest)?;
            out.write_all(b"\n")
        })?;
        for (from, to) in temporary.iter().zip(paths) {
            fs::rename(from, to).map_err(|source| DatasetError::Write { path: to.clone(), source })?;
        }
        Ok(())
    }
}

/// What became of rows, most frequent first, as one line.
fn explain(rejects: &BTreeMap<&'static str, usize>, labelling: LabelCounts) -> String {
    let LabelCounts { too_coarse, duplicates, contradictions } = labelling;
    let mut parts: Vec<(&str, usize)> = rejects.iter().map(|(reason, count)| (*reason, *count)).collect();
    parts.extend([("too coarse a code", too_coarse), ("duplicate", duplicates), ("contradiction", contradictions)]);
    parts.retain(|(_, count)| *count > 0);
    parts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let parts: Vec<String> = parts.into_iter().map(|(reason, count)| format!("{reason}: {count}")).collect();
    if parts.is_empty() { "no row was refused".to_owned() } else { parts.join(", ") }
}

fn write_csv(side: &[Example], out: &mut BufWriter<File>) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(["description", "code", "label", "origin"])?;
    for Example { description, code, label, origin } in side {
        writer.write_record([description.as_str(), &code.to_string(), &label.to_string(), origin])?;
    }
    writer.flush()
}

fn write_file(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Result<(), DatasetError> {
    let attempt = || {
        let mut out = BufWriter::new(File::create(path)?);
        write(&mut out)?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    };
    attempt().map_err(|source| DatasetError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;
