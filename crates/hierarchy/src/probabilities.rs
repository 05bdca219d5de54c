//! What is to be expected of a text, level by level.

use std::cmp::Ordering;

use unspsc_taxonomy::{Code, Level};

/// Codes of the levels below the segment that are less probable are not kept.
const KEPT: f64 = 1e-4;

/// A code and its probability.
pub(crate) type Node = (Code, f64);

/// Descending by probability, equal ones by code.
fn most_probable_first(a: &Node, b: &Node) -> Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

/// The probable codes of each level.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Probabilities {
    /// By level, coarse to fine; the most probable ones first, equal ones by code.
    levels: Vec<Vec<Node>>,
}

impl Probabilities {
    pub(crate) fn new(levels: Vec<Vec<Node>>) -> Self {
        let sorted = |(level, mut nodes): (usize, Vec<Node>)| {
            nodes.retain(|(_, probability)| level == 0 || *probability >= KEPT);
            nodes.sort_unstable_by(most_probable_first);
            nodes.shrink_to_fit();
            nodes
        };
        Self { levels: levels.into_iter().enumerate().map(sorted).collect() }
    }

    /// For labels that are all that is known: what `codes`, ascending, add up to at each level down to `finest`. None is left
    /// out for being improbable.
    #[must_use]
    pub fn sums(codes: &[(Code, f64)], finest: Level) -> Self {
        let sums = |level: Level| {
            let same = codes.chunk_by(|(code, _), (next, _)| code.at(level) == next.at(level));
            // Rounding may carry a sum past 1.
            let sum = |same: &[Node]| same.iter().map(|(_, probability)| probability).sum::<f64>().min(1.0);
            let mut nodes: Vec<Node> = same.map(|same| (same[0].0.at(level), sum(same))).collect();
            nodes.sort_unstable_by(most_probable_first);
            nodes
        };
        Self { levels: Level::ALL.into_iter().take_while(|level| *level <= finest).map(sums).collect() }
    }

    /// The codes of `level`, the most probable first, equal ones by code. All segments are there that head or search know; of finer
    /// levels those are left out that are less probable than 0.0001.
    #[must_use]
    pub fn at(&self, level: Level) -> &[(Code, f64)] {
        let place = Level::ALL.iter().position(|other| *other == level);
        place.and_then(|place| self.levels.get(place)).map_or(&[], Vec::as_slice)
    }

    /// The probability of `code`; 0 where it is none that was kept.
    #[must_use]
    pub fn of(&self, code: Code) -> f64 {
        let found = self.at(code.level()).iter().find(|(other, _)| *other == code);
        found.map_or(0.0, |(_, probability)| *probability)
    }

    /// From the most probable segment down, each step the most probable child of the one before; ends where none is known.
    #[must_use]
    pub fn path(&self) -> Vec<(Level, Code, f64)> {
        self.descend(Vec::new())
    }

    /// The ancestors of `code`, itself, and on to the most probable child of each.
    #[must_use]
    pub fn path_through(&self, code: Code) -> Vec<(Level, Code, f64)> {
        let above = Level::ALL.into_iter().filter(|level| code.reaches(*level));
        self.descend(above.map(|level| (level, code.at(level), self.of(code.at(level)))).collect())
    }

    fn descend(&self, mut path: Vec<(Level, Code, f64)>) -> Vec<(Level, Code, f64)> {
        for level in Level::ALL.into_iter().skip(path.len()) {
            let parent = path.last().map(|(level, code, _)| (*level, *code));
            let is_below = |code: &Code| parent.is_none_or(|(above, parent)| code.at(above) == parent);
            // A label that ends above this level is no child of itself.
            let is_child = |code: &Code| code.reaches(level) && is_below(code);
            let Some((code, probability)) = self.at(level).iter().find(|(code, _)| is_child(code)) else { break };
            path.push((level, *code, *probability));
        }
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(nodes: &[(&str, f64)]) -> Vec<Node> {
        nodes.iter().map(|(code, probability)| (code.parse().unwrap(), *probability)).collect()
    }

    #[test]
    fn a_path_goes_through_the_code_that_was_asked_for() {
        let probabilities = Probabilities::new(vec![
            nodes(&[("20000000", 0.45), ("10000000", 0.5), ("30000000", 1e-9)]),
            nodes(&[("10100000", 0.2), ("10200000", 0.2), ("20100000", 0.44), ("20200000", 1e-9)]),
            nodes(&[("10201500", 0.1)]),
        ]);
        let codes =
            |path: Vec<(Level, Code, f64)>| path.into_iter().map(|(_, code, _)| code.to_string()).collect::<Vec<_>>();
        assert_eq!(codes(probabilities.path()), ["10000000", "10100000"]);
        assert_eq!(
            codes(probabilities.path_through("10200000".parse().unwrap())),
            ["10000000", "10200000", "10201500"]
        );
        let best: Vec<Node> = probabilities.at(Level::Family)[..1].to_vec();
        assert_eq!(best, nodes(&[("20100000", 0.44)]), "the best family need not lie in the best segment");
        assert_eq!(probabilities.at(Level::Segment).len(), 3, "segments are all there");
        assert_eq!(probabilities.at(Level::Family).len(), 3);
        assert_eq!((probabilities.of("10201500".parse().unwrap()), probabilities.at(Level::Commodity).len()), (0.1, 0));
    }

    #[test]
    fn a_label_that_ends_above_a_level_is_no_child_of_itself() {
        let labels = nodes(&[("10000000", 0.5), ("10101500", 0.2), ("20101500", 0.3)]);
        let sums = Probabilities::sums(&labels, Level::Class);
        assert_eq!(sums.at(Level::Segment), nodes(&[("10000000", 0.7), ("20000000", 0.3)]));
        assert_eq!(sums.at(Level::Class)[0], labels[0], "it counts at every level");
        let path: Vec<String> = sums.path().into_iter().map(|(_, code, _)| code.to_string()).collect();
        assert_eq!(path, ["10000000", "10100000", "10101500"]);
        assert!(sums.at(Level::Commodity).is_empty());
    }
}
