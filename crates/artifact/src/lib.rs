//! The model directory: a Hugging Face sequence classifier with one file of our own beside it.
//!
//! `config.json` (architecture and labels), `model.safetensors` (weights under the Hugging Face names),
//! `tokenizer.json`, and `unspsc.json` ([`Metadata`]), which a classifier made by `transformers` lacks and which has
//! defaults for that case. `index.safetensors` ([`TitleIndex`]) holds vectors and words that those of a text are
//! compared with.

mod config;
mod error;
mod index;
mod mapped;
mod metadata;
mod text;
mod weights;
mod words;

use std::path::Path;

pub use config::{Architecture, ModelConfig, RNN_MODEL_TYPE};
pub use error::ArtifactError;
pub use index::{Entry, EntryKind, TitleIndex};
pub use metadata::{FEATURE_LENGTH, Metadata, Scores};
pub use text::{TextEncoder, TokenIds};
use unspsc_contract::files;
pub use weights::{Table, Weights};
pub use words::words;

/// A trained classifier's directory, read and checked, without its weights.
#[derive(Debug)]
pub struct Artifact {
    /// Architecture and labels.
    pub config: ModelConfig,
    /// Level, pooling, cleaning, titles and provenance.
    pub metadata: Metadata,
    /// Text to token ids.
    pub text: TextEncoder,
}

impl Artifact {
    /// Reads everything but the weights from `directory`.
    ///
    /// # Errors
    /// Names the file that is missing, unreadable, unsupported or at odds with another.
    pub fn load(directory: &Path) -> Result<Self, ArtifactError> {
        Ok(Self::load_beside(directory, |_, _| ())?.0)
    }

    /// As [`Artifact::load`], while `work` is done with what is said of the model: reading the tokenizer takes as long as
    /// the weights of a small model do.
    ///
    /// # Errors
    /// As [`Artifact::load`].
    pub fn load_beside<R>(
        directory: &Path,
        work: impl FnOnce(&ModelConfig, &Metadata) -> R,
    ) -> Result<(Self, R), ArtifactError> {
        let path = directory.join(files::CONFIG);
        let config = ModelConfig::read(&path)?;
        if config.outputs.len() < 2 {
            let reason = "has no `id2label` with two labels or more: this is an encoder, no trained classifier".into();
            return Err(ArtifactError::Unsupported { path, reason });
        }
        let metadata = Metadata::read(&directory.join(files::UNSPSC), &config)?;
        let (length, cleans) = (metadata.max_length, metadata.cleaning_version.is_some());
        let (text, done) = std::thread::scope(|scope| {
            let text = scope.spawn(|| TextEncoder::load(directory, &config, length, cleans));
            let done = work(&config, &metadata);
            (text.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), done)
        });
        Ok((Self { config, metadata, text: text? }, done))
    }
}

/// Reads a JSON file.
fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, ArtifactError> {
    let bytes = std::fs::read(path).map_err(|source| ArtifactError::Io { path: path.to_owned(), source })?;
    serde_json::from_slice(&bytes).map_err(|source| ArtifactError::Json { path: path.to_owned(), source })
}

/// Writes a JSON file, indented.
fn write_json<T: serde::Serialize>(path: &Path, value: &T) -> Result<(), ArtifactError> {
    let mut bytes =
        serde_json::to_vec_pretty(value).map_err(|source| ArtifactError::Json { path: path.to_owned(), source })?;
    bytes.push(b'\n');
    std::fs::write(path, bytes).map_err(|source| ArtifactError::Io { path: path.to_owned(), source })
}
