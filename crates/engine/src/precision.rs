//! In what arithmetic an encoder's dense layers are computed.

use std::fmt;
use std::str::FromStr;

/// The arithmetic of the encoder's dense layers, which is nearly all of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// As trained: the reference.
    Float32,
    /// Weights quantised by output when they are loaded, activations by token when they are computed, each to 10 bits
    /// and more: faster, and equal to float32 but where two labels are tied to the second decimal.
    Int16,
    /// As [`Precision::Int16`] with 8 bits, weights 7 where the processor has no VNNI: faster again, in half of
    /// the memory for weights, and less exact.
    Int8,
}

impl Precision {
    /// Every precision, the most exact first.
    pub const ALL: [Self; 3] = [Self::Float32, Self::Int16, Self::Int8];

    /// What it is called in options and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Float32 => "float32",
            Self::Int16 => "int16",
            Self::Int8 => "int8",
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no precision.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no precision: float32, int16 and int8 are")]
pub struct UnknownPrecision(String);

impl FromStr for Precision {
    type Err = UnknownPrecision;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.into_iter().find(|precision| precision.as_str() == word);
        named.ok_or_else(|| UnknownPrecision(word.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_precision_is_read_as_it_is_written() {
        for precision in Precision::ALL {
            assert_eq!(precision.to_string().parse::<Precision>().unwrap(), precision);
        }
        let error = "fp16".parse::<Precision>().unwrap_err().to_string();
        assert_eq!(error, "`fp16` is no precision: float32, int16 and int8 are");
    }
}
