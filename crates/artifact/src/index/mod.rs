//! `index.safetensors`: vectors of titles and training texts, of four bits a value, the words of those titles, and the
//! titles of codes.
//!
//! | tensor | type and shape | |
//! |---|---|---|
//! | `vectors` | U8 `[entries, 32 ⌈hidden / 64⌉]` | two values a byte, of unit vectors |
//! | `scales` | F32 `[entries]` | a row's scale |
//! | `codes` | U32 `[entries]` | ascending |
//! | `kinds` | U8 `[entries]` | [`EntryKind`] |
//! | `words` | U64 `[words]` | [`words`](crate::words()) of the entries that are titles, strictly ascending |
//! | `word_ends` | U32 `[words]` | where the entries of a word end in `word_entries` and those of the next begin |
//! | `word_entries` | U32 `[occurrences]` | the entries that have the word, strictly ascending |
//! | `title_codes` | U32 `[titles]` | strictly ascending |
//! | `title_ends` | U32 `[titles]` | where a title ends in `title_bytes` and the next begins |
//! | `title_bytes` | U8 `[bytes]` | UTF-8 |
//!
//! The file's metadata are one string, `unspsc-index VERSION HIDDEN`: safetensors writes several in an order of chance, and the same
//! index is to have the same bytes.

mod nibbles;
mod reader;
mod write;

use std::ops::Range;
use std::path::Path;

use unspsc_taxonomy::Code;

use crate::ArtifactError;
use crate::mapped::Mapped;
use reader::Reader;

/// What the file's metadata says that it is, as the value of `format`.
const FORMAT: &str = "unspsc-index";

/// The version of the layout above.
const VERSION: &str = "2";

/// What an entry's vector was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
    /// A title of the code list; 0 in the file.
    Title,
    /// A text that was trained on; 1 in the file.
    Text,
}

/// What is put into an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'t> {
    /// The code that it stands for.
    pub code: Code,
    /// What its vector was made of.
    pub kind: EntryKind,
    /// The text that its vector was made of.
    pub text: &'t str,
}

/// Vectors with the codes they stand for, the words of those that are titles, and titles of codes. Vectors, kinds and titles are
/// mapped into memory and not copied.
#[derive(Debug)]
pub struct TitleIndex {
    file: Mapped,
    hidden: usize,
    codes: Vec<u32>,
    scales: Vec<f32>,
    /// Where in the file's bytes they are.
    vectors: Range<usize>,
    kinds: Range<usize>,
    words: Words,
    title_codes: Vec<u32>,
    title_ends: Vec<u32>,
    title_bytes: Range<usize>,
}

/// The titles that have a word.
#[derive(Debug)]
struct Words {
    /// Ascending.
    numbers: Vec<u64>,
    /// Where the entries of each end, and those of the next begin.
    ends: Vec<u32>,
    entries: Vec<u32>,
}

impl Words {
    /// The entries of the word at this place, ascending.
    fn entries_of(&self, place: usize) -> &[u32] {
        let start = if place == 0 { 0 } else { self.ends[place - 1] };
        &self.entries[start as usize..self.ends[place] as usize]
    }
}

impl TitleIndex {
    /// Opens the file at `path` of a model whose pooled vectors have `hidden` values, and checks all of it. Nobody may
    /// shorten the file while it is in use: it is replaced by renaming.
    ///
    /// # Errors
    /// If the file is missing, damaged, of another version or for another model; names the tensor that is not as it
    /// should be.
    pub fn read(path: &Path, hidden: usize) -> Result<Self, ArtifactError> {
        let file = Mapped::open(path)?;
        let reader = Reader::new(&file);
        reader.check_metadata(hidden)?;
        let (codes, title_codes) = (reader.u32s("codes")?, reader.u32s("title_codes")?);
        reader.check_codes("codes", &codes, |before, next| before <= next)?;
        reader.check_codes("title_codes", &title_codes, |before, next| before < next)?;
        let entries = codes.len();
        let scales = reader.scales(entries)?;
        let vectors = reader.bytes("vectors", &[entries, nibbles::width(hidden)])?;
        let kinds = reader.kinds(entries)?;
        let words = reader.words(&kinds)?;
        let (title_ends, title_bytes) = reader.titles(title_codes.len())?;
        Ok(Self { hidden, codes, scales, vectors, kinds, words, title_codes, title_ends, title_bytes, file })
    }

    /// How many vectors there are.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.codes.len()
    }

    /// How many values a vector has.
    #[must_use]
    pub fn hidden(&self) -> usize {
        self.hidden
    }

    /// The code of each entry, as the number that its eight digits write, ascending: `[entries]`.
    #[must_use]
    pub fn codes(&self) -> &[u32] {
        &self.codes
    }

    /// What the entry's vector was made of.
    ///
    /// # Panics
    /// If there is no such entry.
    #[must_use]
    pub fn kind(&self, entry: usize) -> EntryKind {
        if self.file.bytes()[self.kinds.clone()][entry] == 0 { EntryKind::Title } else { EntryKind::Text }
    }

    /// All vectors, `[entries, 32 ⌈hidden / 64⌉]`, two values a byte: byte i of a row's block of 32 holds value i of 64
    /// in its low half and value i + 32 in its high half. A half h stands for `scale * (h - 8)`.
    #[must_use]
    pub fn packed_vectors(&self) -> &[u8] {
        &self.file.bytes()[self.vectors.clone()]
    }

    /// The scale of each entry's vector, above zero and at most 1: `[entries]`.
    #[must_use]
    pub fn scales(&self) -> &[f32] {
        &self.scales
    }

    /// The entry's vector as float32, of nearly unit length: `[hidden]`.
    ///
    /// # Panics
    /// If there is no such entry.
    #[must_use]
    pub fn vector(&self, entry: usize) -> Vec<f32> {
        let width = nibbles::width(self.hidden);
        nibbles::unpack(&self.packed_vectors()[entry * width..][..width], self.hidden, self.scales[entry])
    }

    /// The titles among the entries that have `word`, of [`words`](crate::words()), ascending.
    #[must_use]
    pub fn entries_with(&self, word: u64) -> &[u32] {
        self.words.numbers.binary_search(&word).map_or(&[], |at| self.words.entries_of(at))
    }

    /// The titles among the entries that have a word, for each word that any has.
    pub fn entries_by_word(&self) -> impl Iterator<Item = &[u32]> {
        (0..self.words.numbers.len()).map(|at| self.words.entries_of(at))
    }

    /// The title of exactly this code.
    #[must_use]
    pub fn title(&self, code: Code) -> Option<&str> {
        self.title_codes.binary_search(&code.number()).ok().and_then(|at| self.title_at(at))
    }

    /// The titles of all codes that have one, ascending by code.
    pub fn titles(&self) -> impl Iterator<Item = (Code, &str)> {
        let numbers = self.title_codes.iter().enumerate();
        numbers.filter_map(|(at, number)| Some((Code::of_number(*number)?, self.title_at(at)?)))
    }

    fn title_at(&self, at: usize) -> Option<&str> {
        let start = if at == 0 { 0 } else { self.title_ends[at - 1] };
        let bytes = &self.file.bytes()[self.title_bytes.clone()];
        std::str::from_utf8(bytes.get(start as usize..self.title_ends[at] as usize)?).ok()
    }
}

#[cfg(test)]
mod tests;
