//! From loaded rows to three CSV files and a note of where they came from.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::thread;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use unspsc_taxonomy::{CLEANING_VERSION, Code, Level};

use crate::digest::{NEAR, touch};
use crate::layout::CODE_LIST;
use crate::split::labels;
use crate::{
    Augmentation, Columns, DatasetError, Example, Groups, Labelled, Labelling, Loaded, Reading, Reject, Row, Source,
    Splits, TitleForm, cap, fingerprint, label, load, split, thin_titles,
};

/// Rows that a thread turns into CSV at a time.
const PIECE: usize = 4096;

/// Files of a prepared set: the three sides and their provenance.
const TRAIN: &str = "train.csv";
const VALIDATION: &str = "validation.csv";
const TEST: &str = "test.csv";
pub(crate) const MANIFEST: &str = "dataset.json";
/// Rows that were not taken, with their reasons.
pub(crate) const REJECTS: &str = "rejects.csv";
/// Which code belongs to which group, where the labels are groups.
pub(crate) const GROUPS: &str = "groups.csv";

/// The titles of the code list, all of them: what a classifier can search, whatever it is trained on.
pub(crate) const TITLES: &str = "titles.csv";

/// All files of a set.
const NAMES: [&str; 7] = [TRAIN, VALIDATION, TEST, REJECTS, GROUPS, TITLES, MANIFEST];
/// Those that a set need not have.
const OPTIONAL: [&str; 3] = [REJECTS, GROUPS, TITLES];

/// What a training set is made for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// The level of the labels; without meaning where there are groups.
    pub level: Level,
    /// Labels are groups of codes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Grouping>,
    /// Decides which text goes to which side, and which rows a cap leaves.
    pub seed: u64,
    /// In what form titles of the code list became texts.
    #[serde(default)]
    pub titles: TitleForm,
    /// Columns, where somebody named them.
    #[serde(default, skip_serializing_if = "Columns::are_recognised")]
    pub columns: Columns,
    /// At most so many training titles of commodities of one class of the standard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub titles_per_class: Option<usize>,
    /// At most so many training rows of one label; validation and test keep all of theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_per_class: Option<usize>,
}

impl Options {
    /// All rows at `level`, titles alone, columns by their usual names.
    #[must_use]
    pub fn new(level: Level, seed: u64) -> Self {
        let (titles, columns) = (TitleForm::default(), Columns::default());
        Self { level, groups: None, seed, titles, columns, titles_per_class: None, max_per_class: None }
    }

    /// What the labels of `rows` are.
    #[must_use]
    pub fn labelling(&self, rows: &[Row]) -> Labelling {
        match &self.groups {
            None => Labelling::Level(self.level),
            Some(Grouping::Given(groups)) => Labelling::Groups(groups.clone()),
            Some(Grouping::Even(count)) => Labelling::Groups(Groups::even(rows.iter().map(|row| row.code), *count)),
        }
    }
}

/// Where groups come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grouping {
    /// Somebody has named them.
    Given(Groups),
    /// So many runs of segments with about the same number of rows: see [`Groups::even`].
    Even(usize),
}

/// How many rows there were, and what became of them: before augmentation the others add up to `rows`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Rows read; a code list yields several for a line, and O\*NET's repetitions do not count.
    pub rows: usize,
    /// Rows that were not taken, by reason.
    pub rejects: BTreeMap<String, usize>,
    /// Rows that repeat a text with the same label.
    pub duplicates: usize,
    /// Training rows left out by `titles_per_class` and `max_per_class`.
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// How training rows were added, where they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub augmentation: Option<Augmentation>,
    /// Pairs of commodities that share a title: all titles of both stand on one side.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub joined: Vec<(Code, Code)>,
}

/// A training set, ready to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// The rows.
    pub splits: Splits,
    /// Rows that were not taken.
    pub rejects: Rejects,
    /// The groups, where the labels are that.
    pub groups: Option<Groups>,
    /// The titles of the code lists that were read, by code.
    pub titles: BTreeMap<Code, String>,
    /// Where they came from.
    pub manifest: Manifest,
}

