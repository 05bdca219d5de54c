//! Eight-digit codes and the four levels they are read at.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A level of the UNSPSC hierarchy, coarse to fine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Two digits: `43000000`.
    Segment,
    /// Four digits: `43210000`.
    Family,
    /// Six digits: `43211500`.
    Class,
    /// All eight digits: `43211503`.
    Commodity,
}

impl Level {
    /// All levels, coarse to fine.
    pub const ALL: [Level; 4] = [Level::Segment, Level::Family, Level::Class, Level::Commodity];

    /// How many leading digits identify a code at this level: 2, 4, 6 or 8.
    #[must_use]
    pub fn digits(self) -> u32 {
        match self {
            Level::Segment => 2,
            Level::Family => 4,
            Level::Class => 6,
            Level::Commodity => 8,
        }
    }

    /// The level's name as it is written in options and files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Segment => "segment",
            Level::Family => "family",
            Level::Class => "class",
            Level::Commodity => "commodity",
        }
    }

    /// Codes of one level are multiples of this number.
    fn unit(self) -> u32 {
        10_u32.pow(8 - self.digits())
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no level.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no UNSPSC level; use segment, family, class or commodity")]
pub struct ParseLevelError(String);

impl FromStr for Level {
    type Err = ParseLevelError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.trim();
        let level = Level::ALL.into_iter().find(|level| level.as_str().eq_ignore_ascii_case(name));
        level.ok_or_else(|| ParseLevelError(name.to_owned()))
    }
}

/// An eight-digit UNSPSC code; a code above commodity level ends in zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Code(u32);

/// A text that is no UNSPSC code, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseCodeError {
    /// Nothing but white space.
    #[error("the code is empty")]
    Empty,
    /// Something other than digits, apart from a trailing `.0` as spreadsheets write it.
    #[error("`{0}` is not a number of 8 digits")]
    NotDigits(String),
    /// A number from a spreadsheet with fewer digits than a code has.
    #[error("`{0}` may have been rounded by a spreadsheet: format the column of the codes as text")]
    Rounded(String),
    /// Not 2, 4, 6 or 8 digits.
    #[error("`{0}` has {1} digits; a UNSPSC code has 8, or 2, 4 or 6 when its trailing zeros are left out")]
    Length(String, usize),
    /// Eight digits that name no place in the hierarchy, such as `00001234` or `43001500`.
    #[error("`{0}` skips a level: a code is segment, family, class and commodity, two digits each")]
    Gap(String),
}

impl Code {
    /// The code that is written with the digits of `number`, such as 43,211,503; none where they are not eight, or skip a
    /// level.
    #[must_use]
    pub fn of_number(number: u32) -> Option<Code> {
        let pairs = [number / 1_000_000, number / 10_000 % 100, number / 100 % 100, number % 100];
        let depth = pairs.iter().take_while(|pair| **pair != 0).count();
        let is_code = number < 100_000_000 && depth > 0 && pairs[depth..].iter().all(|pair| *pair == 0);
        is_code.then_some(Code(number))
    }

    /// The number that the code's digits write.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0
    }

    /// This code's ancestor at `level`; the code itself where it ends at or above that level.
    #[must_use]
    pub fn at(self, level: Level) -> Code {
        Code(self.0 / level.unit() * level.unit())
    }

    /// The finest level that this code names.
    #[must_use]
    pub fn level(self) -> Level {
        let exact = Level::ALL.into_iter().find(|level| self.0.is_multiple_of(level.unit()));
        exact.unwrap_or(Level::Commodity)
    }

    /// Whether this code is fine enough to be labelled at `level`.
    #[must_use]
    pub fn reaches(self, level: Level) -> bool {
        self.level() >= level
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08}", self.0)
    }
}

impl From<Code> for String {
    fn from(code: Code) -> String {
        code.to_string()
    }
}

