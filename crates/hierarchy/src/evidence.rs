//! From logits, neighbours and shared words to the shares of a code's children.

use unspsc_taxonomy::{Code, Level};

use crate::head::{HeadLevel, softmax};
use crate::probabilities::{Node, Probabilities};
use crate::source::{Source, span};
use crate::{LevelWeights, Threshold, Weights};

/// What an index has for a text.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// The entries of the nearest vectors.
    pub near: Vec<Near>,
    /// The titles that share most with its words: their codes, and what the words come to, above 0.
    pub words: Vec<(Code, f32)>,
}

/// An entry whose vector is near that of a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Near {
    /// The entry's code.
    pub code: Code,
    /// Whether the entry is a text that was trained on, and no title.
    pub text: bool,
    /// Cosine of the text's vector and the entry's.
    pub cosine: f32,
}

/// The least share that head, vectors or words give to a child that another knows: what one does not know, the other may find.
const FLOOR: f64 = 1e-4;

/// Codes that are less probable are not looked into: none of their children would be worth a line.
const IMPROBABLE: f64 = 1e-3;

/// Joins what head, vectors and words say.
#[derive(Debug, Clone)]
pub struct Hierarchy {
    weights: Weights,
    /// By level, coarse to fine: the codes that the head has outputs at or below.
    head: Vec<HeadLevel>,
}

impl Hierarchy {
    /// For a head whose `outputs` are named by their codes; none where one is no code.
    #[must_use]
    pub fn new(outputs: &[String], weights: Weights) -> Option<Self> {
        let outputs: Vec<Code> = outputs.iter().map(|output| output.parse().ok()).collect::<Option<_>>()?;
        let level = |level: Level| HeadLevel::new(&outputs, level);
        Some(Self { weights, head: Level::ALL.into_iter().map(level).collect() })
    }

    /// How they are weighed.
    #[must_use]
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The same with other weights.
    #[must_use]
    pub fn with(self, weights: Weights) -> Self {
        Self { weights, ..self }
    }

    /// See [`Weights::threshold`].
    #[must_use]
    pub fn threshold(&self, level: Level, precision: f64) -> Option<&Threshold> {
        self.weights.threshold(level, precision)
    }

    /// What is to be expected of a text, of whose head outputs the `logits` are, `[outputs]`, and for which the index has `found`
    /// these.
    #[must_use]
    pub fn probabilities(&self, logits: &[f32], found: &Found) -> Probabilities {
        let evidence = self.evidence(logits, found);
        let mut levels: Vec<Vec<Node>> = Vec::with_capacity(Level::ALL.len());
        for (level, weights) in &self.weights.levels {
            let parents = levels.last().map_or_else(|| vec![None], |parents| parents.iter().map(Some).collect());
            let mut nodes = Vec::new();
            for parent in parents.into_iter().filter(|parent| parent.is_none_or(|parent| parent.1 >= IMPROBABLE)) {
                let children = evidence.children(*level, parent.map(|parent| parent.0));
                let of_parent = parent.map_or(1.0, |parent| parent.1);
                nodes.extend(children.shares(weights).map(|(code, share)| (code, of_parent * share)));
            }
            levels.push(nodes);
        }
        Probabilities::new(levels)
    }

    /// What is known of a text, level by level.
    pub(crate) fn evidence(&self, logits: &[f32], found: &Found) -> Evidence<'_> {
        let shares = softmax(logits);
        let head = self.head.iter().map(|level| level.shares(&shares)).collect();
        let Weights { temperature, text_penalty, word_temperature, .. } = self.weights;
        let penalty = |near: &Near| if near.text { text_penalty } else { 0.0 };
        let near = found.near.iter().map(|near| (near.code, f64::from(near.cosine), penalty(near)));
        let words = found.words.iter().map(|(code, score)| (*code, f64::from(*score), 0.0));
        let (near, words): (Vec<_>, Vec<_>) = (near.collect(), words.collect());
        Evidence {
            hierarchy: self,
            head,
            vectors: Source::new(&near, temperature),
            words: Source::new(&words, word_temperature),
        }
    }
}

