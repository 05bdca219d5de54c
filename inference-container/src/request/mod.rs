//! What a caller asks for: descriptions, the shape of the answer, and options.

pub(crate) mod document;
pub(crate) mod options;
mod scoring;

use unspsc_contract::invocation::ExecutionParameters;

pub(crate) use options::AnswerOptions;
pub(crate) use scoring::{Function, Ranking, Scoring};

use crate::api_error::ApiError;
use crate::media::Media;
use crate::statement::Statement;

/// What a request may ask for, and what it gets where it does not ask.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestLimits {
    /// Longest body, decompressed.
    pub(crate) max_body_bytes: usize,
    /// Most candidates.
    pub(crate) max_top_k: usize,
    /// Answers less probable than this need review, 0 to 1; none is for the model's own thresholds to decide.
    pub(crate) review_threshold: Option<f64>,
    /// The form of answers to requests that accept any.
    pub(crate) default_accept: Option<Media>,
    /// What batch transform is told.
    pub(crate) execution: ExecutionParameters,
}

/// A description as it was sent, or what is wrong with it.
pub(crate) type Item = Result<String, ApiError>;

/// A request whose form is right: one body of JSON, or one record of a longer body.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Document {
    /// The descriptions, in order.
    pub(crate) items: Vec<Item>,
    /// The form of the answer.
    pub(crate) shape: Shape,
    pub(crate) options: AnswerOptions,
}

/// The form of an answer, which follows from the form of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One description, one prediction.
    Single,
    /// `instances`: predictions in a list.
    Batch,
    /// `statement`: what a mark is for, whose goods and services the items are.
    Statement(Statement),
    /// `inputs`: scores as the Hugging Face inference toolkit answers them.
    Scores(Scoring),
}

impl Document {
    /// One description that stands for itself.
    pub(crate) fn single(item: Item, options: AnswerOptions) -> Self {
        Self { items: vec![item], shape: Shape::Single, options }
    }
}
