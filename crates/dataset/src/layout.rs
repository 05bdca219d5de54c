//! The layouts of published files, recognised by their header.

use std::fmt;
use std::str::FromStr;

use csv::StringRecord;
use serde::{Deserialize, Serialize};
use unspsc_taxonomy::{Code, tidy};

use crate::RejectReason;

/// What people call the layout of the standard itself.
pub(crate) const CODE_LIST: &str = "code list";

/// What the column of the description is called.
pub(crate) const DESCRIPTION: &str = "description";

/// Columns of the code list from fine to coarse, under either publisher's names: (code, title).
const TITLED_LEVELS: [([&str; 2], [&str; 2]); 4] = [
    (["commodity", "commodity code"], ["commodity name", "commodity title"]),
    (["class", "class code"], ["class name", "class title"]),
    (["family", "family code"], ["family name", "family title"]),
    (["segment", "segment code"], ["segment name", "segment title"]),
];

/// Which columns of a file with a header of its own hold what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Columns {
    /// Columns of the description, joined in this order; empty where the header is to be recognised.
    pub description: Vec<String>,
    /// The column of the code; absent where the header is to be recognised.
    pub code: Option<String>,
}

impl Columns {
    /// Whether nobody has named any.
    #[must_use]
    pub fn are_recognised(&self) -> bool {
        *self == Self::default()
    }
}

/// In what form titles of the code list become texts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TitleForm {
    /// The title itself: "cats".
    #[default]
    Alone,
    /// The title and those above it: "cats, livestock, live animals".
    Parents,
    /// Both, as two texts.
    Both,
}

impl TitleForm {
    const ALL: [(TitleForm, &'static str); 3] =
        [(Self::Alone, "alone"), (Self::Parents, "parents"), (Self::Both, "both")];
}

impl fmt::Display for TitleForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Self::ALL.iter().find(|(form, _)| form == self).map_or("", |(_, word)| word);
        f.write_str(word)
    }
}

impl FromStr for TitleForm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = Self::ALL.iter().find(|(_, word)| *word == text).map(|(form, _)| *form);
        form.ok_or_else(|| format!("allowed: {}", Self::ALL.map(|(_, word)| word).join(", ")))
    }
}

/// Where a file keeps descriptions and codes, as column numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Layout {
    /// A description and its code a row.
    Described { name: &'static str, descriptions: Vec<usize>, code: usize, written: Option<Written> },
    /// O\*NET: the same example stands there once for each occupation that uses it.
    Occupational { example: usize, code: usize },
    /// The code list: (code, title) of commodity, class, family and, where the file has them, segment.
    CodeList(Vec<(usize, usize)>),
}

/// The further columns of files that this crate wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    label: usize,
    origin: usize,
}

/// A description with its code, or why there is none. What is rare stands elsewhere, so that a million of them are small.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    /// Tidied and not empty, and the code.
    pub(crate) outcome: Result<(String, Code), Box<Unusable>>,
    /// Label and origin, in files that this crate wrote.
    pub(crate) written: Option<Box<(String, String)>>,
}

/// A row that yields nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unusable {
    pub(crate) reason: RejectReason,
    /// The cell of the description, or the row as far as it goes.
    pub(crate) description: String,
    /// The cell of the code.
    pub(crate) code: String,
}

impl Layout {
    /// Recognises a header, whatever the case of its letters; columns that `wanted` names go before that.
    ///
    /// # Errors
    /// The name of the column that is missing: one that is wanted, or one of the nearest layout.
    pub(crate) fn recognise(header: &StringRecord, wanted: &Columns) -> Result<Self, String> {
        let names: Vec<String> = header.iter().map(|name| name.trim().to_lowercase()).collect();
        let find = |wanted: &[&str]| wanted.iter().find_map(|want| names.iter().position(|name| name == want));
        if !wanted.are_recognised() {
            return Self::mapped(find, wanted);
        }
        if let (Some(item), Some(more), Some(code)) =
            (find(&["item name"]), find(&["item description"]), find(&["normalized unspsc"]))
        {
            return Ok(Self::Described { name: "California", descriptions: vec![item, more], code, written: None });
        }
        let titled = TITLED_LEVELS.map(|(code, title)| find(&code).zip(find(&title)));
        let code = find(&["unspsc", "code", "unspsc code"]);
        match (find(&["description"]), code, find(&["example"]), find(&["commodity code"])) {
            (Some(description), Some(code), ..) => {
                let written = find(&["label"]).zip(find(&["origin"])).map(|(label, origin)| Written { label, origin });
                let contract = find(&["cn id", "contract id", "agency", "agency name", "supplier name"]);
                let name = if contract.is_some() { "AusTender" } else { "descriptions" };
                Ok(Self::Described { name, descriptions: vec![description], code, written })
            }
            (_, _, Some(example), Some(code)) => Ok(Self::Occupational { example, code }),
            (Some(_), None, ..) => Err("unspsc".to_owned()),
            (_, _, Some(_), None) => Err("Commodity Code".to_owned()),
            _ => match titled {
                [Some(commodity), Some(class), Some(family), segment] => {
                    Ok(Self::CodeList([commodity, class, family].into_iter().chain(segment).collect()))
                }
                [Some(_), None, ..] => Err("Class".to_owned()),
                [Some(_), _, None, _] => Err("Family".to_owned()),
                _ => Err("description".to_owned()),
            },
        }
    }

