//! `config.json`: the architecture and the labels, in the Hugging Face layout.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{ArtifactError, read_json, write_json};

/// The transformer encoders that can be trained and served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// BERT and what shares its layers, such as MiniLM: token types, and a `tanh` pooler before the head.
    Bert,
    /// DistilBERT: no token types, a ReLU layer before the head.
    DistilBert,
}

/// What of `config.json` determines the computation.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// Which encoder.
    pub architecture: Architecture,
    /// Rows of the word embedding.
    pub vocab_size: usize,
    /// Width of a token vector.
    pub hidden_size: usize,
    /// Transformer layers.
    pub layers: usize,
    /// Attention heads a layer; divides `hidden_size`.
    pub heads: usize,
    /// Width of the feed-forward layer.
    pub intermediate_size: usize,
    /// Rows of the position embedding: the longest sequence in tokens.
    pub max_positions: usize,
    /// Rows of the token-type embedding; 0 for DistilBERT, which has none.
    pub type_vocab_size: usize,
    /// ε of every LayerNorm.
    pub layer_norm_eps: f64,
    /// Dropout probability in the encoder while training.
    pub dropout: f64,
    /// Token id that fills short sequences of a padded batch.
    pub pad_token_id: usize,
    /// What the head tells apart (`id2label`), by index: labels, or parts of labels where [`crate::Metadata::labels`] says so;
    /// empty for a bare encoder.
    pub outputs: Vec<String>,
}

/// The keys as the two families spell them.
#[derive(Deserialize)]
struct Raw {
    model_type: String,
    #[serde(default)]
    architectures: Option<Vec<String>>,
    vocab_size: usize,
    #[serde(alias = "dim")]
    hidden_size: usize,
    #[serde(alias = "n_layers")]
    num_hidden_layers: usize,
    #[serde(alias = "n_heads")]
    num_attention_heads: usize,
    #[serde(alias = "hidden_dim")]
    intermediate_size: usize,
    max_position_embeddings: usize,
    #[serde(default)]
    type_vocab_size: usize,
    #[serde(default = "default_layer_norm_eps")]
    layer_norm_eps: f64,
    #[serde(alias = "dropout", default = "default_dropout")]
    hidden_dropout_prob: f64,
    #[serde(alias = "activation", default = "default_activation")]
    hidden_act: String,
    #[serde(default)]
    position_embedding_type: Option<String>,
    #[serde(default)]
    pad_token_id: Option<usize>,
    #[serde(default)]
    id2label: BTreeMap<String, String>,
}

fn default_layer_norm_eps() -> f64 {
    1e-12
}

fn default_dropout() -> f64 {
    0.1
}

fn default_activation() -> String {
    "gelu".into()
}

/// The `model_type` of the recurrent baseline, which is compared with and not served.
pub const RNN_MODEL_TYPE: &str = "unspsc-rnn";

impl ModelConfig {
    /// Reads `config.json` at `path`.
    ///
    /// # Errors
    /// If the file is missing, malformed, or describes another kind of model.
    pub fn read(path: &Path) -> Result<Self, ArtifactError> {
        let unsupported = |reason: String| ArtifactError::Unsupported { path: path.to_owned(), reason };
        let value: Value = read_json(path)?;
        let model_type = value.get("model_type").and_then(Value::as_str).unwrap_or("(absent)").to_owned();
        let architecture = match model_type.as_str() {
            "bert" => Architecture::Bert,
            "distilbert" => Architecture::DistilBert,
            RNN_MODEL_TYPE => {
                return Err(unsupported(
                    "is the RNN baseline, which is trained to be compared with and not served".into(),
                ));
            }
            other => return Err(unsupported(format!("has model_type `{other}`; supported are bert and distilbert"))),
        };
        let raw: Raw =
            serde_json::from_value(value).map_err(|source| ArtifactError::Json { path: path.to_owned(), source })?;
        Self::check(&raw).map_err(unsupported)?;
        Ok(Self {
            architecture,
            vocab_size: raw.vocab_size,
            hidden_size: raw.hidden_size,
            layers: raw.num_hidden_layers,
            heads: raw.num_attention_heads,
            intermediate_size: raw.intermediate_size,
            max_positions: raw.max_position_embeddings,
            type_vocab_size: if architecture == Architecture::Bert { raw.type_vocab_size } else { 0 },
            layer_norm_eps: raw.layer_norm_eps,
            dropout: raw.hidden_dropout_prob,
            pad_token_id: raw.pad_token_id.unwrap_or(0),
            outputs: outputs(&raw).map_err(unsupported)?,
        })
    }

