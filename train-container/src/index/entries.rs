//! What goes into the index.

use std::collections::HashSet;

use unspsc_artifact::{Entry, EntryKind};
use unspsc_taxonomy::{Code, clean};

use crate::data::Data;

/// Titles and training texts, in the order of the index: by code, titles first.
#[derive(Debug)]
pub(super) struct Entries {
    kinds: Vec<(Code, EntryKind)>,
    /// Cleaned.
    texts: Vec<String>,
}

impl Entries {
    /// The titles and the training rows of `data`. A text that is a title of its own code stands there once.
    pub(super) fn of(data: &Data) -> Self {
        let titles = data.titles.iter().map(|(code, title)| (*code, EntryKind::Title, clean(title)));
        let rows = data.splits.train.iter();
        let texts = rows.map(|row| (row.code, EntryKind::Text, clean(&row.description)));
        let mut entries: Vec<_> = titles.chain(texts).filter(|(_, _, text)| !text.is_empty()).collect();
        // By text at last, so that the order of the rows decides nothing.
        entries.sort();
        let mut seen = HashSet::new();
        entries.retain(|(code, _, text)| seen.insert((*code, text.clone())));
        let (kinds, texts) = entries.into_iter().map(|(code, kind, text)| ((code, kind), text)).unzip();
        Self { kinds, texts }
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Entry<'_>> {
        (0..self.kinds.len()).filter_map(|entry| self.get(entry)).collect()
    }

    /// The text of each, cleaned.
    pub(super) fn texts(&self) -> &[String] {
        &self.texts
    }

    /// One of them.
    pub(super) fn get(&self, entry: usize) -> Option<Entry<'_>> {
        let (code, kind) = *self.kinds.get(entry)?;
        Some(Entry { code, kind, text: self.texts.get(entry)? })
    }
}
