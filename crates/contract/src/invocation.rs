//! The JSON bodies of `/invocations`.

use serde::{Deserialize, Serialize};
use unspsc_taxonomy::Level;

/// How many candidates an answer lists unless the request says otherwise.
pub const DEFAULT_TOP_K: usize = 5;

/// Many descriptions: `{"instances": ["toner", {"description": "bread"}]}`. The answer is a [`BatchResponse`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BatchRequest {
    /// What was bought, a text each.
    pub instances: Vec<String>,
    /// How many candidates to list for each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<usize>,
}

/// The answer to a [`BatchRequest`], in its order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchResponse {
    /// One outcome for each instance.
    pub predictions: Vec<Outcome>,
}

/// What became of one instance: a bad one never spoils its neighbours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Outcome {
    /// It was classified.
    Prediction(Prediction),
    /// It was not, and why.
    Error(ErrorBody),
}

/// One classified description.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// The most probable label: an eight-digit code for models trained here.
    pub label: String,
    /// The label's title, where the model directory or the taxonomy knows it.
    pub title: Option<String>,
    /// The level of the labels, where the model directory states it.
    pub level: Option<Level>,
    /// Probability of `label`, 0 to 1.
    pub probability: f64,
    /// Whether the description was longer than the model reads, so that its end was not seen.
    pub truncated: bool,
    /// The most probable labels, descending.
    pub top_k: Vec<Candidate>,
}

/// A label among the most probable ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The label.
    pub label: String,
    /// Its title, where known.
    pub title: Option<String>,
    /// Its probability, 0 to 1.
    pub probability: f64,
}

/// The body of every answer that is not a success, and of a batch item that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorDetail,
}

/// What went wrong, for programs and for people.
///
/// SageMaker drops response headers of failed invocations, so retry advice and request id stand in the body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDetail {
    /// A stable word for programs, such as `invalid_request`.
    pub code: String,
    /// One sentence that names the field and the fix.
    pub message: String,
    /// Seconds after which trying again makes sense; absent where it never does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// The request this belongs to, to be found in the log; absent on batch items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}