/// What is known of a text.
#[derive(Debug)]
pub(crate) struct Evidence<'h> {
    hierarchy: &'h Hierarchy,
    /// By level, the head's share of each of its codes.
    head: Vec<Vec<f64>>,
    vectors: Source,
    words: Source,
}

impl Evidence<'_> {
    /// The children of `parent`, which are codes of `level`, as far as any are known; without one, the segments.
    pub(crate) fn children(&self, level: Level, parent: Option<Code>) -> Children {
        let mut children: Vec<Child> = Vec::new();
        let of_level = Level::ALL.iter().position(|other| *other == level);
        let of_level = of_level.and_then(|at| Some((self.hierarchy.head.get(at)?, self.head.get(at)?)));
        if let Some((level, shares)) = of_level {
            let codes = level.codes();
            let own = parent.map_or(0..codes.len(), |parent| span(codes, parent, |code| *code));
            let known = codes[own.clone()].iter().zip(&shares[own]);
            children.extend(known.map(|(code, share)| Child { code: *code, head: *share, vectors: 0.0, words: 0.0 }));
        }
        let nearest = self.vectors.add(&mut children, (level, parent), |child| &mut child.vectors);
        let best_words = self.words.add(&mut children, (level, parent), |child| &mut child.words);
        let sum = |of: fn(&Child) -> f64| children.iter().map(of).sum::<f64>();
        let (head, vectors, words) = (sum(|child| child.head), sum(|child| child.vectors), sum(|child| child.words));
        for child in &mut children {
            child.head = log_share(child.head, head);
            child.vectors = log_share(child.vectors, vectors);
            child.words = log_share(child.words, words);
        }
        Children { children, distance: 1.0 - nearest, best_words }
    }
}

/// The logarithm of a share, floored; where nobody has any, all are alike.
fn log_share(share: f64, sum: f64) -> f64 {
    if sum > 0.0 { (share / sum + FLOOR).ln() } else { 0.0 }
}

/// A code with the logarithms of what head, vectors and words say of it among its siblings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Child {
    pub(crate) code: Code,
    pub(crate) head: f64,
    pub(crate) vectors: f64,
    pub(crate) words: f64,
}

/// The children of one code, ascending.
#[derive(Debug, Clone)]
pub(crate) struct Children {
    pub(crate) children: Vec<Child>,
    /// Of the nearest entry, 1 less its cosine.
    pub(crate) distance: f64,
    /// The greatest score of shared words.
    pub(crate) best_words: f64,
}

