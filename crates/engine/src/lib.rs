//! Transformer inference on the CPU, without libtorch: BERT and DistilBERT sequence classifiers.
//!
//! The texts of a batch lie end to end in one matrix of token vectors, `[tokens, hidden]`, so that nothing is padded:
//! a dense layer is one matrix product for the whole batch, and only attention looks at one text at a time. A batch
//! therefore gives the same answers as its texts one by one.
//!
//! The encoder's dense layers are float32 or, by [`Precision`], whole numbers; all else is float32. The `dense` module is
//! the seam between the two: each owns a layer's weights in the form that its kernel wants, and nothing outside sees them.

mod attention;
mod batch;
mod dense;
mod encoder;
mod engine;
mod error;
mod head;
mod kernels;
mod layer;
mod linear;
mod loader;
mod panels;
mod precision;
mod quantised;
mod search;

pub use engine::{Engine, Logits};
pub use error::EngineError;
pub use kernels::InstructionSet;
pub use precision::{Precision, UnknownPrecision};
pub use search::{Neighbour, Search};
