//! More training texts out of those there are: random synonym replacement, by part of speech.
//!
//! New rows are made for training alone. None of them says what a text of any side says, none repeats another, and all
//! are a function of the data, the dictionary and the seed, whatever the number of threads.

mod inflection;
mod thesaurus;
mod words;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use unspsc_taxonomy::Code;

use crate::digest::{self, Key, Keys, QuickHash};
use crate::split::{first_of_joined, unit};
use crate::{Example, Label, Prepared, Splits, fingerprint};

pub use thesaurus::{Thesaurus, ThesaurusError};

use thesaurus::Entry;
use words::Sentence;

/// What stands before the origin of a new row.
pub const AUGMENTED: &str = "augmented:";

/// Attempts in a row without a new text after which an original is given up: it has hardly any variants left.
const FRUITLESS_ATTEMPTS: usize = 8;

/// What happens to large classes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AugmentMode {
    /// They stay as they are.
    #[default]
    Augment,
    /// They give what they have too many of to the test set.
    Equality,
}

impl AugmentMode {
    const ALL: [(AugmentMode, &'static str); 2] = [(Self::Augment, "augment"), (Self::Equality, "equality")];
}

impl fmt::Display for AugmentMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL.iter().find(|(mode, _)| mode == self).map_or("", |(_, word)| word))
    }
}

impl FromStr for AugmentMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mode = Self::ALL.iter().find(|(_, word)| *word == text).map(|(mode, _)| *mode);
        mode.ok_or_else(|| format!("allowed: {}", Self::ALL.map(|(_, word)| word).join(", ")))
    }
}

/// How to augment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AugmentOptions {
    /// Rows that each class is to have.
    pub to: usize,
    /// What happens to classes that have more.
    pub mode: AugmentMode,
    /// Share of the replaceable words of a text that are replaced, 0 to 1; one at least.
    pub share: f64,
    /// Decides which words are replaced by what, and which rows a large class gives away.
    pub seed: u64,
}

/// What was done, for `dataset.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Augmentation {
    /// How.
    #[serde(flatten)]
    pub options: AugmentOptions,
    /// New rows.
    pub made: usize,
    /// Rows that moved from training to test.
    pub moved: usize,
    /// Rows that classes still lack, because their texts have no more synonyms.
    pub short: BTreeMap<Label, usize>,
}

impl Prepared {
    /// The same set with more training rows. Originals are kept, and come first.
    #[must_use]
    pub fn augmented(mut self, thesaurus: &Thesaurus, options: AugmentOptions) -> Self {
        let mut splits = std::mem::take(&mut self.splits);
        let moved = match options.mode {
            AugmentMode::Augment => 0,
            AugmentMode::Equality => level_out(&mut splits, &self.manifest.joined, options),
        };
        let (rows, short) = grow(&splits, thesaurus, options);
        let made = rows.len();
        splits.train.extend(rows);
        let counts = &mut self.manifest.counts;
        (counts.train, counts.test) = (splits.train.len(), splits.test.len());
        self.manifest.fingerprint = fingerprint(&splits);
        self.manifest.augmentation = Some(Augmentation { options, made, moved, short });
        self.splits = splits;
        self
    }
}

/// Moves what classes have above `options.to` to the test set, titles of one commodity together; returns how many rows.
fn level_out(splits: &mut Splits, joined: &[(Code, Code)], options: AugmentOptions) -> usize {
    let first = first_of_joined(joined);
    let mut units = BTreeMap::<(&Label, Key), Vec<usize>>::new();
    let mut excess = BTreeMap::<Label, usize>::new();
    for (index, example) in splits.train.iter().enumerate() {
        units.entry((&example.label, unit(example, &first))).or_default().push(index);
        *excess.entry(example.label.clone()).or_default() += 1;
    }
    excess.values_mut().for_each(|count| *count = count.saturating_sub(options.to));
    let mut units: Vec<_> = units.into_iter().collect();
    units.sort_unstable_by_key(|((_, key), _)| (digest::place(options.seed, *key), *key));
    let mut leaving = HashSet::new();
    for ((label, _), rows) in units {
        if let Some(excess) = excess.get_mut(label).filter(|excess| **excess >= rows.len()) {
            *excess -= rows.len();
            leaving.extend(rows);
        }
    }
    let train = std::mem::take(&mut splits.train).into_iter().enumerate();
    let (moved, kept): (Vec<_>, Vec<_>) = train.partition(|(index, _)| leaving.contains(index));
    splits.train = kept.into_iter().map(|(_, example)| example).collect();
    splits.test.extend(moved.into_iter().map(|(_, example)| example));
    leaving.len()
}

