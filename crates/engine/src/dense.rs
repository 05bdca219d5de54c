//! Dense layers of the encoder, in either precision.

use std::borrow::Cow;
use std::ops::Range;

use crate::kernels;
use crate::kernels::integer::{Activations, Epilogue};
use crate::linear::Linear;
use crate::quantised::QuantisedLinear;

/// A dense layer as models store it: its weight, `[outputs, inputs]`, and its bias, `[outputs]`.
pub(crate) type StoredLayer<'a> = (Cow<'a, [f32]>, Cow<'a, [f32]>);

/// A dense layer `y = x Wᵀ + b`; `x` is `[rows, inputs]`. The memory for quantised activations is the caller's, so that
/// all layers share it.
pub(crate) enum Dense {
    Float32(Linear),
    Integer(QuantisedLinear),
}

impl Dense {
    /// How many values a row of the output has.
    pub(crate) fn outputs(&self) -> usize {
        match self {
            Self::Float32(linear) => linear.outputs(),
            Self::Integer(linear) => linear.outputs(),
        }
    }

    /// `out = x Wᵀ + b`; `out` is `[rows, outputs]`.
    pub(crate) fn forward(&self, x: &[f32], out: &mut [f32], quantised: &mut Activations) {
        self.forward_some(x, 0..self.outputs(), out, quantised);
    }

    /// As [`Dense::forward`] for some of the layers that stand side by side, named by the range of their outputs: `out`
    /// is `[rows, some.len()]`.
    pub(crate) fn forward_some(&self, x: &[f32], some: Range<usize>, out: &mut [f32], quantised: &mut Activations) {
        match self {
            Self::Float32(linear) => linear.forward_some(x, some, out),
            Self::Integer(linear) => linear.forward(x, &some, Epilogue::Store, out, quantised),
        }
    }

    /// `out += x Wᵀ + b`, for a residual connection.
    pub(crate) fn forward_add(&self, x: &[f32], out: &mut [f32], quantised: &mut Activations) {
        match self {
            Self::Float32(linear) => linear.forward_add(x, out),
            Self::Integer(linear) => linear.forward(x, &(0..linear.outputs()), Epilogue::Add, out, quantised),
        }
    }

    /// `out = GELU(x Wᵀ + b)`.
    pub(crate) fn forward_gelu(&self, x: &[f32], out: &mut [f32], quantised: &mut Activations) {
        match self {
            Self::Float32(linear) => {
                linear.forward(x, out);
                kernels::gelu(out, linear.outputs());
            }
            Self::Integer(linear) => linear.forward(x, &(0..linear.outputs()), Epilogue::Gelu, out, quantised),
        }
    }
}