    fn check(raw: &Raw) -> Result<(), String> {
        if raw.hidden_act != "gelu" {
            return Err(format!("asks for the activation `{}`; supported is gelu", raw.hidden_act));
        }
        if raw.position_embedding_type.as_deref().is_some_and(|kind| kind != "absolute") {
            return Err("asks for relative positions; supported are absolute ones".into());
        }
        let sizes = [
            ("vocab_size", raw.vocab_size, 1 << 24),
            ("hidden_size", raw.hidden_size, 1 << 14),
            ("num_hidden_layers", raw.num_hidden_layers, 1 << 10),
            ("num_attention_heads", raw.num_attention_heads, 1 << 10),
            ("intermediate_size", raw.intermediate_size, 1 << 16),
            ("max_position_embeddings", raw.max_position_embeddings, 1 << 16),
        ];
        if let Some((name, size, most)) = sizes.into_iter().find(|(_, size, most)| *size == 0 || size > most) {
            return Err(format!("has {name} {size}; allowed are 1 to {most}"));
        }
        if !raw.hidden_size.is_multiple_of(raw.num_attention_heads) {
            return Err(format!(
                "has {} attention heads, which do not divide hidden_size {}",
                raw.num_attention_heads, raw.hidden_size
            ));
        }
        Ok(())
    }

    /// Writes `config.json` to `path` as `transformers` would for a sequence classifier.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), ArtifactError> {
        let mut value = match self.architecture {
            Architecture::Bert => json!({
                "architectures": ["BertForSequenceClassification"],
                "model_type": "bert",
                "hidden_size": self.hidden_size,
                "num_hidden_layers": self.layers,
                "num_attention_heads": self.heads,
                "intermediate_size": self.intermediate_size,
                "hidden_act": "gelu",
                "hidden_dropout_prob": self.dropout,
                "attention_probs_dropout_prob": self.dropout,
                "type_vocab_size": self.type_vocab_size,
                "layer_norm_eps": self.layer_norm_eps,
                "position_embedding_type": "absolute",
            }),
            Architecture::DistilBert => json!({
                "architectures": ["DistilBertForSequenceClassification"],
                "model_type": "distilbert",
                "dim": self.hidden_size,
                "n_layers": self.layers,
                "n_heads": self.heads,
                "hidden_dim": self.intermediate_size,
                "activation": "gelu",
                "dropout": self.dropout,
                "attention_dropout": self.dropout,
                "seq_classif_dropout": self.dropout,
            }),
        };
        value["max_position_embeddings"] = json!(self.max_positions);
        value["vocab_size"] = json!(self.vocab_size);
        value["pad_token_id"] = json!(self.pad_token_id);
        value["problem_type"] = json!("single_label_classification");
        value["torch_dtype"] = json!("float32");
        for (index, label) in self.outputs.iter().enumerate() {
            value["id2label"][index.to_string()] = json!(label);
            value["label2id"][label] = json!(index);
        }
        write_json(path, &value)
    }
}

/// `id2label` as a list. `transformers` writes it only where a model has a head, or a bare encoder two dummy labels.
fn outputs(raw: &Raw) -> Result<Vec<String>, String> {
    let classifier = raw.architectures.iter().flatten().any(|name| name.ends_with("ForSequenceClassification"));
    if !classifier {
        return Ok(Vec::new());
    }
    let by_index = |index: usize| {
        let label = raw.id2label.get(&index.to_string()).cloned();
        label.ok_or_else(|| format!("has an `id2label` of {} labels without index {index}", raw.id2label.len()))
    };
    let labels: Vec<String> = (0..raw.id2label.len()).map(by_index).collect::<Result<_, _>>()?;
    let distinct: std::collections::BTreeSet<&String> = labels.iter().collect();
    if distinct.len() < labels.len() {
        return Err(format!("has an `id2label` in which a label occurs twice, for architecture {}", raw.model_type));
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(architecture: Architecture) -> ModelConfig {
        ModelConfig {
            architecture,
            vocab_size: 100,
            hidden_size: 32,
            layers: 2,
            heads: 4,
            intermediate_size: 64,
            max_positions: 64,
            type_vocab_size: if architecture == Architecture::Bert { 2 } else { 0 },
            layer_norm_eps: 1e-12,
            dropout: 0.1,
            pad_token_id: 0,
            outputs: (0..12).map(|i| format!("{}000000", 10 + i)).collect(),
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        for architecture in [Architecture::Bert, Architecture::DistilBert] {
            example(architecture).write(&path).unwrap();
            assert_eq!(ModelConfig::read(&path).unwrap(), example(architecture));
        }
    }

    #[test]
    fn what_is_not_supported_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        example(Architecture::Bert).write(&path).unwrap();
        let good: Value = read_json(&path).unwrap();
        for (key, value, message) in [
            ("model_type", json!("gpt2"), "has model_type `gpt2`"),
            ("model_type", json!(RNN_MODEL_TYPE), "is the RNN baseline"),
            ("hidden_act", json!("relu"), "activation `relu`"),
            ("num_attention_heads", json!(5), "do not divide"),
            ("vocab_size", json!(0), "has vocab_size 0"),
            ("vocab_size", json!("many"), "invalid type"),
            ("id2label", json!({"1": "a"}), "without index 0"),
        ] {
            let mut bad = good.clone();
            bad[key] = value;
            write_json(&path, &bad).unwrap();
            let error = ModelConfig::read(&path).unwrap_err().to_string();
            assert!(error.contains(message) && error.contains("config.json"), "{error}");
        }
    }
}
