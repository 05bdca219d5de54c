//! Training, validation and test rows that share no text.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};
use unspsc_taxonomy::Code;

use crate::{Example, digest};

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

/// Deals out examples 80/10/10 within each label, in an order that depends on `seed` and the texts alone.
///
/// A label with three examples or more has at least one on every side; with fewer, all are for training. The texts
/// have to be unique, as [`crate::label()`] leaves them.
#[must_use]
pub fn split(examples: Vec<Example>, seed: u64) -> Splits {
    let mut splits = Splits::default();
    let mut dealt = BTreeMap::<Code, usize>::new();
    let mut sizes = BTreeMap::<Code, usize>::new();
    for example in &examples {
        *sizes.entry(example.label).or_default() += 1;
    }
    for example in shuffled(examples, seed) {
        let held_out = sizes.get(&example.label).map_or(0, |size| held_out(*size));
        let place = dealt.entry(example.label).or_default();
        let side = match *place {
            place if place < held_out => &mut splits.test,
            place if place < 2 * held_out => &mut splits.validation,
            _ => &mut splits.train,
        };
        *place += 1;
        side.push(example);
    }
    // The first of each label were held out, so that what is left begins with small labels: each side gets an order
    // of its own.
    for side in [&mut splits.train, &mut splits.validation, &mut splits.test] {
        *side = shuffled(std::mem::take(side), !seed);
    }
    splits
}

/// Keeps at most `max_per_class` examples of each label, chosen by `seed`.
#[must_use]
pub fn cap(examples: Vec<Example>, max_per_class: usize, seed: u64) -> Vec<Example> {
    let mut kept = BTreeMap::<Code, usize>::new();
    let mut examples = shuffled(examples, !seed);
    examples.retain(|example| {
        let count = kept.entry(example.label).or_default();
        *count += 1;
        *count <= max_per_class
    });
    examples
}

/// Identity of a data set: SHA-256 over the texts and labels of the three sides, whatever their order; hexadecimal.
#[must_use]
pub fn fingerprint(splits: &Splits) -> String {
    let mut digest = Sha256::new();
    for (name, side) in [("train", &splits.train), ("validation", &splits.validation), ("test", &splits.test)] {
        let mut lines: Vec<(&str, Code)> = side.iter().map(|e| (e.description.as_str(), e.label)).collect();
        lines.sort_unstable();
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

fn shuffled(mut examples: Vec<Example>, seed: u64) -> Vec<Example> {
    examples.sort_by_cached_key(|example| digest::shuffle_key(seed, &example.description));
    examples
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examples(sizes: &[(&str, usize)]) -> Vec<Example> {
        let one = |(code, size): &(&str, usize)| {
            let code: Code = code.parse().unwrap();
            let text = move |i| format!("{code} text {i}");
            (0..*size).map(move |i| Example { description: text(i), code, label: code, origin: String::new() })
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
        relabelled.train[0].label = "20000000".parse().unwrap();
        assert_ne!(fingerprint(&splits), fingerprint(&relabelled));
    }
}