/// Rows that were not taken.
#[derive(Debug, Clone, PartialEq)]
pub enum Rejects {
    /// By file and line.
    Rows(Vec<Reject>),
    /// The file of a set that was read, to be written again as it is.
    File(Vec<u8>),
    /// Somebody has deleted the file of a set that was read; none takes its place.
    Lost,
}

/// Labels and splits what was loaded; `prepared_by` names program and version.
///
/// # Errors
/// When fewer than two labels are left, with the reasons why.
pub fn prepare(loaded: Loaded, options: Options, prepared_by: &str) -> Result<Prepared, DatasetError> {
    let Loaded { rows, mut rejects, sources, skipped } = loaded.without_augmented();
    let (usable, all) = (rows.len(), rows.len() + rejects.len());
    let titles = titles(&rows, options.titles);
    let labelling = options.labelling(&rows);
    let Labelled { examples, rejects: unlabelled, counts: labelled, joined } = label(rows, &labelling);
    rejects.extend(unlabelled);
    rejects.sort_by_key(|reject| reject.place);
    let mut reasons = BTreeMap::<String, usize>::new();
    for reject in &rejects {
        *reasons.entry(reject.reason.kind().to_owned()).or_default() += 1;
    }
    let mut splits = split(examples, &joined, options.seed);
    if splits.validation.is_empty() && labels(&splits.train).len() > 1 {
        return Err(DatasetError::NothingHeldOut);
    }
    let before = splits.train.len();
    if let Some(max) = options.titles_per_class {
        splits.train = thin_titles(splits.train, max, options.seed);
    }
    if let Some(max) = options.max_per_class {
        splits.train = cap(splits.train, max, options.seed);
    }
    let classes = labels(&splits.train).len();
    if classes < 2 {
        let reasons = explain(&reasons, labelled.duplicates);
        return Err(DatasetError::Unusable { usable: usable - labelled.rejected, rows: all, reasons });
    }
    let counts = Counts {
        rows: all,
        rejects: reasons,
        duplicates: labelled.duplicates,
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
        augmentation: None,
        joined,
    };
    let groups = match labelling {
        Labelling::Level(_) => None,
        Labelling::Groups(groups) => Some(groups),
    };
    Ok(Prepared { splits, rejects: Rejects::Rows(rejects), groups, titles, manifest })
}

/// The titles among `rows`, by code: of several the first. Where parents were written into them, there are none.
fn titles(rows: &[Row], form: TitleForm) -> BTreeMap<Code, String> {
    let mut titles = BTreeMap::new();
    for row in rows.iter().filter(|row| row.title && form == TitleForm::Alone) {
        titles.entry(row.code).or_insert_with(|| row.description.clone());
    }
    titles
}

