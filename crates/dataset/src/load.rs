//! Files and folders to rows.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use csv::{Reader, ReaderBuilder, StringRecord};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use unspsc_taxonomy::{Code, Level, Titles};

use crate::digest::{self, Key};
use crate::layout::{Item, Layout, Unusable};
use crate::prepare::{GROUPS, REJECTS, TITLES};
use crate::read::{Content, Limited, MAX_LINE_BYTES, MAX_RECORD_LINES};
use crate::{AUGMENTED, Columns, DatasetError, Label, Reject, RejectReason, TitleForm};

/// Endings of data files; whatever else lies in a folder is not looked at.
const ENDINGS: [&str; 4] = [".csv", ".tsv", ".txt", ".csv.gz"];

/// Folders of this name hold data to measure by, never to train on.
const VALIDATION_FOLDER: &str = "validation";

/// Records that are read while as many are cleaned.
const BATCH: usize = 8192;
/// Records that a thread cleans at a time.
const PIECE: usize = 256;

/// The set that the program carries.
const STARTER: &str = include_str!("../../../data/starter.csv");

/// A description with its code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Tidied by [`unspsc_taxonomy::tidy`] and not empty.
    pub description: String,
    /// The code at whatever level the source knows.
    pub code: Code,
    /// The group that a prepared file has put it into; none where the label is a code.
    pub group: Option<Label>,
    /// Which source it came from: the file's name, or what the file's `origin` column says.
    pub origin: Arc<str>,
    /// Whether it is a title of the code list.
    pub title: bool,
    /// Identity of the cleaned description.
    pub(crate) key: Key,
    /// The file, as an index into [`Loaded::sources`], and the line that the row begins on, counted from 1.
    pub place: (u32, u32),
}

impl Row {
    /// A row that comes from no file; `description` is tidied.
    #[must_use]
    pub fn new(description: &str, code: Code, origin: &str) -> Self {
        let description = unspsc_taxonomy::tidy(description);
        let key = digest::key(&description);
        Self { description, code, group: None, origin: origin.into(), title: false, key, place: (0, 0) }
    }

    /// The code, where the row is the title of a commodity.
    pub(crate) fn titled_commodity(&self) -> Option<Code> {
        (self.title && self.code.level() == Level::Commodity).then_some(self.code)
    }

    /// The row as one that is not taken.
    pub(crate) fn reject(self, reason: RejectReason) -> Reject {
        Reject { place: self.place, description: self.description, code: self.code.to_string(), reason }
    }

    /// Identity of the text: the same for two rows whose descriptions clean to the same string, and for no others.
    #[must_use]
    pub fn text(&self) -> u128 {
        self.key
    }
}

/// How files are read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// Columns, where the header is not to be recognised.
    pub columns: Columns,
    /// In what form titles of the code list become texts.
    pub titles: TitleForm,
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
    /// How its bytes were read as text.
    #[serde(default)]
    pub encoding: String,
    /// Characters that could not be read as such and were replaced.
    #[serde(default)]
    pub damaged: usize,
    /// The layout that its header was recognised as.
    pub layout: String,
    /// Rows taken from it; a code list yields several for a line.
    pub rows: usize,
    /// Rows of it that cannot be used.
    pub rejects: usize,
    /// Pairs of text and code that the file holds more than once, O\*NET once for each occupation: dropped here.
    pub repeats: usize,
}

/// What a file or folder holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Usable rows, in the order of the files.
    pub rows: Vec<Row>,
    /// Rows that cannot be used.
    pub rejects: Vec<Reject>,
    /// The files that were read, in order.
    pub sources: Vec<Source>,
    /// Folders named `validation` and those of prepared sets, which are never entered.
    pub skipped: Vec<PathBuf>,
}

/// Reads a file, or every data file under a folder, sorted by path; the layout is recognised by the header.
///
/// Endings are `.csv`, `.tsv`, `.txt` and `.csv.gz`. Folders below `path` that are named `validation` or hold a prepared set
/// are not entered, and of a prepared set at `path` itself, rejects, groups and titles are passed over.
///
/// # Errors
/// Names the file that is missing, empty, binary, without rows or without a needed column.
pub fn load(path: &Path, reading: &Reading) -> Result<Loaded, DatasetError> {
    let Found { tables, skipped, .. } = Found::at(path)?;
    read(path, &tables, skipped, reading)
}

