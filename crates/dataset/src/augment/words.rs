//! A text as words that may be replaced and others that may not.
//!
//! No tagger is asked for the part of speech: purchase lines are strings of nouns with an adjective here and there and
//! hardly a verb, which is where taggers trained on sentences go wrong. The rules: after "to" a verb; before another word
//! of the same phrase an adjective, where tagged texts have the word rather as that; otherwise a noun, where it can be
//! one; otherwise whatever it can be.

use std::collections::HashMap;

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::choose;
use super::thesaurus::Entry;

/// Shorter words are units, articles and prepositions.
const MIN_LETTERS: usize = 3;

/// Words that hold a phrase together; WordNet has senses for some of them that no purchase line means.
const FUNCTION_WORDS: [&str; 32] = [
    "and",
    "the",
    "for",
    "with",
    "from",
    "not",
    "other",
    "than",
    "per",
    "are",
    "was",
    "but",
    "its",
    "all",
    "any",
    "can",
    "use",
    "used",
    "using",
    "such",
    "this",
    "that",
    "which",
    "into",
    "each",
    "including",
    "namely",
    "etc",
    "incl",
    "non",
    "via",
    "has",
];

/// One word between spaces.
#[derive(Debug)]
pub(super) struct Word<'a> {
    /// Punctuation before, letters, punctuation after.
    parts: [&'a str; 3],
    pub(super) synonyms: &'a [String],
}

/// A text, ready to be varied.
#[derive(Debug)]
pub(super) struct Sentence<'a> {
    pub(super) words: Vec<Word<'a>>,
    /// Those with synonyms.
    pub(super) replaceable: Vec<usize>,
    /// Length of the text.
    bytes: usize,
}

/// Words of `text` that a dictionary may know, in small letters.
pub(super) fn plain(text: &str) -> impl Iterator<Item = String> {
    let cores = text.split(' ').map(|word| parts(word)[1]);
    cores.filter(|core| is_word(core)).map(str::to_ascii_lowercase)
}

/// Words of `text` behind the first, in small letters, and whether they begin with a capital; none of a text in capitals or
/// with a capital at every word, which tells nothing.
pub(super) fn in_running_text(text: &str) -> Vec<(String, bool)> {
    let cores = text.split(' ').skip(1).map(|word| parts(word)[1]).filter(|core| is_word(core));
    let is_capital = |core: &str| core.starts_with(|c: char| c.is_ascii_uppercase());
    let words: Vec<_> = cores.map(|core| (core.to_ascii_lowercase(), is_capital(core))).collect();
    if words.iter().all(|(_, is_capital)| *is_capital) { Vec::new() } else { words }
}

impl<'a> Sentence<'a> {
    /// Finds out what of `text` may be replaced by what.
    pub(super) fn new(text: &'a str, entries: &'a HashMap<String, Entry>) -> Self {
        let split: Vec<[&str; 3]> = text.split(' ').map(parts).collect();
        let names = proper_names(&split, entries);
        let word = |(place, parts): (usize, &[&'a str; 3])| {
            let core = parts[1].to_ascii_lowercase();
            let may = is_word(parts[1]) && !FUNCTION_WORDS.contains(&core.as_str()) && names.get(place) == Some(&false);
            let entry = entries.get(&core).filter(|_| may);
            let synonyms = entry.map_or(&[][..], |entry| synonyms(entry, &split, place));
            Word { parts: *parts, synonyms }
        };
        let words: Vec<Word<'a>> = split.iter().enumerate().map(word).collect();
        let replaceable = (0..words.len()).filter(|place| words.get(*place).is_some_and(|w| !w.synonyms.is_empty()));
        Self { replaceable: replaceable.collect(), words, bytes: text.len() }
    }

    /// The text with `share` of its replaceable words replaced, one at least; the text itself where none is replaceable.
    pub(super) fn vary(&self, share: f64, random: &mut ChaCha8Rng) -> String {
        let wanted = share * self.replaceable.len() as f64;
        let amount = (1..=self.replaceable.len()).filter(|amount| *amount as f64 <= wanted + 0.5).count().max(1);
        let mut chosen = choose(self.replaceable.len(), amount, random).into_iter();
        let mut next = chosen.next().and_then(|place| self.replaceable.get(place));
        let mut text = String::with_capacity(self.bytes + 16 * amount);
        for (place, Word { parts: [before, core, after], synonyms }) in self.words.iter().enumerate() {
            if place > 0 {
                text.push(' ');
            }
            text.push_str(before);
            if next == Some(&place) {
                let synonym = synonyms.get(random.random_range(0..synonyms.len().max(1)));
                // "computer computer" says nothing more.
                let synonym = synonym.filter(|synonym| !self.has_beside(place, synonym));
                push_in_case_of(core, synonym.map_or(core, String::as_str), &mut text);
                next = chosen.next().and_then(|place| self.replaceable.get(place));
            } else {
                text.push_str(core);
            }
            text.push_str(after);
        }
        text
    }
}

impl Sentence<'_> {
    /// Whether a word beside `place` is that of `synonym` which would stand next to it.
    fn has_beside(&self, place: usize, synonym: &str) -> bool {
        let word = |place: Option<usize>| place.and_then(|place| self.words.get(place)).map(|word| word.parts[1]);
        let is = |word: Option<&str>, other: Option<&str>| {
            word.zip(other).is_some_and(|(word, other)| word.eq_ignore_ascii_case(other))
        };
        is(word(place.checked_sub(1)), synonym.split(' ').next())
            || is(word(place.checked_add(1)), synonym.split(' ').next_back())
    }
}

