//! The loss of labels and of their leaves, with the class prior, class weights and label smoothing in it.

use tch::{Device, Kind, Reduction, TchError, Tensor};
use unspsc_contract::{ClassWeights, Hyperparameters};

use crate::leaves::LabelSums;
use crate::texts::NO_TARGET;

/// Cross-entropy of logits that are shifted by τ·log prior while training (logit adjustment, Menon et al. 2021,
/// <https://arxiv.org/abs/2007.07314>). A model trained so is asked without the shift, and is then right about as often
/// in rare classes as in frequent ones.
///
/// The loss of several rows is Σ wᵢ·lᵢ / Σ wᵢ, with wᵢ the weight of row i's class, as in PyTorch's `CrossEntropyLoss`.
///
/// A run is trained by the loss of leaves and judged by that of labels. A leaf has its label's shift and weight: labels,
/// which are sums of leaves, are then shifted by their prior, and nothing is done to how frequent a leaf is within its label.
#[derive(Debug)]
pub(crate) struct Criterion {
    sums: LabelSums,
    labels: Loss,
    leaves: Loss,
    /// Weight by class.
    weights: Vec<f64>,
}

/// Shift and weights of one set of classes.
#[derive(Debug)]
struct Loss {
    /// `[classes]`
    shift: Tensor,
    /// `[classes]`
    weights: Tensor,
    label_smoothing: f64,
}

impl Criterion {
    /// The loss that `settings` ask for, for classes with `rows` training rows and `leaves` leaves each.
    pub(crate) fn new(
        rows: &[usize],
        leaves: &[usize],
        settings: &Hyperparameters,
        device: Device,
    ) -> Result<Self, TchError> {
        let sums = LabelSums::new(leaves, device)?;
        let tensor = |values: &[f32]| Tensor::f_from_slice(values)?.f_to(device);
        let weights = match settings.class_weights {
            ClassWeights::None => vec![1.0; rows.len()],
            ClassWeights::Balanced => balanced(rows),
        };
        let shift = tensor(&shifts(rows, settings.logit_adjustment))?;
        let labels = Loss { shift, weights: tensor(&weights)?, label_smoothing: settings.label_smoothing };
        let leaves = Loss { shift: sums.spread(&labels.shift)?, weights: sums.spread(&labels.weights)?, ..labels };
        Ok(Self { sums, labels, leaves, weights: weights.into_iter().map(f64::from).collect() })
    }

    /// The logits of labels, `[batch, classes]`, of those of their leaves, `[batch, leaves]`.
    pub(crate) fn label_logits(&self, leaves: &Tensor) -> Result<Tensor, TchError> {
        self.sums.logits(leaves)
    }

    /// Σ wᵢ·lᵢ of labels: `logits` are `[batch, classes]`, `targets` `[batch]`; rows without a target count 0.
    pub(crate) fn sum(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor, TchError> {
        self.labels.sum(logits, targets)
    }

    /// Σ wᵢ·lᵢ of leaves: `logits` are `[batch, leaves]`, `targets` `[batch]`; rows without a target count 0.
    pub(crate) fn leaf_sum(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor, TchError> {
        self.leaves.sum(logits, targets)
    }

    /// Σ wᵢ of rows of these classes; those that have no logit weigh nothing.
    pub(crate) fn weight(&self, classes: &[usize]) -> f64 {
        classes.iter().filter_map(|class| self.weights.get(*class)).sum()
    }
}

impl Loss {
    fn sum(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor, TchError> {
        let shifted = logits.f_to_kind(Kind::Float)?.f_add(&self.shift)?;
        shifted.f_cross_entropy_loss(targets, Some(&self.weights), Reduction::Sum, NO_TARGET, self.label_smoothing)
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
        Criterion::new(rows, &vec![1; rows.len()], &settings, Device::Cpu).unwrap()
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
