//! The record of a tuning job: what was asked for, and what has become of it.
//!
//! What is known of its trials stands in their own records; see `trials`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ranges::{ParameterRanges, Values};
use crate::error::ApiError;
use crate::names;
use crate::store;
use crate::time::Time;
use crate::training::TrainingJobSpec;

/// The hyperparameter that SageMaker adds to those of every trial.
pub(super) const OBJECTIVE_PARAMETER: &str = "_tuning_objective_metric";

/// The request of `CreateHyperParameterTuningJob`; members that the platform has no use for are kept and described.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TuningJobSpec {
    pub(super) hyper_parameter_tuning_job_name: String,
    #[serde(rename = "HyperParameterTuningJobConfig")]
    pub(super) config: TuningConfig,
    #[serde(rename = "TrainingJobDefinition", default)]
    pub(super) definition: Definition,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) warm_start_config: Option<WarmStartConfig>,
    #[serde(flatten)]
    pub(super) other: Map<String, Value>,
}

/// How is searched, and what for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TuningConfig {
    pub(super) strategy: Strategy,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) strategy_config: Option<StrategyConfig>,
    #[serde(rename = "HyperParameterTuningJobObjective")]
    pub(super) objective: Objective,
    pub(super) resource_limits: ResourceLimits,
    #[serde(default)]
    pub(super) parameter_ranges: ParameterRanges,
    #[serde(rename = "TrainingJobEarlyStoppingType", default)]
    pub(super) early_stopping: EarlyStopping,
    #[serde(rename = "TuningJobCompletionCriteria", default, skip_serializing_if = "Option::is_none")]
    pub(super) criteria: Option<CompletionCriteria>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) random_seed: Option<u64>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// `HyperParameterTuningJobStrategyType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Strategy {
    Bayesian,
    Random,
    Hyperband,
    Grid,
}

/// `HyperParameterTuningJobStrategyConfig`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct StrategyConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hyperband_strategy_config: Option<HyperbandConfig>,
}

/// `HyperbandStrategyConfig`; a resource is one report of the objective.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HyperbandConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) min_resource: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_resource: Option<usize>,
}

/// The metric that is made as good as can be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Objective {
    #[serde(rename = "Type")]
    pub(super) goal: Goal,
    pub(super) metric_name: String,
}

/// `HyperParameterTuningJobObjectiveType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Goal {
    Maximize,
    Minimize,
}

impl Goal {
    /// The value, turned so that less is better.
    pub(super) fn loss(self, value: f64) -> f64 {
        match self {
            Self::Maximize => -value,
            Self::Minimize => value,
        }
    }
}

/// `ResourceLimits`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ResourceLimits {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_number_of_training_jobs: Option<i64>,
    pub(super) max_parallel_training_jobs: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_runtime_in_seconds: Option<i64>,
}

/// `TrainingJobEarlyStoppingType`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum EarlyStopping {
    #[default]
    Off,
    Auto,
}

/// `TuningJobCompletionCriteria`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CompletionCriteria {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) target_objective_metric_value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) best_objective_not_improving: Option<NotImproving>,
    #[serde(flatten)]
    pub(super) other: Map<String, Value>,
}

/// `BestObjectiveNotImproving`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct NotImproving {
    #[serde(rename = "MaxNumberOfTrainingJobsNotImproving", skip_serializing_if = "Option::is_none")]
    pub(super) limit: Option<i64>,
}

/// `HyperParameterTuningJobWarmStartConfig`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct WarmStartConfig {
    #[serde(rename = "ParentHyperParameterTuningJobs")]
    pub(super) parents: Vec<Parent>,
    #[serde(rename = "WarmStartType")]
    pub(super) kind: WarmStartType,
}

/// `ParentHyperParameterTuningJob`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Parent {
    #[serde(rename = "HyperParameterTuningJobName")]
    pub(super) name: String,
}

/// `HyperParameterTuningJobWarmStartType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum WarmStartType {
    IdenticalDataAndAlgorithm,
    TransferLearning,
}

/// `HyperParameterTrainingJobDefinition`: the request of every trial but for its name and hyperparameters.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Definition {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) definition_name: Option<String>,
    #[serde(default)]
    pub(super) static_hyper_parameters: BTreeMap<String, String>,
    #[serde(flatten)]
    pub(super) request: Map<String, Value>,
}

