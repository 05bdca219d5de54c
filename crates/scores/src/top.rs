//! Top-k accuracy: how often the true label is among the first k of a ranking.

/// Rows by whether the true label is among the first `K`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Top<const K: usize> {
    rows: usize,
    hits: usize,
}

impl<const K: usize> Top<K> {
    /// Counts a row whose labels are `ranked`, most probable first; no more than the first `K` are looked at.
    pub fn count<T: PartialEq>(&mut self, truth: &T, ranked: impl IntoIterator<Item = T>) {
        self.rows += 1;
        self.hits += usize::from(ranked.into_iter().take(K).any(|label| label == *truth));
    }

    /// Share of rows whose true label is among the first `K`, as scikit-learn's `top_k_accuracy_score`; 0 without rows.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        self.hits as f64 / self.rows.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_behind_the_last_place_is_missed() {
        let mut top = Top::<2>::default();
        assert_eq!(top.accuracy(), 0.0);
        for ranked in [vec![7, 1, 2], vec![1, 7], vec![1, 2, 7], vec![]] {
            top.count(&7, ranked);
        }
        assert_eq!(top.accuracy(), 0.5);
    }

    #[test]
    fn agrees_with_scikit_learn() {
        let golden = crate::golden();
        for case in golden["scores"].as_array().unwrap() {
            let logits: Vec<Vec<f64>> = serde_json::from_value(case["logits"].clone()).unwrap();
            let truth: Vec<usize> = serde_json::from_value(case["truth"].clone()).unwrap();
            let (mut three, mut five) = (Top::<3>::default(), Top::<5>::default());
            for (truth, logits) in truth.iter().zip(logits) {
                let mut ranked: Vec<usize> = (0..logits.len()).collect();
                ranked.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
                three.count(truth, ranked.iter().copied());
                five.count(truth, ranked);
            }
            let expected = ["top3_accuracy", "top5_accuracy"].map(|name| case[name].as_f64().unwrap());
            assert!((three.accuracy() - expected[0]).abs() < 1e-12 && (five.accuracy() - expected[1]).abs() < 1e-12);
        }
    }
}
