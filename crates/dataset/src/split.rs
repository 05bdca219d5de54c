//! Training, validation and test rows that share no text.

use std::collections::BTreeMap;

use rayon::prelude::*;
use sha2::{Digest as _, Sha256};
use unspsc_taxonomy::{Level, clean};

use crate::digest::{self, Key};
use crate::{Example, Label};

/// One row in so many goes to validation, and one to test.
const HELD_OUT_EVERY: usize = 10;

/// Examples by purpose; no text stands in two of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Splits {
    /// To learn from.
    pub train: Vec<Example>,
    /// To choose the best epoch by.
    pub validation: Vec<Example>,
    /// To judge the chosen weights by, once.
    pub test: Vec<Example>,
}

impl Splits {
    /// The three with their names in files and tables.
    #[must_use]
    pub fn named(&self) -> [(&'static str, &[Example]); 3] {
        [("train", &self.train), ("validation", &self.validation), ("test", &self.test)]
    }
}

/// What stays together: a text, or all titles of one commodity.
type Unit = Vec<Example>;

/// Deals out examples 80/10/10 within each label, in an order that depends on `seed` and the texts alone.
///
/// All titles of one commodity go to one side. A label with three texts or commodities has at least one on every side;
/// with fewer, all are for training. The texts have to be unique, as [`crate::label()`] leaves them.
#[must_use]
pub fn split(examples: Vec<Example>, seed: u64) -> Splits {
    let mut splits = Splits::default();
    for (_, examples) in by_label(examples) {
        deal(examples, seed, &mut splits);
    }
    // The first of each label were held out, so that what is left begins with small labels: each side gets an order
    // of its own.
    for side in [&mut splits.train, &mut splits.validation, &mut splits.test] {
        side.par_sort_unstable_by_key(|example| digest::place(!seed, example.key));
    }
    splits
}

fn by_label(examples: Vec<Example>) -> BTreeMap<Label, Vec<Example>> {
    let mut labels = BTreeMap::<Label, Vec<Example>>::new();
    for example in examples {
        match labels.get_mut(&example.label) {
            Some(rows) => rows.push(example),
            None => drop(labels.insert(example.label.clone(), vec![example])),
        }
    }
    labels
}

/// Deals out the examples of one label.
fn deal(examples: Vec<Example>, seed: u64, splits: &mut Splits) {
    let rows = held_out(examples.len());
    let units = units(examples, seed);
    // A third at most, so that few and large units leave some for every side.
    let most = units.len() / 3;
    let (mut test, mut validation) = ((0, 0), (0, 0));
    for unit in units {
        let open = |dealt: (usize, usize)| dealt.0 < rows && dealt.1 < most;
        let (side, dealt) = if open(test) {
            (&mut splits.test, Some(&mut test))
        } else if open(validation) {
            (&mut splits.validation, Some(&mut validation))
        } else {
            (&mut splits.train, None)
        };
        if let Some(dealt) = dealt {
            *dealt = (dealt.0 + unit.len(), dealt.1 + 1);
        }
        side.extend(unit);
    }
}

/// What stays together, in the random order that `seed` stands for.
fn units(examples: Vec<Example>, seed: u64) -> Vec<Unit> {
    let (titles, texts): (Vec<_>, Vec<_>) =
        examples.into_iter().partition(|e| e.title && e.code.level() == Level::Commodity);
    let mut commodities = BTreeMap::new();
    for title in titles {
        commodities.entry(title.code).or_insert_with(Vec::new).push(title);
    }
    let mut units: Vec<(Key, Unit)> = texts.into_iter().map(|text| (text.key, vec![text])).collect();
    units.extend(commodities.into_iter().map(|(code, mut unit)| {
        unit.sort_unstable_by_key(|example| example.key);
        (digest::key(&code.to_string()), unit)
    }));
    units.par_sort_unstable_by_key(|(key, _)| digest::place(seed, *key));
    units.into_iter().map(|(_, unit)| unit).collect()
}

/// Keeps at most `max_per_class` examples of each label, chosen by `seed`.
#[must_use]
pub fn cap(examples: Vec<Example>, max_per_class: usize, seed: u64) -> Vec<Example> {
    keep(examples, max_per_class, seed, |example| Some(example.label.clone()))
}

/// Keeps at most `max` titles of commodities of each class of the standard, chosen by `seed`, and all other examples.
#[must_use]
pub fn thin_titles(examples: Vec<Example>, max: usize, seed: u64) -> Vec<Example> {
    let is_commodity = |example: &Example| example.title && example.code.level() == Level::Commodity;
    keep(examples, max, seed, |example| is_commodity(example).then(|| example.code.at(Level::Class)))
}

/// Keeps the first `max` examples of each kind in the random order that `seed` stands for, and all of no kind.
fn keep<K: Ord>(
    mut examples: Vec<Example>,
    max: usize,
    seed: u64,
    kind: impl Fn(&Example) -> Option<K>,
) -> Vec<Example> {
    let mut kept = BTreeMap::<K, usize>::new();
    examples.par_sort_unstable_by_key(|example| digest::place(!seed, example.key));
    examples.retain(|example| {
        let Some(kind) = kind(example) else { return true };
        let count = kept.entry(kind).or_default();
        *count += 1;
        *count <= max
    });
    examples
}

/// Identity of a data set: SHA-256 over the cleaned texts and labels of the three sides, whatever their order;
/// hexadecimal.
#[must_use]
pub fn fingerprint(splits: &Splits) -> String {
    let mut digest = Sha256::new();
    for (name, side) in splits.named() {
        let mut lines: Vec<(String, &Label)> = side.par_iter().map(|e| (clean(&e.description), &e.label)).collect();
        lines.par_sort_unstable();
        digest.update(format!("{name}\n"));
        for (description, label) in lines {
            // Cleaned texts hold neither tabs nor line ends, so that no two data sets read alike.
            digest.update(format!("{description}\t{label}\n"));
        }
    }
    digest::to_hex(&digest.finalize())
}

/// A tenth, rounded, and at least one where that leaves one for training.
fn held_out(size: usize) -> usize {
    if size < 3 { 0 } else { ((size + HELD_OUT_EVERY / 2) / HELD_OUT_EVERY).max(1) }
}

#[cfg(test)]
mod tests {
    use unspsc_taxonomy::Code;

