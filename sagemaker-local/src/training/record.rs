//! The record of a training job: what was asked for, and what has become of it.
//!
//! Field names are those of the API, so a record is also the answer of `DescribeTrainingJob`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use unspsc_contract::files;

use crate::names;
use crate::store;
use crate::time::Time;

/// The request of `CreateTrainingJob`; members that the platform has no use for are kept and described.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TrainingJobSpec {
    pub(crate) training_job_name: String,
    #[serde(default)]
    pub(crate) hyper_parameters: BTreeMap<String, String>,
    pub(crate) algorithm_specification: AlgorithmSpecification,
    pub(crate) role_arn: String,
    #[serde(default)]
    pub(crate) input_data_config: Vec<ChannelSpec>,
    pub(crate) output_data_config: OutputDataConfig,
    pub(crate) resource_config: ResourceSpec,
    #[serde(default)]
    pub(crate) stopping_condition: StoppingCondition,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) checkpoint_config: Option<CheckpointSpec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry_strategy: Option<RetryStrategy>,
    #[serde(default)]
    pub(crate) environment: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) enable_network_isolation: bool,
    #[serde(default)]
    enable_inter_container_traffic_encryption: bool,
    #[serde(default)]
    pub(crate) enable_managed_spot_training: bool,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

/// What runs, and the metrics that its log carries.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AlgorithmSpecification {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) training_image: Option<String>,
    pub(crate) training_input_mode: String,
    #[serde(default)]
    pub(crate) metric_definitions: Vec<MetricDefinition>,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

/// A metric, and the regular expression whose first group is its value.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct MetricDefinition {
    pub(crate) name: String,
    pub(crate) regex: String,
}

/// One channel of input.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ChannelSpec {
    pub(crate) channel_name: String,
    pub(crate) data_source: DataSource,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) compression_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) record_wrapper_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) input_mode: Option<String>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// Where a channel's data lies.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DataSource {
    pub(crate) s3_data_source: S3DataSource,
}

/// A prefix of objects.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct S3DataSource {
    pub(crate) s3_data_type: String,
    pub(crate) s3_uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) s3_data_distribution_type: Option<String>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// Where the artifacts go.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct OutputDataConfig {
    pub(crate) s3_output_path: String,
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// Where checkpoints are kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CheckpointSpec {
    pub(crate) s3_uri: String,
    /// The folder in the container; `/opt/ml/checkpoints` if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) local_path: Option<String>,
}

/// How often a job is started anew that failed by no fault of its own.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RetryStrategy {
    pub(crate) maximum_retry_attempts: u32,
}

/// What the job runs on.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ResourceSpec {
    #[serde(default)]
    pub(crate) instance_count: u32,
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// How long the job may run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct StoppingCondition {
    pub(crate) max_runtime_in_seconds: u64,
    /// How long a managed spot job may take with all waiting for instances.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_wait_time_in_seconds: Option<u64>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

impl Default for StoppingCondition {
    /// SageMaker's default is one day.
    fn default() -> Self {
        Self { max_runtime_in_seconds: 86_400, max_wait_time_in_seconds: None, other: Map::new() }
    }
}

/// `TrainingJobStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum JobStatus {
    InProgress,
    Stopping,
    Completed,
    Failed,
    Stopped,
}

/// `SecondaryStatus`: what the job is about, or how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SecondaryStatus {
    Starting,
    Downloading,
    Training,
    /// The instance was taken away; the job waits for another.
    Interrupted,
    /// No fault of the job's own; it is started anew.
    Restarting,
    Stopping,
    Uploading,
    Completed,
    Failed,
    Stopped,
    MaxRuntimeExceeded,
    MaxWaitTimeExceeded,
}

impl SecondaryStatus {
    /// The primary status that this one means, unless it is a step on the way of a job that is being stopped.
    fn primary(self) -> JobStatus {
        match self {
            Self::Starting
            | Self::Downloading
            | Self::Training
            | Self::Interrupted
            | Self::Restarting
            | Self::Uploading => JobStatus::InProgress,
            Self::Stopping => JobStatus::Stopping,
            Self::Completed => JobStatus::Completed,
            Self::Failed => JobStatus::Failed,
            Self::Stopped | Self::MaxRuntimeExceeded | Self::MaxWaitTimeExceeded => JobStatus::Stopped,
        }
    }

