//! The kernels for x86-64.

use std::arch::x86_64::*;

use super::product::{Kernel, Product};
use super::{PackedBlock, QueryBlock};

macro_rules! kernel {
    (
        $(#[$doc:meta])*
        $name:ident: [$($feature:tt)*], $unpacked:ty, sums in $sums:ident from $zero:ident,
        unpack |$packed:ident| $unpack:expr,
        accumulate |$sum:ident, $stored:ident, $query:ident| $accumulate:expr,
        halve |$whole:ident| $halve:expr
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
        }

        // Each `unsafe` block: there is a value only where `detect` has found the instructions, and blocks are as long as
        // what is read from them.
        #[allow(unsafe_code)]
        impl Kernel for $name {
            type Unpacked = $unpacked;
            type Sums = $sums;

            #[inline(always)]
            fn zero(self) -> Self::Sums {
                // SAFETY: see above.
                unsafe { $zero() }
            }

            #[inline(always)]
            fn unpack(self, block: &PackedBlock) -> Self::Unpacked {
                // SAFETY: see above.
                unsafe {
                    let $packed = _mm256_loadu_si256(block.as_ptr().cast());
                    $unpack
                }
            }

            #[inline(always)]
            fn accumulate(self, sum: Self::Sums, stored: Self::Unpacked, query: &QueryBlock) -> Self::Sums {
                // SAFETY: see above.
                unsafe {
                    let ($sum, $stored, $query) = (sum, stored, query.as_ptr());
                    $accumulate
                }
            }

            #[inline(always)]
            fn totals(self, sums: [Self::Sums; 4]) -> [i32; 4] {
                // SAFETY: see above; the array is as long as the vector that is written to it.
                unsafe {
                    let [a, b, c, d] = sums.map(|$whole| $halve);
                    let pairs = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
                    let mut totals = [0; 4];
                    let total = _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256::<1>(pairs));
                    _mm_storeu_si128(totals.as_mut_ptr().cast(), total);
                    totals
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
    /// 512-bit vectors, with the instruction made for this. A vector holds a whole block.
    Avx512Vnni: ["avx2" "avx512f" "avx512bw" "avx512dq" "avx512vl" "avx512vnni"], __m512i,
    sums in __m512i from _mm512_setzero_si512,
    unpack |packed| {
        // Once as it is and once shifted by 4.
        let both = _mm512_broadcast_i64x4(packed);
        let shifts = _mm512_inserti64x4::<1>(_mm512_setzero_si512(), _mm256_set1_epi64x(4));
        _mm512_and_si512(_mm512_srlv_epi64(both, shifts), _mm512_set1_epi8(0xf))
    },
    accumulate |sum, stored, query| _mm512_dpbusd_epi32(sum, stored, _mm512_loadu_si512(query.cast())),
    halve |sum| _mm256_add_epi32(_mm512_castsi512_si256(sum), _mm512_extracti64x4_epi64::<1>(sum))
}

kernel! {
    /// 256-bit vectors, with the instruction made for this.
    AvxVnni: ["avx2" "avxvnni"], [__m256i; 2], sums in __m256i from _mm256_setzero_si256,
    unpack |packed| halves(packed),
    accumulate |sum, stored, query| {
        let sum = _mm256_dpbusd_avx_epi32(sum, stored[0], _mm256_loadu_si256(query.cast()));
        _mm256_dpbusd_avx_epi32(sum, stored[1], _mm256_loadu_si256(query.cast::<__m256i>().add(1)))
    },
    halve |sum| sum
}

kernel! {
    /// 256-bit vectors. Four products are added in 16 bits: `4 * 15 * 127 = 7,620`.
    Avx2: ["avx2"], [__m256i; 2], sums in __m256i from _mm256_setzero_si256,
    unpack |packed| halves(packed),
    accumulate |sum, stored, query| {
        let low = _mm256_maddubs_epi16(stored[0], _mm256_loadu_si256(query.cast()));
        let high = _mm256_maddubs_epi16(stored[1], _mm256_loadu_si256(query.cast::<__m256i>().add(1)));
        let words = _mm256_add_epi16(low, high);
        _mm256_add_epi32(sum, _mm256_madd_epi16(words, _mm256_set1_epi16(1)))
    },
    halve |sum| sum
}

/// The low and the high halves of bytes.
///
/// # Safety
/// The processor has AVX2.
#[allow(unsafe_code)]
#[inline(always)]
unsafe fn halves(packed: __m256i) -> [__m256i; 2] {
    // SAFETY: the caller's promise.
    unsafe {
        let mask = _mm256_set1_epi8(0xf);
        [_mm256_and_si256(packed, mask), _mm256_and_si256(_mm256_srli_epi16::<4>(packed), mask)]
    }
}
