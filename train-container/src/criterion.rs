//! The loss, with the class prior, class weights and label smoothing in it.

use tch::{Device, Kind, Reduction, TchError, Tensor};
use unspsc_contract::{ClassWeights, Hyperparameters};

use crate::texts::NO_TARGET;

/// Cross-entropy of logits that are shifted by τ·log prior while training (logit adjustment, Menon et al. 2021,
/// <https://arxiv.org/abs/2007.07314>). A model trained so is asked without the shift, and is then right about as often
/// in rare classes as in frequent ones.
///
/// The loss of several rows is Σ wᵢ·lᵢ / Σ wᵢ, with wᵢ the weight of row i's class, as in PyTorch's `CrossEntropyLoss`.
#[derive(Debug)]
pub(crate) struct Criterion {
    /// `[classes]`
    shift: Tensor,
    /// `[classes]`; none where all classes weigh 1.
    weights: Option<(Vec<f32>, Tensor)>,
    label_smoothing: f64,
}

impl Criterion {
    /// The loss that `settings` ask for, for classes with `rows` training rows each.
    pub(crate) fn new(rows: &[usize], settings: &Hyperparameters, device: Device) -> Result<Self, TchError> {
        let weights = match settings.class_weights {
            ClassWeights::None => None,
            ClassWeights::Balanced => {
                let weights = balanced(rows);
                let tensor = Tensor::f_from_slice(&weights)?.f_to(device)?;
                Some((weights, tensor))
            }
        };
        let shift = Tensor::f_from_slice(&shifts(rows, settings.logit_adjustment))?.f_to(device)?;
        Ok(Self { shift, weights, label_smoothing: settings.label_smoothing })
    }

    /// Σ wᵢ·lᵢ of `logits` `[batch, classes]` against `targets` `[batch]`; rows without a target count 0.
    pub(crate) fn sum(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor, TchError> {
        let shifted = logits.f_to_kind(Kind::Float)?.f_add(&self.shift)?;
        let weights = self.weights.as_ref().map(|(_, tensor)| tensor);
        shifted.f_cross_entropy_loss(targets, weights, Reduction::Sum, NO_TARGET, self.label_smoothing)
    }

    /// Σ wᵢ of rows of these classes; those that have no logit weigh nothing.
    pub(crate) fn weight(&self, classes: &[usize]) -> f64 {
        let known = self.shift.size().first().copied().unwrap_or_default();
        let weight = |class: &usize| match &self.weights {
            Some((weights, _)) => weights.get(*class).copied().map_or(0.0, f64::from),
            None => f64::from(u8::from((*class as i64) < known)),
        };
        classes.iter().map(weight).sum()
    }
}

/// τ·log(share of the rows) by class.
fn shifts(rows: &[usize], tau: f64) -> Vec<f32> {
    let total: usize = rows.iter().sum();
    let shift = |count: &usize| tau * (*count as f64 / total as f64).ln();
    #[expect(clippy::cast_possible_truncation, reason = "float32 is what the network computes in")]
    rows.iter().map(|count| shift(count) as f32).collect()
}

/// rows / (classes · rows of the class), as scikit-learn's `compute_class_weight("balanced")` has it.
fn balanced(rows: &[usize]) -> Vec<f32> {
    let total: usize = rows.iter().sum();
    let weight = |count: &usize| total as f64 / (rows.len() * (*count).max(1)) as f64;
    #[expect(clippy::cast_possible_truncation, reason = "float32 is what the network computes in")]
    rows.iter().map(|count| weight(count) as f32).collect()
}

#[cfg(test)]
mod tests {
    use unspsc_contract::ModelKind;

    use super::*;

    fn criterion(rows: &[usize], change: impl Fn(&mut Hyperparameters)) -> Criterion {
        let mut settings = Hyperparameters {
            logit_adjustment: 0.0,
            label_smoothing: 0.0,
            class_weights: ClassWeights::None,
            ..Hyperparameters::defaults(ModelKind::Encoder)
        };
        change(&mut settings);
        Criterion::new(rows, &settings, Device::Cpu).unwrap()
    }

    fn loss(criterion: &Criterion, logits: [f32; 2], target: i64) -> f64 {
        let logits = Tensor::from_slice(&logits).view([1, 2]);
        criterion.sum(&logits, &Tensor::from_slice(&[target])).unwrap().double_value(&[])
    }

    #[test]
    fn shifts_are_the_log_prior() {
        let expected = [(0.75_f64.ln() * 2.0) as f32, (0.25_f64.ln() * 2.0) as f32];
        assert_eq!(shifts(&[3, 1], 2.0), expected);
        assert_eq!(shifts(&[3, 1], 0.0), [0.0, 0.0]);
    }

    #[test]
    fn a_rare_class_has_to_win_by_more() {
        // Equal logits: the plain loss is ln 2, the adjusted one is −log of the class's share.
        let adjusted = |rows: &[usize]| criterion(rows, |settings| settings.logit_adjustment = 1.0);
        let plain = criterion(&[3, 1], |_| ());
        assert!((loss(&plain, [0.0, 0.0], 1) - 2.0_f64.ln()).abs() < 1e-6);
        assert!((loss(&adjusted(&[3, 1]), [0.0, 0.0], 1) - 4.0_f64.ln()).abs() < 1e-6);
        // Balanced classes: the adjustment changes nothing.
        let even = [adjusted(&[5, 5]), plain].map(|criterion| loss(&criterion, [0.3, -0.4], 0));
        assert!((even[0] - even[1]).abs() < 1e-6);
        let unseen = adjusted(&[3, 1]);
        assert_eq!((loss(&unseen, [0.0, 0.0], NO_TARGET), unseen.weight(&[0, 2, 1])), (0.0, 2.0));
    }

    #[test]
    fn balanced_weights_make_every_class_count_the_same() {
        let criterion = criterion(&[3, 1], |settings| settings.class_weights = ClassWeights::Balanced);
        assert_eq!(balanced(&[3, 1]), [4.0 / 6.0, 2.0]);
        assert!((loss(&criterion, [0.0, 0.0], 1) - 2.0 * 2.0_f64.ln()).abs() < 1e-6);
        let weight = criterion.weight(&[0, 0, 0, 1, 2]);
        assert!((weight - 4.0).abs() < 1e-6, "{weight}");
    }

    #[test]
    fn smoothing_gives_every_label_its_share() {
        let criterion = criterion(&[1, 1], |settings| settings.label_smoothing = 0.2);
        // Of (0.9, 0.1) as targets: 0.9·l₀ + 0.1·l₁.
        let log_sum = (1.0_f64.exp() + 1.0).ln();
        let expected = 0.9 * (log_sum - 1.0) + 0.1 * log_sum;
        assert!((loss(&criterion, [1.0, 0.0], 0) - expected).abs() < 1e-6);
    }
}
