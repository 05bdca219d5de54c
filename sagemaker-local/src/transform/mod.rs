//! Transform jobs: the operations. A job has containers of its own answer every object below a prefix.
//!
//! | file | what it does |
//! |---|---|
//! | `check` | refuses what SageMaker refuses, and what this platform lacks: manifests, RecordIO, TFRecord, data capture, wildcards in JSONPath |
//! | `run` | the life of a job, from its containers to its record |
//! | `plan` | request, then `/execution-parameters`, then SageMaker's defaults |
//! | `object`, `split`, `invoke`, `assemble` | one object: its bodies, each request with its retries, the answers in order |
//! | `processing`, `json_path` | filters, and the joining of input and answer |
//! | `data_log` | what SageMaker says of the data, as a log stream |

mod assemble;
mod check;
mod data_log;
mod invoke;
mod json_path;
mod object;
mod plan;
mod processing;
mod record;
mod run;
mod split;

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

pub(crate) use record::TransformJob;
#[cfg(test)]
pub(crate) use record::example;
use record::{TransformJobSpec, TransformStatus};

use crate::error::ApiError;
use crate::hosting::{Container, model_not_found};
use crate::listing::{self, Entry, ListRequest};
use crate::names;
use crate::platform::Platform;
use crate::store;
use crate::tags;

/// A request that names a transform job and nothing else.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct JobName {
    transform_job_name: String,
}

/// `CreateTransformJob`: keeps the record and answers at once; the job runs on its own.
pub(crate) fn create(platform: &Arc<Platform>, mut spec: TransformJobSpec) -> Result<Value, ApiError> {
    let (container, role) = model(platform, &spec.model_name)?;
    check::check(platform, &spec, &role)?;
    let name = spec.transform_job_name.clone();
    let (arn, now) = (names::arn("transform-job", &name), platform.clock.now());
    platform.store.update(|state| {
        if state.transform_jobs.contains_key(&name) {
            return Err(ApiError::in_use(format!(
                "Job name must be unique within an AWS account and region, and a job with this name already exists ({arn})"
            )));
        }
        tags::keep(state, &arn, &mut spec.other)?;
        state.transform_jobs.insert(name.clone(), TransformJob::new(spec, now));
        Ok(())
    })?;
    let shared = Arc::clone(platform);
    platform.tasks.start(task_key(&name), |stop| async move { run::run(shared, name, container, stop).await });
    Ok(json!({ "TransformJobArn": arn }))
}

/// What the model's instances run, and the role that it has.
fn model(platform: &Platform, name: &str) -> Result<(Container, String), ApiError> {
    platform.store.read(|state| {
        let model = state.models.get(name).ok_or_else(|| model_not_found(name))?;
        let role = model.spec.other.get("ExecutionRoleArn").and_then(Value::as_str).unwrap_or_default();
        Ok((model.spec.primary_container.clone(), role.to_owned()))
    })
}

/// `DescribeTransformJob`.
pub(crate) fn describe(platform: &Platform, request: &JobName) -> Result<Value, ApiError> {
    let name = &request.transform_job_name;
    let gone = || ApiError::validation(format!("Could not find requested job with name: {name}"));
    platform.store.read(|state| store::description(state.transform_jobs.get(name).ok_or_else(gone)?))
}

/// `StopTransformJob`: answers at once; the containers have their grace period.
pub(crate) fn stop(platform: &Platform, request: &JobName) -> Result<Value, ApiError> {
    let name = &request.transform_job_name;
    platform.store.update(|state| {
        let gone = || ApiError::validation(format!("Could not find job to update with name: {name}"));
        let job = state.transform_jobs.get_mut(name).ok_or_else(gone)?;
        match job.transform_job_status {
            TransformStatus::InProgress => job.enter(TransformStatus::Stopping, platform.clock.now()),
            TransformStatus::Stopping => {}
            over => {
                return Err(ApiError::validation(format!(
                    "The request was rejected because the transform job is in status {over:?}."
                )));
            }
        }
        Ok(())
    })?;
    // A job that ends by itself at this moment hears nothing, and needs to hear nothing.
    platform.tasks.stop(&task_key(name));
    Ok(json!({}))
}

/// `ListTransformJobs`.
pub(crate) fn list(platform: &Platform, request: &ListRequest) -> Result<Value, ApiError> {
    let entry = |job: &TransformJob| Entry {
        name: job.spec.transform_job_name.clone(),
        created: job.creation_time,
        status: Some(format!("{:?}", job.transform_job_status)),
        summary: json!({
            "TransformJobName": job.spec.transform_job_name,
            "TransformJobArn": job.transform_job_arn,
            "CreationTime": job.creation_time,
            "TransformEndTime": job.transform_end_time,
            "LastModifiedTime": job.last_modified_time,
            "TransformJobStatus": job.transform_job_status,
            "FailureReason": job.failure_reason,
        }),
    };
    let entries = platform.store.read(|state| state.transform_jobs.values().map(entry).collect());
    let (summaries, token) = listing::page(request, entries)?;
    Ok(json!({ "TransformJobSummaries": summaries, "NextToken": token }))
}

/// The name of a job's task.
fn task_key(name: &str) -> String {
    format!("transform-job/{name}")
}
