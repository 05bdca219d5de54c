//! Why a model cannot be loaded or a batch not classified.

use unspsc_artifact::ArtifactError;

/// An engine that cannot be built, or a batch that it cannot take.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The model directory lacks a tensor or holds one that does not fit.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The computing threads cannot be started.
    #[error("cannot start {threads} computing threads: {source}")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// What the thread pool said.
        source: rayon::ThreadPoolBuildError,
    },
    /// A text has no tokens at all, not even the special ones.
    #[error("text {text} of the batch has no tokens")]
    Empty {
        /// Its place in the batch, from 0.
        text: usize,
    },
    /// A text has more tokens than the model has positions.
    #[error("text {text} of the batch has {tokens} tokens; the model has {positions} positions")]
    TooLong {
        /// Its place in the batch, from 0.
        text: usize,
        /// How many tokens it has.
        tokens: usize,
        /// How many the model can place.
        positions: usize,
    },
    /// A token id is none of the model's.
    #[error("text {text} of the batch has token id {id}; the model has {vocabulary} tokens")]
    UnknownToken {
        /// The text's place in the batch, from 0.
        text: usize,
        /// The token id.
        id: u32,
        /// How many tokens the model has.
        vocabulary: usize,
    },
    /// The weights are so large that a logit overflows.
    #[error("text {text} of the batch has a logit that is not finite: the model is damaged")]
    NotFinite {
        /// The text's place in the batch, from 0.
        text: usize,
    },
}