/// Reads a channel of a training job, whose files somebody else has named.
///
/// As [`load`] does, and files without an ending are data as well, as distributed writers leave them (`part-00000`), unless
/// their names begin with an underscore (`_SUCCESS`). Where there are none of either, every visible file is.
///
/// # Errors
/// As [`load`].
pub fn load_channel(path: &Path) -> Result<Loaded, DatasetError> {
    let Found { mut tables, mut others, skipped } = Found::at(path)?;
    let without_ending = |file: &PathBuf| file.extension().is_none();
    tables.extend(others.extract_if(.., |file| without_ending(file)));
    let mut files = if tables.is_empty() { others } else { tables };
    files.sort();
    read(path, &files, skipped, &Reading::default())
}

/// Reads the `files` that were found at `path`.
fn read(path: &Path, files: &[PathBuf], skipped: Vec<PathBuf>, reading: &Reading) -> Result<Loaded, DatasetError> {
    if files.is_empty() {
        return Err(DatasetError::NoFiles { path: path.to_owned(), skipped });
    }
    let mut loaded = Loaded { skipped, ..Loaded::default() };
    for file in files {
        loaded.add(Content::File(file), reading)?;
    }
    Ok(loaded)
}

/// The starter set that the program carries: written for this project, not collected.
///
/// # Errors
/// Only if the embedded file was edited into something unreadable.
pub fn starter() -> Result<Loaded, DatasetError> {
    let mut loaded = Loaded::default();
    loaded.add(Content::Embedded(Path::new("starter.csv"), STARTER.as_bytes()), &Reading::default())?;
    Ok(loaded)
}

impl Loaded {
    /// The same with the rows that augmentation has made among the rejects: a variant of a held-out text would give it away.
    #[must_use]
    pub fn without_augmented(mut self) -> Self {
        let is_made = |row: &Row| row.origin.starts_with(AUGMENTED);
        if self.rows.par_iter().any(is_made) {
            let made = self.rows.extract_if(.., |row| is_made(row));
            self.rejects.extend(made.map(|row| row.reject(RejectReason::Augmented)));
        }
        self
    }

    fn add(&mut self, content: Content<'_>, reading: &Reading) -> Result<(), DatasetError> {
        let path = content.path();
        let scan = content.scan()?;
        // Tab-separated files are written without quoting: a quote there means inches.
        let (limited, since) = Limited::new(content.open(&scan)?.chain(END_RECORD.as_bytes()));
        let mut reader = ReaderBuilder::new()
            .delimiter(scan.delimiter)
            .quoting(scan.delimiter != b'\t')
            .flexible(true)
            .from_reader(limited);
        let layout = recognise(&mut reader, &since, &reading.columns, path)?;
        let (rows_before, rejects_before) = (self.rows.len(), self.rejects.len());
        let mut adding = Adding {
            file: u32::try_from(self.sources.len()).unwrap_or(u32::MAX),
            origin: path.file_name().unwrap_or_default().to_string_lossy().into(),
            titles: Titles::embedded().unwrap_or_default(),
            repeats_itself: layout.repeats(),
            is_code_list: layout.is_code_list(),
            seen: HashSet::new(),
            origins: HashMap::new(),
            repeats: 0,
        };
        // One thread takes over what was cleaned last and reads on, while the others clean what was read last.
        let batch =
            || Batch { records: Vec::new(), filled: 0, since: Arc::clone(&since), ends_in_crlf: scan.ends_in_crlf };
        let (mut batch, mut next, mut cleaned) = (batch(), batch(), Vec::new());
        batch.fill(&mut reader, path)?;
        while !batch.records().is_empty() {
            let (read, now_cleaned) = rayon::join(
                || {
                    adding.take(std::mem::take(&mut cleaned), self);
                    next.fill(&mut reader, path)
                },
                || clean(batch.records(), &layout, reading.titles),
            );
            read?;
            cleaned = now_cleaned;
            std::mem::swap(&mut batch, &mut next);
        }
        adding.take(cleaned, self);
        let (rows, rejects) = (self.rows.len() - rows_before, self.rejects.len() - rejects_before);
        if rows + rejects == 0 {
            return Err(DatasetError::HeaderOnly { path: path.to_owned() });
        }
        self.sources.push(Source {
            path: path.to_owned(),
            sha256: scan.sha256,
            encoding: scan.encoding.name().to_owned(),
            damaged: scan.damaged,
            layout: layout.name().to_owned(),
            rows,
            rejects,
            repeats: adding.repeats,
        });
        Ok(())
    }
}

