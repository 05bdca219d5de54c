//! The entries of one kind of search, and what they say of a code's children.

use std::ops::Range;

use unspsc_taxonomy::{Code, Level};

use crate::evidence::Child;

/// What one kind of search says.
#[derive(Debug)]
pub(crate) struct Source {
    /// Code, share and score of each entry, ascending by code.
    entries: Vec<(Code, f64, f64)>,
}

impl Source {
    /// Of entries with their scores, from which something is taken off before these are divided by `temperature`.
    pub(crate) fn new(entries: &[(Code, f64, f64)], temperature: f64) -> Self {
        let corrected = |(_, score, penalty): &(Code, f64, f64)| score - penalty;
        let highest = entries.iter().map(corrected).fold(f64::NEG_INFINITY, f64::max);
        let share = |entry: &(Code, f64, f64)| ((corrected(entry) - highest) / temperature).exp();
        let mut entries: Vec<_> = entries.iter().map(|entry| (entry.0, share(entry), entry.1)).collect();
        entries.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(b.2.total_cmp(&a.2)));
        Self { entries }
    }

    /// Adds the shares of what lies below `parent` to those of its `children` at `level`, by `of`, among which there may be new
    /// ones. Returns the greatest score; 0 where nothing lies there.
    pub(crate) fn add(
        &self,
        children: &mut Vec<Child>,
        (level, parent): (Level, Option<Code>),
        of: fn(&mut Child) -> &mut f64,
    ) -> f64 {
        let range = parent.map_or(0..self.entries.len(), |parent| span(&self.entries, parent, |entry| entry.0));
        let mut greatest: f64 = 0.0;
        for (code, share, score) in &self.entries[range] {
            greatest = greatest.max(*score);
            if !code.reaches(level) {
                continue;
            }
            let code = code.at(level);
            let place = children.binary_search_by(|child| child.code.cmp(&code)).unwrap_or_else(|place| {
                children.insert(place, Child { code, head: 0.0, vectors: 0.0, words: 0.0 });
                place
            });
            *of(&mut children[place]) += share;
        }
        greatest
    }
}

/// The entries of `sorted` whose code is `parent` or lies below it.
pub(crate) fn span<T>(sorted: &[T], parent: Code, code: impl Fn(&T) -> Code) -> Range<usize> {
    let level = parent.level();
    let start = sorted.partition_point(|entry| code(entry).at(level) < parent);
    start..sorted.partition_point(|entry| code(entry).at(level) <= parent)
}
