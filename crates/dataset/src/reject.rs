//! Rows that cannot be used, and why.

use unspsc_taxonomy::{Code, Level, ParseCodeError};

use crate::Label;

/// Why a row cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RejectReason {
    /// The code cannot be read.
    #[error("{0}")]
    Code(ParseCodeError),
    /// The code begins with a segment that the standard does not have.
    #[error("the standard has no segment {}", .0.at(Level::Segment))]
    UnknownSegment(Code),
    /// The code lies in a family that the standard does not have, and labels are finer than segments.
    #[error("the standard has no family {}", .0.at(Level::Family))]
    UnknownFamily(Code),
    /// The code ends above the level of the labels.
    #[error("{code} is a {}, and the labels are at {level} level", .code.level())]
    TooCoarse {
        /// The row's code.
        code: Code,
        /// The level that was wanted.
        level: Level,
    },
    /// The groups do not mention the code.
    #[error("no group holds {0}")]
    NoGroup(Code),
    /// The same text carries another label more often.
    #[error("most rows with this text say {0}")]
    Outvoted(Label),
    /// The same text carries another label as often.
    #[error("as many rows with this text say {0}")]
    Tied(Label),
    /// The row was made by augmentation.
    #[error("the row was made by augmentation of another one: start from the set before")]
    Augmented,
    /// Cleaning leaves nothing of the description, or a word for nothing.
    #[error("the description is empty after cleaning, or says that there is none")]
    EmptyDescription,
    /// The row ends before the columns that are needed.
    #[error("the row has {found} columns, {wanted} are needed")]
    TooFewColumns {
        /// Columns in the row.
        found: usize,
        /// Columns that would do.
        wanted: usize,
    },
}

impl RejectReason {
    /// The reason without its particulars, to count by.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Code(ParseCodeError::Empty) => "no code",
            Self::Code(_) => "unreadable code",
            Self::UnknownSegment(_) => "unknown segment",
            Self::UnknownFamily(_) => "unknown family",
            Self::TooCoarse { .. } => "code above the level",
            Self::NoGroup(_) => "code in no group",
            Self::Outvoted(_) | Self::Tied(_) => "contradicting labels",
            Self::Augmented => "made by augmentation",
            Self::EmptyDescription => "empty description",
            Self::TooFewColumns { .. } => "too few columns",
        }
    }
}

/// A row that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// The file, as an index into [`crate::Loaded::sources`], and the line the row begins on, counted from 1.
    pub place: (u32, u32),
    /// What stands in the file, as far as it could be read.
    pub description: String,
    /// The cell of the code, as far as it could be read.
    pub code: String,
    /// Why.
    pub reason: RejectReason,
}