    /// Whether an instance works for the job meanwhile, which is what is billed.
    fn has_instance(self) -> bool {
        matches!(self, Self::Downloading | Self::Training | Self::Stopping | Self::Uploading)
    }

    /// SageMaker's sentence about it.
    fn message(self) -> &'static str {
        match self {
            Self::Starting => "Starting the training job",
            Self::Downloading => "Downloading input data",
            Self::Training => "Training in progress",
            Self::Interrupted => "Training job interrupted: the spot instance was reclaimed",
            Self::Restarting => "Restarting the training job",
            Self::Stopping => "Stopping the training job",
            Self::Uploading => "Uploading generated training model",
            Self::Completed => "Training job completed",
            Self::Failed => "Training job failed",
            Self::Stopped => "Training job stopped",
            Self::MaxRuntimeExceeded => "Training job runtime exceeded MaxRuntimeInSeconds provided",
            Self::MaxWaitTimeExceeded => "Training job wait time exceeded MaxWaitTimeInSeconds provided",
        }
    }
}

/// One stretch of a job's life.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Transition {
    status: SecondaryStatus,
    start_time: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<Time>,
    status_message: String,
}

/// Where the model lies.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ModelArtifacts {
    pub(crate) s3_model_artifacts: String,
}

/// The last value of a metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct MetricDatum {
    pub(crate) metric_name: String,
    pub(crate) value: f64,
    pub(crate) timestamp: Time,
}

/// A training job.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TrainingJob {
    pub(crate) training_job_arn: String,
    pub(crate) training_job_status: JobStatus,
    pub(crate) secondary_status: SecondaryStatus,
    /// The tuning job that the job is a trial of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tuning_job_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failure_reason: Option<String>,
    /// Told from the beginning on, as the API requires it; there is something only once the job has uploaded it.
    pub(crate) model_artifacts: ModelArtifacts,
    pub(crate) creation_time: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) training_start_time: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) training_end_time: Option<Time>,
    pub(crate) last_modified_time: Time,
    secondary_status_transitions: Vec<Transition>,
    pub(crate) final_metric_data_list: Vec<MetricDatum>,
    #[serde(skip_serializing_if = "Option::is_none")]
    training_time_in_seconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    billable_time_in_seconds: Option<i64>,
    /// All values of each metric, oldest first.
    #[serde(rename = "_MetricHistory", default)]
    pub(crate) metric_history: BTreeMap<String, Vec<(Time, f64)>>,
    /// Milliseconds that instances have worked for the job.
    #[serde(rename = "_InstanceMillis", default)]
    instance_millis: i64,
    #[serde(flatten)]
    pub(crate) spec: TrainingJobSpec,
}

impl TrainingJob {
    /// A job that has just been asked for.
    pub(crate) fn new(spec: TrainingJobSpec, now: Time) -> Self {
        let output = spec.output_data_config.s3_output_path.trim_end_matches('/');
        let s3_model_artifacts = format!("{output}/{}/output/{}", spec.training_job_name, files::MODEL_ARCHIVE);
        let mut job = Self {
            training_job_arn: names::arn("training-job", &spec.training_job_name),
            training_job_status: JobStatus::InProgress,
            secondary_status: SecondaryStatus::Starting,
            tuning_job_arn: None,
            failure_reason: None,
            model_artifacts: ModelArtifacts { s3_model_artifacts },
            creation_time: now,
            training_start_time: None,
            training_end_time: None,
            last_modified_time: now,
            secondary_status_transitions: Vec::new(),
            final_metric_data_list: Vec::new(),
            training_time_in_seconds: None,
            billable_time_in_seconds: None,
            metric_history: BTreeMap::new(),
            instance_millis: 0,
            spec,
        };
        job.enter(SecondaryStatus::Starting, now);
        job
    }

    /// True if nothing will become of the job any more.
    pub(crate) fn is_over(&self) -> bool {
        !matches!(self.training_job_status, JobStatus::InProgress | JobStatus::Stopping)
    }