impl Definition {
    /// The request of the trial `name` with these values of what is searched.
    ///
    /// A trial has its checkpoints in a folder of its own, so that none goes on from another's.
    pub(super) fn trial(&self, name: &str, values: &Values) -> Result<TrainingJobSpec, ApiError> {
        let mut request = self.request.clone();
        if let Some(config) = request.remove("HyperParameterTuningResourceConfig") {
            // Instances here are all the same, so the first choice is as good as any.
            let first = config.pointer("/InstanceConfigs/0").cloned().unwrap_or(config);
            request.entry("ResourceConfig").or_insert(first);
        }
        let checkpoints = request.get_mut("CheckpointConfig").and_then(|config| config.get_mut("S3Uri"));
        if let Some(Value::String(uri)) = checkpoints {
            *uri = format!("{}/{name}", uri.trim_end_matches('/'));
        }
        let mut hyperparameters = self.static_hyper_parameters.clone();
        hyperparameters.extend(values.clone());
        request.insert("TrainingJobName".to_owned(), name.into());
        request.insert("HyperParameters".to_owned(), serde_json::to_value(hyperparameters)?);
        Ok(serde_json::from_value(Value::Object(request))?)
    }
}

/// `HyperParameterTuningJobStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum TuningStatus {
    InProgress,
    Stopping,
    Completed,
    Failed,
    Stopped,
}

/// A trial: the training job `name` with these values of what is searched.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct TrialRecord {
    pub(super) name: String,
    pub(super) values: Values,
}

/// A tuning job.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TuningJob {
    #[serde(rename = "HyperParameterTuningJobArn")]
    pub(super) arn: String,
    #[serde(rename = "HyperParameterTuningJobStatus")]
    pub(super) status: TuningStatus,
    pub(crate) creation_time: Time,
    #[serde(rename = "HyperParameterTuningEndTime", skip_serializing_if = "Option::is_none")]
    pub(super) end_time: Option<Time>,
    pub(super) last_modified_time: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_reason: Option<String>,
    /// In the order of their numbers, which count from 1.
    #[serde(rename = "_Trials", default)]
    pub(super) trials: Vec<TrialRecord>,
    #[serde(flatten)]
    pub(super) spec: TuningJobSpec,
}

impl TuningJob {
    /// The kind of resource in ARNs.
    pub(crate) const KIND: &str = "hyper-parameter-tuning-job";

    /// A tuning job that has just been asked for.
    pub(super) fn new(spec: TuningJobSpec, now: Time) -> Self {
        Self {
            arn: names::arn(Self::KIND, &spec.hyper_parameter_tuning_job_name),
            status: TuningStatus::InProgress,
            creation_time: now,
            end_time: None,
            last_modified_time: now,
            failure_reason: None,
            trials: Vec::new(),
            spec,
        }
    }

    /// True if nothing will become of the tuning job any more.
    pub(crate) fn is_over(&self) -> bool {
        !matches!(self.status, TuningStatus::InProgress | TuningStatus::Stopping)
    }

    /// Gives the tuning job another status.
    pub(super) fn enter(&mut self, status: TuningStatus, now: Time) {
        self.status = status;
        self.last_modified_time = now;
        self.end_time = self.is_over().then_some(now);
    }

    /// Ends the tuning job with SageMaker's limit on the length of `reason`.
    pub(crate) fn fail(&mut self, reason: &str, now: Time) {
        self.failure_reason = Some(store::failure_reason(reason));
        self.enter(TuningStatus::Failed, now);
    }
}

#[cfg(test)]
pub(crate) fn example(name: &str) -> TuningJob {
    let spec = serde_json::json!({
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": {
            "Strategy": "Random",
            "HyperParameterTuningJobObjective": { "Type": "Maximize", "MetricName": "score" },
            "ResourceLimits": { "MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 1 },
            "ParameterRanges": {
                "ContinuousParameterRanges": [{ "Name": "lr", "MinValue": "0", "MaxValue": "1" }],
            },
        },
        "TrainingJobDefinition": {
            "StaticHyperParameters": { "epochs": "3" },
            "RoleArn": "arn:aws:iam::000000000000:role/local",
            "AlgorithmSpecification": { "TrainingImage": "image", "TrainingInputMode": "File" },
            "OutputDataConfig": { "S3OutputPath": "s3://bucket/out" },
            "HyperParameterTuningResourceConfig": { "InstanceConfigs": [
                { "InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1 },
            ] },
            "CheckpointConfig": { "S3Uri": "s3://bucket/kept/" },
            "StoppingCondition": { "MaxRuntimeInSeconds": 60 },
        },
    });
    TuningJob::new(serde_json::from_value(spec).unwrap(), Time::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_is_the_definition_with_a_name_and_values() {
        let definition = example("t").spec.definition;
        let values = [("lr".to_owned(), "0.5".to_owned())].into();
        let spec = serde_json::to_value(definition.trial("t-001-0", &values).unwrap()).unwrap();
        assert_eq!(spec["TrainingJobName"], "t-001-0");
        assert_eq!(spec["HyperParameters"], serde_json::json!({ "epochs": "3", "lr": "0.5" }));
        assert_eq!(spec["ResourceConfig"]["InstanceType"], "ml.m5.large");
        assert_eq!(spec["CheckpointConfig"]["S3Uri"], "s3://bucket/kept/t-001-0");
        let message = Definition::default().trial("t-001-0", &values).unwrap_err().to_string();
        assert!(message.contains("AlgorithmSpecification"), "{message}");
    }
}
