//! What happens to the rows of a matrix between the products: biases, LayerNorm, GELU, softmax.
//!
//! Each function is plain Rust that the compiler vectorises once for every instruction set, and `pulp` calls the
//! version that fits the processor. Sums run in sixteen lanes, because the compiler may not reorder them itself.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Lanes of a sum or maximum: one 512-bit vector.
const LANES: usize = 16;

/// From this many values on, rows are shared among threads; below it waking a thread costs more than it saves.
const MIN_PARALLEL_VALUES: usize = 1 << 15;

/// A change of one row.
trait RowKernel: Copy + Sync {
    fn apply(self, row: &mut [f32]);
}

/// `kernel` on consecutive rows, in the vectorised version that fits the processor.
struct Rows<'a, K> {
    values: &'a mut [f32],
    width: usize,
    kernel: K,
}

impl<K: RowKernel> WithSimd for Rows<'_, K> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for row in self.values.chunks_exact_mut(self.width) {
            self.kernel.apply(row);
        }
    }
}

/// Runs `kernel` on every row of `values`, `[rows, width]`.
fn each_row(values: &mut [f32], width: usize, kernel: impl RowKernel) {
    let threads = rayon::current_num_threads();
    if threads == 1 || values.len() < MIN_PARALLEL_VALUES {
        Arch::new().dispatch(Rows { values, width, kernel });
    } else {
        let rows = (values.len() / width).div_ceil(threads);
        values.par_chunks_mut(rows * width).for_each(|values| Arch::new().dispatch(Rows { values, width, kernel }));
    }
}

/// Sets every row of `values`, `[rows, bias.len()]`, to `bias`.
pub(crate) fn fill_bias(values: &mut [f32], bias: &[f32]) {
    for row in values.chunks_exact_mut(bias.len()) {
        row.copy_from_slice(bias);
    }
}

#[derive(Clone, Copy)]
struct AddBias<'a>(&'a [f32]);

impl RowKernel for AddBias<'_> {
    #[inline(always)]
    fn apply(self, row: &mut [f32]) {
        for (value, bias) in row.iter_mut().zip(self.0) {
            *value += bias;
        }
    }
}

/// Adds `bias` to every row of `values`, `[rows, bias.len()]`.
pub(crate) fn add_bias(values: &mut [f32], bias: &[f32]) {
    each_row(values, bias.len(), AddBias(bias));
}

#[derive(Clone, Copy)]
struct Norm<'a> {
    weight: &'a [f32],
    bias: &'a [f32],
    epsilon: f32,
}

impl RowKernel for Norm<'_> {
    #[inline(always)]
    fn apply(self, row: &mut [f32]) {
        let count = row.len() as f32;
        let mean = sum(row, |value| value) / count;
        let variance = sum(row, |value| (value - mean) * (value - mean)) / count;
        let scale = 1.0 / (variance + self.epsilon).sqrt();
        for ((value, weight), bias) in row.iter_mut().zip(self.weight).zip(self.bias) {
            *value = (*value - mean) * scale * weight + bias;
        }
    }
}

/// LayerNorm of every row of `values`, `[rows, weight.len()]`.
pub(crate) fn layer_norm(values: &mut [f32], weight: &[f32], bias: &[f32], epsilon: f32) {
    each_row(values, weight.len(), Norm { weight, bias, epsilon });
}

#[derive(Clone, Copy)]
struct Gelu;

impl RowKernel for Gelu {
    #[inline(always)]
    fn apply(self, row: &mut [f32]) {
        for value in row {
            *value = gelu_of(*value);
        }
    }
}

/// GELU of every value of `values`, `[rows, width]`: `x Φ(x)` with the normal distribution's Φ, within 1.8e-7 of the
/// exact value or, above 3, half a unit in the last place.
pub(crate) fn gelu(values: &mut [f32], width: usize) {
    each_row(values, width, Gelu);
}

#[derive(Clone, Copy)]
struct Softmax;

impl RowKernel for Softmax {
    #[inline(always)]
    fn apply(self, row: &mut [f32]) {
        let highest = max(row);
        for value in row.iter_mut() {
            *value = exp_of(*value - highest);
        }
        let scale = 1.0 / sum(row, |value| value);
        for value in row {
            *value *= scale;
        }
    }
}

/// Softmax of every row of `values`, `[rows, width]`, on the calling thread: attention shares its own work.
pub(crate) fn softmax(values: &mut [f32], width: usize) {
    Arch::new().dispatch(Rows { values, width, kernel: Softmax });
}

#[inline(always)]
fn sum(row: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut lanes = [0.0_f32; LANES];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += of(*value);
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().map(|value| of(*value)).sum::<f32>()
}

#[inline(always)]
fn max(row: &[f32]) -> f32 {
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = if *value > *lane { *value } else { *lane };
        }
    }
    lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |highest, value| highest.max(*value))
}

/// `exp(x)` for `x <= 0`, within two units in the last place; below -87, where floats end, `exp(-87)`.
#[inline(always)]
fn exp_of(x: f32) -> f32 {
    /// 1.5 * 2^23: adding it rounds to a whole number, which then stands in the low bits.
    const ROUND: f32 = 12_582_912.0;
    /// ln 2 in two parts, the first short enough that its product with a small whole number is exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = if x < -87.0 { -87.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let whole = shifted - ROUND;
    let r = (x - whole * LN_2_HIGH) - whole * LN_2_LOW;
    // Taylor's series to the seventh power: |r| <= ln 2 / 2, so that what is left out is below 6e-9.
    let mut series = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        series = series * r + coefficient;
    }
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    series * power
}