impl Prepared {
    /// Reads the sides and the provenance of a set that [`Prepared::write`] has left in `folder`; its file of rejects is
    /// taken along unread.
    ///
    /// # Errors
    /// Names the file that is missing or cannot be read.
    pub fn read(folder: &Path) -> Result<Self, DatasetError> {
        // Whoever writes there would have the new sides read under the old provenance.
        let folder_lock = File::open(folder).ok();
        if folder_lock.as_ref().is_some_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock))) {
            return Err(DatasetError::Busy { path: folder.to_owned() });
        }
        let path = folder.join(MANIFEST);
        let json = fs::read(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound if is_broken_off(folder) => DatasetError::BrokenOff { path: folder.to_owned() },
            io::ErrorKind::NotFound => DatasetError::NotPrepared { path: folder.to_owned() },
            _ => DatasetError::Read { path: path.clone(), reason: source },
        })?;
        let manifest: Manifest = serde_json::from_slice(&json)
            .map_err(|source| DatasetError::Manifest { path: path.clone(), reason: source })?;
        let labelling = Labelling::Level(manifest.options.level);
        // The files have no column for it, but whole sources are titles or are not.
        let lists = manifest.sources.iter().filter(|source| source.layout == CODE_LIST);
        let titles: BTreeSet<String> =
            lists.filter_map(|source| Some(source.path.file_name()?.to_string_lossy().into_owned())).collect();
        let side = |name: &str| -> Result<Vec<Example>, DatasetError> {
            let mut examples = label(load(&folder.join(name), &Reading::default())?.rows, &labelling).examples;
            examples.iter_mut().for_each(|example| example.title = titles.contains(&*example.origin));
            Ok(examples)
        };
        let splits = Splits { train: side(TRAIN)?, validation: side(VALIDATION)?, test: side(TEST)? };
        let groups = match folder.join(GROUPS) {
            path if path.exists() => Some(Groups::read(&path)?),
            _ => None,
        };
        let path = folder.join(REJECTS);
        let rejects = match fs::read(&path) {
            Ok(file) => Rejects::File(file),
            Err(reason) if reason.kind() == io::ErrorKind::NotFound => Rejects::Lost,
            Err(reason) => return Err(DatasetError::Read { path, reason }),
        };
        let titles = match folder.join(TITLES) {
            path if path.exists() => {
                load(&path, &Reading::default())?.rows.into_iter().map(|row| (row.code, row.description)).collect()
            }
            _ => BTreeMap::new(),
        };
        Ok(Self { splits, rejects, groups, titles, manifest })
    }

    /// Writes `train.csv`, `validation.csv`, `test.csv`, `rejects.csv`, `groups.csv` where the labels are groups, `titles.csv`
    /// where a code list was read, and `dataset.json` into `folder`, which is made if needed.
    ///
    /// Each file is written under another name first, and when all are whole they get their names, `dataset.json` last:
    /// a set that was there stays whole until then, and what is left where the renaming is broken off is no set. Files
    /// of these names that this function has not written are somebody's data and never replaced. Returns the paths of
    /// the three sides, of `dataset.json`, and of `titles.csv` where there is one.
    ///
    /// # Errors
    /// Names the file that cannot be written, or must not be.
    pub fn write(&self, folder: &Path) -> Result<Vec<PathBuf>, DatasetError> {
        let failed = |reason| DatasetError::Write { path: folder.to_owned(), reason };
        fs::create_dir_all(folder).map_err(failed)?;
        let folder_lock = File::open(folder).map_err(failed)?;
        // Some network file systems know no locks; there it is up to the user.
        if let Err(TryLockError::WouldBlock) = folder_lock.try_lock() {
            return Err(DatasetError::Busy { path: folder.to_owned() });
        }
        let names = self.names();
        let part = |name: &str| folder.join(format!(".{name}.part"));
        check_places(folder)?;
        let written = self.write_parts(&names, part);
        written.inspect_err(|_| names.iter().for_each(|name| drop(fs::remove_file(part(name)))))?;
        self.rename_parts(folder, &names, part)?;
        Ok(self.paths(folder))
    }

    /// The names of the files that [`Prepared::write`] leaves.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        let rejects = (self.rejects != Rejects::Lost).then_some(REJECTS);
        let groups = self.groups.is_some().then_some(GROUPS);
        let titles = (!self.titles.is_empty()).then_some(TITLES);
        let optional = [rejects, groups, titles].into_iter().flatten();
        [TRAIN, VALIDATION, TEST].into_iter().chain(optional).chain([MANIFEST]).collect()
    }

    /// Where [`Prepared::write`] puts the three sides, `dataset.json`, and `titles.csv` where there is one.
    #[must_use]
    pub fn paths(&self, folder: &Path) -> Vec<PathBuf> {
        let titles = (!self.titles.is_empty()).then_some(TITLES);
        [TRAIN, VALIDATION, TEST, MANIFEST].into_iter().chain(titles).map(|name| folder.join(name)).collect()
    }

    fn write_parts(&self, names: &[&str], part: impl Fn(&str) -> PathBuf) -> Result<(), DatasetError> {
        let failed = |name: &str| {
            let path = part(name);
            move |source| DatasetError::Write { path, reason: source }
        };
        thread::scope(|scope| {
            let mut syncing = Vec::with_capacity(names.len());
            for name in names {
                let file = self.write_file(&part(name), name).map_err(failed(name))?;
                // Else after a power failure the name could be there and the bytes not. The disk works while the next
                // file is written.
                syncing.push((name, scope.spawn(move || file.sync_all())));
            }
            syncing.into_iter().try_for_each(|(name, sync)| {
                let synced = sync.join().unwrap_or_else(|_| Err(io::Error::other("the write came to a sudden end")));
                synced.map_err(failed(name))
            })
        })
    }

    fn rename_parts(&self, folder: &Path, names: &[&str], part: impl Fn(&str) -> PathBuf) -> Result<(), DatasetError> {
        // Once the first file has its name, the old set is no more, and without this file nothing is taken for a set. That
        // it is under way can be seen by the new one, which comes last.
        let gone = |name: &str| match fs::remove_file(folder.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(DatasetError::Write { path: folder.join(name), reason: error })
            }
            _ => Ok(()),
        };
        gone(MANIFEST)?;
        OPTIONAL.into_iter().filter(|name| !names.contains(name)).try_for_each(gone)?;
        for name in names {
            let to = folder.join(name);
            fs::rename(part(name), &to).map_err(|source| DatasetError::Write { path: to.clone(), reason: source })?;
        }
        Ok(())
    }

    fn write_file(&self, path: &Path, name: &str) -> io::Result<File> {
        // What a broken-off write has left, or a link to somebody's file.
        if path.symlink_metadata().is_ok() {
            fs::remove_file(path)?;
        }
        let mut out = BufWriter::new(File::create_new(path)?);
        match name {
            TRAIN => write_csv(&self.splits.train, &mut out)?,
            VALIDATION => write_csv(&self.splits.validation, &mut out)?,
            TEST => write_csv(&self.splits.test, &mut out)?,
            REJECTS => self.write_rejects(&mut out)?,
            GROUPS => self.write_groups(&mut out)?,
            TITLES => self.write_titles(&mut out)?,
            _ => {
                serde_json::to_writer_pretty(&mut out, &self.manifest)?;
                out.write_all(b"\n")?;
            }
        }
        out.into_inner().map_err(io::IntoInnerError::into_error)
    }

    fn write_rejects(&self, out: &mut BufWriter<File>) -> io::Result<()> {
        let rejects = match &self.rejects {
            Rejects::Rows(rejects) => rejects,
            Rejects::File(file) => return out.write_all(file),
            Rejects::Lost => return Ok(()),
        };
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(["file", "line", "description", "code", "reason"])?;
        for Reject { place: (file, line), description, code, reason } in rejects {
            let source = usize::try_from(*file).ok().and_then(|file| self.manifest.sources.get(file));
            let file = source.map_or_else(String::new, |source| source.path.display().to_string());
            let line = line.to_string();
            writer.write_record([file.as_str(), line.as_str(), description, code, reason.to_string().as_str()])?;
        }
        writer.flush()
    }

    fn write_groups(&self, out: &mut BufWriter<File>) -> io::Result<()> {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(["code", "group"])?;
        for (code, group) in self.groups.iter().flat_map(Groups::entries) {
            writer.write_record([code.to_string().as_str(), group.as_str()])?;
        }
        writer.flush()
    }

    fn write_titles(&self, out: &mut BufWriter<File>) -> io::Result<()> {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(["description", "unspsc"])?;
        for (code, title) in &self.titles {
            writer.write_record([title, code.to_string().as_str()])?;
        }
        writer.flush()
    }
}

