//! Names of the files that one side writes and another reads.

/// Architecture and labels, in the Hugging Face layout.
pub const CONFIG: &str = "config.json";
/// The weights, with the Hugging Face tensor names.
pub const WEIGHTS: &str = "model.safetensors";
/// The tokenizer, in the layout of the `tokenizers` library.
pub const TOKENIZER: &str = "tokenizer.json";
/// What the Hugging Face files have no place for: level, pooling, cleaning, titles, provenance.
pub const UNSPSC: &str = "unspsc.json";

/// Vectors of titles and training texts, which the vector of a text is compared with.
pub const INDEX: &str = "index.safetensors";

/// Where the training set came from and what became of its rows: `unspsc data prepare` writes it, training copies it
/// into the model directory.
pub const DATASET: &str = "dataset.json";

/// The tarball that SageMaker makes of `/opt/ml/model`.
pub const MODEL_ARCHIVE: &str = "model.tar.gz";
/// The tarball that SageMaker makes of `/opt/ml/output/data`.
pub const OUTPUT_ARCHIVE: &str = "output.tar.gz";

/// The training report for machines: [`crate::TrainingReport`] as JSON, in `/opt/ml/output/data`.
pub const METRICS: &str = "metrics.json";
/// The training report for people, in `/opt/ml/output/data`.
pub const REPORT: &str = "report.html";

/// What `unspsc evaluate` finds, for machines: [`crate::EvaluationReport`] as JSON.
pub const EVALUATION: &str = "evaluation.json";
/// The same for people.
pub const EVALUATION_PAGE: &str = "evaluation.html";
/// The answers that it judges, a line of JSON each.
pub const PREDICTIONS: &str = "predictions.jsonl";

/// What `unspsc tune` finds, for machines.
pub const TUNING: &str = "tuning.json";
/// The same for people.
pub const TUNING_PAGE: &str = "tuning.html";
