//! Dense layers: the weights in the form that the kernel wants, and the product.

use std::ops::Range;

use crate::kernels::{Matrix, MatrixMut, add_bias, fill_bias, multiply};

/// Side of the squares in which a matrix is transposed: two of them fit the first-level cache.
const TRANSPOSE_BLOCK: usize = 32;

/// A dense layer `y = x Wᵀ + b`.
pub(crate) struct Linear {
    /// `[inputs, outputs]`: transposed, so that a kernel reads the weights of neighbouring outputs as one vector
    /// without rearranging them at every call.
    weight: Vec<f32>,
    /// `[outputs]`
    bias: Vec<f32>,
}

impl Linear {
    /// Takes `weight` as models store it, `[outputs, inputs]`, and `bias`, `[outputs]`.
    pub(crate) fn new(weight: &[f32], bias: Vec<f32>) -> Self {
        Self { weight: transpose(weight, bias.len()), bias }
    }

    /// How many values a row of the output has.
    pub(crate) fn outputs(&self) -> usize {
        self.bias.len()
    }

    fn inputs(&self) -> usize {
        self.weight.len() / self.bias.len()
    }

    /// `out = x Wᵀ + b`; `x` is `[rows, inputs]`, `out` `[rows, outputs]`.
    pub(crate) fn forward(&self, x: &[f32], out: &mut [f32]) {
        self.forward_some(x, 0..self.outputs(), out);
    }

    /// As [`Linear::forward`] for a range of the outputs: `out` is `[rows, some.len()]`.
    pub(crate) fn forward_some(&self, x: &[f32], some: Range<usize>, out: &mut [f32]) {
        fill_bias(out, &self.bias[some.clone()]);
        self.accumulate(x, some, out);
    }

    /// `out += x Wᵀ + b`, for a residual connection.
    pub(crate) fn forward_add(&self, x: &[f32], out: &mut [f32]) {
        add_bias(out, &self.bias);
        self.accumulate(x, 0..self.outputs(), out);
    }

    fn accumulate(&self, x: &[f32], some: Range<usize>, out: &mut [f32]) {
        let (inputs, width) = (self.inputs(), some.len());
        let rows = x.len() / inputs;
        let weight = Matrix::new(&self.weight[some.start..], inputs, width, self.outputs());
        multiply(&mut MatrixMut::new(out, rows, width, width), Matrix::new(x, rows, inputs, inputs), weight, 1.0, true);
    }
}

/// `[rows, columns]` to `[columns, rows]`, square by square so that neither side misses the cache at every value.
fn transpose(values: &[f32], rows: usize) -> Vec<f32> {
    let columns = values.len() / rows;
    let mut out = vec![0.0; values.len()];
    for top in (0..rows).step_by(TRANSPOSE_BLOCK) {
        for left in (0..columns).step_by(TRANSPOSE_BLOCK) {
            for column in left..(left + TRANSPOSE_BLOCK).min(columns) {
                for row in top..(top + TRANSPOSE_BLOCK).min(rows) {
                    out[column * rows + row] = values[row * columns + column];
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposes_any_shape() {
        for (rows, columns) in [(1, 5), (5, 1), (33, 70), (64, 32)] {
            let values: Vec<f32> = (0..rows * columns).map(|i| i as f32).collect();
            let out = transpose(&values, rows);
            assert_eq!(out[(columns - 1) * rows], values[columns - 1]);
            assert_eq!(transpose(&out, columns), values);
        }
    }

    #[test]
    fn a_layer_on_a_worked_case() {
        let layer = Linear::new(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], vec![0.5, -0.5, 0.0]);
        let x = [1.0, 10.0, 2.0, 0.0];
        let mut out = [0.0; 6];
        layer.forward(&x, &mut out);
        assert_eq!(out, [21.5, 42.5, 65.0, 2.5, 5.5, 10.0]);
        layer.forward_add(&x, &mut out);
        assert_eq!(out, [43.0, 85.0, 130.0, 5.0, 11.0, 20.0]);
        let mut some = [0.0; 4];
        layer.forward_some(&x, 1..3, &mut some);
        assert_eq!(some, [42.5, 65.0, 5.5, 10.0]);
    }
}
