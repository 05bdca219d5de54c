//! Writing an index.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use unspsc_taxonomy::Code;

use super::{Entry, EntryKind, FORMAT, TitleIndex, VERSION, nibbles};
use crate::{ArtifactError, mapped, words};

impl TitleIndex {
    /// Writes an index to `path`, which appears whole or not at all.
    ///
    /// `entries` say what the rows of `vectors`, `[entries, hidden]`, stand for. Vectors may have any length: they are
    /// stored with unit length. In the file entries are in the order of their codes, titles before texts, and otherwise
    /// as they were.
    ///
    /// # Errors
    /// If there are not `hidden` values an entry, a vector is zero or not finite, or the file cannot be written.
    pub fn write(
        path: &Path,
        hidden: usize,
        entries: &[Entry<'_>],
        vectors: &[f32],
        titles: &BTreeMap<Code, String>,
    ) -> Result<(), ArtifactError> {
        let wrong = |tensor: &str, reason: String| ArtifactError::Tensor {
            path: path.to_owned(),
            tensor: tensor.to_owned(),
            reason,
        };
        if vectors.len() != entries.len() * hidden {
            let reason = format!("gets {} values; {} entries of {hidden} want others", vectors.len(), entries.len());
            return Err(wrong("vectors", reason));
        }
        let columns = Columns::new(hidden, entries, vectors).map_err(|entry| {
            wrong("vectors", format!("gets a vector without a direction, that of entry {entry}: training diverged"))
        })?;
        let titles = TitleColumns::new(titles)
            .ok_or_else(|| wrong("title_bytes", "gets more than 4 GiB of titles: shorten the list".into()))?;
        let words = WordColumns::new(&columns.titles)
            .ok_or_else(|| wrong("word_entries", "gets more than 4 billion words: shorten the texts".into()))?;
        let (count, width) = (entries.len(), nibbles::width(hidden));
        let tensors = [
            ("vectors", Dtype::U8, vec![count, width], &columns.vectors),
            ("scales", Dtype::F32, vec![count], &columns.scales),
            ("codes", Dtype::U32, vec![count], &columns.codes),
            ("kinds", Dtype::U8, vec![count], &columns.kinds),
            ("words", Dtype::U64, vec![words.words.len() / 8], &words.words),
            ("word_ends", Dtype::U32, vec![words.ends.len() / 4], &words.ends),
            ("word_entries", Dtype::U32, vec![words.entries.len() / 4], &words.entries),
            ("title_codes", Dtype::U32, vec![titles.codes.len() / 4], &titles.codes),
            ("title_ends", Dtype::U32, vec![titles.ends.len() / 4], &titles.ends),
            ("title_bytes", Dtype::U8, vec![titles.bytes.len()], &titles.bytes),
        ];
        let mut views = Vec::with_capacity(tensors.len());
        for (name, dtype, shape, bytes) in tensors {
            views.push((name, TensorView::new(dtype, shape, bytes).map_err(|error| mapped::failed(path, error))?));
        }
        let format = format!("{FORMAT} {VERSION} {hidden}");
        mapped::write(path, views, HashMap::from([("format".to_owned(), format)]))
    }
}

/// What is stored of the entries, as little-endian bytes.
#[derive(Default)]
struct Columns<'t> {
    vectors: Vec<u8>,
    scales: Vec<u8>,
    codes: Vec<u8>,
    kinds: Vec<u8>,
    /// The titles among the entries; not stored themselves.
    titles: Vec<Option<&'t str>>,
}

impl<'t> Columns<'t> {
    /// The entries in the order of their codes, or the number of one whose vector has no direction.
    fn new(hidden: usize, entries: &[Entry<'t>], vectors: &[f32]) -> Result<Self, usize> {
        let mut order: Vec<usize> = (0..entries.len()).collect();
        order.sort_by_key(|entry| (entries[*entry].code, entries[*entry].kind));
        let mut columns = Self::default();
        columns.vectors.reserve_exact(entries.len() * nibbles::width(hidden));
        for entry in order {
            let unit = unit(&vectors[entry * hidden..][..hidden]).ok_or(entry)?;
            let Entry { code, kind, text } = entries[entry];
            columns.titles.push((kind == EntryKind::Title).then_some(text));
            columns.scales.extend(nibbles::pack(&unit, &mut columns.vectors).to_le_bytes());
            columns.codes.extend(code.number().to_le_bytes());
            columns.kinds.push(match kind {
                EntryKind::Title => 0,
                EntryKind::Text => 1,
            });
        }
        Ok(columns)
    }
}

/// The vector with length 1; none where it has no direction.
fn unit(vector: &[f32]) -> Option<Vec<f32>> {
    let length = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    (length.is_finite() && length > 0.0)
        .then(|| vector.iter().map(|value| (f64::from(*value) / length) as f32).collect())
}

/// What is stored of the titles' words, as little-endian bytes.
#[derive(Default)]
struct WordColumns {
    words: Vec<u8>,
    ends: Vec<u8>,
    entries: Vec<u8>,
}

impl WordColumns {
    /// Of the `titles` among the entries, in the order of the file; none where a number does not fit 32 bits.
    fn new(titles: &[Option<&str>]) -> Option<Self> {
        let mut by_word: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
        for (entry, title) in titles.iter().enumerate() {
            for word in title.map(words).unwrap_or_default() {
                by_word.entry(word).or_default().push(u32::try_from(entry).ok()?);
            }
        }
        let mut columns = Self::default();
        for (word, entries) in by_word {
            columns.words.extend(word.to_le_bytes());
            columns.entries.extend(entries.into_iter().flat_map(u32::to_le_bytes));
            columns.ends.extend(u32::try_from(columns.entries.len() / 4).ok()?.to_le_bytes());
        }
        Some(columns)
    }
}

/// What is stored of the titles, as little-endian bytes.
#[derive(Default)]
struct TitleColumns {
    codes: Vec<u8>,
    ends: Vec<u8>,
    bytes: Vec<u8>,
}

impl TitleColumns {
    /// None where an end does not fit 32 bits.
    fn new(titles: &BTreeMap<Code, String>) -> Option<Self> {
        let mut columns = Self::default();
        for (code, title) in titles {
            columns.bytes.extend(title.as_bytes());
            columns.codes.extend(code.number().to_le_bytes());
            columns.ends.extend(u32::try_from(columns.bytes.len()).ok()?.to_le_bytes());
        }
        Some(columns)
    }
}
