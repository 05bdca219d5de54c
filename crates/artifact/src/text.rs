//! Text to token ids.

use std::borrow::Cow;
use std::path::Path;

use tokenizers::{Tokenizer, TruncationParams};
use unspsc_contract::files;
use unspsc_taxonomy::clean;

use crate::{ArtifactError, ModelConfig, words};

/// Characters of a text that the tokenizer gets for each token that the model reads: what lies beyond is cut off.
///
/// WordPiece makes one token of a word of more than 100 characters, and four or five characters a token are usual. A text
/// of ten megabytes would take the tokenizer ten seconds and a gigabyte, for a few hundred tokens.
const CHARS_PER_TOKEN: usize = 100;

/// Turns descriptions into token ids, the same way in training and in serving.
#[derive(Debug)]
pub struct TextEncoder {
    tokenizer: Tokenizer,
    cleans: bool,
    max_chars: usize,
}

/// The tokens of one text, and its words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenIds {
    /// Token ids, special tokens included, without padding: `[tokens]`, at most the model's `max_length`.
    pub ids: Vec<u32>,
    /// What the text is looked up by in a [`TitleIndex`](crate::TitleIndex), see [`words()`].
    pub words: Vec<u64>,
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
        // Ids need not be consecutive, so the number of tokens says nothing.
        let largest = tokenizer.get_vocab(true).into_values().max().unwrap_or(0);
        if largest as usize >= config.vocab_size {
            return Err(unusable(format!("it has token id {largest}, but the model embeds {} ids", config.vocab_size)));
        }
        let truncation = TruncationParams { max_length, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(truncation)).map_err(|error| unusable(error.to_string()))?;
        tokenizer.with_padding(None);
        Ok(Self { tokenizer, cleans, max_chars: max_length.saturating_mul(CHARS_PER_TOKEN) })
    }

    /// The tokens of `text`.
    ///
    /// # Errors
    /// If the tokenizer refuses the text.
    pub fn encode(&self, text: &str) -> Result<TokenIds, ArtifactError> {
        let text = if self.cleans { Cow::Owned(clean(text)) } else { Cow::Borrowed(text) };
        let end = text.char_indices().nth(self.max_chars).map(|(end, _)| end);
        let read = end.map_or(&*text, |end| &text[..end]);
        let encoding = self.tokenizer.encode_fast(read, true).map_err(|e| ArtifactError::Text(e.to_string()))?;
        let truncated = end.is_some() || !encoding.get_overflowing().is_empty();
        Ok(TokenIds { ids: encoding.get_ids().to_vec(), words: words(read), truncated })
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use serde_json::{Value, json};

    use super::*;

    /// A small BERT with a WordPiece tokenizer of 300 tokens.
    fn golden() -> (PathBuf, ModelConfig) {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/bert");
        let config = ModelConfig::read(&directory.join(files::CONFIG)).unwrap();
        (directory, config)
    }

    fn encoder(max_length: usize, cleans: bool) -> TextEncoder {
        let (directory, config) = golden();
        TextEncoder::load(&directory, &config, max_length, cleans).unwrap()
    }

    #[test]
    fn cleaning_is_part_of_encoding_where_the_model_was_trained_so() {
        let ids = |cleans: bool, text: &str| encoder(64, cleans).encode(text).unwrap().ids;
        assert_eq!(ids(true, "<p>Toner &amp; Ink</p>"), ids(true, "toner and ink"));
        assert_eq!(ids(false, "toner and ink"), ids(true, "toner and ink"));
        assert_ne!(ids(false, "<p>Toner &amp; Ink</p>"), ids(true, "<p>Toner &amp; Ink</p>"));
        assert_eq!(ids(true, "").len(), 2, "the special tokens alone");
    }

    #[test]
    fn what_is_cut_off_is_said() {
        let (short, long) = ("a b c", "a b c d e f g h");
        let encoder = encoder(5, false);
        let whole = encoder.encode(short).unwrap();
        assert_eq!((whole.ids.len(), whole.truncated), (5, false));
        let cut = encoder.encode(long).unwrap();
        assert_eq!((cut.ids, cut.truncated), (whole.ids, true));
    }

    #[test]
    fn of_an_endless_text_only_the_beginning_is_read() {
        let encoder = encoder(5, false);
        let word = encoder.encode(&"a".repeat(499)).unwrap();
        assert_eq!((word.ids.len(), word.truncated), (3, false), "one unknown word");
        for endless in ["a".repeat(50_000_000), "é ".repeat(10_000_000), format!("bolt{}", " ".repeat(10_000_000))] {
            let cut = encoder.encode(&endless).unwrap();
            assert!(cut.truncated && cut.ids.len() <= 5);
        }
    }

    #[test]
    fn padding_and_truncation_of_the_file_do_not_count() {
        let (directory, config) = golden();
        let mut file: Value = crate::read_json(&directory.join(files::TOKENIZER)).unwrap();
        file["padding"] = json!({"strategy": {"Fixed": 32}, "direction": "Right", "pad_to_multiple_of": null,
            "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"});
        file["truncation"] = json!({"max_length": 4, "strategy": "LongestFirst", "stride": 0, "direction": "Right"});
        let folder = tempfile::tempdir().unwrap();
        crate::write_json(&folder.path().join(files::TOKENIZER), &file).unwrap();
        let changed = TextEncoder::load(folder.path(), &config, 64, false).unwrap();
        let text = "toner cartridge, black";
        assert_eq!(changed.encode(text).unwrap(), encoder(64, false).encode(text).unwrap());
    }

    #[test]
    fn a_tokenizer_that_does_not_fit_is_refused() {
        let (directory, mut config) = golden();
        config.vocab_size = 299;
        let error = TextEncoder::load(&directory, &config, 64, false).unwrap_err().to_string();
        assert!(
            error.contains("token id 299, but the model embeds 299") && error.contains("tokenizer.json"),
            "{error}"
        );
        let folder = tempfile::tempdir().unwrap();
        let missing = TextEncoder::load(folder.path(), &config, 64, false).unwrap_err().to_string();
        assert!(missing.contains("tokenizer.json: No such file"), "{missing}");
        std::fs::write(folder.path().join(files::TOKENIZER), "{}").unwrap();
        let malformed = TextEncoder::load(folder.path(), &config, 64, false).unwrap_err().to_string();
        assert!(malformed.contains("is no tokenizer that can be used"), "{malformed}");
    }
}
