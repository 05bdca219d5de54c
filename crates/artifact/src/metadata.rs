//! `unspsc.json`: what the Hugging Face files have no place for.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use unspsc_contract::{DataSummary, Pooling};
use unspsc_hierarchy::Weights;
use unspsc_taxonomy::{CLEANING_VERSION, Code, Level, Titles};

use crate::{ArtifactError, ModelConfig, read_json, write_json};

/// Version of the layout of `unspsc.json` and of what it stands for; since 4, words of titles are
/// weighed beside head and vectors.
const FORMAT_VERSION: u32 = 4;

/// The L2 norm that a classifier with mean pooling gives each text's vector before the classifier, as sentence encoders
/// compare directions alone; √20, so that weights of the same length make logits of 20 times the cosine.
pub const FEATURE_LENGTH: f64 = 4.472_135_954_999_579;

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
    /// Logits are divided by this before the softmax; 1 where the file does not say.
    #[serde(default = "unscaled")]
    pub temperature: f64,
    /// Labels in ascending order, with the number of outputs that each is the sum of; those of `config.json`'s `id2label` follow
    /// one another in this order. Empty where each output is a label.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, usize>,
    /// Titles by label.
    pub titles: BTreeMap<String, String>,
    /// How head and index are weighed; none where there is no index to search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hierarchy: Option<Weights>,
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

