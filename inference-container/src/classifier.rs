//! What lies around the network: text to tokens before it, logits to a prediction after it.

use unspsc_artifact::{Artifact, TextEncoder, TokenIds};
use unspsc_contract::invocation::{Candidate, Prediction};
use unspsc_taxonomy::{Level, clean};

use crate::api_error::ApiError;

/// Tokenizer, labels and calibration of the served model.
#[derive(Debug)]
pub(crate) struct Classifier {
    text: TextEncoder,
    /// Whether the model was trained on cleaned texts.
    cleans: bool,
    /// Label and title by class.
    labels: Vec<(String, Option<String>)>,
    level: Option<Level>,
    temperature: f64,
}

impl Classifier {
    pub(crate) fn new(artifact: Artifact) -> Self {
        let Artifact { config, mut metadata, text } = artifact;
        let labels = metadata.label_names(&config);
        let titled = |label: String| {
            let title = metadata.titles.remove(&label);
            (label, title)
        };
        Self {
            text,
            cleans: metadata.cleaning_version.is_some(),
            labels: labels.into_iter().map(titled).collect(),
            level: metadata.level,
            temperature: metadata.temperature,
        }
    }

    /// How many classes there are.
    pub(crate) fn classes(&self) -> usize {
        self.labels.len()
    }

    /// The tokens of a description.
    pub(crate) fn tokens(&self, description: &str) -> Result<TokenIds, ApiError> {
        let empty = if self.cleans { clean(description).is_empty() } else { description.trim().is_empty() };
        if empty {
            return Err(ApiError::EmptyDescription);
        }
        self.text.encode(description).map_err(|error| ApiError::Internal(error.to_string()))
    }

    /// The prediction that `logits`, `[classes]`, stand for.
    pub(crate) fn prediction(&self, logits: &[f32], truncated: bool, top_k: usize) -> Result<Prediction, ApiError> {
        let probabilities = softmax(logits, self.temperature);
        let candidate = |(class, probability): (usize, f64)| {
            let (label, title) = self.labels.get(class)?.clone();
            Some(Candidate { label, title, probability })
        };
        let top_k: Vec<Candidate> = largest(&probabilities, top_k).into_iter().filter_map(candidate).collect();
        let best = top_k.first().cloned();
        let best = best.ok_or_else(|| ApiError::Internal(format!("{} logits have no largest", logits.len())))?;
        let Candidate { label, title, probability } = best;
        Ok(Prediction { label, title, level: self.level, probability, truncated, top_k })
    }
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
