//! Training, validation and test rows that share no text.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use rayon::prelude::*;
use sha2::{Digest as _, Sha256};
use unspsc_taxonomy::{Code, Level};

use crate::digest::{self, Key, NEAR, QuickHash, Ranked, touch};
use crate::{Example, Label};

/// One row in so many goes to validation, and one to test.
const HELD_OUT_EVERY: usize = 10;

/// Rows whose digest goes into the fingerprint as one: another number gives other fingerprints.
const FINGERPRINT_ROWS: usize = 1 << 14;

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

/// Deals out examples 80/10/10 within each label, in an order that depends on `seed` and the texts alone.
///
/// All titles of one commodity go to one side, and those of commodities that are `joined` by a title that they share. A
/// label with three texts or commodities has at least one on every side; with fewer, all are for training. The texts
/// have to be unique, as [`crate::label()`] leaves them.
#[must_use]
pub fn split(examples: Vec<Example>, joined: &[(Code, Code)], seed: u64) -> Splits {
    let mut places = places(&examples, joined, seed);
    places.par_sort_unstable();
    let mut sides = vec![Side::Train; examples.len()];
    for of_one_label in places.chunk_by(|one, other| one.rank() == other.rank()) {
        deal(of_one_label, &mut sides);
    }
    let mut examples: Vec<Option<Example>> = examples.into_iter().map(Some).collect();
    let mut collect = |side: Side| -> Vec<Example> {
        // The first of each label were held out, so that what is left begins with small labels: each side gets an order
        // of its own.
        let place = |(index, (example, of)): (usize, (&Option<Example>, &Side))| {
            let key = example.as_ref().filter(|_| *of == side)?.key;
            Some(Ranked::new(0, digest::place(!seed, key), index))
        };
        let mut order: Vec<Ranked> = examples.par_iter().zip(&sides).enumerate().filter_map(place).collect();
        order.par_sort_unstable();
        let mut side = Vec::with_capacity(order.len());
        for some in order.chunks(NEAR) {
            touch(some.iter().filter_map(|place| Some(examples.get(place.index())?.as_ref()?.key)));
            side.extend(some.iter().filter_map(|place| examples.get_mut(place.index())?.take()));
        }
        side
    };
    Splits { train: collect(Side::Train), validation: collect(Side::Validation), test: collect(Side::Test) }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Train,
    Validation,
    Test,
}

/// Where the examples stand when all are dealt out: by label, then in the random order of what stays together, which is a
/// text or all titles of one commodity. Two of these that come upon the same number stay together, which does no harm.
fn places(examples: &[Example], joined: &[(Code, Code)], seed: u64) -> Vec<Ranked> {
    let first = first_of_joined(joined);
    let rank: HashMap<&Label, u32, QuickHash> = labels(examples).into_iter().zip(0..).collect();
    let place = |(index, example): (usize, &Example)| {
        let place = digest::place(seed, unit(example, &first));
        Ranked::new(rank.get(&example.label).copied().unwrap_or_default(), place, index)
    };
    examples.par_iter().enumerate().map(place).collect()
}

/// Identity of what stays together with `example`: its text, or all titles of its commodity and of those joined to it.
pub(crate) fn unit(example: &Example, first: &HashMap<Code, Code>) -> Key {
    if example.title && example.code.level() == Level::Commodity {
        digest::key(&first.get(&example.code).unwrap_or(&example.code).to_string())
    } else {
        example.key
    }
}

/// For each commodity that is joined to others, the first of all that are joined to it, directly or by way of others.
pub(crate) fn first_of_joined(joined: &[(Code, Code)]) -> HashMap<Code, Code> {
    let mut neighbours = BTreeMap::<Code, Vec<Code>>::new();
    for (one, other) in joined {
        neighbours.entry(*one).or_default().push(*other);
        neighbours.entry(*other).or_default().push(*one);
    }
    let mut first = HashMap::new();
    // Ascending, so that whichever of them comes first is the first of all.
    for start in neighbours.keys() {
        let mut waiting = if first.contains_key(start) { Vec::new() } else { vec![*start] };
        while let Some(code) = waiting.pop() {
            if first.insert(code, *start).is_none() {
                waiting.extend(neighbours.get(&code).into_iter().flatten());
            }
        }
    }
    first
}

/// The distinct labels of the examples, in order.
pub(crate) fn labels(examples: &[Example]) -> BTreeSet<&Label> {
    type Found<'a> = HashSet<&'a Label, QuickHash>;
    let found = examples.par_chunks(1 << 14).map(|some| some.iter().map(|example| &example.label).collect());
    found.reduce(Found::default, |some, more| &some | &more).into_iter().collect()
}

