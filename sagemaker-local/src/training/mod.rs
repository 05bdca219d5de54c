//! Training jobs: the operations.

mod checkpoints;
mod metrics;
mod record;
mod run;
mod tree;

use std::sync::Arc;

use regex::Regex;
use serde::Deserialize;
use serde_json::{Value, json};

#[cfg(test)]
pub(crate) use record::example;
use record::{ChannelSpec, SecondaryStatus, StoppingCondition};
pub(crate) use record::{JobStatus, TrainingJob, TrainingJobSpec};

use crate::error::ApiError;
use crate::listing::{self, Entry, ListRequest};
use crate::logs;
use crate::names;
use crate::platform::Platform;
use crate::storage::S3Uri;
use crate::store::{self, State};
use crate::tags;
use crate::time::Time;

/// A request that names a training job and nothing else.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct JobName {
    training_job_name: String,
}

/// `CreateTrainingJob`: keeps the record and answers at once; the job runs on its own.
pub(crate) fn create(platform: &Arc<Platform>, spec: TrainingJobSpec) -> Result<Value, ApiError> {
    check(platform, &spec)?;
    let arn = launch(platform, spec, |_, _| {})?;
    Ok(json!({ "TrainingJobArn": arn }))
}

/// Starts a job that has been checked and returns its ARN; `note` sees its record before it is kept, with all others.
pub(crate) fn launch(
    platform: &Arc<Platform>,
    mut spec: TrainingJobSpec,
    note: impl FnOnce(&mut State, &mut TrainingJob),
) -> Result<String, ApiError> {
    let name = spec.training_job_name.clone();
    let (arn, now) = (names::arn("training-job", &name), platform.clock.now());
    platform.store.update(|state| {
        if state.training_jobs.contains_key(&name) {
            return Err(ApiError::in_use(format!(
                "Training job names must be unique within an AWS account and region, and a training job with this \
                 name already exists ({arn})"
            )));
        }
        tags::keep(state, &arn, &mut spec.other)?;
        state.note_stream(logs::TRAINING_JOBS, stream_name(&name, now), platform.folder.job(&name).log_below(), now);
        let mut job = TrainingJob::new(spec, now);
        note(state, &mut job);
        state.training_jobs.insert(name.clone(), job);
        Ok(())
    })?;
    let shared = Arc::clone(platform);
    platform.tasks.start(task_key(&name), |stop| async move { run::run(&shared, &name, stop).await });
    Ok(arn)
}

/// The log stream of a job's only host: its number is the time at which the job was asked for.
fn stream_name(job: &str, created: Time) -> String {
    format!("{job}/algo-1-{}", created.millis() / 1000)
}

/// `DescribeTrainingJob`.
pub(crate) fn describe(platform: &Platform, request: &JobName) -> Result<Value, ApiError> {
    platform.store.read(|state| {
        let job = state.training_jobs.get(&request.training_job_name).ok_or_else(not_found)?;
        store::description(job)
    })
}

/// `StopTrainingJob`: answers at once; the job has its grace period.
pub(crate) fn stop(platform: &Platform, request: &JobName) -> Result<Value, ApiError> {
    stop_job(platform, &request.training_job_name)?;
    Ok(json!({}))
}

/// Tells the job `name` to stop.
pub(crate) fn stop_job(platform: &Platform, name: &str) -> Result<(), ApiError> {
    platform.store.update(|state| {
        let job = state.training_jobs.get_mut(name).ok_or_else(not_found)?;
        match job.training_job_status {
            JobStatus::InProgress => job.enter(SecondaryStatus::Stopping, platform.clock.now()),
            JobStatus::Stopping => {}
            over => {
                return Err(ApiError::validation(format!(
                    "The request was rejected because the training job is in status {over:?}."
                )));
            }
        }
        Ok(())
    })?;
    // A job that ends by itself at this moment hears nothing, and needs to hear nothing.
    platform.tasks.stop(&task_key(name));
    Ok(())
}

/// `ListTrainingJobs`.
pub(crate) fn list(platform: &Platform, request: &ListRequest) -> Result<Value, ApiError> {
    let entries = platform.store.read(|state| state.training_jobs.values().map(entry).collect());
    let (summaries, token) = listing::page(request, entries)?;
    Ok(json!({ "TrainingJobSummaries": summaries, "NextToken": token }))
}

fn entry(job: &TrainingJob) -> Entry {
    Entry {
        name: job.spec.training_job_name.clone(),
        created: job.creation_time,
        status: Some(format!("{:?}", job.training_job_status)),
        summary: json!({
            "TrainingJobName": job.spec.training_job_name,
            "TrainingJobArn": job.training_job_arn,
            "CreationTime": job.creation_time,
            "TrainingEndTime": job.training_end_time,
            "LastModifiedTime": job.last_modified_time,
            "TrainingJobStatus": job.training_job_status,
            "SecondaryStatus": job.secondary_status,
        }),
    }
}

