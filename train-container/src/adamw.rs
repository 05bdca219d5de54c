//! AdamW with decoupled weight decay (Loshchilov and Hutter 2019, <https://arxiv.org/abs/1711.05101>).
//!
//! Of our own and not `tch::nn::Optimizer`, for three reasons: that one panics where an operator fails, keeps its state
//! where no checkpoint can reach it, and runs each of its ten operators over a whole tensor, so that every one of them
//! fetches the tensor from main memory again.

use tch::nn::VarStore;
use tch::{Device, Kind, TchError, Tensor};

/// How a group of parameters is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Group {
    /// Matrices.
    Matrix,
    /// Biases and LayerNorm, which do not decay.
    Bias,
}

impl Group {
    const ALL: [Self; 2] = [Self::Matrix, Self::Bias];

    fn decays(self) -> bool {
        self == Self::Matrix
    }
}

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;

/// The L2 norm that all gradients together are scaled down to.
const MAX_GRADIENT_NORM: f64 = 1.0;

/// Elements that go through all operators at once on a CPU: six float32 arrays of this length fit its second-level
/// cache.
const CPU_PIECE: i64 = 1 << 16;

/// A GPU takes each tensor whole: longer than any.
const WHOLE: i64 = 1 << 48;

/// A stretch of one parameter with its state, all `[elements]`.
#[derive(Debug)]
struct Piece {
    value: Tensor,
    mean: Tensor,
    variance: Tensor,
}

/// What a step did.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Stepped {
    /// L2 norm of all gradients together, before clipping; where it is not finite, nothing was updated.
    pub(crate) norm: f64,
    /// One entry a parameter where they were asked for, else none.
    pub(crate) changes: Vec<Change>,
}

/// What a step did to one parameter; gradients are those before clipping.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Change {
    pub(crate) elements: usize,
    /// Whether it has two dimensions.
    pub(crate) matrix: bool,
    /// Sum of the gradient's absolute values.
    pub(crate) gradient_sum: f64,
    /// L2 norm of the gradient.
    pub(crate) gradient_norm: f64,
    /// L2 norm of the values before the update.
    pub(crate) weight_norm: f64,
    /// L2 norm of the update, weight decay included.
    pub(crate) update_norm: f64,
}

/// The optimiser's settings and state.
#[derive(Debug)]
pub(crate) struct AdamW {
    parameters: Vec<Tensor>,
    pieces: Vec<(Group, Vec<Piece>)>,
    piece_length: i64,
    epsilon: f64,
    weight_decay: f64,
    steps: i32,
}

impl AdamW {
    /// An optimiser of everything trainable in `store`.
    pub(crate) fn new(store: &VarStore, epsilon: f64, weight_decay: f64) -> Result<Self, TchError> {
        let variables = store.variables_.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let parameters: Vec<Tensor> =
            variables.trainable_variables.iter().map(|variable| variable.tensor.shallow_clone()).collect();
        let piece_length = if store.device() == Device::Cpu { CPU_PIECE } else { WHOLE };
        let pieces = variables.trainable_variables.iter().map(|variable| {
            // The detached view shares the parameter's memory, and autograd does not see it change.
            let values = variable.tensor.f_detach()?.f_view_([-1])?.f_split(piece_length, 0)?;
            let piece =
                |value: Tensor| Ok(Piece { mean: value.f_zeros_like()?, variance: value.f_zeros_like()?, value });
            let group = Group::ALL.get(variable.group).copied().unwrap_or(Group::Matrix);
            Ok((group, values.into_iter().map(piece).collect::<Result<_, TchError>>()?))
        });
        let pieces = pieces.collect::<Result<_, TchError>>()?;
        Ok(Self { parameters, pieces, piece_length, epsilon, weight_decay, steps: 0 })
    }

    /// Updates made so far.
    pub(crate) fn updates(&self) -> i32 {
        self.steps
    }

