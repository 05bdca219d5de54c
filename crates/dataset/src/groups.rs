//! Summary groups: a few labels over many codes, for a first classifier that routes to a second.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use unspsc_taxonomy::{Code, Level};

use crate::layout::is_placeholder;
use crate::{DatasetError, Label};

/// Which codes belong to which group; a code belongs where it or its closest ancestor is mentioned.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Groups(BTreeMap<Code, Label>);

impl Groups {
    /// Reads a CSV with the columns `code` and `group`; codes may be of any level.
    ///
    /// # Errors
    /// Names file and line of what cannot be read.
    pub fn read(path: &Path) -> Result<Self, DatasetError> {
        let text = fs::read_to_string(path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => DatasetError::Missing { path: path.to_owned() },
            _ => DatasetError::Read { path: path.to_owned(), reason: source },
        })?;
        let wrong = |line: u64, reason: String| DatasetError::Groups { path: path.to_owned(), line, reason };
        let mut groups = BTreeMap::new();
        let mut reader =
            csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.trim_start_matches('\u{feff}').as_bytes());
        let header = reader.headers().map_err(|error| wrong(1, error.to_string()))?;
        let column = |name: &str| header.iter().position(|found| found.eq_ignore_ascii_case(name));
        let columns = column("code").zip(column("group"));
        let (code, group) = columns.ok_or_else(|| wrong(1, "the columns `code` and `group` are needed".to_owned()))?;
        for record in reader.records() {
            let record =
                record.map_err(|error| wrong(error.position().map_or(0, csv::Position::line), error.to_string()))?;
            let line = record.position().map_or(0, csv::Position::line);
            let cell = |column: usize| record.get(column).unwrap_or_default();
            let code: Code = cell(code).parse().map_err(|error| wrong(line, format!("column code: {error}")))?;
            let name = cell(group);
            if name.is_empty() || name.parse::<Code>().is_ok() || is_placeholder(name) {
                let reason = format!(
                    "column group: `{name}` is no name; a group needs one that is no code and no word for nothing"
                );
                return Err(wrong(line, reason));
            }
            if groups.insert(code, Label::group(name)).is_some_and(|earlier| earlier != Label::group(name)) {
                return Err(wrong(line, format!("{code} is in two groups")));
            }
        }
        if groups.is_empty() {
            return Err(wrong(1, "no row below the header".to_owned()));
        }
        Ok(Self(groups))
    }

    /// Cuts the standard's order of segments, which goes from raw materials to services, into `count` runs of about the
    /// same number of rows: the largest run is as small as can be. There are fewer runs only where there are fewer segments.
    ///
    /// `codes` are those of the rows. Groups are named after their first and last segment, as `10-27`.
    #[must_use]
    pub fn even(codes: impl Iterator<Item = Code>, count: usize) -> Self {
        let mut sizes = BTreeMap::<Code, usize>::new();
        for code in codes {
            *sizes.entry(code.at(Level::Segment)).or_default() += 1;
        }
        let sizes: Vec<(Code, usize)> = sizes.into_iter().collect();
        let (mut low, mut high) = sizes.iter().fold((0, 0), |(most, sum), (_, size)| (most.max(*size), sum + size));
        while low < high {
            let limit = low.midpoint(high);
            if runs(&sizes, limit).len() <= count { high = limit } else { low = limit + 1 }
        }
        let mut runs = runs(&sizes, low);
        // One large segment can set the limit that fewer runs keep: then the largest of the others are cut further.
        while runs.len() < count.min(sizes.len()) {
            let rows = |run: &[(Code, usize)]| run.iter().map(|(_, size)| size).sum::<usize>();
            let divisible = runs.iter().enumerate().filter(|(_, run)| run.len() > 1);
            let Some((place, run)) = divisible.max_by_key(|(_, run)| rows(run)) else { break };
            let imbalance = |at: &usize| rows(&run[..*at]).abs_diff(rows(&run[*at..]));
            let (first, second) = run.split_at((1..run.len()).min_by_key(imbalance).unwrap_or(1));
            runs.splice(place..=place, [first, second]);
        }
        let mut groups = BTreeMap::new();
        for run in runs {
            let digits = |entry: Option<&(Code, usize)>| {
                entry.map_or_else(String::new, |(code, _)| code.to_string()[..2].to_owned())
            };
            let name = Label::group(&format!("{}-{}", digits(run.first()), digits(run.last())));
            groups.extend(run.iter().map(|(code, _)| (*code, name.clone())));
        }
        Self(groups)
    }

    /// The group of `code`.
    pub(crate) fn of(&self, code: Code) -> Option<&Label> {
        Level::ALL.iter().rev().find_map(|level| self.0.get(&code.at(*level)))
    }

    /// Code and group, ascending by code.
    pub fn entries(&self) -> impl Iterator<Item = (Code, &Label)> {
        self.0.iter().map(|(code, group)| (*code, group))
    }
}

