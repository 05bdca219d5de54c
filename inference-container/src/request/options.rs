//! What an answer holds: options in the body, or as parameters of the Accept header.

use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::Value;
use unspsc_contract::invocation::{DEFAULT_PRECISION, DEFAULT_TOP_K, Depth};

use super::RequestLimits;
use crate::api_error::ApiError;

/// What an answer holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct AnswerOptions {
    /// How many candidates to list.
    pub(crate) top_k: usize,
    /// How deep to answer; none is at the level of the model's own labels.
    pub(crate) depth: Option<Depth>,
    /// The share of answers that is to be right, 0.5 to 0.99, where the model has thresholds for it.
    pub(crate) precision: f64,
    /// Answers less probable than this need review, 0 to 1, whatever the precision.
    pub(crate) threshold: Option<f64>,
    /// Whether the candidates of every level are listed.
    pub(crate) by_level: bool,
    /// Whether the logits are listed; none is for the request's form to decide.
    pub(crate) logits: Option<bool>,
    /// Whether the pooled vector is listed.
    pub(crate) embeddings: bool,
}

/// The same as it is sent: any of them may be missing, and any may be nonsense.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct OptionFields {
    pub(crate) top_k: Option<Value>,
    pub(crate) depth: Option<Value>,
    pub(crate) precision: Option<Value>,
    pub(crate) threshold: Option<Value>,
    pub(crate) by_level: Option<Value>,
    pub(crate) logits: Option<Value>,
    pub(crate) embeddings: Option<Value>,
}

impl OptionFields {
    /// Whether none is there.
    pub(super) fn is_empty(&self) -> bool {
        let Self { top_k, depth, precision, threshold, by_level, logits, embeddings } = self;
        [top_k, depth, precision, threshold, by_level, logits, embeddings].iter().all(|field| field.is_none())
    }
}

impl AnswerOptions {
    /// What a request gets that asks for nothing.
    pub(crate) fn default_of(limits: &RequestLimits) -> Self {
        Self {
            top_k: DEFAULT_TOP_K.min(limits.max_top_k),
            depth: None,
            precision: DEFAULT_PRECISION,
            threshold: limits.review_threshold,
            by_level: false,
            logits: None,
            embeddings: false,
        }
    }

    /// These options with what `fields` say otherwise.
    pub(crate) fn with(self, fields: OptionFields, limits: &RequestLimits) -> Result<Self, ApiError> {
        let OptionFields { top_k, depth, precision, threshold, by_level, logits, embeddings } = fields;
        // Who asks for a precision wants no threshold that was set less near.
        let less_near = self.threshold.filter(|_| precision.is_none());
        Ok(Self {
            top_k: top_k.map_or(Ok(self.top_k), |value| read_top_k(&value, limits.max_top_k))?,
            depth: depth.map_or(Ok(self.depth), |value| read_depth(&value).map(Some))?,
            precision: precision.map_or(Ok(self.precision), |value| read_within("precision", &value, 0.5..=0.99))?,
            threshold: threshold
                .map_or(Ok(less_near), |value| read_within("threshold", &value, 0.0..=1.0).map(Some))?,
            by_level: by_level.map_or(Ok(self.by_level), |value| read_flag("by_level", &value))?,
            logits: logits.map_or(Ok(self.logits), |value| read_flag("logits", &value).map(Some))?,
            embeddings: embeddings.map_or(Ok(self.embeddings), |value| read_flag("embeddings", &value))?,
        })
    }
}

/// A whole number from 1 to `most`, which may be written as `3.0`.
pub(super) fn read_top_k(value: &Value, most: usize) -> Result<usize, ApiError> {
    let number = value.as_f64().and_then(|number| (1..=most).find(|count| *count as f64 == number));
    number.ok_or_else(|| ApiError::InvalidRequest(format!("`top_k` must be a whole number from 1 to {most}")))
}

fn read_depth(value: &Value) -> Result<Depth, ApiError> {
    let wrong = || ApiError::InvalidRequest("`depth` must be auto, segment, family, class or commodity".into());
    value.as_str().and_then(|word| word.parse().ok()).ok_or_else(wrong)
}

fn read_within(name: &str, value: &Value, range: RangeInclusive<f64>) -> Result<f64, ApiError> {
    let (least, most) = (range.start(), range.end());
    let wrong = || ApiError::InvalidRequest(format!("`{name}` must be a number from {least} to {most}"));
    value.as_f64().filter(|number| range.contains(number)).ok_or_else(wrong)
}

fn read_flag(name: &str, value: &Value) -> Result<bool, ApiError> {
    value.as_bool().ok_or_else(|| ApiError::InvalidRequest(format!("`{name}` must be true or false")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use unspsc_taxonomy::Level;

    use super::*;
    use crate::testing::LIMITS;

    fn read(options: Value) -> Result<AnswerOptions, ApiError> {
        AnswerOptions::default_of(&LIMITS).with(serde_json::from_value(options).unwrap(), &LIMITS)
    }

    #[test]
    fn what_is_asked_for_replaces_the_default() {
        let default = AnswerOptions::default_of(&LIMITS);
        assert_eq!(read(json!({})).unwrap(), default);
        assert_eq!((default.top_k, default.threshold, default.depth), (DEFAULT_TOP_K, None, None));
        let asked = json!({
            "top_k": 3.0, "depth": "Family", "precision": 0.75, "threshold": 0, "by_level": true, "logits": false,
            "embeddings": true,
        });
        let expected = AnswerOptions {
            top_k: 3,
            depth: Some(Depth::At(Level::Family)),
            precision: 0.75,
            threshold: Some(0.0),
            by_level: true,
            logits: Some(false),
            embeddings: true,
        };
        assert_eq!(read(asked).unwrap(), expected);
        assert_eq!(read(json!({"depth": "auto"})).unwrap().depth, Some(Depth::Auto));
    }

    #[test]
    fn a_precision_goes_before_a_threshold_that_was_set_less_near() {
        let limits = RequestLimits { review_threshold: Some(0.4), ..LIMITS };
        let options = AnswerOptions::default_of(&limits);
        let with = |fields: Value| options.with(serde_json::from_value(fields).unwrap(), &limits).unwrap().threshold;
        assert_eq!(with(json!({})), Some(0.4));
        assert_eq!(with(json!({"precision": 0.8})), None);
        assert_eq!(with(json!({"precision": 0.8, "threshold": 0.6})), Some(0.6));
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for (options, part) in [
            (json!({"top_k": 0}), "`top_k` must be a whole number from 1 to 20"),
            (json!({"top_k": 21}), "`top_k` must be"),
            (json!({"top_k": 1.5}), "`top_k` must be"),
            (json!({"top_k": "3"}), "`top_k` must be"),
            (json!({"depth": "brand"}), "`depth` must be auto, segment, family, class or commodity"),
            (json!({"depth": 2}), "`depth` must be"),
            (json!({"precision": 0.4}), "`precision` must be a number from 0.5 to 0.99"),
            (json!({"precision": 1}), "`precision` must be"),
            (json!({"by_level": "all"}), "`by_level` must be true or false"),
            (json!({"threshold": 1.1}), "`threshold` must be a number from 0 to 1"),
            (json!({"threshold": "0.5"}), "`threshold` must be"),
            (json!({"logits": 1}), "`logits` must be true or false"),
            (json!({"embeddings": "yes"}), "`embeddings` must be true or false"),
        ] {
            let error = read(options.clone()).unwrap_err().to_string();
            assert!(error.contains(part), "{options}: {error}");
        }
    }
}
