//! One label for each text.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use unspsc_taxonomy::{Code, Level, Titles};

use crate::digest::{Key, QuickHash, Ranked};
use crate::{Groups, Reject, RejectReason, Row};

/// What a text is to be classified as: an eight-digit code, or the name of a group of codes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(Arc<str>);

impl Label {
    /// The group with this name.
    #[must_use]
    pub fn group(name: &str) -> Self {
        Self(name.into())
    }

    /// The label as it stands in files.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Code> for Label {
    fn from(code: Code) -> Self {
        Self(code.to_string().into())
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Label {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(|name| Self(name.into()))
    }
}

/// What the labels are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Labelling {
    /// Codes cut to one level.
    Level(Level),
    /// Groups of codes.
    Groups(Groups),
}

/// A text to learn from or be judged by.
///
/// It is as large as a [`Row`], so that a million rows become examples where they lie in memory.
#[derive(Debug, Clone)]
pub struct Example {
    /// Tidied, not empty, in its own case; in a labelled set [`unspsc_taxonomy::clean`] of it is unique.
    pub description: String,
    /// The code at whatever level the source knows.
    pub code: Code,
    /// What it is to be classified as.
    pub label: Label,
    /// Which source it came from.
    pub origin: Arc<str>,
    /// Whether it is a title of the code list: titles of one code stand on one side of a split.
    pub title: bool,
    /// Identity of the cleaned description.
    pub(crate) key: Key,
    /// The file, as an index into [`crate::Loaded::sources`], and the line that it begins on, counted from 1.
    pub place: (u32, u32),
}

impl PartialEq for Example {
    /// Wherever they were read.
    fn eq(&self, other: &Self) -> bool {
        let parts = |e: &Self| (e.key, e.code, e.title);
        parts(self) == parts(other)
            && (&self.description, &self.label, &self.origin) == (&other.description, &other.label, &other.origin)
    }
}

impl Eq for Example {}

/// What became of rows that are no examples of their own; examples and these add up to the rows that came in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct LabelCounts {
    /// Rows that repeat a text with the same label.
    pub duplicates: usize,
    /// Rows that have no label, or whose text carries another label more often or equally often: each is a reject.
    pub rejected: usize,
}

/// Examples with unique texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labelled {
    /// In the order in which their texts first came.
    pub examples: Vec<Example>,
    /// Rows that were not taken.
    pub rejects: Vec<Reject>,
    /// What became of the other rows.
    pub counts: LabelCounts,
    /// Commodities that share a title: theirs have to stand on one side of a split.
    pub joined: Vec<(Code, Code)>,
}

/// The label of each row by itself, whatever other rows say of the same text; none where [`label()`] rejects the row.
#[must_use]
pub fn labels(rows: &[Row], labelling: &Labelling) -> Vec<Option<Label>> {
    let titles = Titles::embedded().unwrap_or_default();
    let of = |labels: &mut Labels<'_>, row: &Row| labels.of(row).ok();
    rows.par_iter().map_init(|| Labels::new(labelling, &titles), of).collect()
}

/// Labels every row and keeps one for each text.
///
/// Where one text has several labels, the most frequent one wins; where two are equally frequent, nobody can say what
/// the text means, and all its rows are rejected. The code that is kept is the first one under the winning label, that
/// of a commodity's title before others; of spellings that differ in case, the one with most small letters, which says
/// most about names.
#[must_use]
pub fn label(mut rows: Vec<Row>, labelling: &Labelling) -> Labelled {
    let titles = Titles::embedded().unwrap_or_default();
    let fate = |labels: &mut Labels<'_>, row: &Row| labels.of(row).map_or_else(Fate::rejected, Fate::Example);
    let mut fates: Vec<Fate> = rows.par_iter().map_init(|| Labels::new(labelling, &titles), fate).collect();
    let mut joined = Vec::new();
    for same in repeated(&rows, &fates) {
        let commodity = |place: &usize| rows.get(*place).and_then(Row::titled_commodity);
        let mut commodities: Vec<Code> = same.iter().filter_map(commodity).collect();
        commodities.dedup();
        joined.extend(commodities.iter().zip(commodities.iter().skip(1)).map(|(one, other)| (*one, *other)));
        settle(&same, &mut rows, &mut fates);
    }
    let (mut rejects, mut duplicates) = (Vec::new(), 0);
    let example = |(row, fate): (Row, Fate)| match fate {
        Fate::Example(label) => {
            let Row { description, code, origin, title, key, place, .. } = row;
            Some(Example { description, code, label, origin, title, key, place })
        }
        Fate::Duplicate => {
            duplicates += 1;
            None
        }
        Fate::Rejected(reason) => {
            rejects.push(row.reject(*reason));
            None
        }
    };
    let examples = rows.into_iter().zip(fates).filter_map(example).collect();
    Labelled { examples, counts: LabelCounts { duplicates, rejected: rejects.len() }, rejects, joined }
}

