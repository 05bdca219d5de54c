//! The kernels for x86-64.

use std::arch::x86_64::*;

use super::format::{Format, Group};
use super::kernel::Kernel;
use super::product::Product;
use super::weights::Line;

macro_rules! kernel {
    (
        $(#[$doc:meta])*
        $name:ident: [$($feature:tt)*], $vectors:literal vectors of $vector:ident in $lines:literal lines, $rows:literal rows,
        $format:ident, $load:ident, $store:ident, $splat:ident, |$sum:ident, $x:ident, $weights:ident| $dot:expr
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub(crate) struct $name(());

        impl $name {
            /// A value where the processor has the instructions.
            pub(super) fn detect() -> Option<Self> {
                let has_all = $(is_x86_feature_detected!($feature))&&*;
                has_all.then_some(Self(()))
            }

            /// # Safety
            /// The processor has the instructions, and so many vectors can be read at `first`.
            #[allow(unsafe_code)]
            #[inline(always)]
            unsafe fn read(first: *const $vector) -> [$vector; $vectors] {
                // SAFETY: the caller's promise.
                unsafe {
                    let mut all = [$load(first); $vectors];
                    for (at, vector) in all.iter_mut().enumerate() {
                        *vector = $load(first.add(at));
                    }
                    all
                }
            }
        }

        // Each `unsafe` block: there is a value only where `detect` has found the instructions, and slices are as long as
        // what is read from them or written to them, which is compared before.
        #[allow(unsafe_code)]
        impl Kernel for $name {
            const LINES: usize = $lines;
            const ROWS: usize = $rows;
            const FORMAT: Format = Format::$format;
            type Sums = [$vector; $vectors];
            type Weights = [$vector; $vectors];

            #[inline(always)]
            fn load(self, sums: &[i32]) -> Self::Sums {
                assert_eq!(size_of_val(sums), size_of::<Self::Sums>());
                let first = sums.as_ptr().cast::<$vector>();
                // SAFETY: see above.
                unsafe { Self::read(first) }
            }

            #[inline(always)]
            fn store(self, sums: Self::Sums, to: &mut [i32]) {
                assert_eq!(size_of_val(to), size_of::<Self::Sums>());
                let first = to.as_mut_ptr().cast::<$vector>();
                for (at, vector) in sums.into_iter().enumerate() {
                    // SAFETY: see above.
                    unsafe { $store(first.add(at), vector) };
                }
            }

            #[inline(always)]
            fn weights(self, lines: &[Line]) -> Self::Weights {
                assert_eq!(size_of_val(lines), size_of::<Self::Weights>());
                let first = lines.as_ptr().cast::<$vector>();
                // SAFETY: see above.
                unsafe { Self::read(first) }
            }

            #[inline(always)]
            fn accumulate(self, mut sums: Self::Sums, x: Group, weights: Self::Weights) -> Self::Sums {
                // SAFETY: see above.
                unsafe {
                    let $x = $splat(i32::from_ne_bytes(x));
                    for (sum, weights) in sums.iter_mut().zip(weights) {
                        let ($sum, $weights) = (*sum, weights);
                        *sum = $dot;
                    }
                }
                sums
            }

            #[inline(always)]
            fn prefetch(self, line: *const Line) {
                for at in 0..$lines {
                    // SAFETY: a hint, which is harmless wherever it points.
                    unsafe { _mm_prefetch::<_MM_HINT_T0>(line.wrapping_add(at).cast()) };
                }
            }

            fn run(self, product: Product<'_>) {
                $(#[target_feature(enable = $feature)])*
                fn compiled_for_it(kernel: $name, product: Product<'_>) {
                    product.compute(kernel);
                }
                // SAFETY: see above.
                unsafe { compiled_for_it(self, product) }
            }
        }
    };
}

kernel! {
    /// 512-bit vectors, with the instruction made for this.
    Avx512VnniBytes: ["avx512f" "avx512bw" "avx512dq" "avx512vl" "avx512vnni"], 3 vectors of __m512i in 3 lines, 8 rows,
    Bytes, _mm512_loadu_si512, _mm512_storeu_si512, _mm512_set1_epi32,
    |sum, x, weights| _mm512_dpbusd_epi32(sum, x, weights)
}

kernel! {
    /// 256-bit vectors, with the instruction made for this.
    AvxVnniBytes: ["avx2" "fma" "avxvnni"], 2 vectors of __m256i in 1 lines, 6 rows,
    Bytes, _mm256_loadu_si256, _mm256_storeu_si256, _mm256_set1_epi32,
    |sum, x, weights| _mm256_dpbusd_avx_epi32(sum, x, weights)
}

kernel! {
    /// 512-bit vectors.
    Avx512Bytes: ["avx512f" "avx512bw" "avx512dq" "avx512vl"], 3 vectors of __m512i in 3 lines, 8 rows,
    NarrowBytes, _mm512_loadu_si512, _mm512_storeu_si512, _mm512_set1_epi32,
    |sum, x, weights| {
        _mm512_add_epi32(sum, _mm512_madd_epi16(_mm512_maddubs_epi16(x, weights), _mm512_set1_epi16(1)))
    }
}

kernel! {
    /// 256-bit vectors.
    Avx2Bytes: ["avx2" "fma"], 2 vectors of __m256i in 1 lines, 5 rows,
    NarrowBytes, _mm256_loadu_si256, _mm256_storeu_si256, _mm256_set1_epi32,
    |sum, x, weights| {
        _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(x, weights), _mm256_set1_epi16(1)))
    }
}

kernel! {
    /// 512-bit vectors, with the instruction made for this.
    Avx512VnniWords: ["avx512f" "avx512bw" "avx512dq" "avx512vl" "avx512vnni"], 3 vectors of __m512i in 3 lines, 8 rows,
    Words, _mm512_loadu_si512, _mm512_storeu_si512, _mm512_set1_epi32,
    |sum, x, weights| _mm512_dpwssd_epi32(sum, x, weights)
}

kernel! {
    /// 512-bit vectors.
    Avx512Words: ["avx512f" "avx512bw" "avx512dq" "avx512vl"], 3 vectors of __m512i in 3 lines, 8 rows,
    Words, _mm512_loadu_si512, _mm512_storeu_si512, _mm512_set1_epi32,
    |sum, x, weights| _mm512_add_epi32(sum, _mm512_madd_epi16(x, weights))
}

kernel! {
    /// 256-bit vectors, with the instruction made for this.
    AvxVnniWords: ["avx2" "fma" "avxvnni"], 2 vectors of __m256i in 1 lines, 6 rows,
    Words, _mm256_loadu_si256, _mm256_storeu_si256, _mm256_set1_epi32,
    |sum, x, weights| _mm256_dpwssd_avx_epi32(sum, x, weights)
}

kernel! {
    /// 256-bit vectors.
    Avx2Words: ["avx2" "fma"], 2 vectors of __m256i in 1 lines, 6 rows,
    Words, _mm256_loadu_si256, _mm256_storeu_si256, _mm256_set1_epi32,
    |sum, x, weights| _mm256_add_epi32(sum, _mm256_madd_epi16(x, weights))
}
