//! Dense layers in whole numbers: the weights quantised and packed, and the product, shared among threads.

use std::ops::Range;

use rayon::prelude::*;

use crate::dense::StoredLayer;
use crate::kernels::MatrixMut;
use crate::kernels::integer::{Activations, Epilogue, IntegerKernel, Weights, multiply};
use crate::panels::{self, Panel};

/// From this many multiplications on, panels are shared among threads; below it waking a thread costs more.
const MIN_PARALLEL_PRODUCTS: usize = 1 << 20;

/// A dense layer `y = x Wᵀ + b` with quantised weights.
pub(crate) struct QuantisedLinear {
    inputs: usize,
    outputs: usize,
    kernel: IntegerKernel,
    panels: Vec<Panel<Weights>>,
}

impl QuantisedLinear {
    /// Takes layers of the same shape that read the same input; their outputs will stand side by side.
    pub(crate) fn new(kernel: IntegerKernel, inputs: usize, layers: &[StoredLayer<'_>]) -> Self {
        let width = kernel.panel_outputs();
        let mut linear = Self { inputs, outputs: 0, kernel, panels: Vec::new() };
        for (weight, bias) in layers {
            let parts = weight.par_chunks(width * inputs).zip(bias.par_chunks(width));
            let packed: Vec<_> = parts.map(|(weight, bias)| (bias.len(), kernel.pack(weight, bias, inputs))).collect();
            for (count, weights) in packed {
                let outputs = linear.outputs..linear.outputs + count;
                linear.outputs = outputs.end;
                linear.panels.push(Panel { outputs, weights });
            }
        }
        linear
    }

    /// How many values a row of the output has.
    pub(crate) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Whether all weights are finite of some of the layers given to [`QuantisedLinear::new`], named by the range of their
    /// outputs.
    pub(crate) fn is_finite(&self, some: &Range<usize>) -> bool {
        panels::of_outputs(&self.panels, some)
            .iter()
            .all(|panel| panel.weights.scales.iter().all(|scale| scale.is_finite()))
    }

    /// `x Wᵀ + b` for some of the layers given to [`QuantisedLinear::new`], named by the range of their outputs, and then
    /// `epilogue`. `x` is `[rows, inputs]`, `out` `[rows, some.len()]`; `quantised` is memory to work in.
    pub(crate) fn forward(
        &self,
        x: &[f32],
        some: &Range<usize>,
        epilogue: Epilogue,
        out: &mut [f32],
        quantised: &mut Activations,
    ) {
        self.kernel.quantise(x, self.inputs, quantised);
        let rows = x.len() / self.inputs;
        let grain = (MIN_PARALLEL_PRODUCTS / (rows * self.inputs * self.kernel.panel_outputs()).max(1)).max(1);
        let (out, x) = (MatrixMut::new(out, rows, some.len(), some.len()), &*quantised);
        panels::share(panels::of_outputs(&self.panels, some), out, grain, &|weights, columns| {
            multiply(self.kernel, columns, x, weights, epilogue);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::gelu;
    use crate::kernels::integer::Format;
    use crate::linear::Linear;

    fn values(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 7919 + seed * 104_729) % 1009) as f32 / 1009.0 - 0.5).collect()
    }

    #[test]
    fn a_weight_that_is_not_finite_is_noticed_in_its_layer_by_every_kernel() {
        let (inputs, outputs) = (98, 130);
        for kernel in IntegerKernel::available() {
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut second = values(inputs * outputs, 1);
                second[70 * inputs + 97] = bad;
                let layers =
                    [values(inputs * outputs, 0), second].map(|weight| (weight.into(), vec![0.0; outputs].into()));
                let linear = QuantisedLinear::new(kernel, inputs, &layers);
                assert!(
                    linear.is_finite(&(0..outputs)) && !linear.is_finite(&(outputs..2 * outputs)),
                    "{kernel:?} {bad}"
                );
            }
        }
    }

    #[test]
    fn nearly_equals_float32_with_every_kernel_epilogue_and_number_of_threads() {
        for kernel in IntegerKernel::available() {
            let allowed = if kernel.format() == Format::Words { 0.002 } else { 0.05 };
            let worst = worst_difference(kernel);
            assert!(worst < allowed, "{kernel:?} differs by {worst}");
        }
    }

    /// From float32.
    fn worst_difference(kernel: IntegerKernel) -> f32 {
        let (inputs, outputs, rows) = (98, 130, 70);
        let layers: Vec<_> =
            (0..3).map(|seed| (values(inputs * outputs, seed).into(), values(outputs, seed + 3).into())).collect();
        let x = values(rows * inputs, 7);
        let (exact, quantised) = (Linear::new(inputs, &layers), QuantisedLinear::new(kernel, inputs, &layers));
        let epilogues = [(1, Epilogue::Store), (3, Epilogue::Store), (2, Epilogue::Add), (3, Epilogue::Gelu)];
        let mut worst = 0.0;
        for some in [0..3 * outputs, outputs..3 * outputs, 0..outputs] {
            let mut plain = vec![0.0; rows * some.len()];
            exact.forward_some(&x, some.clone(), &mut plain);
            for (threads, epilogue) in epilogues {
                let mut expected = plain.clone();
                match epilogue {
                    Epilogue::Store => {}
                    Epilogue::Add => expected.iter_mut().for_each(|value| *value += 10.0),
                    Epilogue::Gelu => gelu(&mut expected, some.len()),
                }
                let mut out = vec![10.0; rows * some.len()];
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| quantised.forward(&x, &some, epilogue, &mut out, &mut Activations::default()));
                worst = out.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(worst, f32::max);
            }
        }
        worst
    }
}
