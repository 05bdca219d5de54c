//! The labels of the model's classes, the levels that can be answered, and the titles of codes.

use std::collections::BTreeMap;
use std::sync::Arc;

use unspsc_contract::invocation::Depth;
use unspsc_hierarchy::Probabilities;
use unspsc_taxonomy::{Code, Level, Titles};

use crate::api_error::ApiError;
use crate::index::Index;

/// A label with its title, where that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) name: String,
    pub(crate) title: Option<String>,
}

/// The model's own labels, and what is known of the levels above and below them.
#[derive(Debug)]
pub(crate) struct Labels {
    own: Vec<Label>,
    /// The level of the own labels: as the model directory states it, or the finest of theirs where they are codes.
    level: Option<Level>,
    /// The own labels with their classes, ascending; empty where not all of them are codes.
    codes: Vec<(Code, usize)>,
    /// The segments, ascending; empty where nothing is known of codes.
    segments: Vec<Code>,
    /// The segments; the own labels where nothing is known of codes.
    segment_labels: Vec<Label>,
    titles: TitleSources,
}

/// Where titles come from.
#[derive(Debug)]
struct TitleSources {
    index: Option<Arc<Index>>,
    /// Those of `unspsc.json`, by label.
    of_labels: BTreeMap<String, String>,
    embedded: Titles,
}

impl TitleSources {
    /// The title of `code` or, where none is known, of its closest ancestor that has one.
    fn get(&self, code: Code) -> Option<&str> {
        let exact = |code: Code| {
            let of_index = self.index.as_ref().and_then(|index| index.title(code));
            let of_labels = || self.of_labels.get(&code.to_string()).map(String::as_str);
            of_index.or_else(of_labels).or_else(|| self.embedded.get(code))
        };
        Level::ALL.into_iter().rev().filter(|level| code.reaches(*level)).find_map(|level| exact(code.at(level)))
    }

    fn label(&self, code: Code) -> Label {
        Label { name: code.to_string(), title: self.get(code).map(str::to_owned) }
    }
}

impl Labels {
    /// `names` are the model's labels by class, `level` is theirs where the model directory states it, and `titles` are
    /// those that it has.
    pub(crate) fn new(
        names: Vec<String>,
        level: Option<Level>,
        titles: BTreeMap<String, String>,
        index: Option<Arc<Index>>,
    ) -> Self {
        let titles = TitleSources { index, of_labels: titles, embedded: Titles::embedded().unwrap_or_default() };
        let codes: Option<Vec<Code>> = names.iter().map(|name| name.parse().ok()).collect();
        let own = match &codes {
            Some(codes) => codes.iter().map(|code| titles.label(*code)).collect(),
            None => names.into_iter().map(|name| Label { title: titles.of_labels.get(&name).cloned(), name }).collect(),
        };
        let mut codes: Vec<(Code, usize)> = codes.unwrap_or_default().into_iter().zip(0..).collect();
        codes.sort_unstable();
        let mut segments: Vec<Code> = titles.index.as_ref().map_or_else(Vec::new, |index| index.segments());
        segments.extend(codes.iter().map(|(code, _)| code.at(Level::Segment)));
        segments.sort_unstable();
        segments.dedup();
        let segment_labels = segments.iter().map(|code| titles.label(*code)).collect();
        Self {
            level: level.or_else(|| codes.iter().map(|(code, _)| code.level()).max()),
            segment_labels: if segments.is_empty() { Vec::clone(&own) } else { segment_labels },
            own,
            codes,
            segments,
            titles,
        }
    }

    /// How many classes there are.
    pub(crate) fn classes(&self) -> usize {
        self.own.len()
    }

    /// The model's own labels.
    pub(crate) fn own(&self) -> &[Label] {
        &self.own
    }

    /// The level of the model's own labels, where it is known.
    pub(crate) fn level(&self) -> Option<Level> {
        self.level
    }

    /// The title of `code`, or of its closest ancestor that has one.
    pub(crate) fn title(&self, code: Code) -> Option<&str> {
        self.titles.get(code)
    }

    /// The segments; the model's own labels where these are no codes.
    pub(crate) fn segments(&self) -> &[Label] {
        &self.segment_labels
    }

    /// The probability of each of [`Labels::segments`], where these are codes: `[segments]`.
    pub(crate) fn by_segment(&self, probabilities: &Probabilities) -> Vec<f64> {
        let mut dense = vec![0.0; self.segments.len()];
        for (code, probability) in probabilities.at(Level::Segment) {
            if let Ok(place) = self.segments.binary_search(code) {
                dense[place] = *probability;
            }
        }
        dense
    }

