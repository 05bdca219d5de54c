//! The codes that are missed most often, with examples.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use unspsc_contract::{ClassRecall, Mistake, WorstClass};
use unspsc_taxonomy::{Code, Level, Titles};

use super::answers::Guess;
use super::judge::Judged;

/// Rows below which a code's recall says little.
const MIN_ROWS: usize = 5;
/// Codes that are listed.
const MAX_CLASSES: usize = 10;
/// Examples of each.
const MAX_EXAMPLES: usize = 3;

/// The codes of `level` with the lowest recall, lowest first, and of equal ones that with more rows.
pub(super) fn classes(rows: &[Judged<'_>], level: Level, titles: &Titles) -> Vec<WorstClass> {
    let mut by_code: BTreeMap<Code, Vec<&Judged<'_>>> = BTreeMap::new();
    rows.iter().for_each(|row| by_code.entry(row.code.at(level)).or_default().push(row));
    let mut worst: Vec<WorstClass> = by_code
        .into_iter()
        .filter(|(_, rows)| rows.len() >= MIN_ROWS)
        .map(|(code, rows)| class(code, &rows, titles))
        .filter(|worst| !worst.examples.is_empty())
        .collect();
    worst.sort_by(|one, other| {
        one.class.recall.total_cmp(&other.class.recall).then(other.class.rows.cmp(&one.class.rows))
    });
    worst.truncate(MAX_CLASSES);
    worst
}

fn class(code: Code, rows: &[&Judged<'_>], titles: &Titles) -> WorstClass {
    let best = |row: &Judged<'_>| row.answer.best(code.level()).cloned();
    let is_missed = |best: &Option<Guess>| best.as_ref().is_none_or(|best| best.code != code);
    let mut missed: Vec<(&Judged<'_>, Option<Guess>)> =
        rows.iter().map(|row| (*row, best(row))).filter(|(_, best)| is_missed(best)).collect();
    let recall = 1.0 - missed.len() as f64 / rows.len() as f64;
    // Bits of a positive number are in its order.
    missed.sort_by_key(|(_, best)| Reverse(best.as_ref().map_or(0, |best| best.probability.to_bits())));
    let title = titles.nearest(code).map(str::to_owned);
    WorstClass {
        class: ClassRecall { label: code.to_string(), title, rows: rows.len(), recall },
        examples: missed.into_iter().take(MAX_EXAMPLES).map(|(row, best)| mistake(row, best, titles)).collect(),
    }
}

fn mistake(row: &Judged<'_>, best: Option<Guess>, titles: &Titles) -> Mistake {
    let answer = best.as_ref().map(|best| best.code);
    let probability = best.as_ref().map_or(0.0, |best| best.probability);
    let known = answer.and_then(|code| titles.nearest(code)).map(str::to_owned);
    let title = best.and_then(|best| best.title).or(known);
    Mistake { text: row.description.to_owned(), code: row.code, answer, title, probability }
}