    /// Running mean and variance of every parameter's gradient, in the parameter's shape.
    pub(crate) fn moments(&self) -> Result<Vec<[Tensor; 2]>, TchError> {
        let shape = |tensors: Vec<&Tensor>, parameter: &Tensor| Tensor::f_cat(&tensors, 0)?.f_view_(parameter.size());
        let moments = |((_, pieces), parameter): (&(Group, Vec<Piece>), &Tensor)| {
            let mean = shape(pieces.iter().map(|piece| &piece.mean).collect(), parameter)?;
            Ok([mean, shape(pieces.iter().map(|piece| &piece.variance).collect(), parameter)?])
        };
        self.pieces.iter().zip(&self.parameters).map(moments).collect()
    }

    /// Goes on where another optimiser had made `updates` updates and had these means and variances, one a parameter.
    pub(crate) fn restore(&mut self, updates: i32, [means, variances]: &[Vec<Tensor>; 2]) -> Result<(), TchError> {
        self.steps = updates;
        for (((_, pieces), mean), variance) in self.pieces.iter_mut().zip(means).zip(variances) {
            let split = |tensor: &Tensor| tensor.f_reshape([-1])?.f_split(self.piece_length, 0);
            for ((piece, mean), variance) in pieces.iter_mut().zip(split(mean)?).zip(split(variance)?) {
                piece.mean.f_copy_(&mean)?;
                piece.variance.f_copy_(&variance)?;
            }
        }
        Ok(())
    }

    /// Backward pass from `loss`: one gradient a parameter, in its shape.
    pub(crate) fn gradients(&self, loss: &Tensor) -> Result<Vec<Tensor>, TchError> {
        Tensor::f_run_backward(&[loss], &self.parameters, false, false)
    }

    /// Divides the gradients by `scale`, clips them, and makes one update at `rate`. Where their norm is not finite, nothing
    /// is updated. With `measure` each parameter's change is measured on the way, which changes no bit of it.
    pub(crate) fn step(
        &mut self,
        gradients: &[Tensor],
        scale: f64,
        rate: f64,
        measure: bool,
    ) -> Result<Stepped, TchError> {
        let _no_graph = tch::no_grad_guard();
        let norms: Vec<Tensor> = gradients.iter().map(Tensor::f_norm).collect::<Result<_, _>>()?;
        let norm = Tensor::f_stack(&norms, 0)?.f_norm()?.f_double_value(&[])? / scale;
        if !norm.is_finite() {
            return Ok(Stepped { norm, changes: Vec::new() });
        }
        let mut measures = if measure { Some(Measures::of(gradients, norms)?) } else { None };
        self.steps += 1;
        let factor = (MAX_GRADIENT_NORM / norm.max(1e-6)).min(1.0) / scale;
        for ((group, pieces), gradient) in self.pieces.iter_mut().zip(gradients) {
            let decay = if group.decays() { 1.0 - rate * self.weight_decay } else { 1.0 };
            let update = Update::new(rate, decay, factor, self.epsilon, self.steps);
            for (piece, gradient) in pieces.iter_mut().zip(gradient.f_reshape([-1])?.f_split(self.piece_length, 0)?) {
                match &mut measures {
                    Some(measures) => measures.around(piece, |piece| update.apply(piece, gradient))?,
                    None => update.apply(piece, gradient)?,
                }
            }
            measures.iter_mut().try_for_each(Measures::next)?;
        }
        let changes = measures.map_or_else(|| Ok(Vec::new()), |measures| measures.changes(&self.parameters, scale))?;
        Ok(Stepped { norm, changes })
    }
}

/// Norms that are gathered while a step is made, all of them scalars on the parameters' device.
struct Measures {
    /// By parameter.
    gradient_sums: Vec<Tensor>,
    gradient_norms: Vec<Tensor>,
    weight_norms: Vec<Tensor>,
    update_norms: Vec<Tensor>,
    /// Of the pieces of the parameter under way: values before, and updates.
    pieces: [Vec<Tensor>; 2],
}

impl Measures {
    fn of(gradients: &[Tensor], gradient_norms: Vec<Tensor>) -> Result<Self, TchError> {
        let gradient_sums =
            gradients.iter().map(|gradient| gradient.f_norm_scalaropt_dim(1.0, Vec::<i64>::new(), false));
        let gradient_sums = gradient_sums.collect::<Result<_, _>>()?;
        let (weight_norms, update_norms) = (Vec::new(), Vec::new());
        Ok(Self { gradient_sums, gradient_norms, weight_norms, update_norms, pieces: Default::default() })
    }