impl Children {
    /// The share of each child in what its parent has, without that of none of them.
    fn shares(&self, weights: &LevelWeights) -> impl Iterator<Item = (Code, f64)> {
        let LevelWeights { head, vectors, words, other, other_by_distance, other_by_words, thresholds: _ } = weights;
        let score = |child: &Child| head * child.head + vectors * child.vectors + words * child.words;
        let other = other + other_by_distance * self.distance + other_by_words * self.best_words;
        let scores: Vec<f64> = self.children.iter().map(score).collect();
        let highest = scores.iter().copied().fold(other, f64::max);
        let sum: f64 = scores.iter().chain([&other]).map(|score| (score - highest).exp()).sum();
        self.children.iter().zip(scores).map(move |(child, score)| (child.code, (score - highest).exp() / sum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn code(text: &str) -> Code {
        text.parse().unwrap()
    }

    fn near(text: &str, cosine: f32) -> Near {
        Near { code: code(text), text: false, cosine }
    }

    fn found(near: &[Near]) -> Found {
        Found { near: near.to_vec(), words: Vec::new() }
    }

    fn hierarchy(outputs: &[&str]) -> Hierarchy {
        let names: Vec<String> = outputs.iter().map(|output| (*output).to_owned()).collect();
        Hierarchy::new(&names, Weights::even()).unwrap()
    }

    #[test]
    fn children_share_what_their_parent_has() {
        let hierarchy = hierarchy(&["43211500", "43211600", "43230000", "44100000", "50000000"]);
        let near = [near("43211503", 0.9), near("43211507", 0.9), near("44103103", 0.6), near("43212100", 0.5)];
        let probabilities = hierarchy.probabilities(&[2.0, 1.0, 1.0, 0.0, -1.0], &found(&near));
        let sums: f64 = probabilities.at(Level::Segment).iter().map(|(_, p)| p).sum();
        assert!(sums <= 1.0 && sums > 0.95, "{sums}");
        for (finer, coarser) in
            [(Level::Family, Level::Segment), (Level::Class, Level::Family), (Level::Commodity, Level::Class)]
        {
            for (parent, probability) in probabilities.at(coarser) {
                let children = probabilities.at(finer).iter().filter(|(child, _)| child.at(coarser) == *parent);
                let sum: f64 = children.map(|(_, p)| p).sum();
                assert!(sum <= probability + 1e-12, "{parent}: {sum} of {probability}");
            }
        }
        let path: Vec<String> = probabilities.path().into_iter().map(|(_, code, _)| code.to_string()).collect();
        assert_eq!(path, ["43000000", "43210000", "43211500", "43211503"], "of equal commodities the lower code");
    }

    #[test]
    fn the_search_finds_what_the_head_does_not_know_and_the_head_what_is_not_near() {
        let hierarchy = hierarchy(&["10100000", "20100000"]);
        let segments = |logits: [f32; 2], near: &[Near]| {
            let probabilities = hierarchy.probabilities(&logits, &found(near));
            probabilities.at(Level::Segment).iter().map(|(code, _)| code.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(segments([0.0, 0.0], &[near("30101500", 0.9)])[0], "30000000");
        assert_eq!(segments([0.0, 3.0], &[]), ["20000000", "10000000"]);
        assert_eq!(segments([0.0, 9.0], &[near("30101500", 0.1), near("20101500", 0.1)])[0], "20000000");
    }

    #[test]
    fn a_text_counts_less_than_a_title_where_that_was_fitted() {
        let best = |text_penalty| {
            let hierarchy = hierarchy(&["10100000", "20100000"]).with(Weights { text_penalty, ..Weights::even() });
            let near = [near("10101500", 0.8), Near { text: true, ..near("20101500", 0.85) }];
            hierarchy.probabilities(&[0.0, 0.0], &found(&near)).path()[0].1.to_string()
        };
        assert_eq!([best(0.0), best(0.1)], ["20000000", "10000000"]);
    }

    #[test]
    fn words_decide_between_equal_vectors() {
        let hierarchy = hierarchy(&["10100000", "20100000"]);
        let path = |words: &[(&str, f32)]| {
            let words = words.iter().map(|(text, score)| (code(text), *score)).collect();
            let near = vec![near("20101500", 0.8), near("10101500", 0.8)];
            let path = hierarchy.probabilities(&[0.0, 0.0], &Found { near, words }).path();
            path.into_iter().map(|(_, code, _)| code.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(path(&[])[0], "10000000");
        assert_eq!(path(&[("20101501", 8.0), ("10101501", 7.0)]), ["20000000", "20100000", "20101500", "20101501"]);
    }

    #[test]
    fn the_more_the_words_share_the_less_is_kept_for_other_codes() {
        let mut weights = Weights::even();
        weights.levels.values_mut().for_each(|level| (level.other, level.other_by_words) = (2.0, -1.0));
        let hierarchy = hierarchy(&["10100000", "20100000"]).with(weights);
        let known = |score| {
            let words = vec![(code("10101501"), score)];
            let probabilities = hierarchy.probabilities(&[0.0, 0.0], &Found { words, ..Found::default() });
            probabilities.at(Level::Segment).iter().map(|(_, p)| p).sum::<f64>()
        };
        assert!(known(1.0) < known(5.0) && known(5.0) < 1.0);
    }

    #[test]
    fn without_evidence_there_is_no_path_and_names_are_no_codes() {
        let probabilities = hierarchy(&["10000000", "20000000"]).probabilities(&[0.0, 0.0], &Found::default());
        assert_eq!(probabilities.path().len(), 1, "nothing is known below the segment");
        assert!(Hierarchy::new(&["good".into()], Weights::even()).is_none());
    }
}
