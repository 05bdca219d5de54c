//! Coverage at a stated precision: how many rows can be left to the classifier if no more than so many may be wrong.
//!
//! A point of the risk-coverage curve of selective classification, El-Yaniv and Wiener 2010,
//! <https://www.jmlr.org/papers/v11/el-yaniv10a.html>, with the precision as 1 less the risk.

/// Rows by the probability of their answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Coverage {
    /// Confidence of each row, and whether its answer is right.
    rows: Vec<(f64, bool)>,
}

/// The rows whose answers are taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Covered {
    /// Share of all rows, 0 to 1.
    pub share: f64,
    /// The least confidence among them; none where no row is taken.
    pub threshold: Option<f64>,
}

impl Coverage {
    /// Counts a row whose answer has the probability `confidence` and is right if `hit`.
    pub fn count(&mut self, confidence: f64, hit: bool) {
        // Of what is no number nothing is known.
        self.rows.push((if confidence.is_finite() { confidence } else { 0.0 }, hit));
    }

    /// The largest share of rows, taken by descending confidence, of which at least the share `precision` is right. Rows
    /// of equal confidence are taken together: no threshold could tell them apart.
    #[must_use]
    pub fn at(&self, precision: f64) -> Covered {
        let mut rows = self.rows.clone();
        rows.sort_by(|one, other| other.0.total_cmp(&one.0));
        let (mut taken, mut hits) = (0, 0);
        let mut covered = Covered { share: 0.0, threshold: None };
        for equal in rows.chunk_by(|one, other| one.0 == other.0) {
            taken += equal.len();
            hits += equal.iter().filter(|(_, hit)| *hit).count();
            if hits as f64 / taken as f64 >= precision {
                let threshold = equal.first().map(|(confidence, _)| *confidence);
                covered = Covered { share: taken as f64 / rows.len() as f64, threshold };
            }
        }
        covered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coverage(rows: &[(f64, bool)]) -> Coverage {
        Coverage { rows: rows.to_vec() }
    }

    #[test]
    fn by_hand() {
        // Precision after 1 to 5 rows: 1, 1/2, 2/3, 3/4, 3/5.
        let rows = coverage(&[(0.4, false), (0.9, true), (0.5, true), (0.8, false), (0.7, true)]);
        assert_eq!(rows.at(0.9), Covered { share: 0.2, threshold: Some(0.9) });
        assert_eq!(rows.at(0.75), Covered { share: 0.8, threshold: Some(0.5) }, "it fell below and rose again");
        assert_eq!(rows.at(0.6).share, 1.0);
    }

    #[test]
    fn rows_of_equal_confidence_are_taken_together() {
        let rows = coverage(&[(0.9, true), (0.9, false), (0.5, true)]);
        assert_eq!(rows.at(0.9), Covered { share: 0.0, threshold: None });
        assert_eq!(rows.at(0.6), Covered { share: 1.0, threshold: Some(0.5) });
    }

    #[test]
    fn nine_of_ten_are_90_percent_and_no_rows_are_no_division() {
        let rows: Vec<_> = (0..10).map(|row| (0.5, row > 0)).collect();
        assert_eq!(coverage(&rows).at(0.9).share, 1.0);
        assert_eq!(Coverage::default().at(0.0), Covered { share: 0.0, threshold: None });
        let mut unknown = Coverage::default();
        unknown.count(f64::NAN, true);
        assert_eq!(unknown.at(1.0).threshold, Some(0.0));
    }

    #[test]
    fn agrees_with_scikit_learn() {
        let golden = crate::golden();
        let cases = golden["coverage"].as_array().unwrap();
        assert!(cases.len() >= 5);
        for case in cases {
            let confidence: Vec<f64> = serde_json::from_value(case["confidence"].clone()).unwrap();
            let hits: Vec<bool> = serde_json::from_value(case["hits"].clone()).unwrap();
            let rows = Coverage { rows: confidence.into_iter().zip(hits).collect() };
            let (covered, expected) =
                (rows.at(case["precision"].as_f64().unwrap()), case["coverage"].as_f64().unwrap());
            assert!((covered.share - expected).abs() < 1e-12, "{covered:?} and not {expected}: {case}");
            assert_eq!(covered.threshold, case["threshold"].as_f64());
        }
    }
}