    /// Updates `piece` by `update`, and measures it while it is in the processor's cache.
    fn around(
        &mut self,
        piece: &mut Piece,
        update: impl FnOnce(&mut Piece) -> Result<(), TchError>,
    ) -> Result<(), TchError> {
        let mut before = piece.value.f_empty_like()?;
        before.f_copy_(&piece.value)?;
        update(piece)?;
        let [values, updates] = &mut self.pieces;
        values.push(before.f_norm()?);
        updates.push(before.f_sub(&piece.value)?.f_norm()?);
        Ok(())
    }

    /// Goes on to the next parameter.
    fn next(&mut self) -> Result<(), TchError> {
        let [values, updates] = std::mem::take(&mut self.pieces);
        self.weight_norms.push(Tensor::f_stack(&values, 0)?.f_norm()?);
        self.update_norms.push(Tensor::f_stack(&updates, 0)?.f_norm()?);
        Ok(())
    }

    /// All of them in one transfer; gradients are without their scale.
    fn changes(self, parameters: &[Tensor], scale: f64) -> Result<Vec<Change>, TchError> {
        let Self { gradient_sums, gradient_norms, weight_norms, update_norms, .. } = self;
        let all: Vec<Tensor> =
            [gradient_sums, gradient_norms, weight_norms, update_norms].into_iter().flatten().collect();
        let values = Vec::<f64>::try_from(&Tensor::f_stack(&all, 0)?.f_to_kind(Kind::Double)?.f_to(Device::Cpu)?)?;
        let count = parameters.len();
        let value = |measure: usize, place: usize| values.get(measure * count + place).copied().unwrap_or(f64::NAN);
        let change = |(place, parameter): (usize, &Tensor)| Change {
            elements: parameter.numel(),
            matrix: parameter.dim() == 2,
            gradient_sum: value(0, place) / scale,
            gradient_norm: value(1, place) / scale,
            weight_norm: value(2, place),
            update_norm: value(3, place),
        };
        Ok(parameters.iter().enumerate().map(change).collect())
    }
}

/// The numbers of one step, arranged so that each element is touched as rarely as can be.
struct Update {
    decay: f64,
    /// Of the gradient: clipping, and the way back from its scale.
    factor: f64,
    /// Factor of √variance, and the term added to it: the denominator with the step size in it.
    scale: f64,
    offset: f64,
}

impl Update {
    fn new(rate: f64, decay: f64, factor: f64, epsilon: f64, steps: i32) -> Self {
        let (correction1, correction2) = (1.0 - BETA1.powi(steps), 1.0 - BETA2.powi(steps));
        // value -= rate · (mean / correction1) / (√(variance / correction2) + ε)
        //        = mean / (√variance · scale + offset)
        let inverse = -correction1 / rate;
        Self { decay, factor, scale: inverse / correction2.sqrt(), offset: inverse * epsilon }
    }

