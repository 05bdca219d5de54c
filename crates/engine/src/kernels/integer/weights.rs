//! Weights of a panel, quantised by output.

use pulp::{Arch, Simd, WithSimd};

use super::format::{Format, Group, ROUND};

/// Outputs that one line holds weights of.
pub(crate) const LINE_OUTPUTS: usize = 16;

/// The weights of a group of inputs for sixteen neighbouring outputs: one cache line, so that no load crosses two.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Line(pub(crate) [Group; LINE_OUTPUTS]);

/// The weights of a panel. What has a value by output is filled up with zeros to a whole number of lines.
pub(crate) struct Weights {
    /// `[groups of inputs, lines wide]`; inputs are filled up with zeros.
    pub(crate) lines: Vec<Line>,
    /// `Σ w`, what a zero point of activations is multiplied with.
    pub(crate) sums: Vec<i32>,
    pub(crate) scales: Vec<f32>,
    pub(crate) bias: Vec<f32>,
}

impl Weights {
    /// Quantises `weight`, `[outputs, inputs]`, to `format` and arranges it in rows of `width` lines.
    pub(super) fn pack(weight: &[f32], bias: &[f32], inputs: usize, width: usize, format: Format) -> Self {
        let outputs = width * LINE_OUTPUTS;
        let mut packed = Self {
            lines: Vec::with_capacity(inputs.div_ceil(format.group()) * width),
            sums: vec![0; outputs],
            scales: vec![0.0; outputs],
            bias: vec![0.0; outputs],
        };
        packed.bias[..bias.len()].copy_from_slice(bias);
        Arch::new().dispatch(Packing { weight, inputs, width, format, packed: &mut packed });
        packed
    }
}

/// Groups of inputs that are quantised for all outputs before they take their places in lines: they stay in the nearest cache.
const BLOCK: usize = 16;

/// Quantises in the vectorised version that fits the processor.
struct Packing<'a> {
    weight: &'a [f32],
    inputs: usize,
    width: usize,
    format: Format,
    packed: &'a mut Weights,
}

impl WithSimd for Packing<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { weight, inputs, width, format, packed } = self;
        let limit = format.limit(inputs);
        let mut inverses = vec![0.0; packed.scales.len()];
        let rows = weight.chunks_exact(inputs);
        for ((row, scale), inverse) in rows.clone().zip(&mut packed.scales).zip(&mut inverses) {
            (*scale, *inverse) = scale_of(largest(row), limit);
        }
        let (groups, block) = (inputs.div_ceil(format.group()), BLOCK * format.group());
        let mut quantised = vec![[[0; 4]; BLOCK]; packed.scales.len()]; // [outputs, groups]
        for first in (0..inputs).step_by(block) {
            let of_row = rows.clone().zip(&inverses).zip(&mut packed.sums).zip(&mut quantised);
            for (((row, inverse), sum), quantised) in of_row {
                let values = &row[first..inputs.min(first + block)];
                let of_block = match format {
                    Format::Bytes | Format::NarrowBytes => quantise_bytes(values, *inverse, quantised),
                    Format::Words => quantise_words(values, *inverse, quantised),
                };
                *sum = sum.wrapping_add(of_block);
            }
            let lines = quantised.as_chunks::<LINE_OUTPUTS>().0;
            for group in 0..BLOCK.min(groups - first / format.group()) {
                packed
                    .lines
                    .extend(lines[..width].iter().map(|line| Line(std::array::from_fn(|output| line[output][group]))));
            }
        }
    }
}

/// `value`, which has been multiplied by the inverse of its scale, as a whole number; any number for what is not finite.
#[inline(always)]
fn whole(value: f32) -> i32 {
    (value + ROUND).to_bits().cast_signed().wrapping_sub(ROUND.to_bits().cast_signed())
}

/// Quantises `values` of a row to `groups`, of which the last is filled up with zeros, and returns their sum, which means
/// nothing where a value is not finite.
#[inline(always)]
fn quantise_bytes(values: &[f32], inverse: f32, groups: &mut [Group; BLOCK]) -> i32 {
    let mut sum = 0_i32;
    let bytes = groups.as_flattened_mut();
    for (byte, value) in bytes.iter_mut().zip(values) {
        let value = whole(value * inverse);
        sum = sum.wrapping_add(value);
        *byte = value.to_le_bytes()[0];
    }
    bytes[values.len()..values.len().next_multiple_of(4)].fill(0);
    sum
}