/// Whether `folder` holds a set that [`Prepared::write`] has written, be it damaged or unreadable by now.
#[must_use]
pub fn is_prepared(folder: &Path) -> bool {
    let path = folder.join(MANIFEST);
    if !path.is_file() {
        return false;
    }
    // Other programs have files of this name as well. What cannot be read may be a set, and is not read as raw data.
    manifest(&path).is_none_or(|json| is_ours(&json))
}

fn manifest(path: &Path) -> Option<serde_json::Value> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn is_ours(manifest: &serde_json::Value) -> bool {
    manifest.get("prepared_by").is_some() && manifest.get("fingerprint").is_some()
}

/// Whether `folder` holds what a broken-off [`Prepared::write`] has left, which is no set.
#[must_use]
pub fn is_broken_off(folder: &Path) -> bool {
    !folder.join(MANIFEST).exists() && folder.join(format!(".{MANIFEST}.part")).exists()
}

/// Whether `path` is one of the files of a set that stands, whole or not, in its folder.
#[must_use]
pub fn is_of_a_set(path: &Path) -> bool {
    let is_ours = |folder: &Path| is_prepared(folder) || is_broken_off(folder);
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    NAMES.contains(&name) && path.parent().is_some_and(is_ours)
}

/// Refuses a folder in which somebody else's files, or what is no file, would have to make place.
fn check_places(folder: &Path) -> Result<(), DatasetError> {
    // To replace a file takes more than a doubt.
    let is_ours = manifest(&folder.join(MANIFEST)).is_some_and(|json| is_ours(&json)) || is_broken_off(folder);
    for path in NAMES.map(|name| folder.join(name)) {
        if path.exists() && !path.is_file() {
            return Err(DatasetError::Write { path, reason: io::Error::other("it is there and is no file") });
        }
        if path.exists() && !is_ours {
            return Err(DatasetError::NotOurs { path });
        }
    }
    Ok(())
}