    fn apply(&self, piece: &mut Piece, mut gradient: Tensor) -> Result<(), TchError> {
        if self.factor < 1.0 {
            gradient = gradient.f_mul_scalar_(self.factor)?;
        }
        let Piece { value, mean, variance } = piece;
        let _ = mean.f_lerp_(&gradient, 1.0 - BETA1)?;
        let _ = variance.f_lerp_(&gradient.f_square()?, 1.0 - BETA2)?;
        let denominator = variance.f_sqrt()?.f_mul_scalar_(self.scale)?.f_add_scalar_(self.offset)?;
        if self.decay < 1.0 {
            let _ = value.f_mul_scalar_(self.decay)?;
        }
        let _ = value.f_addcdiv_(mean, &denominator)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tch::nn::OptimizerConfig;

    use super::*;

    /// A parameter of several pieces that decays, and one that does not.
    fn store() -> (VarStore, Tensor, Tensor) {
        // Not random: tests beside this one draw from libtorch's one generator at the same time.
        let values = |count: i64| (Tensor::arange(count, (Kind::Float, Device::Cpu)) * 0.7).sin();
        let store = VarStore::new(Device::Cpu);
        let matrix =
            store.root().set_group(Group::Matrix as usize).var_copy("matrix", &values(150_000).view([300, 500]));
        let bias = store.root().set_group(Group::Bias as usize).var_copy("bias", &values(500));
        (store, matrix, bias)
    }

    fn loss(matrix: &Tensor, bias: &Tensor, step: i64) -> Tensor {
        ((matrix * (step + 1) + bias).cos() * 0.5).sum(None)
    }

    #[test]
    fn agrees_with_libtorch() {
        let (ours, matrix, bias) = store();
        let (theirs, their_matrix, their_bias) = store();
        let mut optimizer = AdamW::new(&ours, 1e-6, 0.1).unwrap();
        let config = tch::nn::AdamW { wd: 0.1, eps: 1e-6, ..tch::nn::AdamW::default() };
        let mut reference = config.build(&theirs, 1e-2).unwrap();
        reference.set_weight_decay_group(Group::Bias as usize, 0.0);
        for step in 0..5 {
            // A scale that is taken out again changes nothing.
            let scale = if step % 2 == 0 { 1.0 } else { 1024.0 };
            let gradients = optimizer.gradients(&(loss(&matrix, &bias, step) * scale)).unwrap();
            let norm = optimizer.step(&gradients, scale, 1e-2, false).unwrap().norm;
            assert!(norm > MAX_GRADIENT_NORM, "clipping has to be part of the comparison: {norm}");
            reference.backward_step_clip_norm(&loss(&their_matrix, &their_bias, step), MAX_GRADIENT_NORM);
        }
        for (ours, theirs) in [(&matrix, &their_matrix), (&bias, &their_bias)] {
            assert!(ours.allclose(theirs, 1e-5, 1e-6, false));
        }
    }

    #[test]
    fn a_gradient_that_is_not_finite_changes_nothing() {
        let (store, matrix, bias) = store();
        let before = matrix.copy();
        let mut optimizer = AdamW::new(&store, 1e-8, 0.1).unwrap();
        let gradients = optimizer.gradients(&(loss(&matrix, &bias, 0) * f64::NAN)).unwrap();
        assert!(!optimizer.step(&gradients, 1.0, 1e-2, true).unwrap().norm.is_finite());
        assert_eq!(matrix, before);
    }

    #[test]
    fn measuring_changes_nothing_and_measures_what_happens() {
        let ((plain, plain_matrix, plain_bias), (measured, matrix, bias)) = (store(), store());
        let mut plain = AdamW::new(&plain, 1e-8, 0.1).unwrap();
        let mut optimizer = AdamW::new(&measured, 1e-8, 0.1).unwrap();
        for step in 0..3 {
            let before = [matrix.copy(), bias.copy()];
            let gradients = Tensor::run_backward(
                &[loss(&matrix, &bias, step)],
                &[matrix.shallow_clone(), bias.shallow_clone()],
                false,
                false,
            );
            let scaled = optimizer.gradients(&(loss(&matrix, &bias, step) * 64.0)).unwrap();
            let stepped = optimizer.step(&scaled, 64.0, 1e-2, true).unwrap();
            let scaled = plain.gradients(&(loss(&plain_matrix, &plain_bias, step) * 64.0)).unwrap();
            plain.step(&scaled, 64.0, 1e-2, false).unwrap();
            assert_eq!((&matrix, &bias), (&plain_matrix, &plain_bias));
            for (place, after) in [&matrix, &bias].into_iter().enumerate() {
                let change = stepped.changes[place];
                let near = |found: f64, wanted: &Tensor| {
                    let wanted = wanted.double_value(&[]);
                    assert!(
                        (found - wanted).abs() < 1e-4 * wanted,
                        "step {step}, parameter {place}: {found}, {wanted}"
                    );
                };
                near(change.gradient_sum, &gradients[place].abs().sum(None));
                near(change.gradient_norm, &gradients[place].norm());
                near(change.weight_norm, &before[place].norm());
                near(change.update_norm, &(after - &before[place]).norm());
                assert_eq!((change.elements, change.matrix), (after.numel(), place == 0));
            }
        }
    }
}
