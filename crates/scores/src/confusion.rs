//! Accuracy, recall and F1 from counted pairs of true and predicted class.

use std::collections::{BTreeMap, BTreeSet};

/// How often which class was taken for which; classes are indices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Confusion {
    /// By true class: predicted class, if any, to rows. Sparse, because a commodity-level model has thousands of
    /// classes.
    rows: BTreeMap<usize, BTreeMap<Option<usize>, usize>>,
}

/// Rows of one class and how many of them were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The class.
    pub class: usize,
    /// Its rows.
    pub rows: usize,
    /// Those that were taken for it.
    pub hits: usize,
}

impl Found {
    /// Share of the rows that was found.
    #[must_use]
    pub fn recall(self) -> f64 {
        self.hits as f64 / self.rows as f64
    }
}

impl Confusion {
    /// Counts one row of class `truth` that was taken for `predicted`, or for nothing where there is no answer.
    pub fn count(&mut self, truth: usize, predicted: impl Into<Option<usize>>) {
        *self.rows.entry(truth).or_default().entry(predicted.into()).or_default() += 1;
    }

    /// Every class that occurs, ascending.
    pub fn found(&self) -> impl Iterator<Item = Found> + '_ {
        self.rows.iter().map(|(class, predicted)| Found {
            class: *class,
            rows: predicted.values().sum(),
            hits: predicted.get(&Some(*class)).copied().unwrap_or(0),
        })
    }

    /// True class, predicted class and rows, ascending, where there are any; rows without an answer are in none.
    pub fn cells(&self) -> impl Iterator<Item = (usize, usize, usize)> + '_ {
        let cells = |(truth, row): (&usize, &BTreeMap<Option<usize>, usize>)| -> Vec<_> {
            row.iter().filter_map(|(predicted, count)| Some((*truth, (*predicted)?, *count))).collect()
        };
        self.rows.iter().flat_map(cells)
    }

    /// All rows.
    #[must_use]
    pub fn total(&self) -> usize {
        self.found().map(|found| found.rows).sum()
    }

    /// Share of rows whose class was found; 0 without rows.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        self.found().map(|found| found.hits).sum::<usize>() as f64 / self.total().max(1) as f64
    }

    /// Mean recall over the classes that occur, as scikit-learn's `balanced_accuracy_score`; 0 without rows.
    #[must_use]
    pub fn balanced_accuracy(&self) -> f64 {
        self.found().map(Found::recall).sum::<f64>() / self.rows.len().max(1) as f64
    }

    /// Mean over the classes that occur as truth or as prediction of the harmonic mean of precision and recall, as
    /// scikit-learn's `f1_score` with `average="macro"`; 0 for a class that is never found, and without rows.
    #[must_use]
    pub fn macro_f1(&self) -> f64 {
        let mut predicted: BTreeMap<usize, usize> = BTreeMap::new();
        self.cells().for_each(|(_, class, count)| *predicted.entry(class).or_default() += count);
        let classes: BTreeSet<usize> = self.rows.keys().chain(predicted.keys()).copied().collect();
        let f1 = |found: Found| {
            let predicted = predicted.get(&found.class).copied().unwrap_or(0);
            2.0 * found.hits as f64 / (found.rows + predicted) as f64
        };
        self.found().map(f1).sum::<f64>() / classes.len().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows are true classes, columns predicted ones.
    fn matrix<const N: usize>(counts: [[usize; N]; N]) -> Confusion {
        let mut confusion = Confusion::default();
        for (truth, row) in counts.iter().enumerate() {
            for (predicted, count) in row.iter().enumerate() {
                (0..*count).for_each(|_| confusion.count(truth, predicted));
            }
        }
        confusion
    }

    #[test]
    fn by_hand() {
        let confusion = matrix([[8, 2, 0], [1, 1, 0], [0, 3, 1]]);
        assert_eq!(confusion.total(), 16);
        assert_eq!(confusion.accuracy(), 10.0 / 16.0);
        assert!((confusion.balanced_accuracy() - (0.8 + 0.5 + 0.25) / 3.0).abs() < 1e-12);
        assert_eq!(confusion.found().last(), Some(Found { class: 2, rows: 4, hits: 1 }));
    }

    #[test]
    fn a_class_that_is_only_predicted_does_not_count() {
        // scikit-learn: balanced_accuracy_score([0, 0, 1], [0, 2, 1]) == 0.75.
        let confusion = matrix([[1, 0, 1], [0, 1, 0], [0, 0, 0]]);
        assert_eq!(confusion.balanced_accuracy(), 0.75);
        // But it does for f1_score([0, 0, 1], [0, 2, 1], average="macro"): the mean of 2/3, 1 and 0.
        assert!((confusion.macro_f1() - 5.0 / 9.0).abs() < 1e-12);
    }

    #[test]
    fn a_class_that_is_never_found_counts_as_zero_and_no_rows_are_no_division() {
        assert_eq!(matrix([[5, 0], [5, 0]]).balanced_accuracy(), 0.5);
        assert_eq!(Confusion::default().accuracy(), 0.0);
        assert_eq!(Confusion::default().balanced_accuracy(), 0.0);
        assert_eq!(Confusion::default().macro_f1(), 0.0);
    }

    #[test]
    fn a_row_without_an_answer_is_missed_and_is_no_class() {
        let mut confusion = matrix([[3, 0], [0, 3]]);
        confusion.count(0, None);
        assert_eq!((confusion.total(), confusion.accuracy(), confusion.balanced_accuracy()), (7, 6.0 / 7.0, 0.875));
        assert_eq!(confusion.cells().count(), 2);
        // The mean of 2 * 3 / (4 + 3) and 1.
        assert!((confusion.macro_f1() - 13.0 / 14.0).abs() < 1e-12);
    }

    #[test]
    fn cells_are_those_with_rows() {
        let cells: Vec<_> = matrix([[1, 0, 2], [0, 0, 0], [0, 3, 0]]).cells().collect();
        assert_eq!(cells, [(0, 0, 1), (0, 2, 2), (2, 1, 3)]);
    }

    #[test]
    fn agrees_with_scikit_learn() {
        let golden = crate::golden();
        let cases = golden["predictions"].as_array().unwrap();
        assert!(cases.len() >= 8);
        for case in cases {
            let classes = |name: &str| serde_json::from_value::<Vec<usize>>(case[name].clone()).unwrap();
            let mut confusion = Confusion::default();
            classes("truth").into_iter().zip(classes("predicted")).for_each(|(t, p)| confusion.count(t, p));
            for (name, value) in [
                ("accuracy", confusion.accuracy()),
                ("balanced_accuracy", confusion.balanced_accuracy()),
                ("macro_f1", confusion.macro_f1()),
            ] {
                let expected = case[name].as_f64().unwrap();
                assert!((value - expected).abs() < 1e-12, "{name} is {value} and not {expected}: {case}");
            }
        }
    }
}
