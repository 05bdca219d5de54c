//! Text to token ids.

use std::path::Path;

use tokenizers::{Tokenizer, TruncationParams};
use unspsc_contract::files;
use unspsc_taxonomy::clean;

use crate::{ArtifactError, ModelConfig};

/// Turns descriptions into token ids, the same way in training and in serving.
#[derive(Debug)]
pub struct TextEncoder {
    tokenizer: Tokenizer,
    cleans: bool,
}

/// The tokens of one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenIds {
    /// Token ids, special tokens included, without padding: `[tokens]`, at most the model's `max_length`.
    pub ids: Vec<u32>,
    /// Whether the text had more tokens than the model reads.
    pub truncated: bool,
}

impl TextEncoder {
    /// Reads `tokenizer.json` of `directory`. Padding in the file is ignored and its truncation replaced by `max_length`
    /// tokens; with `cleans`, texts go through [`unspsc_taxonomy::clean`] first.
    ///
    /// # Errors
    /// If the file is missing or malformed, or has more tokens than the model has embeddings.
    pub fn load(
        directory: &Path,
        config: &ModelConfig,
        max_length: usize,
        cleans: bool,
    ) -> Result<Self, ArtifactError> {
        let path = directory.join(files::TOKENIZER);
        let unusable = |reason: String| ArtifactError::Tokenizer { path: path.clone(), reason };
        let bytes = std::fs::read(&path).map_err(|source| ArtifactError::Io { path: path.clone(), source })?;
        let mut tokenizer = Tokenizer::from_bytes(bytes).map_err(|error| unusable(error.to_string()))?;
        let tokens = tokenizer.get_vocab_size(true);
        if tokens > config.vocab_size {
            return Err(unusable(format!("{tokens} tokens, but the model embeds {}", config.vocab_size)));
        }
        let truncation = TruncationParams { max_length, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(truncation)).map_err(|error| unusable(error.to_string()))?;
        tokenizer.with_padding(None);
        Ok(Self { tokenizer, cleans })
    }

    /// The tokens of `text`.
    ///
    /// # Errors
    /// If the tokenizer refuses the text.
    pub fn encode(&self, text: &str) -> Result<TokenIds, ArtifactError> {
        let cleaned = if self.cleans { clean(text) } else { text.to_owned() };
        let encoding = self.tokenizer.encode_fast(cleaned, true).map_err(|e| ArtifactError::Text(e.to_string()))?;
        Ok(TokenIds { ids: encoding.get_ids().to_vec(), truncated: !encoding.get_overflowing().is_empty() })
    }
}
