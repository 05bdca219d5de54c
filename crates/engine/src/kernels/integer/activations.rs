//! Activations, quantised by row and laid out in tiles.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::format::{Format, Group, ROUND};
use super::weights::{largest, range, scale_of};

/// From this many values on, rows are shared among threads; below it waking a thread costs more than it saves.
const MIN_PARALLEL_VALUES: usize = 1 << 16;

/// How a kernel wants activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) format: Format,
    /// Rows of a tile; the last tile has those that are left.
    pub(super) tile: usize,
}

/// What a row's values stand for: `scale * (value - zero_point)`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct RowScale {
    pub(super) scale: f32,
    pub(super) zero_point: i32,
}

/// Quantised rows, in memory that is kept between calls.
#[derive(Default)]
pub(crate) struct Activations {
    /// Tile after tile, `[groups, rows of the tile]` each: what a step of a sum multiplies stands together.
    values: Vec<Group>,
    /// `[rows]`
    scales: Vec<RowScale>,
    /// Groups of inputs a row.
    groups: usize,
}

impl Activations {
    /// Takes `x`, `[rows, inputs]`, in place of what was there.
    pub(super) fn quantise(&mut self, x: &[f32], inputs: usize, layout: Layout) {
        self.groups = inputs.div_ceil(layout.format.group());
        let rows = x.len() / inputs;
        self.scales.resize(rows, RowScale::default());
        let len = rows * self.groups;
        if self.values.len() < len {
            self.values.resize(len, [0; 4]);
        }
        let values = &mut self.values[..len];
        let quantise = |((x, values), scales)| Arch::new().dispatch(Rows { x, inputs, layout, values, scales });
        let threads = rayon::current_num_threads();
        if threads == 1 || x.len() < MIN_PARALLEL_VALUES {
            quantise(((x, values), &mut self.scales));
            return;
        }
        let part = rows.div_ceil(threads).next_multiple_of(layout.tile);
        let parts = x.par_chunks(part * inputs).zip(values.par_chunks_mut(part * self.groups));
        parts.zip(self.scales.par_chunks_mut(part)).for_each(quantise);
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> usize {
        self.scales.len()
    }

    /// The values of a tile of `rows` rows that begins at `first`, from group number `group` on: `[groups, rows]`.
    #[inline(always)]
    pub(super) fn tile(&self, first: usize, rows: usize, group: usize) -> &[Group] {
        &self.values[first * self.groups..][group * rows..rows * self.groups]
    }

    /// What a row's values stand for.
    #[inline(always)]
    pub(super) fn scale(&self, row: usize) -> RowScale {
        self.scales[row]
    }
}

/// Groups that are quantised one after the other before they take their places in a tile, which are apart.
const BLOCK: usize = 64;

/// Some rows, from the beginning of a tile on, quantised in the vectorised version that fits the processor.
struct Rows<'a> {
    x: &'a [f32],
    inputs: usize,
    layout: Layout,
    values: &'a mut [Group],
    scales: &'a mut [RowScale],
}

impl WithSimd for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { x, inputs, layout, values, scales } = self;
        let groups = inputs.div_ceil(layout.format.group());
        let limit = layout.format.limit(inputs);
        let tiles = x.chunks(layout.tile * inputs).zip(values.chunks_mut(layout.tile * groups));
        for ((x, values), scales) in tiles.zip(scales.chunks_mut(layout.tile)) {
            let rows = scales.len();
            for (index, (x, scale)) in x.chunks_exact(inputs).zip(scales).enumerate() {
                let places = values[index..].iter_mut().step_by(rows);
                *scale = match layout.format {
                    Format::Bytes | Format::NarrowBytes => quantise_bytes(x, places),
                    Format::Words => quantise_words(x, limit, places),
                };
            }
        }
    }
}

/// Quantises a row between its least and its greatest value, which often are far from symmetric.
#[inline(always)]
fn quantise_bytes<'a>(x: &[f32], mut places: impl Iterator<Item = &'a mut Group>) -> RowScale {
    let (least, greatest) = range(x);
    // 254 steps, because the zero point and the greatest value may both be rounded up.
    let (scale, inverse) = scale_of(greatest - least, 254.0);
    let zero_point = (-least * inverse).round();
    let shift = ROUND + zero_point;
    for x in x.chunks(4 * BLOCK) {
        let mut block = [[0; 4]; BLOCK];
        for (value, x) in block.as_flattened_mut().iter_mut().zip(x) {
            *value = (x * inverse + shift).to_bits() as u8;
        }
        place(&block[..x.len().div_ceil(4)], &mut places);
    }
    RowScale { scale, zero_point: zero_point as i32 }
}

