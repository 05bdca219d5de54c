//! The loss, with the class prior in it.

use tch::{Device, Reduction, TchError, Tensor};

use crate::texts::NO_TARGET;

/// Cross-entropy of logits that are shifted by τ·log prior while training (logit adjustment, Menon et al. 2021,
/// <https://arxiv.org/abs/2007.07314>). A model trained so is asked without the shift, and is then right about as often
/// in rare classes as in frequent ones.
#[derive(Debug)]
pub(crate) struct Criterion {
    /// `[classes]`
    shift: Tensor,
}

impl Criterion {
    /// A loss for classes with `rows` training rows each and weight `tau` of the prior.
    pub(crate) fn new(rows: &[usize], tau: f64, device: Device) -> Result<Self, TchError> {
        Ok(Self { shift: Tensor::f_from_slice(&shifts(rows, tau))?.f_to(device)? })
    }

    /// The loss of `logits` `[batch, classes]` against `targets` `[batch]`; rows without a target count 0.
    pub(crate) fn loss(&self, logits: &Tensor, targets: &Tensor, reduction: Reduction) -> Result<Tensor, TchError> {
        let shifted = logits.f_add(&self.shift)?;
        shifted.f_cross_entropy_loss::<Tensor>(targets, None, reduction, NO_TARGET, 0.0)
    }
}

/// τ·log(share of the rows) by class.
fn shifts(rows: &[usize], tau: f64) -> Vec<f32> {
    let total: usize = rows.iter().sum();
    let shift = |count: &usize| tau * (*count as f64 / total as f64).ln();
    #[expect(clippy::cast_possible_truncation, reason = "float32 is what the network computes in")]
    rows.iter().map(|count| shift(count) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(rows: &[usize], tau: f64, logits: [f32; 2], target: i64) -> f64 {
        let criterion = Criterion::new(rows, tau, Device::Cpu).unwrap();
        let logits = Tensor::from_slice(&logits).view([1, 2]);
        let loss = criterion.loss(&logits, &Tensor::from_slice(&[target]), Reduction::Sum).unwrap();
        loss.double_value(&[])
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
        assert!((loss(&[3, 1], 0.0, [0.0, 0.0], 1) - 2.0_f64.ln()).abs() < 1e-6);
        assert!((loss(&[3, 1], 1.0, [0.0, 0.0], 1) - 4.0_f64.ln()).abs() < 1e-6);
        // Balanced classes: the adjustment changes nothing.
        assert!((loss(&[5, 5], 1.0, [0.3, -0.4], 0) - loss(&[5, 5], 0.0, [0.3, -0.4], 0)).abs() < 1e-6);
        assert_eq!(loss(&[3, 1], 1.0, [0.0, 0.0], NO_TARGET), 0.0);
    }
}
