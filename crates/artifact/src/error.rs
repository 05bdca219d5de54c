//! What can be wrong with a model directory.

use std::path::PathBuf;

/// A model directory that cannot be used; the message names the file.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// A file is missing or cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A JSON file does not have the layout it should have.
    #[error("{path}: {source}", path = path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong and where.
        source: serde_json::Error,
    },
    /// The tokenizer cannot be built from its file.
    #[error("{path} is no tokenizer that can be used: {reason}", path = path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What the tokenizer library said.
        reason: String,
    },
    /// The weights file is damaged.
    #[error("{path} is damaged or no safetensors file: {source}", path = path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What the safetensors library said.
        source: safetensors::SafeTensorError,
    },
    /// A tensor is missing, or has another shape or type than the configuration says.
    #[error("{path}: tensor `{tensor}` {reason}", path = path.display())]
    Tensor {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The file is well formed but asks for something that is not supported.
    #[error("{path} {reason}", path = path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What, and what to do.
        reason: String,
    },
    /// A text could not be tokenised.
    #[error("the text cannot be tokenised: {0}")]
    Text(String),
}
