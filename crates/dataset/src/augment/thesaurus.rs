//! WordNet as a thesaurus: what a word may be replaced by, given its part of speech.

use std::path::{Path, PathBuf};

use wordnet_db::{LoadMode, WordNet};
use wordnet_morphy::{CandidateSource, Morphy};
use wordnet_types::Pos;

use super::inflection::{self, Form};

/// Files without which there is no thesaurus; the library looks for the others by itself.
const INDEX: &str = "index.noun";

/// A sense counts where at least this share of the word's occurrences in WordNet's tagged texts has it: rare senses make
/// a "mouse" a black eye.
const MIN_SENSE_SHARE: f64 = 0.2;

/// Parts of speech from the most to the least likely one for a word of a purchase line.
const ALL: [Pos; 4] = [Pos::Noun, Pos::Adj, Pos::Verb, Pos::Adv];

/// WordNet cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ThesaurusError {
    /// The folder does not hold it.
    #[error("{} holds no WordNet 3.0 (file {INDEX}): run scripts/setup, or name the folder of Debian's package \
             wordnet-base with --wordnet", path.display())]
    Missing {
        /// The folder.
        path: PathBuf,
    },
    /// The files cannot be understood.
    #[error("cannot read the WordNet files in {}: {reason}", path.display())]
    Damaged {
        /// The folder.
        path: PathBuf,
        /// The reader's reason.
        reason: String,
    },
}

/// What a word may be replaced by in each of its parts of speech.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// Synonyms as a noun, in the word's own number.
    pub(super) noun: Vec<String>,
    /// Synonyms as an adjective.
    pub(super) adjective: Vec<String>,
    /// Synonyms as a verb, in the word's own form.
    pub(super) verb: Vec<String>,
    /// Synonyms as an adverb.
    pub(super) adverb: Vec<String>,
    /// Whether WordNet knows the word in any part of speech.
    pub(super) known: bool,
    /// Whether it is a noun at all, with or without synonyms.
    pub(super) is_noun: bool,
    /// Whether tagged texts have it as an adjective more often than as a noun.
    pub(super) rather_adjective: bool,
}

/// WordNet's dictionary, opened.
pub struct Thesaurus {
    wordnet: WordNet,
    morphy: Morphy,
}

impl std::fmt::Debug for Thesaurus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Thesaurus").field("lemmas", &self.wordnet.lemma_count()).finish_non_exhaustive()
    }
}

impl Thesaurus {
    /// Opens the dictionary files `index.*`, `data.*`, `*.exc` and `cntlist.rev` in `folder`.
    ///
    /// # Errors
    /// Says what is missing or damaged.
    pub fn open(folder: &Path) -> Result<Self, ThesaurusError> {
        if !folder.join(INDEX).is_file() {
            return Err(ThesaurusError::Missing { path: folder.to_owned() });
        }
        let damaged = |reason: String| ThesaurusError::Damaged { path: folder.to_owned(), reason };
        // Owned, since a mapped file that somebody truncates kills the process.
        let wordnet =
            WordNet::load_with_mode(folder, LoadMode::Owned).map_err(|error| damaged(format!("{error:#}")))?;
        let morphy = Morphy::load(folder).map_err(|error| damaged(format!("{error:#}")))?;
        Ok(Self { wordnet, morphy })
    }

    /// Everything about `word`, which is in small letters.
    pub(super) fn entry(&self, word: &str) -> Entry {
        let mut entry = Entry::default();
        let mut counts = [0; 4];
        for (pos, total) in ALL.into_iter().zip(&mut counts) {
            let Some((lemma, form)) = self.lemma(pos, word) else { continue };
            entry.known = true;
            entry.is_noun |= pos == Pos::Noun;
            let synonyms;
            (synonyms, *total) = self.synonyms(pos, &lemma);
            let inflected = synonyms.iter().filter_map(|synonym| inflection::inflect(synonym, form));
            let mut inflected: Vec<String> = inflected.filter(|synonym| synonym != word).collect();
            inflected.dedup();
            match pos {
                Pos::Noun => entry.noun = inflected,
                Pos::Adj => entry.adjective = inflected,
                Pos::Verb => entry.verb = inflected,
                Pos::Adv => entry.adverb = inflected,
            }
        }
        entry.rather_adjective = counts[1] > counts[0];
        entry
    }

    /// The dictionary form of `word` and what was done to it; none where it is unknown or its form cannot be made again.
    fn lemma(&self, pos: Pos, word: &str) -> Option<(String, Form)> {
        let exists = |pos: Pos, lemma: &str| self.wordnet.lemma_exists(pos, lemma);
        let candidate = self.morphy.lemmas_for(pos, word, exists).into_iter().next()?;
        let form = match candidate.source {
            CandidateSource::Surface => Form::Base,
            CandidateSource::Exception | CandidateSource::Rule { .. } => inflection::form(word, pos)?,
        };
        Some((candidate.lemma.into_owned(), form))
    }

    /// Other words of the lemma's usual senses, and how often tagged texts have the lemma.
    fn synonyms(&self, pos: Pos, lemma: &str) -> (Vec<String>, u32) {
        let senses = self.wordnet.synsets_for_lemma(pos, lemma);
        let counts: Vec<u32> =
            senses.iter().map(|sense| self.wordnet.sense_count(pos, lemma, sense.offset).unwrap_or(0)).collect();
        let total: u32 = counts.iter().sum();
        let usual = |(place, count): (usize, u32)| match total {
            0 => place == 0,
            _ => f64::from(count) >= MIN_SENSE_SHARE * f64::from(total),
        };
        let kept = senses.iter().zip(counts.into_iter().enumerate()).filter(|(_, sense)| usual(*sense));
        let mut synonyms = Vec::new();
        for synset in kept.filter_map(|(sense, _)| self.wordnet.get_synset(*sense)) {
            for other in synset.words {
                // `responsible(p)`: where an adjective may stand.
                let other = other.text.split('(').next().unwrap_or_default().replace('_', " ");
                let plain = other.chars().all(|c| c.is_ascii_lowercase() || c == ' ' || c == '-');
                if plain && !other.is_empty() && other != lemma && !synonyms.contains(&other) {
                    synonyms.push(other);
                }
            }
        }
        (synonyms, total)
    }
}