impl TryFrom<String> for Code {
    type Error = ParseCodeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl FromStr for Code {
    type Err = ParseCodeError;

    /// Reads `43211503`, `43211503.0` and `4.3211503E7` (a spreadsheet's floats), `0043211503` (a padded column) and
    /// `4321` (trailing zeros left out).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let trimmed = text.trim();
        let scientific = scientific(trimmed)?;
        let digits = scientific.as_deref().unwrap_or(trimmed);
        let digits = digits
            .split_once('.')
            .map_or(digits, |(whole, fraction)| if fraction.bytes().all(|byte| byte == b'0') { whole } else { digits });
        // No code begins with a zero: those in front fill up a column of fixed width.
        let digits = if digits.len() > 8 { digits.trim_start_matches('0') } else { digits };
        if digits.is_empty() {
            return Err(ParseCodeError::Empty);
        }
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ParseCodeError::NotDigits(trimmed.to_owned()));
        }
        if !matches!(digits.len(), 2 | 4 | 6 | 8) {
            return Err(ParseCodeError::Length(trimmed.to_owned(), digits.len()));
        }
        let number: u32 = format!("{digits:0<8}").parse().map_err(|_| ParseCodeError::NotDigits(trimmed.to_owned()))?;
        Code::of_number(number).ok_or_else(|| ParseCodeError::Gap(trimmed.to_owned()))
    }
}

/// The digits of a whole number in scientific notation, as `4.3211503E7`; none where `text` is nothing of the kind.
///
/// Java and Spark write the exponent as `E7` and the number exactly. Spreadsheets write `E+07` and round to the width of
/// the column: `4.321E+07` stands for thousands of codes.
fn scientific(text: &str) -> Result<Option<String>, ParseCodeError> {
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else { return Ok(None) };
    let plain = mantissa.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number = text.parse::<f64>().ok();
    let number = number.filter(|number| plain && number.fract() == 0.0 && (1e7..1e8).contains(number));
    let Some(number) = number else { return Ok(None) };
    if exponent != "7" && mantissa.bytes().filter(u8::is_ascii_digit).count() < 8 {
        return Err(ParseCodeError::Rounded(text.to_owned()));
    }
    Ok(Some(format!("{number:.0}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Code {
        text.parse().unwrap()
    }

    #[test]
    fn reads_what_files_hold() {
        for text in
            ["43211503", " 43211503 ", "43211503.0", "43211503.00", "4.3211503E7", "4.3211503e+07", "0043211503"]
        {
            assert_eq!(code(text).to_string(), "43211503");
        }
        assert_eq!(code("4321").to_string(), "43210000");
        assert_eq!(code("43").level(), Level::Segment);
        assert_eq!(code("4.32115E7").to_string(), "43211500", "Java and Spark write it so");
    }

    #[test]
    fn refuses_what_is_no_code() {
        for (text, part) in [
            ("", "empty"),
            ("4321150", "7 digits"),
            ("43211503.5", "not a number"),
            ("laptop", "not a number"),
            ("4.32115035E0", "not a number"),
            ("4.321E+07", "may have been rounded"),
            ("1e3", "not a number"),
            ("00000000", "skips a level"),
            ("43001500", "skips a level"),
            ("４３", "not a number"),
        ] {
            let error = text.parse::<Code>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_number_is_a_code_where_its_digits_are_one() {
        assert_eq!(Code::of_number(43_211_503), Some(code("43211503")));
        assert_eq!(code("43211503").number(), 43_211_503);
        assert_eq!(Code::of_number(43_000_000), Some(code("43")));
        for number in [0, 4321, 43_001_500, 100_000_000, u32::MAX] {
            assert_eq!(Code::of_number(number), None, "{number}");
        }
    }

    #[test]
    fn ancestors_are_prefixes() {
        let commodity = code("43211503");
        let path: Vec<String> = Level::ALL.iter().map(|level| commodity.at(*level).to_string()).collect();
        assert_eq!(path, ["43000000", "43210000", "43211500", "43211503"]);
        assert!(commodity.reaches(Level::Commodity));
        assert!(!code("43210000").reaches(Level::Class));
    }
}
