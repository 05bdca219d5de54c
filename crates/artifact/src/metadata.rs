//! `unspsc.json`: what the Hugging Face files have no place for.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use unspsc_contract::{DataSummary, Pooling};
use unspsc_taxonomy::{CLEANING_VERSION, Code, Level, Titles};

use crate::{ArtifactError, ModelConfig, read_json, write_json};

/// Version of the layout of `unspsc.json`.
const FORMAT_VERSION: u32 = 1;

/// Longest sequence, in tokens, that a model without `unspsc.json` is asked to read.
const FOREIGN_MAX_LENGTH: usize = 512;

/// Level, pooling, cleaning, titles and provenance of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// Version of this file's layout.
    pub format_version: u32,
    /// The level of the labels; unknown for models from elsewhere.
    pub level: Option<Level>,
    /// Version of the cleaning that texts had in training; none for models from elsewhere, whose texts stay as they are.
    pub cleaning_version: Option<u32>,
    /// Tokens that the model reads of a text, special tokens included.
    pub max_length: usize,
    /// How token vectors become one.
    #[serde(with = "pooling")]
    pub pooling: Pooling,
    /// Logits are divided by this before the softmax.
    pub temperature: f64,
    /// Titles by label.
    pub titles: BTreeMap<String, String>,
    /// What the model was trained on; unknown for models from elsewhere.
    pub data: Option<DataSummary>,
    /// How well it did on held-out rows; unknown for models from elsewhere.
    pub test: Option<Scores>,
    /// Program and version that wrote it, such as `train 0.1.0`.
    pub trained_by: Option<String>,
}

/// Scores on held-out rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Rows judged.
    pub rows: usize,
    /// Share of rows whose label is found.
    pub accuracy: f64,
    /// Mean recall over the classes that occur.
    pub balanced_accuracy: f64,
}

/// `pooling` as the word that hyperparameters use.
mod pooling {
    use super::{Deserialize, Pooling};

    pub(super) fn serialize<S: serde::Serializer>(pooling: &Pooling, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(pooling)
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Pooling, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Metadata {
    /// What is known of a model from elsewhere: pooling by the first token, no cleaning, titles of the embedded taxonomy.
    #[must_use]
    pub fn foreign(config: &ModelConfig) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            level: None,
            cleaning_version: None,
            max_length: config.max_positions.min(FOREIGN_MAX_LENGTH),
            pooling: Pooling::Cls,
            temperature: 1.0,
            titles: embedded_titles(&config.labels),
            data: None,
            test: None,
            trained_by: None,
        }
    }

    /// The metadata of a model trained here on cleaned texts, with the embedded titles and no scores yet.
    #[must_use]
    pub fn trained(config: &ModelConfig, level: Level, pooling: Pooling, max_length: usize) -> Self {
        Self {
            level: Some(level),
            cleaning_version: Some(CLEANING_VERSION),
            max_length: max_length.min(config.max_positions),
            pooling,
            ..Self::foreign(config)
        }
    }

    /// Reads `unspsc.json`, or has the defaults for a model from elsewhere where there is none.
    ///
    /// # Errors
    /// If the file is malformed, of a newer version, or at odds with `config`.
    pub fn read(path: &Path, config: &ModelConfig) -> Result<Self, ArtifactError> {
        if !path.exists() {
            return Ok(Self::foreign(config));
        }
        let metadata: Self = read_json(path)?;
        let unsupported = |reason: String| Err(ArtifactError::Unsupported { path: path.to_owned(), reason });
        if metadata.format_version != FORMAT_VERSION {
            let version = metadata.format_version;
            return unsupported(format!("has format_version {version}; this program reads {FORMAT_VERSION}"));
        }
        if metadata.cleaning_version.is_some_and(|version| version != CLEANING_VERSION) {
            return unsupported(format!(
                "was trained with another cleaning version than {CLEANING_VERSION}: train again"
            ));
        }
        if !(3..=config.max_positions).contains(&metadata.max_length) {
            return unsupported(format!(
                "has max_length {}; allowed are 3 to {}",
                metadata.max_length, config.max_positions
            ));
        }
        if !(metadata.temperature.is_finite() && metadata.temperature > 0.0) {
            return unsupported(format!("has temperature {}; it must be above 0", metadata.temperature));
        }
        Ok(metadata)
    }

    /// Writes `unspsc.json`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), ArtifactError> {
        write_json(path, self)
    }
}

/// Titles of those labels that are codes; a code without a title of its own has its closest ancestor's.
fn embedded_titles(labels: &[String]) -> BTreeMap<String, String> {
    let Ok(titles) = Titles::embedded() else { return BTreeMap::new() };
    let title = |label: &String| Some((label.clone(), titles.nearest(label.parse::<Code>().ok()?)?.to_owned()));
    labels.iter().filter_map(title).collect()
}
