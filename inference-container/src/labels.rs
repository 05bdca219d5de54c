//! The labels of the model's classes, and what they add up to at coarser levels.

use std::collections::BTreeMap;

use unspsc_taxonomy::{Code, Level, Titles};

use crate::api_error::ApiError;

/// A label with its title, where that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) name: String,
    pub(crate) title: Option<String>,
}

/// Labels at one level.
#[derive(Debug)]
pub(crate) struct LabelSet {
    pub(crate) level: Option<Level>,
    pub(crate) labels: Vec<Label>,
    /// For each class of the model, the place of its label in `labels`; none where they are the classes themselves.
    sums: Option<Vec<usize>>,
}

impl LabelSet {
    /// The probability of each label, for `probabilities` of the classes.
    pub(crate) fn sum(&self, probabilities: Vec<f64>) -> Vec<f64> {
        let Some(sums) = &self.sums else { return probabilities };
        let mut totals = vec![0.0; self.labels.len()];
        for (label, probability) in sums.iter().zip(probabilities) {
            totals[*label] += probability;
        }
        // Rounding may carry a sum past 1.
        totals.into_iter().map(|total| total.min(1.0)).collect()
    }
}

/// The model's own labels, and those of every coarser level.
#[derive(Debug)]
pub(crate) struct Labels {
    own: LabelSet,
    coarser: Vec<LabelSet>,
}

impl Labels {
    /// `names` are the model's labels by class, `level` is theirs where the model directory states it; where it does
    /// not, it is the finest of the labels if these are codes.
    pub(crate) fn new(names: Vec<String>, level: Option<Level>, titles: &BTreeMap<String, String>) -> Self {
        let codes: Option<Vec<Code>> = names.iter().map(|name| name.parse().ok()).collect();
        let level = level.or_else(|| codes.as_ref()?.iter().map(|code| code.level()).max());
        let coarser: Vec<Level> = match (level, &codes) {
            (Some(level), Some(_)) => Level::ALL.into_iter().take_while(|coarser| *coarser < level).collect(),
            _ => Vec::new(),
        };
        let codes = codes.unwrap_or_default();
        let coarser = coarser.into_iter().map(|level| summed(&codes, level, titles)).collect();
        let labels = names.into_iter().map(|name| Label { title: titles.get(&name).cloned(), name }).collect();
        Self { own: LabelSet { level, labels, sums: None }, coarser }
    }

    /// How many classes there are.
    pub(crate) fn classes(&self) -> usize {
        self.own.labels.len()
    }

    /// The model's own labels.
    pub(crate) fn own(&self) -> &LabelSet {
        &self.own
    }

    /// The segments; the model's own labels where these are no codes.
    pub(crate) fn segments(&self) -> &LabelSet {
        self.coarser.iter().find(|set| set.level == Some(Level::Segment)).unwrap_or(&self.own)
    }

    /// The labels at `level`; without one, the model's own.
    pub(crate) fn at(&self, level: Option<Level>) -> Result<&LabelSet, ApiError> {
        let Some(level) = level.filter(|level| Some(*level) != self.own.level) else { return Ok(&self.own) };
        let coarser = self.coarser.iter().find(|set| set.level == Some(level));
        coarser.ok_or_else(|| {
            ApiError::InvalidRequest(match self.own.level {
                Some(own) if own < level => {
                    format!(
                        "`level` is {level}, but the model knows nothing finer than {own}: ask for {own} or coarser"
                    )
                }
                _ => "`level` cannot be chosen: the model's labels are no codes of a known level".to_owned(),
            })
        })
    }
}

/// The ancestors of `codes` at `level`, ascending.
fn summed(codes: &[Code], level: Level, titles: &BTreeMap<String, String>) -> LabelSet {
    let mut ancestors: Vec<Code> = codes.iter().map(|code| code.at(level)).collect();
    ancestors.sort_unstable();
    ancestors.dedup();
    let embedded = Titles::embedded().unwrap_or_default();
    let label = |code: &Code| {
        let name = code.to_string();
        let title = titles.get(&name).map(String::as_str).or_else(|| embedded.nearest(*code)).map(str::to_owned);
        Label { name, title }
    };
    // Found, as every ancestor is in the list.
    let place = |code: &Code| ancestors.binary_search(&code.at(level)).unwrap_or_else(|place| place);
    let sums = Some(codes.iter().map(place).collect());
    LabelSet { level: Some(level), labels: ancestors.iter().map(label).collect(), sums }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(names: &[&str], level: Option<Level>) -> Labels {
        Labels::new(names.iter().map(|name| (*name).to_owned()).collect(), level, &BTreeMap::new())
    }

    #[test]
    fn probabilities_add_up_along_the_hierarchy() {
        let labels = labels(&["50221100", "44103100", "50192100", "50221200"], Some(Level::Class));
        let probabilities = vec![0.1, 0.2, 0.3, 0.4];
        let at = |level| {
            let set = labels.at(level).unwrap();
            let sums = set.sum(probabilities.clone());
            set.labels.iter().map(|label| label.name.clone()).zip(sums).collect::<Vec<_>>()
        };
        let families = at(Some(Level::Family));
        let names: Vec<_> = families.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["44100000", "50190000", "50220000"]);
        assert!((families[2].1 - 0.5).abs() < 1e-12);
        let segments = at(Some(Level::Segment));
        assert_eq!(segments.len(), 2);
        assert!((segments[1].1 - 0.8).abs() < 1e-12 && (segments[0].1 - 0.2).abs() < 1e-12);
        assert_eq!(at(None), at(Some(Level::Class)));
        assert_eq!(labels.segments().level, Some(Level::Segment));
        let segment = &labels.at(Some(Level::Segment)).unwrap().labels[1];
        assert_eq!(segment.title.as_deref(), Some("Food Beverage and Tobacco Products"));
    }

    #[test]
    fn a_level_that_the_model_does_not_know_is_refused() {
        let segments = labels(&["50000000", "44000000"], None);
        assert_eq!(segments.own().level, Some(Level::Segment), "the labels themselves say it");
        let error = segments.at(Some(Level::Class)).unwrap_err().to_string();
        assert!(error.contains("nothing finer than segment"), "{error}");
        let words = labels(&["good", "bad"], None);
        assert_eq!(words.segments().labels.len(), 2);
        let error = words.at(Some(Level::Segment)).unwrap_err().to_string();
        assert!(error.contains("no codes of a known level"), "{error}");
    }
}
