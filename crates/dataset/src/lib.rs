//! Labelled descriptions: where they come from, and how they become a training set without leaks.
//!
//! [`load()`] reads the published layouts (recognised by their header), [`label()`] decides one label for each text,
//! [`split()`] deals the texts out, [`prepare()`] does the three in a row and [`Prepared::write`] leaves CSV files behind.
//! Everything is a function of its input and the seed: the same files and seed give the same bytes.

mod digest;
mod error;
mod label;
mod layout;
mod load;
mod prepare;
mod read;
mod split;

pub use error::DatasetError;
pub use label::{Example, LabelCounts, Labelled, label};
pub use load::{Loaded, Reject, RejectReason, Row, Source, load, starter};
pub use prepare::{Counts, Manifest, Options, Prepared, prepare};
pub use split::{Splits, cap, fingerprint, split};
