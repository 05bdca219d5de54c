//! How deep an answer goes, and whether it can be trusted there.

use unspsc_contract::invocation::Depth;
use unspsc_hierarchy::Probabilities;
use unspsc_taxonomy::{Code, Level};

/// A code at a level, with its probability.
pub(crate) type Step = (Level, Code, f64);

/// What is answered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Chosen {
    pub(crate) step: Step,
    /// The way from the segment to it, and on as far as anything is known.
    pub(crate) path: Vec<Step>,
    pub(crate) needs_review: bool,
}

/// The answer at `depth`, for a model by which `least` is the probability that is trusted at a level, if any is. None
/// only where there are no probabilities at all.
pub(crate) fn choose(
    probabilities: &Probabilities,
    depth: Depth,
    least: impl Fn(Level) -> Option<f64>,
) -> Option<Chosen> {
    let is_trusted = |(level, _, probability): &Step| least(*level).is_some_and(|least| *probability >= least);
    let best = |level| probabilities.at(level).first().map(|(code, probability)| (level, *code, *probability));
    match depth {
        Depth::Auto => {
            let path = probabilities.path();
            let trusted = path.iter().rposition(is_trusted);
            let step = *path.get(trusted.unwrap_or(0))?;
            Some(Chosen { step, path, needs_review: trusted.is_none() })
        }
        Depth::At(level) => {
            let Some(step) = best(level) else {
                // Nothing is known so deep: what is known above it is for a person to take further.
                let path = probabilities.path();
                return Some(Chosen { step: *path.last()?, path, needs_review: true });
            };
            let path = probabilities.path_through(step.1);
            Some(Chosen { step, path, needs_review: !is_trusted(&step) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two segments of equal probability, the first of which has the better family.
    fn probabilities() -> Probabilities {
        let codes = [("10101500", 0.4), ("10111500", 0.1), ("20101500", 0.25), ("20111500", 0.25)];
        let codes = codes.map(|(code, probability)| (code.parse().unwrap(), probability));
        Probabilities::sums(&codes, Level::Class)
    }

    fn chosen(depth: Depth, least: [Option<f64>; 4]) -> (Level, String, f64, bool) {
        let place = |level| Level::ALL.iter().position(|other| *other == level).unwrap();
        let Chosen { step: (level, code, probability), needs_review, .. } =
            choose(&probabilities(), depth, |level| least[place(level)]).unwrap();
        (level, code.to_string(), probability, needs_review)
    }

    #[test]
    fn auto_is_the_deepest_level_that_is_trusted() {
        let auto = |least: [Option<f64>; 4]| chosen(Depth::Auto, least);
        let segment = |review| (Level::Segment, "10000000".to_owned(), 0.5, review);
        assert_eq!(auto([Some(0.5), Some(0.5), Some(0.5), None]), segment(false));
        assert_eq!(auto([Some(0.6), Some(0.6), None, None]), segment(true), "not even the segment can be trusted");
        assert_eq!(auto([None; 4]), segment(true));
        let class = (Level::Class, "10101500".to_owned(), 0.4, false);
        assert_eq!(auto([Some(0.5), Some(0.5), Some(0.4), Some(0.0)]), class, "the levels between need not pass");
    }

    #[test]
    fn a_level_that_was_asked_for_is_answered_and_says_whether_it_can_be_trusted() {
        let least = [Some(0.5), Some(0.5), None, None];
        let at = |level| chosen(Depth::At(level), least);
        assert_eq!(at(Level::Segment), (Level::Segment, "10000000".into(), 0.5, false), "of equal ones the lower code");
        assert_eq!(at(Level::Family), (Level::Family, "10100000".into(), 0.4, true));
        assert!(at(Level::Class).3, "no probability is trusted at this level");
        assert_eq!(at(Level::Commodity), (Level::Class, "10101500".into(), 0.4, true), "nothing is known so deep");
    }

    #[test]
    fn the_path_leads_through_the_answer() {
        let codes = [("10101500", 0.3), ("10111500", 0.3), ("20101500", 0.4)];
        let codes = codes.map(|(code, probability)| (code.parse().unwrap(), probability));
        let probabilities = Probabilities::sums(&codes, Level::Class);
        let path = |depth| {
            let chosen = choose(&probabilities, depth, |_| None).unwrap();
            chosen.path.into_iter().map(|(_, code, _)| code.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(path(Depth::Auto), ["10000000", "10100000", "10101500"]);
        assert_eq!(path(Depth::At(Level::Family)), ["20000000", "20100000", "20101500"], "not in the best segment");
    }
}
