//! Precision, recall and F1 in the hierarchy: a wrong commodity of the right family is half right.
//!
//! Of the sets of each code with its ancestors, without the root, B of the true codes and A of the answers, precision
//! is Σ|A ∩ B| / Σ|A| and recall is Σ|A ∩ B| / Σ|B|: Kiritchenko, Matwin and Famili 2005, "Functional annotation of
//! genes using hierarchical text categorization", recommended by Silla and Freitas 2011,
//! <https://doi.org/10.1007/s10618-010-0175-9>.

use unspsc_taxonomy::{Code, Level};

/// Sizes of the sets of ancestors, summed over the rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hierarchical {
    shared: usize,
    predicted: usize,
    truth: usize,
}

impl Hierarchical {
    /// Counts a row of code `truth` that was taken for `predicted`, at whatever level, or for nothing.
    pub fn count(&mut self, truth: Code, predicted: Option<Code>) {
        let levels = |code: Code| Level::ALL.into_iter().filter(move |level| code.reaches(*level));
        self.truth += levels(truth).count();
        if let Some(predicted) = predicted {
            self.predicted += levels(predicted).count();
            // A code that ends above a level has zeros there, and an answer that reaches the level has none.
            let is_shared = |level: &Level| truth.at(*level) == predicted.at(*level);
            self.shared += levels(predicted).filter(is_shared).count();
        }
    }

    /// Share of the answers' codes and ancestors that are true; 0 without answers.
    #[must_use]
    pub fn precision(&self) -> f64 {
        self.shared as f64 / self.predicted.max(1) as f64
    }

    /// Share of the true codes and ancestors that are in the answers; 0 without rows.
    #[must_use]
    pub fn recall(&self) -> f64 {
        self.shared as f64 / self.truth.max(1) as f64
    }

    /// The harmonic mean of precision and recall; 0 without rows.
    #[must_use]
    pub fn f1(&self) -> f64 {
        2.0 * self.shared as f64 / (self.predicted + self.truth).max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Code {
        text.parse().unwrap()
    }

    #[test]
    fn by_hand() {
        let mut scores = Hierarchical::default();
        assert_eq!((scores.precision(), scores.recall(), scores.f1()), (0.0, 0.0, 0.0));
        scores.count(code("43211503"), Some(code("43211508"))); // 3 of 4, 3 of 4
        scores.count(code("43211503"), Some(code("4321"))); // 2 of 2, 2 of 4
        scores.count(code("4321"), Some(code("43211503"))); // 2 of 4, 2 of 2
        scores.count(code("43211503"), Some(code("50221101"))); // 0 of 4, 0 of 4
        scores.count(code("43211503"), None); // nothing, 0 of 4
        assert_eq!((scores.precision(), scores.recall(), scores.f1()), (7.0 / 14.0, 7.0 / 18.0, 14.0 / 32.0));
    }

    #[test]
    fn agrees_with_scikit_learn() {
        let golden = crate::golden();
        let cases = golden["hierarchy"].as_array().unwrap();
        assert!(cases.len() >= 3);
        for case in cases {
            let truth: Vec<Code> = serde_json::from_value(case["truth"].clone()).unwrap();
            let predicted: Vec<Option<Code>> = serde_json::from_value(case["predicted"].clone()).unwrap();
            let mut scores = Hierarchical::default();
            truth.into_iter().zip(predicted).for_each(|(truth, predicted)| scores.count(truth, predicted));
            for (name, value) in [("precision", scores.precision()), ("recall", scores.recall()), ("f1", scores.f1())] {
                let expected = case[name].as_f64().unwrap();
                assert!((value - expected).abs() < 1e-12, "{name} is {value} and not {expected}");
            }
        }
    }
}
