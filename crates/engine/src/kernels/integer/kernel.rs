//! What a kernel has to bring: one step of a sum of products in its own vectors.

use super::format::{Format, Group};
use super::product::Product;
use super::weights::{LINE_OUTPUTS, Line};

/// Instructions that multiply the values of a group and add the products. A value stands for a processor that has them.
pub(super) trait Kernel: Copy {
    /// How many lines wide a panel of weights is.
    const LINES: usize;
    /// Rows that are computed together: as many as registers can hold the sums of.
    const ROWS: usize;
    /// What it multiplies.
    const FORMAT: Format;
    /// One row's sums of a panel, `16 * LINES`.
    type Sums: Copy;
    /// The weights of a group of inputs for a panel.
    type Weights: Copy;

    /// Reads `16 * LINES` sums.
    fn load(self, sums: &[i32]) -> Self::Sums;
    /// Writes `16 * LINES` sums.
    fn store(self, sums: Self::Sums, to: &mut [i32]);
    /// Reads `LINES` lines.
    fn weights(self, lines: &[Line]) -> Self::Weights;
    /// Adds to each output's sum the products of a group of inputs with their weights.
    fn accumulate(self, sums: Self::Sums, x: Group, weights: Self::Weights) -> Self::Sums;
    /// Asks for a line that will be wanted soon.
    #[inline(always)]
    fn prefetch(self, _line: *const Line) {}
    /// Computes `product` in code compiled for these instructions.
    fn run(self, product: Product<'_>);
}

/// Plain Rust for any processor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Portable<const LINES: usize, const WORDS: bool>;

impl<const LINES: usize, const WORDS: bool> Kernel for Portable<LINES, WORDS> {
    const LINES: usize = LINES;
    const ROWS: usize = 4;
    const FORMAT: Format = if WORDS { Format::Words } else { Format::Bytes };
    type Sums = [[i32; LINE_OUTPUTS]; LINES];
    type Weights = [Line; LINES];

    #[inline(always)]
    fn load(self, sums: &[i32]) -> Self::Sums {
        let mut all = [[0; LINE_OUTPUTS]; LINES];
        all.as_flattened_mut().copy_from_slice(sums);
        all
    }

    #[inline(always)]
    fn store(self, sums: Self::Sums, to: &mut [i32]) {
        to.copy_from_slice(sums.as_flattened());
    }

    #[inline(always)]
    fn weights(self, lines: &[Line]) -> Self::Weights {
        let mut weights = [Line([[0; 4]; LINE_OUTPUTS]); LINES];
        weights.copy_from_slice(lines);
        weights
    }

    #[inline(always)]
    fn accumulate(self, mut sums: Self::Sums, x: Group, weights: Self::Weights) -> Self::Sums {
        for (sums, line) in sums.iter_mut().zip(&weights) {
            for (sum, weights) in sums.iter_mut().zip(&line.0) {
                *sum += if WORDS { words(x, *weights) } else { bytes(x, *weights) };
            }
        }
        sums
    }

    fn run(self, product: Product<'_>) {
        product.compute(self);
    }
}

#[inline(always)]
fn bytes(x: Group, weights: Group) -> i32 {
    x.into_iter().zip(weights).map(|(x, weight)| i32::from(x) * i32::from(weight.cast_signed())).sum()
}

#[inline(always)]
fn words(x: Group, weights: Group) -> i32 {
    let pair = |[a, b, c, d]: Group| [[a, b], [c, d]].map(|word| i32::from(i16::from_le_bytes(word)));
    let ([x0, x1], [w0, w1]) = (pair(x), pair(weights));
    x0 * w0 + x1 * w1
}