/// New rows for all classes below `options.to`, and what they lack even so.
fn grow(splits: &Splits, thesaurus: &Thesaurus, options: AugmentOptions) -> (Vec<Example>, BTreeMap<Label, usize>) {
    let all = splits.named().iter().map(|(_, side)| side.len()).sum::<usize>();
    let mut taken = Keys::with_capacity_and_hasher(2 * all, QuickHash::default());
    taken.extend(splits.named().iter().flat_map(|(_, side)| side.iter().map(|example| example.key)));
    let mut classes = BTreeMap::<&Label, Vec<&Example>>::new();
    for example in &splits.train {
        classes.entry(&example.label).or_default().push(example);
    }
    let small = classes.into_iter().filter(|(_, rows)| rows.len() < options.to);
    let small: Vec<(&Label, Vec<&Example>)> = small.collect();
    let mut entries = entries(&small, thesaurus);
    for name in names(&splits.train) {
        entries.remove(&name);
    }
    let made: Vec<Vec<Example>> =
        small.par_iter().map(|(_, rows)| grow_class(rows, &entries, &taken, options)).collect();
    let (mut rows, mut short) = (Vec::new(), BTreeMap::new());
    for ((label, originals), made) in small.into_iter().zip(made) {
        let before = rows.len();
        // Two classes may come upon the same text; it then belongs to the first.
        rows.extend(made.into_iter().filter(|example| taken.insert(example.key)));
        let lacking = options.to - originals.len() - (rows.len() - before);
        if lacking > 0 {
            short.insert(label.clone(), lacking);
        }
    }
    (rows, short)
}

/// Words that are proper names by the way most texts write them: with a capital where others have none.
fn names(examples: &[Example]) -> Vec<String> {
    let count = |mut counts: HashMap<String, (usize, usize)>, example: &Example| {
        for (word, is_capital) in words::in_running_text(&example.description) {
            let count = counts.entry(word).or_default();
            *(if is_capital { &mut count.0 } else { &mut count.1 }) += 1;
        }
        counts
    };
    let sum = |mut some: HashMap<String, (usize, usize)>, more: HashMap<String, (usize, usize)>| {
        for (word, (capital, small)) in more {
            let count = some.entry(word).or_default();
            *count = (count.0 + capital, count.1 + small);
        }
        some
    };
    let counts = examples.par_iter().fold(HashMap::new, count).reduce(HashMap::new, sum);
    counts.into_iter().filter(|(_, (capital, small))| capital > small).map(|(word, _)| word).collect()
}

/// The dictionary's entry of every word of `classes`, looked up once.
fn entries(classes: &[(&Label, Vec<&Example>)], thesaurus: &Thesaurus) -> HashMap<String, Entry> {
    let texts: Vec<&str> = classes.iter().flat_map(|(_, rows)| rows.iter().map(|e| e.description.as_str())).collect();
    let words: HashSet<String> = texts.par_iter().flat_map_iter(|text| words::plain(text)).collect();
    words.into_par_iter().map(|word| (thesaurus.entry(&word), word)).map(|(entry, word)| (word, entry)).collect()
}

/// New rows of one class, from each of its texts in turn.
fn grow_class(
    originals: &[&Example],
    entries: &HashMap<String, Entry>,
    taken: &Keys,
    options: AugmentOptions,
) -> Vec<Example> {
    let mut sentences: Vec<Varied<'_>> = originals
        .iter()
        .map(|original| Varied { original, sentence: Sentence::new(&original.description, entries), fruitless: 0 })
        .filter(|varied| !varied.sentence.replaceable.is_empty())
        .collect();
    let wanted = options.to - originals.len();
    let (mut rows, mut own) = (Vec::new(), Keys::default());
    let mut origins = HashMap::<&str, Arc<str>>::new();
    for round in 0_u64.. {
        for Varied { original, sentence, fruitless } in &mut sentences {
            if rows.len() == wanted {
                return rows;
            }
            let seed = digest::place(options.seed ^ round.rotate_left(32), original.key);
            let description = sentence.vary(options.share, &mut ChaCha8Rng::seed_from_u64(seed));
            let key = digest::key(&description);
            if taken.contains(&key) || !own.insert(key) {
                *fruitless += 1;
                continue;
            }
            *fruitless = 0;
            let origin = Arc::clone(
                origins.entry(&original.origin).or_insert_with(|| format!("{AUGMENTED}{}", original.origin).into()),
            );
            rows.push(Example {
                description,
                code: original.code,
                label: original.label.clone(),
                origin,
                title: original.title,
                key,
                place: original.place,
            });
        }
        sentences.retain(|varied| varied.fruitless < FRUITLESS_ATTEMPTS);
        if sentences.is_empty() {
            break;
        }
    }
    rows
}

/// A text that new ones are made of.
struct Varied<'a> {
    original: &'a Example,
    sentence: Sentence<'a>,
    /// Attempts in a row that gave no new text.
    fruitless: usize,
}

/// `amount` of the places `0..len`, ascending.
fn choose(len: usize, amount: usize, random: &mut ChaCha8Rng) -> Vec<usize> {
    let mut places: Vec<usize> = (0..len).collect();
    for place in 0..amount.min(len) {
        places.swap(place, random.random_range(place..len));
    }
    places.truncate(amount);
    places.sort_unstable();
    places
}

#[cfg(test)]
mod tests;