/// Quantises a row so that its largest magnitude becomes `limit`.
#[inline(always)]
fn quantise_words<'a>(x: &[f32], limit: f32, mut places: impl Iterator<Item = &'a mut Group>) -> RowScale {
    let (scale, inverse) = scale_of(largest(x), limit);
    let word = |x: f32| u32::from((x * inverse + ROUND).to_bits() as u16);
    for x in x.chunks(2 * BLOCK) {
        let mut block = [[0; 4]; BLOCK];
        let (pairs, rest) = x.as_chunks();
        for (value, [low, high]) in block.iter_mut().zip(pairs) {
            *value = (word(*low) | word(*high) << 16).to_le_bytes();
        }
        if let [last] = rest {
            block[pairs.len()] = word(*last).to_le_bytes();
        }
        place(&block[..x.len().div_ceil(2)], &mut places);
    }
    RowScale { scale, zero_point: 0 }
}

#[inline(always)]
fn place<'a>(block: &[Group], places: impl Iterator<Item = &'a mut Group>) {
    for (group, place) in block.iter().zip(places) {
        *place = *group;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: Layout = Layout { format: Format::Bytes, tile: 2 };
    const WORDS: Layout = Layout { format: Format::Words, tile: 2 };

    #[test]
    fn bytes_are_quantised_each_row_from_its_least_to_its_greatest_value() {
        let mut activations = Activations::default();
        let x = [2.0, -0.5, 0.01, 0.0, -0.54, /**/ 0.0, 0.0, 0.0, 0.0, 0.0, /**/ 1e20, 0.0, -1e20, 1e18, 0.5];
        activations.quantise(&x, 5, BYTES);
        // The first tile has two rows, of which groups take turns; the second has one.
        let tile = activations.tile(0, 2, 0);
        assert_eq!([tile[0], tile[2]].as_flattened()[..5], [254, 4, 55, 54, 0]);
        assert_eq!(activations.tile(2, 1, 0).as_flattened()[..5], [254, 127, 0, 128, 127]);
        assert_eq!(activations.tile(0, 2, 1), &tile[2..]);
        assert_eq!(activations.scale(0), RowScale { scale: 2.54 / 254.0, zero_point: 54 });
        assert_eq!(activations.scale(1), RowScale::default());
        assert_eq!(activations.scale(2), RowScale { scale: 2e20 / 254.0, zero_point: 127 });
    }

    #[test]
    fn words_are_quantised_each_row_by_its_largest_value() {
        let mut activations = Activations::default();
        activations.quantise(&[1.0, -0.5, 0.25, /**/ 0.0, 0.0, 0.0, /**/ 0.0, 3e20, -3e20], 3, WORDS);
        let words = |groups: [Group; 2]| groups.map(|[a, b, c, d]| [[a, b], [c, d]].map(i16::from_le_bytes));
        let (first, last) = (activations.tile(0, 2, 0), activations.tile(2, 1, 0));
        assert_eq!(words([first[0], first[2]]), [[26754, -13377], [6688, 0]]);
        assert_eq!(words([last[0], last[1]]), [[0, 26754], [-26754, 0]]);
        let limit = Format::Words.limit(3); // 26754
        assert_eq!([0, 1, 2].map(|row| activations.scale(row).scale), [1.0 / limit, 0.0, 3e20 / limit]);
        assert_eq!([0, 1, 2].map(|row| activations.scale(row).zero_point), [0; 3]);
    }

    #[test]
    fn what_is_no_number_spoils_the_scale() {
        let mut activations = Activations::default();
        for layout in [BYTES, WORDS] {
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                for place in [0, 17, 34] {
                    let mut row = [1.0; 35];
                    row[place] = bad;
                    activations.quantise(&row, 35, layout);
                    assert!(!activations.scale(0).scale.is_finite(), "{layout:?}: {bad} at {place}");
                }
            }
        }
    }

    #[test]
    fn threads_change_nothing() {
        let (rows, inputs) = (701, 101);
        let x: Vec<f32> = (0..rows * inputs).map(|i| ((i * 7919) % 2003) as f32 / 100.0 - 10.0).collect();
        let run = |layout, threads| {
            let mut activations = Activations::default();
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| activations.quantise(&x, inputs, layout));
            (activations.values, activations.scales)
        };
        for layout in [BYTES, WORDS, Layout { format: Format::Words, tile: 6 }] {
            assert!(run(layout, 1) == run(layout, 3), "{layout:?}");
        }
    }
}
