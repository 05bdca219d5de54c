//! A mark's profile: which share of its items each segment may expect.

use std::collections::BTreeMap;

use unspsc_contract::invocation::{MarkProfile, Outcome, SegmentShare};

use crate::labels::Label;

/// The least share that is listed of a segment that is no item's most probable one: below it are the traces of
/// probability that a model leaves everywhere.
const MIN_SHARE: f64 = 0.05;

/// The outcomes of a statement's items, and what they add up to by segment.
#[derive(Debug, Default)]
pub(crate) struct Classified {
    /// One each, in the statement's order.
    pub(super) outcomes: Vec<Outcome>,
    /// The probability of each segment, summed over the items that have a prediction. `[segments]`
    totals: Vec<f64>,
    /// How many items have a prediction.
    predicted: usize,
    /// For each segment the items whose most probable one it is, with its probability.
    best: BTreeMap<usize, Vec<(usize, f64)>>,
}

impl Classified {
    /// Adds the next item, whose probability by segment is `segments`, `[segments]`; none for one without a prediction.
    pub(crate) fn push(&mut self, outcome: Outcome, segments: Option<&[f64]>) {
        if let Some(segments) = segments {
            self.totals.resize(segments.len(), 0.0);
            self.totals.iter_mut().zip(segments).for_each(|(total, probability)| *total += probability);
            // Of equal ones the first.
            let best = segments.iter().copied().enumerate().rev().max_by(|(_, a), (_, b)| a.total_cmp(b));
            if let Some((segment, probability)) = best {
                self.best.entry(segment).or_default().push((self.outcomes.len(), probability));
            }
            self.predicted += 1;
        }
        self.outcomes.push(outcome);
    }

    /// The profile over the segments that `labels` name. A share is the mean of the items' probabilities of the segment:
    /// the share of items that it may expect to hold, as sure or unsure as these are.
    pub(super) fn profile(&self, labels: &[Label]) -> MarkProfile {
        let places = |is: fn(&Outcome) -> bool| {
            let found = self.outcomes.iter().enumerate().filter(move |(_, outcome)| is(outcome));
            found.map(|(place, _)| place).collect()
        };
        let segments = labels.iter().enumerate().filter_map(|(segment, label)| self.share(segment, label));
        let mut segments: Vec<SegmentShare> = segments.collect();
        // Equal ones stay in the order of their labels.
        segments.sort_by(|a, b| b.share.total_cmp(&a.share));
        let listed: f64 = segments.iter().map(|segment| segment.share).sum();
        MarkProfile {
            segments,
            // Rounding may carry the sum past 1.
            other: if self.predicted == 0 { 0.0 } else { (1.0 - listed).max(0.0) },
            failed: places(|outcome| matches!(outcome, Outcome::Error(_))),
            needs_review: places(|outcome| matches!(outcome, Outcome::Prediction(it) if it.needs_review)),
        }
    }

    /// What is said of one segment, if it is worth a line.
    fn share(&self, segment: usize, label: &Label) -> Option<SegmentShare> {
        let items = self.best.get(&segment).map_or(&[][..], Vec::as_slice);
        let share = self.totals.get(segment)? / self.predicted as f64;
        if items.is_empty() && share < MIN_SHARE {
            return None;
        }
        let sum: f64 = items.iter().map(|(_, probability)| probability).sum();
        Some(SegmentShare {
            label: label.name.clone(),
            title: label.title.clone(),
            share: share.min(1.0),
            mean_probability: (!items.is_empty()).then(|| sum / items.len() as f64),
            items: items.iter().map(|(item, _)| *item).collect(),
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use unspsc_contract::invocation::{ErrorBody, ErrorDetail, Prediction};

    use super::*;

    /// The segments that the tests are about.
    fn labels() -> Vec<Label> {
        let label = |(name, title): (&str, Option<&str>)| Label { name: name.into(), title: title.map(str::to_owned) };
        [("44000000", None), ("50000000", Some("Food")), ("52000000", None)].map(label).into()
    }

    /// The items whose probabilities are given; none for one that failed. What is less probable than 0.4 needs review.
    fn classified(items: &[Option<[f64; 3]>]) -> Classified {
        let mut classified = Classified::default();
        for item in items {
            match item {
                Some(segments) => classified.push(prediction(segments.iter().any(|it| *it >= 0.4)), Some(segments)),
                None => classified.push(failure(), None),
            }
        }
        classified
    }

    fn prediction(sure: bool) -> Outcome {
        Outcome::Prediction(Prediction {
            label: String::new(),
            title: None,
            level: None,
            probability: 0.0,
            truncated: false,
            needs_review: !sure,
            top_k: Vec::new(),
            path: Vec::new(),
            by_level: None,
            pred_class: None,
            logits: None,
            embedding: None,
        })
    }

    /// The outcome of an item without a prediction.
    pub(in super::super) fn failure() -> Outcome {
        let (code, message) = ("empty_description".to_owned(), String::new());
        Outcome::Error(ErrorBody { error: ErrorDetail { code, message, retry_after: None, request_id: None } })
    }

    /// Label, share, mean probability and items of each segment.
    fn rows(profile: &MarkProfile) -> Vec<(&str, f64, Option<f64>, &[usize])> {
        profile.segments.iter().map(|s| (s.label.as_str(), s.share, s.mean_probability, s.items.as_slice())).collect()
    }

    #[test]
    fn an_item_counts_for_each_segment_by_its_probability() {
        let profile = classified(&[Some([0.0, 1.0, 0.0]), Some([0.25, 0.25, 0.5])]).profile(&labels());
        let expected = [
            ("50000000", 0.625, Some(1.0), &[0][..]),
            ("52000000", 0.25, Some(0.5), &[1][..]),
            ("44000000", 0.125, None, &[][..]),
        ];
        assert_eq!((rows(&profile), profile.other), (expected.to_vec(), 0.0));
        assert_eq!(profile.segments[0].title.as_deref(), Some("Food"));
    }

    #[test]
    fn traces_are_not_listed_but_the_best_segment_of_an_item_always_is() {
        let mut items = vec![Some([0.0625, 0.9375, 0.0]); 31];
        items.push(Some([0.0, 0.0, 1.0]));
        let profile = classified(&items).profile(&labels());
        let listed: Vec<&str> = profile.segments.iter().map(|segment| segment.label.as_str()).collect();
        assert_eq!(listed, ["50000000", "44000000", "52000000"]);
        let profile = classified(&[Some([0.03125, 0.9375, 0.03125])]).profile(&labels());
        assert_eq!((rows(&profile).len(), profile.other), (1, 0.0625));
    }

    #[test]
    fn of_equally_probable_segments_the_first_has_the_item() {
        let profile = classified(&[Some([0.5, 0.0, 0.5])]).profile(&labels());
        assert_eq!(rows(&profile), [("44000000", 0.5, Some(0.5), &[0][..]), ("52000000", 0.5, None, &[][..])]);
    }

    #[test]
    fn what_failed_is_in_no_share_and_what_needs_review_is_listed() {
        let items = [None, Some([0.375, 0.3125, 0.3125]), Some([0.5, 0.5, 0.0]), None];
        let profile = classified(&items).profile(&labels());
        assert_eq!(rows(&profile)[0], ("44000000", 0.4375, Some(0.4375), &[1, 2][..]));
        assert_eq!((profile.failed, profile.needs_review), (vec![0, 3], vec![1]));
        let none = classified(&items[..1]).profile(&labels());
        assert_eq!((none.segments.len(), none.other, none.failed, none.needs_review), (0, 0.0, vec![0], vec![]));
    }
}
