//! The best so far.

use std::cmp::Ordering;

use crate::kernels::nibbles::QueryScale;

/// Scores that are compared with the threshold at a time.
const LANES: usize = 16;

/// An entry of the index, and how near it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbour {
    /// Its number in the index.
    pub entry: u32,
    /// How near: of vectors the cosine of the angle between the two, from -1 to 1 but for what quantising changes; of words
    /// what those add up to that are shared, above 0.
    pub score: f32,
}

impl Neighbour {
    /// The nearest first, of equal ones the first in the index.
    fn order(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then(self.entry.cmp(&other.entry))
    }
}

/// The nearest entries to one query of those that it has been offered.
#[derive(Debug, Clone)]
pub(super) struct Best {
    count: usize,
    /// At most twice `count`, in no order; the best are among them.
    kept: Vec<Neighbour>,
    /// What a score has to exceed: that of the worst of the best when `kept` was last cut.
    threshold: f32,
}

impl Best {
    pub(super) fn new(count: usize) -> Self {
        Self::above(f32::NEG_INFINITY, count)
    }

    /// Of those that exceed `threshold`.
    pub(super) fn above(threshold: f32, count: usize) -> Self {
        Self { count, kept: Vec::with_capacity(2 * count), threshold }
    }

    /// Offers the entries from number `first` on, by their sums of products with the query and their scales. Calls go
    /// upwards in the index, so that an entry that only equals the threshold has `count` better ones before it.
    pub(super) fn offer(&mut self, first: usize, sums: &[i32], scales: &[f32], query: QueryScale) {
        if self.count == 0 || !query.has_direction() {
            return;
        }
        let mut cosines = [f32::NEG_INFINITY; LANES];
        for (part, (sums, scales)) in sums.chunks(LANES).zip(scales.chunks(LANES)).enumerate() {
            let cosines = &mut cosines[..sums.len()];
            for ((cosine, sum), scale) in cosines.iter_mut().zip(sums).zip(scales) {
                *cosine = query.cosine(*sum, *scale);
            }
            self.offer_some(first + part * LANES, cosines);
        }
    }

    /// Offers the entries from number `first` on by their scores, upwards in the index as well.
    pub(super) fn offer_scores(&mut self, first: usize, scores: &[f32]) {
        if self.count > 0 {
            scores.chunks(LANES).enumerate().for_each(|(part, scores)| self.offer_some(first + part * LANES, scores));
        }
    }

    /// Keeps those of a few entries that exceed the threshold, which hardly any does.
    fn offer_some(&mut self, first: usize, scores: &[f32]) {
        if !scores.iter().fold(false, |any, score| any | (*score > self.threshold)) {
            return;
        }
        for (entry, score) in (first..).zip(scores) {
            if *score > self.threshold {
                self.kept.push(Neighbour { entry: entry as u32, score: *score });
                if self.kept.len() == 2 * self.count {
                    self.cut();
                }
            }
        }
    }

    /// Keeps no more than the best.
    fn cut(&mut self) {
        if self.count == 0 || self.kept.len() < self.count {
            return;
        }
        let (_, worst, _) = self.kept.select_nth_unstable_by(self.count - 1, Neighbour::order);
        self.threshold = worst.score;
        self.kept.truncate(self.count);
    }

    /// Takes what `other` has kept.
    pub(super) fn merge(&mut self, other: Self) {
        self.kept.extend(other.kept);
        self.cut();
    }

    /// The nearest first.
    pub(super) fn into_sorted(mut self) -> Vec<Neighbour> {
        self.kept.sort_unstable_by(Neighbour::order);
        self.kept.truncate(self.count);
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::nibbles::Queries;

    #[test]
    fn the_best_are_kept_and_of_equal_ones_the_first() {
        let scale = Queries::quantise(&[1.0], 1).scales()[0];
        let sums: Vec<i32> = (0..200).map(|at| 1016 + at * 37 % 50).collect();
        let mut expected: Vec<(i32, u32)> = sums.iter().zip(10..).map(|(sum, entry)| (-sum, entry)).collect();
        expected.sort_unstable();
        for count in [0, 1, 3, 7, 150, 300] {
            let (mut best, mut later) = (Best::new(count), Best::new(count));
            best.offer(10, &sums[..90], &[1.0; 90], scale);
            later.offer(100, &sums[90..], &[1.0; 110], scale);
            later.merge(best);
            let found: Vec<u32> = later.into_sorted().iter().map(|neighbour| neighbour.entry).collect();
            let expected: Vec<u32> = expected.iter().take(count).map(|(_, entry)| *entry).collect();
            assert_eq!(found, expected, "{count} best");
        }
    }
}
