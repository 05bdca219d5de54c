//! Products of matrices in whole numbers: sums exact in 32 bits, then float32.
//!
//! Activations are quantised with a scale by row, weights with one by output ([`Format`] says to what). With `a` and `w`
//! the quantised values and `z` a row's zero point, an output is `row scale * output scale * (Σ a w - z Σ w) + bias`.

mod activations;
mod format;
mod kernel;
mod product;
mod weights;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use activations::Activations;
pub(crate) use format::Format;
pub(crate) use product::{Epilogue, multiply};
pub(crate) use weights::Weights;

use super::InstructionSet;
use activations::Layout;
use kernel::{Kernel, Portable};

/// A kernel that this processor can run.
#[derive(Debug, Clone, Copy)]
pub(crate) enum IntegerKernel {
    #[cfg(target_arch = "x86_64")]
    Avx512VnniBytes(x86::Avx512VnniBytes),
    #[cfg(target_arch = "x86_64")]
    AvxVnniBytes(x86::AvxVnniBytes),
    #[cfg(target_arch = "x86_64")]
    Avx512Bytes(x86::Avx512Bytes),
    #[cfg(target_arch = "x86_64")]
    Avx2Bytes(x86::Avx2Bytes),
    #[cfg(target_arch = "x86_64")]
    Avx512VnniWords(x86::Avx512VnniWords),
    #[cfg(target_arch = "x86_64")]
    Avx512Words(x86::Avx512Words),
    #[cfg(target_arch = "x86_64")]
    AvxVnniWords(x86::AvxVnniWords),
    #[cfg(target_arch = "x86_64")]
    Avx2Words(x86::Avx2Words),
    PortableWords(Portable<1, true>),
}

/// `$body` with `$kernel` standing for the kernel inside `$self`.
macro_rules! with_kernel {
    ($self:expr, $kernel:ident => $body:expr) => {
        match $self {
            #[cfg(target_arch = "x86_64")]
            IntegerKernel::Avx512VnniBytes($kernel) => $body,
            #[cfg(target_arch = "x86_64")]
            IntegerKernel::AvxVnniBytes($kernel) => $body,
            #[cfg(target_arch = "x86_64")]
            IntegerKernel::Avx512Bytes($kernel) => $body,
            #[cfg(target_arch = "x86_64")]
            IntegerKernel::Avx2Bytes($kernel) => $body,
            #[cfg(target_arch = "x86_64")]
            IntegerKernel::Avx512VnniWords($kernel) => $body,
            #[cfg(target_arch = "x86_64")]
            IntegerKernel::Avx512Words($kernel) => $body,
            #[cfg(target_arch = "x86_64")]
            IntegerKernel::AvxVnniWords($kernel) => $body,
            #[cfg(target_arch = "x86_64")]
            IntegerKernel::Avx2Words($kernel) => $body,
            IntegerKernel::PortableWords($kernel) => $body,
        }
    };
}
use with_kernel;

impl IntegerKernel {
    /// Those that this processor can run, the fastest first.
    pub(crate) fn available() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let native = [
            x86::Avx512VnniBytes::detect().map(Self::Avx512VnniBytes),
            x86::Avx512Bytes::detect().map(Self::Avx512Bytes),
            x86::AvxVnniBytes::detect().map(Self::AvxVnniBytes),
            x86::Avx2Bytes::detect().map(Self::Avx2Bytes),
            x86::Avx512VnniWords::detect().map(Self::Avx512VnniWords),
            x86::Avx512Words::detect().map(Self::Avx512Words),
            x86::AvxVnniWords::detect().map(Self::AvxVnniWords),
            x86::Avx2Words::detect().map(Self::Avx2Words),
        ];
        #[cfg(not(target_arch = "x86_64"))]
        let native: [Option<Self>; 0] = [];
        native.into_iter().flatten().chain([Self::PortableWords(Portable)])
    }

    /// The fastest.
    pub(crate) fn fastest() -> Self {
        Self::available().next().unwrap_or(Self::PortableWords(Portable))
    }

    /// The fastest with words.
    pub(crate) fn fastest_of_words() -> Self {
        Self::available().find(|kernel| kernel.format() == Format::Words).unwrap_or(Self::PortableWords(Portable))
    }

    /// What it is made of.
    pub(crate) fn instruction_set(self) -> InstructionSet {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512VnniBytes(_) | Self::Avx512VnniWords(_) => InstructionSet::Avx512Vnni,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Bytes(_) | Self::Avx512Words(_) => InstructionSet::Avx512,
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnniBytes(_) | Self::AvxVnniWords(_) => InstructionSet::AvxVnni,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2Bytes(_) | Self::Avx2Words(_) => InstructionSet::Avx2,
            Self::PortableWords(_) => InstructionSet::Portable,
        }
    }

    /// What it multiplies.
    pub(crate) fn format(self) -> Format {
        self.layout().format
    }

    fn layout(self) -> Layout {
        fn layout<K: Kernel>(_: K) -> Layout {
            Layout { format: K::FORMAT, tile: K::ROWS }
        }
        with_kernel!(self, kernel => layout(kernel))
    }

    /// Quantises `x`, `[rows, inputs]`, as this kernel wants it, in place of what was in `activations`.
    pub(crate) fn quantise(self, x: &[f32], inputs: usize, activations: &mut Activations) {
        activations.quantise(x, inputs, self.layout());
    }

    /// How many outputs one panel of weights has.
    pub(crate) fn panel_outputs(self) -> usize {
        fn width<K: Kernel>(_: K) -> usize {
            K::LINES * weights::LINE_OUTPUTS
        }
        with_kernel!(self, kernel => width(kernel))
    }

    /// `weight`, `[outputs, inputs]` with at most [`IntegerKernel::panel_outputs`] outputs, and their `bias`, `[outputs]`,
    /// as this kernel wants them.
    pub(crate) fn pack(self, weight: &[f32], bias: &[f32], inputs: usize) -> Weights {
        fn pack<K: Kernel>(_: K, weight: &[f32], bias: &[f32], inputs: usize) -> Weights {
            Weights::pack(weight, bias, inputs, K::LINES, K::FORMAT)
        }
        with_kernel!(self, kernel => pack(kernel, weight, bias, inputs))
    }
}