/// Deals out the examples of one label, which stand in the order of their units.
fn deal(places: &[Ranked], sides: &mut [Side]) {
    let rows = held_out(places.len());
    let units = || places.chunk_by(|one, other| one.place() == other.place());
    // A third at most, so that few and large units leave some for every side.
    let most = units().count() / 3;
    let (mut test, mut validation) = ((0, 0), (0, 0));
    for unit in units() {
        let open = |dealt: (usize, usize)| dealt.0 < rows && dealt.1 < most;
        let (side, dealt) = if open(test) {
            (Side::Test, &mut test)
        } else if open(validation) {
            (Side::Validation, &mut validation)
        } else {
            // All that follow are for training too.
            return;
        };
        *dealt = (dealt.0 + unit.len(), dealt.1 + 1);
        for place in unit {
            if let Some(of) = sides.get_mut(place.index()) {
                *of = side;
            }
        }
    }
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
    examples.par_sort_unstable_by_key(|example| (digest::place(!seed, example.key), example.key));
    examples.retain(|example| {
        let Some(kind) = kind(example) else { return true };
        let count = kept.entry(kind).or_default();
        *count += 1;
        *count <= max
    });
    examples
}

/// Identity of a data set: SHA-256 over the identities of the texts, which are the first halves of the SHA-256 of the
/// cleaned texts, and their labels on the three sides, in the order of the rows, some rows at a time; hexadecimal.
#[must_use]
pub fn fingerprint(splits: &Splits) -> String {
    let of_some = |examples: &[Example]| {
        let mut digest = Sha256::new();
        for example in examples {
            digest.update(example.key.to_be_bytes());
            digest.update(example.label.as_str());
            // No label holds it, so that no two data sets read alike.
            digest.update(b"\n");
        }
        digest.finalize()
    };
    let mut digest = Sha256::new();
    for (name, side) in splits.named() {
        digest.update(name);
        let parts: Vec<_> = side.par_chunks(FINGERPRINT_ROWS).map(of_some).collect();
        parts.iter().for_each(|part| digest.update(part));
    }
    digest::to_hex(&digest.finalize())
}

/// A tenth, rounded, and at least one where that leaves one for training.
fn held_out(size: usize) -> usize {
    if size < 3 { 0 } else { ((size + HELD_OUT_EVERY / 2) / HELD_OUT_EVERY).max(1) }
}

#[cfg(test)]
mod tests {
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
        let splits = split(examples(&[("10000000", 100), ("20000000", 3), ("30000000", 2), ("40000000", 14)]), &[], 1);
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
        let splits = split(forward.clone(), &[], 7);
        assert_eq!(splits, split(backward, &[], 7));
        assert_ne!(splits.test, split(forward.clone(), &[], 8).test);
        // A row more moves at most one row of its own class from one side to another.
        let more = [forward, examples(&[("30000000", 9)])].concat();
        assert_eq!(count(&split(more, &[], 7).test, "10000000"), 5);
    }

    #[test]
    fn no_text_stands_on_two_sides_and_none_is_lost() {
        let splits = split(examples(&[("10000000", 33), ("20000000", 7)]), &[], 3);
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
        let splits = split(titles(30, 4), &[], 5);
        let codes = |side: &[Example]| side.iter().map(|e| e.code).collect::<std::collections::BTreeSet<_>>();
        let sides = splits.named().map(|(_, side)| codes(side));
        assert_eq!(sides.iter().map(std::collections::BTreeSet::len).sum::<usize>(), 30);
        assert_eq!(splits.named().map(|(_, side)| side.len()), [96, 12, 12]);
        // Chained together, all of a few commodities are one.
        let chained: Vec<(Code, Code)> =
            [(1, 2), (3, 2), (30, 3)].map(|(a, b)| (titles(30, 1)[a - 1].code, titles(30, 1)[b - 1].code)).into();
        for seed in 0..20 {
            let splits = split(titles(30, 2), &chained, seed);
            let holds = |side: &[Example]| {
                [1, 2, 3, 30].iter().filter(|i| codes(side).contains(&titles(30, 1)[**i - 1].code)).count()
            };
            assert!(splits.named().iter().all(|(_, side)| matches!(holds(side), 0 | 4)), "seed {seed}");
        }
        // Three commodities of seven titles: two rows would be held out, a whole commodity is.
        assert_eq!(split(titles(3, 7), &[], 5).named().map(|(_, side)| side.len()), [7, 7, 7]);
    }

    #[test]
    fn the_number_of_threads_does_not_matter() {
        let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let deal = || split(examples(&[("10000000", 500), ("20000000", 70)]), &[], 3);
        assert_eq!(pool(1).install(deal), pool(4).install(deal));
    }

    #[test]
    fn cap_takes_from_large_classes_only() {
        let capped = cap(examples(&[("10000000", 50), ("20000000", 4)]), 10, 1);
        assert_eq!((count(&capped, "10000000"), count(&capped, "20000000")), (10, 4));
    }

    #[test]
    fn the_fingerprint_sees_texts_labels_sides_and_order() {
        let splits = split(examples(&[("10000000", 20)]), &[], 1);
        assert_eq!(fingerprint(&splits), fingerprint(&splits.clone()));
        let mut reordered = splits.clone();
        reordered.train.reverse();
        assert_ne!(fingerprint(&splits), fingerprint(&reordered));
        let mut reworded = splits.clone();
        reworded.train[0].key ^= 1;
        assert_ne!(fingerprint(&splits), fingerprint(&reworded));
        let mut moved = splits.clone();
        moved.train.extend(moved.test.pop());
        assert_ne!(fingerprint(&splits), fingerprint(&moved));
        let mut relabelled = splits.clone();
        relabelled.train[0].label = Label::group("x");
        assert_ne!(fingerprint(&splits), fingerprint(&relabelled));
    }
}
