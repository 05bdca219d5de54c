//! What an answer holds: options in the body, or as parameters of the Accept header.

use serde::Deserialize;
use serde_json::Value;
use unspsc_contract::invocation::DEFAULT_TOP_K;
use unspsc_taxonomy::Level;

use super::RequestLimits;
use crate::api_error::ApiError;

/// What an answer holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct AnswerOptions {
    /// How many candidates to list.
    pub(crate) top_k: usize,
    /// The level of the labels; none is the model's own.
    pub(crate) level: Option<Level>,
    /// Answers less probable than this need review, 0 to 1.
    pub(crate) threshold: f64,
    /// Whether the logits are listed; none is for the request's form to decide.
    pub(crate) logits: Option<bool>,
    /// Whether the pooled vector is listed.
    pub(crate) embeddings: bool,
}

/// The same as it is sent: any of them may be missing, and any may be nonsense.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct OptionFields {
    pub(crate) top_k: Option<Value>,
    pub(crate) level: Option<Value>,
    pub(crate) threshold: Option<Value>,
    pub(crate) logits: Option<Value>,
    pub(crate) embeddings: Option<Value>,
}

impl AnswerOptions {
    /// What a request gets that asks for nothing.
    pub(crate) fn default_of(limits: &RequestLimits) -> Self {
        Self {
            top_k: DEFAULT_TOP_K.min(limits.max_top_k),
            level: None,
            threshold: limits.review_threshold,
            logits: None,
            embeddings: false,
        }
    }

    /// These options with what `fields` say otherwise.
    pub(crate) fn with(self, fields: OptionFields, limits: &RequestLimits) -> Result<Self, ApiError> {
        let OptionFields { top_k, level, threshold, logits, embeddings } = fields;
        Ok(Self {
            top_k: top_k.map_or(Ok(self.top_k), |value| read_top_k(&value, limits.max_top_k))?,
            level: level.map_or(Ok(self.level), |value| read_level(&value).map(Some))?,
            threshold: threshold.map_or(Ok(self.threshold), |value| read_threshold(&value))?,
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

fn read_level(value: &Value) -> Result<Level, ApiError> {
    let wrong = || ApiError::InvalidRequest("`level` must be segment, family, class or commodity".into());
    value.as_str().and_then(|name| name.parse().ok()).ok_or_else(wrong)
}

fn read_threshold(value: &Value) -> Result<f64, ApiError> {
    let wrong = || ApiError::InvalidRequest("`threshold` must be a number from 0 to 1".into());
    value.as_f64().filter(|number| (0.0..=1.0).contains(number)).ok_or_else(wrong)
}

fn read_flag(name: &str, value: &Value) -> Result<bool, ApiError> {
    value.as_bool().ok_or_else(|| ApiError::InvalidRequest(format!("`{name}` must be true or false")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::LIMITS;

    fn read(options: Value) -> Result<AnswerOptions, ApiError> {
        AnswerOptions::default_of(&LIMITS).with(serde_json::from_value(options).unwrap(), &LIMITS)
    }

    #[test]
    fn what_is_asked_for_replaces_the_default() {
        let default = AnswerOptions::default_of(&LIMITS);
        assert_eq!(read(json!({})).unwrap(), default);
        assert_eq!((default.top_k, default.threshold, default.level), (DEFAULT_TOP_K, 0.5, None));
        let asked = json!({"top_k": 3.0, "level": "Family", "threshold": 0, "logits": false, "embeddings": true});
        let expected = AnswerOptions {
            top_k: 3,
            level: Some(Level::Family),
            threshold: 0.0,
            logits: Some(false),
            embeddings: true,
        };
        assert_eq!(read(asked).unwrap(), expected);
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for (options, part) in [
            (json!({"top_k": 0}), "`top_k` must be a whole number from 1 to 20"),
            (json!({"top_k": 21}), "`top_k` must be"),
            (json!({"top_k": 1.5}), "`top_k` must be"),
            (json!({"top_k": "3"}), "`top_k` must be"),
            (json!({"level": "brand"}), "`level` must be segment, family, class or commodity"),
            (json!({"level": 2}), "`level` must be"),
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
