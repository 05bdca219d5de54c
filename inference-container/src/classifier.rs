//! What lies around the network: text to tokens before it, logits to a prediction after it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use unspsc_artifact::{Artifact, TextEncoder, TokenIds};
use unspsc_contract::invocation::{Candidate, DEFAULT_REVIEW_THRESHOLD, Depth, Prediction, Score, Step};
use unspsc_hierarchy::{Probabilities, Threshold};
use unspsc_taxonomy::{Code, Level, clean};

use crate::api_error::ApiError;
use crate::depth::{Chosen, choose};
use crate::inbox::Row;
use crate::index::Index;
use crate::labels::{Label, Labels};
use crate::request::{AnswerOptions, Function};

/// Tokenizer, labels and calibration of the served model.
#[derive(Debug)]
pub(crate) struct Classifier {
    text: TextEncoder,
    /// Whether the model was trained on cleaned texts.
    cleans: bool,
    labels: Labels,
    temperature: f64,
    index: Option<Arc<Index>>,
}

impl Classifier {
    pub(crate) fn new(artifact: Artifact, index: Option<Arc<Index>>) -> Self {
        let Artifact { config, metadata, text } = artifact;
        let names = metadata.label_names(&config);
        Self {
            text,
            cleans: metadata.cleaning_version.is_some(),
            labels: Labels::new(names, metadata.level, metadata.titles, index.clone()),
            temperature: metadata.temperature,
            index,
        }
    }

    /// How many classes there are.
    pub(crate) fn classes(&self) -> usize {
        self.labels.classes()
    }

    /// The tokens of a description.
    pub(crate) fn tokens(&self, description: &str) -> Result<TokenIds, ApiError> {
        let empty = if self.cleans { clean(description).is_empty() } else { description.trim().is_empty() };
        if empty {
            return Err(ApiError::EmptyDescription);
        }
        self.text.encode(description).map_err(|error| ApiError::Internal(error.to_string()))
    }

    /// Whether `depth` can be answered.
    ///
    /// # Errors
    /// If the model knows no such level.
    pub(crate) fn check(&self, depth: Option<Depth>) -> Result<(), ApiError> {
        self.labels.check(depth)
    }

    /// The prediction that `row` stands for.
    pub(crate) fn prediction(
        &self,
        row: Row,
        truncated: bool,
        options: &AnswerOptions,
    ) -> Result<Prediction, ApiError> {
        let by_code = self.labels.depth(options.depth).and_then(|depth| Some((depth, self.probabilities(&row)?)));
        let prediction = match by_code {
            Some((depth, probabilities)) => self.of_codes(&probabilities, depth, options),
            None => self.of_labels(&row, options),
        };
        let Row { logits, embedding, .. } = row;
        let prediction =
            prediction.ok_or_else(|| ApiError::Internal(format!("{} logits have no largest", logits.len())))?;
        let logits = options.logits.unwrap_or(false).then_some(logits);
        let pred_class = logits.as_deref().and_then(place_of_largest);
        Ok(Prediction { truncated, pred_class, logits, embedding, ..prediction })
    }

