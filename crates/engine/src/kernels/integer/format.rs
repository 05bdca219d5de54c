//! In what whole numbers values are held.

/// Neighbouring values of a row in 32 bits, what instructions multiply and add at a time.
pub(super) type Group = [u8; 4];

/// Adding it rounds a value of less than 2^22 to a whole number, which then stands in the low bits: 1.5 * 2^23.
pub(super) const ROUND: f32 = 12_582_912.0;

/// How quantised values are stored. Sums of their products are exact in 32 bits, whatever the values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Activations are u8 with a zero point, weights s8.
    Bytes,
    /// The same with weights of 7 bits, for instructions that add two products in 16 bits: `2 * 255 * 64 = 32,640`.
    NarrowBytes,
    /// Both are s16 around zero, and smaller the more products there are to a sum.
    Words,
}

impl Format {
    /// How many values a [`Group`] holds.
    pub(super) const fn group(self) -> usize {
        match self {
            Self::Bytes | Self::NarrowBytes => 4,
            Self::Words => 2,
        }
    }

    /// The largest magnitude of weights where a sum has `inputs` products.
    ///
    /// For words it is that of activations too, and `limit² * inputs <= i32::MAX`: 2364 for 384 inputs, 836 for 3072. Of
    /// bytes `255 * 127 * inputs` stays below `i32::MAX` up to 66,000 inputs.
    pub(super) fn limit(self, inputs: usize) -> f32 {
        match self {
            Self::Bytes => 127.0,
            Self::NarrowBytes => 64.0,
            Self::Words => (f64::from(i32::MAX) / inputs.max(1) as f64).sqrt().floor().min(f64::from(i16::MAX)) as f32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_sum_of_words_within_the_limit_leaves_32_bits() {
        for inputs in [1_usize, 2, 3, 4, 384, 768, 1536, 3072, 4096, 100_000] {
            let limit = Format::Words.limit(inputs) as i64;
            assert!(limit * limit * inputs as i64 <= i64::from(i32::MAX), "{inputs}");
            let larger = limit + 1;
            let fits = larger <= i64::from(i16::MAX) && larger * larger * inputs as i64 <= i64::from(i32::MAX);
            assert!(!fits, "{inputs}: {larger} would fit too");
        }
        assert_eq!(Format::Words.limit(384), 2364.0);
        assert_eq!(Format::Words.limit(3072), 836.0);
    }
}
