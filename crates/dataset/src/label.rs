//! One label for each text.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use unspsc_taxonomy::{Code, Level, Titles};

use crate::digest::Key;
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
#[derive(Debug, Clone, PartialEq, Eq)]
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
}

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
}

/// The label of each row by itself, whatever other rows say of the same text; none where [`label()`] rejects the row.
#[must_use]
pub fn labels(rows: &[Row], labelling: &Labelling) -> Vec<Option<Label>> {
    let mut labels = Labels::new(labelling);
    rows.iter().map(|row| labels.of(row).ok()).collect()
}

/// Labels every row and keeps one for each text.
///
/// Where one text has several labels, the most frequent one wins; where two are equally frequent, nobody can say what
/// the text means, and all its rows are rejected. The code that is kept is the first one under the winning label; of
/// spellings that differ in case, the one with most small letters, which says most about names.
#[must_use]
pub fn label(rows: Vec<Row>, labelling: &Labelling) -> Labelled {
    let mut labels = Labels::new(labelling);
    let mut rejects = Vec::new();
    let mut places: HashMap<Key, usize> = HashMap::with_capacity(rows.len());
    let mut texts: Vec<Candidates> = Vec::with_capacity(rows.len());
    for row in rows {
        let label = match labels.of(&row) {
            Ok(label) => label,
            Err(reason) => {
                rejects.push(rejected(row, reason));
                continue;
            }
        };
        let place = *places.entry(row.key).or_insert(texts.len());
        match texts.get_mut(place) {
            Some(text) => text.push((label, row)),
            None => texts.push(Candidates::One(label, row)),
        }
    }
    let (mut examples, mut duplicates) = (Vec::with_capacity(texts.len()), 0);
    for text in texts {
        match text {
            Candidates::One(label, row) => examples.push(example(label, row)),
            Candidates::Several(rows) => {
                let (count, before) = (rows.len(), rejects.len());
                let won = settle(rows, &mut rejects);
                duplicates += count - (rejects.len() - before) - usize::from(won.is_some());
                examples.extend(won);
            }
        }
    }
    let counts = LabelCounts { duplicates, rejected: rejects.len() };
    Labelled { examples, rejects, counts }
}

/// Rows of one text; nearly always one.
enum Candidates {
    One(Label, Row),
    Several(Vec<(Label, Row)>),
}

impl Candidates {
    fn push(&mut self, entry: (Label, Row)) {
        let earlier = std::mem::replace(self, Self::Several(Vec::new()));
        let mut entries = match earlier {
            Self::One(label, row) => vec![(label, row)],
            Self::Several(entries) => entries,
        };
        entries.push(entry);
        *self = Self::Several(entries);
    }
}

/// Labels of codes, each made once.
struct Labels<'a> {
    labelling: &'a Labelling,
    titles: Titles,
    known: HashMap<Code, Label>,
}

impl<'a> Labels<'a> {
    fn new(labelling: &'a Labelling) -> Self {
        Self { labelling, titles: Titles::embedded().unwrap_or_default(), known: HashMap::new() }
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

/// The example that rows of one text become; the rows of other labels become rejects.
fn settle(entries: Vec<(Label, Row)>, rejects: &mut Vec<Reject>) -> Option<Example> {
    let mut votes: Vec<(Label, usize)> = Vec::new();
    for (label, _) in &entries {
        match votes.iter_mut().find(|(seen, _)| seen == label) {
            Some((_, count)) => *count += 1,
            None => votes.push((label.clone(), 1)),
        }
    }
    let most = votes.iter().map(|(_, count)| *count).max().unwrap_or(0);
    let leaders: Vec<Label> = votes.into_iter().filter(|(_, count)| *count == most).map(|(label, _)| label).collect();
    let [winner] = leaders.as_slice() else {
        for (label, row) in entries {
            let other = leaders.iter().find(|leader| **leader != label).unwrap_or(&label).clone();
            rejects.push(rejected(row, RejectReason::Tied(other)));
        }
        return None;
    };
    let mut won: Option<Example> = None;
    for (label, row) in entries {
        if label != *winner {
            rejects.push(rejected(row, RejectReason::Outvoted(winner.clone())));
            continue;
        }
        let Some(kept) = &mut won else {
            won = Some(example(label, row));
            continue;
        };
        kept.title |= row.title;
        if small_letters(&row.description) > small_letters(&kept.description) {
            kept.description = row.description;
        }
    }
    won
}

fn small_letters(text: &str) -> usize {
    text.bytes().filter(u8::is_ascii_lowercase).count()
}

fn example(label: Label, row: Row) -> Example {
    let Row { description, code, origin, title, key, .. } = row;
    Example { description, code, label, origin, title, key }
}

fn rejected(row: Row, reason: RejectReason) -> Reject {
    Reject { place: row.place, description: row.description, code: row.code.to_string(), reason }
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
        let Labelled { examples, rejects, counts } = label(rows, &Labelling::Level(Level::Family));
        let kept: Vec<_> = examples.iter().map(|e| (e.description.as_str(), e.code.to_string())).collect();
        assert_eq!(kept, [("Toner", "44103103".to_owned()), ("desk", "56101703".to_owned())]);
        assert_eq!(examples[0].label.as_str(), "44100000");
        let expected = [
            ("thing", "code above the level"),
            ("other", "unknown family"),
            ("toner", "contradicting labels"),
            ("cable", "contradicting labels"),
            ("cable", "contradicting labels"),
        ];
        assert_eq!(kinds(&rejects), expected);
        assert_eq!(counts, LabelCounts { duplicates: 2, rejected: 5 });
        assert_eq!(examples.len() + counts.duplicates + counts.rejected, total);
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