/// GELU of one value.
///
/// `x Φ(x)` is `max(x, 0) - |x| T(|x|)` with the normal distribution's upper tail T. In this form no digits cancel.
/// `T(a) = exp(-a²/2) t R(t)` with `t = 1 / (1 + 0.32 a)`, as in Abramowitz and Stegun 7.1.26; R is a polynomial of
/// our own, fitted by reweighted least squares so that `a T(a)` is within 4e-9.
#[inline(always)]
pub(super) fn gelu_of(x: f32) -> f32 {
    const TAIL: [f32; 7] =
        [0.042_494_605, -0.226_251_8, 0.381_602_3, -0.140_349_98, 0.204_439_74, 0.108_739_73, 0.129_325_24];
    let a = x.abs();
    let t = 1.0 / (1.0 + 0.32 * a);
    let mut series = 0.0;
    for coefficient in TAIL {
        series = series * t + coefficient;
    }
    let positive = if x > 0.0 { x } else { 0.0 };
    positive - a * (exp_of(-0.5 * a * a) * series * t)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// erfc by its continued fraction (large x) or Taylor series (small x), in f64.
    fn erfc(x: f64) -> f64 {
        if x < 0.0 {
            return 2.0 - erfc(-x);
        }
        if x < 2.5 {
            let (mut term, mut total) = (x, x);
            for n in 1..80 {
                let n = f64::from(n);
                term *= -x * x / n;
                total += term / (2.0 * n + 1.0);
            }
            return 1.0 - total * 2.0 / std::f64::consts::PI.sqrt();
        }
        let fraction = (1..=120).rev().fold(0.0, |tail, k| f64::from(k) / 2.0 / (x + tail));
        (-x * x).exp() / (std::f64::consts::PI.sqrt() * (x + fraction))
    }

    #[test]
    fn gelu_is_exact_to_float_precision() {
        let mut values: Vec<f32> = (-120_000..=120_000).map(|i| i as f32 * 1e-4).collect();
        let xs = values.clone();
        let width = xs.len();
        gelu(&mut values, width);
        for (x, got) in xs.iter().zip(&values) {
            let x = f64::from(*x);
            let exact = 0.5 * x * erfc(-x / std::f64::consts::SQRT_2);
            let allowed = 1.8e-7_f64.max(x.abs() * f64::from(f32::EPSILON) / 2.0);
            assert!((f64::from(*got) - exact).abs() <= allowed, "gelu({x}) = {got}, exactly {exact}");
        }
        let mut far = [-1e30, -100.0, 0.0, 100.0, 1e30];
        gelu(&mut far, 5);
        assert_eq!(far[2..], [0.0, 100.0, 1e30]);
        assert!(far[0].abs() < 1e-30 && far[1].abs() < 1e-30, "{far:?}");
    }

    #[test]
    fn exp_is_exact_to_float_precision() {
        for i in 0..87_000 {
            let x = -(i as f32) * 1e-3;
            let exact = f64::from(x).exp();
            assert!((f64::from(exp_of(x)) / exact - 1.0).abs() < 2.4e-7, "exp({x})");
        }
    }

    #[test]
    fn softmax_is_stable_and_sums_to_one() {
        let mut rows = [1000.0, 1001.0, 999.0, -1e30, 0.0, -2e30].to_vec();
        softmax(&mut rows, 3);
        let e = std::f64::consts::E;
        let total = 1.0 + e + 1.0 / e;
        for (got, expected) in rows.iter().zip([1.0 / total, e / total, 1.0 / e / total, 0.0, 1.0, 0.0]) {
            assert!((f64::from(*got) - expected).abs() < 1e-6, "{rows:?}");
        }
    }

    #[test]
    fn layer_norm_on_a_worked_case() {
        let mut row = [1.0, 2.0, 3.0, 4.0];
        layer_norm(&mut row, &[1.0, 1.0, 2.0, 1.0], &[0.0, 0.0, 0.0, 1.0], 0.0);
        let deviation = 1.25_f32.sqrt();
        let expected = [-1.5 / deviation, -0.5 / deviation, 1.0 / deviation, 1.5 / deviation + 1.0];
        for (got, expected) in row.iter().zip(expected) {
            assert!((got - expected).abs() < 1e-6, "{row:?}");
        }
    }

    #[test]
    fn many_rows_on_many_threads_equal_few_on_one() {
        let width = 96;
        let all: Vec<f32> = (0..width * 1024).map(|i| ((i * 7919) % 2003) as f32 / 100.0 - 10.0).collect();
        let mut shared = all.clone();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        pool.install(|| gelu(&mut shared, width));
        for (row, (before, after)) in all.chunks(width).zip(shared.chunks(width)).enumerate() {
            let mut alone = before.to_vec();
            Arch::new().dispatch(Rows { values: &mut alone, width, kernel: Gelu });
            assert_eq!(alone, after, "row {row}");
        }
    }
}
