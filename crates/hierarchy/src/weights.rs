//! What is fitted to held-out rows, and stands in the model's `unspsc.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use unspsc_taxonomy::Level;

/// How head, vectors and words are weighed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Weights {
    /// How many entries of the index are looked at for a text, of the nearest by vectors and by words.
    pub neighbours: usize,
    /// What cosines are divided by before the exponential.
    pub temperature: f64,
    /// What the scores of shared words are divided by before the exponential.
    pub word_temperature: f64,
    /// What is taken off the cosine of an entry that is a text and no title.
    pub text_penalty: f64,
    /// By level.
    pub levels: BTreeMap<Level, LevelWeights>,
}

/// How the children of a code are weighed against one another.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LevelWeights {
    /// Of the logarithm of a child's share by the head.
    pub head: f64,
    /// Of the logarithm of a child's share by the nearest vectors.
    pub vectors: f64,
    /// Of the logarithm of a child's share by the words of titles.
    pub words: f64,
    /// What speaks for none of the children.
    pub other: f64,
    /// What speaks for none of them, times the distance of the nearest entry, 1 less its cosine.
    pub other_by_distance: f64,
    /// What speaks for none of them, times the greatest score of shared words.
    pub other_by_words: f64,
    /// What probability is to be asked for, by precision, ascending.
    #[serde(default)]
    pub thresholds: Vec<Threshold>,
}

/// The probabilities from which on answers have at least this precision.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// Share of right answers.
    pub precision: f64,
    /// The least probability of a level's answers; none where no answers are so often right.
    pub probability: Option<f64>,
    /// The same of those answers on the most probable path that are trusted at no finer level, which are the harder ones.
    pub on_path: Option<f64>,
}

impl Weights {
    /// The entries that are looked at unless said otherwise: more change no answer.
    pub const NEIGHBOURS: usize = 64;

    /// Weights that take all shares as they are.
    #[must_use]
    pub fn even() -> Self {
        let third = 1.0 / 3.0;
        let level = LevelWeights { head: third, vectors: third, words: third, other: -6.0, ..LevelWeights::default() };
        Self {
            neighbours: Self::NEIGHBOURS,
            temperature: 0.05,
            // Of 0.2, 0.4, 0.8 and 1.6 the one that was best for 1,555 held-out tools of O*NET's: docs/accuracy.md.
            word_temperature: 0.4,
            text_penalty: 0.0,
            levels: Level::ALL.into_iter().map(|at| (at, level.clone())).collect(),
        }
    }

    /// Says what is wrong with weights that come from a file.
    ///
    /// # Errors
    /// Names the value that cannot be used.
    pub fn check(&self) -> Result<(), String> {
        let is_positive = |value: f64| value.is_finite() && value > 0.0;
        if self.neighbours == 0 || !is_positive(self.temperature) || !is_positive(self.word_temperature) {
            return Err("`hierarchy` needs `neighbours`, `temperature` and `word_temperature` above 0".into());
        }
        let missing = Level::ALL.into_iter().find(|level| !self.levels.contains_key(level));
        if let Some(level) = missing {
            return Err(format!("`hierarchy.levels` lacks `{level}`"));
        }
        let is_finite = |weights: &LevelWeights| {
            let LevelWeights { head, vectors, words, other, other_by_distance, other_by_words, thresholds: _ } =
                weights;
            [head, vectors, words, other, other_by_distance, other_by_words].iter().all(|value| value.is_finite())
        };
        let bad = self.levels.iter().find(|(_, weights)| !is_finite(weights));
        bad.map_or(Ok(()), |(level, _)| Err(format!("`hierarchy.levels.{level}` holds a value that is no number")))
    }

    /// What is enough at `level` for the share `precision` of answers to be right; none where that was not looked for. Between
    /// two precisions that were looked at, the higher one counts.
    #[must_use]
    pub fn threshold(&self, level: Level, precision: f64) -> Option<&Threshold> {
        let thresholds = &self.levels.get(&level)?.thresholds;
        thresholds.iter().find(|threshold| threshold.precision >= precision - 1e-9)
    }

    /// Whether thresholds were fitted.
    #[must_use]
    pub fn has_thresholds(&self) -> bool {
        self.levels.values().any(|level| !level.thresholds.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_higher_precision_counts_and_an_unknown_one_is_never_reached() {
        let mut weights = Weights::even();
        let at = |precision, probability| Threshold { precision, probability, on_path: None };
        if let Some(level) = weights.levels.get_mut(&Level::Family) {
            level.thresholds = vec![at(0.5, Some(0.3)), at(0.9, Some(0.8)), at(0.95, None)];
        }
        let threshold = |precision| weights.threshold(Level::Family, precision).and_then(|it| it.probability);
        assert_eq!(
            [0.4, 0.5, 0.6, 0.9, 0.92, 0.99].map(threshold),
            [Some(0.3), Some(0.3), Some(0.8), Some(0.8), None, None]
        );
        assert_eq!(weights.threshold(Level::Class, 0.5), None);
        assert!(weights.has_thresholds() && !Weights::even().has_thresholds());
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let wrong = |change: fn(&mut Weights)| {
            let mut weights = Weights::even();
            change(&mut weights);
            weights.check().unwrap_err()
        };
        assert_eq!(Weights::even().check(), Ok(()));
        assert!(wrong(|it| it.temperature = f64::NAN).contains("`temperature`"));
        assert!(wrong(|it| it.neighbours = 0).contains("`neighbours`"));
        assert!(wrong(|it| drop(it.levels.remove(&Level::Class))).contains("lacks `class`"));
        let infinite = wrong(|it| it.levels.entry(Level::Segment).or_default().head = f64::INFINITY);
        assert!(infinite.contains("levels.segment"), "{infinite}");
    }
}
