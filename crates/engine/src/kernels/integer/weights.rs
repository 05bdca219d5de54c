//! Weights of a panel, quantised by output.

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
        let (outputs, group, limit) = (width * LINE_OUTPUTS, format.group(), format.limit(inputs));
        let mut packed = Self {
            lines: vec![Line([[0; 4]; LINE_OUTPUTS]); inputs.div_ceil(group) * width],
            sums: vec![0; outputs],
            scales: vec![0.0; outputs],
            bias: vec![0.0; outputs],
        };
        packed.bias[..bias.len()].copy_from_slice(bias);
        for (output, row) in weight.chunks_exact(inputs).enumerate() {
            let (scale, inverse) = scale_of(largest(row), limit);
            packed.scales[output] = scale;
            for (input, value) in row.iter().enumerate() {
                let quantised = (value * inverse + ROUND).to_bits().cast_signed() - ROUND.to_bits().cast_signed();
                packed.sums[output] += quantised;
                let line = &mut packed.lines[input / group * width + output / LINE_OUTPUTS];
                format.write(&mut line.0[output % LINE_OUTPUTS], input % group, quantised);
            }
        }
        packed
    }
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