/// Punctuation before, everything between the first and the last letter or digit, punctuation after.
fn parts(word: &str) -> [&str; 3] {
    let start = word.find(|c: char| c.is_ascii_alphanumeric()).unwrap_or(word.len());
    let end = word.rfind(|c: char| c.is_ascii_alphanumeric()).map_or(start, |last| last + 1);
    [word.get(..start), word.get(start..end), word.get(end..)].map(Option::unwrap_or_default)
}

fn is_word(core: &str) -> bool {
    core.len() >= MIN_LETTERS && core.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// The synonyms of the word at `place` in the part of speech that it has there.
fn synonyms<'a>(entry: &'a Entry, words: &[[&str; 3]], place: usize) -> &'a [String] {
    let neighbour = |place: Option<usize>| place.and_then(|place| words.get(place));
    let after_to = neighbour(place.checked_sub(1))
        .is_some_and(|[_, core, after]| core.eq_ignore_ascii_case("to") && after.is_empty());
    let phrase_goes_on = words.get(place).is_some_and(|[_, _, after]| after.is_empty())
        && neighbour(place.checked_add(1)).is_some_and(|[before, core, _]| before.is_empty() && is_word(core));
    if after_to && !entry.verb.is_empty() {
        &entry.verb
    } else if phrase_goes_on && entry.rather_adjective {
        &entry.adjective
    } else if entry.is_noun {
        &entry.noun
    } else if !entry.adjective.is_empty() {
        &entry.adjective
    } else if !entry.verb.is_empty() {
        &entry.verb
    } else {
        &entry.adverb
    }
}

/// Which words are proper names, going by their case: capitals within a text that has small letters too. The first word
/// is one where every other is, where it has capitals inside, or where the dictionary does not know it. A text in
/// capitals throughout tells nothing.
fn proper_names(words: &[[&str; 3]], entries: &HashMap<String, Entry>) -> Vec<bool> {
    let cores = || words.iter().map(|[_, core, _]| *core);
    let is_capital = |core: &str| core.starts_with(|c: char| c.is_ascii_uppercase());
    if !cores().filter(|core| is_word(core)).any(|core| core.bytes().any(|byte| byte.is_ascii_lowercase())) {
        return vec![false; words.len()];
    }
    let rest = || cores().skip(1).filter(|core| is_word(core));
    let title_case = rest().next().is_some() && rest().all(is_capital);
    let first = |core: &str| {
        let inner = core.bytes().skip(1).any(|byte| byte.is_ascii_uppercase());
        let unknown = !entries.get(&core.to_ascii_lowercase()).is_some_and(|entry| entry.known);
        is_capital(core) && (title_case || inner || unknown)
    };
    let name = |(place, core): (usize, &str)| {
        if place == 0 { first(core) } else { core.bytes().any(|byte| byte.is_ascii_uppercase()) }
    };
    cores().enumerate().map(name).collect()
}

/// Adds `synonym` in capitals, with a capital, or as it is, like `word`.
fn push_in_case_of(word: &str, synonym: &str, text: &mut String) {
    let start = text.len();
    text.push_str(synonym);
    let capitals = word.bytes().take_while(u8::is_ascii_uppercase).count();
    let end = if capitals == word.len() { text.len() } else { start + capitals.min(1) };
    if let Some(letters) = text.get_mut(start..end) {
        letters.make_ascii_uppercase();
    }
}
