//! The RNN baseline's own vocabulary: words of the training texts.

use std::collections::{BTreeMap, HashMap};

/// Id of every word that is not in the vocabulary; 0 is what batches are filled up with.
const UNKNOWN: i64 = 1;

/// The two ids that are no words, as they stand at the top of the vocabulary file.
const SPECIAL: [&str; 2] = ["[PAD]", "[UNK]"];

/// Words that occur once teach nothing but what an unknown word looks like, so they are that.
const MIN_OCCURRENCES: usize = 2;

/// Words kept, most frequent first.
const MAX_WORDS: usize = 30_000;

/// Words by id.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Words {
    /// By id, the two special ones included.
    words: Vec<String>,
    ids: HashMap<String, i64>,
    max_length: usize,
}

impl Words {
    /// The vocabulary of `texts`; of each text `max_length` words are read.
    pub(crate) fn of<'a>(texts: impl Iterator<Item = &'a str>, max_length: usize) -> Self {
        let mut counts = BTreeMap::<&str, usize>::new();
        for word in texts.flat_map(split) {
            *counts.entry(word).or_default() += 1;
        }
        let mut kept: Vec<(&str, usize)> = counts.into_iter().filter(|(_, n)| *n >= MIN_OCCURRENCES).collect();
        kept.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        kept.truncate(MAX_WORDS);
        Self::new(SPECIAL.into_iter().chain(kept.into_iter().map(|(word, _)| word)).map(str::to_owned), max_length)
    }

    /// Reads what [`Words::to_file`] made.
    #[cfg(test)]
    pub(crate) fn from_file(text: &str, max_length: usize) -> Self {
        Self::new(text.lines().map(str::to_owned), max_length)
    }

    fn new(words: impl Iterator<Item = String>, max_length: usize) -> Self {
        let words: Vec<String> = words.collect();
        let ids = words.iter().cloned().zip(0..).collect();
        Self { words, ids, max_length }
    }

    /// One word a line, in order of ids.
    pub(crate) fn to_file(&self) -> String {
        self.words.iter().map(|word| format!("{word}\n")).collect()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.words.len()
    }

    /// The ids of a cleaned text's words; one unknown word where the text holds none.
    pub(crate) fn encode(&self, text: &str) -> Vec<i64> {
        let id = |word: &str| self.ids.get(word).copied().unwrap_or(UNKNOWN);
        let ids: Vec<i64> = split(text).take(self.max_length).map(id).collect();
        if ids.is_empty() { vec![UNKNOWN] } else { ids }
    }
}

/// Runs of letters and digits.
fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequent_words_come_first_and_rare_ones_are_unknown() {
        let words = Words::of(["hex bolt, m8", "hex nut m8 m8", "washer"].into_iter(), 3);
        assert_eq!(words.to_file(), "[PAD]\n[UNK]\nm8\nhex\n");
        assert_eq!(words.encode("hex-bolt m8"), [3, 1, 2]);
        assert_eq!(words.encode("m8 m8 m8 m8"), [2, 2, 2], "no more words than asked for");
        assert_eq!(words.encode("--"), [1]);
        assert_eq!(Words::from_file(&words.to_file(), 3), words);
    }
}