    /// The columns that the user names; the one that is not named has its usual name.
    fn mapped(find: impl Fn(&[&str]) -> Option<usize>, wanted: &Columns) -> Result<Self, String> {
        let column = |name: &String| find(&[name.trim().to_lowercase().as_str()]).ok_or_else(|| name.clone());
        let mut descriptions = wanted.description.iter().map(column).collect::<Result<Vec<_>, _>>()?;
        if descriptions.is_empty() {
            descriptions.push(find(&["description"]).ok_or_else(|| "description".to_owned())?);
        }
        let code = match &wanted.code {
            Some(name) => column(name)?,
            None => find(&["unspsc", "code", "unspsc code"]).ok_or_else(|| "unspsc".to_owned())?,
        };
        Ok(Self::Described { name: "mapped", descriptions, code, written: None })
    }

    /// What people call the layout.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Described { name, .. } => name,
            Self::Occupational { .. } => "O*NET",
            Self::CodeList(_) => CODE_LIST,
        }
    }

    /// Whether its texts are titles of the standard.
    pub(crate) fn is_code_list(&self) -> bool {
        matches!(self, Self::CodeList(_))
    }

    /// Whether the file says the same several times for reasons that are not the data's.
    pub(crate) fn repeats(&self) -> bool {
        matches!(self, Self::Occupational { .. })
    }

    /// Hands the items of one record to `take`; those of the code list from fine to coarse.
    pub(crate) fn items(&self, record: &StringRecord, form: TitleForm, mut take: impl FnMut(Item)) {
        match self {
            Self::Described { descriptions, code, written, .. } => {
                take(described(record, descriptions, *code, written.as_ref()));
            }
            Self::Occupational { example, code } => take(described(record, &[*example], *code, None)),
            Self::CodeList(levels) => {
                for (place, (code, title)) in levels.iter().enumerate() {
                    if form != TitleForm::Parents {
                        take(described(record, &[*title], *code, None));
                    }
                    if form != TitleForm::Alone {
                        let parents: Vec<usize> = levels.iter().skip(place).map(|(_, title)| *title).collect();
                        take(titled(record, &parents, *code));
                    }
                }
            }
        }
    }
}

/// The columns of the text in a table that needs no codes: those that are `wanted`, or by the header those of the published layouts or
/// one that is named as `serve` takes it.
///
/// # Errors
/// The name of the column that is missing.
pub(crate) fn texts(header: &StringRecord, wanted: &[String]) -> Result<Vec<usize>, String> {
    let names: Vec<String> = header.iter().map(|name| name.trim().to_lowercase()).collect();
    let find = |name: &str| names.iter().position(|other| other == name);
    if !wanted.is_empty() {
        return wanted.iter().map(|name| find(&name.trim().to_lowercase()).ok_or_else(|| name.clone())).collect();
    }
    if let (Some(item), Some(more)) = (find("item name"), find("item description")) {
        return Ok(vec![item, more]);
    }
    let single = [DESCRIPTION, "text", "inputs", "example"].iter().find_map(|name| find(name));
    single.map(|column| vec![column]).ok_or_else(|| DESCRIPTION.to_owned())
}

/// The cells of a description that stands in several columns.
pub(crate) fn joined<S: AsRef<str>>(cells: impl Iterator<Item = S>) -> String {
    let mut cells: Vec<S> = cells.filter(|text| !text.as_ref().trim().is_empty()).collect();
    // Buyers fill in an item's name and repeat it as its description.
    cells.dedup_by(|next, previous| next.as_ref().trim().eq_ignore_ascii_case(previous.as_ref().trim()));
    cells.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(" ")
}

fn described(record: &StringRecord, columns: &[usize], code: usize, written: Option<&Written>) -> Item {
    let last = columns.iter().copied().chain([code]).max().unwrap_or_default();
    if record.len() <= last {
        let reason = RejectReason::TooFewColumns { found: record.len(), wanted: last + 1 };
        let description = record.iter().collect::<Vec<_>>().join(",");
        return Item { outcome: Err(Box::new(Unusable { reason, description, code: String::new() })), written: None };
    }
    let cell = |column: usize| record.get(column).unwrap_or_default();
    let written = written.map(|w| Box::new((cell(w.label).to_owned(), cell(w.origin).to_owned())));
    if let [column] = columns {
        return item(cell(*column), cell(code), written);
    }
    item(&joined(columns.iter().map(|column| cell(*column))), cell(code), written)
}