/// The places of rows with a label whose text is that of others, text by text.
fn repeated(rows: &[Row], fates: &[Fate]) -> Vec<Vec<usize>> {
    let labelled = |(_, (_, fate)): &(usize, (&Row, &Fate))| matches!(fate, Fate::Example(_));
    let places = rows.par_iter().zip(fates).enumerate().filter(labelled);
    // Half a key tells nearly all texts apart, and half as much memory is sorted sooner.
    let mut order: Vec<Ranked> = places.map(|(index, (row, _))| Ranked::new(0, row.key as u64, index)).collect();
    order.par_sort_unstable();
    let mut repeated = Vec::new();
    for alike in order.chunk_by(|one, other| one.place() == other.place()).filter(|alike| alike.len() > 1) {
        let mut texts = BTreeMap::<Key, Vec<usize>>::new();
        for index in alike.iter().map(|ranked| ranked.index()) {
            texts.entry(rows.get(index).map_or(0, |row| row.key)).or_default().push(index);
        }
        repeated.extend(texts.into_values().filter(|same| same.len() > 1));
    }
    repeated
}

/// What becomes of a row.
#[derive(Debug, Clone)]
enum Fate {
    /// It is an example with this label.
    Example(Label),
    /// It says what another row says.
    Duplicate,
    /// It is not taken.
    Rejected(Box<RejectReason>),
}

/// Labels of codes, each made once.
struct Labels<'a> {
    labelling: &'a Labelling,
    titles: &'a Titles,
    known: HashMap<Code, Label, QuickHash>,
}

impl<'a> Labels<'a> {
    fn new(labelling: &'a Labelling, titles: &'a Titles) -> Self {
        Self { labelling, titles, known: HashMap::default() }
    }

    fn of(&mut self, row: &Row) -> Result<Label, RejectReason> {
        if let Some(group) = &row.group {
            return Ok(group.clone());
        }
        let code = row.code;
        match self.labelling {
            Labelling::Groups(groups) => groups.of(code).cloned().ok_or(RejectReason::NoGroup(code)),
            Labelling::Level(level) if !code.reaches(*level) => Err(RejectReason::TooCoarse { code, level: *level }),
            Labelling::Level(level) if *level > Level::Segment && self.titles.get(code.at(Level::Family)).is_none() => {
                Err(RejectReason::UnknownFamily(code))
            }
            Labelling::Level(level) => {
                let code = code.at(*level);
                Ok(self.known.entry(code).or_insert_with(|| code.into()).clone())
            }
        }
    }
}

impl Fate {
    fn rejected(reason: RejectReason) -> Self {
        Self::Rejected(Box::new(reason))
    }
}

/// Decides about rows of one text: `same` has their places in `rows` and `fates`, ascending, each with a label so far.
fn settle(same: &[usize], rows: &mut [Row], fates: &mut [Fate]) {
    let said: Vec<(usize, Label)> = same
        .iter()
        .filter_map(|place| match fates.get(*place) {
            Some(Fate::Example(label)) => Some((*place, label.clone())),
            _ => None,
        })
        .collect();
    let mut votes = BTreeMap::<&Label, usize>::new();
    said.iter().for_each(|(_, label)| *votes.entry(label).or_default() += 1);
    let most = votes.values().copied().max().unwrap_or(0);
    let leaders: Vec<&Label> = votes.into_iter().filter(|(_, count)| *count == most).map(|(label, _)| label).collect();
    let [winner] = leaders.as_slice() else {
        for (place, label) in &said {
            let other = leaders.iter().find(|leader| **leader != label).map_or(label, |leader| *leader);
            fates[*place] = Fate::rejected(RejectReason::Tied(other.clone()));
        }
        return;
    };
    let (agreeing, others): (Vec<_>, Vec<_>) = said.iter().partition(|(_, label)| label == *winner);
    for (place, _) in others {
        fates[*place] = Fate::rejected(RejectReason::Outvoted((*winner).clone()));
    }
    let Some(((kept, _), repeats)) = agreeing.split_first() else { return };
    for (place, _) in repeats {
        fates[*place] = Fate::Duplicate;
        let titled = rows[*place].titled_commodity();
        let description = std::mem::take(&mut rows[*place].description);
        // What the standard itself says of its title goes before what others say, and holds it to its other titles.
        if let Some(code) = titled.filter(|_| rows[*kept].titled_commodity().is_none()) {
            let origin = std::sync::Arc::clone(&rows[*place].origin);
            (rows[*kept].code, rows[*kept].origin, rows[*kept].title) = (code, origin, true);
        }
        if small_letters(&description) > small_letters(&rows[*kept].description) {
            rows[*kept].description = description;
        }
    }
}

