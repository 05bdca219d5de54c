//! The temperature that makes a network's probabilities most likely, from logits and true classes.

use unspsc_scores::Reliability;

/// Bounds of the temperature: beyond them a model is so good or so bad that held-out rows say nothing more about it.
const LOWEST: f64 = 0.05;
const HIGHEST: f64 = 20.0;

/// Relative change of the inverse temperature at which the search ends.
const TOLERANCE: f64 = 1e-9;
/// Newton needs about eight steps; halving the interval alone would need 40.
const MAX_STEPS: usize = 100;

/// Logits with their true classes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sample {
    classes: usize,
    /// `[rows, classes]`
    logits: Vec<f32>,
    /// `[rows]`; none for a class without a logit.
    truth: Vec<Option<usize>>,
}

impl Sample {
    /// An empty sample of logits of `classes` classes.
    pub(crate) fn new(classes: usize) -> Self {
        Self { classes, ..Self::default() }
    }

    /// Adds rows: `logits` are `[rows, classes]`.
    pub(crate) fn extend(&mut self, logits: &[f32], truth: impl Iterator<Item = Option<usize>>) {
        self.logits.extend_from_slice(logits);
        self.truth.extend(truth);
    }

    fn rows(&self) -> impl Iterator<Item = (&[f32], Option<usize>)> {
        self.logits.chunks_exact(self.classes.max(1)).zip(self.truth.iter().copied())
    }

    /// What the logits have to be divided by so that the mean negative log-likelihood of the true classes is lowest,
    /// within bounds. 1 where that has no answer: without rows, and where every row's true class already has the
    /// largest logit, so that any lower temperature would look better than the last.
    pub(crate) fn temperature(&self) -> f64 {
        let known = || self.rows().filter(|(_, truth)| truth.is_some());
        if known().all(|(logits, truth)| truth == largest(logits)) || self.logits.iter().any(|logit| !logit.is_finite())
        {
            return 1.0;
        }
        1.0 / self.inverse_temperature()
    }

    /// Newton's method on the inverse temperature, in which the likelihood has one optimum; where a step would leave the
    /// interval that is known to hold it, the interval is halved instead.
    fn inverse_temperature(&self) -> f64 {
        let (mut low, mut high, mut inverse) = (1.0 / HIGHEST, 1.0 / LOWEST, 1.0);
        if self.derivatives(low).0 >= 0.0 {
            return low;
        }
        if self.derivatives(high).0 <= 0.0 {
            return high;
        }
        for _ in 0..MAX_STEPS {
            let (slope, curvature) = self.derivatives(inverse);
            if slope > 0.0 {
                high = inverse;
            } else {
                low = inverse;
            }
            let newton = inverse - slope / curvature;
            let next = if (low..=high).contains(&newton) { newton } else { f64::midpoint(low, high) };
            let change = (next - inverse).abs();
            inverse = next;
            if change <= TOLERANCE * inverse {
                break;
            }
        }
        inverse
    }

    /// First and second derivative of the summed negative log-likelihood by the inverse temperature: what the
    /// probabilities expect of the logit beyond the true class's, and the logit's variance under them.
    fn derivatives(&self, inverse: f64) -> (f64, f64) {
        let (mut slope, mut curvature) = (0.0, 0.0);
        for (logits, truth) in self.rows() {
            let Some(truth) = truth.and_then(|truth| logits.get(truth)) else { continue };
            let highest = highest(logits);
            let (mut sum, mut first, mut second) = (0.0, 0.0, 0.0);
            for logit in logits {
                let below = f64::from(*logit) - highest;
                let weight = (inverse * below).exp();
                sum += weight;
                first += weight * below;
                second += weight * below * below;
            }
            let mean = first / sum;
            slope += mean - (f64::from(*truth) - highest);
            curvature += second / sum - mean * mean;
        }
        (slope, curvature)
    }

    /// How far the probabilities at `temperature` can be trusted.
    pub(crate) fn reliability(&self, temperature: f64) -> Reliability {
        let mut reliability = Reliability::default();
        for (logits, truth) in self.rows() {
            let highest = highest(logits);
            let sum: f64 = logits.iter().map(|logit| ((f64::from(*logit) - highest) / temperature).exp()).sum();
            reliability.count(1.0 / sum, truth.is_some() && truth == largest(logits));
        }
        reliability
    }
}

fn highest(logits: &[f32]) -> f64 {
    f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max))
}

/// The class with the largest logit; of equals, the first.
fn largest(logits: &[f32]) -> Option<usize> {
    logits.iter().enumerate().rev().max_by(|a, b| a.1.total_cmp(b.1)).map(|(class, _)| class)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(rows: &[([f32; 2], Option<usize>)]) -> Sample {
        let mut sample = Sample::new(2);
        rows.iter().for_each(|(logits, truth)| sample.extend(logits, std::iter::once(*truth)));
        sample
    }

    #[test]
    fn the_temperature_gives_the_share_that_is_right() {
        // Three of four rows are right, so that the probability has to be 3/4: the odds are 3, and logits 4 : 0 have
        // to become ln 3 : 0.
        let rows = [([4.0, 0.0], Some(0)), ([0.0, 4.0], Some(1)), ([4.0, 0.0], Some(0)), ([4.0, 0.0], Some(1))];
        let temperature = sample(&rows).temperature();
        assert!((temperature - 4.0 / 3.0_f64.ln()).abs() < 1e-8, "{temperature}");
        assert!(sample(&rows).reliability(temperature).error() < 1e-9);
        assert!(sample(&rows).reliability(1.0).error() > 0.2);
        // Logits on another scale have a temperature on that scale.
        let scaled = rows.map(|(logits, truth)| (logits.map(|logit| logit * 0.125), truth));
        assert!((sample(&scaled).temperature() - 0.5 / 3.0_f64.ln()).abs() < 1e-8);
    }

    #[test]
    fn the_bounds_hold() {
        assert_eq!(sample(&[([1.0, 0.0], Some(1)), ([0.0, 1.0], Some(0))]).temperature(), 20.0);
        let nearly_all: Vec<_> = (0..10_000).map(|row| ([0.01, 0.0], Some(usize::from(row == 0)))).collect();
        assert_eq!(sample(&nearly_all).temperature(), 0.05);
    }

    #[test]
    fn what_has_no_answer_changes_nothing() {
        assert_eq!(Sample::new(3).temperature(), 1.0);
        assert_eq!(sample(&[([9.0, 0.0], Some(0)), ([0.0, 0.1], Some(1))]).temperature(), 1.0);
        assert_eq!(sample(&[([f32::NAN, 0.0], Some(1)), ([1.0, 0.0], Some(1))]).temperature(), 1.0);
    }

    #[test]
    fn a_class_without_a_logit_is_a_miss_that_teaches_nothing() {
        let rows = [([4.0, 0.0], Some(0)), ([4.0, 0.0], Some(1)), ([4.0, 0.0], None)];
        assert_eq!(sample(&rows).temperature(), sample(&rows[..2]).temperature());
        assert!(sample(&rows[2..]).reliability(1.0).error() > 0.9);
    }
}
