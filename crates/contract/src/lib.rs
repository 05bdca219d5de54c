//! What training, serving and orchestration must agree on.
//!
//! Paths under `/opt/ml`, hyperparameters and their string form, metric lines and the regular expressions that find
//! them, file names, the report that training leaves behind, and the bodies of `/invocations`.

mod evaluation;
pub mod files;
mod hyperparameters;
pub mod invocation;
pub mod metrics;
mod paths;
mod profile;
mod report;

pub use evaluation::{
    AutoLevel, AutoScores, EvaluatedData, EvaluatedFile, EvaluationReport, Failures, LevelScores, Mistake, WorstClass,
};
pub use hyperparameters::{ClassWeights, HyperparameterError, Hyperparameters, ModelKind, Pooling, Precision};
pub use paths::{Channel, CheckpointConfig, InputDataConfig, OptMl, ResourceConfig};
pub use profile::{Profile, RuleStatus, RuleVerdict, Series};
pub use report::{
    Calibration, ClassRecall, ConfusionMatrix, DataSummary, EpochReport, Evaluation, MAX_SOURCES, ReliabilityBin,
    SourceScores, TrainingReport,
};

/// SageMaker keeps this many characters of a failure file as the job's `FailureReason`.
///
/// Source: <https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-output.html>.
pub const MAX_FAILURE_CHARS: usize = 1024;
