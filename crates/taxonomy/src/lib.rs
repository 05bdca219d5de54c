//! The UNSPSC: codes, levels, the titles of segments and families, and the one function that cleans a description.

mod clean;
mod code;
mod titles;

pub use clean::{CLEANING_VERSION, clean, tidy};
pub use code::{Code, Level, ParseCodeError, ParseLevelError};
pub use titles::{Titles, TitlesError};
