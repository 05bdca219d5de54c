//! Dense layers in float32: the weights in the form that the kernel wants, and the product, shared among threads.

use std::ops::Range;

use crate::dense::StoredLayer;
use crate::kernels::{Matrix, MatrixMut, add_bias, fill_bias, multiply};
use crate::panels::{self, Panel};

/// Outputs of one panel: what `gemm` computes at a time with 512-bit vectors, and a multiple of it with 256-bit ones.
///
/// Reading the weights panel by panel from consecutive memory is three to four times as fast for up to 32 tokens as
/// reading the same columns out of a whole matrix, and no slower for 512.
const PANEL: usize = 48;

/// From this many multiplications on, panels are shared among threads; below it waking a thread costs more.
const MIN_PARALLEL_PRODUCTS: usize = 1 << 19;

/// A dense layer `y = x Wᵀ + b`.
pub(crate) struct Linear {
    inputs: usize,
    /// `[outputs]`
    bias: Vec<f32>,
    /// Weights `[inputs, panel width]` each.
    panels: Vec<Panel<Vec<f32>>>,
}

impl Linear {
    /// Takes layers of the same shape that read the same input; their outputs will stand side by side.
    pub(crate) fn new(inputs: usize, layers: &[StoredLayer<'_>]) -> Self {
        let mut linear = Self { inputs, bias: Vec::new(), panels: Vec::new() };
        for (weight, bias) in layers {
            for rows in weight.chunks(PANEL * inputs) {
                let (first, width) = (linear.panels.last().map_or(0, |last| last.outputs.end), rows.len() / inputs);
                let column = |input: usize| (0..width).map(move |row| rows[row * inputs + input]);
                let weights = (0..inputs).flat_map(column).collect();
                linear.panels.push(Panel { outputs: first..first + width, weights });
            }
            linear.bias.extend_from_slice(bias);
        }
        linear
    }

    /// How many values a row of the output has.
    pub(crate) fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// `out = x Wᵀ + b`; `x` is `[rows, inputs]`, `out` `[rows, outputs]`.
    pub(crate) fn forward(&self, x: &[f32], out: &mut [f32]) {
        self.forward_some(x, 0..self.outputs(), out);
    }

    /// As [`Linear::forward`] for some of the layers given to [`Linear::new`], named by the range of their outputs:
    /// `out` is `[rows, some.len()]`.
    pub(crate) fn forward_some(&self, x: &[f32], some: Range<usize>, out: &mut [f32]) {
        fill_bias(out, &self.bias[some.clone()]);
        self.accumulate(x, &some, out);
    }

    /// `out += x Wᵀ + b`, for a residual connection.
    pub(crate) fn forward_add(&self, x: &[f32], out: &mut [f32]) {
        add_bias(out, &self.bias);
        self.accumulate(x, &(0..self.outputs()), out);
    }

    fn accumulate(&self, x: &[f32], some: &Range<usize>, out: &mut [f32]) {
        let rows = x.len() / self.inputs;
        let x = Matrix::new(x, rows, self.inputs, self.inputs);
        let grain = (MIN_PARALLEL_PRODUCTS / (rows * self.inputs * PANEL).max(1)).max(1);
        let out = MatrixMut::new(out, rows, some.len(), some.len());
        panels::share(panels::of_outputs(&self.panels, some), out, grain, &|weights: &Vec<f32>, mut columns| {
            let width = weights.len() / self.inputs;
            multiply(&mut columns, x, Matrix::new(weights, self.inputs, width, width), 1.0, true);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_on_a_worked_case() {
        let layer = Linear::new(2, &[(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0].into(), vec![0.5, -0.5, 0.0].into())]);
        let x = [1.0, 10.0, 2.0, 0.0];
        let mut out = [0.0; 6];
        layer.forward(&x, &mut out);
        assert_eq!(out, [21.5, 42.5, 65.0, 2.5, 5.5, 10.0]);
        layer.forward_add(&x, &mut out);
        assert_eq!(out, [43.0, 85.0, 130.0, 5.0, 11.0, 20.0]);
    }

    #[test]
    fn layers_side_by_side_equal_each_alone_on_any_number_of_threads() {
        let (inputs, outputs, rows) = (96, 130, 50);
        let values = |count: usize, seed: usize| -> Vec<f32> {
            (0..count).map(|i| ((i * 7919 + seed * 104_729) % 1009) as f32 / 1009.0 - 0.5).collect()
        };
        let layers: Vec<_> =
            (0..3).map(|seed| (values(inputs * outputs, seed).into(), values(outputs, seed + 3).into())).collect();
        let x = values(rows * inputs, 7);
        let all = Linear::new(inputs, &layers);
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let run = |linear: &Linear, some: Range<usize>| {
                let mut out = vec![0.0; rows * some.len()];
                pool.install(|| linear.forward_some(&x, some, &mut out));
                out
            };
            let together = run(&all, 0..3 * outputs);
            let last_two = run(&all, outputs..3 * outputs);
            for (index, layer) in layers.iter().enumerate() {
                let alone = run(&Linear::new(inputs, std::slice::from_ref(layer)), 0..outputs);
                for (row, alone) in alone.chunks(outputs).enumerate() {
                    assert_eq!(together[row * 3 * outputs + index * outputs..][..outputs], *alone);
                    if index > 0 {
                        assert_eq!(last_two[row * 2 * outputs + (index - 1) * outputs..][..outputs], *alone);
                    }
                }
            }
        }
    }
}