    /// Begins a stretch of the job's life and ends the one before; a job that is being stopped stays so on its way.
    pub(crate) fn enter(&mut self, status: SecondaryStatus, now: Time) {
        let primary = status.primary();
        if primary != JobStatus::InProgress || self.training_job_status != JobStatus::Stopping {
            self.training_job_status = primary;
        }
        self.secondary_status = status;
        self.last_modified_time = now;
        if let Some(last) = self.secondary_status_transitions.last_mut() {
            last.end_time = Some(now);
            if last.status.has_instance() {
                self.instance_millis += now.millis() - last.start_time.millis();
            }
        }
        let over = primary != JobStatus::InProgress && primary != JobStatus::Stopping;
        self.secondary_status_transitions.push(Transition {
            status,
            start_time: now,
            end_time: over.then_some(now),
            status_message: status.message().to_owned(),
        });
        if status == SecondaryStatus::Downloading {
            self.training_start_time.get_or_insert(now);
        }
        if over {
            self.training_end_time = Some(now);
            self.training_time_in_seconds = self.training_start_time.map(|start| now.seconds_since(start));
            let billable = Time::from_millis(self.instance_millis).seconds_since(Time::from_millis(0));
            self.billable_time_in_seconds = self.training_start_time.map(|_| billable);
        }
    }

    /// Ends the job with SageMaker's limit on the length of `reason`.
    pub(crate) fn fail(&mut self, reason: &str, now: Time) {
        self.failure_reason = Some(store::failure_reason(reason));
        self.enter(SecondaryStatus::Failed, now);
    }
}

#[cfg(test)]
pub(crate) fn example(name: &str) -> TrainingJob {
    let spec = serde_json::json!({
        "TrainingJobName": name,
        "RoleArn": "arn:aws:iam::000000000000:role/local",
        "AlgorithmSpecification": { "TrainingImage": "image", "TrainingInputMode": "File" },
        "OutputDataConfig": { "S3OutputPath": "s3://bucket/out" },
        "ResourceConfig": { "InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1 },
        "StoppingCondition": { "MaxRuntimeInSeconds": 60 },
    });
    TrainingJob::new(serde_json::from_value(spec).unwrap(), Time::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(steps: &[SecondaryStatus]) -> Value {
        let mut job = example("job");
        for step in steps {
            job.enter(*step, Time::now());
        }
        crate::store::description(&job).unwrap()
    }

    #[test]
    fn a_description_is_the_request_and_its_fate() {
        let text = walk(&[SecondaryStatus::Downloading, SecondaryStatus::Training]);
        assert_eq!(text["TrainingJobArn"], "arn:aws:sagemaker:us-east-1:000000000000:training-job/job");
        assert_eq!(text["TrainingJobStatus"], "InProgress");
        assert_eq!(text["SecondaryStatus"], "Training");
        assert_eq!(text["ResourceConfig"]["InstanceType"], "ml.m5.large");
        assert_eq!(text["AlgorithmSpecification"]["TrainingImage"], "image");
        assert_eq!(text["EnableManagedSpotTraining"], false);
        assert!(text.get("FailureReason").is_none());
        let transitions = text["SecondaryStatusTransitions"].as_array().unwrap();
        let stretches: Vec<_> = transitions.iter().map(|t| (t["Status"].clone(), t["EndTime"].is_number())).collect();
        assert_eq!(stretches, [("Starting".into(), true), ("Downloading".into(), true), ("Training".into(), false)]);
    }

    #[test]
    fn a_job_that_is_being_stopped_stays_so_until_it_is_over() {
        use SecondaryStatus::{Downloading, Stopped, Stopping, Training, Uploading};
        let text = walk(&[Downloading, Training, Stopping, Uploading]);
        assert_eq!((&text["TrainingJobStatus"], &text["SecondaryStatus"]), (&"Stopping".into(), &"Uploading".into()));
        let text = walk(&[Downloading, Training, Stopping, Uploading, Stopped]);
        assert_eq!(text["TrainingJobStatus"], "Stopped");
        assert!(text["TrainingTimeInSeconds"].as_i64().unwrap() >= 1 && text["TrainingEndTime"].is_number());
    }

    #[test]
    fn a_job_that_runs_too_long_is_stopped() {
        let text = walk(&[SecondaryStatus::Training, SecondaryStatus::MaxRuntimeExceeded]);
        assert_eq!(text["TrainingJobStatus"], "Stopped");
    }

    #[test]
    fn a_reason_is_cut_at_the_limit_of_the_api() {
        let mut job = example("job");
        job.fail(&"ä".repeat(2000), Time::now());
        assert_eq!(job.failure_reason.unwrap().chars().count(), store::MAX_REASON_CHARS);
    }
}