    use super::*;

    fn example(text: &str, code: Code) -> Example {
        let labelled = crate::label(vec![crate::Row::new(text, code, "")], &crate::Labelling::Level(Level::Segment));
        labelled.examples.into_iter().next().unwrap()
    }

    fn examples(sizes: &[(&str, usize)]) -> Vec<Example> {
        let one = |(code, size): &(&str, usize)| {
            let code: Code = code.parse().unwrap();
            let text = move |i| format!("{code} text {i}");
            (0..*size).map(move |i| example(&text(i), code))
        };
        sizes.iter().flat_map(|entry| one(entry).collect::<Vec<_>>()).collect()
    }

    fn count(side: &[Example], label: &str) -> usize {
        side.iter().filter(|example| example.label.to_string() == label).count()
    }

    #[test]
    fn every_class_is_dealt_80_10_10_and_small_ones_reach_every_side() {
        let splits = split(examples(&[("10000000", 100), ("20000000", 3), ("30000000", 2), ("40000000", 14)]), 1);
        for (label, expected) in [("10000000", [80, 10, 10]), ("20000000", [1, 1, 1]), ("30000000", [2, 0, 0])] {
            let found = [&splits.train, &splits.validation, &splits.test].map(|side| count(side, label));
            assert_eq!(found, expected, "{label}");
        }
        assert_eq!(count(&splits.test, "40000000"), 1);
    }

    #[test]
    fn the_order_of_the_input_does_not_matter_and_the_seed_does() {
        let forward = examples(&[("10000000", 50), ("20000000", 50)]);
        let backward: Vec<_> = forward.iter().rev().cloned().collect();
        let splits = split(forward.clone(), 7);
        assert_eq!(splits, split(backward, 7));
        assert_ne!(splits.test, split(forward.clone(), 8).test);
        // A row more moves at most one row of its own class from one side to another.
        let more = [forward, examples(&[("30000000", 9)])].concat();
        assert_eq!(count(&split(more, 7).test, "10000000"), 5);
    }

    #[test]
    fn no_text_stands_on_two_sides_and_none_is_lost() {
        let splits = split(examples(&[("10000000", 33), ("20000000", 7)]), 3);
        let mut texts: Vec<_> = [&splits.train, &splits.validation, &splits.test].into_iter().flatten().collect();
        texts.sort_by(|a, b| a.description.cmp(&b.description));
        texts.dedup_by(|a, b| a.description == b.description);
        assert_eq!(texts.len(), 40);
    }

    #[test]
    fn titles_of_one_commodity_stay_together_and_every_side_gets_some() {
        let titles = |commodities: u32, forms: usize| {
            let codes = (0..commodities).map(|i| format!("101015{:02}", i + 1).parse::<Code>().unwrap());
            let forms = move |code: Code| {
                (0..forms).map(move |form| Example { title: true, ..example(&format!("{code} {form}"), code) })
            };
            codes.flat_map(forms).collect::<Vec<_>>()
        };
        let splits = split(titles(30, 4), 5);
        let codes = |side: &[Example]| side.iter().map(|e| e.code).collect::<std::collections::BTreeSet<_>>();
        let sides = splits.named().map(|(_, side)| codes(side));
        assert_eq!(sides.iter().map(std::collections::BTreeSet::len).sum::<usize>(), 30);
        assert_eq!(splits.named().map(|(_, side)| side.len()), [96, 12, 12]);
        // Three commodities of seven titles: two rows would be held out, a whole commodity is.
        assert_eq!(split(titles(3, 7), 5).named().map(|(_, side)| side.len()), [7, 7, 7]);
    }

    #[test]
    fn the_number_of_threads_does_not_matter() {
        let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let deal = || split(examples(&[("10000000", 500), ("20000000", 70)]), 3);
        assert_eq!(pool(1).install(deal), pool(4).install(deal));
    }

    #[test]
    fn cap_takes_from_large_classes_only() {
        let capped = cap(examples(&[("10000000", 50), ("20000000", 4)]), 10, 1);
        assert_eq!((count(&capped, "10000000"), count(&capped, "20000000")), (10, 4));
    }

    #[test]
    fn the_fingerprint_sees_texts_labels_and_sides_but_not_order() {
        let splits = split(examples(&[("10000000", 20)]), 1);
        let mut reordered = splits.clone();
        reordered.train.reverse();
        assert_eq!(fingerprint(&splits), fingerprint(&reordered));
        let mut moved = splits.clone();
        moved.train.extend(moved.test.pop());
        assert_ne!(fingerprint(&splits), fingerprint(&moved));
        let mut relabelled = splits.clone();
        relabelled.train[0].label = Label::group("x");
        assert_ne!(fingerprint(&splits), fingerprint(&relabelled));
    }
}