    /// What `probabilities` of the classes add up to, level by level; none where the labels are no codes.
    pub(crate) fn sums(&self, probabilities: &[f64]) -> Option<Probabilities> {
        let finest = self.level.filter(|_| !self.codes.is_empty())?;
        let of_code = |(code, class): &(Code, usize)| Some((*code, *probabilities.get(*class)?));
        Some(Probabilities::sums(&self.codes.iter().filter_map(of_code).collect::<Vec<_>>(), finest))
    }

    /// The levels that can be answered, coarse to fine; none where labels are no codes.
    pub(crate) fn levels(&self) -> impl Iterator<Item = Level> {
        let finest = match &self.titles.index {
            Some(_) => Some(Level::Commodity),
            None => self.level.filter(|_| !self.codes.is_empty()),
        };
        Level::ALL.into_iter().take_while(move |level| Some(*level) <= finest)
    }

    /// How deep to answer a request that asks for `depth`: without one, at the level of the own labels; none where that
    /// can only be a label that is no code.
    pub(crate) fn depth(&self, depth: Option<Depth>) -> Option<Depth> {
        let own = self.level.filter(|_| !self.codes.is_empty()).map(Depth::At);
        depth.or(own).filter(|_| self.levels().next().is_some())
    }

    /// Whether `depth` can be answered.
    ///
    /// # Errors
    /// If the model knows no such level.
    pub(crate) fn check(&self, depth: Option<Depth>) -> Result<(), ApiError> {
        let Some(Depth::At(level)) = depth else { return Ok(()) };
        match self.levels().last() {
            Some(finest) if level <= finest => Ok(()),
            Some(finest) => Err(ApiError::InvalidRequest(format!(
                "`depth` is {level}, but the model knows nothing finer than {finest}: ask for {finest}, coarser or auto"
            ))),
            None if self.level == Some(level) => Ok(()),
            None => Err(ApiError::InvalidRequest(
                "`depth` cannot be chosen: the model's labels are no codes of a known level".into(),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(names: &[&str], level: Option<Level>) -> Labels {
        Labels::new(names.iter().map(|name| (*name).to_owned()).collect(), level, BTreeMap::new(), None)
    }

    #[test]
    fn probabilities_add_up_along_the_hierarchy() {
        let labels = labels(&["50221100", "44103100", "50192100", "50221200"], Some(Level::Class));
        let sums = labels.sums(&[0.1, 0.2, 0.3, 0.4]).unwrap();
        let at = |level| sums.at(level).iter().map(|(code, _)| code.to_string()).collect::<Vec<_>>();
        assert_eq!(at(Level::Family), ["50220000", "50190000", "44100000"]);
        assert!((sums.at(Level::Family)[0].1 - 0.5).abs() < 1e-12);
        assert_eq!(at(Level::Segment), ["50000000", "44000000"]);
        assert_eq!(at(Level::Class), ["50221200", "50192100", "44103100", "50221100"]);
        assert!(at(Level::Commodity).is_empty());
        let segments = labels.by_segment(&sums);
        assert!((segments[0] - 0.2).abs() < 1e-12 && (segments[1] - 0.8).abs() < 1e-12, "{segments:?}");
        assert_eq!(labels.segments()[1].title.as_deref(), Some("Food Beverage and Tobacco Products"));
        assert_eq!(labels.levels().collect::<Vec<_>>(), &Level::ALL[..3]);
        assert_eq!(labels.depth(None), Some(Depth::At(Level::Class)));
    }

    #[test]
    fn a_level_that_the_model_does_not_know_is_refused() {
        let segments = labels(&["50000000", "44000000"], None);
        assert_eq!(segments.level(), Some(Level::Segment), "the labels themselves say it");
        let error = segments.check(Some(Depth::At(Level::Class))).unwrap_err().to_string();
        assert!(error.contains("nothing finer than segment"), "{error}");
        let words = labels(&["good", "bad"], None);
        assert_eq!((words.segments().len(), words.depth(Some(Depth::Auto))), (2, None));
        assert_eq!(words.check(Some(Depth::Auto)), Ok(()));
        let error = words.check(Some(Depth::At(Level::Segment))).unwrap_err().to_string();
        assert!(error.contains("no codes of a known level"), "{error}");
    }
}
