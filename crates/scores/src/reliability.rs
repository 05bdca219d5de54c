//! How far probabilities can be trusted: expected calibration error over equal parts of their range.

use unspsc_contract::ReliabilityBin;

/// Parts of the range of probabilities, as in Guo et al. 2017, <https://arxiv.org/abs/1706.04599>.
const BINS: usize = 15;

/// Rows by the probability of their most probable class.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reliability {
    bins: [Bin; BINS],
}

/// The rows of one part of the range.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Bin {
    rows: usize,
    hits: usize,
    /// Sum over the rows.
    confidence: f64,
}

impl Reliability {
    /// Counts a row whose most probable class has the probability `confidence` and is the true one if `hit`.
    pub fn count(&mut self, confidence: f64, hit: bool) {
        // Logits beyond the range of numbers have no softmax: nothing is known of such a row.
        let confidence = if confidence.is_finite() { confidence.clamp(0.0, 1.0) } else { 0.0 };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 15, and not negative")]
        let place = (confidence * BINS as f64).ceil() as usize; // a part holds its upper end
        if let Some(bin) = self.bins.get_mut(place.saturating_sub(1)) {
            bin.rows += 1;
            bin.hits += usize::from(hit);
            bin.confidence += confidence;
        }
    }

    /// Expected calibration error: the mean over the rows of how far the share of hits in their part lies from the mean
    /// confidence there; 0 without rows.
    #[must_use]
    pub fn error(&self) -> f64 {
        let rows: usize = self.bins.iter().map(|bin| bin.rows).sum();
        self.bins.iter().map(|bin| (bin.hits as f64 - bin.confidence).abs()).sum::<f64>() / rows.max(1) as f64
    }

    /// The same for the report.
    #[must_use]
    pub fn report(&self) -> Vec<ReliabilityBin> {
        let mean = |bin: &Bin| {
            let rows = bin.rows.max(1) as f64;
            ReliabilityBin { rows: bin.rows, confidence: bin.confidence / rows, accuracy: bin.hits as f64 / rows }
        };
        self.bins.iter().map(mean).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let mut reliability = Reliability::default();
        // 0.9 of four rows is claimed and three are right; 0.5 of two and none is right.
        [true, true, true, false].into_iter().for_each(|hit| reliability.count(0.9, hit));
        [false, false].into_iter().for_each(|hit| reliability.count(0.5, hit));
        assert!((reliability.error() - (4.0 * 0.15 + 2.0 * 0.5) / 6.0).abs() < 1e-12);
        let bins = reliability.report();
        assert_eq!(
            (bins.len(), bins[13].rows, bins[13].accuracy, bins[7].rows, bins[7].accuracy),
            (15, 4, 0.75, 2, 0.0)
        );
        assert!((bins[13].confidence - 0.9).abs() < 1e-12 && bins[0] == ReliabilityBin::default());
    }

    #[test]
    fn the_ends_of_the_range_have_a_place_and_no_rows_are_no_division() {
        assert_eq!(Reliability::default().error(), 0.0);
        let mut reliability = Reliability::default();
        [0.0, 1.0, 1.0 / 15.0, f64::NAN].into_iter().for_each(|confidence| reliability.count(confidence, false));
        let rows: Vec<usize> = reliability.report().iter().map(|bin| bin.rows).collect();
        assert_eq!((rows[0], rows[14], rows.iter().sum::<usize>()), (3, 1, 4));
    }
}
