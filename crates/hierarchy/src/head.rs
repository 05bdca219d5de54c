//! What the head's outputs say of the codes of a level.

use unspsc_taxonomy::{Code, Level};

/// The codes of one level that outputs belong to.
#[derive(Debug, Clone)]
pub(crate) struct HeadLevel {
    /// Ascending.
    codes: Vec<Code>,
    /// Place of each output's ancestor in `codes`; none for an output above this level.
    of_output: Vec<Option<usize>>,
}

impl HeadLevel {
    pub(crate) fn new(outputs: &[Code], level: Level) -> Self {
        let own = |code: &Code| code.reaches(level).then(|| code.at(level));
        let mut codes: Vec<Code> = outputs.iter().filter_map(own).collect();
        codes.sort_unstable();
        codes.dedup();
        let place = |code: &Code| own(code).and_then(|code| codes.binary_search(&code).ok());
        Self { of_output: outputs.iter().map(place).collect(), codes }
    }

    pub(crate) fn codes(&self) -> &[Code] {
        &self.codes
    }

    /// The share of each code, from those of the outputs.
    pub(crate) fn shares(&self, outputs: &[f64]) -> Vec<f64> {
        let mut shares = vec![0.0; self.codes.len()];
        for (place, output) in self.of_output.iter().zip(outputs) {
            if let Some(share) = place.and_then(|place| shares.get_mut(place)) {
                *share += output;
            }
        }
        shares
    }
}

/// Probabilities of logits; none where they are no numbers.
pub(crate) fn softmax(logits: &[f32]) -> Vec<f64> {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exponentials: Vec<f64> = logits.iter().map(|logit| f64::from(*logit - highest).exp()).collect();
    let sum: f64 = exponentials.iter().sum();
    exponentials.into_iter().map(|exponential| exponential / sum).collect()
}
