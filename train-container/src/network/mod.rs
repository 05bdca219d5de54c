//! The networks, written with tch's `f_` operators, which return errors where their twins panic.

mod embedding_rows;
mod head;
mod parameters;
mod recurrent;
mod transformer;

pub(crate) use embedding_rows::EmbeddingRows;
pub(crate) use head::Head;
pub(crate) use parameters::{Parameters, trainable, values};
pub(crate) use recurrent::Recurrent;
pub(crate) use transformer::Transformer;