/// A title followed by those above it, separated by commas.
fn titled(record: &StringRecord, columns: &[usize], code: usize) -> Item {
    let cells: Vec<&str> = columns.iter().filter_map(|column| record.get(*column)).collect();
    item(&cells.join(", "), record.get(code).unwrap_or_default(), None)
}

fn item(text: &str, digits: &str, written: Option<Box<(String, String)>>) -> Item {
    let outcome = digits.parse().map_err(RejectReason::Code).and_then(|code| {
        let tidied = tidy(text);
        if says_nothing(&tidied) { Err(RejectReason::EmptyDescription) } else { Ok((tidied, code)) }
    });
    let unusable = |reason| Box::new(Unusable { reason, description: text.to_owned(), code: digits.to_owned() });
    Item { outcome: outcome.map_err(unusable), written }
}

/// Whether a description is none: empty, without a letter or digit, or what forms and programs write for nothing. pandas
/// takes these words for missing values.
fn says_nothing(tidied: &str) -> bool {
    is_placeholder(tidied) || !tidied.bytes().any(|byte| byte.is_ascii_alphanumeric())
}

/// Whether pandas takes the word for a missing value, or would if it were less particular about case and punctuation.
pub(crate) fn is_placeholder(text: &str) -> bool {
    const WORDS: [&str; 9] = ["n/a", "na", "nan", "none", "null", "n/a n/a", "#n/a n/a", "1.#ind", "1.#qnan"];
    // Nearly every description is longer than the longest of them with its punctuation.
    if text.len() > 12 {
        return false;
    }
    let core = text.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    WORDS.iter().any(|word| core.eq_ignore_ascii_case(word) || text.trim_start_matches('-').eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recognise(header: &str) -> Result<Layout, String> {
        Layout::recognise(&header.split(',').collect::<Vec<_>>().into(), &Columns::default())
    }

    #[test]
    fn headers() {
        let described = |name, descriptions: &[usize], code, written| {
            Ok(Layout::Described { name, descriptions: descriptions.to_vec(), code, written })
        };
        assert_eq!(recognise("Description, UNSPSC"), described("descriptions", &[0], 1, None));
        let written = Some(Written { label: 2, origin: 3 });
        assert_eq!(recognise("description,code,label,origin"), described("descriptions", &[0], 1, written));
        assert_eq!(recognise("CN ID,Description,UNSPSC Code"), described("AusTender", &[1], 2, None));
        assert_eq!(recognise("Agency,UNSPSC,Description"), described("AusTender", &[2], 1, None));
        assert_eq!(
            recognise("Item Name,Item Description,Normalized UNSPSC"),
            described("California", &[0, 1], 2, None)
        );
        assert_eq!(
            recognise("O*NET-SOC Code,Example,Commodity Code,Commodity Title"),
            Ok(Layout::Occupational { example: 1, code: 2 })
        );
        assert_eq!(
            recognise("Segment,Segment Name,Family,Family Name,Class,Class Name,Commodity,Commodity Name"),
            Ok(Layout::CodeList(vec![(6, 7), (4, 5), (2, 3), (0, 1)]))
        );
        assert_eq!(
            recognise("Commodity Code,Commodity Title,Class Code,Class Title,Family Code,Family Title"),
            Ok(Layout::CodeList(vec![(0, 1), (2, 3), (4, 5)]))
        );
    }

    #[test]
    fn named_columns_go_before_recognised_ones() {
        let header: StringRecord = ["Description", "Text", "UNSPSC", "Cat"].to_vec().into();
        let wanted = Columns { description: vec!["text".into(), "Description".into()], code: Some("CAT".into()) };
        let expected = Layout::Described { name: "mapped", descriptions: vec![1, 0], code: 3, written: None };
        assert_eq!(Layout::recognise(&header, &wanted), Ok(expected));
        let wanted = Columns { description: vec!["Texts".into()], code: None };
        assert_eq!(Layout::recognise(&header, &wanted), Err("Texts".to_owned()));
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
            assert_eq!(recognise(header), Err(missing.to_owned()), "{header}");
        }
    }

    #[test]
    fn titles_take_the_form_that_is_wanted() {
        let layout = Layout::CodeList(vec![(0, 1), (2, 3), (4, 5), (6, 7)]);
        let record: StringRecord =
            ["10101501", "Cats", "10101500", "Livestock", "10100000", "Live animals", "10000000", "Live"]
                .to_vec()
                .into();
        let texts = |form| -> Vec<String> {
            let mut titles = Vec::new();
            layout.items(&record, form, |item| titles.push(item.outcome.unwrap().0));
            titles
        };
        assert_eq!(texts(TitleForm::Alone), ["Cats", "Livestock", "Live animals", "Live"]);
        assert_eq!(
            texts(TitleForm::Parents),
            ["Cats, Livestock, Live animals, Live", "Livestock, Live animals, Live", "Live animals, Live", "Live"]
        );
        assert_eq!(texts(TitleForm::Both).len(), 8);
    }
}
