//! Plain Rust and every kernel that this processor has against the definition: sums are whole numbers, so that equal
//! means equal.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::activations::Layout;
use super::super::format::Format;
use super::super::kernel::Portable;
use super::*;

/// Rows, inputs and outputs: one token, odd sizes, whole and begun tiles and panels, more than one block of each, 512
/// tokens.
const SHAPES: [(usize, usize, usize); 10] = [
    (1, 1, 1),
    (1, 384, 48),
    (2, 5, 17),
    (3, 97, 33),
    (7, 64, 47),
    (8, 1536, 16),
    (9, 130, 16),
    (61, 768, 48),
    (257, 515, 31),
    (512, 384, 48),
];

/// What is multiplied.
#[derive(Debug, Clone, Copy)]
enum Values {
    Random,
    /// All of the largest magnitude, with the sign of the row or output: what makes 16 bits overflow.
    Extreme,
    /// The same with signs that change from value to value.
    Alternating,
    /// Every second row or output is zero.
    SomeZero,
}

impl Values {
    /// `[rows, columns]`
    fn matrix(self, rows: usize, columns: usize, seed: u64) -> Vec<f32> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let at = |index: usize| (index / columns, index % columns);
        let sign = |odd: usize| if odd % 2 == 1 { -3.0 } else { 3.0 };
        let value = |index| match (self, at(index)) {
            (Self::Random, _) => random.random_range(-2.0..2.0),
            (Self::Extreme, (row, _)) => sign(row / 2),
            (Self::Alternating, (row, column)) => sign(row + column),
            (Self::SomeZero, (row, _)) if row % 2 == 0 => 0.0,
            (Self::SomeZero, _) => random.random_range(-2.0..2.0),
        };
        (0..rows * columns).map(value).collect()
    }
}

/// A product to compute, with weights packed in rows of `width` lines.
struct Case {
    x: Activations,
    weights: Weights,
    outputs: usize,
    layout: Layout,
}

impl Case {
    fn all(width: usize, layout: Layout) -> impl Iterator<Item = (String, Self)> {
        let values = [Values::Random, Values::Extreme, Values::Alternating, Values::SomeZero];
        values.into_iter().flat_map(move |values| {
            SHAPES.map(|(rows, inputs, outputs)| {
                let outputs = outputs.min(width * LINE_OUTPUTS);
                let mut x = Activations::default();
                x.quantise(&values.matrix(rows, inputs, 1), inputs, layout);
                let (weight, bias) = (values.matrix(outputs, inputs, 2), values.matrix(1, outputs, 3));
                let weights = Weights::pack(&weight, &bias, inputs, width, layout.format);
                (format!("{values:?} {rows}x{inputs}x{outputs}"), Self { x, weights, outputs, layout })
            })
        })
    }

    /// What `compute` makes of it, with something in the place of the output before.
    fn run(&self, epilogue: Epilogue, compute: impl FnOnce(Product<'_>)) -> Vec<f32> {
        let mut out = vec![0.25; self.x.rows() * self.outputs];
        let view = MatrixMut::new(&mut out, self.x.rows(), self.outputs, self.outputs);
        compute(Product { x: &self.x, weights: &self.weights, out: view, epilogue, sums: &mut Vec::new() });
        out
    }

    /// The definition, term by term.
    fn defined(&self) -> Vec<f32> {
        let width = self.weights.sums.len() / LINE_OUTPUTS;
        let value = |index: usize| {
            let (row, output) = (index / self.outputs, index % self.outputs);
            let scale = self.x.scale(row);
            let terms = self.row(row).enumerate().map(|(group, x)| {
                let line = &self.weights.lines[group * width + output / LINE_OUTPUTS];
                self.term(x, i64::from(scale.zero_point), line.0[output % LINE_OUTPUTS])
            });
            let scale = self.weights.scales[output] * scale.scale;
            terms.sum::<i64>() as f32 * scale + self.weights.bias[output]
        };
        (0..self.x.rows() * self.outputs).map(value).collect()
    }

    /// A row's values out of its tile.
    fn row(&self, row: usize) -> impl Iterator<Item = Group> {
        let first = row / self.layout.tile * self.layout.tile;
        let rows = self.layout.tile.min(self.x.rows() - first);
        self.x.tile(first, rows, 0).iter().skip(row - first).step_by(rows).copied()
    }

    fn term(&self, x: Group, zero_point: i64, weights: Group) -> i64 {
        let words = |[a, b, c, d]: Group| [[a, b], [c, d]].map(|word| i64::from(i16::from_le_bytes(word)));
        match self.layout.format {
            Format::Words => words(x).iter().zip(words(weights)).map(|(x, w)| x * w).sum(),
            // The last group is filled up with zero weights.
            _ => x.iter().zip(weights).map(|(x, w)| (i64::from(*x) - zero_point) * i64::from(w.cast_signed())).sum(),
        }
    }
}

/// Plain Rust for panels `width` lines wide.
fn portable(width: usize, format: Format) -> fn(Product<'_>) {
    match (width, format == Format::Words) {
        (1, false) => |product| product.compute(Portable::<1, false>),
        (1, true) => |product| product.compute(Portable::<1, true>),
        (_, false) => |product| product.compute(Portable::<3, false>),
        (_, true) => |product| product.compute(Portable::<3, true>),
    }
}

#[test]
fn plain_rust_computes_what_is_defined() {
    for (width, format) in [(1, Format::Bytes), (3, Format::NarrowBytes), (1, Format::Words), (3, Format::Words)] {
        let layout = Layout { format, tile: <Portable<1, true> as Kernel>::ROWS };
        for (name, case) in Case::all(width, layout) {
            let expected = case.defined();
            assert_eq!(case.run(Epilogue::Store, portable(width, format)), expected, "{name}, {width} lines wide");
            let added: Vec<f32> = expected.iter().map(|value| 0.25 + value).collect();
            assert_eq!(case.run(Epilogue::Add, portable(width, format)), added, "{name}, {width} lines wide, added");
            let gelu: Vec<f32> = expected.iter().map(|value| gelu_of(*value)).collect();
            assert_eq!(case.run(Epilogue::Gelu, portable(width, format)), gelu, "{name}, {width} lines wide, GELU");
        }
    }
}

#[test]
fn every_kernel_of_this_processor_computes_what_is_defined() {
    for kernel in IntegerKernel::available() {
        for (name, case) in Case::all(kernel.panel_outputs() / LINE_OUTPUTS, kernel.layout()) {
            let expected = case.defined();
            let got = case.run(Epilogue::Store, |product| with_kernel!(kernel, kernel => kernel.run(product)));
            assert_eq!(got, expected, "{name}, {kernel:?}");
        }
    }
}