/// What the header says of the columns.
fn recognise(
    reader: &mut Reader<impl Read>,
    since: &AtomicUsize,
    columns: &Columns,
    path: &Path,
) -> Result<Layout, DatasetError> {
    let header = reader.headers();
    let long = DatasetError::LongRecord { path: path.to_owned(), line: 1 };
    if since.swap(0, Ordering::Relaxed) > MAX_LINE_BYTES {
        return Err(long);
    }
    let header = header.map_err(|source| csv_error(path, source))?;
    if header.iter().any(|name| name.contains(END)) {
        return Err(DatasetError::OpenQuote { path: path.to_owned(), line: 1 });
    }
    if header.iter().map(line_ends).sum::<u64>() > MAX_RECORD_LINES {
        return Err(long);
    }
    Layout::recognise(header, columns).map_err(|column| missing_column(path, column, header))
}

/// What is read as a record of its own after the end of each file. Where a quote is open, it is read as a part of the last
/// field instead.
const END: &str = "\u{2}end of file\u{2}";
const END_RECORD: &str = "\n\u{2}end of file\u{2}\n";

fn line_ends(text: &str) -> u64 {
    text.bytes().filter(|byte| *byte == b'\n').count() as u64
}

/// Records whose memory is used again.
struct Batch {
    records: Vec<StringRecord>,
    filled: usize,
    /// See [`Limited`].
    since: Arc<AtomicUsize>,
    /// Whether lines end in CR LF, of which the reader leaves the LF to the record that follows.
    ends_in_crlf: bool,
}

impl Batch {
    /// Reads the next records of the file at `path`; none at the end.
    fn fill(&mut self, reader: &mut Reader<impl Read>, path: &Path) -> Result<(), DatasetError> {
        self.records.resize_with(BATCH, StringRecord::new);
        self.filled = 0;
        for record in &mut self.records {
            let before = reader.position().line();
            self.since.store(0, Ordering::Relaxed);
            let read = reader.read_record(record);
            if self.since.load(Ordering::Relaxed) > MAX_LINE_BYTES {
                return Err(DatasetError::LongRecord { path: path.to_owned(), line: before });
            }
            if !read.map_err(|source| csv_error(path, source))? || record.as_slice() == END {
                break;
            }
            // Blank lines before a record count in the reader's position, so that the record's own are taken off its end.
            let after = reader.position().line();
            let own = if after - before > 1 { line_ends(record.as_slice()) } else { 0 };
            let is_open = record.as_slice().trim_end().ends_with(END);
            let line = (after - own).saturating_sub(u64::from(!self.ends_in_crlf && !is_open)).max(1);
            if own > MAX_RECORD_LINES {
                return Err(DatasetError::LongRecord { path: path.to_owned(), line });
            }
            if let Some(mut position) = record.position().filter(|position| position.line() != line).cloned() {
                position.set_line(line);
                record.set_position(Some(position));
            }
            if is_open {
                return Err(DatasetError::OpenQuote { path: path.to_owned(), line });
            }
            self.filled += 1;
        }
        Ok(())
    }

    fn records(&self) -> &[StringRecord] {
        self.records.get(..self.filled).unwrap_or_default()
    }
}

/// An item with the line it begins on and the identity of its text.
struct Cleaned {
    line: u64,
    key: Key,
    item: Item,
}

/// The items of the records in their order, cleaned on all threads.
fn clean(records: &[StringRecord], layout: &Layout, form: TitleForm) -> Vec<Vec<Cleaned>> {
    let piece = |records: &[StringRecord]| {
        let mut cleaned = Vec::with_capacity(records.len());
        for record in records {
            let line = record.position().map_or(0, csv::Position::line);
            layout.items(record, form, |item| {
                let key = item.outcome.as_ref().map_or(0, |(text, _)| digest::key(text));
                cleaned.push(Cleaned { line, key, item });
            });
        }
        cleaned
    };
    records.par_chunks(PIECE).map(piece).collect()
}

/// A file on its way into [`Loaded`].
struct Adding {
    file: u32,
    origin: Arc<str>,
    titles: Titles,
    repeats_itself: bool,
    is_code_list: bool,
    /// What the file has yielded already, for the layouts that repeat themselves.
    seen: HashSet<(Key, Code)>,
    /// Origins that rows name for themselves.
    origins: HashMap<String, Arc<str>>,
    repeats: usize,
}

impl Adding {
    /// Adds what was cleaned, in order.
    fn take(&mut self, cleaned: Vec<Vec<Cleaned>>, loaded: &mut Loaded) {
        for Cleaned { line, key, item } in cleaned.into_iter().flatten() {
            self.item(line, key, item, loaded);
        }
    }

