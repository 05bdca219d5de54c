//! The product of activations with one panel of weights, whatever the instructions.

use std::cell::RefCell;

use super::activations::RowScale;
use super::format::Group;
use super::kernel::Kernel;
use super::weights::{LINE_OUTPUTS, Line, Weights};
use super::{Activations, IntegerKernel, with_kernel};
use crate::kernels::MatrixMut;
use crate::kernels::rows::gelu_of;

/// Rows whose sums are kept at a time. With their activations they fit the second-level cache, and weights are read
/// once for all of them. A multiple of every kernel's rows.
const BLOCK_ROWS: usize = 240;

/// The most rows that a kernel may compute together.
const MOST_ROWS: usize = 8;

/// Lines of weights after which the next rows are computed first: 24 KiB, which stay in the first-level cache while all
/// rows pass.
const BLOCK_LINES: usize = 384;

/// How many lines ahead weights are asked for from memory, which a few rows would otherwise wait for.
const PREFETCH: usize = 128;

thread_local! {
    /// Sums of a block of rows, `[rows, panel width]`, kept between calls.
    static SUMS: RefCell<Vec<i32>> = const { RefCell::new(Vec::new()) };
}

/// What happens to a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Epilogue {
    /// It takes the place of what is there.
    Store,
    /// It is added to what is there, for a residual connection.
    Add,
    /// Its GELU takes the place of what is there.
    Gelu,
}

/// The columns `out` of one panel: `x Wᵀ + b` and then `epilogue`, on the calling thread. `kernel` has packed the
/// weights.
///
/// # Panics
/// If the shapes do not fit together: the caller's arithmetic is wrong.
pub(crate) fn multiply(
    kernel: IntegerKernel,
    out: MatrixMut<'_>,
    x: &Activations,
    weights: &Weights,
    epilogue: Epilogue,
) {
    SUMS.with_borrow_mut(|sums| {
        let product = Product { x, weights, out, epilogue, sums };
        with_kernel!(kernel, kernel => kernel.run(product));
    });
}

/// What [`multiply`] has been given.
pub(super) struct Product<'a> {
    pub(super) x: &'a Activations,
    pub(super) weights: &'a Weights,
    pub(super) out: MatrixMut<'a>,
    pub(super) epilogue: Epilogue,
    pub(super) sums: &'a mut Vec<i32>,
}

impl Product<'_> {
    /// Inlined into a function that is compiled for the kernel's instructions.
    #[inline(always)]
    pub(super) fn compute<K: Kernel>(mut self, kernel: K) {
        let mut start = 0;
        while start < self.x.rows() {
            let end = self.x.rows().min(start + BLOCK_ROWS);
            self.sum(kernel, start, end);
            for row in start..end {
                self.finish(row, row - start);
            }
            start = end;
        }
    }

    /// The sums of the rows from `start` to `end`.
    #[inline(always)]
    fn sum<K: Kernel>(&mut self, kernel: K, start: usize, end: usize) {
        const { assert!(K::ROWS <= MOST_ROWS && BLOCK_ROWS.is_multiple_of(K::ROWS)) };
        let width = self.weights.sums.len();
        self.sums.clear();
        self.sums.resize((end - start) * width, 0);
        let groups = BLOCK_LINES / K::LINES;
        for (block, lines) in self.weights.lines.chunks(groups * K::LINES).enumerate() {
            let mut row = start;
            while row < end {
                let rows = K::ROWS.min(end - row);
                let tile = Tile { x: self.x.tile(row, rows, block * groups), lines };
                let sums = &mut self.sums[(row - start) * width..][..rows * width];
                match rows {
                    1 => tile.sum::<K, 1>(kernel, sums),
                    2 => tile.sum::<K, 2>(kernel, sums),
                    3 => tile.sum::<K, 3>(kernel, sums),
                    4 => tile.sum::<K, 4>(kernel, sums),
                    5 => tile.sum::<K, 5>(kernel, sums),
                    6 => tile.sum::<K, 6>(kernel, sums),
                    7 => tile.sum::<K, 7>(kernel, sums),
                    _ => tile.sum::<K, MOST_ROWS>(kernel, sums),
                }
                row += rows;
            }
        }
    }

    /// Turns the sums of a row, which is number `at` of its block, into float32.
    #[inline(always)]
    fn finish(&mut self, row: usize, at: usize) {
        let Weights { sums: weights, scales, bias, .. } = self.weights;
        let row_scale = self.x.scale(row);
        let (sums, _) = self.sums[at * scales.len()..][..scales.len()].as_chunks();
        let columns = self.out.row_mut(row).chunks_mut(LINE_OUTPUTS);
        let by_output = weights.as_chunks().0.iter().zip(scales.as_chunks().0).zip(bias.as_chunks().0);
        for ((out, sums), ((weights, scales), bias)) in columns.zip(sums).zip(by_output) {
            let line = LineEnd { sums, weights, scales, bias };
            if let Some(out) = out.as_mut_array() {
                line.finish(row_scale, self.epilogue, out);
            } else {
                let mut whole = [0.0; LINE_OUTPUTS];
                whole[..out.len()].copy_from_slice(out);
                line.finish(row_scale, self.epilogue, &mut whole);
                out.copy_from_slice(&whole[..out.len()]);
            }
        }
    }
}

