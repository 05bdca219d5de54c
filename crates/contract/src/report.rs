//! The training report that `train` writes and the orchestrator shows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use unspsc_taxonomy::Level;

use crate::{LevelScores, Profile, RuleVerdict};

/// `metrics.json`: what was trained, on what, and how well it does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingReport {
    /// Program and version, such as `train 0.1.0`.
    pub trained_by: String,
    /// `encoder` or `rnn`.
    pub model: String,
    /// The level of the labels.
    pub level: Level,
    /// The hyperparameters in their string form, all of them.
    pub hyperparameters: BTreeMap<String, String>,
    /// What was trained on.
    pub data: DataSummary,
    /// One entry an epoch.
    pub epochs: Vec<EpochReport>,
    /// What was looked for while training, and what was found.
    #[serde(default)]
    pub rules: Vec<RuleVerdict>,
    /// What was measured while training; of a run that went on from a checkpoint, what came after it.
    #[serde(default)]
    pub profile: Profile,
    /// On the validation split, with the weights that were kept; absent in JSON where the job was stopped first.
    #[serde(default, skip_serializing_if = "Evaluation::is_missing")]
    pub validation: Evaluation,
    /// On the test split, with the weights that were kept; asked once; absent in JSON where the job was stopped first.
    #[serde(default, skip_serializing_if = "Evaluation::is_missing")]
    pub test: Evaluation,
    /// On the test split, head and index together, as the model answers when it is served; nothing where its labels are no codes
    /// or the job was stopped first.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub levels: BTreeMap<Level, LevelScores>,
    /// Wall-clock seconds from start to the last evaluation.
    pub seconds: f64,
}

/// Size and identity of the data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataSummary {
    /// SHA-256 over the cleaned texts and labels of the three splits.
    pub fingerprint: String,
    /// Rows trained on.
    pub train_rows: usize,
    /// Rows that chose the epoch.
    pub validation_rows: usize,
    /// Rows that judged the result.
    pub test_rows: usize,
    /// Rows that could not be used.
    pub rejected_rows: usize,
    /// Distinct labels in training.
    pub classes: usize,
}

/// One pass over the training rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochReport {
    /// Counted from 1.
    pub epoch: usize,
    /// Mean loss over the epoch's rows.
    pub train_loss: f64,
    /// Mean loss over the validation split.
    pub validation_loss: f64,
    /// Accuracy on the validation split.
    pub validation_accuracy: f64,
    /// Balanced accuracy on the validation split.
    pub validation_balanced_accuracy: f64,
    /// Macro-F1 on the validation split.
    pub validation_macro_f1: f64,
    /// Top-3 accuracy on the validation split.
    pub validation_top3_accuracy: f64,
    /// Top-5 accuracy on the validation split.
    pub validation_top5_accuracy: f64,
    /// Expected calibration error on the validation split, at temperature 1.
    pub validation_ece: f64,
    /// Wall-clock seconds of the epoch, evaluation included.
    pub seconds: f64,
}

/// How well a model does on one split.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Rows judged.
    pub rows: usize,
    /// Mean of the loss that was trained with, in nats; with logit adjustment the class prior is in it.
    pub loss: f64,
    /// Share of rows whose label is found.
    pub accuracy: f64,
    /// Mean recall over the classes that occur in the split (scikit-learn's `balanced_accuracy_score`).
    pub balanced_accuracy: f64,
    /// Mean F1 over the classes that occur as truth or as prediction (scikit-learn's `f1_score`, `average="macro"`).
    pub macro_f1: f64,
    /// Share of rows whose label is among the three most probable.
    pub top3_accuracy: f64,
    /// Share of rows whose label is among the five most probable.
    pub top5_accuracy: f64,
    /// How far the probabilities can be trusted.
    pub calibration: Calibration,
    /// Recall by class, ascending by label.
    pub classes: Vec<ClassRecall>,
    /// The same by where the rows come from, those with most rows first; no more than [`MAX_SOURCES`].
    #[serde(default)]
    pub sources: Vec<SourceScores>,
    /// Which label was taken for which.
    pub confusion: ConfusionMatrix,
}

impl Evaluation {
    /// Whether nothing was measured: the job was stopped first.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.rows == 0
    }
}

/// How far probabilities can be trusted, before and after the logits are divided by the temperature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// What logits are divided by before the softmax when the model is served.
    pub temperature: f64,
    /// Expected calibration error at temperature 1.
    pub ece: f64,
    /// Expected calibration error at `temperature`.
    pub calibrated_ece: f64,
    /// Equal parts of the range of probabilities, ascending, at temperature 1.
    pub bins: Vec<ReliabilityBin>,
    /// The same at `temperature`.
    pub calibrated_bins: Vec<ReliabilityBin>,
}

impl Default for Calibration {
    /// Of no rows, and with no change to the logits.
    fn default() -> Self {
        Self { temperature: 1.0, ece: 0.0, calibrated_ece: 0.0, bins: Vec::new(), calibrated_bins: Vec::new() }
    }
}

/// The rows whose most probable label has a probability within one part of the range.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// How many there are.
    pub rows: usize,
    /// Mean probability of their most probable label; 0 without rows.
    pub confidence: f64,
    /// Share of them whose most probable label is right; 0 without rows.
    pub accuracy: f64,
}

/// Which label was taken for which; pairs that do not occur are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfusionMatrix {
    /// The labels that occur as truth or as prediction, ascending.
    pub labels: Vec<String>,
    /// True label and predicted label as places in `labels`, and rows.
    pub cells: Vec<[usize; 3]>,
}

/// Sources that an evaluation tells apart; a column of a user's file may name any number of them.
pub const MAX_SOURCES: usize = 20;

/// How well a model does on the rows of one source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceScores {
    /// File, or what the column `origin` says.
    pub source: String,
    /// Rows judged.
    pub rows: usize,
    /// Share of rows whose label is found.
    pub accuracy: f64,
    /// Mean recall over the classes that occur among these rows.
    pub balanced_accuracy: f64,
}

/// Recall of one class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassRecall {
    /// The label, an eight-digit code.
    pub label: String,
    /// Its title, where known.
    pub title: Option<String>,
    /// Rows of this class.
    pub rows: usize,
    /// Share of them that is found.
    pub recall: f64,
}