fn small_letters(text: &str) -> usize {
    text.bytes().filter(u8::is_ascii_lowercase).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(pairs: &[(&str, &str)]) -> Vec<Row> {
        pairs.iter().map(|(text, code)| Row::new(text, code.parse().unwrap(), "test")).collect()
    }

    fn kinds(rejects: &[Reject]) -> Vec<(&str, &str)> {
        rejects.iter().map(|reject| (reject.description.as_str(), reject.reason.kind())).collect()
    }

    #[test]
    fn majority_wins_a_tie_is_dropped_and_all_is_counted() {
        let rows = rows(&[
            ("TONER", "44103103"),
            ("desk", "56101703"),
            ("Toner", "44103100"),
            ("toner", "43210000"),
            ("cable", "26121600"),
            ("cable", "43220000"),
            ("thing", "43000000"),
            ("other", "43990000"),
            ("desk", "56101703"),
        ]);
        let total = rows.len();
        let alone = labels(&rows, &Labelling::Level(Level::Family));
        assert_eq!(alone.iter().filter(|label| label.is_none()).count(), 2, "`thing` and `other` have no family");
        assert_eq!(alone[3].as_ref().map(Label::as_str), Some("43210000"), "an outvoted row still says what it says");
        let Labelled { examples, rejects, counts, .. } = label(rows, &Labelling::Level(Level::Family));
        let kept: Vec<_> = examples.iter().map(|e| (e.description.as_str(), e.code.to_string())).collect();
        assert_eq!(kept, [("Toner", "44103103".to_owned()), ("desk", "56101703".to_owned())]);
        assert_eq!(examples[0].label.as_str(), "44100000");
        let expected = [
            ("toner", "contradicting labels"),
            ("cable", "contradicting labels"),
            ("cable", "contradicting labels"),
            ("thing", "code above the level"),
            ("other", "unknown family"),
        ];
        assert_eq!(kinds(&rejects), expected);
        assert_eq!(counts, LabelCounts { duplicates: 2, rejected: 5 });
        assert_eq!(examples.len() + counts.duplicates + counts.rejected, total);
    }

    #[test]
    fn a_title_keeps_the_standards_code_whoever_else_says_the_same() {
        let mut rows = rows(&[("Cats", "10101600"), ("cats", "10101501"), ("Cats", "10101502")]);
        rows[1].title = true;
        rows[2].title = true;
        let Labelled { examples, joined, .. } = label(rows, &Labelling::Level(Level::Segment));
        let [cats] = examples.as_slice() else { panic!("{examples:?}") };
        assert!(cats.title && cats.code.to_string() == "10101501");
        assert_eq!(joined.len(), 1);
    }

    #[test]
    fn groups_label_what_they_hold() {
        let groups = Groups::even(["43000000", "44000000"].iter().map(|code| code.parse().unwrap()), 1);
        let Labelled { examples, rejects, .. } =
            label(rows(&[("toner", "44103103"), ("bread", "50181900")]), &Labelling::Groups(groups));
        assert_eq!(examples[0].label.as_str(), "43-44");
        assert_eq!(kinds(&rejects), [("bread", "code in no group")]);
    }

    #[test]
    fn a_group_that_a_prepared_file_names_stands() {
        let mut row = rows(&[("toner", "44103103")]);
        row[0].group = Some(Label::group("office"));
        assert_eq!(label(row, &Labelling::Level(Level::Segment)).examples[0].label.as_str(), "office");
    }
}
