//! The JSON bodies of `/invocations` and `/execution-parameters`.

use serde::{Deserialize, Serialize};
use unspsc_taxonomy::Level;

/// How many candidates an answer lists unless the request says otherwise.
pub const DEFAULT_TOP_K: usize = 5;

/// Answers whose probability is lower need review unless the server or the request says otherwise.
pub const DEFAULT_REVIEW_THRESHOLD: f64 = 0.5;

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
    /// The level of the labels: the one asked for, or the model's own where it is known.
    pub level: Option<Level>,
    /// Probability of `label`, 0 to 1.
    pub probability: f64,
    /// Whether the description was longer than the model reads, so that its end was not seen.
    pub truncated: bool,
    /// Whether `probability` is under the threshold, so that a person should look.
    pub needs_review: bool,
    /// The most probable labels, descending.
    pub top_k: Vec<Candidate>,
    /// The place of the largest logit; present with `logits`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pred_class: Option<usize>,
    /// The model's logits, `[classes]` in the order of its labels, where asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logits: Option<Vec<f32>>,
    /// The pooled vector of the text, `[hidden]`, where asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding: Option<Vec<f32>>,
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

/// One label as the Hugging Face inference toolkit answers it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The label.
    pub label: String,
    /// What `function_to_apply` made of its logit.
    pub score: f64,
}

/// What became of one text of `inputs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Scores {
    /// The best label, where `top_k` was not given.
    Best(Score),
    /// The best labels, descending, where it was.
    Ranked(Vec<Score>),
    /// It was not classified, and why.
    Error(ErrorBody),
}

/// The answer of `GET /execution-parameters`, by which batch transform sets what the job leaves open
/// (<https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-batch-code.html>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ExecutionParameters {
    /// Requests that may be under way at a time.
    pub max_concurrent_transforms: usize,
    /// Whether a request holds one record or as many as fit.
    pub batch_strategy: BatchStrategy,
    /// Longest request in MB; the platform allows 100 for all that are under way at a time.
    #[serde(rename = "MaxPayloadInMB")]
    pub max_payload_in_mb: usize,
}

/// How batch transform cuts a file into requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum BatchStrategy {
    /// One record each.
    SingleRecord,
    /// As many records as the payload limit allows.
    MultiRecord,
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
