//! Texts that several sources hold, and whether these agree about them.

use std::collections::BTreeMap;

/// A row as far as overlaps go: sources and labels are numbers that the caller gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mention {
    /// Identity of the text.
    pub(crate) text: u128,
    /// Which source holds it.
    pub(crate) source: usize,
    /// What that source calls it.
    pub(crate) label: u32,
}

/// What two sources share.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Shared {
    /// Distinct texts that both hold.
    pub(crate) texts: usize,
    /// Those of them that bear more than one label in the two together.
    pub(crate) contradicting: usize,
}

/// Texts by source and by pair of sources.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Overlaps {
    /// Distinct texts of each source.
    pub(crate) distinct: BTreeMap<usize, usize>,
    /// By pair of sources, the smaller number first; pairs that share nothing are absent.
    pub(crate) shared: BTreeMap<(usize, usize), Shared>,
}

impl Overlaps {
    /// Counts in `mentions`, in whatever order they are.
    pub(crate) fn of(mut mentions: Vec<Mention>) -> Self {
        mentions.sort_unstable();
        mentions.dedup();
        let mut overlaps = Self::default();
        for text in mentions.chunk_by(|one, next| one.text == next.text) {
            let sources: Vec<&[Mention]> = text.chunk_by(|one, next| one.source == next.source).collect();
            for (place, one) in sources.iter().enumerate() {
                *overlaps.distinct.entry(one[0].source).or_default() += 1;
                for other in &sources[place + 1..] {
                    let shared = overlaps.shared.entry((one[0].source, other[0].source)).or_default();
                    shared.texts += 1;
                    let differs = |mention: &Mention| mention.label != one[0].label;
                    shared.contradicting += usize::from(one.iter().chain(*other).any(differs));
                }
            }
        }
        overlaps
    }

    /// The same with `places[number]` for the number of each source.
    pub(crate) fn renumbered(self, places: &[usize]) -> Self {
        let pair = |(one, other): (usize, usize)| (places[one].min(places[other]), places[one].max(places[other]));
        Self {
            distinct: self.distinct.into_iter().map(|(number, texts)| (places[number], texts)).collect(),
            shared: self.shared.into_iter().map(|(numbers, shared)| (pair(numbers), shared)).collect(),
        }
    }

    /// What the sources `one` and `other` share.
    pub(crate) fn between(&self, one: usize, other: usize) -> Shared {
        self.shared.get(&(one.min(other), one.max(other))).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_counted_once_a_source_and_contradictions_within_a_pair() {
        let mention = |(text, source, label)| Mention { text, source, label };
        // Text 1 is agreed on by all; 2 is contested between 0 and 1; 3 is one source's alone; 4 is contested within 1.
        let rows = [(1, 2, 7), (1, 0, 7), (1, 1, 7), (1, 0, 7), (2, 0, 7), (2, 1, 8), (3, 1, 9)];
        let contested = [(4, 1, 7), (4, 1, 8), (4, 2, 7)];
        let overlaps = Overlaps::of(rows.into_iter().chain(contested).map(mention).collect());
        assert_eq!(overlaps.distinct, [(0, 2), (1, 4), (2, 2)].into());
        assert_eq!(overlaps.between(1, 0), Shared { texts: 2, contradicting: 1 });
        assert_eq!(overlaps.between(1, 2), Shared { texts: 2, contradicting: 1 });
        assert_eq!(overlaps.between(0, 2), Shared { texts: 1, contradicting: 0 });
        assert_eq!(overlaps.between(0, 9), Shared::default());
        let renumbered = overlaps.clone().renumbered(&[2, 0, 1]);
        assert_eq!(renumbered.distinct, [(2, 2), (0, 4), (1, 2)].into());
        assert_eq!(renumbered.between(2, 0), overlaps.between(0, 1));
    }
}