    fn item(&mut self, line: u64, key: Key, item: Item, loaded: &mut Loaded) {
        let place = (self.file, u32::try_from(line).unwrap_or(u32::MAX));
        let known = |code: Code| self.titles.get(code.at(Level::Segment)).is_some();
        let (description, code) = match item.outcome {
            Ok((description, code)) if known(code) => (description, code),
            Ok((description, code)) => {
                let reason = RejectReason::UnknownSegment(code);
                return loaded.rejects.push(Reject { place, description, code: code.to_string(), reason });
            }
            Err(unusable) => {
                let Unusable { reason, description, code } = *unusable;
                return loaded.rejects.push(Reject { place, description, code, reason });
            }
        };
        // The titles above a commodity stand in its line too; that is the layout and no repetition.
        if (self.repeats_itself || self.is_code_list) && !self.seen.insert((key, code)) {
            self.repeats += usize::from(self.repeats_itself);
            return;
        }
        let (group, origin) = match item.written {
            Some(written) => {
                let (label, origin) = *written;
                (label.parse::<Code>().is_err().then(|| Label::group(&label)), self.named(origin))
            }
            None => (None, Arc::clone(&self.origin)),
        };
        loaded.rows.push(Row { description, code, group, origin, title: self.is_code_list, key, place });
    }

    /// The origin that a row names for itself; rows of one origin share its name.
    fn named(&mut self, name: String) -> Arc<str> {
        match self.origins.get(&name) {
            Some(origin) => Arc::clone(origin),
            None => Arc::clone(self.origins.entry(name).or_insert_with_key(|name| name.as_str().into())),
        }
    }
}

/// The visible files at a path, sorted.
#[derive(Default)]
struct Found {
    /// Those with one of [`ENDINGS`].
    tables: Vec<PathBuf>,
    /// Those with another ending, or none.
    others: Vec<PathBuf>,
    /// Folders that were not entered.
    skipped: Vec<PathBuf>,
}

impl Found {
    /// A file that is named outright is data, whatever its name.
    fn at(path: &Path) -> Result<Self, DatasetError> {
        let metadata = fs::metadata(path).map_err(|source| read_error(path, source))?;
        let mut found = Self::default();
        if metadata.is_dir() && crate::is_broken_off(path) {
            return Err(DatasetError::BrokenOff { path: path.to_owned() });
        }
        if metadata.is_dir() {
            found.collect(path)?;
        } else {
            found.tables.push(path.to_owned());
        }
        Ok(found)
    }

    /// Adds what is under `folder`, without following links to folders.
    fn collect(&mut self, folder: &Path) -> Result<(), DatasetError> {
        let entries = fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let mut entries = entries.map_err(|source| read_error(folder, source))?;
        entries.sort_by_key(fs::DirEntry::file_name);
        let passed_over: &[&str] = if crate::is_prepared(folder) { &[REJECTS, GROUPS, TITLES] } else { &[] };
        for entry in entries {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().to_lowercase());
            let kind = entry.file_type().map_err(|source| read_error(&path, source))?;
            if kind.is_dir() && (name == VALIDATION_FOLDER || crate::is_prepared(&path) || crate::is_broken_off(&path))
            {
                self.skipped.push(path);
            } else if kind.is_dir() {
                self.collect(&path)?;
            } else if name.starts_with('.') || passed_over.contains(&name.as_str()) {
                continue;
            } else if !path.is_file() {
                // A pipe or a socket has no end that can be waited for.
                continue;
            } else if ENDINGS.iter().any(|ending| name.ends_with(ending)) {
                self.tables.push(path);
            } else if !name.starts_with('_') {
                self.others.push(path);
            }
        }
        Ok(())
    }
}

fn read_error(path: &Path, source: io::Error) -> DatasetError {
    match source.kind() {
        ErrorKind::NotFound => DatasetError::Missing { path: path.to_owned() },
        _ => DatasetError::Read { path: path.to_owned(), reason: source },
    }
}

fn csv_error(path: &Path, source: csv::Error) -> DatasetError {
    if let csv::ErrorKind::Io(_) = source.kind() {
        return DatasetError::Read { path: path.to_owned(), reason: source.into() };
    }
    DatasetError::Csv { path: path.to_owned(), line: source.position().map_or(0, csv::Position::line), reason: source }
}

fn missing_column(path: &Path, column: String, header: &StringRecord) -> DatasetError {
    let found: Vec<String> = header.iter().map(|name| format!("`{}`", name.trim())).collect();
    DatasetError::MissingColumn { path: path.to_owned(), column, found: found.join(", ") }
}

#[cfg(test)]
mod tests;