fn not_found() -> ApiError {
    ApiError::validation("Requested resource not found.")
}

/// The name of a job's task.
fn task_key(name: &str) -> String {
    format!("training-job/{name}")
}

/// Refuses what SageMaker refuses, and what this platform would otherwise silently leave out.
pub(crate) fn check(platform: &Platform, spec: &TrainingJobSpec) -> Result<(), ApiError> {
    names::check("trainingJobName", &spec.training_job_name)?;
    let algorithm = &spec.algorithm_specification;
    if spec.resource_config.instance_count != 1 {
        return Err(lacks("ResourceConfig.InstanceCount other than 1"));
    }
    for member in ["ContainerEntrypoint", "ContainerArguments"] {
        if algorithm.other.contains_key(member) {
            return Err(lacks(&format!("AlgorithmSpecification.{member}: it runs its own `train`")));
        }
    }
    for definition in &algorithm.metric_definitions {
        Regex::new(&definition.regex).map_err(|error| {
            ApiError::validation(format!("The regular expression of metric {} is invalid: {error}", definition.name))
        })?;
    }
    check_stopping(spec)?;
    if let Some(config) = &spec.checkpoint_config {
        address(&config.s3_uri)?;
        if config.local_path.as_deref().is_some_and(|path| path.trim_end_matches('/') != "/opt/ml/checkpoints") {
            return Err(lacks("CheckpointConfig.LocalPath other than /opt/ml/checkpoints"));
        }
    }
    let output = address(&spec.output_data_config.s3_output_path)?;
    if !platform.storage.has_bucket(&output.bucket) {
        return Err(ApiError::validation(format!("The bucket of the S3 output path {output} does not exist.")));
    }
    for channel in &spec.input_data_config {
        check_channel(platform, spec, channel)?;
    }
    Ok(())
}

/// Refuses times that contradict each other.
fn check_stopping(spec: &TrainingJobSpec) -> Result<(), ApiError> {
    let StoppingCondition { max_runtime_in_seconds, max_wait_time_in_seconds, .. } = &spec.stopping_condition;
    match (spec.enable_managed_spot_training, max_wait_time_in_seconds) {
        (true, Some(wait)) if wait >= max_runtime_in_seconds => Ok(()),
        (true, _) => Err(ApiError::validation(
            "MaxWaitTimeInSeconds must be present and at least MaxRuntimeInSeconds where EnableManagedSpotTraining is true.",
        )),
        (false, Some(_)) => Err(ApiError::validation(
            "MaxWaitTimeInSeconds is for training jobs whose EnableManagedSpotTraining is true.",
        )),
        (false, None) => Ok(()),
    }
}

fn check_channel(platform: &Platform, spec: &TrainingJobSpec, channel: &ChannelSpec) -> Result<(), ApiError> {
    let name = &channel.channel_name;
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if !plain || name.is_empty() || name.len() > 64 || name.starts_with("..") || name == "." {
        let broken = "Member must satisfy regular expression pattern: [A-Za-z0-9\\.\\-_]+";
        return Err(ApiError::constraint("inputDataConfig.channelName", name, broken));
    }
    let mode = channel.input_mode.as_ref().unwrap_or(&spec.algorithm_specification.training_input_mode);
    if !["File", "FastFile"].contains(&mode.as_str()) {
        return Err(lacks(&format!("the input mode {mode} of channel {name}")));
    }
    for (member, value) in
        [("CompressionType", &channel.compression_type), ("RecordWrapperType", &channel.record_wrapper_type)]
    {
        if value.as_deref().is_some_and(|value| value != "None") {
            return Err(lacks(&format!("{member} of channel {name}")));
        }
    }
    let source = &channel.data_source.s3_data_source;
    if source.s3_data_type != "S3Prefix" {
        return Err(lacks(&format!("the S3DataType {} of channel {name}", source.s3_data_type)));
    }
    let uri = address(&source.s3_uri)?;
    let has_objects = platform.storage.objects(&uri).is_ok_and(|objects| !objects.is_empty());
    if has_objects {
        return Ok(());
    }
    Err(ApiError::no_objects(&source.s3_uri, &uri.bucket, &spec.role_arn))
}

/// The refusal of what this platform does not do.
pub(crate) fn lacks(what: &str) -> ApiError {
    ApiError::validation(format!("sagemaker-local does not support {what}"))
}

fn address(text: &str) -> Result<S3Uri, ApiError> {
    text.parse().map_err(|error: crate::storage::S3UriError| ApiError::validation(error.to_string()))
}