/// The temperature that changes nothing.
fn unscaled() -> f64 {
    1.0
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

/// What every version of the file has.
#[derive(Deserialize)]
struct Version {
    format_version: u32,
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
            temperature: unscaled(),
            labels: BTreeMap::new(),
            titles: embedded_titles(config.outputs.iter()),
            hierarchy: None,
            data: None,
            test: None,
            trained_by: None,
        }
    }

    /// The metadata of a model trained here on cleaned texts, whose `labels` are sums of so many outputs, with the embedded
    /// titles and no scores yet. Labels that are groups of codes and no codes have no level.
    #[must_use]
    pub fn trained(
        config: &ModelConfig,
        labels: BTreeMap<String, usize>,
        level: Level,
        pooling: Pooling,
        max_length: usize,
    ) -> Self {
        Self {
            level: labels.keys().all(|label| label.parse::<Code>().is_ok()).then_some(level),
            titles: embedded_titles(labels.keys()),
            labels: if labels.keys().eq(&config.outputs) { BTreeMap::new() } else { labels },
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
        let unsupported = |reason: String| Err(ArtifactError::Unsupported { path: path.to_owned(), reason });
        // Before the rest, of which another version may lack something.
        let Version { format_version } = read_json(path)?;
        if format_version != FORMAT_VERSION {
            let reason =
                format!("has format_version {format_version}; this program reads {FORMAT_VERSION}: train again");
            return unsupported(reason);
        }
        let metadata: Self = read_json(path)?;
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
            return unsupported(format!(
                "has temperature {}; it must be a finite number above 0",
                metadata.temperature
            ));
        }
        if let Some(reason) = metadata.hierarchy.as_ref().and_then(|weights| weights.check().err()) {
            return unsupported(format!("has weights that cannot be used: {reason}; train again"));
        }
        // Wider than each, so that no file's numbers wrap around to the right sum.
        let summed: u128 = metadata.labels.values().map(|outputs| *outputs as u128).sum();
        let outputs = config.outputs.len();
        if !metadata.labels.is_empty()
            && (summed != outputs as u128 || metadata.labels.values().any(|outputs| *outputs == 0))
        {
            return unsupported(format!(
                "has labels that are sums of {summed} outputs in all, at least one each, where config.json has {outputs}"
            ));
        }
        Ok(metadata)
    }

    /// The labels in the order of their logits.
    #[must_use]
    pub fn label_names(&self, config: &ModelConfig) -> Vec<String> {
        if self.labels.is_empty() { config.outputs.clone() } else { self.labels.keys().cloned().collect() }
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
fn embedded_titles<'a>(labels: impl Iterator<Item = &'a String>) -> BTreeMap<String, String> {
    let Ok(titles) = Titles::embedded() else { return BTreeMap::new() };
    let title = |label: &String| Some((label.clone(), titles.nearest(label.parse::<Code>().ok()?)?.to_owned()));
    labels.filter_map(title).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::Architecture;

    fn config() -> ModelConfig {
        ModelConfig {
            architecture: Architecture::Bert,
            vocab_size: 300,
            hidden_size: 32,
            layers: 2,
            heads: 4,
            intermediate_size: 64,
            max_positions: 64,
            type_vocab_size: 2,
            layer_norm_eps: 1e-12,
            dropout: 0.1,
            pad_token_id: 0,
            outputs: vec!["10000000".into(), "44103103".into(), "something else".into()],
        }
    }

    fn trained(config: &ModelConfig, level: Level, pooling: Pooling, max_length: usize) -> Metadata {
        let labels = config.outputs.iter().map(|output| (output.clone(), 1)).collect();
        Metadata::trained(config, labels, level, pooling, max_length)
    }

    #[test]
    fn labels_may_be_sums_of_outputs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("unspsc.json");
        let labels: BTreeMap<String, usize> = [("10000000".into(), 2), ("44000000".into(), 1)].into();
        let metadata = Metadata::trained(&config(), labels, Level::Segment, Pooling::Mean, 40);
        assert_eq!(metadata.label_names(&config()), ["10000000", "44000000"]);
        assert!(metadata.titles.contains_key("44000000") && !metadata.titles.contains_key("44103103"));
        metadata.write(&path).unwrap();
        assert_eq!(Metadata::read(&path, &config()).unwrap(), metadata);
        let one_each = ["10000000", "44000000", "80000000"].map(|label| (label.to_owned(), 1)).into();
        let metadata = Metadata::trained(&config(), one_each, Level::Segment, Pooling::Mean, 40);
        assert_eq!(metadata.label_names(&config()), ["10000000", "44000000", "80000000"], "outputs have finer names");
        for labels in [
            json!({"10000000": 2}),
            json!({"10000000": 3, "44000000": 0}),
            json!({"10000000": u64::MAX, "44000000": 4}),
        ] {
            let mut bad: Value = read_json(&path).unwrap();
            bad["labels"] = labels;
            write_json(&path, &bad).unwrap();
            let error = Metadata::read(&path, &config()).unwrap_err().to_string();
            assert!(error.contains("outputs"), "{error}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("unspsc.json");
        let mut metadata = trained(&config(), Level::Segment, Pooling::Mean, 40);
        metadata.test = Some(Scores { rows: 7, accuracy: 0.1 + 0.2, balanced_accuracy: 1.0 / 3.0 });
        metadata.write(&path).unwrap();
        assert_eq!(Metadata::read(&path, &config()).unwrap(), metadata);
    }

    #[test]
    fn a_model_from_elsewhere_has_defaults() {
        let metadata = Metadata::read(Path::new("/nowhere/unspsc.json"), &config()).unwrap();
        assert_eq!((metadata.level, metadata.cleaning_version, metadata.pooling), (None, None, Pooling::Cls));
        assert_eq!((metadata.max_length, metadata.temperature), (64, 1.0));
        let segment = metadata.titles.get("10000000").map(String::as_str);
        assert_eq!(segment, Some("Live Plant and Animal Material and Accessories and Supplies"));
        assert!(metadata.titles.contains_key("44103103"), "a commodity has its family's title");
        assert!(!metadata.titles.contains_key("something else"));
        let long = ModelConfig { max_positions: 4096, ..config() };
        assert_eq!(Metadata::foreign(&long).max_length, 512);
    }

    #[test]
    fn a_model_without_a_temperature_is_read_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("unspsc.json");
        let metadata = Metadata { temperature: 1.75, ..trained(&config(), Level::Segment, Pooling::Mean, 40) };
        metadata.write(&path).unwrap();
        assert_eq!(Metadata::read(&path, &config()).unwrap().temperature, 1.75);
        let mut older: Value = read_json(&path).unwrap();
        older.as_object_mut().unwrap().remove("temperature");
        write_json(&path, &older).unwrap();
        assert_eq!(Metadata::read(&path, &config()).unwrap(), Metadata { temperature: 1.0, ..metadata });
    }

    #[test]
    fn a_text_never_outgrows_the_positions() {
        assert_eq!(trained(&config(), Level::Family, Pooling::Cls, 1000).max_length, 64);
    }

    #[test]
    fn what_is_at_odds_with_the_model_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("unspsc.json");
        trained(&config(), Level::Segment, Pooling::Mean, 40).write(&path).unwrap();
        let good: Value = read_json(&path).unwrap();
        for (key, value, message) in [
            ("format_version", json!(3), "format_version 3; this program reads 4: train again"),
            (
                "hierarchy",
                json!({"neighbours": 0, "temperature": 0.05, "word_temperature": 0.4, "text_penalty": 0.0, "levels": {}}),
                "`neighbours`",
            ),
            ("cleaning_version", json!(0), "another cleaning version"),
            ("max_length", json!(65), "max_length 65; allowed are 3 to 64"),
            ("max_length", json!(2), "max_length 2; allowed are 3 to 64"),
            ("temperature", json!(0.0), "temperature 0; it must be a finite number above 0"),
            ("temperature", json!(-1.5), "temperature -1.5"),
            ("temperature", Value::Null, "invalid type"),
            ("pooling", json!("max"), "allowed: cls, mean"),
            ("level", json!("brand"), "brand"),
            ("titles", Value::Null, "invalid type"),
        ] {
            let mut bad = good.clone();
            bad[key] = value;
            write_json(&path, &bad).unwrap();
            let error = Metadata::read(&path, &config()).unwrap_err().to_string();
            assert!(error.contains(message) && error.contains("unspsc.json"), "{key}: {error}");
        }
    }
}