/// As [`quantise_bytes`].
#[inline(always)]
fn quantise_words(values: &[f32], inverse: f32, groups: &mut [Group; BLOCK]) -> i32 {
    let mut sum = 0_i32;
    let (pairs, rest) = values.as_chunks();
    for (group, [low, high]) in groups.iter_mut().zip(pairs) {
        let (low, high) = (whole(low * inverse), whole(high * inverse));
        sum = sum.wrapping_add(low.wrapping_add(high));
        *group = (low.cast_unsigned() & 0xffff | high.cast_unsigned() << 16).to_le_bytes();
    }
    if let [last] = rest {
        let last = whole(last * inverse);
        sum = sum.wrapping_add(last);
        groups[pairs.len()] = (last.cast_unsigned() & 0xffff).to_le_bytes();
    }
    sum
}

/// The least and the greatest value, zero among them; the greatest is not finite where one of the values is not.
#[inline(always)]
pub(super) fn range(values: &[f32]) -> (f32, f32) {
    const LANES: usize = 16;
    let (mut least, mut greatest, mut spoilt) = ([0.0_f32; LANES], [0.0_f32; LANES], [0.0_f32; LANES]);
    let mut take = |lane: usize, value: f32| {
        least[lane] = if value < least[lane] { value } else { least[lane] };
        greatest[lane] = if value > greatest[lane] { value } else { greatest[lane] };
        // Comparisons pass over what is no number; this product is none then, and zero otherwise.
        spoilt[lane] += value * 0.0;
    };
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, value) in chunk.iter().enumerate() {
            take(lane, *value);
        }
    }
    for (lane, value) in rest.iter().enumerate() {
        take(lane, *value);
    }
    let spoilt: f32 = spoilt.iter().sum();
    (least.into_iter().fold(0.0, f32::min), greatest.into_iter().fold(0.0, f32::max) + spoilt)
}

/// The largest magnitude; not finite where one of the values is not.
#[inline(always)]
pub(super) fn largest(values: &[f32]) -> f32 {
    let (least, greatest) = range(values);
    // What is no number is not less than anything, and stays.
    if greatest < -least { -least } else { greatest }
}

/// The scale by which `largest` becomes `limit`, and its inverse. Where `largest` is (nearly) zero the scale is zero:
/// whatever the quantised values then are, they stand for zero. Where it is not finite, the scale is not.
#[inline(always)]
pub(super) fn scale_of(largest: f32, limit: f32) -> (f32, f32) {
    let inverse = limit / largest;
    if inverse == f32::INFINITY { (0.0, 0.0) } else { (largest / limit, inverse) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_quantised_by_output_and_a_group_of_inputs_stands_together() {
        let weight = [1.0, -2.0, 0.5, 0.0, 2.0, /**/ 0.0, 0.0, 0.0, 0.0, 0.0, /**/ 0.0, 0.0, 0.0, 0.0, -1e-3];
        let packed = Weights::pack(&weight, &[7.0, 8.0, 9.0], 5, 1, Format::Bytes);
        assert_eq!(packed.lines.len(), 2);
        assert_eq!(packed.lines[0].0[0].map(u8::cast_signed), [64, -127, 32, 0]);
        assert_eq!(packed.lines[1].0[..4].as_flattened(), [127, 0, 0, 0, 0, 0, 0, 0, 129, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(packed.sums[..4], [64 - 127 + 32 + 127, 0, -127, 0]);
        assert_eq!(packed.scales[..4], [2.0 / 127.0, 0.0, 1e-3 / 127.0, 0.0]);
        assert_eq!(packed.bias[..4], [7.0, 8.0, 9.0, 0.0]);

        let packed = Weights::pack(&weight, &[7.0, 8.0, 9.0], 5, 1, Format::Words);
        assert_eq!(packed.lines.len(), 3);
        let words = |line: usize, output: usize| -> [i16; 2] {
            let [a, b, c, d] = packed.lines[line].0[output];
            [[a, b], [c, d]].map(i16::from_le_bytes)
        };
        let limit = Format::Words.limit(5) as i16; // 20724
        assert_eq!([words(0, 0), words(1, 0), words(2, 0)], [[limit / 2, -limit], [limit / 4, 0], [limit, 0]]);
        assert_eq!([words(2, 1), words(2, 2)], [[0, 0], [-limit, 0]]);
        assert_eq!(packed.scales[0], 2.0 / f32::from(limit));
    }

    #[test]
    fn what_is_no_number_spoils_the_scale_and_what_is_too_small_has_none() {
        assert_eq!(scale_of(largest(&[0.0; 20]), 127.0), (0.0, 0.0));
        assert_eq!(scale_of(largest(&[1e-44; 3]), 127.0), (0.0, 0.0));
        assert_eq!(scale_of(largest(&[-254.0, 3.0]), 127.0), (2.0, 0.5));
        for bad in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = [1.0; 35];
            for place in [0, 17, 34] {
                values[place] = bad;
                assert!(!scale_of(largest(&values), 127.0).0.is_finite(), "{bad} at {place}");
                values[place] = 1.0;
            }
        }
    }
}
