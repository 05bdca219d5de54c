//! What `unspsc evaluate` finds: how well a classifier answers rows whose codes are known.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use unspsc_taxonomy::{Code, Level};

use crate::{ClassRecall, ReliabilityBin};

/// `evaluation.json`: which rows were judged, what answered, and how well. `docs/evaluation.md` has the formulas.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluationReport {
    /// Program and version, such as `unspsc 0.1.0`.
    pub evaluated_by: String,
    /// The endpoint's name, the server's address or the file with the answers.
    pub answered_by: String,
    /// What was judged.
    pub data: EvaluatedData,
    /// The precision, 0 to 1, at which coverage is stated.
    pub precision: f64,
    /// Figures of every level that was answered and that rows reach.
    pub levels: BTreeMap<Level, LevelScores>,
    /// Figures of the answers at the level that the classifier chose; none where it chose none.
    pub auto: Option<AutoScores>,
    /// Rows without an answer, by the error's code; they are missed at every level.
    pub failures: BTreeMap<String, Failures>,
}

/// The rows that were judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvaluatedData {
    /// The files they are from.
    pub files: Vec<EvaluatedFile>,
    /// How many there are.
    pub rows: usize,
    /// Rows of the files that are none: without a description, without a usable code, or made by augmentation.
    pub rejected: usize,
}

/// A file with rows that were judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvaluatedFile {
    /// Its name, without folders.
    pub name: String,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
}

/// Figures of one level, over the rows whose code reaches it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LevelScores {
    /// Rows judged.
    pub rows: usize,
    /// Codes that occur among them.
    pub classes: usize,
    /// Share of rows whose code is found.
    pub accuracy: f64,
    /// Mean recall over the codes that occur (scikit-learn's `balanced_accuracy_score`).
    pub balanced_accuracy: f64,
    /// Mean F1 over the codes that occur as truth or as answer (scikit-learn's `f1_score`, `average="macro"`).
    pub macro_f1: f64,
    /// Share of rows whose code is among the five most probable.
    pub top5_accuracy: f64,
    /// Expected calibration error over `bins`.
    pub ece: f64,
    /// Equal parts of the range of probabilities, ascending.
    pub bins: Vec<ReliabilityBin>,
    /// Largest share of rows, taken by descending probability, of which the stated precision is right.
    pub coverage: f64,
    /// The least probability among those; none where there is no such row.
    pub coverage_threshold: Option<f64>,
    /// Codes of the lowest recall, lowest first; listed at segment and family.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub worst: Vec<WorstClass>,
}

/// A code that is often missed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorstClass {
    /// The code, its rows and its recall.
    #[serde(flatten)]
    pub class: ClassRecall,
    /// Rows that were missed, the most surely missed first.
    pub examples: Vec<Mistake>,
}

/// A row that was missed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mistake {
    /// The description.
    pub text: String,
    /// Its code, at whatever level the row knows.
    pub code: Code,
    /// The answer at the level judged; none where there was none.
    pub answer: Option<Code>,
    /// The answer's title, where known.
    pub title: Option<String>,
    /// The answer's probability, 0 to 1; 0 where there was none.
    pub probability: f64,
}

/// Figures of the answers at the level that the classifier chose. Each row with such an answer is in `levels` or
/// `needs_review`; those without one are missed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AutoScores {
    /// Share of the answers' codes and ancestors that are true. An answer below the row's own level counts down to that.
    pub hierarchical_precision: f64,
    /// Share of the true codes and ancestors that are in the answers.
    pub hierarchical_recall: f64,
    /// Their harmonic mean.
    pub hierarchical_f1: f64,
    /// The trusted answers by their level.
    pub levels: BTreeMap<Level, AutoLevel>,
    /// Rows of which not even the segment can be trusted.
    pub needs_review: usize,
}

/// The trusted answers at one level.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutoLevel {
    /// Rows answered here.
    pub rows: usize,
    /// Those of them whose own code reaches this level.
    pub judged: usize,
    /// Those of the judged whose answer is right.
    pub right: usize,
}

/// Rows without an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures {
    /// How many there are.
    pub rows: usize,
    /// What was said of the first.
    pub message: String,
    /// File and line of the first ones, such as `purchases.csv line 7`.
    pub places: Vec<String>,
}
