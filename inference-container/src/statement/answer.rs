//! From the outcomes of a statement's items to the answer: the mark's profile, and places that a page can mark.

use std::collections::BTreeMap;
use std::iter::zip;
use std::ops::Range;
use std::sync::LazyLock;

use unspsc_contract::invocation::{
    MarkProfile, Outcome, Place, Prediction, SegmentShare, StatementItem, StatementRemark, StatementResponse,
};
use unspsc_taxonomy::{Code, Level, Titles};

use super::{Item, Remark, Statement};

/// Titles of segments, for models whose labels are finer. The embedded file can be read: `unspsc_taxonomy` tests it.
static TITLES: LazyLock<Option<Titles>> = LazyLock::new(|| Titles::embedded().ok());

impl Statement {
    /// The answer to a statement whose items were classified as `outcomes`, one each in their order.
    pub(crate) fn answer(&self, outcomes: Vec<Outcome>) -> StatementResponse {
        let profile = profile(&outcomes);
        let (mut items, mut remarks) = (Places::new(&self.text), Places::new(&self.text));
        let item = |(item, outcome): (&Item, Outcome)| StatementItem {
            text: self.text[item.span.clone()].to_owned(),
            place: items.of(&item.span),
            nice_class: item.nice_class,
            classified: item.wording.clone(),
            outcome,
        };
        let items = zip(&self.items, outcomes).map(item).collect();
        let remark = |remark: &Remark| StatementRemark {
            kind: remark.kind,
            text: self.text[remark.span.clone()].to_owned(),
            place: remarks.of(&remark.span),
        };
        StatementResponse { profile, items, remarks: self.remarks.iter().map(remark).collect() }
    }
}

/// Counts characters for spans whose beginnings come in order.
struct Places<'t> {
    text: &'t str,
    byte: usize,
    character: usize,
}

impl<'t> Places<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, byte: 0, character: 0 }
    }

    fn of(&mut self, span: &Range<usize>) -> Place {
        self.character += self.text[self.byte..span.start].chars().count();
        self.byte = span.start;
        Place { start: self.character, end: self.character + self.text[span.clone()].chars().count() }
    }
}

/// How the items spread over the segments, each counted for that of its most probable label. Items without a
/// prediction are in no share.
fn profile(outcomes: &[Outcome]) -> MarkProfile {
    let (mut failed, mut needs_review) = (Vec::new(), Vec::new());
    let mut segments: BTreeMap<String, Vec<(usize, &Prediction)>> = BTreeMap::new();
    for (place, outcome) in outcomes.iter().enumerate() {
        match outcome {
            Outcome::Error(_) => failed.push(place),
            Outcome::Prediction(prediction) => {
                segments.entry(segment(&prediction.label)).or_default().push((place, prediction));
                needs_review.extend(prediction.needs_review.then_some(place));
            }
        }
    }
    let all = outcomes.len() - failed.len();
    let mut segments: Vec<SegmentShare> =
        segments.into_iter().map(|(label, items)| share(label, &items, all)).collect();
    // Equal ones stay in the order of their labels.
    segments.sort_by(|a, b| {
        let by_count = b.items.len().cmp(&a.items.len());
        by_count.then(b.mean_probability.total_cmp(&a.mean_probability))
    });
    MarkProfile { segments, failed, needs_review }
}

/// The segment of a label; the label itself where it is no code.
fn segment(label: &str) -> String {
    label.parse::<Code>().map_or_else(|_| label.to_owned(), |code| code.at(Level::Segment).to_string())
}

/// What `items` make of `all` that have a prediction.
fn share(label: String, items: &[(usize, &Prediction)], all: usize) -> SegmentShare {
    let known = items.iter().find(|(_, prediction)| prediction.label == label);
    let title = known.and_then(|(_, prediction)| prediction.title.clone());
    let embedded = || Some(TITLES.as_ref()?.get(label.parse().ok()?)?.to_owned());
    SegmentShare {
        title: title.or_else(embedded),
        label,
        share: items.len() as f64 / all as f64,
        mean_probability: items.iter().map(|(_, prediction)| prediction.probability).sum::<f64>() / items.len() as f64,
        items: items.iter().map(|(place, _)| *place).collect(),
    }
}

