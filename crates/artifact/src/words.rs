//! The words of a text, as the index counts them.

use std::cell::OnceCell;

use rust_stemmers::{Algorithm, Stemmer};

/// Words that are read of a text: descriptions have fewer, and an endless one costs no more.
const MAX_WORDS: usize = 64;

/// Bytes of a word that are read: the stemmer takes the square of its length.
const MAX_BYTES: usize = 64;

/// Words that say nothing of a product.
const STOP_WORDS: [&str; 23] = [
    "a", "an", "and", "are", "as", "at", "be", "by", "for", "from", "in", "into", "is", "it", "no", "not", "of", "on",
    "or", "other", "the", "to", "with",
];

/// The words of `text`, each once and as a number, ascending: runs of Latin letters and digits, in lower case, without those that
/// say nothing, by their stem (Snowball's for English, <https://snowballstem.org>), so that "gloves" and "Glove" are one. Read are
/// the first 64 of them, and of each the first 64 letters.
#[must_use]
pub fn words(text: &str) -> Vec<u64> {
    thread_local!(static STEMMER: OnceCell<Stemmer> = const { OnceCell::new() });
    let runs = text.split(|character: char| !character.is_ascii_alphanumeric());
    // They are ASCII, so that each of their bytes is a character.
    let lower = runs.filter(|run| !run.is_empty()).map(|run| run[..run.len().min(MAX_BYTES)].to_ascii_lowercase());
    let telling = lower.filter(|word| !STOP_WORDS.contains(&word.as_str()));
    let mut words: Vec<u64> = STEMMER.with(|stemmer| {
        let stemmer = stemmer.get_or_init(|| Stemmer::create(Algorithm::English));
        telling.take(MAX_WORDS).map(|word| number(&stemmer.stem(&word))).collect()
    });
    words.sort_unstable();
    words.dedup();
    words
}

/// FNV-1a (<http://www.isthe.com/chongo/tech/comp/fnv>): of a hundred thousand words no two are likely to have the same.
fn number(stem: &str) -> u64 {
    stem.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_word_are_one() {
        assert_eq!(words("Gloves, for the GLOVE"), words("glove"));
        assert_eq!(words("clamping bolts (M8)"), words("m8 bolt clamp"));
        assert_ne!(words("bolt"), words("nut"));
        assert_eq!(words("").len() + words("of the and -- é").len(), 0);
    }

    #[test]
    fn numbers_are_those_that_are_stored() {
        assert_eq!(number("a"), 0xaf63_dc4c_8601_ec8c, "as published for FNV-1a");
        assert!(words("nut bolt washer").is_sorted());
        let endless: String = (0..100).map(|number| format!("word{number} ")).collect();
        assert_eq!(words(&endless).len(), 64);
        assert_eq!(words(&"ay".repeat(1_000_000)), words(&"ay".repeat(32)), "of an endless word the beginning");
    }
}
