//! Titles of codes: the embedded segments and families.

use std::collections::BTreeMap;

use crate::{Code, Level, ParseCodeError};

/// The titles of the 57 segments and 546 families, in the layout `code,title`.
const EMBEDDED: &str = include_str!("../../../data/titles.csv");

/// Titles by code.
#[derive(Debug, Clone, Default)]
pub struct Titles(BTreeMap<Code, String>);

/// A title table that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TitlesError {
    /// The file is no CSV with two columns.
    #[error("line {line}: {source}")]
    Csv {
        /// Where, counted from 1.
        line: u64,
        /// What the reader said.
        source: csv::Error,
    },
    /// A row's code cannot be read.
    #[error("line {line}, column code: {source}")]
    Code {
        /// Where, counted from 1.
        line: u64,
        /// What is wrong with it.
        source: ParseCodeError,
    },
}

impl Titles {
    /// The titles of segments and families that the program carries.
    ///
    /// # Errors
    /// Only if the embedded file was edited into something unreadable.
    pub fn embedded() -> Result<Self, TitlesError> {
        Self::parse(EMBEDDED)
    }

    /// Reads the layout `code,title`.
    ///
    /// # Errors
    /// Names the line that cannot be read.
    fn parse(text: &str) -> Result<Self, TitlesError> {
        let mut titles = BTreeMap::new();
        for row in csv::Reader::from_reader(text.as_bytes()).into_deserialize::<(String, String)>() {
            let (code, title) = row.map_err(|source| TitlesError::Csv {
                line: source.position().map_or(0, csv::Position::line),
                source,
            })?;
            let line = titles.len() as u64 + 2;
            titles.insert(code.parse().map_err(|source| TitlesError::Code { line, source })?, title);
        }
        Ok(Self(titles))
    }

    /// The title of exactly this code.
    #[must_use]
    pub fn get(&self, code: Code) -> Option<&str> {
        self.0.get(&code).map(String::as_str)
    }

    /// All of them, ascending by code.
    pub fn iter(&self) -> impl Iterator<Item = (Code, &str)> {
        self.0.iter().map(|(code, title)| (*code, title.as_str()))
    }

    /// The title of this code or of its closest ancestor that has one.
    #[must_use]
    pub fn nearest(&self, code: Code) -> Option<&str> {
        Level::ALL.iter().rev().find_map(|level| self.get(code.at(*level)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_holds_every_segment_and_family() {
        let titles = Titles::embedded().unwrap();
        let count = |level| titles.0.keys().filter(|code| code.level() == level).count();
        assert_eq!((count(Level::Segment), count(Level::Family)), (57, 546));
        let rice: Code = "50221101".parse().unwrap();
        assert_eq!(titles.get(rice), None);
        assert_eq!(titles.get(rice.at(Level::Segment)), Some("Food Beverage and Tobacco Products"));
        assert_eq!(titles.nearest(rice), titles.get(rice.at(Level::Family)));
    }

    #[test]
    fn errors_name_the_line() {
        let error = Titles::parse("code,title\n10000000,Animals\nabc,Nothing\n").unwrap_err();
        assert!(error.to_string().starts_with("line 3, column code"), "{error}");
    }
}
