//! How long texts are, in words and in tokens.

use std::path::Path;

use rayon::prelude::*;
use unspsc_artifact::{ArtifactError, ModelConfig, TextEncoder};
use unspsc_contract::files;
use unspsc_dataset::{Example, Splits};

/// Longer texts count as this long: no model here reads more, and a few endless texts should not cost memory.
pub(crate) const LONGEST: usize = 512;

/// How many texts have each length.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lengths(Vec<usize>);

impl Lengths {
    /// Words of the texts of all sides; between two words of a tidied text there is one space.
    pub(crate) fn of_words(splits: &Splits) -> Self {
        let words = |example: &Example| example.description.split(' ').count();
        splits.named().into_iter().flat_map(|(_, side)| side.iter().map(words)).collect()
    }

    /// Tokens of the texts of all sides as the encoder in `folder` reads them, its special tokens included.
    ///
    /// # Errors
    /// When the folder holds no tokenizer that can be used.
    pub(crate) fn of_tokens(splits: &Splits, folder: &Path) -> Result<Self, ArtifactError> {
        let config = ModelConfig::read(&folder.join(files::CONFIG))?;
        let encoder = TextEncoder::load(folder, &config, LONGEST, true)?;
        let tokens = |example: &Example| encoder.encode(&example.description).map(|tokens| tokens.ids.len());
        let mut all = Self::default();
        for (_, side) in splits.named() {
            let lengths: Vec<usize> = side.par_iter().map(tokens).collect::<Result<_, _>>()?;
            lengths.into_iter().for_each(|length| all.add(length));
        }
        Ok(all)
    }

    fn add(&mut self, length: usize) {
        let length = length.min(LONGEST);
        if self.0.len() <= length {
            self.0.resize(length + 1, 0);
        }
        self.0[length] += 1;
    }

    /// How many texts there are.
    pub(crate) fn texts(&self) -> usize {
        self.0.iter().sum()
    }

    /// How many texts have exactly this length.
    pub(crate) fn of(&self, length: usize) -> usize {
        self.0.get(length).copied().unwrap_or(0)
    }

    /// How many texts are longer: a model that reads `limit` cuts them.
    pub(crate) fn beyond(&self, limit: usize) -> usize {
        self.0.iter().skip(limit + 1).sum()
    }

    /// [`Lengths::beyond`] as a share of all texts, 0 to 1.
    pub(crate) fn share_beyond(&self, limit: usize) -> f64 {
        self.beyond(limit) as f64 / self.texts().max(1) as f64
    }

    /// The longest text.
    pub(crate) fn longest(&self) -> usize {
        self.0.iter().rposition(|count| *count > 0).unwrap_or(0)
    }

    /// The length that most texts have, the shortest of several.
    pub(crate) fn mode(&self) -> usize {
        let most = self.0.iter().max().copied().unwrap_or(0);
        self.0.iter().position(|count| *count == most).unwrap_or(0)
    }

    /// The length in the middle, or half-way between the two in the middle.
    pub(crate) fn median(&self) -> f64 {
        let texts = self.texts();
        let at = |place: usize| {
            let mut sum = 0;
            let reached = self.0.iter().position(|count| {
                sum += count;
                sum > place
            });
            reached.unwrap_or(0)
        };
        (at(texts.saturating_sub(1) / 2) + at(texts / 2)) as f64 / 2.0
    }
}

impl FromIterator<usize> for Lengths {
    fn from_iter<I: IntoIterator<Item = usize>>(lengths: I) -> Self {
        let mut all = Self::default();
        lengths.into_iter().for_each(|length| all.add(length));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(lengths: &[usize]) -> Lengths {
        lengths.iter().copied().collect()
    }

    #[test]
    fn the_median_lies_in_the_middle_of_odd_and_even_numbers_of_texts() {
        assert_eq!(lengths(&[9, 1, 3]).median(), 3.0);
        assert_eq!(lengths(&[1, 9, 4, 3]).median(), 3.5);
        assert_eq!(lengths(&[2]).median(), 2.0);
        assert_eq!(lengths(&[]).median(), 0.0);
    }

    #[test]
    fn of_two_modes_the_shorter_one_counts() {
        assert_eq!(lengths(&[5, 5, 2, 2, 7]).mode(), 2);
        assert_eq!(lengths(&[5, 5, 2, 2, 5]).mode(), 5);
    }

    #[test]
    fn a_text_as_long_as_the_limit_is_not_cut() {
        let lengths = lengths(&[1, 64, 65, 10_000]);
        assert_eq!((lengths.beyond(64), lengths.beyond(128), lengths.longest()), (2, 1, LONGEST));
        assert_eq!(lengths.share_beyond(64), 0.5);
    }
}
