//! Scores by level.

use std::collections::BTreeMap;

use unspsc_contract::LevelScores;
use unspsc_hierarchy::Probabilities;
use unspsc_scores::{Confusion, Coverage, Reliability, Top};
use unspsc_taxonomy::{Code, Level};

use super::Levels;

/// The precision at which coverage is stated.
pub(super) const PRECISION: f64 = 0.9;

/// What is counted over the rows that reach a level.
#[derive(Debug, Default)]
struct AtLevel {
    confusion: Confusion,
    top5: Top<5>,
    reliability: Reliability,
    coverage: Coverage,
}

/// Counts rows at every level that their codes reach.
#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<Level, AtLevel>);

impl Tally {
    /// Counts a row of this `code` and these `probabilities`.
    pub(super) fn count(&mut self, code: Code, probabilities: &Probabilities) {
        for level in Level::ALL.into_iter().filter(|level| code.reaches(*level)) {
            let truth = code.at(level);
            let ranked = probabilities.at(level);
            let (answer, confidence) = ranked.first().map_or((None, 0.0), |(code, p)| (Some(*code), *p));
            let class = |code: Code| code.number() as usize;
            let at = self.0.entry(level).or_default();
            at.confusion.count(class(truth), answer.map(class));
            at.top5.count(&truth, ranked.iter().map(|(code, _)| *code));
            at.reliability.count(confidence, answer == Some(truth));
            at.coverage.count(confidence, answer == Some(truth));
        }
    }

    pub(super) fn finish(self) -> Levels {
        let scores = |(level, at): (Level, AtLevel)| {
            let AtLevel { confusion, top5, reliability, coverage } = at;
            let covered = coverage.at(PRECISION);
            let scores = LevelScores {
                rows: confusion.total(),
                classes: confusion.found().count(),
                accuracy: confusion.accuracy(),
                balanced_accuracy: confusion.balanced_accuracy(),
                macro_f1: confusion.macro_f1(),
                top5_accuracy: top5.accuracy(),
                ece: reliability.error(),
                bins: reliability.report(),
                coverage: covered.share,
                coverage_threshold: covered.threshold,
                worst: Vec::new(),
            };
            (level, scores)
        };
        self.0.into_iter().map(scores).collect()
    }
}