/// Runs of neighbours, each filled up to `limit` before the next begins.
fn runs(sizes: &[(Code, usize)], limit: usize) -> Vec<&[(Code, usize)]> {
    let mut runs = Vec::new();
    let (mut start, mut sum) = (0, 0);
    for (index, (_, size)) in sizes.iter().enumerate() {
        if sum + size > limit && index > start {
            runs.push(sizes.get(start..index).unwrap_or_default());
            (start, sum) = (index, 0);
        }
        sum += size;
    }
    runs.push(sizes.get(start..).unwrap_or_default());
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Code {
        text.parse().unwrap()
    }

    fn read(text: &str) -> Result<Groups, DatasetError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        Groups::read(file.path())
    }

    #[test]
    fn the_closest_ancestor_decides() {
        let groups = read("Code,Group\n43,technology\n4321,computers\n10000000,nature\n").unwrap();
        let of = |text: &str| groups.of(code(text)).map(Label::as_str);
        assert_eq!(of("43211503"), Some("computers"));
        assert_eq!(of("43222600"), Some("technology"));
        assert_eq!(of("10101501"), Some("nature"));
        assert_eq!(of("50000000"), None);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, part) in [
            ("code,name\n43,x\n", "line 1: the columns `code` and `group` are needed"),
            ("code,group\n43,x\nabc,y\n", "line 3: column code: `abc`"),
            ("code,group\n43,44\n", "line 2: column group: `44` is no name"),
            ("code,group\n43,NA\n", "line 2: column group: `NA` is no name"),
            ("code,group\n43,a\n43000000,b\n", "line 3: 43000000 is in two groups"),
            ("code,group\n", "no row below the header"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn even_groups_are_runs_of_segments_of_about_the_same_size() {
        let rows = [("10", 5), ("11", 5), ("20", 9), ("43", 2), ("50", 8)];
        let codes = || rows.iter().flat_map(|(segment, size)| std::iter::repeat_n(code(segment), *size));
        let groups = Groups::even(codes(), 3);
        let named: Vec<_> = groups.entries().map(|(code, group)| format!("{code} {group}")).collect();
        assert_eq!(named, ["10000000 10-11", "11000000 10-11", "20000000 20-20", "43000000 43-50", "50000000 43-50"]);
        assert_eq!(
            Groups::even(codes(), 100)
                .entries()
                .map(|(_, group)| group.clone())
                .collect::<std::collections::BTreeSet<_>>()
                .len(),
            5
        );
        // One large segment sets a limit that two runs would keep.
        let rows = [("10", 5), ("11", 5), ("20", 900), ("43", 2), ("50", 8)];
        let codes = || rows.iter().flat_map(|(segment, size)| std::iter::repeat_n(code(segment), *size));
        let groups = Groups::even(codes(), 4);
        assert_eq!(
            groups.entries().map(|(_, group)| group.as_str()).collect::<std::collections::BTreeSet<_>>().len(),
            4
        );
        assert_eq!(Groups::even(codes(), 1).of(code("11")).map(Label::as_str), Some("10-50"));
    }
}
