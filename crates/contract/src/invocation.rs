//! The JSON bodies of `/invocations` and `/execution-parameters`.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use unspsc_taxonomy::Level;

/// How many candidates an answer lists unless the request says otherwise.
pub const DEFAULT_TOP_K: usize = 5;

/// Answers of a model that has no thresholds of its own need review where their probability is lower, unless the server or
/// the request says otherwise.
pub const DEFAULT_REVIEW_THRESHOLD: f64 = 0.5;

/// The share of answers that is to be right unless the request says otherwise.
pub const DEFAULT_PRECISION: f64 = 0.9;

/// Many descriptions: `{"instances": ["toner", {"description": "bread"}]}`. The answer is a [`BatchResponse`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BatchRequest {
    /// What was bought, a text each.
    pub instances: Vec<String>,
    /// How many candidates to list for each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<usize>,
    /// How deep to answer; as deep as the model's labels go where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depth: Option<Depth>,
    /// Whether to list the candidates of every level.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub by_level: bool,
}

/// How deep an answer goes: the word `auto`, or that of a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Depth {
    /// To the deepest level whose answer can be trusted; to the segment where not even that can.
    Auto,
    /// To this level.
    #[serde(untagged)]
    At(Level),
}

/// A word that says no depth.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no depth; use auto, segment, family, class or commodity")]
pub struct ParseDepthError(String);

impl FromStr for Depth {
    type Err = ParseDepthError;

    /// Reads the word in any case.
    fn from_str(word: &str) -> Result<Self, ParseDepthError> {
        if word.trim().eq_ignore_ascii_case("auto") {
            return Ok(Self::Auto);
        }
        word.parse().map(Self::At).map_err(|_| ParseDepthError(word.to_owned()))
    }
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
    /// The answer: an eight-digit code for models trained here. With `depth` `auto` it is that of the deepest level of
    /// `path` that can be trusted.
    pub label: String,
    /// The label's title, where the model directory or the taxonomy knows it.
    pub title: Option<String>,
    /// The level of `label`: the one asked for or, where it is known, the model's own.
    pub level: Option<Level>,
    /// Probability of `label`, 0 to 1.
    pub probability: f64,
    /// Whether the description was longer than the model reads, so that its end was not seen.
    pub truncated: bool,
    /// Whether `probability` is under the threshold, so that a person should look; with `depth` `auto`, whether not even
    /// the segment can be trusted.
    pub needs_review: bool,
    /// The most probable labels, descending.
    pub top_k: Vec<Candidate>,
    /// The way to the answer, segment first, each step a child of the one before; absent in JSON where labels are no
    /// codes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<Step>,
    /// The most probable codes of every level, descending; present with `by_level`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_level: Option<BTreeMap<Level, Vec<Candidate>>>,
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

/// One level of the way from the segment to the answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The level.
    pub level: Level,
    /// The code at this level, eight digits.
    pub label: String,
    /// Its title, where known.
    pub title: Option<String>,
    /// Its probability, 0 to 1.
    pub probability: f64,
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

/// A trade mark's goods and services: `{"statement": "Class 30: coffee, tea and cocoa; bread"}`. The answer is a
/// [`StatementResponse`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StatementRequest {
    /// The statement as a trade-mark office prints it, at most 1 MiB.
    pub statement: String,
    /// How many candidates to list for each item.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<usize>,
    /// Items whose best label is less probable, 0 to 1, need review.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// How deep to answer each item; as deep as the model's labels go where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depth: Option<Depth>,
}

/// The answer to a [`StatementRequest`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatementResponse {
    /// What the mark is for, on the whole.
    pub profile: MarkProfile,
    /// The goods and services, in the statement's order.
    pub items: Vec<StatementItem>,
    /// What of the statement names no goods and was not classified, in its order.
    pub remarks: Vec<StatementRemark>,
}

