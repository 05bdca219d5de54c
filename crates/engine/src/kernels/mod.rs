//! The arithmetic that depends on the processor. What runs is decided at run time, so that one binary serves all.

pub(crate) mod integer;
mod matrix;
pub(crate) mod nibbles;
mod rows;

use std::fmt;

pub(crate) use matrix::{Matrix, MatrixMut, multiply};
pub(crate) use rows::{add_bias, fill_bias, gelu, layer_norm, softmax};

/// The vector instructions that the kernels use on this processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstructionSet {
    /// 512-bit vectors (x86-64-v4) with VNNI.
    Avx512Vnni,
    /// 512-bit vectors (x86-64-v4).
    Avx512,
    /// 256-bit vectors with fused multiply-add (x86-64-v3) and AVX-VNNI.
    AvxVnni,
    /// 256-bit vectors with fused multiply-add (x86-64-v3).
    Avx2,
    /// What every processor of the target has.
    Portable,
}

impl InstructionSet {
    /// What matrix products and row operations in float32 choose here.
    pub(crate) fn of_float32() -> Self {
        match pulp::Arch::new() {
            #[cfg(target_arch = "x86_64")]
            pulp::Arch::V4(_) => Self::Avx512,
            #[cfg(target_arch = "x86_64")]
            pulp::Arch::V3(_) => Self::Avx2,
            _ => Self::Portable,
        }
    }
}

impl fmt::Display for InstructionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Avx512Vnni => "avx512-vnni",
            Self::Avx512 => "avx512",
            Self::AvxVnni => "avx-vnni",
            Self::Avx2 => "avx2",
            Self::Portable => "portable",
        })
    }
}
