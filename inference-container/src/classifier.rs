//! What lies around the network: text to tokens before it, logits to a prediction after it.

use unspsc_artifact::{Artifact, TextEncoder, TokenIds};
use unspsc_contract::invocation::{Candidate, Prediction, Score};
use unspsc_taxonomy::{Level, clean};

use crate::api_error::ApiError;
use crate::inbox::Row;
use crate::labels::{LabelSet, Labels};
use crate::request::{AnswerOptions, Function};

/// Tokenizer, labels and calibration of the served model.
#[derive(Debug)]
pub(crate) struct Classifier {
    text: TextEncoder,
    /// Whether the model was trained on cleaned texts.
    cleans: bool,
    labels: Labels,
    temperature: f64,
}

impl Classifier {
    pub(crate) fn new(artifact: Artifact) -> Self {
        let Artifact { config, metadata, text } = artifact;
        let names = metadata.label_names(&config);
        Self {
            text,
            cleans: metadata.cleaning_version.is_some(),
            labels: Labels::new(names, metadata.level, &metadata.titles),
            temperature: metadata.temperature,
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

    /// The labels at `level`; without one, the model's own.
    ///
    /// # Errors
    /// If the model knows no such level.
    pub(crate) fn labels(&self, level: Option<Level>) -> Result<&LabelSet, ApiError> {
        self.labels.at(level)
    }

    /// The prediction that `row` stands for.
    pub(crate) fn prediction(
        &self,
        row: Row,
        truncated: bool,
        options: &AnswerOptions,
    ) -> Result<Prediction, ApiError> {
        let set = self.labels.at(options.level)?;
        let probabilities = set.sum(softmax(&row.logits, self.temperature));
        let candidate = |(place, probability): (usize, f64)| {
            let label = set.labels.get(place)?;
            Some(Candidate { label: label.name.clone(), title: label.title.clone(), probability })
        };
        let top_k: Vec<Candidate> = largest(&probabilities, options.top_k).into_iter().filter_map(candidate).collect();
        let best = top_k.first().cloned();
        let best = best.ok_or_else(|| ApiError::Internal(format!("{} logits have no largest", row.logits.len())))?;
        let Candidate { label, title, probability } = best;
        let logits = options.logits.unwrap_or(false).then_some(row.logits);
        Ok(Prediction {
            label,
            title,
            level: set.level,
            probability,
            truncated,
            needs_review: probability < options.threshold,
            top_k,
            path: Vec::new(),
            by_level: None,
            pred_class: logits.as_deref().and_then(place_of_largest),
            logits,
            embedding: row.embedding,
        })
    }

    /// The segments, or the model's own labels where these are no codes.
    pub(crate) fn segments(&self) -> &LabelSet {
        self.labels.segments()
    }

    /// The probability of each of [`Classifier::segments`] for `row`. `[segments]`
    pub(crate) fn segment_probabilities(&self, row: &Row) -> Vec<f64> {
        self.segments().sum(softmax(&row.logits, self.temperature))
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
        let labels = &self.labels.own().labels;
        let score = |(class, score): (usize, f64)| Some(Score { label: labels.get(class)?.name.clone(), score });
        largest(&scores, count).into_iter().filter_map(score).collect()
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