/// One of a statement's goods or services.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatementItem {
    /// The item as it was written.
    pub text: String,
    /// Where it stands in the statement.
    #[serde(flatten)]
    pub place: Place,
    /// The class of the Nice Classification that it stands under, 1 to 45; null where the statement names none.
    pub nice_class: Option<u8>,
    /// What was classified: the item, with the category before "namely" or the item that it refers to where it has one.
    pub classified: String,
    /// The answer to that, as to an instance of a batch.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// A part of a statement, in characters (Unicode code points) from its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The first character.
    pub start: usize,
    /// The character behind the last one.
    pub end: usize,
}

/// A part of a statement that names no goods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementRemark {
    /// What it says.
    pub kind: RemarkKind,
    /// The part as it was written.
    pub text: String,
    /// Where it stands in the statement.
    #[serde(flatten)]
    pub place: Place,
}

/// What a part of a statement says that names no goods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RemarkKind {
    /// What the mark is not for: "none of the aforesaid being alcoholic".
    Exclusion,
    /// What holds for goods named before: "all the aforesaid for medical use".
    Limitation,
    /// What was taken out of the registration: in brackets, as the USPTO prints it.
    Deletion,
    /// What the USPTO's record says of the filing: its basis, or the dates of first use.
    Filing,
}

/// How a mark's items spread over the segments of the UNSPSC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MarkProfile {
    /// The segments that are the most probable one of an item or have a share of 0.05 at least, the largest share first.
    pub segments: Vec<SegmentShare>,
    /// The share that all other segments have together; with those of `segments` it adds up to 1, unless no item has a
    /// prediction.
    pub other: f64,
    /// The items that have no prediction, by place in `items`; they are in no share.
    pub failed: Vec<usize>,
    /// The items whose prediction needs review, by place in `items`; they are in the shares too.
    pub needs_review: Vec<usize>,
}

/// A segment's part of a mark.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SegmentShare {
    /// The segment; for a model whose labels are no codes, the label.
    pub label: String,
    /// Its title, where known.
    pub title: Option<String>,
    /// The mean of its probability over the items that have a prediction, 0 to 1: the share of items that it may expect
    /// to hold.
    pub share: f64,
    /// The mean of its probability over the items whose most probable segment it is, 0 to 1; null where there are none.
    pub mean_probability: Option<f64>,
    /// These items, by place in the answer's `items`.
    pub items: Vec<usize>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_one_word() {
        for (depth, word) in [(Depth::Auto, "\"auto\""), (Depth::At(Level::Class), "\"class\"")] {
            assert_eq!(serde_json::to_string(&depth).unwrap(), word);
            assert_eq!(serde_json::from_str::<Depth>(word).unwrap(), depth);
            assert_eq!(word.trim_matches('"').to_uppercase().parse(), Ok(depth));
        }
        assert!("leaf".parse::<Depth>().unwrap_err().to_string().contains("use auto, segment"));
        assert!(serde_json::from_str::<Depth>("\"leaf\"").is_err());
        let request = BatchRequest { instances: vec!["bread".into()], top_k: None, depth: None, by_level: false };
        assert_eq!(serde_json::to_string(&request).unwrap(), r#"{"instances":["bread"]}"#);
    }

    #[test]
    fn an_answer_keeps_its_levels_and_an_older_one_has_none() {
        let old = r#"{"predictions":[{"label":"50000000","title":null,"level":"segment","probability":0.9,
            "truncated":false,"needs_review":false,"top_k":[]}]}"#;
        let mut answer: BatchResponse = serde_json::from_str(old).unwrap();
        let Outcome::Prediction(prediction) = &mut answer.predictions[0] else { panic!("{answer:?}") };
        assert!(prediction.path.is_empty() && prediction.by_level.is_none());
        let (label, title) = ("50180000".to_owned(), Some("Bread".to_owned()));
        let candidate = Candidate { label: label.clone(), title: title.clone(), probability: 0.8 };
        prediction.path.push(Step { level: Level::Family, label, title, probability: 0.8 });
        prediction.by_level = Some(BTreeMap::from([(Level::Family, vec![candidate])]));
        let json = serde_json::to_string(&answer).unwrap();
        assert!(json.contains(r#""by_level":{"family":[{"label":"50180000""#), "{json}");
        assert_eq!(serde_json::from_str::<BatchResponse>(&json).unwrap(), answer);
    }
}