/// What became of rows, most frequent first, as one line.
fn explain(rejects: &BTreeMap<String, usize>, duplicates: usize) -> String {
    let mut parts: Vec<(&str, usize)> = rejects.iter().map(|(reason, count)| (reason.as_str(), *count)).collect();
    parts.push(("duplicate", duplicates));
    parts.retain(|(_, count)| *count > 0);
    parts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let parts: Vec<String> = parts.into_iter().map(|(reason, count)| format!("{reason}: {count}")).collect();
    if parts.is_empty() { "no row was refused".to_owned() } else { parts.join(", ") }
}

fn write_csv(side: &[Example], out: &mut BufWriter<File>) -> io::Result<()> {
    out.write_all(b"description,code,label,origin\n")?;
    // As much at a time as all threads have to do, and not the whole side; one writes what the others made before.
    let mut made: Vec<io::Result<Vec<u8>>> = Vec::new();
    let mut write = |made: Vec<io::Result<Vec<u8>>>| made.into_iter().try_for_each(|lines| out.write_all(&lines?));
    for some in side.chunks(PIECE * 4 * rayon::current_num_threads()) {
        let (written, further) =
            rayon::join(|| write(std::mem::take(&mut made)), || some.par_chunks(PIECE).map(csv_rows).collect());
        written?;
        made = further;
    }
    write(made)
}

/// The lines of some examples.
fn csv_rows(examples: &[Example]) -> io::Result<Vec<u8>> {
    let mut lines = Vec::with_capacity(PIECE * 100);
    for some in examples.chunks(NEAR) {
        let ends = |text: &[u8]| Some((u128::from(*text.first()?) << 8) + u128::from(*text.last()?));
        touch(some.iter().filter_map(|example| ends(example.description.as_bytes())));
        for Example { description, code, label, origin, .. } in some {
            push_field(&mut lines, description);
            write!(lines, ",{code},")?;
            push_field(&mut lines, label.as_str());
            lines.push(b',');
            push_field(&mut lines, origin);
            lines.push(b'\n');
        }
    }
    Ok(lines)
}

/// Adds a field, in quotes where it needs them. [`csv::Writer`] goes through every byte of fields that hardly ever do,
/// which would be a seventh of the time of all that is done to a row.
fn push_field(line: &mut Vec<u8>, field: &str) {
    if field.bytes().any(|byte| matches!(byte, b',' | b'"' | b'\r' | b'\n')) {
        line.push(b'"');
        line.extend_from_slice(field.replace('"', "\"\"").as_bytes());
        line.push(b'"');
    } else {
        line.extend_from_slice(field.as_bytes());
    }
}

#[cfg(test)]
mod tests;
