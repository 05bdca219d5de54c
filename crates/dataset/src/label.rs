//! One label for each text.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use unspsc_taxonomy::{Code, Level};

use crate::Row;

/// A text to learn from or be judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// Cleaned, not empty, and in a labelled set unique.
    pub description: String,
    /// The code at whatever level the source knows.
    pub code: Code,
    /// `code` at the level of the labels.
    pub label: Code,
    /// Which source it came from.
    pub origin: String,
}

/// Rows that became no example; examples and these add up to the rows that came in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct LabelCounts {
    /// Rows whose code ends above the level of the labels.
    pub too_coarse: usize,
    /// Rows that repeat a text with the same label.
    pub duplicates: usize,
    /// Rows whose text carries another label more often, or equally often.
    pub contradictions: usize,
}

/// Examples with unique texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labelled {
    /// In the order in which their texts first came.
    pub examples: Vec<Example>,
    /// What became of the other rows.
    pub counts: LabelCounts,
}

/// Cuts every code to `level` and keeps one row for each text.
///
/// Where one text has several labels, the most frequent one wins; where two are equally frequent, nobody can say what
/// the text means, and all its rows are dropped. The code that is kept is the first one under the winning label.
#[must_use]
pub fn label(rows: Vec<Row>, level: Level) -> Labelled {
    let total = rows.len();
    let mut places: HashMap<String, usize> = HashMap::with_capacity(total);
    let mut texts: Vec<Votes> = Vec::new();
    let mut counts = LabelCounts::default();
    for Row { description, code, origin } in rows {
        if !code.reaches(level) {
            counts.too_coarse += 1;
            continue;
        }
        let place = *places.entry(description).or_insert_with(|| {
            texts.push(Votes::new());
            texts.len() - 1
        });
        if let Some(votes) = texts.get_mut(place) {
            votes.entry(code.at(level)).or_insert_with(|| (code, origin, 0)).2 += 1;
        }
    }
    let mut descriptions: Vec<(usize, String)> = places.into_iter().map(|(text, place)| (place, text)).collect();
    descriptions.sort_unstable_by_key(|(place, _)| *place);
    let mut examples = Vec::with_capacity(texts.len());
    for ((_, description), votes) in descriptions.into_iter().zip(texts) {
        let cast: usize = votes.values().map(|(_, _, count)| count).sum();
        match winner(votes) {
            Some((label, (code, origin, count))) => {
                counts.duplicates += count - 1;
                counts.contradictions += cast - count;
                examples.push(Example { description, code, label, origin });
            }
            None => counts.contradictions += cast,
        }
    }
    Labelled { examples, counts }
}

/// For each label of one text: its first code and origin, and how many rows carry it.
type Votes = BTreeMap<Code, (Code, String, usize)>;

/// The label with more rows than any other.
fn winner(votes: Votes) -> Option<(Code, (Code, String, usize))> {
    let most = votes.values().map(|(_, _, count)| *count).max()?;
    let mut leaders = votes.into_iter().filter(|(_, (_, _, count))| *count == most);
    leaders.next().filter(|_| leaders.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(pairs: &[(&str, &str)]) -> Vec<Row> {
        let row = |(text, code): &(&str, &str)| Row {
            description: (*text).to_owned(),
            code: code.parse().unwrap(),
            origin: "test".to_owned(),
        };
        pairs.iter().map(row).collect()
    }

    #[test]
    fn majority_wins_a_tie_is_dropped_and_all_is_counted() {
        let rows = rows(&[
            ("toner", "44103103"),
            ("desk", "56101703"),
            ("toner", "44103100"),
            ("toner", "43210000"),
            ("cable", "26121600"),
            ("cable", "43220000"),
            ("thing", "43000000"),
            ("desk", "56101703"),
        ]);
        let total = rows.len();
        let Labelled { examples, counts } = label(rows, Level::Family);
        let kept: Vec<_> = examples.iter().map(|e| (e.description.as_str(), e.code.to_string())).collect();
        assert_eq!(kept, [("toner", "44103103".to_owned()), ("desk", "56101703".to_owned())]);
        assert_eq!(examples[0].label.to_string(), "44100000");
        assert_eq!(counts, LabelCounts { too_coarse: 1, duplicates: 2, contradictions: 3 });
        assert_eq!(examples.len() + counts.too_coarse + counts.duplicates + counts.contradictions, total);
    }
}
