//! The layouts of published files, recognised by their header.

use std::collections::HashSet;

use csv::StringRecord;
use unspsc_taxonomy::{Code, clean};

use crate::RejectReason;

/// Columns of the code list from fine to coarse, under either publisher's names: (code, title).
///
/// Segment titles are left out: there is one row for each, and none to test on.
const TITLED_LEVELS: [([&str; 2], [&str; 2]); 3] = [
    (["commodity", "commodity code"], ["commodity name", "commodity title"]),
    (["class", "class code"], ["class name", "class title"]),
    (["family", "family code"], ["family name", "family title"]),
];

/// Where a file keeps descriptions and codes, as column numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Layout {
    /// One description and its code a row; `origin` in files that this crate wrote.
    Described { description: usize, code: usize, origin: Option<usize> },
    /// O\*NET: the same example stands there once for each occupation that uses it.
    Occupational { example: usize, code: usize },
    /// The code list: (code, title) of commodity, class and family.
    CodeList([(usize, usize); 3]),
}

/// A description with its code, or why there is none.
pub(crate) type Item = Result<(String, Code), RejectReason>;

impl Layout {
    /// Recognises a header, whatever the case of its letters.
    ///
    /// # Errors
    /// The name of the column that is missing from the nearest layout.
    pub(crate) fn recognise(header: &StringRecord) -> Result<Self, &'static str> {
        let names: Vec<String> = header.iter().map(|name| name.trim().to_lowercase()).collect();
        let find = |wanted: &[&str]| wanted.iter().find_map(|want| names.iter().position(|name| name == want));
        let titled = TITLED_LEVELS.map(|(code, title)| find(&code).zip(find(&title)));
        match (find(&["description"]), find(&["unspsc", "code"]), find(&["example"]), find(&["commodity code"])) {
            (Some(description), Some(code), ..) => Ok(Self::Described { description, code, origin: find(&["origin"]) }),
            (_, _, Some(example), Some(code)) => Ok(Self::Occupational { example, code }),
            (Some(_), None, ..) => Err("unspsc"),
            (_, _, Some(_), None) => Err("Commodity Code"),
            _ => match titled {
                [Some(commodity), Some(class), Some(family)] => Ok(Self::CodeList([commodity, class, family])),
                [Some(_), None, _] => Err("Class"),
                [Some(_), _, None] => Err("Family"),
                _ => Err("description"),
            },
        }
    }

    /// What people call the layout.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Described { .. } => "descriptions",
            Self::Occupational { .. } => "O*NET",
            Self::CodeList(_) => "code list",
        }
    }

    /// The record's own origin, in files that carry one.
    pub(crate) fn origin<'a>(&self, record: &'a StringRecord) -> Option<&'a str> {
        match self {
            Self::Described { origin: Some(column), .. } => record.get(*column),
            _ => None,
        }
    }

    /// The items of one record that `seen` does not hold yet.
    pub(crate) fn items(&self, record: &StringRecord, seen: &mut Seen) -> Vec<Item> {
        match self {
            Self::Described { description, code, .. } => vec![item(record, *description, *code)],
            Self::Occupational { example, code } => {
                let item = item(record, *example, *code);
                if seen.repeats_pair(&item) { Vec::new() } else { vec![item] }
            }
            Self::CodeList(levels) => {
                let items = levels.iter().map(|(code, title)| item(record, *title, *code));
                items.filter(|item| !seen.repeats_code(item)).collect()
            }
        }
    }
}

/// What a file has yielded already, for the layouts that repeat themselves.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pairs: HashSet<(String, Code)>,
    codes: HashSet<Code>,
    /// Pairs that were dropped because they had been seen; the titles above a commodity do not count.
    pub(crate) repeats: usize,
}

impl Seen {
    fn repeats_pair(&mut self, item: &Item) -> bool {
        let repeated = item.as_ref().is_ok_and(|pair| !self.pairs.insert(pair.clone()));
        self.repeats += usize::from(repeated);
        repeated
    }

    fn repeats_code(&mut self, item: &Item) -> bool {
        item.as_ref().is_ok_and(|(_, code)| !self.codes.insert(*code))
    }
}

fn item(record: &StringRecord, description: usize, code: usize) -> Item {
    let too_short = || RejectReason::TooFewColumns { found: record.len(), wanted: description.max(code) + 1 };
    let text = record.get(description).ok_or_else(too_short)?;
    let digits = record.get(code).ok_or_else(too_short)?;
    let code = digits.parse().map_err(RejectReason::Code)?;
    let cleaned = clean(text);
    if cleaned.is_empty() { Err(RejectReason::EmptyDescription) } else { Ok((cleaned, code)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recognise(header: &str) -> Result<Layout, &'static str> {
        Layout::recognise(&header.split(',').collect::<Vec<_>>().into())
    }

    #[test]
    fn headers() {
        let described = |origin| Layout::Described { description: 0, code: 1, origin };
        assert_eq!(recognise("Description, UNSPSC"), Ok(described(None)));
        assert_eq!(recognise("description,code,label,origin"), Ok(described(Some(3))));
        assert_eq!(
            recognise("O*NET-SOC Code,Example,Commodity Code,Commodity Title"),
            Ok(Layout::Occupational { example: 1, code: 2 })
        );
        assert_eq!(
            recognise("Segment,Segment Name,Family,Family Name,Class,Class Name,Commodity,Commodity Name"),
            Ok(Layout::CodeList([(6, 7), (4, 5), (2, 3)]))
        );
        assert_eq!(
            recognise("Commodity Code,Commodity Title,Class Code,Class Title,Family Code,Family Title"),
            Ok(Layout::CodeList([(0, 1), (2, 3), (4, 5)]))
        );
    }

    #[test]
    fn the_missing_column_is_that_of_the_nearest_layout() {
        for (header, missing) in [
            ("a,b", "description"),
            ("unspsc,text", "description"),
            ("description,price", "unspsc"),
            ("example,price", "Commodity Code"),
            ("commodity,commodity name", "Class"),
        ] {
            assert_eq!(recognise(header), Err(missing), "{header}");
        }
    }
}
