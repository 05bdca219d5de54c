//! Names of the files that one side writes and another reads.

/// Architecture and labels, in the Hugging Face layout.
pub const CONFIG: &str = "config.json";
/// The weights, with the Hugging Face tensor names.
pub const WEIGHTS: &str = "model.safetensors";
/// The tokenizer, in the layout of the `tokenizers` library.
pub const TOKENIZER: &str = "tokenizer.json";
/// What the Hugging Face files have no place for: level, pooling, cleaning, titles, provenance.
pub const UNSPSC: &str = "unspsc.json";

/// The tarball that SageMaker makes of `/opt/ml/model`.
pub const MODEL_ARCHIVE: &str = "model.tar.gz";
/// The tarball that SageMaker makes of `/opt/ml/output/data`.
pub const OUTPUT_ARCHIVE: &str = "output.tar.gz";

/// The training report for machines: [`crate::TrainingReport`] as JSON, in `/opt/ml/output/data`.
pub const METRICS: &str = "metrics.json";
/// The training report for people, in `/opt/ml/output/data`.
pub const REPORT: &str = "report.html";

/// Provenance of a prepared data set, beside its CSV files.
pub const DATASET: &str = "dataset.json";
/// Prepared rows to train on; the other two splits are `validation.csv` and `test.csv`.
pub const TRAIN_CSV: &str = "train.csv";
/// Prepared rows to choose a model by.
pub const VALIDATION_CSV: &str = "validation.csv";
/// Prepared rows to judge the chosen model by.
pub const TEST_CSV: &str = "test.csv";