    /// What is to be expected of a text level by level: what head and index say together or, without an index, what
    /// its labels add up to. None where labels are no codes.
    fn probabilities<'r>(&self, row: &'r Row) -> Option<Cow<'r, Probabilities>> {
        let sums = || self.labels.sums(&softmax(&row.logits, self.temperature)).map(Cow::Owned);
        row.probabilities.as_ref().map(Cow::Borrowed).or_else(sums)
    }

    /// The answer by codes.
    fn of_codes(&self, probabilities: &Probabilities, depth: Depth, options: &AnswerOptions) -> Option<Prediction> {
        let least = |level| self.least(Some((level, depth)), options);
        let Chosen { step: (level, code, probability), path, needs_review } = choose(probabilities, depth, least)?;
        let candidates = |level| {
            let most = probabilities.at(level).iter().take(options.top_k);
            most.map(|(code, probability)| self.candidate(*code, *probability)).collect::<Vec<Candidate>>()
        };
        let by_level = || self.labels.levels().map(|level| (level, candidates(level))).collect();
        let step = |(level, code, probability)| {
            let Candidate { label, title, probability } = self.candidate(code, probability);
            Step { level, label, title, probability }
        };
        Some(Prediction {
            path: path.into_iter().map(step).collect(),
            by_level: options.by_level.then(by_level),
            ..bare(self.candidate(code, probability), Some(level), needs_review, candidates(level))
        })
    }

    fn candidate(&self, code: Code, probability: f64) -> Candidate {
        Candidate { label: code.to_string(), title: self.labels.title(code).map(str::to_owned), probability }
    }

    /// The answer by the model's own labels, which are no codes.
    fn of_labels(&self, row: &Row, options: &AnswerOptions) -> Option<Prediction> {
        let candidate = |(place, probability): (usize, f64)| {
            let Label { name, title } = self.labels.own().get(place)?.clone();
            Some(Candidate { label: name, title, probability })
        };
        let best = largest(&softmax(&row.logits, self.temperature), options.top_k);
        let top_k: Vec<Candidate> = best.into_iter().filter_map(candidate).collect();
        let best = top_k.first()?.clone();
        let needs_review = self.least(None, options).is_none_or(|least| best.probability < least);
        let by_level = options.by_level.then(BTreeMap::new);
        Some(Prediction { by_level, ..bare(best, self.labels.level(), needs_review, top_k) })
    }

    /// The least probability of an answer at a level that needs no review, where it was asked for so deep; none where each does.
    fn least(&self, at: Option<(Level, Depth)>, options: &AnswerOptions) -> Option<f64> {
        let index = self.index.as_ref().filter(|index| index.has_thresholds());
        match (options.threshold, index, at) {
            (Some(threshold), ..) => Some(threshold),
            (None, Some(index), Some((level, depth))) => {
                let Threshold { probability, on_path, .. } = index.threshold(level, options.precision)?;
                if depth == Depth::Auto { *on_path } else { *probability }
            }
            _ => Some(DEFAULT_REVIEW_THRESHOLD),
        }
    }

    /// The segments, or the model's own labels where these are no codes.
    pub(crate) fn segments(&self) -> &[Label] {
        self.labels.segments()
    }

    /// The probability of each of [`Classifier::segments`] for `row`. `[segments]`
    pub(crate) fn segment_probabilities(&self, row: &Row) -> Vec<f64> {
        let by_code = self.probabilities(row).map(|probabilities| self.labels.by_segment(&probabilities));
        by_code.unwrap_or_else(|| softmax(&row.logits, self.temperature))
    }

    /// The `count` best scores of `row`, descending, as `transformers` computes them: of the logits themselves and not
    /// of those that the temperature has calibrated.
    pub(crate) fn scores(&self, row: &Row, function: Function, count: usize) -> Vec<Score> {
        let logits = row.logits.iter().map(|logit| f64::from(*logit));
        let scores: Vec<f64> = match function {
            Function::Softmax => softmax(&row.logits, 1.0),
            Function::Sigmoid => logits.map(|logit| 1.0 / (1.0 + (-logit).exp())).collect(),
            Function::None => logits.collect(),
        };
        let labels = self.labels.own();
        let score = |(class, score): (usize, f64)| Some(Score { label: labels.get(class)?.name.clone(), score });
        largest(&scores, count).into_iter().filter_map(score).collect()
    }
}

/// The answer `best` with nothing that only some requests ask for.
fn bare(best: Candidate, level: Option<Level>, needs_review: bool, top_k: Vec<Candidate>) -> Prediction {
    let Candidate { label, title, probability } = best;
    Prediction {
        label,
        title,
        level,
        probability,
        truncated: false,
        needs_review,
        top_k,
        path: Vec::new(),
        by_level: None,
        pred_class: None,
        logits: None,
        embedding: None,
    }
}

/// The first of the largest logits.
fn place_of_largest(logits: &[f32]) -> Option<usize> {
    let values: Vec<f64> = logits.iter().map(|logit| f64::from(*logit)).collect();
    largest(&values, 1).first().map(|(place, _)| *place)
}

/// Probabilities of logits divided by `temperature`.
fn softmax(logits: &[f32], temperature: f64) -> Vec<f64> {
    let highest = logits.iter().fold(f32::NEG_INFINITY, |highest, logit| highest.max(*logit));
    let exponentials: Vec<f64> =
        logits.iter().map(|logit| ((f64::from(*logit) - f64::from(highest)) / temperature).exp()).collect();
    let total: f64 = exponentials.iter().sum();
    exponentials.into_iter().map(|exponential| exponential / total).collect()
}

/// The `count` largest values with their places, descending; equal ones in order.
fn largest(values: &[f64], count: usize) -> Vec<(usize, f64)> {
    let mut places: Vec<(usize, f64)> = values.iter().copied().enumerate().collect();
    let descending = |a: &(usize, f64), b: &(usize, f64)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    if count < places.len() {
        places.select_nth_unstable_by(count, descending);
        places.truncate(count);
    }
    places.sort_unstable_by(descending);
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_is_calibrated_and_stable() {
        let half = softmax(&[2.0, 0.0], 2.0);
        assert!((half[0] - 1.0 / (1.0 + (-1.0_f64).exp())).abs() < 1e-12);
        let huge = softmax(&[3e38, -3e38, 3e38], 1.0);
        assert_eq!(huge, [0.5, 0.0, 0.5]);
    }

    #[test]
    fn the_largest_come_first() {
        let values = [0.1, 0.4, 0.2, 0.2, 0.1];
        let places = |count| largest(&values, count).into_iter().map(|(place, _)| place).collect::<Vec<_>>();
        assert_eq!(places(1), [1]);
        assert_eq!(places(3), [1, 2, 3]);
        assert_eq!(places(99), [1, 2, 3, 0, 4]);
    }
}
