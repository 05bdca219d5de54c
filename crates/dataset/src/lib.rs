//! Labelled descriptions: where they come from, and how they become a training set without leaks.
//!
//! [`load()`] reads the published layouts (recognised by their header), [`label()`] decides one label for each text,
//! [`split()`] deals the texts out, [`prepare()`] does the three in a row and [`Prepared::write`] leaves CSV files behind.
//! Everything is a function of its input and the seed: the same files and seed give the same bytes.

mod augment;
mod digest;
mod error;
mod groups;
mod label;
mod layout;
mod load;
mod prepare;
mod read;
mod reject;
mod split;
mod texts;

pub use augment::{AUGMENTED, AugmentMode, AugmentOptions, Augmentation, Thesaurus, ThesaurusError};
pub use error::DatasetError;
pub use groups::Groups;
pub use label::{Example, Label, LabelCounts, Labelled, Labelling, label, labels};
pub use layout::{Columns, TitleForm};
pub use load::{Loaded, Reading, Row, Source, load, load_channel, starter};
pub use prepare::{Counts, Grouping, Manifest, Options, Prepared, is_broken_off, is_of_a_set, is_prepared, prepare};
pub use reject::{Reject, RejectReason};
pub use split::{Splits, cap, fingerprint, split, thin_titles};
pub use texts::{TextProblem, TextRow, TextRows, Texts};