/// A row's sums for the outputs of a line, and what these outputs need to become float32.
struct LineEnd<'a> {
    sums: &'a [i32; LINE_OUTPUTS],
    weights: &'a [i32; LINE_OUTPUTS],
    scales: &'a [f32; LINE_OUTPUTS],
    bias: &'a [f32; LINE_OUTPUTS],
}

impl LineEnd<'_> {
    #[inline(always)]
    fn finish(&self, row: RowScale, epilogue: Epilogue, out: &mut [f32; LINE_OUTPUTS]) {
        let mut line = [0.0; LINE_OUTPUTS];
        let by_output = self.sums.iter().zip(self.weights).zip(self.scales).zip(self.bias);
        for (value, (((sum, weights), scale), bias)) in line.iter_mut().zip(by_output) {
            *value = (sum - row.zero_point * weights) as f32 * (scale * row.scale) + bias;
        }
        match epilogue {
            Epilogue::Store => *out = line,
            Epilogue::Add => {
                for (out, value) in out.iter_mut().zip(line) {
                    *out += value;
                }
            }
            Epilogue::Gelu => {
                for (out, value) in out.iter_mut().zip(line) {
                    *out = gelu_of(value);
                }
            }
        }
    }
}

/// Some rows and a block of inputs.
struct Tile<'a> {
    /// `[groups, rows]`; more groups may follow.
    x: &'a [Group],
    /// The panel's weights for the block, `[groups, lines wide]`.
    lines: &'a [Line],
}

impl Tile<'_> {
    /// Adds to `sums`, `[ROWS, panel width]`.
    #[inline(always)]
    fn sum<K: Kernel, const ROWS: usize>(&self, kernel: K, sums: &mut [i32]) {
        let width = K::LINES * LINE_OUTPUTS;
        // Arrays are taken by index, not by iterators, with which the compiler keeps them in memory.
        let mut totals: [K::Sums; ROWS] = std::array::from_fn(|row| kernel.load(&sums[row * width..][..width]));
        let (x, _) = self.x.as_chunks::<ROWS>();
        for (lines, x) in self.lines.chunks_exact(K::LINES).zip(x) {
            kernel.prefetch(lines.as_ptr().wrapping_add(PREFETCH));
            let weights = kernel.weights(lines);
            totals = std::array::from_fn(|row| kernel.accumulate(totals[row], x[row], weights));
        }
        for row in 0..ROWS {
            kernel.store(totals[row], &mut sums[row * width..][..width]);
        }
    }
}

#[cfg(test)]
#[path = "product_tests.rs"]
mod tests;
