//! Products of stored vectors, of four bits a value, with queries of eight bits: sums exact in 32 bits.
//!
//! A block of a stored vector is 32 bytes for 64 values: byte i holds value i in its low half (nibble) and value i + 32
//! in its high half, each from 0 to 15. A query's block is 64 bytes, in order.

mod product;
mod queries;
#[cfg(target_arch = "x86_64")]
mod x86;

use super::InstructionSet;
pub(crate) use product::Product;
use product::{Kernel, Portable};
pub(crate) use queries::{Queries, QueryScale};

/// Values of a block.
pub(crate) const BLOCK: usize = 64;

/// A block of a stored vector.
pub(crate) type PackedBlock = [u8; BLOCK / 2];

/// A block of a query.
pub(crate) type QueryBlock = [i8; BLOCK];

/// A kernel that this processor can run.
#[derive(Debug, Clone, Copy)]
pub(crate) enum NibbleKernel {
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni(x86::Avx512Vnni),
    #[cfg(target_arch = "x86_64")]
    AvxVnni(x86::AvxVnni),
    #[cfg(target_arch = "x86_64")]
    Avx2(x86::Avx2),
    Portable(Portable),
}

impl NibbleKernel {
    /// Those that this processor can run, the fastest first.
    pub(crate) fn available() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let native = [
            x86::Avx512Vnni::detect().map(Self::Avx512Vnni),
            x86::AvxVnni::detect().map(Self::AvxVnni),
            x86::Avx2::detect().map(Self::Avx2),
        ];
        #[cfg(not(target_arch = "x86_64"))]
        let native: [Option<Self>; 0] = [];
        native.into_iter().flatten().chain([Self::Portable(Portable)])
    }

    /// The fastest.
    pub(crate) fn fastest() -> Self {
        Self::available().next().unwrap_or(Self::Portable(Portable))
    }

    /// What it is made of.
    pub(crate) fn instruction_set(self) -> InstructionSet {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni(_) => InstructionSet::Avx512Vnni,
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni(_) => InstructionSet::AvxVnni,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => InstructionSet::Avx2,
            Self::Portable(_) => InstructionSet::Portable,
        }
    }

    /// Computes `product` on the calling thread.
    pub(crate) fn run(self, product: Product<'_>) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni(kernel) => kernel.run(product),
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni(kernel) => kernel.run(product),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(kernel) => kernel.run(product),
            Self::Portable(kernel) => kernel.run(product),
        }
    }
}