#[cfg(test)]
mod tests {
    use unspsc_contract::invocation::{ErrorBody, ErrorDetail};

    use super::*;

    /// A prediction, which needs review below 0.4.
    fn sure(label: &str, title: Option<&str>, probability: f64) -> Outcome {
        Outcome::Prediction(Prediction {
            label: label.to_owned(),
            title: title.map(str::to_owned),
            level: None,
            probability,
            truncated: false,
            needs_review: probability < 0.4,
            top_k: Vec::new(),
            pred_class: None,
            logits: None,
            embedding: None,
        })
    }

    fn failure() -> Outcome {
        let (code, message) = ("empty_description".to_owned(), String::new());
        Outcome::Error(ErrorBody { error: ErrorDetail { code, message, retry_after: None, request_id: None } })
    }

    /// Label, share, mean probability and items of each segment.
    fn rows(profile: &MarkProfile) -> Vec<(&str, f64, f64, &[usize])> {
        profile.segments.iter().map(|s| (s.label.as_str(), s.share, s.mean_probability, s.items.as_slice())).collect()
    }

    #[test]
    fn shares_are_of_items_and_add_up_to_one() {
        let food = |probability| sure("50000000", Some("Food"), probability);
        let outcomes = [food(0.5), sure("52000000", None, 0.25), food(1.0), sure("52000000", None, 0.75)];
        let all = profile(&outcomes);
        assert_eq!(rows(&all), [("50000000", 0.5, 0.75, &[0, 2][..]), ("52000000", 0.5, 0.5, &[1, 3][..])]);
        assert_eq!(all.segments[0].title.as_deref(), Some("Food"), "the model's own title");
        let embedded = all.segments[1].title.as_deref();
        assert!(embedded.is_some_and(|title| title.contains("Domestic Appliances")), "{embedded:?}");
        assert_eq!(rows(&profile(&outcomes[..3]))[0].1, 2.0 / 3.0);
    }

    #[test]
    fn finer_labels_count_for_their_segment_and_others_for_themselves() {
        let outcomes =
            [sure("50201706", Some("Coffee"), 0.5), sure("50181900", None, 0.5), sure("beverage", None, 0.9)];
        let profile = profile(&outcomes);
        assert_eq!(rows(&profile), [("50000000", 2.0 / 3.0, 0.5, &[0, 1][..]), ("beverage", 1.0 / 3.0, 0.9, &[2][..])]);
        assert_eq!(profile.segments[0].title.as_deref(), Some("Food Beverage and Tobacco Products"));
        assert_eq!(profile.segments[1].title, None);
    }

    #[test]
    fn what_failed_is_in_no_share_and_what_needs_review_is_listed() {
        let outcomes = [failure(), sure("50000000", None, 0.3), sure("50000000", None, 0.5), failure()];
        let some = profile(&outcomes);
        assert_eq!(rows(&some), [("50000000", 1.0, 0.4, &[1, 2][..])]);
        assert_eq!((some.failed, some.needs_review), (vec![0, 3], vec![1]));
        let none = profile(&outcomes[..1]);
        assert_eq!((none.segments.len(), none.failed, none.needs_review), (0, vec![0], vec![]));
    }

    #[test]
    fn places_are_counted_in_characters() {
        let text = "Crème brûlée [茶, ] – 可可 (excluding ü); nuts";
        let statement = Statement::parse(text.to_owned()).unwrap();
        let outcomes = statement.items.iter().map(|_| failure()).collect();
        let answer = statement.answer(outcomes);
        let characters: Vec<char> = text.chars().collect();
        let at = |place: Place| characters[place.start..place.end].iter().collect::<String>();
        assert!(answer.items.iter().all(|item| at(item.place) == item.text) && answer.items.len() == 3);
        assert!(answer.remarks.iter().all(|remark| at(remark.place) == remark.text) && answer.remarks.len() == 2);
    }
}
