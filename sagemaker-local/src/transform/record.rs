//! The record of a transform job: what was asked for, and what has become of it.
//!
//! Field names are those of the API, so a record is also the answer of `DescribeTransformJob`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::names;
use crate::store;
use crate::time::Time;

/// The request of `CreateTransformJob`; members that the platform has no use for are kept and described.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TransformJobSpec {
    pub(super) transform_job_name: String,
    pub(super) model_name: String,
    /// Requests that an instance has at a time; 0 leaves it to the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_concurrent_transforms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) model_client_config: Option<ModelClientConfig>,
    #[serde(rename = "MaxPayloadInMB", skip_serializing_if = "Option::is_none")]
    pub(super) max_payload_in_mb: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) batch_strategy: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) environment: BTreeMap<String, String>,
    pub(super) transform_input: TransformInput,
    pub(super) transform_output: TransformOutput,
    pub(super) transform_resources: TransformResources,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) data_processing: Option<DataProcessing>,
    #[serde(flatten)]
    pub(super) other: Map<String, Value>,
}

/// How long a request may take and how often it is repeated.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ModelClientConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) invocations_timeout_in_seconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) invocations_max_retries: Option<i64>,
}

/// What is transformed, and how it is cut.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TransformInput {
    pub(super) data_source: DataSource,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) compression_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) split_type: Option<String>,
}

/// Where the data lies.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DataSource {
    pub(super) s3_data_source: S3DataSource,
}

/// A prefix of objects.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct S3DataSource {
    pub(super) s3_data_type: String,
    pub(super) s3_uri: String,
}

/// Where the answers go, and how they are put together.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TransformOutput {
    pub(super) s3_output_path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) accept: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) assemble_with: Option<String>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// What the job runs on.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TransformResources {
    instance_type: String,
    pub(super) instance_count: i64,
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// What of the input is sent, and what of input and answer is kept.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DataProcessing {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) input_filter: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) output_filter: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) join_source: Option<String>,
}

/// `TransformJobStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum TransformStatus {
    InProgress,
    Stopping,
    Completed,
    Failed,
    Stopped,
}

/// A transform job.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TransformJob {
    pub(super) transform_job_arn: String,
    pub(crate) transform_job_status: TransformStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) failure_reason: Option<String>,
    pub(crate) creation_time: Time,
    /// When the job's containers were started.
    #[serde(skip_serializing_if = "Option::is_none")]
    transform_start_time: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) transform_end_time: Option<Time>,
    #[serde(rename = "_LastModifiedTime")]
    pub(super) last_modified_time: Time,
    #[serde(flatten)]
    pub(super) spec: TransformJobSpec,
}

impl TransformJob {
    /// A job that has just been asked for.
    pub(super) fn new(spec: TransformJobSpec, now: Time) -> Self {
        Self {
            transform_job_arn: names::arn("transform-job", &spec.transform_job_name),
            transform_job_status: TransformStatus::InProgress,
            failure_reason: None,
            creation_time: now,
            transform_start_time: None,
            transform_end_time: None,
            last_modified_time: now,
            spec,
        }
    }

    /// True if nothing will become of the job any more.
    pub(crate) fn is_over(&self) -> bool {
        !matches!(self.transform_job_status, TransformStatus::InProgress | TransformStatus::Stopping)
    }

    /// Notes that the job's containers start.
    pub(super) fn start(&mut self, now: Time) {
        self.transform_start_time = Some(now);
        self.last_modified_time = now;
    }

    /// Takes the job to `status`.
    pub(super) fn enter(&mut self, status: TransformStatus, now: Time) {
        self.transform_job_status = status;
        self.last_modified_time = now;
        if self.is_over() {
            self.transform_end_time = Some(now);
        }
    }

    /// Ends the job with SageMaker's limit on the length of `reason`.
    pub(crate) fn fail(&mut self, reason: &str, now: Time) {
        self.failure_reason = Some(store::failure_reason(reason));
        self.enter(TransformStatus::Failed, now);
    }
}

#[cfg(test)]
pub(crate) fn example(name: &str) -> TransformJob {
    let spec = serde_json::json!({
        "TransformJobName": name,
        "ModelName": "model",
        "TransformInput": {
            "DataSource": { "S3DataSource": { "S3DataType": "S3Prefix", "S3Uri": "s3://bucket/in/" } },
        },
        "TransformOutput": { "S3OutputPath": "s3://bucket/out" },
        "TransformResources": { "InstanceType": "ml.m5.large", "InstanceCount": 1 },
    });
    TransformJob::new(serde_json::from_value(spec).unwrap(), Time::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_the_request_and_its_fate() {
        let mut job = example("job");
        job.start(Time::now());
        let text = crate::store::description(&job).unwrap();
        assert_eq!(text["TransformJobArn"], "arn:aws:sagemaker:us-east-1:000000000000:transform-job/job");
        assert_eq!(text["TransformJobStatus"], "InProgress");
        assert_eq!(text["TransformResources"]["InstanceType"], "ml.m5.large");
        assert!(text["TransformStartTime"].is_number() && text.get("TransformEndTime").is_none());
        // `DescribeTransformJob` has no such member.
        assert!(text.get("LastModifiedTime").is_none() && text.get("_LastModifiedTime").is_none());
        job.enter(TransformStatus::Completed, Time::now());
        assert!(crate::store::description(&job).unwrap()["TransformEndTime"].is_number());
    }

    #[test]
    fn a_reason_is_cut_at_the_limit_of_the_api() {
        let mut job = example("job");
        job.fail(&"ä".repeat(2000), Time::now());
        assert_eq!(job.failure_reason.unwrap().chars().count(), store::MAX_REASON_CHARS);
    }
}
