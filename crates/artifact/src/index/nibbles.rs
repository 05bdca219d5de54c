//! Vectors of four bits a value.
//!
//! Values stand in blocks of 64, which take 32 bytes: byte i of a block holds value i in its low half and value i + 32 in
//! its high half, so that vector instructions get 32 neighbouring values by one mask or shift. A half h stands for
//! `scale * (h - 8)`; what fills up the last block is 8.

/// Values of a block.
const BLOCK: usize = 64;

/// The largest magnitude; with `ZERO` it keeps halves between 1 and 15, so that zero and the two signs are alike.
const LIMIT: f32 = 7.0;

/// The half that stands for zero.
const ZERO: u8 = 8;

/// Shares of a vector's largest magnitude that the limit may stand for. Cutting off the few largest values makes steps
/// finer for all others.
const CLIPS: [f32; 6] = [1.0, 0.9, 0.8, 0.7, 0.6, 0.5];

/// How many bytes a vector of `hidden` values takes.
pub(super) fn width(hidden: usize) -> usize {
    hidden.div_ceil(BLOCK) * (BLOCK / 2)
}

/// The byte that holds a value, and how far its half stands from the right.
fn place(value: usize) -> (usize, u32) {
    let (block, within) = (value / BLOCK, value % BLOCK);
    (block * (BLOCK / 2) + within % (BLOCK / 2), if within < BLOCK / 2 { 0 } else { 4 })
}

/// The whole number that stands for `value`.
fn step(value: f32, scale: f32) -> f32 {
    (value / scale).round().clamp(-LIMIT, LIMIT)
}

/// The scale with which `vector`, which is not zero, loses the least: of a few, the one with the least sum of squared
/// errors.
fn best_scale(vector: &[f32]) -> f32 {
    let largest = vector.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let error = |scale: f32| vector.iter().map(|value| (value - scale * step(*value, scale)).powi(2)).sum::<f32>();
    let scales = CLIPS.map(|clip| clip * largest / LIMIT);
    let errors = scales.map(|scale| (scale, error(scale)));
    errors
        .into_iter()
        .reduce(|best, next| if next.1 < best.1 { next } else { best })
        .map_or(largest, |(scale, _)| scale)
}

/// Appends `vector`, which is not zero, to `bytes` and returns its scale.
pub(super) fn pack(vector: &[f32], bytes: &mut Vec<u8>) -> f32 {
    let scale = best_scale(vector);
    let start = bytes.len();
    bytes.resize(start + width(vector.len()), ZERO << 4 | ZERO);
    for (index, value) in vector.iter().enumerate() {
        let (byte, shift) = place(index);
        let half = (step(*value, scale) as i8 + ZERO.cast_signed()).cast_unsigned();
        bytes[start + byte] = bytes[start + byte] & !(0xf << shift) | half << shift;
    }
    scale
}

/// The `hidden` values of a vector.
pub(super) fn unpack(bytes: &[u8], hidden: usize, scale: f32) -> Vec<f32> {
    let value = |index| {
        let (byte, shift) = place(index);
        scale * (f32::from(bytes[byte] >> shift & 0xf) - f32::from(ZERO))
    };
    (0..hidden).map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_holds_value_i_beside_value_i_plus_32() {
        let mut vector = vec![0.0; 70];
        (vector[0], vector[32], vector[31], vector[63], vector[64], vector[69]) = (7.0, -7.0, 1.0, 2.0, -3.0, 4.0);
        let mut bytes = vec![0xaa];
        let scale = pack(&vector, &mut bytes);
        assert_eq!((scale, bytes.len(), width(70)), (1.0, 65, 64));
        assert_eq!((bytes[0], bytes[1], bytes[2], bytes[32]), (0xaa, 0x1f, 0x88, 0xa9));
        assert_eq!((bytes[33], bytes[38], bytes[64]), (0x85, 0x8c, 0x88));
        assert_eq!(unpack(&bytes[1..], 70, scale), vector);
    }

    #[test]
    fn the_few_largest_values_are_cut_off_where_that_loses_less() {
        let mut vector: Vec<f32> = (0..640).map(|at| (at % 64) as f32 / 128.0).collect();
        vector[639] = 1.1;
        let mut bytes = Vec::new();
        let scale = pack(&vector, &mut bytes);
        assert_eq!(scale, 0.5 * 1.1 / 7.0);
        let differences = |bytes: &[u8], scale| -> f32 {
            unpack(bytes, 640, scale).iter().zip(&vector).map(|(value, exact)| (value - exact).powi(2)).sum()
        };
        assert!(differences(&bytes, scale) < 0.7);
        assert_eq!(pack(&[0.5, -0.5], &mut bytes), 0.5 / 7.0, "nothing is cut off for nothing");
    }
}
