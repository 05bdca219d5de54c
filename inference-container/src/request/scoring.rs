//! The `parameters` of the Hugging Face form, and the scores that they ask for.
//!
//! The toolkit calls `pipeline(inputs, **parameters)`
//! (<https://github.com/aws/sagemaker-huggingface-inference-toolkit>, `handler_service.py`); what that answers for
//! which parameters stands in `transformers/pipelines/text_classification.py`: without `top_k` one score a text, with
//! it a list a text, and a single string without `top_k` in a list of one.

use serde_json::{Map, Value};

use super::RequestLimits;
use super::options::read_top_k;
use crate::api_error::ApiError;

/// What makes a score of a logit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    /// The softmax over all classes, without the temperature that calibrates `probability`: what `transformers` says.
    Softmax,
    /// The logistic function, each class for itself.
    Sigmoid,
    /// The logit as it is.
    None,
}

/// How many scores a text has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ranking {
    /// The best one, not in a list: `top_k` was not given.
    Best,
    /// The best ones, in a list.
    Top(usize),
    /// All, in a list: `top_k` was null.
    All,
}

/// The form of the scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scoring {
    pub(crate) function: Function,
    pub(crate) ranking: Ranking,
    /// Whether `inputs` was a list and not a string.
    pub(crate) list: bool,
}

impl Scoring {
    /// Reads `parameters`.
    pub(super) fn read(parameters: Option<Value>, list: bool, limits: &RequestLimits) -> Result<Self, ApiError> {
        let parameters = match parameters {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(parameters)) => parameters,
            Some(_) => return Err(ApiError::InvalidRequest("`parameters` must be an object".into())),
        };
        let mut scoring = Self { function: Function::Softmax, ranking: Ranking::Best, list };
        for (name, value) in parameters {
            match name.as_str() {
                "top_k" if value.is_null() => scoring.ranking = Ranking::All,
                "top_k" => scoring.ranking = Ranking::Top(read_top_k(&value, limits.max_top_k)?),
                "function_to_apply" => scoring.function = read_function(&value)?,
                // Asks for what is done anyway: a text too long is cut, and nothing is padded that it could change.
                "truncation" if value != Value::Bool(false) => {}
                "padding" => {}
                _ => return Err(unknown(&name)),
            }
        }
        Ok(scoring)
    }
}

fn unknown(name: &str) -> ApiError {
    ApiError::InvalidRequest(format!(
        "the parameter `{name}` is not supported as it was sent; use `top_k` and `function_to_apply`"
    ))
}

/// In any case, as the toolkit reads it; null and `default` are the softmax.
fn read_function(value: &Value) -> Result<Function, ApiError> {
    let name = value.as_str().map(str::to_ascii_lowercase);
    match name.as_deref() {
        Some("softmax" | "default") => Ok(Function::Softmax),
        None if value.is_null() => Ok(Function::Softmax),
        Some("sigmoid") => Ok(Function::Sigmoid),
        Some("none") => Ok(Function::None),
        _ => Err(ApiError::InvalidRequest(
            "`function_to_apply` must be \"default\", \"softmax\", \"sigmoid\" or \"none\"".into(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::LIMITS;

    #[test]
    fn parameters_are_those_of_the_pipeline() {
        for (parameters, function, ranking) in [
            (json!({}), Function::Softmax, Ranking::Best),
            (Value::Null, Function::Softmax, Ranking::Best),
            (json!({"top_k": 1}), Function::Softmax, Ranking::Top(1)),
            (json!({"top_k": null, "function_to_apply": "sigmoid"}), Function::Sigmoid, Ranking::All),
            (
                json!({"function_to_apply": "NONE", "truncation": true, "padding": "longest"}),
                Function::None,
                Ranking::Best,
            ),
            (json!({"function_to_apply": null}), Function::Softmax, Ranking::Best),
        ] {
            let scoring = Scoring::read(Some(parameters.clone()), true, &LIMITS).unwrap();
            assert_eq!(scoring, Scoring { function, ranking, list: true }, "{parameters}");
        }
    }

    #[test]
    fn what_would_change_the_answer_unseen_is_refused() {
        for (parameters, part) in [
            (json!([]), "`parameters` must be an object"),
            (json!({"top_k": -1}), "`top_k` must be"),
            (json!({"function_to_apply": "tanh"}), "`function_to_apply` must be"),
            (json!({"max_length": 8}), "`max_length` is not supported"),
            (json!({"truncation": false}), "`truncation` is not supported"),
            (json!({"return_all_scores": true}), "use `top_k`"),
        ] {
            let error = Scoring::read(Some(parameters.clone()), false, &LIMITS).unwrap_err().to_string();
            assert!(error.contains(part), "{parameters}: {error}");
        }
    }
}
