//! The titles that share most with the words of a text, by BM25 in Lucene's form (Robertson and Zaragoza 2009,
//! <https://doi.org/10.1561/1500000019>; Kamphuis and others 2020, <https://doi.org/10.1007/978-3-030-45442-5_4>). How often a
//! word stands in a title does not count: they hardly repeat one.

use unspsc_artifact::TitleIndex;

use super::best::{Best, Neighbour};

/// How soon more of the same no longer counts: k1.
const SATURATION: f32 = 1.5;

/// How much long titles are held back: b.
const LENGTH: f32 = 0.75;

/// Entries whose scores are added up at a time: 16 KiB, which stay in the first-level cache.
const BLOCK: usize = 4096;

/// Titles by their words.
#[derive(Debug)]
pub(super) struct Bm25 {
    /// What a word counts in each entry: `[entries]`.
    factors: Vec<f32>,
    /// How many entries are titles with a word.
    titles: usize,
}

impl Bm25 {
    pub(super) fn new(index: &TitleIndex) -> Self {
        let mut lengths = vec![0_u16; index.entries()];
        for entry in index.entries_by_word().flatten() {
            lengths[*entry as usize] = lengths[*entry as usize].saturating_add(1);
        }
        let total: f32 = lengths.iter().map(|length| f32::from(*length)).sum();
        let titles = lengths.iter().filter(|length| **length > 0).count();
        let mean = total / titles.max(1) as f32;
        let factor = |length| 1.0 / (1.0 + SATURATION * (1.0 - LENGTH + LENGTH * f32::from(length) / mean));
        Self { factors: lengths.into_iter().map(factor).collect(), titles }
    }

    /// The `count` entries of the highest scores, of equal ones the first in the index; all of them have one of `words`.
    pub(super) fn best(&self, index: &TitleIndex, words: &[u64], count: usize) -> Vec<Neighbour> {
        let rarity = |having: usize| (1.0 + ((self.titles - having) as f32 + 0.5) / (having as f32 + 0.5)).ln();
        let mut of_words: Vec<(&[u32], f32)> =
            words.iter().map(|word| index.entries_with(*word)).map(|having| (having, rarity(having.len()))).collect();
        let mut best = Best::above(0.0, count.min(self.titles));
        let mut scores = [0.0; BLOCK];
        for (first, factors) in (0..).step_by(BLOCK).zip(self.factors.chunks(BLOCK)) {
            let mut is_any = false;
            for (having, rarity) in &mut of_words {
                let (here, later) = having.split_at(having.partition_point(|entry| (*entry as usize) < first + BLOCK));
                for entry in here {
                    let place = *entry as usize - first;
                    scores[place] += *rarity * factors[place];
                }
                is_any |= !here.is_empty();
                *having = later;
            }
            if is_any {
                best.offer_scores(first, &scores[..factors.len()]);
                scores.fill(0.0);
            }
        }
        best.into_sorted()
    }
}
